package query

import (
	"fmt"
	"math"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// overFunctions are the functions that are only there with OVER.
var overFunctions = map[string]plan.OverFunc{
	"row_number": plan.RowNumber, "rank": plan.Rank, "dense_rank": plan.DenseRank, "percent_rank": plan.PercentRank,
	"cume_dist": plan.CumeDist, "ntile": plan.Ntile, "lag": plan.Lag, "lead": plan.Lead,
	"first_value": plan.FirstValue, "last_value": plan.LastValue, "nth_value": plan.NthValue,
}

// isOver says whether an expression is a function with OVER.
func isOver(e syntax.Expr) bool {
	x, ok := e.(*syntax.Call)
	return ok && x.Over != nil
}

func hasOver(e syntax.Expr) bool { return contains(e, isOver) }

// ranges says whether the query has functions with OVER, where they may be: in SELECT, QUALIFY and
// ORDER BY.
func (c *compiler) ranges() bool {
	q := c.query
	return slices.ContainsFunc(c.items, func(it item) bool { return hasOver(it.expr) }) ||
		q.Qualify != nil && hasOver(q.Qualify) ||
		slices.ContainsFunc(q.OrderBy, func(o syntax.Order) bool { return o.Expr != nil && hasOver(o.Expr) })
}

// namedWindows puts the windows of WINDOW in the places of their names.
func (c *compiler) namedWindows() {
	q := c.query
	known := map[string]*syntax.Over{}
	var names []string
	resolve := func(o *syntax.Over) {
		if o.Name == "" {
			return
		}
		w := known[o.Name]
		if w == nil {
			c.fault(o.Pos, "there is no window %q%s", o.Name, nearest(o.Name, names))
			return
		}
		if len(o.PartitionBy) > 0 || len(w.OrderBy) > 0 && len(o.OrderBy) > 0 {
			c.fault(o.Pos, "window %q has its PARTITION BY and ORDER BY already", o.Name)
			return
		}
		o.PartitionBy = w.PartitionBy
		if len(o.OrderBy) == 0 {
			o.OrderBy = w.OrderBy
		}
		if o.Frame == nil {
			o.Frame = w.Frame
		}
		o.Name = ""
	}
	for i := range q.Windows {
		w := &q.Windows[i]
		resolve(&w.Over)
		if known[w.Name] != nil {
			c.fault(w.Pos, "window %q is there already", w.Name)
		}
		known[w.Name] = &w.Over
		names = append(names, w.Name)
	}
	for _, at := range syntax.Clauses(q) {
		syntax.Walk(*at, func(e syntax.Expr) {
			if x, ok := e.(*syntax.Call); ok && x.Over != nil {
				resolve(x.Over)
			}
		})
	}
}

// bindOvers adds the functions with OVER to the plan and makes the schema of the rows with them.
// rows is the schema without them, and inner binds what they are made of.
func (c *compiler) bindOvers(rows *record.Schema, inner leaf) bool {
	c.overs = map[string]int{}
	before := len(c.faults)
	add := func(e syntax.Expr) {
		syntax.Walk(e, func(e syntax.Expr) {
			x, ok := e.(*syntax.Call)
			if !ok || x.Over == nil {
				return
			}
			text := x.String()
			if _, ok := c.overs[text]; ok {
				return
			}
			o, ok := c.bindOver(x, inner)
			if !ok {
				return
			}
			c.overs[text] = rows.Len() + len(c.plans.Over)
			c.plans.Over = append(c.plans.Over, o)
		})
	}
	for _, it := range c.items {
		add(it.expr)
	}
	if c.query.Qualify != nil {
		add(c.query.Qualify)
	}
	for _, o := range c.query.OrderBy {
		if o.Expr != nil {
			add(o.Expr)
		}
	}
	if len(c.faults) > before {
		return false
	}
	var err error
	c.ranged, err = c.plan().Ranged()
	if err != nil {
		c.faults = append(c.faults, fmt.Errorf("query: %s", reason(err)))
	}
	return err == nil
}

// overLeaf binds functions with OVER to columns of the rows with them, and everything else with
// another leaf.
func (c *compiler) overLeaf(inner leaf) leaf {
	return func(e syntax.Expr) (v value, done, ok bool) {
		if x, is := e.(*syntax.Call); is && x.Over != nil {
			i, found := c.overs[x.String()]
			if !found {
				c.fault(x.Pos, "%s cannot be read here", x)
				return v, true, false
			}
			return valueOf(expr.Column(c.ranged, i)), true, true
		}
		return inner(e)
	}
}

// bindOver binds one function with OVER.
func (c *compiler) bindOver(x *syntax.Call, inner leaf) (o plan.Over, ok bool) {
	o.Name = c.free("over")
	c.used[o.Name] = true
	ranks, ok := c.overFunc(&o, x)
	if !ok {
		return o, false
	}
	switch {
	case x.Distinct:
		c.fault(x.Pos, "%s(DISTINCT ...) cannot be OVER rows", x.Name)
		return o, false
	case len(x.OrderBy)+len(x.WithinGroup) > 0:
		c.fault(x.Pos, "%s is ordered by what is in OVER", x.Name)
		return o, false
	case ranks && x.Filter != nil:
		c.fault(x.Pos, "%s takes no FILTER, which is for aggregates", x.Name)
		return o, false
	case x.Star && x.Name != "count":
		c.fault(x.Pos, "%s(*) has no meaning, expected a column", x.Name)
		return o, false
	}
	if !c.overArgs(&o, x, inner) {
		return o, false
	}
	for _, e := range x.Over.PartitionBy {
		p, ok := c.over1(e, inner)
		if !ok {
			return o, false
		}
		o.PartitionBy = append(o.PartitionBy, p)
	}
	for _, by := range x.Over.OrderBy {
		if by.Expr == nil {
			c.fault(by.Pos, "ORDER BY ALL has no meaning in OVER")
			return o, false
		}
		p, ok := c.over1(by.Expr, inner)
		if !ok {
			return o, false
		}
		first := by.Nulls == syntax.NullsFirst || by.Nulls == syntax.NullsDefault && by.Desc
		o.OrderBy = append(o.OrderBy, plan.Order{Expr: p, Desc: by.Desc, NullsFirst: first})
	}
	if !c.frame(&o, x) {
		return o, false
	}
	check := plan.Plan{
		Source: c.source, Computed: c.plans.Computed, Keys: c.keyNames, Aggregates: c.plans.Aggregates,
		Sets: c.plans.Sets,
	}
	if c.window != nil {
		w := *c.window
		check.Window = &w
	}
	if c.inner == nil {
		check.Keys, check.Aggregates, check.Computed = nil, nil, nil
	}
	check.Over = []plan.Over{o}
	if _, err := check.Ranged(); err != nil {
		c.fault(x.Pos, "%s: %s", x.Name, reason(err))
		return o, false
	}
	return o, true
}

// overFunc finds the function of x. ranks says that it is no aggregate.
func (c *compiler) overFunc(o *plan.Over, x *syntax.Call) (ranks, ok bool) {
	of, ranks := overFunctions[x.Name]
	kind, aggregate := aggregates[x.Name]
	switch {
	case ranks:
		o.Func = of
	case (x.Name == "first" || x.Name == "last") && len(x.Args) == 1:
		o.Func = map[string]plan.OverFunc{"first": plan.FirstValue, "last": plan.LastValue}[x.Name]
		ranks = true
	case aggregate && kind.State() != plan.MinBy && kind.State() != plan.MaxBy && kind != plan.ApproxPercentile &&
		kind < plan.ApproxCountDistinctState:
		o.Func, o.Aggregate = plan.OverAggregate, kind
	case collecting[x.Name].kind == plan.StringAgg && len(x.Over.OrderBy) == 0:
		c.fault(x.Pos, "%s depends on an order: write ORDER BY in OVER with the columns that say it", x.Name)
		return false, false
	case collecting[x.Name].kind == plan.StringAgg:
		o.Func = plan.OverTexts
	case !isFunction(x.Name) && !isAggregate(&syntax.Call{Name: x.Name}): // has been reported
		return false, false
	default:
		c.fault(x.Pos, "%s cannot be OVER rows", x.Name)
		return false, false
	}
	return ranks, true
}

// over1 is an expression in a function with OVER.
func (c *compiler) over1(e syntax.Expr, inner leaf) (*expr.Expr, bool) {
	if hasOver(e) {
		c.fault(e.Start(), "%s: OVER within OVER is not supported", e)
		return nil, false
	}
	return c.over(e, inner)
}

// overArgs binds the arguments of a function with OVER.
func (c *compiler) overArgs(o *plan.Over, x *syntax.Call, inner leaf) bool {
	if o.Func == plan.Lag || o.Func == plan.Lead {
		return c.shiftArgs(o, x, inner)
	}
	args := x.Args
	if o.Func == plan.OverTexts {
		if !c.arity(x, 1, 2) || !c.separator(&o.Separator, x) {
			return false
		}
		args = args[:1]
	}
	for i, a := range args {
		e, ok := c.over1(a, inner)
		if !ok {
			return false
		}
		if number := o.Func == plan.Ntile || o.Func == plan.NthValue && i == 1; number && e.Type() != record.Int64 {
			c.fault(a.Start(), "%s of %v, expected bigint", x.Name, e.Type())
			return false
		}
		if o.Func == plan.OverTexts {
			e = c.to(e, record.String)
		}
		if o.Func == plan.OverAggregate && o.Aggregate.OfPairs() && isNumber(e.Type()) {
			e = c.to(e, record.Float64)
		}
		if (x.Name == "any_value" || x.Name == "arbitrary") && e.Type() == record.Bool {
			o.Aggregate = plan.BoolAnd
		}
		o.Args = append(o.Args, e)
	}
	if x.Filter == nil {
		return true
	}
	v, ok := c.bind(x.Filter, inner)
	if !ok {
		return false
	}
	filter := c.boolean(v, x.Filter, "FILTER")
	if filter == nil {
		return false
	}
	if len(o.Args) == 0 {
		o.Args = []*expr.Expr{expr.Bool(true)}
	}
	cut, err := expr.Case(filter, o.Args[0], expr.Null(o.Args[0].Type()))
	if err != nil {
		c.fault(x.Pos, "%v", err)
		return false
	}
	o.Args[0] = cut
	return true
}

// shiftArgs binds the arguments of lag and lead: the value, the distance, and what stands for rows
// that are not there.
func (c *compiler) shiftArgs(o *plan.Over, x *syntax.Call, inner leaf) bool {
	if !c.arity(x, 1, 3) {
		return false
	}
	if len(x.Args) < 3 {
		e, ok := c.over1(x.Args[0], inner)
		if !ok {
			return false
		}
		o.Args = []*expr.Expr{e}
	} else {
		args, ok := c.same(x.Pos, inner, x.Args[0], x.Args[2])
		if !ok {
			return false
		}
		o.Args = []*expr.Expr{args[0]}
		defer func() { o.Args = append(o.Args, args[1]) }()
	}
	if len(x.Args) == 1 {
		return true
	}
	by, ok := c.over1(x.Args[1], inner)
	if ok && by.Type() != record.Int64 {
		c.fault(x.Args[1].Start(), "%s by %v, expected bigint", x.Name, by.Type())
		ok = false
	}
	o.Args = append(o.Args, by)
	return ok
}

// frame binds the frame of a function with OVER.
func (c *compiler) frame(o *plan.Over, x *syntax.Call) bool {
	f := x.Over.Frame
	o.Begin.Unbounded = true
	if f == nil {
		// Up to the row and those that tie with it, or all rows if there is no order.
		o.End.Unbounded = len(o.OrderBy) == 0
		return true
	}
	o.Unit = map[string]plan.FrameUnit{
		"ROWS": plan.FrameRows, "RANGE": plan.FrameRange, "GROUPS": plan.FrameGroups,
	}[f.Unit]
	if f.Unit == "GROUPS" && len(o.OrderBy) == 0 {
		c.fault(f.Pos, "a frame of GROUPS needs an ORDER BY in OVER")
		return false
	}
	o.Exclude = map[syntax.Exclusion]plan.FrameExclusion{
		syntax.ExcludeCurrentRow: plan.ExcludeCurrentRow, syntax.ExcludeGroup: plan.ExcludeGroup,
		syntax.ExcludeTies: plan.ExcludeTies,
	}[f.Exclude]
	for _, b := range []struct {
		from *syntax.Bound
		to   *plan.FrameBound
	}{{&f.Begin, &o.Begin}, {&f.End, &o.End}} {
		b.to.Unbounded = b.from.Kind == syntax.UnboundedPreceding || b.from.Kind == syntax.UnboundedFollowing
		if b.from.N != nil && !c.distance(o, f, b.from, b.to) {
			return false
		}
	}
	return true
}

// distance binds n PRECEDING or n FOLLOWING.
func (c *compiler) distance(o *plan.Over, f *syntax.Frame, from *syntax.Bound, to *plan.FrameBound) bool {
	v, ok := c.bind(from.N, noLeaf)
	if !ok {
		return false
	}
	k, constant := v.e.Const()
	typ := record.Int64
	if f.Unit == "RANGE" {
		if len(o.OrderBy) != 1 {
			c.fault(f.Pos, "a frame of RANGE with a distance needs one expression in ORDER BY")
			return false
		}
		typ = o.OrderBy[0].Expr.Type()
	}
	good := constant && !k.Null && v.months == 0
	switch {
	case !good:
	case (typ == record.Timestamp || typ == record.Interval) && v.interval:
		to.By = int64(k.Bits)
	case v.interval:
		good = false
	case typ == record.Int64 && v.e.Type() == record.Int64:
		to.By = int64(k.Bits)
	case f.Unit == "RANGE" && typ == record.Float64 && isNumber(v.e.Type()):
		as, err := expr.Cast(v.e, record.Float64)
		n, _ := as.Const()
		to.ByFloat, good = math.Float64frombits(n.Bits), err == nil
	case f.Unit == "RANGE" && typ.IsDecimal() && (v.e.Type() == record.Int64 || v.e.Type().IsDecimal()):
		as, err := expr.Cast(v.e, typ)
		n, is := as.Const()
		to.By, good = int64(n.Bits), err == nil && is
	default:
		good = false
	}
	if typ.IsWide() && f.Unit == "RANGE" {
		c.fault(from.N.Start(), "a frame of RANGE over %v is not supported: order by a decimal of up to %d digits, "+
			"or a double precision", typ, record.MaxPrecision)
		return false
	}
	if !good || to.By < 0 || to.ByFloat < 0 {
		c.fault(from.N.Start(), "a frame of %s by %s, expected a constant that is not negative%s", f.Unit, from.N,
			map[bool]string{true: ", an interval for times", false: ""}[typ == record.Timestamp])
		return false
	}
	if from.Kind == syntax.Preceding {
		to.By, to.ByFloat = -to.By, -to.ByFloat
	}
	return true
}

// orderOf is the order of the rows that a function with OVER sees, for records that have no other
// order. If it has none either, all rows tie, and stay as they came.
func orderOf(o *plan.Over) (orders []plan.Order) {
	for _, e := range o.PartitionBy {
		orders = append(orders, plan.Order{Expr: e})
	}
	orders = append(orders, o.OrderBy...)
	if len(orders) == 0 {
		orders = []plan.Order{{Expr: expr.Bool(true)}}
	}
	return orders
}
