// Package interval reads lengths of time as SQL writes them.
package interval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Fixed is Of for intervals of a fixed length.
func Fixed(text, unit string) (time.Duration, error) {
	months, d, err := Of(text, unit)
	if err == nil && months != 0 {
		return 0, fmt.Errorf("INTERVAL '%s': months and years have no fixed length", text)
	}
	return d, err
}

// Of reads '10 s', '1 hour 30 minutes', '1h30m', '01:30:00', '3 04:05' (days and a time), '1 year 2
// months', '1-2' (years and months), 'P1DT2H', '1 day ago', and '10' if a unit follows.
func Of(text, unit string) (months int, d time.Duration, err error) {
	months, l, err := parse(text, unit)
	return months, time.Duration(l.nanos), err
}

// IsDaysAndTime says whether an interval is written as days, and a time of less than a day with the
// same sign. PostgreSQL shows other intervals in another form than one that has the same length:
// '36 hours' as 36:00:00, and not as 1 day 12:00:00.
func IsDaysAndTime(text, unit string) bool {
	_, l, err := parse(text, unit)
	days := l.nanos - l.clock
	return err == nil && l.clock > -day && l.clock < day && (days >= 0 || l.clock <= 0) && (days <= 0 || l.clock >= 0)
}

const day = 24 * 3600e9

// parse reads an interval and checks that it has nothing below its last unit, such as the minutes
// of '1:30' HOUR. PostgreSQL cuts them off, other databases keep them.
func parse(text, unit string) (months int, total length, err error) {
	months, total, err = parseAll(text, unit)
	last := unit[strings.LastIndexByte(unit, ' ')+1:]
	if err != nil || unit == "" || last == "second" {
		return months, total, err
	}
	finest, isTime := units[last]
	days := total.nanos - total.clock
	switch {
	case isTime && finest < day && total.clock%int64(finest) == 0:
		return months, total, nil
	case isTime && finest >= day && total.clock == 0 && days%int64(finest) == 0:
		return months, total, nil
	case !isTime && total.nanos == 0 && months%int(monthUnits[last]) == 0:
		return months, total, nil
	}
	unit = strings.ToUpper(unit)
	return 0, length{}, fmt.Errorf("INTERVAL '%s' %s has smaller parts than %ss, which PostgreSQL cuts off: leave out "+
		"%s, or the smaller parts", text, unit, last, unit)
}

func parseAll(text, unit string) (months int, total length, err error) {
	bad := fmt.Errorf("INTERVAL '%s': expected a number and a unit, such as '10 s' or '1 hour 30 minutes', or "+
		"'01:30:00'", text)
	whole := text
	_, isYears := yearMonth(strings.TrimSpace(text))
	if unit != "" && !isYears && !strings.ContainsAny(text, " :") {
		text += " " + unit[strings.LastIndexByte(unit, ' ')+1:] // the last, as in PostgreSQL
	}
	if m, l, ok := iso(text); ok {
		return m, l, nil
	}
	fields := strings.Fields(spaced(strings.TrimPrefix(strings.TrimSpace(text), "@")))
	sign := 1
	if n := len(fields); n > 1 && strings.EqualFold(fields[n-1], "ago") {
		sign, fields = -1, fields[:n-1]
	}
	if len(fields) == 0 {
		return 0, length{}, bad
	}
	var calendar float64
	for i := 0; i < len(fields); i++ {
		f := strings.ToLower(fields[i])
		if strings.Contains(f, ":") {
			if unit == "minute to second" && strings.Count(f, ":") == 1 {
				digits := strings.TrimLeft(f, "+-")
				f = f[:len(f)-len(digits)] + "0:" + digits
			}
			ok := total.addClock(f)
			if !ok {
				return 0, length{}, bad
			}
			continue
		}
		if n, ok := yearMonth(f); ok {
			calendar += n
			continue
		}
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, length{}, bad
		}
		if i+1 < len(fields) && strings.Contains(fields[i+1], ":") { // days before a time
			total.add(f, n, day)
			continue
		}
		u := "second"
		if i+1 < len(fields) {
			i++
			u = strings.ToLower(fields[i])
		}
		if size, ok := units[u]; ok {
			total.add(f, n, size)
		} else if size, ok := monthUnits[u]; ok {
			calendar += n * size
		} else {
			return 0, length{}, bad
		}
	}
	calendar *= float64(sign)
	switch {
	case !(math.Abs(total.about) < 1<<62) || math.Abs(calendar) > maxMonths:
		return 0, length{}, fmt.Errorf("INTERVAL '%s' is too long", whole)
	case calendar != math.Trunc(calendar):
		return 0, length{}, fmt.Errorf("INTERVAL '%s': expected whole months", whole)
	}
	total.nanos, total.clock = int64(sign)*total.nanos, int64(sign)*total.clock
	return int(calendar), total, nil
}

// length is a sum of lengths of time. It is exact if its numbers have no exponents.
type length struct {
	nanos int64
	clock int64   // the part of nanos that is no whole days
	about float64 // the same as a float, which does not overflow
}

// add adds n units of size nanoseconds. text is how n is written.
func (l *length) add(text string, n, size float64) {
	l.about += n * size
	if !(math.Abs(l.about) < 1<<62) || !(math.Abs(n*size) < 1<<62) {
		l.about = math.Inf(1)
		return
	}
	whole, part, _ := strings.Cut(text, ".")
	w, err := strconv.ParseInt(whole, 10, 64)
	fraction, err2 := strconv.ParseFloat("0."+part, 64)
	if err != nil && strings.Trim(whole, "+-") != "" || err2 != nil || strings.ContainsAny(part, "eExXpP_") {
		l.nanos += int64(math.Round(n * size))
		l.clock += int64(math.Round(n * size))
		return
	}
	rest := int64(math.Round(fraction * size))
	if strings.HasPrefix(text, "-") {
		rest = -rest
	}
	sum := w*int64(size) + rest
	l.nanos += sum
	if size >= day {
		sum %= day
	}
	l.clock += sum
}

// yearMonth is the months of 1-2, one year and two months.
func yearMonth(f string) (months float64, ok bool) {
	text, negative := strings.CutPrefix(f, "-")
	y, m, ok := strings.Cut(text, "-")
	years, err := strconv.ParseUint(y, 10, 16)
	rest, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err != nil || err2 != nil || rest > 11 {
		return 0, false
	}
	months = float64(12*years + rest)
	if negative {
		months = -months
	}
	return months, true
}

// isoUnits are the units of intervals as ISO 8601 has them, of dates and of times.
var isoUnits = [2]map[byte]string{
	{'Y': "year", 'M': "month", 'W': "week", 'D': "day"}, {'H': "hour", 'M': "minute", 'S': "second"},
}

// iso reads P1DT2H30M.
func iso(text string) (months int, l length, ok bool) {
	rest, ok := strings.CutPrefix(strings.ToUpper(strings.TrimSpace(text)), "P")
	if !ok || rest == "" {
		return 0, length{}, false
	}
	part := 0
	var b strings.Builder
	for rest != "" {
		if rest[0] == 'T' && part == 0 {
			part, rest = 1, rest[1:]
			continue
		}
		n := strings.IndexFunc(rest, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		if n <= 0 || isoUnits[part][rest[n]] == "" {
			return 0, length{}, false
		}
		b.WriteString(rest[:n] + " " + isoUnits[part][rest[n]] + " ")
		rest = rest[n+1:]
	}
	if b.Len() == 0 {
		return 0, length{}, false
	}
	months, l, err := parse(b.String(), "")
	return months, l, err == nil
}

// maxMonths bounds the months of an interval: as many as timestamps span.
const maxMonths = 12 * 600

// addClock adds hours:minutes:seconds.
func (l *length) addClock(f string) bool {
	parts := strings.Split(f, ":")
	if len(parts) > 3 {
		return false
	}
	sign := ""
	if strings.HasPrefix(f, "-") {
		sign = "-"
	}
	for j, p := range parts {
		p = sign + strings.TrimPrefix(p, "-")
		n, err := strconv.ParseFloat(p, 64)
		if err != nil {
			return false
		}
		l.add(p, n, []float64{3600e9, 60e9, 1e9}[j])
	}
	return true
}

// spaced puts a space between numbers and units that are written together: 1h30m.
func spaced(text string) string {
	var b strings.Builder
	for i, r := range text {
		if i > 0 && b.Len() > 0 {
			last := b.String()[b.Len()-1]
			digit, letter := last >= '0' && last <= '9', last >= 'A'
			if r >= 'A' && digit || r >= '0' && r <= '9' && letter {
				b.WriteByte(' ')
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

var monthUnits = map[string]float64{
	"month": 1, "months": 1, "mon": 1, "mons": 1, "quarter": 3, "quarters": 3, "year": 12, "years": 12, "yr": 12,
	"yrs": 12, "y": 12, "decade": 120, "decades": 120, "century": 1200, "centuries": 1200,
}

var units = func() map[string]float64 {
	m := map[string]float64{}
	for size, names := range map[float64]string{
		1: "ns nanosecond nanoseconds", 1e3: "us microsecond microseconds", 1e6: "ms millisecond milliseconds msec",
		1e9:  "s sec secs second seconds",
		60e9: "m min mins minute minutes", 3600e9: "h hr hrs hour hours", 24 * 3600e9: "d day days",
		7 * 24 * 3600e9: "w week weeks",
	} {
		for _, n := range strings.Fields(names) {
			m[n] = size
		}
	}
	return m
}()
