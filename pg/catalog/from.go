package catalog

import (
	"slices"
)

// A step is a part of FROM that can be run: it sets the rows of its relations in e, and calls yield
// for each combination.
type fromStep struct {
	rels uint64
	run  func(e *env, yield func() error) error
}

// A filter is a condition with the relations that it refers to.
type filter struct {
	x    node
	v    value
	refs uint64
}

// filters compiles a condition into its parts that are joined by AND.
func (s *scope) filters(x node) (all []filter) {
	if x == nil {
		return nil
	}
	if b, ok := x.(*binary); ok && b.op == "and" {
		return append(s.filters(b.l), s.filters(b.r)...)
	}
	before := s.refs
	s.refs = 0
	v := s.condition(x)
	f := filter{x, v, s.refs}
	s.refs |= before
	return []filter{f}
}

// from compiles FROM and WHERE. Conditions are pushed down to the relations that they are about, so
// that joins look at few rows.
func (s *scope) from(items []node, where node) fromStep {
	var tree node
	for _, f := range items {
		if tree == nil {
			tree = f
			continue
		}
		tree = &joinRef{kind: "inner", l: tree, r: f}
	}
	if tree == nil {
		filters := s.filters(where)
		return fromStep{0, func(e *env, yield func() error) error { return pass(e, filters, yield) }}
	}
	t := s.declare(tree)
	all := s.filters(where)
	if len(items) > 2 {
		t = s.reorder(t, len(items), all)
	}
	return s.join(t, all, 0)
}

// reorder puts the n relations of a list with commas into an order in which each is found by those
// before it, if there is one: the list is joined as it stands otherwise, and a client that names
// the relation that connects two others last would have all combinations of them looked at. A list
// with a relation that refers to those before it stays as it is.
func (s *scope) reorder(t *joined, n int, filters []filter) *joined {
	units := make([]*joined, n)
	for i := n - 1; i > 0; i-- {
		units[i], t = t.r, t.l
	}
	units[0] = t
	if slices.ContainsFunc(units, func(j *joined) bool { return !j.alone() }) {
		return chain(units)
	}
	var ordered []*joined
	bound := uint64(0)
	for len(units) > 0 {
		best, most := 0, -1
		for i, u := range units {
			worth := s.worth(u, filters, bound)
			if worth > most {
				best, most = i, worth
			}
		}
		ordered = append(ordered, units[best])
		bound |= units[best].rels
		units = slices.Delete(units, best, best+1)
	}
	return chain(ordered)
}

// alone says that the rows of a join depend on nothing outside of it.
func (j *joined) alone() bool {
	if j.kind == "" {
		return j.fixed != nil
	}
	return j.l.alone() && j.r.alone()
}

// worth is how much it helps to join a relation next: 2 if a filter finds its rows by those that
// are bound, or by constants, 1 if a filter is about it alone, 0 otherwise.
func (s *scope) worth(j *joined, filters []filter, bound uint64) (worth int) {
	for _, f := range filters {
		if f.refs&j.rels == 0 || f.refs&^(bound|j.rels) != 0 {
			continue
		}
		b, ok := f.x.(*binary)
		if ok && b.op == "=" {
			return 2
		}
		worth = 1
	}
	return worth
}

// chain joins relations from left to right.
func chain(units []*joined) *joined {
	t := units[0]
	for _, u := range units[1:] {
		t = &joined{kind: "inner", l: t, r: u, rels: t.rels | u.rels}
	}
	return t
}

// A joined is a join, or a relation, whose relations have been declared in the scope.
type joined struct {
	kind string // inner, left; "" for a relation
	l, r *joined
	on   []filter
	rels uint64
	at   int // of a relation: its number
	scan func(e *env) ([][]any, error)
	// fixed says that the rows are the same in the whole run, so that they can have an index.
	fixed any
}

// declare declares the relations of FROM, from left to right.
func (s *scope) declare(x node) *joined {
	switch x := x.(type) {
	case *joinRef:
		if x.kind == "full" {
			panic(fault(codeUnsupported, x.pos, "FULL JOIN is not supported"))
		}
		l := s.declare(x.l)
		r := s.declare(x.r)
		on := s.filters(x.on)
		on = append(on, s.using(x, l, r)...)
		if x.kind == "right" {
			l, r = r, l
			x.kind = "left"
		}
		return &joined{kind: x.kind, l: l, r: r, on: on, rels: l.rels | r.rels}
	case *tableRef:
		return s.declareTable(x)
	case *subRef:
		p := s.c.query(x.query, s)
		j := s.add(&rel{alias: x.alias, columns: renamed(p.columns, x.columns)})
		j.scan = p.rows
		if !p.outer {
			j.fixed = p
		}
		return j
	case *funcRef:
		return s.declareFunc(x)
	}
	panic(fault(codeUnsupported, -1, "this kind of FROM is not supported"))
}

// maxRelations is how many relations a FROM may have.
const maxRelations = 60

func (s *scope) add(r *rel) *joined {
	if len(s.rels) >= maxRelations {
		panic(fault(codeTooComplex, -1, "FROM has more than %d relations", maxRelations))
	}
	if r.alias != "" && slices.ContainsFunc(s.rels, func(o *rel) bool { return o.alias == r.alias }) {
		panic(fault("42712", -1, "table name %q specified more than once", r.alias))
	}
	if r.hidden == nil {
		r.hidden = make([]bool, len(r.columns))
	}
	s.rels = append(s.rels, r)
	at := len(s.rels) - 1
	return &joined{at: at, rels: 1 << at}
}

func (s *scope) declareTable(x *tableRef) *joined {
	alias := x.alias
	if alias == "" {
		alias = x.name.Name
	}
	if x.name.Schema == "" {
		for at := s; at != nil; at = at.parent {
			w := at.ctes[x.name.Name]
			if w == nil {
				continue
			}
			j := s.add(&rel{alias: alias, columns: renamed(w.columns, x.columns)})
			j.scan, j.fixed = w.plan.rows, w
			return j
		}
	}
	full := x.name.String()
	if x.name.Schema == "" {
		full = "pg_catalog." + x.name.Name
	}
	r := relations()[full]
	if r == nil {
		panic(fault(codeUndefinedRel, x.pos, "relation %q does not exist", x.name.String()))
	}
	columns := renamed(r.columns, x.columns)
	columns = append(
		columns,
		Column{Name: "tableoid", Type: oidOID, Mod: -1},
		Column{Name: "ctid", Type: oidText, Mod: -1},
	)
	hidden := make([]bool, len(columns))
	hidden[len(r.columns)], hidden[len(r.columns)+1] = true, true
	schema := x.name.Schema
	if schema == "" {
		schema = "pg_catalog"
	}
	if x.alias != "" {
		schema = ""
	}
	j := s.add(&rel{alias: alias, schema: schema, columns: columns, hidden: hidden})
	j.fixed = r
	j.scan = func(e *env) ([][]any, error) {
		rows, ok := e.run.cache[r]
		if ok {
			return rows, nil
		}
		for _, row := range e.run.db.rowsOf(r) {
			rows = append(rows, append(row[:len(row):len(row)], r.oid, "(0,0)"))
		}
		e.run.cache[r] = rows
		return rows, nil
	}
	return j
}

func (s *scope) declareFunc(x *funcRef) *joined {
	v := s.set(x.call)
	columns := v.cols
	if columns == nil {
		columns = []Column{{Name: x.alias, Type: v.typ, Mod: -1}}
	}
	columns = renamed(columns, x.columns)
	if x.ordinality {
		columns = append(columns, Column{Name: "ordinality", Type: oidInt8, Mod: -1})
		columns = renamed(columns, x.columns)
	}
	composite := v.cols != nil
	j := s.add(&rel{alias: x.alias, columns: columns, whole: !composite})
	j.scan = func(e *env) ([][]any, error) {
		all, err := v.set(e)
		if err != nil {
			return nil, err
		}
		rows := make([][]any, len(all))
		for i, one := range all {
			if r, ok := one.(record); ok && composite {
				rows[i] = slices.Clone(r.fields)
			} else {
				rows[i] = []any{one}
			}
			if x.ordinality {
				rows[i] = append(rows[i], int64(i+1))
			}
		}
		return rows, nil
	}
	return j
}

// using makes the conditions of USING and NATURAL, and hides the columns on the right.
func (s *scope) using(x *joinRef, l, r *joined) (all []filter) {
	names := x.using
	if x.natural {
		for i, right := range s.rels {
			if r.rels&(1<<i) == 0 {
				continue
			}
			for k, c := range right.columns {
				if _, _, ok := s.findIn(l.rels, c.Name); ok && !right.hidden[k] {
					names = append(names, c.Name)
				}
			}
		}
	}
	for _, n := range names {
		li, lc, ok1 := s.findIn(l.rels, n)
		ri, rc, ok2 := s.findIn(r.rels, n)
		if !ok1 || !ok2 {
			panic(fault(codeUndefinedName, x.pos, "column %q specified in USING clause does not exist", n))
		}
		s.rels[ri].hidden[rc] = true
		a := value{typ: s.rels[li].columns[lc].Type, eval: at(li, lc)}
		b := value{typ: s.rels[ri].columns[rc].Type, eval: at(ri, rc)}
		all = append(all, filter{v: s.compare("=", a, b, x.pos), refs: 1<<li | 1<<ri})
	}
	return all
}

func at(rel, column int) func(e *env) (any, error) {
	return func(e *env) (any, error) {
		if e.rows[rel] == nil {
			return nil, nil
		}
		return e.rows[rel][column], nil
	}
}

func (s *scope) findIn(rels uint64, name string) (rel, column int, ok bool) {
	for i, r := range s.rels {
		if rels&(1<<i) == 0 {
			continue
		}
		for k, c := range r.columns {
			if c.Name == name && !r.hidden[k] {
				return i, k, true
			}
		}
	}
	return 0, 0, false
}

// join compiles a join with the filters that apply to it. bound are the relations that have their
// rows already when it runs.
func (s *scope) join(j *joined, filters []filter, bound uint64) fromStep {
	if j.kind == "" {
		return s.scan(j, filters, bound)
	}
	down, here := within(filters, bound|j.l.rels)
	if j.kind == "left" {
		l := s.join(j.l, down, bound)
		r := s.join(j.r, j.on, bound|j.l.rels)
		return fromStep{j.rels, func(e *env, yield func() error) error {
			return l.run(e, func() error {
				found := false
				err := r.run(e, func() error {
					found = true
					return pass(e, here, yield)
				})
				if err != nil || found {
					return err
				}
				for i := range s.rels {
					if j.r.rels&(1<<i) != 0 {
						e.rows[i] = nil
					}
				}
				return pass(e, here, yield)
			})
		}}
	}
	on, rest := within(j.on, bound|j.l.rels)
	l := s.join(j.l, append(down, on...), bound)
	r := s.join(j.r, append(here, rest...), bound|j.l.rels)
	return fromStep{j.rels, func(e *env, yield func() error) error {
		return l.run(e, func() error { return r.run(e, yield) })
	}}
}

// within divides filters into those that refer to nothing but these relations, and the others.
func within(filters []filter, rels uint64) (in, out []filter) {
	for _, f := range filters {
		if f.refs&^rels == 0 {
			in = append(in, f)
		} else {
			out = append(out, f)
		}
	}
	return in, out
}

// pass calls yield if all filters are true.
func pass(e *env, filters []filter, yield func() error) error {
	for _, f := range filters {
		v, err := f.v.eval(e)
		if err != nil {
			return err
		}
		if v != true {
			return nil
		}
	}
	return yield()
}

type indexKey struct {
	of     any
	column int
}

// scan compiles the rows of one relation. A filter that a column equals something from the
// relations before is looked up in an index.
func (s *scope) scan(j *joined, filters []filter, bound uint64) fromStep {
	column, key, rest := s.lookup(j, filters, bound)
	return fromStep{j.rels, func(e *env, yield func() error) error {
		rows, err := j.scan(e)
		if err != nil {
			return err
		}
		if key.eval != nil && len(rows) > 8 {
			k, err := key.eval(e)
			if err != nil {
				return err
			}
			rows = indexed(e.run, indexKey{j.fixed, column}, rows, k)
		} else if key.eval != nil {
			return s.each(e, j, rows, filters, yield)
		}
		return s.each(e, j, rows, rest, yield)
	}}
}

func (s *scope) each(e *env, j *joined, rows [][]any, filters []filter, yield func() error) error {
	for _, r := range rows {
		err := e.run.step()
		if err != nil {
			return err
		}
		e.rows[j.at] = r
		err = pass(e, filters, yield)
		if err != nil {
			return err
		}
	}
	return nil
}

// lookup finds a filter column = expression that an index can answer.
func (s *scope) lookup(j *joined, filters []filter, bound uint64) (column int, key value, rest []filter) {
	if j.fixed == nil {
		return 0, value{}, filters
	}
	for i, f := range filters {
		b, ok := f.x.(*binary)
		if !ok || b.op != "=" {
			continue
		}
		for _, side := range [][2]node{{b.l, b.r}, {b.r, b.l}} {
			c, ok := side[0].(*columnRef)
			if !ok {
				continue
			}
			rel, col, ok := s.local(c)
			if !ok || rel != j.at {
				continue
			}
			before := s.refs
			s.refs = 0
			other := s.expr(side[1])
			refs := s.refs
			s.refs = before
			typ := s.rels[rel].columns[col].Type
			if other.lit != nil || other.par != nil {
				other = s.coerce(other, typ, b.pos)
			}
			if refs&^bound != 0 || !indexable(typ, other.typ) {
				continue
			}
			rest := slices.Delete(slices.Clone(filters), i, i+1)
			return col, other, rest
		}
	}
	return 0, value{}, filters
}

// indexable says that values of both types are equal if and only if they are the same Go values.
func indexable(a, b uint32) bool { return isInteger(a) && isInteger(b) || TextLike(a) && TextLike(b) }

// indexed are the rows whose column has a value.
func indexed(r *runtime, key indexKey, rows [][]any, v any) [][]any {
	if v == nil {
		return nil
	}
	if r.indexes == nil {
		r.indexes = map[indexKey]map[any][][]any{}
	}
	m := r.indexes[key]
	if m == nil {
		m = map[any][][]any{}
		for _, row := range rows {
			if k := row[key.column]; k != nil {
				m[k] = append(m[k], row)
			}
		}
		r.indexes[key] = m
	}
	return m[v]
}

// local finds a column in this scope only, and does not count as a reference.
func (s *scope) local(c *columnRef) (rel, column int, ok bool) {
	name := c.parts[len(c.parts)-1]
	found := 0
	for i, r := range s.rels {
		if len(c.parts) > 1 && r.alias != c.parts[len(c.parts)-2] {
			continue
		}
		for k, col := range r.columns {
			if col.Name == name && !r.hidden[k] {
				rel, column = i, k
				found++
			}
		}
	}
	return rel, column, found == 1
}
