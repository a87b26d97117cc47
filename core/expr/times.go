package expr

import (
	"math"

	"github.com/velo-engine/velo/record"
)

const dayNanos = 86400e9

// spans are the units of DateTrunc that always have the same length, each with the beginning of one
// such unit. A week begins on Monday, and 1970 began on a Thursday.
var spans = map[string]struct{ nanos, begin int64 }{
	"microsecond": {1e3, 0}, "microseconds": {1e3, 0}, "millisecond": {1e6, 0}, "milliseconds": {1e6, 0},
	"second": {1e9, 0}, "minute": {60e9, 0}, "hour": {3600e9, 0},
	"day": {86400e9, 0}, "week": {7 * 86400e9, -3 * 86400e9},
}

// firstTime is 1678-01-01. Times are never cut to a time before that.
const firstTime = -9214560000e9

// vectorTrunc cuts times to units. It divides for units that always have the same length, and goes
// by the day for others.
func vectorTrunc(m *Machine, e *node, a []*vec) bool {
	s, ok := spans[e.name]
	if !ok {
		return m.vectorDays(e, a)
	}
	r, x := registerOf(a[1]), a[0].words[:m.n]
	to := r.ownWords[:m.n]
	r.words = to
	d := newDivisor(uint64(s.nanos))
	// first is the first beginning that is possible. A time before it fails. Every other time is
	// after it, so the difference is never negative.
	first := firstTime + (s.nanos-(firstTime-s.begin)%s.nanos)%s.nanos
	for i, v := range x {
		if int64(v) < first && r.isValid(i) {
			r.fail(i)
		}
		_, rest := d.by(v - uint64(first))
		to[i] = v - rest
	}
	return true
}

// clock has the fields of Extract that are a part of a longer unit. The result counts the shorter
// units, and is divided by unit if it is a float.
var clock = map[string]struct {
	long, short uint64
	unit        float64
}{
	"hour": {dayNanos, 3600e9, 0}, "minute": {3600e9, 60e9, 0}, "second": {60e9, 1e3, 1e6},
	"millisecond": {60e9, 1e3, 1e3}, "milliseconds": {60e9, 1e3, 1e3},
	"microsecond": {60e9, 1e3, 0}, "microseconds": {60e9, 1e3, 0},
}

// vectorExtract divides to get what a clock shows, and goes by the day for other fields.
func vectorExtract(m *Machine, e *node, a []*vec) bool {
	r, x := registerOf(a[1]), a[0].words[:m.n]
	to := r.ownWords[:m.n]
	r.words = to
	c, ok := clock[e.name]
	if c.long == dayNanos && e.Expr.args[0].typ == record.TimeOfDay {
		c.long *= 2 // 24:00:00 has hour 24
	}
	switch long, short := newDivisor(max(c.long, 1)), newDivisor(max(c.short, 1)); {
	case e.name == "epoch":
		micros := newDivisor(1e3)
		for i, v := range x {
			whole, _ := micros.floor(v)
			to[i] = math.Float64bits(float64(int64(whole)) / 1e6)
		}
	case e.name == "julian":
		return false
	case !ok:
		return m.vectorDays(e, a)
	case c.unit != 0:
		for i, v := range x {
			_, rest := long.floor(v)
			whole, _ := short.by(rest)
			to[i] = math.Float64bits(float64(whole) / c.unit)
		}
	default:
		for i, v := range x {
			_, rest := long.floor(v)
			to[i], _ = short.by(rest)
		}
	}
	return true
}

// A dayCache has what the calendar says about some days, at the lower bits of their number since
// 1970. The times of a stripe are from few days.
type dayCache struct {
	days   [dayCacheSize]uint64
	values [dayCacheSize]uint64
}

const dayCacheSize = 64

// noDay is further from 1970 than any time is.
const noDay = 1 << 40

func newDayCache() *dayCache {
	c := new(dayCache)
	for i := range c.days {
		c.days[i] = noDay
	}
	return c
}

// vectorDays is for operations with the same result for all times of a day. The function of values
// computes the days that are not in the cache.
func (m *Machine) vectorDays(e *node, a []*vec) bool {
	r, x := registerOf(a[1]), a[0].words[:m.n]
	r.words = r.ownWords[:m.n]
	if r.cache == nil {
		r.cache = newDayCache()
	}
	c, d := r.cache, newDivisor(dayNanos)
	for i, v := range x {
		day, _ := d.floor(v)
		slot := day % dayCacheSize
		if c.days[slot] != day {
			m.values = append(m.values[:0], Value{Bits: v})
			value, err := ops[e.op].eval(e.Expr, m.values)
			if err != nil {
				if r.isValid(i) {
					r.fail(i)
				}
				continue
			}
			c.days[slot], c.values[slot] = day, value.Bits
		}
		r.words[i] = c.values[slot]
	}
	return true
}
