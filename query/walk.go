package query

import (
	"github.com/velo-engine/velo/query/internal/syntax"
)

// children are the expressions that an expression is made of. Of a call they include its filter and
// what it is ordered by, but not what is in OVER.
func children(e syntax.Expr) (all []syntax.Expr) {
	for _, at := range syntax.Places(e) {
		all = append(all, *at)
	}
	return all
}

// contains says whether an expression, or one that it is made of, has a property.
func contains(e syntax.Expr, property func(syntax.Expr) bool) bool {
	found := false
	syntax.Walk(e, func(e syntax.Expr) { found = found || property(e) })
	return found
}

// hasAggregate says whether an expression contains an aggregate.
func hasAggregate(e syntax.Expr) bool {
	return contains(e, func(e syntax.Expr) bool {
		call, ok := e.(*syntax.Call)
		return ok && isAggregate(call)
	})
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
	for _, sub := range append(syntax.Places(*at), syntax.OverPlaces(*at)...) {
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
			for _, sub := range append(syntax.Places(*at), syntax.OverPlaces(*at)...) {
				replace(sub, of)
			}
		}
	}
}
