package query

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// aggregates are the functions over many records, by their names in SQL.
var aggregates = map[string]plan.AggregateKind{
	"count": plan.Count, "sum": plan.Sum, "min": plan.Min, "max": plan.Max, "avg": plan.Avg,
	"var_pop": plan.VarPop, "var_samp": plan.VarSamp, "variance": plan.VarSamp, "stddev_pop": plan.StddevPop,
	"stddev_samp": plan.StddevSamp, "stddev": plan.StddevSamp,
	"min_by": plan.MinBy, "max_by": plan.MaxBy, "arg_min": plan.MinBy, "arg_max": plan.MaxBy, "argmin": plan.MinBy,
	"argmax": plan.MaxBy, "first": plan.First, "last": plan.Last,
	"bool_and": plan.BoolAnd, "every": plan.BoolAnd, "bool_or": plan.BoolOr,
	"approx_count_distinct": plan.ApproxCountDistinct, "approx_percentile": plan.ApproxPercentile,
	"approx_distinct": plan.ApproxCountDistinct, "ndv": plan.ApproxCountDistinct,
	"approx_quantile": plan.ApproxPercentile, "percentile_approx": plan.ApproxPercentile,
	"approx_percentile_cont": plan.ApproxPercentile,
	"any_value":              plan.Min, "arbitrary": plan.Min,
	"approx_count_distinct_state":       plan.ApproxCountDistinctState,
	"approx_count_distinct_merge":       plan.ApproxCountDistinctMerge,
	"approx_count_distinct_merge_state": plan.ApproxCountDistinctMergeState,
	"approx_percentile_state":           plan.ApproxPercentileState,
	"approx_percentile_merge":           plan.ApproxPercentileMerge,
	"approx_percentile_merge_state":     plan.ApproxPercentileMergeState,
	"approx_top_k":                      plan.ApproxTopK, "reservoir_sample": plan.ReservoirSample,
	"bit_and": plan.BitAnd, "bit_or": plan.BitOr, "bit_xor": plan.BitXor,
	"corr": plan.Corr, "covar_pop": plan.CovarPop, "covar_samp": plan.CovarSamp, "regr_slope": plan.RegrSlope,
	"regr_intercept": plan.RegrIntercept, "regr_r2": plan.RegrR2, "regr_count": plan.RegrCount,
	"regr_avgx": plan.RegrAvgX, "regr_avgy": plan.RegrAvgY, "regr_sxx": plan.RegrSXX, "regr_syy": plan.RegrSYY,
	"regr_sxy": plan.RegrSXY,
	// Other names: of DuckDB, ClickHouse, Trino, Snowflake and Flink.
	"mean": plan.Avg, "logical_and": plan.BoolAnd, "logical_or": plan.BoolOr,
	"booland_agg": plan.BoolAnd, "boolor_agg": plan.BoolOr, "var": plan.VarSamp, "std": plan.StddevSamp,
}

// conditional are aggregates of the records for which their last argument is true, by the aggregate
// that has that as FILTER.
var conditional = map[string]string{
	"count_if": "count", "countif": "count", "sum_if": "sum", "sumif": "sum", "avg_if": "avg", "avgif": "avg",
}

// filtered writes count_if(c) as count(*) FILTER (WHERE c), and sum_if(x, c) as sum(x) FILTER
// (WHERE c).
func filtered(x *syntax.Call) *syntax.Call {
	name := conditional[x.Name]
	if name == "" || len(x.Args) == 0 {
		return x
	}
	last := len(x.Args) - 1
	call := *x
	call.Name, call.Args, call.Star = name, x.Args[:last], last == 0
	call.Filter = x.Args[last]
	if x.Filter != nil {
		call.Filter = &syntax.Binary{Pos: x.Pos, Op: "AND", X: x.Args[last], Y: x.Filter}
	}
	return &call
}

// refused are aggregates that are known but not supported, and what to use instead.
var refused = func() map[string]string {
	all := map[string]string{}
	for why, names := range map[string]string{
		"is not there: write approx_percentile(x, fraction), or quantile_cont(x, fraction)": "quantiles",
		"is not there: array_agg(x ORDER BY ...) makes a list": "json_agg jsonb_agg json_object_agg jsonb_object_agg " +
			"json_group_array json_group_object xmlagg collect_set arrayagg",
		"is not there: min(x), max(x), first(x, at) and last(x, at) choose a value of a group": "any",
		"is not there: write approx_count_distinct(x), or count(DISTINCT x)": "approx_count uniq uniqexact " +
			"hll_count_distinct count_distinct",
		"is not there: write approx_top_k(x, k)": "top_k topk approx_topk approx_most_frequent",
		"is not there: write approx_count_distinct_state(x), and approx_count_distinct_merge(state) of what that " +
			"has made": "hll_accumulate hll_combine hll_estimate hll_add_agg hll_union_agg hll_sketch_agg uniqstate " +
			"uniqmerge datasketch_hll",
		"is not there": "entropy histogram mad checksum",
		"needs OVER: write it with OVER (PARTITION BY ... ORDER BY ...)": "row_number rank dense_rank percent_rank " +
			"cume_dist ntile lag lead first_value last_value nth_value",
	} {
		for _, name := range strings.Fields(names) {
			all[name] = why
		}
	}
	return all
}()

// percentileNamed is the fraction that a name such as p99 or p999 stands for; "" for other names.
func percentileNamed(name string) string {
	digits, ok := strings.CutPrefix(name, "p")
	if !ok || len(digits) < 2 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return "0." + digits
}

// regardless are the functions for which DISTINCT makes no difference.
var regardless = []plan.AggregateKind{
	plan.Min, plan.Max, plan.BoolAnd, plan.BoolOr, plan.BitAnd, plan.BitOr, plan.ApproxCountDistinct,
	plan.ApproxCountDistinctState, plan.ApproxCountDistinctMerge, plan.ApproxCountDistinctMergeState,
}

// ofDistinct are the functions that can be DISTINCT.
var ofDistinct = []plan.AggregateKind{
	plan.Count, plan.Sum, plan.Avg, plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp, plan.BitXor,
}

// numeric are functions of numbers; of a NULL without a type they are functions of a double
// precision.
var numeric = []plan.AggregateKind{plan.Sum, plan.Avg, plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp}

func isAggregate(x *syntax.Call) bool {
	_, no := refused[x.Name]
	if no && userFunction(x.Name) != nil {
		return false // a user has written a scalar function of that name
	}
	return (no || isBuiltInAggregate(x.Name) || userAggregate(x.Name) != nil) && x.Over == nil
}

// isBuiltInAggregate says whether there is an aggregate that no user has registered.
func isBuiltInAggregate(name string) bool {
	_, known := aggregates[name]
	return known || inGo[name] != nil || conditional[name] != "" ||
		percentileNamed(name) != "" || collecting[name].kind != 0
}

// aggregate adds an aggregate to the plan.
func (c *compiler) aggregate(x *syntax.Call, name string) {
	x.Star = x.Star || x.Name == "count" && len(x.Args) == 0 && !x.Distinct // count(), as in SQLite and DuckDB
	text := x.String()
	if _, ok := c.aggregates[text]; ok {
		return
	}
	x = filtered(x)
	if f := percentileNamed(x.Name); f != "" && len(x.Args) == 1 {
		x = &syntax.Call{Pos: x.Pos, Name: "approx_percentile", Filter: x.Filter, Args: []syntax.Expr{
			x.Args[0], &syntax.Literal{Pos: x.Pos, Kind: syntax.Decimal, Text: f},
		}}
	}
	if aggregates[x.Name] == plan.ApproxPercentile && len(x.Args) == 1 && len(x.WithinGroup) == 1 {
		call := *x // approx_percentile(0.9) WITHIN GROUP (ORDER BY x)
		call.Args, call.WithinGroup = []syntax.Expr{x.WithinGroup[0].Expr, x.Args[0]}, nil
		if x.WithinGroup[0].Desc || call.Args[0] == nil {
			c.fault(x.Pos, "%s is of one expression, in ascending order", x.Name)
			return
		}
		x = &call
	}
	user := userAggregate(x.Name)
	if why, ok := refused[x.Name]; ok && user == nil {
		c.fault(x.Pos, "%s %s", x.Name, why)
		return
	}
	if collecting[x.Name].kind != 0 {
		c.collected(x, text, name)
		return
	}
	kind := aggregates[x.Name]
	if kind.State() == plan.MinBy || kind.State() == plan.MaxBy {
		x = c.byTime(x)
	}
	if user != nil && !c.mayAggregateUser(user, x) || user == nil && !c.mayAggregate(x, kind) {
		return
	}
	leaf := c.sourceLeaf("an aggregate")
	kind, ok := c.anyKind(x, kind)
	if !ok {
		return
	}
	var filter *expr.Expr
	if x.Filter != nil {
		v, ok := c.bind(x.Filter, leaf)
		if !ok {
			return
		}
		filter = c.boolean(v, x.Filter, "FILTER")
		if filter == nil {
			return
		}
	}
	a := plan.Aggregate{Func: kind, User: user, Distinct: x.Distinct && !slices.Contains(regardless, kind)}
	args := x.Args
	switch kind {
	case plan.ApproxPercentile, plan.ApproxPercentileMerge:
		a.Fraction, ok = c.fraction(args[1], x)
		args = args[:1]
	case plan.ApproxTopK, plan.ReservoirSample:
		a.K, ok = c.howMany(args[1], x)
		args = args[:1]
	}
	if !ok {
		return
	}
	c.kind = value{}
	if c.aggregateArgs(&a, x, args, filter) {
		c.kinds[c.addAggregate(x, a, text, name)] = c.kind
	}
}

// inDoubles are the functions that compute with wide decimals in double precision.
var inDoubles = []plan.AggregateKind{
	plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp, plan.ApproxPercentile, plan.ApproxPercentileState,
}

// keepsKind says whether the result of an aggregate is one of the values of its argument.
func keepsKind(k plan.AggregateKind) bool {
	return k == plan.Min || k == plan.Max || k.State() == plan.MinBy || k.State() == plan.MaxBy
}

// addAggregate gives an aggregate a name, which it returns, and adds it to the plan.
func (c *compiler) addAggregate(x *syntax.Call, a plan.Aggregate, text, name string) string {
	if name == "" || c.used[name] || isBound(name) {
		name = c.free(x.Name)
	}
	c.used[name] = true
	a.Name = name
	check := &plan.Plan{Source: c.source, Computed: c.plans.Computed, Aggregates: []plan.Aggregate{a}}
	if err := check.Validate(); err != nil {
		text := strings.TrimPrefix(reason(err), "agg: ")
		if !strings.HasPrefix(text, x.Name+"(") {
			text = x.Name + ": " + text
		}
		c.fault(x.Pos, "%s", text)
		return ""
	}
	c.aggregates[text] = name
	c.plans.Aggregates = append(c.plans.Aggregates, a)
	return name
}

// mayAggregate says whether an aggregate is called as it can be.
func (c *compiler) mayAggregate(x *syntax.Call, kind plan.AggregateKind) bool {
	switch {
	case x.Distinct && !slices.Contains(regardless, kind) && !slices.Contains(ofDistinct, kind):
		c.fault(x.Pos, "%s(DISTINCT ...) is not there; count, sum, avg, variances and lists can be DISTINCT", x.Name)
		return false
	case x.Distinct && x.Star:
		c.fault(x.Pos, "count(DISTINCT *) has no meaning, expected a column")
		return false
	case len(x.OrderBy) > 0 && (x.Name == "any_value" || x.Name == "arbitrary"):
		c.fault(x.Pos, "%s chooses by one expression in ORDER BY", x.Name)
		return false
	case len(x.OrderBy)+len(x.WithinGroup) > 0 && (len(x.WithinGroup) > 0 || kind.State() == plan.MinBy ||
		kind.State() == plan.MaxBy): // for others an order makes no difference
		c.fault(x.Pos, "%s does not depend on an order; first and last take what they choose by as a second argument",
			x.Name)
		return false
	case x.Star && x.Name != "count":
		c.fault(x.Pos, "%s(*) has no meaning, expected a column", x.Name)
		return false
	}
	want := 1
	switch {
	case (x.Name == "first" || x.Name == "last") && len(x.Args) == 1:
		c.fault(x.Pos, "%s(%s) depends on which record comes first: write %s(%s, at) with the column that says when, "+
			"or group by a window, whose time that is then", x.Name, x.Args[0], x.Name, x.Args[0])
		return false
	case kind == plan.MinBy || kind == plan.MaxBy || kind == plan.First || kind == plan.Last ||
		kind == plan.ApproxPercentile || kind == plan.ApproxPercentileMerge || kind == plan.ApproxTopK ||
		kind == plan.ReservoirSample || kind.OfPairs():
		want = 2
	case kind == plan.Count && x.Star:
		want = 0
	}
	if len(x.Args) != want {
		hint := ""
		switch {
		case x.Name == "count" && x.Distinct:
			hint = ": write SELECT count(*) FROM (SELECT DISTINCT a, b FROM ...)"
		case (kind == plan.Min || kind == plan.Max) && len(x.Args) > 1:
			hint = ": write " + map[plan.AggregateKind]string{plan.Min: "least", plan.Max: "greatest"}[kind] + "(a, b)"
		case kind == plan.ApproxPercentile:
			hint = ": write " + x.Name + "(x, 0.99)"
		}
		c.fault(x.Pos, "%s of %d arguments, expected %d%s", x.Name, len(x.Args), want, hint)
		return false
	}
	return true
}

// byTime adds the time of the window to first(x) and last(x).
func (c *compiler) byTime(x *syntax.Call) *syntax.Call {
	if x.Name != "first" && x.Name != "last" || len(x.Args) != 1 || c.timeExpr == nil {
		return x
	}
	call := *x
	call.Args = []syntax.Expr{x.Args[0], c.timeExpr}
	return &call
}

// anyKind is the function that any_value stands for: it takes the least value, so that the result
// does not depend on which record comes first.
func (c *compiler) anyKind(x *syntax.Call, kind plan.AggregateKind) (plan.AggregateKind, bool) {
	if x.Name != "any_value" && x.Name != "arbitrary" {
		return kind, true
	}
	arg, ok := c.over(x.Args[0], c.sourceLeaf("an aggregate"))
	if ok && arg.Type() == record.Bool {
		return plan.BoolAnd, true
	}
	return kind, ok
}

// aggregateArgs finds the columns of the arguments of an aggregate. If there is a filter, the
// argument is an expression that is NULL for records that the filter rejects; count(*) counts true.
func (c *compiler) aggregateArgs(a *plan.Aggregate, x *syntax.Call, args []syntax.Expr, filter *expr.Expr) bool {
	n := len(args)
	if filter != nil {
		n = max(n, 1)
	}
	for i := range n {
		arg, text := expr.Bool(true), "true"
		if i < len(args) {
			v, ok := c.bind(args[i], c.sourceLeaf("an aggregate"))
			if !ok {
				return false
			}
			if i == 0 && keepsKind(a.Func) {
				c.kind = v
			}
			arg, ok = c.settled(v, args[i])
			if !ok {
				return false
			}
			if k, is := v.e.Const(); is && v.open && k.Null && slices.Contains(numeric, a.Func) {
				arg = expr.Null(record.Float64)
			}
			text = args[i].String()
			plain, is := arg.BeforeWide()
			if is && a.Func == plan.Sum && a.User == nil && !a.Distinct && filter == nil {
				a.Func, arg, text = plan.SumWide, plain, text+" before its cast"
			}
			if arg.Type().IsWide() && slices.Contains(inDoubles, a.Func) {
				arg, text = c.to(arg, record.Float64), text+" as double"
			}
		}
		if a.User != nil {
			if t := userType(a.User, i, arg.Type()); t != arg.Type() {
				arg, text = c.to(arg, t), fmt.Sprintf("%s as %v", text, t)
			}
		}
		if a.Func.OfPairs() {
			if !isNumber(arg.Type()) {
				c.fault(args[i].Start(), "%s of %v, expected a number", x.Name, arg.Type())
				return false
			}
			arg, text = c.to(arg, record.Float64), text+" as double"
		}
		_, plain := arg.IsColumn()
		if filter != nil && (i == len(args)-1 || len(args) == 0 || !plain) {
			// Of two arguments it is the last, by which a record is chosen. The other is NULL too
			// if it is an expression: then it is not computed, which might fail.
			cut, err := expr.Case(filter, arg, expr.Null(arg.Type()))
			if err != nil {
				c.fault(x.Pos, "%v", err)
				return false
			}
			arg, text = cut, text+" FILTER "+x.Filter.String()
		}
		if v, ok := arg.Const(); ok && !v.Null && a.Func == plan.Count && i == 0 && !a.Distinct {
			continue // count(1)
		}
		column := c.column(arg, text, c.free("arg"))
		if i > 0 {
			a.By = column
			continue
		}
		a.Column = column
	}
	return true
}

// fraction is the value of a constant from 0 to 1.
func (c *compiler) fraction(x syntax.Expr, of *syntax.Call) (float64, bool) {
	e, ok := c.over(x, c.sourceLeaf("an aggregate"))
	if !ok {
		return 0, false
	}
	f, err := expr.Cast(e, record.Float64)
	if err == nil {
		if v, constant := f.Const(); constant && !v.Null {
			if f := math.Float64frombits(v.Bits); f >= 0 && f <= 1 {
				return f, true
			}
		}
	}
	c.fault(of.Pos, "%s at %v, expected a constant number from 0 to 1", of.Name, x)
	return 0, false
}

// howMany is the value of a constant from 1 to 100: the k of approx_top_k and reservoir_sample.
func (c *compiler) howMany(x syntax.Expr, of *syntax.Call) (int, bool) {
	e, ok := c.over(x, c.sourceLeaf("an aggregate"))
	if !ok {
		return 0, false
	}
	v, constant := e.Const()
	if constant && !v.Null && e.Type() == record.Int64 && int64(v.Bits) >= 1 && int64(v.Bits) <= plan.MaxK {
		return int(v.Bits), true
	}
	c.fault(of.Pos, "%s of %v values, expected a constant from 1 to %d", of.Name, x, plan.MaxK)
	return 0, false
}

// free is a name that is not taken.
func (c *compiler) free(base string) string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s%d", base, n); !c.used[name] {
			return name
		}
	}
}
