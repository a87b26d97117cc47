package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// callSlots are the calls of a SELECT whose values are computed from several rows, or that give
// several rows: aggregates, windows, functions that give sets.
type callSlots struct {
	aggregates []*aggregate
	windows    []*windowCall
	sets       []setValue
	slots      int
	grouping   bool // aggregates may be used here
}

type aggregate struct {
	slot    int
	make    func() accumulator
	args    []value
	filter  *value
	keys    []sortKey
	orderBy []value
	unique  bool
}

type windowCall struct {
	slot      int
	name      string
	partition []value
	keys      []sortKey
	orderBy   []value
	agg       *aggregate
}

// A setValue is a compiled function that gives a set.
type setValue struct {
	typ  uint32
	cols []Column
	slot int
	set  func(e *env) ([]any, error)
}

// An accumulator computes an aggregate.
type accumulator interface {
	add(args []any) error
	result() any
}

// output is a compiled SELECT list.
type output struct {
	columns []Column
	values  []value
}

// core compiles a SELECT.
func (c *compiler) core(x *core, orderBy []sortKey, base *scope) *plan {
	s := &scope{c: c, parent: base}
	from := s.from(x.from, x.where)
	s.calls = &callSlots{grouping: true}
	out := s.items(x.items)
	s.alias = map[string]value{}
	for i, col := range out.columns {
		if _, twice := s.alias[col.Name]; !twice {
			s.alias[col.Name] = out.values[i]
		}
	}
	groups := s.keyList(x.groupBy, out, "GROUP BY")
	var having *value
	if x.having != nil {
		v := s.condition(x.having)
		having = &v
	}
	keys := make([]node, len(orderBy))
	for i, k := range orderBy {
		keys[i] = k.x
	}
	sort := s.keyList(keys, out, "ORDER BY")
	on := s.keyList(x.distinctOn, out, "DISTINCT ON")
	calls := s.calls
	grouped := len(groups) > 0 || len(calls.aggregates) > 0 || having != nil
	e := &selectRun{
		scope: s, from: from, out: out, groups: groups, having: having, sort: sort, on: on, orderBy: orderBy,
		distinct: x.distinct, grouped: grouped,
	}
	return &plan{columns: out.columns, outer: s.outer, run: e.run}
}

// items compiles the SELECT list; * is expanded.
func (s *scope) items(items []item) (out output) {
	for _, it := range items {
		if st, ok := it.x.(*star); ok {
			s.expand(st, &out)
			continue
		}
		v := s.expr(it.x)
		if v.lit != nil {
			v = s.coerce(v, oidText, -1)
		}
		if k, ok := it.x.(*constant); ok && k.typ == oidNumeric && !strings.ContainsAny(k.text, "eE") {
			v = literal(k.text, oidNumeric) // 1.50 keeps its zero
		}
		name := it.alias
		if name == "" {
			name = nameOfExpr(it.x)
		}
		out.columns = append(out.columns, Column{Name: name, Type: v.typ, Mod: -1, fields: v.cols})
		out.values = append(out.values, v)
	}
	return out
}

func (s *scope) expand(st *star, out *output) {
	found := false
	for i, r := range s.rels {
		if len(st.parts) > 0 && r.alias != st.parts[len(st.parts)-1] {
			continue
		}
		found = true
		for k, c := range r.columns {
			if r.hidden[k] {
				continue
			}
			s.refs |= 1 << i
			out.columns = append(out.columns, c)
			out.values = append(out.values, value{typ: c.Type, eval: at(i, k)})
		}
	}
	if !found {
		if len(st.parts) == 0 {
			panic(fault(codeSyntax, st.pos, "SELECT * with no tables specified is not valid"))
		}
		panic(fault(codeUndefinedRel, st.pos, "missing FROM-clause entry for table %q", st.parts[len(st.parts)-1]))
	}
}

// nameOfExpr is the name that PostgreSQL gives a column without an alias.
func nameOfExpr(x node) string {
	name, _ := figure(x)
	if name == "" {
		return "?column?"
	}
	return name
}

// figure is a name for an expression. A name that is strong stays when the expression is cast.
func figure(x node) (name string, strong bool) {
	switch x := x.(type) {
	case *columnRef:
		return x.parts[len(x.parts)-1], true
	case *call:
		return cmp.Or(x.label, x.name), true
	case *field:
		return x.name, true
	case *index:
		return figure(x.x)
	case *cast:
		name, strong = figure(x.x)
		to := x.to
		if e := elementOf(to); e != 0 {
			to = e
		}
		if t := types().byOID[to]; !strong && t != nil {
			name = t.name
		}
		return name, strong
	case *caseExpr:
		name, strong = figure(x.other)
		if !strong {
			name = "case"
		}
		return name, strong
	case *arrayLit, *arrayQuery:
		return "array", true
	case *exists:
		return "exists", true
	case *row:
		return "row", true
	case *subquery:
		c, ok := x.q.body.(*core)
		if !ok || len(c.items) == 0 {
			return "", false
		}
		if c.items[0].alias != "" {
			return c.items[0].alias, true
		}
		return figure(c.items[0].x)
	case *constant:
		if x.typ == oidBool {
			return "bool", false
		}
	}
	return "", false
}

// keyList compiles GROUP BY, ORDER BY and DISTINCT ON: numbers and names of output columns, or
// expressions.
func (s *scope) keyList(keys []node, out output, what string) (all []value) {
	for _, k := range keys {
		if n, ok := ordinal(k); ok {
			if n < 1 || n > len(out.values) {
				panic(fault("42P10", -1, "%s position %d is not in select list", what, n))
			}
			all = append(all, out.values[n-1])
			continue
		}
		c, ok := k.(*columnRef)
		if ok && len(c.parts) == 1 {
			v, isAlias := s.alias[c.parts[0]]
			_, _, isColumn := s.local(c)
			// ORDER BY prefers names of the output, GROUP BY names of the input.
			if isAlias && (what != "GROUP BY" || !isColumn) {
				all = append(all, v)
				continue
			}
		}
		v := s.expr(k)
		if v.lit != nil {
			v = s.coerce(v, oidText, -1)
		}
		all = append(all, v)
	}
	return all
}

// A selectRun runs a SELECT.
type selectRun struct {
	scope    *scope
	from     fromStep
	out      output
	groups   []value
	having   *value
	sort     []value
	on       []value
	orderBy  []sortKey
	distinct bool
	grouped  bool
}

func (r *selectRun) run(outer *env) ([][]any, error) {
	e := &env{
		run: outer.run, parent: outer, rows: make([][]any, len(r.scope.rels)), slots: make([]any, r.scope.calls.slots),
	}
	var all []sortable
	emit := func(e *env) error { return r.emit(e, &all) }
	var err error
	if !r.grouped && len(r.scope.calls.windows) == 0 {
		err = r.from.run(e, func() error { return emit(e) })
	} else {
		err = r.collected(e, emit)
	}
	if err != nil {
		return nil, err
	}
	if r.distinct && len(r.on) == 0 {
		seen := map[string]bool{}
		all = slices.DeleteFunc(all, func(s sortable) bool {
			k := rowKey(s.row)
			twice := seen[k]
			seen[k] = true
			return twice
		})
	}
	n := len(r.on)
	slices.SortStableFunc(all, func(a, b sortable) int { return compareKeys(a.keys[n:], b.keys[n:], r.orderBy) })
	if n > 0 {
		seen := map[string]bool{}
		all = slices.DeleteFunc(all, func(s sortable) bool {
			k := rowKey(s.keys[:n])
			twice := seen[k]
			seen[k] = true
			return twice
		})
	}
	rows := make([][]any, len(all))
	for i, s := range all {
		rows[i] = s.row
	}
	return rows, nil
}

// emit adds the output of a row. Functions that give sets make several of it.
func (r *selectRun) emit(e *env, to *[]sortable) error {
	sets := r.scope.calls.sets
	n := 1
	var all [][]any
	if len(sets) > 0 {
		n = 0
		for _, s := range sets {
			rows, err := s.set(e)
			if err != nil {
				return err
			}
			all = append(all, rows)
			n = max(n, len(rows))
		}
	}
	for i := range n {
		for k, s := range sets {
			e.slots[s.slot] = nil
			if i < len(all[k]) {
				e.slots[s.slot] = all[k][i]
			}
		}
		one := sortable{row: make([]any, len(r.out.values))}
		for k, v := range r.out.values {
			x, err := v.eval(e)
			if err != nil {
				return err
			}
			one.row[k] = x
		}
		for _, v := range slices.Concat(r.on, r.sort) {
			x, err := v.eval(e)
			if err != nil {
				return err
			}
			one.keys = append(one.keys, x)
		}
		err := e.run.step()
		if err == nil {
			err = e.run.keep(one.row)
		}
		if err != nil {
			return err
		}
		*to = append(*to, one)
	}
	return nil
}

// A group is rows with the same keys: what its first row is, and its aggregates.
type group struct {
	env  *env
	accs []accumulator
	held [][]sortable // rows of aggregates with ORDER BY
	seen []map[string]bool
}

// collected runs a SELECT with groups or windows.
func (r *selectRun) collected(e *env, emit func(e *env) error) error {
	var envs []*env
	var err error
	if r.grouped {
		envs, err = r.grouping(e)
	} else {
		err = r.from.run(e, func() error {
			envs = append(envs, e.copy())
			return e.run.keep(e.slots)
		})
	}
	if err != nil {
		return err
	}
	for _, w := range r.scope.calls.windows {
		err = w.compute(envs)
		if err != nil {
			return err
		}
	}
	for _, g := range envs {
		err = emit(g)
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *env) copy() *env {
	return &env{run: e.run, parent: e.parent, rows: slices.Clone(e.rows), slots: slices.Clone(e.slots)}
}

func (r *selectRun) grouping(e *env) ([]*env, error) {
	calls := r.scope.calls
	groups := map[string]*group{}
	var order []*group
	find := func() (*group, error) {
		keys := make([]any, len(r.groups))
		for i, v := range r.groups {
			k, err := v.eval(e)
			if err != nil {
				return nil, err
			}
			keys[i] = k
		}
		k := rowKey(keys)
		g := groups[k]
		if g == nil {
			g = newGroup(e, calls)
			groups[k] = g
			order = append(order, g)
		}
		return g, nil
	}
	err := r.from.run(e, func() error {
		g, err := find()
		if err != nil {
			return err
		}
		for i, a := range calls.aggregates {
			err = g.add(i, a, e)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(order) == 0 && len(r.groups) == 0 {
		for i := range e.rows {
			e.rows[i] = nil
		}
		order = append(order, newGroup(e, calls))
	}
	var envs []*env
	for _, g := range order {
		for i, a := range calls.aggregates {
			g.env.slots[a.slot], err = g.finish(i, a)
			if err != nil {
				return nil, err
			}
		}
		if r.having != nil {
			ok, err := r.having.eval(g.env)
			if err != nil {
				return nil, err
			}
			if ok != true {
				continue
			}
		}
		envs = append(envs, g.env)
	}
	return envs, nil
}

func newGroup(e *env, calls *callSlots) *group {
	n := len(calls.aggregates)
	g := &group{env: e.copy(), held: make([][]sortable, n), seen: make([]map[string]bool, n)}
	for _, a := range calls.aggregates {
		g.accs = append(g.accs, a.make())
	}
	return g
}

// add gives a row to an aggregate.
func (g *group) add(i int, a *aggregate, e *env) error {
	if a.filter != nil {
		ok, err := a.filter.eval(e)
		if err != nil || ok != true {
			return err
		}
	}
	args, err := evalAll(a.args, e)
	if err != nil {
		return err
	}
	if a.unique {
		if g.seen[i] == nil {
			g.seen[i] = map[string]bool{}
		}
		k := rowKey(args)
		if g.seen[i][k] {
			return nil
		}
		g.seen[i][k] = true
	}
	if len(a.orderBy) == 0 {
		return g.accs[i].add(args)
	}
	keys, err := evalAll(a.orderBy, e)
	g.held[i] = append(g.held[i], sortable{row: args, keys: keys})
	return err
}

func (g *group) finish(i int, a *aggregate) (any, error) {
	for _, row := range sortRows(g.held[i], a.keys) {
		err := g.accs[i].add(row)
		if err != nil {
			return nil, err
		}
	}
	return g.accs[i].result(), nil
}

func evalAll(all []value, e *env) ([]any, error) {
	out := make([]any, len(all))
	for i, v := range all {
		x, err := v.eval(e)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// compute sets the slot of a window call in all rows.
func (w *windowCall) compute(envs []*env) error {
	parts := map[string][]int{}
	var names []string
	for i, e := range envs {
		keys, err := evalAll(w.partition, e)
		if err != nil {
			return err
		}
		k := rowKey(keys)
		if parts[k] == nil {
			names = append(names, k)
		}
		parts[k] = append(parts[k], i)
	}
	for _, k := range names {
		err := w.partitioned(envs, parts[k])
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *windowCall) partitioned(envs []*env, part []int) error {
	keys := map[int][]any{}
	for _, i := range part {
		k, err := evalAll(w.orderBy, envs[i])
		if err != nil {
			return err
		}
		keys[i] = k
	}
	slices.SortStableFunc(part, func(a, b int) int { return compareKeys(keys[a], keys[b], w.keys) })
	if w.agg == nil {
		rank, dense := 0, 0
		for n, i := range part {
			if n == 0 || compareKeys(keys[part[n-1]], keys[i], w.keys) != 0 {
				rank = n + 1
				dense++
			}
			k := map[string]int{"row_number": n + 1, "rank": rank, "dense_rank": dense}[w.name]
			envs[i].slots[w.slot] = int64(k)
		}
		return nil
	}
	// An aggregate without ORDER BY is of the whole partition; with it, up to the peers of the row.
	acc := w.agg.make()
	from := 0
	for n, i := range part {
		args, err := evalAll(w.agg.args, envs[i])
		if err == nil {
			err = acc.add(args)
		}
		if err != nil {
			return err
		}
		last := n == len(part)-1
		if last || len(w.keys) > 0 && compareKeys(keys[i], keys[part[n+1]], w.keys) != 0 {
			for ; from <= n; from++ {
				envs[part[from]].slots[w.slot] = acc.result()
			}
		}
	}
	return nil
}
