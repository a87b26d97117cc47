package query

import (
	"fmt"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// aggregates are the functions of many records, by their names in SQL.
var aggregates = map[string]core.AggregateKind{
	"count": core.Count, "sum": core.Sum, "min": core.Min, "max": core.Max, "avg": core.Avg,
	"var_pop": core.VarPop, "var_samp": core.VarSamp, "variance": core.VarSamp, "stddev_pop": core.StddevPop, "stddev_samp": core.StddevSamp, "stddev": core.StddevSamp,
	"min_by": core.MinBy, "max_by": core.MaxBy, "first": core.First, "last": core.Last,
	"bool_and": core.BoolAnd, "every": core.BoolAnd, "bool_or": core.BoolOr,
}

// refused are aggregates that are known and not there, and what to do instead.
var refused = map[string]string{
	"approx_count_distinct": "is not there yet", "approx_percentile": "is not there yet",
	"percentile_cont": "needs all values of a group at once, which a stream has not: use approx_percentile, when it is there",
	"percentile_disc": "needs all values of a group at once, which a stream has not: use approx_percentile, when it is there",
	"string_agg":      "grows without bound on a stream", "array_agg": "grows without bound on a stream", "listagg": "grows without bound on a stream",
}

func isAggregate(x *syntax.Call) bool {
	_, known := aggregates[x.Name]
	_, no := refused[x.Name]
	return known || no
}

// aggregate adds one to the plan.
func (c *compiler) aggregate(x *syntax.Call, name string) {
	text := x.String()
	if _, ok := c.aggregates[text]; ok {
		return
	}
	if why, ok := refused[x.Name]; ok {
		c.fault(x.Pos, "%s %s", x.Name, why)
		return
	}
	kind := aggregates[x.Name]
	switch {
	case x.Distinct && x.Name != "min" && x.Name != "max": // of those it makes no difference
		c.fault(x.Pos, "%s(DISTINCT ...) is not there yet", x.Name)
		return
	case len(x.OrderBy)+len(x.WithinGroup) > 0:
		c.fault(x.Pos, "%s does not depend on an order; first and last take what they choose by as a second argument", x.Name)
		return
	case x.Star && x.Name != "count":
		c.fault(x.Pos, "%s(*) has no meaning, expected a column", x.Name)
		return
	}
	most, least := 1, 1
	switch kind {
	case core.MinBy, core.MaxBy, core.First, core.Last:
		most, least = 2, 2
	case core.Count:
		if x.Star {
			least, most = 0, 0
		}
	}
	if len(x.Args) < least || len(x.Args) > most {
		c.fault(x.Pos, "%s of %d arguments, expected %d", x.Name, len(x.Args), least)
		return
	}
	leaf := c.sourceLeaf("an aggregate")
	var filter *expr.Expr
	if x.Filter != nil {
		v, ok := c.bind(x.Filter, leaf)
		if !ok {
			return
		}
		if filter = c.boolean(v, x.Filter, "FILTER"); filter == nil {
			return
		}
	}
	a := core.Aggregate{Func: kind}
	for i := range max(len(x.Args), map[bool]int{true: 1}[filter != nil]) {
		arg, argText := expr.Bool(true), "true"
		if i < len(x.Args) {
			var ok bool
			if arg, ok = c.over(x.Args[i], leaf); !ok {
				return
			}
			argText = x.Args[i].String()
		}
		if filter != nil && (i == len(x.Args)-1 || len(x.Args) == 0) {
			// What the filter does not let through is NULL; of two arguments, what is chosen by.
			cut, err := expr.Case(filter, arg, expr.Null(arg.Type()))
			if err != nil {
				c.fault(x.Pos, "%v", err)
				return
			}
			arg, argText = cut, argText+" FILTER "+x.Filter.String()
		}
		if _, ok := arg.Const(); ok && kind == core.Count && i == 0 {
			if v, _ := arg.Const(); !v.Null {
				continue // count(1)
			}
		}
		column := c.column(arg, argText, c.free("arg"))
		if i == 0 {
			a.Column = column
		} else {
			a.By = column
		}
	}
	if name == "" || c.used[name] || isBound(name) {
		name = c.free(x.Name)
	}
	c.used[name] = true
	a.Name = name
	check := &core.Plan{Source: c.source, Computed: c.plans.Computed, Aggregates: []core.Aggregate{a}}
	if err := check.Validate(); err != nil {
		c.fault(x.Pos, "%s: %s", x.Name, reason(err))
		return
	}
	c.aggregates[text] = name
	c.plans.Aggregates = append(c.plans.Aggregates, a)
}

// free is a name that nothing has yet.
func (c *compiler) free(base string) string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s%d", base, n); !c.used[name] {
			return name
		}
	}
}

// reason is the innermost error: what is around it says where, which a caret does better.
func reason(err error) string {
	for {
		switch x := err.(type) {
		case interface{ Unwrap() error }:
			if x.Unwrap() == nil {
				return err.Error()
			}
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			err = x.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}
