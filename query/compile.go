package query

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// Compile compiles one SELECT over one of the schemas, found by its name, to a plan. The error
// joins all faults, each with its line and a caret. The plan has not been used yet, so the caller
// may set what SQL cannot say: Plan.Window.OutOfOrder, Lateness, Idle and Retain.
func Compile(text string, schemas ...*record.Schema) (*plan.Plan, error) {
	return Catalog{Sources: schemas}.Compile(text)
}

// CompileAll compiles the SELECTs of a text that has semicolons between them, each as Compile does.
// The error joins the faults of all.
func CompileAll(text string, schemas ...*record.Schema) ([]*plan.Plan, error) {
	return Catalog{Sources: schemas}.CompileAll(text)
}

// CompileAll compiles the SELECTs of a text, as the function CompileAll does.
func (g Catalog) CompileAll(text string) ([]*plan.Plan, error) {
	all, err := selects(text)
	if err != nil {
		return nil, err
	}
	var plans []*plan.Plan
	var faults []error
	for _, q := range all {
		p, err := compileQuery(text, q, g)
		plans, faults = append(plans, p), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return plans, nil
}

// selects parses SELECTs with semicolons between them.
func selects(text string) ([]*syntax.Select, error) {
	statements, err := syntax.Parse(text)
	if err != nil {
		return nil, err
	}
	var all []*syntax.Select
	for _, s := range statements {
		q, ok := s.(*syntax.Select)
		if !ok {
			return nil, syntax.ErrorAt(text, s.Start(), "unexpected statement, expected SELECT; a job of CREATE "+
				"SOURCE, CREATE SINK and INSERT INTO is run by velo run")
		}
		all = append(all, q)
	}
	if len(all) == 0 {
		return nil, syntax.ErrorAt(text, syntax.Pos(len(text)), "unexpected end of the text, expected SELECT")
	}
	return all, nil
}

// compileQuery compiles one SELECT of a text.
func compileQuery(text string, q *syntax.Select, g Catalog) (*plan.Plan, error) {
	c, err := analyse(text, q, g)
	if err != nil {
		return nil, err
	}
	return c.plan(), nil
}

func newCompiler(text string, q *syntax.Select, began *time.Time) *compiler {
	return &compiler{
		text: text, query: q, began: began, used: map[string]bool{}, aggregates: map[string]string{},
		keys: map[string]string{}, computed: map[string]string{}, kinds: map[string]value{},
		fields: map[string]field{},
	}
}

// analyse is compileQuery, but returns the compiler; its plan is valid.
func analyse(text string, q *syntax.Select, g Catalog) (*compiler, error) {
	if g.began == nil {
		g.began = new(time.Time)
	}
	if q.Set != nil {
		return combine(text, q, g)
	}
	c := newCompiler(text, q, g.began)
	if !c.evaluate(g) {
		return nil, errors.Join(c.faults...)
	}
	if sub := q.From.Query; sub != nil {
		source, err := c.subquery(sub, g)
		if err != nil {
			return nil, err
		}
		g.Sources = []*record.Schema{source}
	}
	return c.compiled(g)
}

// compiled compiles the query, and returns the compiler if its plan is valid.
func (c *compiler) compiled(g Catalog) (*compiler, error) {
	c.compile(g)
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	// Validating a plan counts as using it. So one plan is made to be validated, and another to be
	// returned.
	check := *c.plan()
	if err := check.Validate(); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return c, nil
}

// compiler compiles one query.
type compiler struct {
	text   string
	query  *syntax.Select
	source *record.Schema
	// from is the compiler of the query in FROM; nil if FROM has a name.
	from *compiler
	// more are the compilers of the other SELECTs of a set operation, of which from has the first.
	more   []*compiler
	faults []error
	// began is when now() was first asked for, in this query or in one that it consists of.
	began *time.Time

	where  *expr.Expr
	window *plan.Window
	// timeExpr is the time of the window.
	timeExpr syntax.Expr
	// timeOf are the columns that the time of the window is made of.
	timeOf []string
	// keyNames are the names in the plan of the columns to group by.
	keyNames []string
	// keys has the name in the plan of each expression to group by, by its canonical text.
	keys map[string]string
	// aggregates has the same for aggregates.
	aggregates map[string]string
	// sets are the sets of GROUPING SETS, ROLLUP and CUBE; nil if there are none.
	sets []groupingSet
	// kind is what SQL knows of the argument of the aggregate that is bound.
	kind value
	// kinds has what SQL knows of keys and aggregates besides their types, by their names in the
	// plan.
	kinds map[string]value
	// computed has the same for the expressions that aggregates and keys are computed from.
	computed map[string]string
	// plans has what is known of the plan.
	plans plan.Plan
	// used has the names that are taken.
	used map[string]bool
	// scopes are the tables that the query joins, and fields their columns, by the names that
	// resolve has given them.
	scopes []*scope
	fields map[string]field
	// inner is the schema of the groups; nil before they are known.
	inner *record.Schema
	// ranged is the schema of the rows that functions with OVER belong to; nil if there are none.
	ranged *record.Schema
	// overs has the column in ranged of each function with OVER, by its canonical text.
	overs map[string]int
	// items are the items of the SELECT.
	items []item
}

// item is an item of the SELECT; stars have been replaced by columns.
type item struct {
	expr syntax.Expr
	name string
}

// fault notes a fault at a place. The same fault is noted only once.
func (c *compiler) fault(pos syntax.Pos, format string, args ...any) {
	err := syntax.ErrorAt(c.text, pos, format, args...)
	if !slices.ContainsFunc(c.faults, func(other error) bool { return other.Error() == err.Error() }) {
		c.faults = append(c.faults, err)
	}
}

// unqualify removes the name of the stream from the names of its columns, so that the same column
// always has the same name.
func (c *compiler) unqualify(e syntax.Expr) {
	if e == nil {
		return
	}
	if x, ok := e.(*syntax.Ident); ok && !c.resolve(x) && x.Table != "" {
		from := c.sourceName()
		nested := x.Table + "." + x.Name // a field within a field
		_, plain := c.source.Index(x.Name)
		_, dotted := c.source.Index(nested)
		switch {
		case x.Table == from && plain:
		case dotted:
			x.Name = nested
		case x.Table != from:
			c.fault(x.Pos, "there is no %q in FROM, expected %q, and no column %q", x.Table, from, nested)
		}
		x.Table = ""
	}
	for _, at := range append(syntax.Places(e), syntax.OverPlaces(e)...) {
		c.unqualify(*at)
	}
}

func (c *compiler) plan() *plan.Plan {
	p := &plan.Plan{
		Name: c.plans.Name, Source: c.source, Where: c.where, Computed: c.plans.Computed, Keys: c.keyNames,
		Aggregates: c.plans.Aggregates,
		Emit:       c.plans.Emit, Select: c.plans.Select, Having: c.plans.Having, Copies: c.plans.Copies,
		OrderBy: c.plans.OrderBy,
		Sets:    c.plans.Sets, Distinct: c.plans.Distinct, Over: c.plans.Over, Qualify: c.plans.Qualify,
		Limit: c.plans.Limit, Offset: c.plans.Offset, Given: c.plans.Given,
	}
	if c.window != nil {
		w := *c.window
		p.Window = &w
	}
	if c.from != nil {
		p.From = c.from.plan()
	}
	for _, more := range c.more {
		p.FromMore = append(p.FromMore, more.plan())
	}
	return p
}

func (c *compiler) compile(g Catalog) {
	q := c.query
	if !c.names(g) {
		return
	}
	c.distinctOn()
	c.aliases()
	c.rewrite()
	c.namedWindows()
	c.known()
	for i := range c.source.Len() {
		c.used[c.source.Field(i).Name] = true
	}
	joined := c.joinTables()
	if w := q.From.Window; w != nil {
		size := w.Size
		if w.Gap != nil {
			size = w.Gap
		}
		c.unqualify(w.At)
		offset, in := w.Offset, syntax.Expr(nil)
		if isZone(offset) {
			offset, in = nil, offset
		}
		c.bindWindow(w.Pos, string(w.Kind), w.At, w.Slide, size, offset, in)
	}
	c.star()
	c.groupBy()
	if q.Where != nil {
		if where := c.condition(q.Where, "WHERE"); where != nil {
			c.where = c.and(q.Where.Start(), joined, where)
		}
	} else {
		c.where = joined
	}
	if q.Distinct {
		c.distinct()
	}
	c.orderAll()
	if c.passesThrough() {
		c.passThrough()
		return
	}
	// Collect the aggregates, wherever they are, before anything is made of them.
	for _, it := range c.items {
		c.collect(it.expr, it.name)
	}
	for _, e := range []syntax.Expr{q.Having, q.Copies} {
		if e != nil {
			c.collect(e, "")
		}
	}
	if q.Qualify != nil {
		c.collect(q.Qualify, "")
	}
	for _, o := range q.OrderBy {
		if _, ok := c.orderName(o); !ok {
			c.collect(o.Expr, "")
		}
	}
	if len(c.faults) > 0 {
		return
	}
	if q.Emit == syntax.EmitChanges {
		c.plans.Emit = plan.EmitChanges
	}
	inner, err := c.plan().Inner()
	if err != nil {
		c.faults = append(c.faults, fmt.Errorf("query: %w", err))
		return
	}
	c.inner = inner
	c.shape()
}

// names finds the source and the tables of the query, and gives each name in it the name of the
// column that it means. It returns false if there are faults.
func (c *compiler) names(g Catalog) bool {
	q := c.query
	if !c.findSource(g) {
		return false
	}
	if c.source == nil {
		var names []string
		for _, s := range g.Sources {
			names = append(names, s.Name())
		}
		if slices.ContainsFunc(g.Tables, func(t *lookup.Table) bool { return t.Name() == q.From.Name }) {
			c.fault(q.From.Pos, "%q is a table: a query reads a source, and JOIN %s ON ... finds rows of the table",
				q.From.Name, q.From.Name)
			return false
		}
		c.fault(q.From.Pos, "there is no stream %q%s", q.From.Name, nearest(q.From.Name, names))
		return false
	}
	c.openScopes(g.Tables, g.Sources)
	if len(c.faults) > 0 {
		return false
	}
	for _, at := range syntax.Clauses(q) {
		c.unqualify(*at)
	}
	for _, s := range c.scopes {
		c.unqualify(s.join.On)
	}
	return true
}

// passesThrough says whether the query neither groups nor aggregates.
func (c *compiler) passesThrough() bool {
	q := c.query
	if len(q.GroupBy) > 0 || q.Distinct && !c.plans.Distinct || c.window != nil ||
		q.Having != nil && hasAggregate(q.Having) {
		return false
	}
	if slices.ContainsFunc(q.OrderBy, func(o syntax.Order) bool { return o.Expr != nil && hasAggregate(o.Expr) }) &&
		c.ranges() {
		return false
	}
	return !slices.ContainsFunc(c.items, func(it item) bool { return hasAggregate(it.expr) })
}

// passThrough makes the plan of a query that passes records through: SELECT goes over the source.
func (c *compiler) passThrough() {
	q := c.query
	names := c.sourceLeaf
	if c.ranges() {
		if len(c.scopes) > 0 {
			c.fault(c.scopes[0].join.Pos,
				"JOIN and functions with OVER over records in one query are not supported: group "+
					"the records, or join them in a query in FROM")
			return
		}
		if !c.bindOvers(c.source, c.sourceLeaf("OVER")) {
			return
		}
		names = func(what string) leaf { return c.overLeaf(c.sourceLeaf(what)) }
	}
	c.qualify(names("QUALIFY"))
	for _, it := range c.items {
		if x, ok := c.over(it.expr, names("SELECT")); ok {
			c.plans.Select = append(c.plans.Select, expr.Output{Name: it.name, Expr: x})
		}
	}
	if q.Emit == syntax.EmitChanges {
		c.fault(q.Pos, "EMIT CHANGES without GROUP BY and without aggregates: records that pass through do not change")
	}
	if q.Having != nil {
		c.fault(q.Having.Start(), "HAVING without GROUP BY and without aggregates: WHERE is for records")
	}
	c.orderBy(names("ORDER BY"))
	if len(c.plans.Over) > 0 && len(q.OrderBy) == 0 {
		c.plans.OrderBy = orderOf(&c.plans.Over[0])
	}
	if q.Offset != nil && q.Offset.N > 0 {
		c.plans.Offset = uint64(q.Offset.N)
		if len(c.plans.OrderBy) == 0 { // as they come; all of them tie
			c.plans.OrderBy = []plan.Order{{Expr: expr.Bool(true)}}
		}
	}
	if q.Limit != nil {
		n := uint64(q.Limit.N)
		c.plans.Limit = &n
	}
	if len(c.faults) == 0 {
		if err := c.plan().Validate(); err != nil {
			c.faults = append(c.faults, fmt.Errorf("query: %w", err))
		}
	}
}

// within says whether a column is a field within another column of the source, such as a.b within
// a.
func (c *compiler) within(name string) bool {
	for i := range len(name) {
		if name[i] == '.' {
			if _, ok := c.source.Index(name[:i]); ok {
				return true
			}
		}
	}
	return false
}

// groupBy binds the items of GROUP BY: a name of the source or of an item, the number of an item, a
// window, or an expression.
func (c *compiler) groupBy() {
	if c.query.GroupAll {
		for _, it := range c.items {
			if !hasAggregate(it.expr) {
				c.query.GroupBy = append(c.query.GroupBy, it.expr)
			}
		}
	}
	c.groupBySets()
	keyOf := map[string]string{}
	for _, e := range c.query.GroupBy {
		written := e.String()
		switch x := e.(type) {
		case *syntax.Literal:
			n, ok := number(x)
			if !ok || n < 1 || int(n) > len(c.items) {
				c.fault(x.Pos, "GROUP BY %s: expected a name, an expression, or the number of a column of the "+
					"result, 1 to %d; without GROUP BY all records are one group", x, len(c.items))
				continue
			}
			e = c.items[n-1].expr
		case *syntax.Ident:
			if c.isColumn(x.Name) || x.Table != "" || isBound(x.Name) {
				break
			}
			if i := slices.IndexFunc(c.items, func(it item) bool {
				return it.name == x.Name && it.expr.String() != x.String()
			}); i >= 0 {
				e = c.items[i].expr
			}
		}
		if call, ok := e.(*syntax.Call); ok && isWindow(call.Name) {
			c.windowCall(call)
			continue
		}
		if id, ok := e.(*syntax.Ident); ok && isBound(id.Name) {
			continue // with a window they are grouped by anyway; without one, bound reports it
		}
		c.key(e)
		keyOf[written] = c.keys[e.String()]
	}
	c.nameSets(keyOf)
	for _, e := range c.query.GroupBy {
		if id, ok := e.(*syntax.Ident); ok && isBound(id.Name) && c.window == nil {
			c.fault(id.Pos, "%s without a window: GROUP BY tumble(...), or FROM TUMBLE(...)", id.Name)
		}
	}
}

// key adds an expression over the source to the keys of the groups.
func (c *compiler) key(e syntax.Expr) {
	text := e.String()
	if _, ok := c.keys[text]; ok {
		return
	}
	v, ok := c.bind(e, c.sourceLeaf("GROUP BY"))
	if !ok {
		return
	}
	x, ok := c.settled(v, e)
	if !ok {
		return
	}
	name := c.column(x, text, c.aliasOf(text, "key"))
	c.kinds[name] = v
	c.keys[text] = name
	if !slices.Contains(c.keyNames, name) { // different texts may be the same column: x and +x
		c.keyNames = append(c.keyNames, name)
	}
}

// aliasOf is the name of the item that is this expression, or else a name made of base.
func (c *compiler) aliasOf(text, base string) string {
	for _, it := range c.items {
		if it.expr.String() == text && !c.used[it.name] && !isBound(it.name) {
			return it.name
		}
	}
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s%d", base, n); !c.used[name] {
			return name
		}
	}
}

// column is the name of an expression over the source as a column of the plan: the column's own
// name, or the name of a computed column.
func (c *compiler) column(x *expr.Expr, text, name string) string {
	if i, ok := x.IsColumn(); ok {
		return c.source.Field(i).Name
	}
	if name, ok := c.computed[text]; ok {
		return name
	}
	c.used[name] = true
	c.computed[text] = name
	c.plans.Computed = append(c.plans.Computed, expr.Output{Name: name, Expr: x})
	return name
}

// distinct groups by all columns of the result, or asks for rows of groups that are distinct.
func (c *compiler) distinct() {
	grouped := len(c.query.GroupBy) > 0 || c.window != nil || c.query.Having != nil
	for _, it := range c.items {
		grouped = grouped || hasAggregate(it.expr)
	}
	if grouped {
		c.distinctGroups()
		return
	}
	if c.ranges() {
		c.plans.Distinct = true
		c.distinctOrder()
		return
	}
	for _, it := range c.items {
		c.key(it.expr)
	}
}

// distinctGroups leaves out rows that are equal, unless the rows have all that tells groups apart.
func (c *compiler) distinctGroups() {
	selected := map[string]bool{}
	for _, it := range c.items {
		selected[it.expr.String()] = true
	}
	all := c.sets == nil && (c.window == nil || selected[plan.WindowEnd] ||
		selected[plan.WindowStart] && c.window.Kind != plan.Cumulating)
	named := map[string]bool{}
	for text, name := range c.keys {
		named[name] = named[name] || selected[text]
	}
	for _, name := range c.keyNames {
		all = all && named[name]
	}
	c.plans.Distinct = !all
	c.distinctOrder()
}

// distinctOrder reports what rows that are distinct cannot be ordered by.
func (c *compiler) distinctOrder() {
	for _, o := range c.query.OrderBy {
		if _, ok := c.orderName(o); !ok && o.Expr != nil && c.plans.Distinct {
			c.fault(o.Expr.Start(), "SELECT DISTINCT is ordered by what it selects, and %s is not in SELECT", o.Expr)
		}
	}
}

// orderAll replaces ORDER BY ALL by an order for each column of the result.
func (c *compiler) orderAll() {
	var orders []syntax.Order
	for _, o := range c.query.OrderBy {
		if o.Expr != nil {
			orders = append(orders, o)
			continue
		}
		for i := range c.items {
			number := &syntax.Literal{Pos: o.Pos, Kind: syntax.Integer, Text: fmt.Sprint(i + 1)}
			orders = append(orders, syntax.Order{Pos: o.Pos, Expr: number, Desc: o.Desc, Nulls: o.Nulls})
		}
	}
	c.query.OrderBy = orders
}

// known reports functions that do not exist, before anything else is complained of.
func (c *compiler) known() {
	for _, at := range syntax.Clauses(c.query) {
		syntax.Walk(*at, func(e syntax.Expr) {
			x, ok := e.(*syntax.Call)
			if !ok || isAggregate(x) || isWindow(x.Name) || isGrouping(x) {
				return
			}
			plain := *x
			plain.Over = nil
			if _, over := overFunctions[x.Name]; !over && !(x.Over != nil && isAggregate(&plain)) {
				c.unknown(x)
			}
		})
	}
}

// collect adds to the plan the aggregates of an expression over groups. It also finds names that
// are neither grouped by nor in an aggregate.
func (c *compiler) collect(e syntax.Expr, name string) {
	if e == nil {
		return
	}
	text := e.String()
	if _, ok := c.keys[text]; ok {
		return
	}
	switch x := e.(type) {
	case *syntax.Ident:
		if isBound(x.Name) && c.window != nil || c.bareNow(x) {
			return
		}
		if isBound(x.Name) {
			c.fault(x.Pos, "%s without a window: GROUP BY tumble(...), or FROM TUMBLE(...)", x.Name)
			return
		}
		if c.isJoined(x.Name) {
			c.fault(x.Pos, "column %q must be in GROUP BY or in an aggregate", x.Name)
		} else if _, ok := c.sourceColumn(x); ok {
			c.fault(x.Pos, "column %q must be in GROUP BY or in an aggregate", x.Name)
		}
		return
	case *syntax.Call:
		if x.Over != nil {
			for _, at := range append(syntax.Places(x), syntax.OverPlaces(x)...) {
				c.collect(*at, "")
			}
			return
		}
		if isGrouping(x) {
			return // bound when the groups are known
		}
		if isAggregate(x) {
			c.aggregate(x, name)
			return
		}
		if isWindow(x.Name) {
			if c.window == nil {
				c.fault(x.Pos, "%s(...) belongs into GROUP BY; its bounds are %s and %s", x.Name, plan.WindowStart,
					plan.WindowEnd)
			} else {
				c.fault(x.Pos, "%s(...) is no value; its bounds are %s and %s", x.Name, plan.WindowStart,
					plan.WindowEnd)
			}
			return
		}
		if c.unknown(x) { // before its arguments, whose columns would be reported as ungrouped
			return
		}
	}
	for _, sub := range children(e) {
		c.collect(sub, "")
	}
}

// shape makes what is read of the groups: SELECT, HAVING, ORDER BY, LIMIT.
func (c *compiler) shape() {
	q := c.query
	same := len(c.items) == c.inner.Len()
	names := leaf(c.groupLeaf)
	if c.ranges() {
		if !c.bindOvers(c.inner, c.groupLeaf) {
			return
		}
		names, same = c.overLeaf(c.groupLeaf), false
	}
	c.qualify(names)
	for i, it := range c.items {
		x, ok := c.over(it.expr, names)
		if !ok {
			continue
		}
		if column, plain := x.IsColumn(); !same || !plain || column != i || c.inner.Field(i).Name != it.name {
			same = false
		}
		c.plans.Select = append(c.plans.Select, expr.Output{Name: it.name, Expr: x})
	}
	if same {
		c.plans.Select = nil // the groups as they are
	}
	if q.Having != nil {
		if v, ok := c.bind(q.Having, c.groupLeaf); ok {
			c.plans.Having = c.boolean(v, q.Having, "HAVING")
		}
	}
	if q.Copies != nil {
		c.plans.Copies, _ = c.over(q.Copies, c.groupLeaf)
	}
	if q.Emit == syntax.EmitChanges && c.plans.Distinct {
		c.fault(q.Pos, "EMIT CHANGES gives groups one by one as they change: select all that is grouped by, or leave "+
			"out DISTINCT")
	}
	if q.Emit == syntax.EmitChanges && (len(q.OrderBy) > 0 || q.Limit != nil || q.Offset != nil) {
		c.fault(q.Pos, "EMIT CHANGES gives groups one by one as they change: ORDER BY, LIMIT and OFFSET have no "+
			"meaning for them")
	}
	c.orderBy(names)
	if q.Limit != nil {
		n := uint64(q.Limit.N)
		c.plans.Limit = &n
	}
	if q.Offset != nil {
		c.plans.Offset = uint64(q.Offset.N)
	}
}

// qualify binds QUALIFY.
func (c *compiler) qualify(names leaf) {
	e := c.query.Qualify
	if e == nil {
		return
	}
	if len(c.plans.Over) == 0 {
		c.fault(e.Start(), "QUALIFY without a function with OVER: WHERE chooses records, HAVING groups")
		return
	}
	if v, ok := c.bind(e, names); ok {
		c.plans.Qualify = c.boolean(v, e, "QUALIFY")
	}
}

// orderBy makes the order of the plan. leaf binds names that are not columns of SELECT.
func (c *compiler) orderBy(leaf leaf) {
	for _, o := range c.query.OrderBy {
		first := o.Nulls == syntax.NullsFirst || o.Nulls == syntax.NullsDefault && o.Desc
		by := plan.Order{Desc: o.Desc, NullsFirst: first}
		if name, ok := c.orderName(o); ok {
			by.Column = name
		} else {
			if c.orderFault(o) {
				continue
			}
			by.Expr, ok = c.over(o.Expr, leaf)
			if !ok {
				continue
			}
		}
		c.plans.OrderBy = append(c.plans.OrderBy, by)
	}
}

// orderName is the column of the result that an ORDER BY means, by its name, number or expression.
func (c *compiler) orderName(o syntax.Order) (string, bool) {
	if o.Expr == nil {
		return "", false
	}
	switch x := o.Expr.(type) {
	case *syntax.Literal:
		n, ok := number(x)
		if ok && n >= 1 && int(n) <= len(c.items) {
			return c.items[n-1].name, true
		}
	case *syntax.Ident:
		if x.Table == "" {
			for _, it := range c.items {
				if it.name == x.Name {
					return it.name, true
				}
			}
		}
	}
	text := o.Expr.String()
	for _, it := range c.items {
		if it.expr.String() == text {
			return it.name, true
		}
	}
	return "", false
}

// orderFault reports a fault if an ORDER BY is a constant, which orders nothing. Mostly it is a
// number that no column has.
func (c *compiler) orderFault(o syntax.Order) bool {
	x, ok := o.Expr.(*syntax.Literal)
	if !ok {
		return false
	}
	if x.Kind == syntax.Integer {
		c.fault(x.Pos, "there is no column %s in SELECT, which has %d", x.Text, len(c.items))
	} else {
		c.fault(x.Pos, "ORDER BY %s is a constant, expected a column, an expression, or the number of a column "+
			"in SELECT", x)
	}
	return true
}

func isBound(name string) bool { return name == plan.WindowStart || name == plan.WindowEnd }

func isWindow(name string) bool {
	return slices.Contains([]string{"tumble", "hop", "cumulate", "session"}, name)
}

// Columns reads a list of columns in the form of CREATE TABLE: "symbol text, price double precision
// not null". The error says what is not a type, or where the text ends too early.
func Columns(name, text string) (*record.Schema, error) {
	all, err := syntax.Parse("CREATE SOURCE s (" + text + ") WITH (connector = 'file')")
	if err != nil {
		return nil, fmt.Errorf("query: columns %q: %w", text, err)
	}
	create, ok := all[0].(*syntax.CreateSource)
	if !ok || len(all) != 1 {
		return nil, fmt.Errorf("query: columns %q: expected names and types", text)
	}
	var fields []record.Field
	for _, c := range create.Columns {
		t, err := typeNamed(c.Type)
		if err != nil {
			return nil, fmt.Errorf("query: column %q: %w", c.Name, err)
		}
		fields = append(fields, record.Field{Name: c.Name, Type: t, Nullable: !c.NotNull})
	}
	return record.NewSchema(name, fields...)
}
