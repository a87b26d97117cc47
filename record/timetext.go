package record

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Times as texts have many forms. ParseTime reads the forms that have only one meaning, no matter
// who wrote them; a TimeFormat reads one form that the user has declared. Readers, casts in SQL and
// the program's guesses of column types all use these two, so that they agree.

// The range of a Timestamp in seconds since 1970: the years 1678 to 2261, which are the whole years
// that 64 bits of nanoseconds can hold.
const (
	minTimeSeconds = -9_214_560_000
	maxTimeSeconds = 9_214_646_400 // first second that is out of range
)

// blanks are what may surround a number or a time in a text: the spaces of ASCII, as in PostgreSQL.
const blanks = " \t\n\v\f\r"

// Errors of times. Callers put the text before them.
var (
	errTimeForm  = errors.New("is not a timestamp like 2026-01-31T12:30:45.5Z")
	errTimeOrder = errors.New("may be day/month or month/day: a time format says which, such as %d/%m/%Y or %m/%d/%Y")
	errTimeRange = errors.New("is out of range, expected a year from 1678 to 2261")
)

// monthNames are in lower case; their first three letters are unique.
var monthNames = [...]string{
	"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
	"december",
}

var dayNames = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// ParseTime reads a timestamp into nanoseconds since 1970 UTC. A text without a zone is in zone;
// nil is UTC. Blanks around the text are ignored.
//
//	2026-01-31T12:30:45.123456789Z    ISO 8601 and RFC 3339: a space for T, a comma for the
//	2026-1-31 9:30:45,5+01:00         point, one digit for month, day and hour, no fraction,
//	                                  no seconds, no time of day
//	2026-01-31 12:30:45 -0430         zones are Z, UTC, GMT, +01, +0100 and +01:00
//	2026/01/31 12:30                  also 2026.01.31
//	20260131T123045Z                  ISO 8601 basic; 20260131 and 20260131123045 too
//	31.01.2026 12:30:45               dots after a day: wherever this is written the day is first
//	31-JAN-2026 12:30, 31 Jan 2026    a month by its English name
//	[31/Jan/2026:12:30:45 +0100]      as web servers have it in their logs
//	Sat, 31 Jan 2026 12:30:45 GMT     RFC 1123
//
// 01/02/2026 and 01-02-2026 are refused, because they mean different days to different people.
// Anything below a nanosecond is cut off. A local time that a zone has twice, or not at all, is
// resolved as in time.Date.
func ParseTime(text string, zone *time.Location) (int64, error) {
	t := timeText{rest: strings.Trim(text, blanks)}
	err := t.stamp()
	if err == nil {
		var nanos int64
		nanos, err = t.nanos(zone)
		if err == nil {
			return nanos, nil
		}
	}
	return 0, fmt.Errorf("%.40q %w", text, err)
}

// timeText is a time that is being read, and the rest of its text.
type timeText struct {
	rest string

	year, month, day     int
	yearDay              int // 0 if month and day are known
	hour, minute, second int
	fraction             int // nanoseconds
	zone                 int // seconds east of UTC
	hasZone              bool
	isEpoch              bool
	epoch                int64 // nanoseconds
}

// digits counts the digits that the rest begins with.
func (t *timeText) digits() (n int) {
	for n < len(t.rest) && t.rest[n]-'0' <= 9 {
		n++
	}
	return n
}

// number reads from least to most digits. It returns false if there are fewer.
func (t *timeText) number(least, most int, to *int) bool {
	n := min(t.digits(), most)
	if n < least {
		return false
	}
	*to = 0
	for _, c := range []byte(t.rest[:n]) {
		*to = 10**to + int(c-'0')
	}
	t.rest = t.rest[n:]
	return true
}

// take reads one of some bytes, and returns it. It returns 0 if none of them is next.
func (t *timeText) take(bytes string) byte {
	if t.rest == "" || strings.IndexByte(bytes, t.rest[0]) < 0 {
		return 0
	}
	c := t.rest[0]
	t.rest = t.rest[1:]
	return c
}

// skipBlanks reads blanks, and says whether there were any.
func (t *timeText) skipBlanks() bool {
	n := len(t.rest)
	t.rest = strings.TrimLeft(t.rest, blanks)
	return len(t.rest) < n
}

// name reads one of some names, or the first three letters of it. It returns false if none is next.
func (t *timeText) name(names []string, to *int) bool {
	n := 0
	for n < len(t.rest) && t.rest[n]|0x20-'a' < 26 {
		n++
	}
	if n < 3 {
		return false
	}
	for i, name := range names {
		if strings.EqualFold(t.rest[:n], name) || n == 3 && strings.EqualFold(t.rest[:n], name[:3]) {
			*to = i + 1
			t.rest = t.rest[n:]
			return true
		}
	}
	return false
}

// stamp reads the whole text in one of the forms that have one meaning.
func (t *timeText) stamp() error {
	bracket := t.take("[") != 0
	var weekday int
	if t.name(dayNames[:], &weekday) && (t.take(",") == 0 || !t.skipBlanks()) {
		return errTimeForm
	}
	basic, named := false, false // the form of the date
	ok := false
	switch t.digits() {
	case 4:
		ok = t.number(4, 4, &t.year)
		between := t.take("-/.")
		ok = ok && between != 0 && t.number(1, 2, &t.month) && t.take(string(between)) != 0 && t.number(1, 2, &t.day)
	case 8, 14:
		basic = true
		ok = t.number(4, 4, &t.year) && t.number(2, 2, &t.month) && t.number(2, 2, &t.day)
	case 1, 2:
		var err error
		named, err = t.dayFirst()
		if err != nil {
			return err
		}
		ok = true
	}
	if !ok || !t.clock(basic, named) || bracket && t.take("]") == 0 || t.rest != "" {
		return errTimeForm
	}
	return nil
}

// dayFirst reads a date that begins with its day. named says that the month is given by name.
func (t *timeText) dayFirst() (named bool, err error) {
	t.number(1, 2, &t.day)
	between := t.take("./- ")
	switch {
	case between == 0:
		return false, errTimeForm
	case t.name(monthNames[:], &t.month):
		named = between != '.'
	case between == '.' && t.number(1, 2, &t.month):
	case between != ' ' && t.number(1, 2, &t.month) && t.take(string(between)) != 0 && t.digits() == 4:
		return false, errTimeOrder
	}
	if t.month == 0 || t.take(string(between)) == 0 || t.digits() != 4 || !t.number(4, 4, &t.year) {
		return false, errTimeForm
	}
	return named, nil
}

// clock reads a time of day and a zone, if there are any.
func (t *timeText) clock(basic, named bool) bool {
	if t.rest == "" || t.rest == "]" {
		return true
	}
	switch {
	case basic && t.digits() > 0: // 14 digits
	case t.take("Tt") != 0, t.skipBlanks(), named && t.take(":") != 0:
	default:
		return false
	}
	seconds := true
	if n := t.digits(); n == 4 || n == 6 {
		if !t.number(2, 2, &t.hour) || !t.number(2, 2, &t.minute) {
			return false
		}
		seconds = n == 6
	} else {
		if !t.number(1, 2, &t.hour) || t.take(":") == 0 || t.digits() != 2 || !t.number(2, 2, &t.minute) {
			return false
		}
		seconds = t.take(":") != 0
	}
	if seconds {
		if t.digits() != 2 && t.digits() != 0 || !t.number(2, 2, &t.second) {
			return false
		}
		if t.take(".,") != 0 && !t.fractionDigits() {
			return false
		}
	}
	t.skipBlanks()
	return t.rest == "" || t.rest == "]" || t.offset()
}

// fractionDigits reads the digits of a fraction of a second. There must be at least one.
func (t *timeText) fractionDigits() bool {
	n := t.digits()
	unit := 100_000_000
	for _, c := range []byte(t.rest[:n]) {
		t.fraction += unit * int(c-'0')
		unit /= 10
	}
	t.rest = t.rest[n:]
	return n > 0
}

// offset reads a zone.
func (t *timeText) offset() bool {
	t.hasZone, t.zone = true, 0
	for _, name := range []string{"Z", "UTC", "GMT"} {
		if len(t.rest) >= len(name) && strings.EqualFold(t.rest[:len(name)], name) {
			t.rest = t.rest[len(name):]
			return true
		}
	}
	sign := t.take("+-")
	var hours, minutes int
	if n := t.digits(); sign == 0 || n != 2 && n != 4 || !t.number(2, 2, &hours) {
		return false
	} else if (n == 4 || t.take(":") != 0) && (t.digits() != 2 || !t.number(2, 2, &minutes)) {
		return false
	}
	t.zone = 60 * (60*hours + minutes)
	if sign == '-' {
		t.zone = -t.zone
	}
	return hours <= 23 && minutes <= 59
}

// nanos is the time that has been read.
func (t *timeText) nanos(zone *time.Location) (int64, error) {
	if t.isEpoch {
		return t.epoch, nil
	}
	if t.yearDay > 0 {
		leap := 0
		if daysIn(t.year, 2) == 29 {
			leap = 1
		}
		if t.yearDay > 365+leap {
			return 0, errTimeForm
		}
	} else if t.month < 1 || t.month > 12 || t.day < 1 || t.day > daysIn(t.year, t.month) {
		return 0, errTimeForm
	}
	if t.hour > 23 || t.minute > 59 || t.second > 59 {
		return 0, errTimeForm
	}
	month, day := t.month, t.day
	if t.yearDay > 0 {
		month, day = 1, t.yearDay
	}
	var seconds int64
	if t.hasZone || zone == nil || zone == time.UTC {
		seconds = (daysBefore(t.year, month)+int64(day-1))*86400 + int64(60*(60*t.hour+t.minute)+t.second-t.zone)
	} else {
		seconds = time.Date(t.year, time.Month(month), day, t.hour, t.minute, t.second, 0, zone).Unix()
	}
	if seconds < minTimeSeconds || seconds >= maxTimeSeconds {
		return 0, errTimeRange
	}
	return seconds*1e9 + int64(t.fraction), nil
}

// daysBefore is the number of days from 1970-01-01 to the first day of a month, by Howard Hinnant's
// days_from_civil.
func daysBefore(year, month int) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400 // years are not negative
	yearOfEra := year - 400*era
	dayOfYear := (153*((month+9)%12) + 2) / 5
	return int64(146097*era + 365*yearOfEra + yearOfEra/4 - yearOfEra/100 + dayOfYear - 719468)
}

// daysIn is the number of days of a month.
func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// ParseEpoch reads a number of units since 1970. The unit is a second, a millisecond, a microsecond
// or a nanosecond. The number may have a sign, a fraction and an exponent. Anything below a
// nanosecond is cut off. Blanks around the number are ignored.
func ParseEpoch(text string, unit time.Duration) (int64, error) {
	bad := func(err error) (int64, error) { return 0, fmt.Errorf("%.40q %w", text, err) }
	number := strings.Trim(text, blanks)
	exponent := 0 // a power of ten: nanoseconds are the digits times it
	for u := unit; u > 1; u /= 10 {
		exponent++
	}
	rest, negative := strings.CutPrefix(number, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	var v uint64
	some, point := false, false
	for len(rest) > 0 && (rest[0]-'0' <= 9 || rest[0] == '.' && !point) {
		switch c := rest[0]; {
		case c == '.':
			point = true
		case v <= (math.MaxUint64-9)/10:
			some = true
			v = 10*v + uint64(c-'0')
			if point {
				exponent--
			}
		case !point:
			return bad(errTimeRange)
		}
		rest = rest[1:]
	}
	if !some {
		return bad(fmt.Errorf("is not a number of %v since 1970", unitName(unit)))
	}
	if rest != "" {
		e := timeText{rest: rest[1:]}
		down := false
		if rest[0]|0x20 == 'e' {
			down = e.take("+-") == '-'
		}
		var power int
		if n := e.digits(); rest[0]|0x20 != 'e' || n == 0 || n > 4 || !e.number(1, 4, &power) || e.rest != "" {
			return bad(fmt.Errorf("is not a number of %v since 1970", unitName(unit)))
		}
		if down {
			power = -power
		}
		exponent += power
	}
	for ; exponent < 0 && v > 0; exponent++ {
		v /= 10
	}
	for ; exponent > 0 && v > 0; exponent-- {
		if v > math.MaxInt64/10 {
			return bad(errTimeRange)
		}
		v *= 10
	}
	nanos := int64(v)
	if v >= maxTimeSeconds*1e9 || negative && v > -minTimeSeconds*1e9 {
		return bad(errTimeRange)
	}
	if negative {
		nanos = -nanos
	}
	return nanos, nil
}

// unitName is a unit in words.
func unitName(unit time.Duration) string {
	switch unit {
	case time.Second:
		return "seconds"
	case time.Millisecond:
		return "milliseconds"
	case time.Microsecond:
		return "microseconds"
	}
	return "nanoseconds"
}
