package expr

import (
	"strconv"
	"time"

	"github.com/velo-engine/velo/record"
)

// AgeMonths and AgeNanos are the parts of PostgreSQL's age(a, b): the whole months between two
// times, and the days and the time that are left, with the same sign. AgeText is both as a text.

func ageTypes(e *Expr) error {
	t := record.Int64
	if e.op == AgeText {
		t = record.String
	}
	return signature(t, false, record.Timestamp, record.Timestamp)(e)
}

// age is the months, days and nanoseconds between two times, with the same sign.
func age(a, b int64) (months int, days, nanos int64) {
	if a < b {
		months, days, nanos = ageForward(b, a)
		return -months, -days, -nanos
	}
	return ageForward(a, b)
}

// ageForward is age for a time a that is not before b. A month that is not whole is counted in days
// of the month of b.
func ageForward(a, b int64) (months int, days, nanos int64) {
	x, y := time.Unix(0, a).UTC(), time.Unix(0, b).UTC()
	months = 12*(x.Year()-y.Year()) + int(x.Month()) - int(y.Month())
	days = int64(x.Day() - y.Day())
	clock := func(t time.Time) int64 {
		h, m, s := t.Clock()
		return int64(h)*3600e9 + int64(m)*60e9 + int64(s)*1e9 + int64(t.Nanosecond())
	}
	nanos = clock(x) - clock(y)
	if nanos < 0 {
		nanos += dayNanos
		days--
	}
	for days < 0 {
		days += int64(time.Date(y.Year(), y.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day())
		months--
	}
	return months, days, nanos
}

func evalAge(e *Expr, a []Value) (Value, error) {
	if e.op == AgeText {
		return evalMade(e, a)
	}
	months, days, nanos := age(int64(a[0].Bits), int64(a[1].Bits))
	if e.op == AgeMonths {
		return Value{Bits: uint64(months)}, nil
	}
	return Value{Bits: uint64(days*dayNanos + nanos)}, nil
}

// appendAge appends an age as PostgreSQL writes it: 1 year 2 mons 3 days 04:05:06.
func appendAge(_ *Expr, to []byte, a []Value) ([]byte, error) {
	months, days, nanos := age(int64(a[0].Bits), int64(a[1].Bits))
	begin := len(to)
	part := func(n int, unit string) {
		if n == 0 {
			return
		}
		if len(to) > begin {
			to = append(to, ' ')
		}
		to = append(append(strconv.AppendInt(to, int64(n), 10), ' '), unit...)
		if n != 1 {
			to = append(to, 's')
		}
	}
	part(months/12, "year")
	part(months%12, "mon")
	rest := days*dayNanos + nanos
	if rest == 0 && len(to) > begin {
		return to, nil
	}
	if len(to) > begin {
		to = append(to, ' ')
	}
	return record.AppendInterval(to, rest), nil
}
