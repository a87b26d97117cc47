package query

import (
	"slices"

	"github.com/velo-engine/velo/query/internal/syntax"
)

// children are the expressions that an expression is made of. Of a call they include its filter and
// what it is ordered by, but not what is in OVER.
func children(e syntax.Expr) (all []syntax.Expr) {
	for _, at := range places(e) {
		all = append(all, *at)
	}
	return all
}

// places are where the children of an expression lie, so that they can be replaced.
func places(e syntax.Expr) (all []*syntax.Expr) {
	add := func(list ...*syntax.Expr) {
		for _, at := range list {
			if *at != nil {
				all = append(all, at)
			}
		}
	}
	each := func(list []syntax.Expr) {
		for i := range list {
			add(&list[i])
		}
	}
	orders := func(list []syntax.Order) {
		for i := range list {
			add(&list[i].Expr)
		}
	}
	switch x := e.(type) {
	case *syntax.Unary:
		add(&x.X)
	case *syntax.Binary:
		add(&x.X, &x.Y)
	case *syntax.IsNull:
		add(&x.X)
	case *syntax.IsTruth:
		add(&x.X)
	case *syntax.IsDistinct:
		add(&x.X, &x.Y)
	case *syntax.In:
		add(&x.X)
		each(x.List)
	case *syntax.Between:
		add(&x.X, &x.Low, &x.High)
	case *syntax.Like:
		add(&x.X, &x.Pattern, &x.Escape)
	case *syntax.Case:
		add(&x.Operand)
		for i := range x.Whens {
			add(&x.Whens[i].When, &x.Whens[i].Then)
		}
		add(&x.Else)
	case *syntax.Cast:
		add(&x.X)
	case *syntax.Call:
		each(x.Args)
		orders(x.OrderBy)
		orders(x.WithinGroup)
		add(&x.Filter)
	case *syntax.Grouping:
		each(x.Items)
	}
	return all
}

// overPlaces are where the expressions in the OVER of a call lie.
func overPlaces(e syntax.Expr) (all []*syntax.Expr) {
	x, ok := e.(*syntax.Call)
	if !ok || x.Over == nil {
		return nil
	}
	for i := range x.Over.PartitionBy {
		all = append(all, &x.Over.PartitionBy[i])
	}
	for i := range x.Over.OrderBy {
		if x.Over.OrderBy[i].Expr != nil {
			all = append(all, &x.Over.OrderBy[i].Expr)
		}
	}
	return all
}

// walk calls do for an expression and all that it is made of, what is in OVER included.
func walk(e syntax.Expr, do func(syntax.Expr)) {
	if e == nil {
		return
	}
	do(e)
	for _, at := range append(places(e), overPlaces(e)...) {
		walk(*at, do)
	}
}

// contains says whether an expression, or one that it is made of, has a property.
func contains(e syntax.Expr, property func(syntax.Expr) bool) bool {
	found := false
	walk(e, func(e syntax.Expr) { found = found || property(e) })
	return found
}

// hasAggregate says whether an expression contains an aggregate.
func hasAggregate(e syntax.Expr) bool {
	return contains(e, func(e syntax.Expr) bool {
		call, ok := e.(*syntax.Call)
		return ok && isAggregate(call)
	})
}

// clauses are where the expressions of a query lie: SELECT, WHERE, GROUP BY, HAVING, QUALIFY, ORDER
// BY and WINDOW.
func clauses(q *syntax.Select) (all []*syntax.Expr) {
	for i := range q.Items {
		all = append(all, &q.Items[i].Expr)
	}
	all = append(all, &q.Where)
	for i := range q.GroupBy {
		all = append(all, &q.GroupBy[i])
	}
	all = append(all, &q.Having, &q.Qualify)
	for i := range q.OrderBy {
		all = append(all, &q.OrderBy[i].Expr)
	}
	for i := range q.Windows {
		over := &syntax.Call{Over: &q.Windows[i].Over}
		all = append(all, overPlaces(over)...)
	}
	return slices.DeleteFunc(all, func(at *syntax.Expr) bool { return *at == nil })
}

// replace replaces, in an expression, every expression for which with gives another.
func replace(at *syntax.Expr, with func(syntax.Expr) syntax.Expr) {
	if *at == nil {
		return
	}
	if e := with(*at); e != nil {
		*at = e
		return
	}
	for _, sub := range append(places(*at), overPlaces(*at)...) {
		replace(sub, with)
	}
}

// aliases replaces names in HAVING, QUALIFY, WHERE and within ORDER BY that are no columns of the
// source but names of items of SELECT by those items. PostgreSQL takes such a name only as a whole
// ORDER BY or GROUP BY; DuckDB, SQLite and MySQL take it anywhere.
func (c *compiler) aliases() {
	q := c.query
	of := func(e syntax.Expr) syntax.Expr {
		id, ok := e.(*syntax.Ident)
		if !ok || id.Table != "" || isBound(id.Name) {
			return nil
		}
		if c.isColumn(id.Name) {
			return nil
		}
		for _, it := range q.Items {
			if it.Alias == id.Name && it.Expr != nil {
				return it.Expr
			}
		}
		return nil
	}
	for _, at := range []*syntax.Expr{&q.Where, &q.Having, &q.Qualify} {
		replace(at, of)
	}
	for i := range q.OrderBy {
		if at := &q.OrderBy[i].Expr; *at != nil {
			for _, sub := range append(places(*at), overPlaces(*at)...) {
				replace(sub, of)
			}
		}
	}
}
