package query

import (
	"fmt"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/interval"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// valueOf is the value of an expression. An interval is bound as its nanoseconds, so that it has
// the arithmetic of whole numbers; settled gives it its type again.
func valueOf(e *expr.Expr) value {
	if e.Type() != record.Interval {
		return value{e: e}
	}
	nanos, err := expr.Retype(e, record.Int64)
	if err != nil {
		panic(fmt.Sprintf("query: %v", err)) // both are words
	}
	return value{e: nanos, interval: true, elapsed: true}
}

// interval is an interval of a constant text.
func (c *compiler) interval(pos syntax.Pos, text, unit string) (v value, ok bool) {
	months, d, err := interval.Of(text, unit)
	if err != nil {
		c.fault(pos, "%v", err)
		return v, false
	}
	v = value{e: expr.Int(record.Int64, int64(d)), interval: true, months: months}
	v.elapsed = interval.IsDaysAndTime(text, unit)
	return v, true
}

// isShown says whether the text of an interval is PostgreSQL's. If it is not, that is a fault.
func (c *compiler) isShown(v value, e syntax.Expr) bool {
	if v.interval && !v.elapsed {
		k, _ := v.e.Const()
		c.fault(e.Start(), "%s is kept by its length, as %s: write it so, or compute with it", e,
			record.AppendInterval(nil, int64(k.Bits)))
	}
	return !v.interval || v.elapsed
}

// intervals is + and - of two intervals, and * and / of an interval and a number.
func (c *compiler) intervals(x *syntax.Binary, a, b value) (v value, ok bool) {
	isInt := func(v value) bool { return v.e.Type() == record.Int64 && !v.interval }
	isFactor := func(v value) bool { return isNumber(v.e.Type()) && !v.interval }
	op := arithmetics[x.Op]
	switch {
	case (x.Op == "+" || x.Op == "-") && a.interval && b.interval:
	case x.Op == "/" && a.interval && isInt(b):
		op = expr.DivNanos
	case x.Op == "*" && (a.interval && isInt(b) || isInt(a) && b.interval):
	case (x.Op == "*" || x.Op == "/") && a.interval && isFactor(b), x.Op == "*" && isFactor(a) && b.interval:
		return c.scaled(x, a, b)
	default:
		return c.notDefined(x, a, b)
	}
	v, ok = c.make(x.Pos, op, a.e, b.e)
	v.interval, v.elapsed = true, true
	return v, ok
}
