package expr

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// fields are the fields that Extract takes, with the types of their values.
var fields = map[string]record.Type{
	"epoch": record.Float64, "second": record.Float64, "millisecond": record.Float64, "milliseconds": record.Float64,
	"microsecond": record.Int64, "microseconds": record.Int64,
	"minute": record.Int64, "hour": record.Int64, "day": record.Int64, "dow": record.Int64, "isodow": record.Int64,
	"doy":    record.Int64,
	"julian": record.Float64, "decade": record.Int64, "century": record.Int64, "millennium": record.Int64,
	"week": record.Int64, "month": record.Int64, "quarter": record.Int64, "year": record.Int64, "isoyear": record.Int64,
}

// units are the units that DateTrunc takes.
var units = []string{
	"microsecond", "microseconds", "millisecond", "milliseconds", "second", "minute", "hour", "day",
	"week", "month", "quarter", "year", "decade", "century", "millennium",
}

func extractTypes(e *Expr) error {
	isClock := len(e.args) == 1 && e.args[0].typ == record.TimeOfDay
	if !isClock {
		if err := signature(0, false, record.Timestamp)(e); err != nil {
			return err
		}
	}
	t, ok := fields[e.name]
	if _, inClock := clock[e.name]; isClock && ok && !inClock && e.name != "epoch" {
		return fmt.Errorf("expr: extract(%s FROM ...): a time of day has no such field", e.name)
	}
	if !ok {
		return fmt.Errorf("expr: extract(%s FROM ...): there is no such field", e.name)
	}
	e.typ = t
	return nil
}

func evalExtract(e *Expr, a []Value) (Value, error) {
	nanos := int64(a[0].Bits)
	t := time.Unix(0, nanos).UTC()
	f := func(v float64) (Value, error) { return Value{Bits: math.Float64bits(v)}, nil }
	var v int
	switch e.name {
	case "epoch": // there is only one division, so that the quotient is rounded only once
		return f(float64(t.UnixMicro()) / 1e6)
	case "julian":
		days := floorDiv64(t.Unix(), 86400)
		return f(float64(days+2440588) + float64(t.UnixMicro()-days*86400e6)/86400e6)
	case "second":
		return f(float64(t.Second()*1e6+t.Nanosecond()/1e3) / 1e6)
	case "millisecond", "milliseconds":
		return f(float64(t.Second()*1e6+t.Nanosecond()/1e3) / 1e3)
	case "microsecond", "microseconds":
		v = t.Second()*1e6 + t.Nanosecond()/1e3
	case "minute":
		v = t.Minute()
	case "hour":
		v = t.Hour()
		if e.args[0].typ == record.TimeOfDay { // 24:00:00 has hour 24
			v = int(nanos / 3600e9)
		}
	case "day":
		v = t.Day()
	case "dow":
		v = int(t.Weekday())
	case "isodow":
		v = (int(t.Weekday())+6)%7 + 1
	case "doy":
		v = t.YearDay()
	case "week":
		_, v = t.ISOWeek()
	case "isoyear":
		v, _ = t.ISOWeek()
	case "month":
		v = int(t.Month())
	case "quarter":
		v = (int(t.Month()) + 2) / 3
	case "year":
		v = t.Year()
	case "decade":
		v = t.Year() / 10
	case "century":
		v = (t.Year() + 99) / 100
	case "millennium":
		v = (t.Year() + 999) / 1000
	}
	return Value{Bits: uint64(v)}, nil
}

func truncTypes(e *Expr) error {
	if !slices.Contains(units, e.name) {
		return fmt.Errorf("expr: date_trunc('%s', ...): there is no such unit, expected one of %s", e.name,
			strings.Join(units, ", "))
	}
	return signature(record.Timestamp, false, record.Timestamp)(e)
}

func evalTrunc(e *Expr, a []Value) (Value, error) {
	t := time.Unix(0, int64(a[0].Bits)).UTC()
	y, m, d := t.Date()
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	switch e.name {
	case "microsecond", "microseconds":
		t = t.Truncate(time.Microsecond)
	case "millisecond", "milliseconds":
		t = t.Truncate(time.Millisecond)
	case "second":
		t = t.Truncate(time.Second)
	case "minute":
		t = t.Truncate(time.Minute)
	case "hour":
		t = t.Truncate(time.Hour)
	case "day":
		t = day(y, m, d)
	case "week":
		t = day(y, m, d-(int(t.Weekday())+6)%7)
	case "month":
		t = day(y, m, 1)
	case "quarter":
		t = day(y, (m-1)/3*3+1, 1)
	case "year":
		t = day(y, 1, 1)
	case "decade":
		t = day(y/10*10, 1, 1)
	case "century":
		t = day((y-1)/100*100+1, 1, 1)
	case "millennium":
		t = day((y-1)/1000*1000+1, 1, 1)
	}
	if t.Year() < 1678 {
		return Value{}, errRange
	}
	return Value{Bits: uint64(t.UnixNano())}, nil
}

// evalToTimestamp counts microseconds from 2000 on, as PostgreSQL does, so that values between two
// microseconds are rounded as they are there.
func evalToTimestamp(_ *Expr, a []Value) (Value, error) {
	const y2000 = 946684800
	f := math.Float64frombits(a[0].Bits)
	if !(f > -9.2e9 && f < 9.2e9) {
		return Value{}, errRange
	}
	micros := int64(math.RoundToEven((f-y2000)*1e6)) + y2000*1e6
	return Value{Bits: uint64(micros * 1e3)}, nil
}
