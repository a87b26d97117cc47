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

// truncUnits are the nanoseconds of the units that an interval is cut to.
var truncUnits = map[string]int64{
	"microseconds": 1e3, "milliseconds": 1e6, "second": 1e9, "minute": 60e9, "hour": 3600e9, "day": record.DayNanos,
}

// truncInterval is date_trunc of an interval, which is cut towards 0.
func (c *compiler) truncInterval(at *syntax.Literal, field string, v value) (value, bool) {
	unit := truncUnits[field]
	if unit == 0 {
		c.fault(at.Pos, "date_trunc of an interval to %q, expected day, hour, minute, second, milliseconds or "+
			"microseconds: an interval has no months, and its weeks are days", at.Text)
		return v, false
	}
	v, ok := c.make(at.Pos, expr.Div, v.e, expr.Int(record.Int64, unit))
	if !ok {
		return v, false
	}
	v, ok = c.make(at.Pos, expr.Mul, v.e, expr.Int(record.Int64, unit))
	v.interval, v.elapsed = true, true
	return v, ok
}

// intervalParts are the arguments of make_interval.
var intervalParts = []string{"year", "month", "week", "day", "hour", "minute", "second"}

// makeInterval is make_interval(years, months, weeks, days, hours, minutes, seconds), of which the
// last may be left out.
func (c *compiler) makeInterval(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 0, len(intervalParts)) {
		return v, false
	}
	var sum syntax.Expr
	for i, a := range x.Args {
		n, ok := c.bind(a, l)
		if !ok {
			return v, false
		}
		if i < 2 {
			if !isZero(n.e) || n.e.Type() != record.Int64 {
				c.fault(a.Start(), "%s of %ss: an interval has no months and years, write 0", x.Name, intervalParts[i])
				return v, false
			}
			continue
		}
		if t := n.e.Type(); n.interval || !isNumber(t) || i < len(intervalParts)-1 && t != record.Int64 {
			c.fault(a.Start(), "%s of %v %ss, expected a whole number, of seconds any number", x.Name, typeOf(n),
				intervalParts[i])
			return v, false
		}
		unit := &syntax.Literal{Pos: x.Pos, Kind: syntax.Interval, Text: "1", Unit: intervalParts[i]}
		part := binaryOf(x, "*", unit, a)
		if sum != nil {
			part = binaryOf(x, "+", sum, part)
		}
		sum = part
	}
	if sum == nil {
		return value{e: expr.Int(record.Int64, 0), interval: true, elapsed: true}, true
	}
	v, ok = c.bind(sum, l)
	v.elapsed = true
	return v, ok
}

// justifyHours is justify_hours(interval), which makes days of every 24 hours: every interval is
// shown like that.
func (c *compiler) justifyHours(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if ok && !v.interval {
		c.fault(x.Args[0].Start(), "%s of %s, expected interval", x.Name, typeOf(v))
		return v, false
	}
	v.elapsed = true
	return v, ok && c.fixed(v, x.Args[0])
}
