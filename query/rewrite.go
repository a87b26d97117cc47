package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// rewrite replaces calls that are written with others: Flink's bounds of windows, and aggregates
// that are computed from another aggregate.
func (c *compiler) rewrite() {
	for i := range c.query.Items { // they keep the name that was written
		it := &c.query.Items[i]
		x, ok := it.Expr.(*syntax.Call)
		if ok && it.Alias == "" && x.Name != "count_star" && computedAggregate(x) != nil {
			it.Alias = c.freeAlias(x.Name)
		}
	}
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

// freeAlias is a name that no item of SELECT has been given.
func (c *compiler) freeAlias(base string) string {
	name := base
	for n := 2; slices.ContainsFunc(c.query.Items, func(it syntax.Item) bool { return it.Alias == name }); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
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

// computedAggregate is what an aggregate stands for that is computed from another one; nil for
// other calls.
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
	if len(x.OrderBy) == 1 && x.OrderBy[0].Expr != nil && chooses[x.Name] != "" {
		return chosen(x)
	}
	switch x.Name {
	case "sem": // DuckDB's standard error of the mean
		return binaryOf(x, "/", of("stddev_pop", double), callOf(x, "sqrt", of("count", x.Args[0])))
	case "approx_median":
		half := &syntax.Literal{Pos: x.Pos, Kind: syntax.Decimal, Text: "0.5"}
		call := of("approx_percentile", x.Args[0])
		call.Args = append(call.Args, half)
		return call
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

// chooses are the aggregates that choose a value by an ORDER BY in their parentheses: the first, or
// the last, or "some" for the first that is not NULL.
var chooses = map[string]string{
	"first": "first", "last": "last", "first_value": "first", "last_value": "last", "any_value": "some",
	"arbitrary": "first",
}

// chosen writes first(x ORDER BY y) and its relatives with min_by and max_by, which know nothing of
// records for which y is NULL.
func chosen(x *syntax.Call) syntax.Expr {
	o := x.OrderBy[0]
	desc, nullsFirst := o.Desc, o.Nulls == syntax.NullsFirst || o.Nulls == syntax.NullsDefault && o.Desc
	if chooses[x.Name] == "last" {
		desc, nullsFirst = !desc, !nullsFirst
	}
	filter := x.Filter
	if chooses[x.Name] == "some" {
		filter = joinedBy("AND", filter, &syntax.IsNull{Pos: x.Pos, X: x.Args[0], Not: true})
	}
	of := func(name string, filter syntax.Expr, args ...syntax.Expr) *syntax.Call {
		return &syntax.Call{Pos: x.Pos, Name: name, Args: args, Star: len(args) == 0, Filter: filter}
	}
	by := of("min_by", filter, x.Args[0], o.Expr)
	if desc {
		by.Name = "max_by"
	}
	none := of("any_value", joinedBy("AND", filter, &syntax.IsNull{Pos: x.Pos, X: o.Expr}), x.Args[0])
	e := &syntax.Case{Pos: x.Pos, Whens: []syntax.When{
		{Pos: x.Pos, When: binaryOf(x, ">", of("count", filter, o.Expr), wholeAt(x.Pos, "0")), Then: by},
	}, Else: none}
	if nullsFirst {
		e.Whens[0].When = binaryOf(x, ">", of("count", filter), of("count", filter, o.Expr))
		e.Whens[0].Then, e.Else = none, by
	}
	return e
}
