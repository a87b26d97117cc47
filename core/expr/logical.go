package expr

import (
	"errors"
	"math"
	"math/bits"

	"github.com/velo-engine/velo/record"
)

// Retype returns x as a value of another type of the same kind: the same word or the same bytes
// with another meaning. Every word is a value of bigint and of interval, so it costs nothing. A
// caller who makes a time of day or a uuid of something knows that it is one.
func Retype(x *Expr, t record.Type) (*Expr, error) {
	for x.op == opRetype {
		x = x.args[0]
	}
	if x.typ == t {
		return x, nil
	}
	return build(&Expr{op: opRetype, typ: t, args: []*Expr{x}})
}

func retypeTypes(e *Expr) error {
	if len(e.args) != 1 || e.args[0].typ.Kind() != e.typ.Kind() {
		return e.fault()
	}
	return nil
}

func evalSame(_ *Expr, a []Value) (Value, error) { return a[0], nil }

// vectorSame shares the values of its argument.
func vectorSame(_ *Machine, _ *node, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	r.words, r.bits, r.views, r.bytes, r.shared = x.words, x.bits, x.views, x.bytes, x.shared
	return true
}

// logicalCast says whether there is a cast between two types that are not texts, of which one is
// logical.
func logicalCast(from, to record.Type) bool {
	switch {
	case from == record.Timestamp && to == record.TimeOfDay, from == record.TimeOfDay && to == record.Interval,
		from == record.Interval && to == record.TimeOfDay, from == record.UUID && to == record.Bytes,
		from == record.Bytes && to == record.UUID:
		return true
	}
	return false
}

// evalLogicalCast is the cast between two types of which one is logical, except to a text.
func evalLogicalCast(v Value, from, to record.Type) (Value, error) {
	switch {
	case from == record.String:
		word, text, err := record.ParseLogical(nil, to, v.Text)
		return Value{Bits: word, Text: string(text)}, err
	case to == record.TimeOfDay: // of a timestamp or an interval
		return Value{Bits: uint64(clockOf(int64(v.Bits)))}, nil
	case to == record.UUID:
		return v, record.CheckLogicalText(to, []byte(v.Text))
	}
	return v, nil
}

// vectorClock is the cast of a timestamp or an interval to a time of day.
func vectorClock(m *Machine, a []*vec) bool {
	r, x := registerOf(a[1]), a[0].words[:m.n]
	to := r.ownWords[:m.n]
	r.words = to
	day := newDivisor(record.DayNanos)
	for i, v := range x {
		_, to[i] = day.floor(v)
	}
	return true
}

// clockOf is the time of day of nanoseconds since some midnight.
func clockOf(nanos int64) int64 {
	rest := nanos % record.DayNanos
	if rest < 0 {
		rest += record.DayNanos
	}
	return rest
}

// evalAddClock is a time of day plus nanoseconds. It wraps at midnight, so the sum never fails.
func evalAddClock(_ *Expr, a []Value) (Value, error) {
	return Value{Bits: uint64(clockOf(int64(a[0].Bits) + clockOf(int64(a[1].Bits))))}, nil
}

func vectorAddClock(m *Machine, _ *node, a []*vec) bool {
	r := registerOf(a[2])
	x, y, to := a[0].words[:m.n], a[1].words[:m.n], r.ownWords[:m.n]
	r.words = to
	day := newDivisor(record.DayNanos)
	for i, v := range x {
		_, by := day.floor(y[i])
		_, to[i] = day.floor(v + by)
	}
	return true
}

// evalDivNanos is an interval divided by a whole number, in whole microseconds as in PostgreSQL.
// The half is rounded to the even one.
func evalDivNanos(_ *Expr, a []Value) (Value, error) {
	v, n := int64(a[0].Bits), int64(a[1].Bits)
	if n == 0 {
		return Value{}, errZero
	}
	sign := v>>63 ^ n>>63
	high, low := bits.Mul64(magnitude(n), 1000)
	if high > 0 { // more than twice any interval
		return Value{}, nil
	}
	whole, rest := magnitude(v)/low, magnitude(v)%low
	if rest > low-rest || rest == low-rest && whole&1 == 1 {
		whole++
	}
	micros := (int64(whole) ^ sign) - sign
	nanos, err := intOf(Mul, micros, 1000)
	return Value{Bits: uint64(nanos)}, err
}

var errClock = errors.New("no such time of day")

// evalMakeClock is a time of day of hours, minutes and seconds, of which the last is a float.
func evalMakeClock(_ *Expr, a []Value) (Value, error) {
	h, m, s := int64(a[0].Bits), int64(a[1].Bits), math.Float64frombits(a[2].Bits)
	if h < 0 || h > 24 || m < 0 || m > 59 || !(s >= 0 && s <= 60) {
		return Value{}, errClock
	}
	nanos := h*3600e9 + m*60e9 + int64(math.RoundToEven(s*1e6))*1e3
	if nanos > record.DayNanos {
		return Value{}, errClock
	}
	return Value{Bits: uint64(nanos)}, nil
}
