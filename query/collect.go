package query

import (
	"fmt"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// collecting are the aggregates of all values of a group at once. Those with a fraction have it as
// their second argument, or before WITHIN GROUP.
var collecting = map[string]struct {
	kind     plan.AggregateKind
	fraction bool
}{
	"median":          {plan.PercentileCont, false},
	"percentile_cont": {plan.PercentileCont, true}, "quantile_cont": {plan.PercentileCont, true},
	"percentile":      {plan.PercentileCont, true},
	"percentile_disc": {plan.PercentileDisc, true}, "quantile_disc": {plan.PercentileDisc, true},
	"quantile": {plan.PercentileDisc, true}, "mode": {plan.Mode, false},
	"string_agg": {plan.StringAgg, false}, "listagg": {plan.StringAgg, false}, "group_concat": {plan.StringAgg, false},
	"array_agg": {plan.ArrayAgg, false}, "list": {plan.ArrayAgg, false}, "collect_list": {plan.ArrayAgg, false},
}

// collected adds an aggregate of all values of a group at once to the plan.
func (c *compiler) collected(x *syntax.Call, text, name string) {
	of := collecting[x.Name]
	a := plan.Aggregate{Func: of.kind, Distinct: x.Distinct}
	args, orders, ok := c.collectedArgs(x, &a)
	if !ok {
		return
	}
	leaf := c.sourceLeaf("an aggregate")
	var filter *expr.Expr
	if x.Filter != nil {
		filter = c.condition(x.Filter, "FILTER")
		if filter == nil {
			return
		}
	}
	if a.Func == plan.ArrayAgg && filter != nil { // it takes NULLs, so the argument cannot say what is left out
		a.Filter = c.tupleColumn(filter, x.Filter.String())
	}
	value, ok := c.over(args[0], leaf)
	if !ok {
		return
	}
	list := a.Func == plan.StringAgg || a.Func == plan.ArrayAgg
	if list && len(orders) == 0 {
		if !x.Distinct {
			c.fault(x.Pos, "%s depends on an order: write %s(... ORDER BY ...) with the columns that say it", x.Name,
				x.Name)
			return
		}
		if value.Type() != record.String {
			orders = []syntax.Order{{Pos: x.Pos, Expr: args[0]}}
		}
	}
	for _, o := range orders {
		if x.Distinct && (o.Expr == nil || o.Expr.String() != args[0].String()) {
			c.fault(o.Pos, "an aggregate with DISTINCT can be ordered by its argument only")
			return
		}
		if !c.collectedOrder(&a, o, filter) {
			return
		}
	}
	argText := args[0].String()
	if a.Func == plan.PercentileCont && value.Type().IsWide() {
		value, argText = c.to(value, record.Float64), argText+" as double"
	}
	if list {
		value = c.elementOf(value, a.Func)
		argText += " as text"
	}
	a.Column, ok = c.cutColumn(x, value, argText, filter)
	if ok {
		c.addAggregate(x, a, text, name)
	}
}

// collectedArgs are the argument and the order of a collected aggregate; it sets its fraction and
// its separator.
func (c *compiler) collectedArgs(x *syntax.Call, a *plan.Aggregate) (args []syntax.Expr, orders []syntax.Order,
	ok bool,
) {
	of := collecting[x.Name]
	args, orders = x.Args, x.OrderBy
	if len(x.WithinGroup) > 0 && a.Func != plan.StringAgg {
		// percentile_cont(f) WITHIN GROUP (ORDER BY x), mode() WITHIN GROUP (ORDER BY x)
		if len(x.WithinGroup) != 1 || x.WithinGroup[0].Expr == nil || len(orders) > 0 {
			c.fault(x.Pos, "%s is WITHIN GROUP (ORDER BY one expression)", x.Name)
			return nil, nil, false
		}
		args = append([]syntax.Expr{x.WithinGroup[0].Expr}, args...)
		orders = nil
		if x.WithinGroup[0].Desc {
			orders = x.WithinGroup
		}
	} else if len(x.WithinGroup) > 0 {
		orders = x.WithinGroup
	}
	least, most := 1, 1
	switch {
	case of.fraction:
		least, most = 2, 2
	case a.Func == plan.StringAgg:
		most = 2
	}
	if len(args) < least || len(args) > most || x.Star {
		hint := ""
		if of.fraction {
			hint = fmt.Sprintf(": write %s(0.5) WITHIN GROUP (ORDER BY x), or %s(x, 0.5)", x.Name, x.Name)
		}
		c.fault(x.Pos, "%s of %d arguments, expected %d%s", x.Name, len(args), least, hint)
		return nil, nil, false
	}
	switch {
	case x.Name == "median":
		a.Fraction = 0.5
	case of.fraction:
		a.Fraction, ok = c.fraction(args[1], x)
		if !ok {
			return nil, nil, false
		}
		if a.Func == plan.PercentileCont && len(orders) > 0 && orders[0].Desc {
			a.Fraction, orders = 1-a.Fraction, nil
		}
	case a.Func == plan.StringAgg:
		if !c.separator(&a.Separator, x) {
			return nil, nil, false
		}
	}
	return args[:1], orders, true
}

// separator is what string_agg, group_concat or listagg puts between texts: its second argument.
func (c *compiler) separator(to *string, x *syntax.Call) (ok bool) {
	*to = ","
	if x.Name == "listagg" {
		*to = ""
	}
	if len(x.Args) < 2 {
		return true
	}
	*to, ok = c.constant(x.Args[1], noLeaf, "the separator of "+x.Name)
	return ok
}

// elementOf is an element of a list as a text.
func (c *compiler) elementOf(value *expr.Expr, kind plan.AggregateKind) *expr.Expr {
	if value.Type() != record.Bool || kind != plan.ArrayAgg {
		return c.to(value, record.String)
	}
	letter, err := expr.Case(value, expr.Text("t"), expr.Text("f"))
	isNull, err2 := expr.New(expr.IsNull, value)
	if err != nil || err2 != nil {
		return c.to(value, record.String)
	}
	letter, err = expr.Case(isNull, expr.Null(record.String), letter)
	if err != nil {
		return c.to(value, record.String)
	}
	return letter
}

// collectedOrder adds an expression to the order of a collected aggregate.
func (c *compiler) collectedOrder(a *plan.Aggregate, o syntax.Order, filter *expr.Expr) bool {
	if o.Expr == nil {
		c.fault(o.Pos, "ORDER BY ALL has no meaning in an aggregate")
		return false
	}
	e, ok := c.over(o.Expr, c.sourceLeaf("an aggregate"))
	if !ok {
		return false
	}
	if filter != nil {
		cut, err := expr.Case(filter, e, expr.Null(e.Type()))
		if err != nil {
			c.fault(o.Pos, "%v", err)
			return false
		}
		e = cut
	}
	text := "order " + o.Expr.String()
	if filter != nil {
		text += " FILTER " + filter.String()
	}
	first := o.Nulls == syntax.NullsFirst || o.Nulls == syntax.NullsDefault && o.Desc
	a.OrderBy = append(a.OrderBy, plan.Order{Column: c.tupleColumn(e, text), Desc: o.Desc, NullsFirst: first})
	return true
}

// cutColumn is the column of an argument, which is NULL for records that the filter rejects.
func (c *compiler) cutColumn(x *syntax.Call, value *expr.Expr, text string, filter *expr.Expr) (string, bool) {
	_, plain := value.IsColumn()
	if filter != nil && !(plain && collecting[x.Name].kind == plan.ArrayAgg) { // what is left out is not computed
		cut, err := expr.Case(filter, value, expr.Null(value.Type()))
		if err != nil {
			c.fault(x.Pos, "%v", err)
			return "", false
		}
		value, text = cut, text+" FILTER "+x.Filter.String()
	}
	return c.column(value, text, c.free("arg")), true
}

// tupleColumn is a computed column, also for an expression that is just a column: what a saved
// state depends on is then among what the plan computes.
func (c *compiler) tupleColumn(e *expr.Expr, text string) string {
	if name, ok := c.computed[text]; ok {
		return name
	}
	name := c.free("arg")
	c.used[name] = true
	c.computed[text] = name
	c.plans.Computed = append(c.plans.Computed, expr.Output{Name: name, Expr: e})
	return name
}
