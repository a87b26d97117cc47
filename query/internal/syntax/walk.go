package syntax

import "slices"

// Places are where the children of an expression lie, so that they can be replaced. What is in
// a subquery is not among them.
func Places(e Expr) (all []*Expr) {
	add := func(list ...*Expr) {
		for _, at := range list {
			if *at != nil {
				all = append(all, at)
			}
		}
	}
	each := func(list []Expr) {
		for i := range list {
			add(&list[i])
		}
	}
	orders := func(list []Order) {
		for i := range list {
			add(&list[i].Expr)
		}
	}
	switch x := e.(type) {
	case *Unary:
		add(&x.X)
	case *Binary:
		add(&x.X, &x.Y)
	case *IsNull:
		add(&x.X)
	case *IsTruth:
		add(&x.X)
	case *IsDistinct:
		add(&x.X, &x.Y)
	case *In:
		add(&x.X)
		each(x.Row)
		each(x.List)
	case *Between:
		add(&x.X, &x.Low, &x.High)
	case *Like:
		add(&x.X, &x.Pattern, &x.Escape)
	case *Case:
		add(&x.Operand)
		for i := range x.Whens {
			add(&x.Whens[i].When, &x.Whens[i].Then)
		}
		add(&x.Else)
	case *Cast:
		add(&x.X)
	case *Call:
		each(x.Args)
		orders(x.OrderBy)
		orders(x.WithinGroup)
		add(&x.Filter)
	case *Grouping:
		each(x.Items)
	}
	return all
}

// OverPlaces are where the expressions in the OVER of a call lie.
func OverPlaces(e Expr) (all []*Expr) {
	x, ok := e.(*Call)
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

// Walk calls do for an expression and all that it is made of, what is in OVER included.
func Walk(e Expr, do func(Expr)) {
	if e == nil {
		return
	}
	do(e)
	for _, at := range append(Places(e), OverPlaces(e)...) {
		Walk(*at, do)
	}
}

// Clauses are where the expressions of a query lie: SELECT, WHERE, GROUP BY, HAVING, QUALIFY, ORDER
// BY and WINDOW.
func Clauses(q *Select) (all []*Expr) {
	for i := range q.DistinctOn {
		all = append(all, &q.DistinctOn[i])
	}
	for i := range q.Items {
		all = append(all, &q.Items[i].Expr)
	}
	all = append(all, &q.Where)
	for i := range q.GroupBy {
		all = append(all, &q.GroupBy[i])
	}
	all = append(all, &q.Having, &q.Copies, &q.Qualify)
	for i := range q.OrderBy {
		all = append(all, &q.OrderBy[i].Expr)
	}
	for i := range q.Windows {
		over := &Call{Over: &q.Windows[i].Over}
		all = append(all, OverPlaces(over)...)
	}
	return slices.DeleteFunc(all, func(at *Expr) bool { return *at == nil })
}

// Subqueries are the queries in the expressions of a query, but not those in FROM, nor those in
// other subqueries.
func (s *Select) Subqueries() (all []*Select) {
	look := func(e Expr) {
		switch x := e.(type) {
		case *Subquery:
			all = append(all, x.Query)
		case *In:
			if x.Query != nil {
				all = append(all, x.Query)
			}
		}
	}
	for _, leaf := range s.Leaves() {
		for _, at := range Clauses(leaf) {
			Walk(*at, look)
		}
		for _, j := range leaf.From.Joins {
			Walk(j.On, look)
		}
	}
	if s.Set != nil {
		for _, o := range s.OrderBy {
			Walk(o.Expr, look)
		}
	}
	return all
}
