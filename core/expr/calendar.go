package expr

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/velo-engine/velo/record"
)

// evalMakeTime makes a timestamp of a year, a month and a day, and for MakeTime of an hour, a
// minute and seconds.
func evalMakeTime(e *Expr, a []Value) (Value, error) {
	y, m, d := int64(a[0].Bits), int64(a[1].Bits), int64(a[2].Bits)
	if y < 1678 || y > 2261 || m < 1 || m > 12 || d < 1 ||
		d > int64(time.Date(int(y), time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()) {
		return Value{}, errors.New("there is no such date")
	}
	at := time.Date(int(y), time.Month(m), int(d), 0, 0, 0, 0, time.UTC).UnixNano()
	if e.op == MakeDate {
		return Value{Bits: uint64(at)}, nil
	}
	hour, minute, second := int64(a[3].Bits), int64(a[4].Bits), math.Float64frombits(a[5].Bits)
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || !(second >= 0 && second < 60) {
		return Value{}, errors.New("there is no such time of day")
	}
	micros := int64(math.RoundToEven(second * 1e6))
	return Value{Bits: uint64(at + hour*3600e9 + minute*60e9 + micros*1e3)}, nil
}

// MonthBin returns the begin of the bin of some months that a timestamp lies in. Bins are counted
// from January 2000, as DuckDB and TimescaleDB do.
func MonthBin(months int, x *Expr) (*Expr, error) {
	if months < 1 {
		return nil, fmt.Errorf("expr: bins of %d months, expected 1 or more", months)
	}
	return build(&Expr{op: monthBin, name: fmt.Sprint(months), args: []*Expr{x}, aux: months})
}

func evalMonthBin(e *Expr, a []Value) (Value, error) {
	t := time.Unix(0, int64(a[0].Bits)).UTC()
	size := e.aux.(int)
	months := (t.Year()-2000)*12 + int(t.Month()) - 1
	at := time.Date(2000, time.Month(1+floorDiv(months, size)*size), 1, 0, 0, 0, 0, time.UTC)
	if at.Year() < 1678 {
		return Value{}, errRange
	}
	return Value{Bits: uint64(at.UnixNano())}, nil
}

func monthBinTypes(e *Expr) error {
	return signature(record.Timestamp, false, record.Timestamp)(e)
}

func vectorMonthBin(m *Machine, e *node, a []*vec) bool { return m.vectorDays(e, a) }
