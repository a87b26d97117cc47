package expr

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// intervalPatterns are the patterns of to_char that an interval has, with the digits of each. An
// interval has days, a time of less than a day, and no months.
var intervalPatterns = map[string]int{
	"DD": 2, "DDD": 3, "HH24": 2, "HH12": 2, "HH": 2, "MI": 2, "SS": 2, "MS": 3, "US": 6, "SSSS": 0, "SSSSS": 0,
	"FF1": 1, "FF2": 2, "FF3": 3, "FF4": 4, "FF5": 5, "FF6": 6,
	"AM": 0, "PM": 0, "am": 0, "pm": 0, "A.M.": 0, "P.M.": 0, "a.m.": 0, "p.m.": 0, "": 0,
}

// ToCharInterval writes an interval, in nanoseconds, as a text in a format of PostgreSQL's.
// A format with hours and without days is refused unless justified is set: PostgreSQL has 36 hours
// of an interval that was made of hours, and 12 of one that was made of days. justified says that
// there it has days, and less than 24 hours.
func ToCharInterval(x *Expr, format string, justified bool) (*Expr, error) {
	pieces, err := timeFormat(format)
	if err != nil {
		return nil, err
	}
	days := slices.ContainsFunc(pieces, func(p timePiece) bool { return strings.HasPrefix(p.pattern, "DD") })
	for _, p := range pieces {
		hours := strings.HasPrefix(p.pattern, "HH") || strings.HasPrefix(p.pattern, "SSSS")
		if hours && !days && !justified {
			return nil, fmt.Errorf("expr: the format %s of an interval has hours and no days, which would be lost: "+
				"write DD before them, or CAST(x AS text)", quote(format))
		}
		if _, ok := intervalPatterns[p.pattern]; !ok {
			return nil, fmt.Errorf("expr: the format %s of an interval has %s; it may have DD HH24 HH12 MI SS MS US "+
				"FF1 to FF6 SSSS AM FM and \"texts\"", quote(format), p.pattern)
		}
	}
	return build(&Expr{op: toCharInterval, name: format, args: []*Expr{x}, aux: pieces})
}

func toCharIntervalTypes(e *Expr) error { return signature(record.String, false, record.Int64)(e) }

// appendToCharInterval appends an interval by the pieces of a format. Each number has the sign of
// the interval.
func appendToCharInterval(e *Expr, to []byte, a []Value) ([]byte, error) {
	n := int64(a[0].Bits)
	days, rest := n/record.DayNanos, n%record.DayNanos
	negative := n < 0
	clock := time.Unix(0, max(rest, -rest)).UTC()
	for _, p := range e.aux.([]timePiece) {
		var part int
		switch p.pattern {
		case "DD", "DDD":
			part = int(max(days, -days))
		case "HH24":
			part = clock.Hour()
		case "HH12", "HH":
			part = clock.Hour() % 12
		case "MI":
			part = clock.Minute()
		case "SS":
			part = clock.Second()
		case "SSSS", "SSSSS":
			part = clock.Hour()*3600 + clock.Minute()*60 + clock.Second()
		case "MS":
			part = clock.Nanosecond() / 1e6
		case "US":
			part = clock.Nanosecond() / 1e3
		case "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
			part = clock.Nanosecond() / 1e3 / int(record.Pow10[6-intervalPatterns[p.pattern]])
		case "":
			to = append(to, p.text...)
			continue
		default: // AM and its like; PostgreSQL has AM for all negative hours
			at := clock
			if negative {
				at = at.Truncate(24 * time.Hour)
			}
			to = p.append(to, at)
			continue
		}
		to = p.appendPart(to, part, negative)
	}
	return to, nil
}

// appendPart appends a part of an interval. A sign is one of the digits, except before hours,
// minutes and seconds.
func (p timePiece) appendPart(to []byte, part int, negative bool) []byte {
	digits := intervalPatterns[p.pattern]
	isHour := strings.HasPrefix(p.pattern, "HH")
	switch {
	case part > 0 && negative:
		to = append(to, '-')
		if !isHour && !slices.Contains([]string{"MI", "SS"}, p.pattern) {
			digits--
		}
	case part == 0 && isHour && p.pattern != "HH24":
		part = 12
	}
	return p.appendNumber(to, part, digits)
}
