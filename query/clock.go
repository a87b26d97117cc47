package query

import (
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// clocks is arithmetic of times of day: a time and an interval is a time, which wraps at midnight;
// the difference of two times is an interval; a timestamp and a time is the later timestamp. done
// is false for anything else.
func (c *compiler) clocks(x *syntax.Binary, a, b value) (v value, done, ok bool) {
	isClock := func(v value) bool { return v.e.Type() == record.TimeOfDay }
	nanos := func(v value) *expr.Expr {
		e, err := expr.Retype(v.e, record.Int64)
		if err != nil {
			return v.e // the operation says which types it has
		}
		return e
	}
	if x.Op == "+" && !isClock(a) && isClock(b) {
		a, b = b, a
	}
	switch {
	case !isClock(a) && !isClock(b), !isClock(a) && a.open && x.Op == "+":
		return v, false, false
	case x.Op == "-" && (isClock(a) || a.open) && (isClock(b) || b.open):
		a, okA := c.as(a, record.TimeOfDay, x.X)
		b, okB := c.as(b, record.TimeOfDay, x.Y)
		if !okA || !okB {
			return v, true, false
		}
		v, ok = c.make(x.Pos, expr.Sub, nanos(a), nanos(b))
		v.interval, v.elapsed = true, true
		return v, true, ok
	case (x.Op == "+" || x.Op == "-") && isClock(a) && b.interval:
		if !c.fixed(b, x.Y) {
			return v, true, false
		}
		by := b.e
		if x.Op == "-" {
			b, ok = c.make(x.Pos, expr.Neg, by)
			if !ok {
				return v, true, false
			}
			by = b.e
		}
		v, ok = c.make(x.Pos, expr.AddClock, a.e, by)
		return v, true, ok
	case x.Op == "+" && isClock(a) && b.e.Type() == record.Timestamp:
		v, ok = c.make(x.Pos, expr.AddNanos, b.e, nanos(a))
		v.wall = b.wall
		return v, true, ok
	case x.Op == "-" && a.e.Type() == record.Timestamp:
		by, ok := c.make(x.Pos, expr.Neg, nanos(b))
		if !ok {
			return v, true, false
		}
		v, ok = c.make(x.Pos, expr.AddNanos, a.e, by.e)
		v.wall = a.wall
		return v, true, ok
	}
	v, ok = c.notDefined(x, a, b)
	return v, true, ok
}
