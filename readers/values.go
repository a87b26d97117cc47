package readers

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// number reads a bigint or a decimal exactly: digits with an optional sign and, for a decimal, a point. Digits behind the point that
// the column has no room for must be zeros.
func (f *field) number(text []byte) (int64, error) {
	bad := func() error {
		if f.limit == 0 {
			return fmt.Errorf("%.40q is not a bigint", text)
		}
		return fmt.Errorf("%.40q is not a decimal with %d digits behind the point", text, f.scale)
	}
	rest := text
	negative := rest[0] == '-'
	if negative || rest[0] == '+' {
		rest = rest[1:]
	}
	var v uint64
	digits, behind, point := 0, 0, false
	for _, c := range rest {
		if c == '.' && !point && f.limit != 0 {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return 0, bad()
		}
		digits++
		if point {
			if behind++; behind > f.scale {
				if c != '0' {
					return 0, fmt.Errorf("%.40q has more than %d digits behind the point", text, f.scale)
				}
				continue
			}
		}
		if v > (math.MaxUint64-9)/10 {
			return 0, fmt.Errorf("%.40q is out of range", text)
		}
		v = 10*v + uint64(c-'0')
	}
	if digits == 0 {
		return 0, bad()
	}
	for ; behind < f.scale; behind++ {
		if v > math.MaxUint64/10 {
			return 0, fmt.Errorf("%.40q is out of range", text)
		}
		v *= 10
	}
	limit := uint64(math.MaxInt64)
	if f.limit != 0 {
		limit = uint64(f.limit)
	} else if negative {
		limit++
	}
	if v > limit {
		return 0, fmt.Errorf("%.40q is out of range", text)
	}
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}

// parseBool reads true, false, t, f, 1 or 0, in any case.
func parseBool(text []byte) (int64, error) {
	// EqualFold knows letters of more bytes that are s in another case.
	for _, s := range []string{"true", "t", "1"} {
		if len(text) == len(s) && bytes.EqualFold(text, []byte(s)) {
			return 1, nil
		}
	}
	for _, s := range []string{"false", "f", "0"} {
		if len(text) == len(s) && bytes.EqualFold(text, []byte(s)) {
			return 0, nil
		}
	}
	return 0, fmt.Errorf("%.40q is not a boolean", text)
}

// parseTime reads a timestamp into nanoseconds: RFC 3339, with a space for the T or without a zone too, or a date.
func parseTime(text []byte) (int64, error) {
	bad := func() (int64, error) {
		return 0, fmt.Errorf("%.40q is not a timestamp like 2026-01-31T12:30:45.5Z", text)
	}
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return bad()
	}
	year, ok1 := digits(text[:4])
	month, ok2 := digits(text[5:7])
	day, ok3 := digits(text[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return bad()
	}
	var hour, minute, second, nanos, zone int
	if rest := text[10:]; len(rest) > 0 {
		if len(rest) < 9 || rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' || rest[3] != ':' || rest[6] != ':' {
			return bad()
		}
		hour, ok1 = digits(rest[1:3])
		minute, ok2 = digits(rest[4:6])
		second, ok3 = digits(rest[7:9])
		if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
			return bad()
		}
		rest = rest[9:]
		if len(rest) > 0 && rest[0] == '.' {
			n := 1
			for unit := 100_000_000; n < len(rest) && rest[n] >= '0' && rest[n] <= '9'; n++ {
				nanos += unit * int(rest[n]-'0') // what is below a nanosecond is cut off
				unit /= 10
			}
			if n == 1 {
				return bad()
			}
			rest = rest[n:]
		}
		switch {
		case len(rest) == 0, len(rest) == 1 && (rest[0] == 'Z' || rest[0] == 'z'):
		case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
			h, ok1 := digits(rest[1:3])
			m, ok2 := digits(rest[4:6])
			if !ok1 || !ok2 || h > 23 || m > 59 {
				return bad()
			}
			if zone = 60 * (60*h + m); rest[0] == '-' {
				zone = -zone
			}
		default:
			return bad()
		}
	}
	seconds := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix() - int64(zone)
	if seconds < math.MinInt64/1_000_000_000+1 || seconds > math.MaxInt64/1_000_000_000-1 {
		return 0, fmt.Errorf("%.40q is out of range, expected a year from 1678 to 2261", text)
	}
	return seconds*1_000_000_000 + int64(nanos), nil
}

// digits is the number that text writes; false where it is not digits alone.
func digits(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// daysIn is the number of days of a month.
func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
