package query

import (
	"slices"
	"strconv"

	"github.com/velo-engine/velo/query/internal/syntax"
)

// distinctOn writes SELECT DISTINCT ON (a) ... ORDER BY a, b as
//
//	SELECT ... QUALIFY row_number() OVER (PARTITION BY a ORDER BY a, b) = 1 ORDER BY a, b
func (c *compiler) distinctOn() {
	q := c.query
	if q.DistinctOn == nil {
		return
	}
	on := q.DistinctOn
	for i := range on {
		on[i] = c.itemOf(on[i])
	}
	q.DistinctOn, q.Distinct = nil, false
	switch {
	case len(q.OrderBy) == 0:
		c.fault(on[0].Start(), "DISTINCT ON without ORDER BY keeps the row that comes first, and records have no "+
			"order: write ORDER BY these expressions, and then what chooses the row")
		return
	case q.Qualify != nil:
		c.fault(q.Qualify.Start(), "QUALIFY and DISTINCT ON in one query are not supported: write row_number() OVER "+
			"(...) = 1 in QUALIFY")
		return
	}
	over := &syntax.Over{Pos: on[0].Start(), PartitionBy: on}
	for i, o := range q.OrderBy {
		if o.Expr == nil {
			c.fault(o.Pos, "ORDER BY ALL and DISTINCT ON in one query are not supported: name the expressions")
			return
		}
		o.Expr = c.itemOf(o.Expr)
		same := func(e syntax.Expr) bool { return e.String() == o.Expr.String() }
		if i < len(on) && !slices.ContainsFunc(on, same) {
			c.fault(o.Pos, "ORDER BY begins with the expressions of DISTINCT ON, expected %s here", on[i])
			return
		}
		over.OrderBy = append(over.OrderBy, o)
	}
	q.Qualify = &syntax.Binary{
		Pos: over.Pos, Op: "=", X: &syntax.Call{Pos: over.Pos, Name: "row_number", Over: over},
		Y: wholeAt(over.Pos, "1"),
	}
}

// itemOf is the item of SELECT that a number, or a name that is no column, stands for, or the
// expression itself.
func (c *compiler) itemOf(e syntax.Expr) syntax.Expr {
	e = syntax.CloneExpr(e) // it stands in several places
	items := c.query.Items
	switch x := e.(type) {
	case *syntax.Literal:
		n, err := strconv.Atoi(x.Text)
		if x.Kind == syntax.Integer && err == nil && n >= 1 && n <= len(items) && items[n-1].Expr != nil {
			return syntax.CloneExpr(items[n-1].Expr)
		}
	case *syntax.Ident:
		for _, it := range items {
			if x.Table == "" && it.Alias == x.Name && it.Expr != nil && !c.isColumn(x.Name) {
				return syntax.CloneExpr(it.Expr)
			}
		}
	}
	return e
}
