package catalog

import (
	"context"
	goruntime "runtime"
	"slices"
)

// A Query is a SELECT over the catalog that can be run.
type Query struct {
	Columns    []Column
	Parameters []uint32
	plan       *plan
	db         *Database
}

// Limits of a statement. They bound joins of everything with everything.
const (
	maxWork   = 5_000_000 // rows that it looks at
	maxBytes  = 64 << 20  // about what its rows take, also those that a subquery or a group needs
	maxText   = 1 << 20   // bytes of a text, or elements of an array, that an expression makes
	heavyWork = 20_000    // from here on it needs a place in Database.Heavy

	// yieldWork has a bit less than each rows after which a statement gives way. The runners of
	// engines do so after each turn, which takes some tens of microseconds: they would get one turn
	// for each 10 ms of a statement that does not (BenchmarkBeside).
	yieldWork = 1<<7 - 1
)

// A runtime is what a run of a statement has for itself.
type runtime struct {
	ctx     context.Context
	db      *Database
	args    []any
	work    int
	bytes   int
	heavy   bool            // it has a place in Database.Heavy
	cache   map[any][][]any // rows of relations and of subqueries that depend on nothing outside
	indexes map[indexKey]map[any][][]any
}

// step counts a row that is looked at.
func (r *runtime) step() error {
	r.work++
	if r.work == heavyWork && r.db.Heavy != nil {
		select {
		case r.db.Heavy <- struct{}{}:
			r.heavy = true
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	if r.work > maxWork {
		return fault(codeTooComplex, -1, "the statement looks at more than %d rows of the catalog", maxWork)
	}
	if r.work&yieldWork == 0 {
		goruntime.Gosched()
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
	}
	return nil
}

// What a row takes beside its texts, and what each of its values takes.
const (
	rowBytes   = 64
	valueBytes = 16
)

// keep says whether another row may be kept.
func (r *runtime) keep(row []any) error {
	r.bytes += rowBytes + valueBytes*len(row)
	for _, v := range row {
		switch v := v.(type) {
		case string:
			r.bytes += len(v)
		case []any:
			r.bytes += valueBytes * len(v)
		}
	}
	if r.bytes > maxBytes {
		return fault(codeTooComplex, -1, "the rows of the statement take more than %d MiB", maxBytes>>20)
	}
	return nil
}

// fits says whether an expression may make a text or an array of a size.
func fits(n int) error {
	if n > maxText {
		return fault(
			codeTooComplex,
			-1,
			"an expression makes a text of more than %d bytes, or as many elements",
			maxText,
		)
	}
	return nil
}

// An env is where an expression finds its values: the current rows of the relations of a query.
type env struct {
	run    *runtime
	parent *env
	rows   [][]any // by relation
	slots  []any   // values of aggregates, windows and functions that give sets
}

// A value is a compiled expression.
type value struct {
	typ  uint32
	eval func(e *env) (any, error)
	lit  *constant  // the constant that it is, if it is one of unknown type
	cols []Column   // of a composite value
	par  *parameter // a parameter whose type is not known yet
}

// A scope is what names mean in a query.
type scope struct {
	c      *compiler
	parent *scope
	rels   []*rel
	ctes   map[string]*ctePlan
	refs   uint64 // relations that have been referred to since it was last cleared
	outer  bool   // something outside of this scope was referred to
	// virtual scopes have names of WITH only, and no rows.
	virtual bool
	calls   *callSlots
	alias   map[string]value // output columns, for ORDER BY
}

// A rel is a relation of a query.
type rel struct {
	alias   string
	schema  string
	columns []Column
	hidden  []bool // columns that * leaves out: the columns of USING on the right
	whole   bool   // a function in FROM whose alias is a column, too
}

type ctePlan struct {
	columns []Column
	plan    *plan
}

type compiler struct {
	db     *Database
	params []uint32 // by number, 0 if not known
}

// Compile finds what the names of a statement mean. types are the types of its parameters, as far
// as they are known.
func Compile(s *Statement, db *Database, types []uint32) (q *Query, err error) {
	db.prepareOIDs()
	c := &compiler{db: db, params: slices.Clone(types)}
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		e, ok := r.(*Error)
		if !ok {
			panic(r)
		}
		q, err = nil, e
	}()
	p := c.query(s.query, nil)
	for i, t := range c.params {
		if t == 0 || t == oidUnknown {
			c.params[i] = oidText
		}
	}
	for i := range p.columns {
		if p.columns[i].Type == oidUnknown {
			p.columns[i].Type = oidText
		}
	}
	return &Query{Columns: p.columns, Parameters: c.params, plan: p, db: db}, nil
}

// Text writes a value of a result.
func (q *Query) Text(v any, oid uint32) string { return q.db.Text(v, oid) }

// Run gives the rows. Values of parameters are nil, bool, int64, float64, string, time.Time or
// slices of them.
func (q *Query) Run(ctx context.Context, args []any) ([][]any, error) {
	r := &runtime{ctx: ctx, db: q.db, args: args, cache: map[any][][]any{}}
	defer func() {
		if r.heavy {
			<-q.db.Heavy
		}
	}()
	return q.plan.run(&env{run: r})
}

// A plan is a compiled query.
type plan struct {
	columns []Column
	run     func(outer *env) ([][]any, error)
	outer   bool // it refers to rows outside
}

// rows runs a plan, once in a run if it depends on nothing outside.
func (p *plan) rows(e *env) ([][]any, error) {
	if p.outer {
		return p.run(e)
	}
	rows, ok := e.run.cache[p]
	if ok {
		return rows, nil
	}
	rows, err := p.run(e)
	if err == nil {
		e.run.cache[p] = rows
	}
	return rows, err
}

// query compiles a query with its WITH, ORDER BY and LIMIT.
func (c *compiler) query(q *query, parent *scope) *plan {
	base := &scope{c: c, parent: parent, ctes: map[string]*ctePlan{}, virtual: true}
	for _, w := range q.with {
		p := c.query(w.query, base)
		if p.outer {
			panic(fault(codeUnsupported, -1, "WITH %s cannot refer to what is outside of it", w.name))
		}
		columns := renamed(p.columns, w.columns)
		base.ctes[w.name] = &ctePlan{columns, p}
	}
	p := c.body(q, base)
	p.outer = p.outer || base.outer
	if q.limit == nil && q.offset == nil {
		return p
	}
	limit := c.count(q.limit, base)
	offset := c.count(q.offset, base)
	run := p.run
	p.run = func(e *env) ([][]any, error) {
		rows, err := run(e)
		if err != nil {
			return nil, err
		}
		from, err := offset(e)
		if err != nil {
			return nil, err
		}
		rows = rows[min(max(from, 0), len(rows)):]
		most, err := limit(e)
		if err != nil {
			return nil, err
		}
		if most >= 0 {
			rows = rows[:min(most, len(rows))]
		}
		return rows, nil
	}
	return p
}

// count compiles LIMIT and OFFSET; -1 is none.
func (c *compiler) count(x node, s *scope) func(e *env) (int, error) {
	if x == nil {
		return func(*env) (int, error) { return -1, nil }
	}
	v := s.coerce(s.expr(x), oidInt8, -1)
	return func(e *env) (int, error) {
		n, err := v.eval(e)
		if err != nil || n == nil {
			return -1, err
		}
		k, ok := n.(int64)
		if !ok || k < 0 {
			return 0, fault("2201W", -1, "LIMIT and OFFSET must not be negative")
		}
		return int(min(k, 1<<30)), nil
	}
}

func renamed(columns []Column, names []string) []Column {
	columns = slices.Clone(columns)
	for i, n := range names {
		if i < len(columns) {
			columns[i].Name = n
		}
	}
	return columns
}

func (c *compiler) body(q *query, base *scope) *plan {
	switch b := q.body.(type) {
	case *core:
		return c.core(b, q.orderBy, base)
	case *query:
		return c.ordered(c.query(b, base), q.orderBy, base)
	case *values:
		return c.ordered(c.values(b, base), q.orderBy, base)
	case *setOp:
		return c.ordered(c.setOp(b, base), q.orderBy, base)
	}
	panic(fault(codeUnsupported, -1, "this kind of query is not supported"))
}

// ordered sorts the rows of a plan by its output columns.
func (c *compiler) ordered(p *plan, keys []sortKey, base *scope) *plan {
	if len(keys) == 0 {
		return p
	}
	s := &scope{c: c, parent: base}
	s.add(&rel{columns: p.columns})
	var values []value
	for _, k := range keys {
		if n, ok := ordinal(k.x); ok {
			if n < 1 || n > len(p.columns) {
				panic(fault("42P10", -1, "ORDER BY position %d is not in select list", n))
			}
			values = append(
				values,
				value{typ: p.columns[n-1].Type, eval: func(e *env) (any, error) { return e.rows[0][n-1], nil }},
			)
			continue
		}
		values = append(values, s.expr(k.x))
	}
	run := p.run
	return &plan{columns: p.columns, outer: p.outer || s.outer, run: func(outer *env) ([][]any, error) {
		rows, err := run(outer)
		if err != nil {
			return nil, err
		}
		sorted := make([]sortable, len(rows))
		for i, r := range rows {
			e := &env{run: outer.run, parent: outer, rows: [][]any{r}}
			sorted[i].row = r
			for _, v := range values {
				k, err := v.eval(e)
				if err != nil {
					return nil, err
				}
				sorted[i].keys = append(sorted[i].keys, k)
			}
		}
		return sortRows(sorted, keys), nil
	}}
}

// ordinal is the number of an output column.
func ordinal(x node) (int, bool) {
	k, ok := x.(*constant)
	if !ok || k.typ != oidInt4 {
		return 0, false
	}
	return int(k.v.(int64)), true
}

type sortable struct {
	row, keys []any
}

func sortRows(all []sortable, keys []sortKey) [][]any {
	slices.SortStableFunc(all, func(a, b sortable) int { return compareKeys(a.keys, b.keys, keys) })
	rows := make([][]any, len(all))
	for i, s := range all {
		rows[i] = s.row
	}
	return rows
}

func compareKeys(a, b []any, keys []sortKey) int {
	for i, k := range keys {
		x, y := a[i], b[i]
		n := 0
		switch {
		case x == nil && y == nil:
		case x == nil, y == nil:
			n = 1
			if (x == nil) == k.nullsFirst {
				n = -1
			}
		default:
			n = order(x, y)
			if k.desc {
				n = -n
			}
		}
		if n != 0 {
			return n
		}
	}
	return 0
}

func (c *compiler) values(v *values, base *scope) *plan {
	s := &scope{c: c, parent: base}
	var columns []Column
	var all [][]value
	for _, r := range v.rows {
		var row []value
		for i, x := range r {
			val := s.expr(x)
			row = append(row, val)
			if len(all) == 0 {
				columns = append(columns, Column{Name: "column" + itoa(i+1), Type: val.typ, Mod: -1})
			} else if i < len(columns) {
				columns[i].Type = common(columns[i].Type, val.typ)
			}
		}
		if len(row) != len(columns) {
			panic(fault(codeSyntax, -1, "VALUES lists must all be the same length"))
		}
		all = append(all, row)
	}
	for _, row := range all {
		for i := range row {
			row[i] = s.coerce(row[i], columns[i].Type, -1)
		}
	}
	return &plan{columns: columns, outer: s.outer, run: func(outer *env) ([][]any, error) {
		e := &env{run: outer.run, parent: outer}
		rows := make([][]any, len(all))
		for i, r := range all {
			for _, v := range r {
				x, err := v.eval(e)
				if err != nil {
					return nil, err
				}
				rows[i] = append(rows[i], x)
			}
		}
		return rows, nil
	}}
}

func (c *compiler) operand(x node, base *scope) *plan {
	switch b := x.(type) {
	case *core:
		return c.core(b, nil, base)
	case *query:
		return c.query(b, base)
	case *values:
		return c.values(b, base)
	case *setOp:
		return c.setOp(b, base)
	}
	panic(fault(codeUnsupported, -1, "this kind of query is not supported"))
}

func (c *compiler) setOp(o *setOp, base *scope) *plan {
	l, r := c.operand(o.l, base), c.operand(o.r, base)
	if len(l.columns) != len(r.columns) {
		panic(fault(codeSyntax, o.pos, "each %s query must have the same number of columns", upper(o.op)))
	}
	columns := slices.Clone(l.columns)
	for i := range columns {
		columns[i].Type = common(l.columns[i].Type, r.columns[i].Type)
	}
	return &plan{columns: columns, outer: l.outer || r.outer, run: func(e *env) ([][]any, error) {
		a, err := l.run(e)
		if err != nil {
			return nil, err
		}
		b, err := r.run(e)
		if err != nil {
			return nil, err
		}
		return combine(o, a, b), nil
	}}
}

// combine is UNION, INTERSECT or EXCEPT of rows.
func combine(o *setOp, a, b [][]any) [][]any {
	if o.op == "union" {
		all := slices.Concat(a, b)
		if o.all {
			return all
		}
		return distinctRows(all)
	}
	count := map[string]int{}
	for _, r := range b {
		count[rowKey(r)]++
	}
	var rows [][]any
	for _, r := range a {
		k := rowKey(r)
		in := count[k] > 0
		if in && o.all {
			count[k]--
		}
		if in == (o.op == "intersect") {
			rows = append(rows, r)
		}
	}
	if o.all {
		return rows
	}
	return distinctRows(rows)
}

func distinctRows(all [][]any) (rows [][]any) {
	seen := map[string]bool{}
	for _, r := range all {
		k := rowKey(r)
		if !seen[k] {
			seen[k] = true
			rows = append(rows, r)
		}
	}
	return rows
}
