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

// Of reads '10 s', '1 hour 30 minutes', '01:30:00', '1 year 2 months', and '10' if a unit
// follows.
func Of(text, unit string) (months int, d time.Duration, err error) {
	bad := fmt.Errorf("INTERVAL '%s': expected a number and a unit, such as '10 s' or '1 hour 30 minutes', or "+
		"'01:30:00'", text)
	whole := text
	if unit != "" && !strings.ContainsAny(text, " :") {
		text += " " + strings.Fields(unit)[0]
	}
	fields := strings.Fields(spaced(text))
	if len(fields) == 0 {
		return 0, 0, bad
	}
	var total, calendar float64
	for i := 0; i < len(fields); i++ {
		f := strings.ToLower(fields[i])
		if strings.Contains(f, ":") {
			n, ok := clockTime(f)
			if !ok {
				return 0, 0, bad
			}
			total += n
			continue
		}
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, bad
		}
		u := "second"
		if i+1 < len(fields) {
			i++
			u = strings.ToLower(fields[i])
		}
		if size, ok := units[u]; ok {
			total += n * size
		} else if size, ok := monthUnits[u]; ok {
			calendar += n * size
		} else {
			return 0, 0, bad
		}
	}
	switch {
	case math.Abs(total) > 1<<62 || total != total || math.Abs(calendar) > maxMonths:
		return 0, 0, fmt.Errorf("INTERVAL '%s' is too long", whole)
	case calendar != math.Trunc(calendar):
		return 0, 0, fmt.Errorf("INTERVAL '%s': expected whole months", whole)
	}
	return int(calendar), time.Duration(math.Round(total)), nil
}

// maxMonths bounds the months of an interval: as many as timestamps span.
const maxMonths = 12 * 600

// clockTime is the nanoseconds of hours:minutes:seconds.
func clockTime(f string) (total float64, ok bool) {
	parts := strings.Split(f, ":")
	if len(parts) > 3 {
		return 0, false
	}
	sign := 1.0
	if strings.HasPrefix(f, "-") {
		sign = -1
	}
	for j, p := range parts {
		n, err := strconv.ParseFloat(strings.TrimPrefix(p, "-"), 64)
		if err != nil {
			return 0, false
		}
		total += sign * n * []float64{3600e9, 60e9, 1e9}[j]
	}
	return total, true
}

// spaced puts a space between a number and a unit that are written together.
func spaced(text string) string {
	var b strings.Builder
	for i, r := range text {
		if i > 0 && r >= 'A' && b.Len() > 0 {
			if last := b.String()[b.Len()-1]; last >= '0' && last <= '9' {
				b.WriteByte(' ')
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

var monthUnits = map[string]float64{
	"month": 1, "months": 1, "mon": 1, "mons": 1, "quarter": 3, "quarters": 3, "year": 12, "years": 12, "yr": 12,
	"yrs": 12, "y": 12,
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
