package query

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// A set operation becomes one plan over the results of several. Each SELECT, an arm, is a plan of
// its own over the source; the plan above them reads the rows of all as UNION ALL would give them.
// If the operation is another one, the rows have the number of their arm in a column, and the plan
// above groups them by all other columns: a row is in the result if the numbers of its copies in
// each arm say so. With copies l on the left and r on the right,
//
//	UNION ALL      l + r             UNION      one if l + r > 0
//	INTERSECT ALL  least(l, r)       INTERSECT  one if l > 0 and r > 0
//	EXCEPT ALL     greatest(l-r, 0)  EXCEPT     one if l > 0 and r = 0
//
// If the outermost operation has ALL, the result has as many copies of each group's row: see
// plan.Plan.Copies.

const (
	// nameOfArms is the name of the rows of all arms, in plans and messages.
	nameOfArms = "selects"

	armReads = "each SELECT of a set operation reads the source itself: write what the inner query does in that SELECT"
)

// leaves are the compilers whose plans readers bring records for, in the order of Plan.Leaves.
func (c *compiler) leaves() (all []*compiler) {
	if c.from == nil {
		return []*compiler{c}
	}
	all = c.from.leaves()
	for _, more := range c.more {
		all = append(all, more.leaves()...)
	}
	return all
}

// combine is analyse of a query with a set operation.
func combine(text string, q *syntax.Select, g Catalog) (*compiler, error) {
	c := newCompiler(text, q, g.began)
	c.checkArms(q, q.Set)
	writeOut(q.Set)
	leaves := q.Leaves()
	for _, leaf := range leaves {
		if leaf.From.Rows != nil {
			c.fault(leaf.From.Pos, "VALUES in FROM, or with an ORDER BY or a LIMIT, is not supported in a set "+
				"operation: write the rows alone, VALUES (1, 2), (3, 4)")
		}
	}
	if n := len(leaves); n > syntax.MaxSelects {
		c.fault(q.Pos, "a set operation of %d SELECTs and rows of VALUES, at most %d are allowed: more rows are a file",
			n, syntax.MaxSelects)
	}
	for _, leaf := range leaves[1:] {
		if first := leaves[0].From.Name; leaf.From.Query == nil && leaf.From.Name != first {
			c.fault(leaf.From.Pos, "this SELECT is from %s and the first from %s: set operations are over one source",
				quotedName(leaf.From.Name), quotedName(first))
		}
	}
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	var arms []*compiler
	for _, leaf := range leaves {
		arm, err := analyse(text, leaf, g)
		if err != nil {
			c.faults = append(c.faults, err)
		}
		arms = append(arms, arm)
	}
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	counted := q.Set.All && !onlyAll(q.Set) || !q.Set.All && !onlyUnions(q.Set)
	source, ok := c.fit(q.Set, arms, counted)
	if !ok {
		return nil, errors.Join(c.faults...)
	}
	c.from, c.more = arms[0], arms[1:]
	c.query = outer(q, source, arms[0].plans.Select, counted)
	g.Sources = []*record.Schema{source}
	return c.compiled(g)
}

// writeOut writes each VALUES that an operation combines as UNION ALL of SELECTs without FROM.
func writeOut(set *syntax.SetOperation) {
	for _, side := range []**syntax.Select{&set.Left, &set.Right} {
		switch q := *side; {
		case q.Set != nil:
			writeOut(q.Set)
		case q.OnlyRows():
			*side = nil
			for _, row := range q.From.Rows {
				one := &syntax.Select{Pos: q.Pos, From: syntax.Table{Pos: q.From.Pos}}
				for i, x := range row {
					name := valuesColumn(i)
					if i < len(q.From.Columns) {
						name = q.From.Columns[i]
					}
					one.Items = append(one.Items, syntax.Item{Pos: x.Start(), Expr: x, Alias: name})
				}
				if *side != nil {
					both := &syntax.SetOperation{Pos: q.Pos, Op: "UNION", All: true, Left: *side, Right: one}
					one = &syntax.Select{Pos: q.Pos, Set: both}
				}
				*side = one
			}
		}
	}
}

// quotedName is the name of a source in a message.
func quotedName(name string) string {
	if name == "" {
		return "nothing"
	}
	return strconv.Quote(name)
}

// checkArms reports what cannot be combined.
func (c *compiler) checkArms(top *syntax.Select, set *syntax.SetOperation) {
	for _, side := range []*syntax.Select{set.Left, set.Right} {
		switch {
		case side.Emit == syntax.EmitChanges:
			c.fault(side.Pos, "EMIT CHANGES in a set operation: a row that changes would be counted again; "+
				"leave it out")
		case side.Set != nil && (len(side.OrderBy) > 0 || side.Limit != nil || side.Offset != nil):
			c.fault(side.Pos, "ORDER BY, LIMIT and OFFSET of a set operation within another are not supported: "+
				"expected them for one SELECT, or at the end for all")
		case side.Set != nil:
			c.checkArms(top, side.Set)
		case side.From.Query != nil:
			c.fault(side.From.Pos, armReads)
		}
	}
	if top.Set == set && len(top.Subqueries()) > 0 {
		for _, o := range top.OrderBy {
			if o.Expr != nil && contains(o.Expr, isSubquery) {
				c.fault(o.Pos, "a subquery in the ORDER BY of a set operation is not supported")
			}
		}
	}
	if top.Set == set && top.Emit == syntax.EmitChanges {
		c.fault(top.Pos, "EMIT CHANGES of a set operation is not supported: its rows do not change")
	}
}

// onlyUnions says whether an operation is made of UNION and UNION ALL.
func onlyUnions(set *syntax.SetOperation) bool {
	return set == nil || set.Op == "UNION" && onlyUnions(set.Left.Set) && onlyUnions(set.Right.Set)
}

// onlyAll says whether an operation is made of UNION ALL.
func onlyAll(set *syntax.SetOperation) bool {
	return set == nil || set.Op == "UNION" && set.All && onlyAll(set.Left.Set) && onlyAll(set.Right.Set)
}

// fit gives the results of all arms the same types, and returns the schema of their rows. If
// counted is set, the rows get the number of their arm as the last column.
func (c *compiler) fit(set *syntax.SetOperation, arms []*compiler, counted bool) (*record.Schema, bool) {
	for _, arm := range arms {
		arm.selectAll()
	}
	first := arms[0]
	for _, arm := range arms[1:] {
		if n, want := len(arm.plans.Select), len(first.plans.Select); n != want {
			c.fault(arm.query.Pos, "columns of this SELECT: %d, of the first: %d; those of a set operation "+
				"have equally many", n, want)
			return nil, false
		}
	}
	var fields []record.Field
	taken := map[string]bool{}
	for i, o := range first.plans.Select {
		name := o.Name
		for isBound(name) || taken[name] {
			name = "_" + name // window_start would be taken for the window of the plan above
		}
		taken[name] = true
		t, ok := c.fitColumn(set, arms, i)
		if !ok {
			return nil, false
		}
		fields = append(fields, record.Field{Name: name, Type: t, Nullable: true})
	}
	if counted {
		name := "arm"
		for taken[name] {
			name = "_" + name
		}
		fields = append(fields, record.Field{Name: name, Type: record.Int64, Nullable: true})
		for i, arm := range arms {
			arm.plans.Select = append(arm.plans.Select, expr.Output{
				Name: arm.free("arm"),
				Expr: expr.Int(record.Int64, int64(i)),
			})
		}
	}
	for _, arm := range arms {
		if err := arm.plan().Validate(); err != nil {
			c.faults = append(c.faults, fmt.Errorf("query: %w", err))
			return nil, false
		}
	}
	source, err := record.NewSchema(nameOfArms, fields...)
	if err != nil {
		c.fault(set.Pos, "the columns of the set operation: %s", reason(err))
	}
	return source, err == nil
}

// selectAll says what is selected also if that is the groups as they are.
func (c *compiler) selectAll() {
	if c.plans.Select != nil || c.inner == nil {
		return
	}
	for i := range c.inner.Len() {
		c.plans.Select = append(c.plans.Select,
			expr.Output{Name: c.inner.Field(i).Name, Expr: expr.Column(c.inner, i)})
	}
}

// fitColumn gives a column of all arms the same type.
func (c *compiler) fitColumn(set *syntax.SetOperation, arms []*compiler, i int) (record.Type, bool) {
	var all []syntax.Expr
	var values []value
	for _, arm := range arms {
		e := arm.items[i].expr
		lit, is := e.(*syntax.Literal)
		all = append(all, e)
		values = append(values, value{
			e:    arm.plans.Select[i].Expr,
			open: is && (lit.Kind == syntax.String || lit.Kind == syntax.Null),
		})
	}
	args, ok := c.unify(set.Pos, all, values)
	if !ok {
		return 0, false
	}
	t := args[0].Type()
	if isDecimal(t) { // constants have as many digits as they were written with
		t = decimalOf(t.IsWide(), scaleOf(args[0]))
	}
	for n, arm := range arms {
		arm.plans.Select[i].Expr = c.to(args[n], t)
	}
	return t, true
}

// outer is the query over the rows of all arms.
func outer(q *syntax.Select, source *record.Schema, named []expr.Output, counted bool) *syntax.Select {
	o := &syntax.Select{
		Pos: q.Pos, From: syntax.Table{Pos: q.Pos, Name: source.Name()}, OrderBy: q.OrderBy, Limit: q.Limit,
		Offset: q.Offset, Emit: q.Emit,
	}
	columns := source.Len()
	if counted {
		columns--
	}
	for i, name := range namesOf(source)[:columns] {
		column := &syntax.Ident{Pos: q.Pos, Name: name}
		o.Items = append(o.Items, syntax.Item{Pos: q.Pos, Expr: column, Alias: named[i].Name})
		if counted || !q.Set.All {
			o.GroupBy = append(o.GroupBy, column)
		}
	}
	if counted {
		arm := 0
		n := copies(q, source.Field(columns).Name, &arm)
		o.Having = &syntax.Binary{Pos: q.Set.Pos, Op: ">", X: n, Y: wholeAt(q.Set.Pos, "0")}
		if q.Set.All {
			o.Copies = syntax.CloneExpr(n)
		}
	}
	return o
}

func wholeAt(pos syntax.Pos, digits string) syntax.Expr {
	return &syntax.Literal{Pos: pos, Kind: syntax.Integer, Text: digits}
}

// copies is how many copies of a row a query has. next is the number of the arm that comes next.
func copies(q *syntax.Select, column string, next *int) syntax.Expr {
	pos := q.Pos
	call := func(name string, args ...syntax.Expr) syntax.Expr {
		return &syntax.Call{Pos: pos, Name: name, Args: args}
	}
	binary := func(op string, x, y syntax.Expr) syntax.Expr {
		return &syntax.Binary{Pos: pos, Op: op, X: x, Y: y}
	}
	if q.Set == nil {
		n := wholeAt(pos, fmt.Sprint(*next))
		*next++
		return &syntax.Call{
			Pos: pos, Name: "count", Star: true, Filter: binary("=", &syntax.Ident{Pos: pos, Name: column}, n),
		}
	}
	left := copies(q.Set.Left, column, next)
	right := copies(q.Set.Right, column, next)
	var both syntax.Expr
	switch {
	case q.Set.Op == "UNION":
		both = binary("+", left, right)
	case q.Set.Op == "INTERSECT":
		both = call("least", left, right)
	case q.Set.All:
		both = call("greatest", binary("-", left, right), wholeAt(pos, "0"))
	default:
		both = &syntax.Case{Pos: pos, Whens: []syntax.When{
			{Pos: pos, When: binary("=", right, wholeAt(pos, "0")), Then: left},
		}, Else: wholeAt(pos, "0")}
	}
	if q.Set.All {
		return both
	}
	return call("least", both, wholeAt(pos, "1"))
}
