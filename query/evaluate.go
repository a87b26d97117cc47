package query

import (
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// A query in an expression is computed before the query around it, which gets its rows as
// constants. So it may not name columns of the query around it.

const (
	// MaxSubqueryRows is how many rows the query of IN (SELECT ...) may have.
	MaxSubqueryRows = 1 << 16

	// maxRowRows is the same for a row of several values, each of which becomes comparisons.
	maxRowRows = 1 << 10

	// inConstants is how many values of IN are constants of the expression. More are only in a set.
	inConstants = 64
)

// evaluate computes the queries in the expressions of the query, and puts constants in their place.
func (c *compiler) evaluate(g Catalog) bool {
	var faults []error
	places := syntax.Clauses(c.query)
	for i := range c.query.From.Joins {
		places = append(places, &c.query.From.Joins[i].On)
	}
	for i := range c.query.Items {
		c.nameItem(&c.query.Items[i])
	}
	for _, at := range places {
		replace(at, func(e syntax.Expr) syntax.Expr {
			var with syntax.Expr
			var err error
			switch x := e.(type) {
			case *syntax.Subquery:
				with, err = c.scalar(x, g)
			case *syntax.In:
				if x.Query == nil {
					return nil
				}
				if x.Op != "" {
					with, err = c.quantified(x, g)
				} else {
					with, err = c.listed(x, g)
				}
			}
			if err != nil {
				faults = append(faults, err)
			}
			return with
		})
	}
	c.faults = append(c.faults, faults...)
	return len(faults) == 0
}

// nameItem gives an item that is a query the name of the column of that query.
func (c *compiler) nameItem(it *syntax.Item) {
	sub, ok := it.Expr.(*syntax.Subquery)
	if !ok || it.Alias != "" {
		return
	}
	if sub.Exists {
		it.Alias = "exists"
		return
	}
	first := sub.Query.Leaves()[0]
	if len(first.Items) != 1 {
		return
	}
	it.Alias = first.Items[0].Alias
	switch e := first.Items[0].Expr.(type) {
	case *syntax.Ident:
		it.Alias = e.Name
	case *syntax.Call:
		it.Alias = e.Name
	}
}

// scalar is the value of a query, or whether there is a row if it is in EXISTS.
func (c *compiler) scalar(x *syntax.Subquery, g Catalog) (syntax.Expr, error) {
	most := uint64(2)
	if x.Exists {
		most = 1
	}
	schema, rows, err := c.subrows(x.Query, g, most)
	if err != nil {
		return nil, err
	}
	switch {
	case x.Exists:
		return constantAt(x.Pos, expr.Bool(len(rows) > 0)), nil
	case schema.Len() != 1:
		return nil, syntax.ErrorAt(c.text, x.Pos, "a subquery with %d columns as a value, expected one", schema.Len())
	case len(rows) > 1:
		return nil, syntax.ErrorAt(c.text, x.Pos, "a subquery with more than one row as a value: write LIMIT 1, an "+
			"aggregate, or IN (SELECT ...)")
	case len(rows) == 0:
		return constantAt(x.Pos, expr.Null(schema.Field(0).Type)), nil
	}
	return constantAt(x.Pos, rows[0][0]), nil
}

// listed is x IN (SELECT ...) with the rows in place of the query.
func (c *compiler) listed(x *syntax.In, g Catalog) (syntax.Expr, error) {
	most := uint64(MaxSubqueryRows)
	if x.Row != nil {
		most = maxRowRows
	}
	schema, rows, err := c.subrows(x.Query, g, most+1)
	columns := max(1, len(x.Row))
	switch {
	case err != nil:
		return nil, err
	case uint64(len(rows)) > most:
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "a subquery with more than %d rows in IN", most)
	case schema.Len() != columns:
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "a subquery with %d columns in IN, expected %d", schema.Len(),
			columns)
	case len(rows) == 0:
		return constantAt(x.Pos, expr.Bool(x.Not)), nil
	case x.Row == nil:
		in := &syntax.In{Pos: x.Pos, X: x.X, Not: x.Not}
		for _, row := range rows {
			in.List = append(in.List, constantAt(x.Query.Pos, row[0]))
		}
		return in, nil
	}
	var some syntax.Expr
	for _, row := range rows {
		var all syntax.Expr
		for i, v := range row {
			all = joinedBy("AND", all, &syntax.Binary{Pos: x.Pos, Op: "=", X: x.Row[i], Y: constantAt(x.Query.Pos, v)})
		}
		some = joinedBy("OR", some, all)
	}
	if x.Not {
		some = &syntax.Unary{Pos: x.Pos, Op: "NOT", X: some}
	}
	return some, nil
}

// quantified is x op ANY (SELECT ...), or ALL, with the least and the greatest value in place of
// the query: x > ANY (...) is x > the least. A NULL among the values makes NULL of the result that
// the other values do not decide.
func (c *compiler) quantified(x *syntax.In, g Catalog) (syntax.Expr, error) {
	schema, rows, err := c.subrows(x.Query, g, MaxSubqueryRows+1)
	quantifier := map[bool]string{true: "ALL", false: "ANY"}[x.All]
	switch {
	case err != nil:
		return nil, err
	case len(rows) > MaxSubqueryRows:
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "a subquery with more than %d rows in %s", MaxSubqueryRows,
			quantifier)
	case schema.Len() != 1:
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "a subquery with %d columns in %s, expected one", schema.Len(),
			quantifier)
	case len(rows) == 0:
		return constantAt(x.Pos, expr.Bool(x.All)), nil
	}
	var values []*expr.Expr
	for _, row := range rows {
		if v, _ := row[0].Const(); !v.Null {
			values = append(values, row[0])
		}
	}
	unknown := constantAt(x.Pos, expr.Null(record.Bool))
	if len(values) == 0 {
		return unknown, nil
	}
	least, err := expr.New(expr.Least, values...)
	if err != nil {
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "%s %s: %s", x.Op, quantifier, reason(err))
	}
	greatest, err := expr.New(expr.Greatest, values...)
	if err != nil {
		return nil, syntax.ErrorAt(c.text, x.Query.Pos, "%s %s: %s", x.Op, quantifier, reason(err))
	}
	with := func(v *expr.Expr) syntax.Expr {
		return &syntax.Binary{Pos: x.Pos, Op: x.Op, X: x.X, Y: constantAt(x.Query.Pos, v)}
	}
	join := map[bool]string{true: "AND", false: "OR"}[x.All]
	var made syntax.Expr
	switch {
	case x.Op == "=" || x.Op == "<>": // = ALL and <> ANY
		made = joinedBy(join, with(least), with(greatest))
	case (x.Op[0] == '>') == x.All:
		made = with(greatest)
	default:
		made = with(least)
	}
	if len(values) < len(rows) {
		made = joinedBy(join, made, unknown)
	}
	return made, nil
}

// joinedBy is x op y, or y if there is no x.
func joinedBy(op string, x, y syntax.Expr) syntax.Expr {
	if x == nil {
		return y
	}
	return &syntax.Binary{Pos: y.Start(), Op: op, X: x, Y: y}
}

func constantAt(pos syntax.Pos, e *expr.Expr) syntax.Expr {
	return &syntax.Value{Pos: pos, Text: "CAST(" + e.String() + " AS " + e.Type().String() + ")", Of: e}
}

// subrows are the rows of a query in an expression, as constants. If it has more than most, it may
// return only most of them.
func (c *compiler) subrows(q *syntax.Select, g Catalog, most uint64) (*record.Schema, [][]*expr.Expr, error) {
	if g.Subquery == nil {
		return nil, nil, syntax.ErrorAt(c.text, q.Pos, "a subquery in an expression is not supported here: it is "+
			"computed before the query, from an input that can be read twice; write IN (...) with the values, or two "+
			"queries")
	}
	if c.query.Emit == syntax.EmitChanges {
		return nil, nil, syntax.ErrorAt(c.text, q.Pos, "a subquery in a query with EMIT CHANGES is not supported: it "+
			"is computed once, and would not change")
	}
	err := c.correlated(q)
	if err != nil {
		return nil, nil, err
	}
	if q.Limit == nil {
		q.Limit = &syntax.Count{Pos: q.Pos, N: int64(most)}
		simple := q.Set == nil && q.Offset == nil && q.Qualify == nil && !q.GroupAll && len(q.Windows) == 0
		if simple && most > 2 && !ranges(q) {
			q.Distinct, q.OrderBy = true, nil // copies do not matter for IN, nor does the order
		}
	}
	inner, err := analyse(c.text, q, g)
	if err != nil {
		return nil, nil, err
	}
	p := inner.plan()
	batches, err := g.Subquery(p)
	if err != nil {
		line, column := q.Pos.In(c.text)
		return nil, nil, fmt.Errorf("query: line %d, column %d: the subquery: %w", line, column, err)
	}
	schema, err := inner.plan().Result()
	if err != nil {
		return nil, nil, fmt.Errorf("query: %w", err)
	}
	var rows [][]*expr.Expr
	for _, b := range batches {
		for i := range b.Len() {
			var row []*expr.Expr
			for column := range b.Schema().Len() {
				row = append(row, cellOf(b, column, i))
			}
			rows = append(rows, row)
		}
	}
	return schema, rows, nil
}

// isSubquery says whether an expression has a query.
func isSubquery(e syntax.Expr) bool {
	_, scalar := e.(*syntax.Subquery)
	in, list := e.(*syntax.In)
	return scalar || list && in.Query != nil
}

// ranges says whether a clause of a query has a function with OVER.
func ranges(q *syntax.Select) bool {
	return slices.ContainsFunc(syntax.Clauses(q), func(at *syntax.Expr) bool { return hasOver(*at) })
}

// cellOf is a value of a batch.
func cellOf(b *record.Batch, column, row int) *expr.Expr {
	t, of := b.Schema().Field(column).Type, b.Column(column)
	switch {
	case of.Null(row):
		return expr.Null(t)
	case t == record.String:
		return expr.Text(string(of.View(row)))
	case t.Kind() == record.String:
		e, err := expr.Retype(expr.Text(string(of.View(row))), t)
		if err != nil {
			panic(fmt.Sprintf("query: %v", err)) // they are of one kind
		}
		return e
	case t == record.Bool:
		return expr.Bool(of.Int64s[row] != 0)
	case t == record.Float64:
		return expr.Float(of.Float64s[row])
	}
	return expr.Int(t, of.Int64s[row])
}

// correlated is the error of a query in an expression that names columns of the query around it;
// nil if it does not.
func (c *compiler) correlated(q *syntax.Select) error {
	outer := map[string]bool{c.query.From.Name: true, c.query.From.Alias: true}
	inner := map[string]bool{"": true}
	all := selectsOf(q)
	for _, s := range all {
		inner[s.From.Name], inner[s.From.Alias] = true, true
		for _, j := range s.From.Joins {
			inner[j.Name], inner[j.Alias] = true, true
		}
	}
	var found []error
	for _, s := range all {
		for _, at := range syntax.Clauses(s) {
			syntax.Walk(*at, func(e syntax.Expr) {
				if id, ok := e.(*syntax.Ident); ok && outer[id.Table] && !inner[id.Table] {
					found = append(found, syntax.ErrorAt(c.text, id.Pos, "%s is a column of the query around the "+
						"subquery: a subquery is computed once, before that query, and names only its own columns; "+
						"max(x) OVER (PARTITION BY y) is a value of each y", id))
				}
			})
		}
	}
	return errors.Join(found...)
}
