package writers

import (
	"math"
	"strconv"
	"time"
)

// appendDouble appends a double with enough digits to distinguish it from all others, and with an
// exponent if PostgreSQL would use one.
func appendDouble(to []byte, v float64) []byte {
	if short, ok := appendShort(to, v); ok {
		return short
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e15) { // infinities too
		format = 'e'
	}
	return strconv.AppendFloat(to, v, format, -1, 64)
}

const (
	// shortDigits is how many digits after the point appendShort looks for.
	shortDigits = 6
	shortScale  = 1e6

	// maxShort bounds the digits of a number to fifteen. No two numbers of so few digits are the
	// same double, so if one of them is the double, it is also the shortest text for it.
	maxShort = 1e15
)

// appendShort appends a double that has at most fifteen digits, six of them after the point. It
// returns false for others, for 0, which may have a sign, and for what has an exponent.
func appendShort(to []byte, v float64) ([]byte, bool) {
	scaled := math.RoundToEven(v * shortScale)
	// Both are exact, so the quotient is the double that is nearest to the decimal number.
	if !(math.Abs(scaled) < maxShort && math.Abs(v) >= 1e-4) || scaled/shortScale != v {
		return to, false
	}
	n := int64(scaled)
	if n < 0 {
		to, n = append(to, '-'), -n
	}
	whole, fraction := n/shortScale, n%shortScale
	to = strconv.AppendInt(to, whole, 10)
	if fraction == 0 {
		return to, true
	}
	return appendFraction(to, uint64(fraction), shortDigits), true
}

// appendFraction appends a point and n with leading zeros, up to this many digits. It leaves out
// the zeros at the end.
func appendFraction(to []byte, n uint64, digits int) []byte {
	for ; n%10 == 0; n /= 10 {
		digits--
	}
	at := len(to)
	to = append(to, ".000000000"[:1+digits]...)
	for i := at + digits; n > 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
	return to
}

const secondsPerDay = 24 * 60 * 60

// appendTime appends nanoseconds since 1970 in the form of time.RFC3339Nano, in UTC. All of them
// are in years of four digits.
func appendTime(to []byte, nanos int64) []byte {
	seconds, fraction := nanos/int64(time.Second), nanos%int64(time.Second)
	if fraction < 0 {
		seconds, fraction = seconds-1, fraction+int64(time.Second)
	}
	days, second := seconds/secondsPerDay, seconds%secondsPerDay
	if second < 0 {
		days, second = days-1, second+secondsPerDay
	}
	year, month, day := civil(days)
	to = append(to, "0000-00-00T00:00:00"...)
	b := to[len(to)-len("0000-00-00T00:00:00"):]
	put2(b[0:], year/100)
	put2(b[2:], year%100)
	put2(b[5:], month)
	put2(b[8:], day)
	put2(b[11:], int(second/3600))
	put2(b[14:], int(second/60%60))
	put2(b[17:], int(second%60))
	if fraction > 0 {
		to = appendFraction(to, uint64(fraction), 9)
	}
	return append(to, 'Z')
}

// put2 writes two digits.
func put2(b []byte, n int) { b[0], b[1] = byte('0'+n/10), byte('0'+n%10) }

// civil is the date of a day, counted from 1970-01-01. It is the algorithm by Howard Hinnant
// (chrono-compatible low-level date algorithms): years begin in March, so that the day that is
// sometimes missing is the last.
func civil(days int64) (year, month, day int) {
	const era = 146_097      // days of 400 years
	days += 719_468 + 10*era // from March 1 of the year -4000
	n := int(days / era)     // eras
	d := int(days % era)     // of the era
	y := (d - d/1460 + d/36_524 - d/146_096) / 365
	d -= 365*y + y/4 - y/100 // of the year
	m := (5*d + 2) / 153     // from March
	year, month, day = y+400*(n-10), m+3, d-(153*m+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}
