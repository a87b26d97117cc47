package query

import (
	"strings"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// rewrite replaces calls that are written with others: Flink's bounds of windows, and aggregates
// that are computed of another aggregate.
func (c *compiler) rewrite() {
	for _, at := range syntax.Clauses(c.query) {
		replace(at, func(e syntax.Expr) syntax.Expr {
			x, ok := e.(*syntax.Call)
			if !ok {
				return nil
			}
			if bound := c.windowBound(x); bound != nil {
				return bound
			}
			return computedAggregate(x)
		})
	}
}

// windowBound is what TUMBLE_START(at, size) and its relatives stand for. The window is in GROUP BY
// with the same arguments.
func (c *compiler) windowBound(x *syntax.Call) syntax.Expr {
	kind, bound, ok := strings.Cut(x.Name, "_")
	if !ok || !isWindow(kind) || x.Over != nil {
		return nil
	}
	name := map[string]string{"start": plan.WindowStart, "end": plan.WindowEnd}[bound]
	if name == "" {
		return nil
	}
	same := *x
	same.Name = kind
	for _, e := range c.query.GroupBy {
		if e.String() == same.String() {
			return &syntax.Ident{Pos: x.Pos, Name: name}
		}
	}
	c.fault(x.Pos, "%s(...) needs the same window in GROUP BY: %s", x.Name, same.String())
	return &syntax.Ident{Pos: x.Pos, Name: name}
}

// computedAggregate is what an aggregate stands for that is computed of another one; nil for other
// calls.
func computedAggregate(x *syntax.Call) syntax.Expr {
	if len(x.Args) != 1 || x.Over != nil {
		if x.Name == "count_star" && len(x.Args) == 0 { // DuckDB
			call := *x
			call.Name, call.Star = "count", true
			return &call
		}
		return nil
	}
	of := func(name string, arg syntax.Expr) *syntax.Call {
		call := *x
		call.Name, call.Args = name, []syntax.Expr{arg}
		return &call
	}
	double := &syntax.Cast{Pos: x.Pos, X: x.Args[0], Type: syntax.TypeName{Pos: x.Pos, Name: "double precision"}}
	switch x.Name {
	case "fsum", "kahan_sum", "sumkahan":
		return of("sum", double)
	case "favg":
		return of("avg", double)
	case "total": // SQLite
		zero := &syntax.Literal{Pos: x.Pos, Kind: syntax.Decimal, Text: "0e0"}
		return callOf(x, "coalesce", of("sum", double), zero)
	case "geomean", "geometric_mean":
		return callOf(x, "exp", of("avg", callOf(x, "ln", x.Args[0])))
	}
	return nil
}
