package expr

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/velo-engine/velo/internal/zone"
	"github.com/velo-engine/velo/record"
)

// A timestamp is an instant, shown in UTC. What a wall clock shows in a time zone (a wall time) is
// a timestamp too: the one at which a clock in UTC would show the same. The code that builds an
// expression knows which of the two a timestamp is.

// InZone returns what a clock in a zone shows at a timestamp.
func InZone(x *Expr, in *time.Location) (*Expr, error) {
	return build(&Expr{op: inZone, name: in.String(), args: []*Expr{x}, aux: in})
}

// FromZone returns when a clock in a zone shows x. As in PostgreSQL, a time that is shown twice
// means the second time. A time that is never shown, because the clock is set forward, lies as long
// after the change as it is after the time at which the clock was set.
func FromZone(x *Expr, in *time.Location) (*Expr, error) {
	return build(&Expr{op: fromZone, name: in.String(), args: []*Expr{x}, aux: in})
}

func zoneTypes(e *Expr) error { return signature(record.Timestamp, false, record.Timestamp)(e) }

func evalZone(e *Expr, a []Value) (Value, error) {
	in, nanos := e.aux.(*time.Location), int64(a[0].Bits)
	if e.op == inZone {
		_, offset := time.Unix(0, nanos).In(in).Zone()
		v, err := intOf(Add, nanos, int64(offset)*1e9)
		return Value{Bits: uint64(v)}, err
	}
	v, err := fromWall(nanos, in)
	return Value{Bits: uint64(v)}, err
}

// fromWall returns when a clock in a zone shows a wall time.
func fromWall(wall int64, in *time.Location) (int64, error) {
	// The offsets one day before and one day after are the offsets on both sides of a change, if
	// there is one.
	_, before := time.Unix(0, wall).Add(-24 * time.Hour).In(in).Zone()
	_, after := time.Unix(0, wall).Add(24 * time.Hour).In(in).Zone()
	first, err1 := intOf(Sub, wall, int64(before)*1e9)
	second, err2 := intOf(Sub, wall, int64(after)*1e9)
	if err1 != nil || err2 != nil {
		return 0, errRange
	}
	shows := func(at int64, offset int) bool {
		_, o := time.Unix(0, at).In(in).Zone()
		return o == offset
	}
	if shows(second, after) {
		return second, nil // this is also right if the time is shown twice
	}
	return first, nil
}

// TruncZone cuts a timestamp to a unit of the local time of a zone: the first instant of the hour,
// day or month.
func TruncZone(unit string, x *Expr, in *time.Location) (*Expr, error) {
	return build(&Expr{op: truncZone, name: unit + " " + in.String(), args: []*Expr{x}, aux: zoneUnit{in, unit}})
}

// A zoneUnit is a unit of the local time of a zone.
type zoneUnit struct {
	in   *time.Location
	unit string
}

func truncZoneTypes(e *Expr) error {
	u := e.aux.(zoneUnit)
	plain := &Expr{op: opDateTrunc, name: u.unit, args: e.args}
	err := truncTypes(plain)
	e.typ = plain.typ
	return err
}

func evalTruncZone(e *Expr, a []Value) (Value, error) {
	u, nanos := e.aux.(zoneUnit), int64(a[0].Bits)
	t := time.Unix(0, nanos).In(u.in)
	_, offset := t.Zone()
	wall, err := intOf(Add, nanos, int64(offset)*1e9)
	if err != nil {
		return Value{}, err
	}
	cut, err := evalTrunc(&Expr{name: u.unit}, []Value{{Bits: uint64(wall)}})
	if err != nil {
		return cut, err
	}
	// The offset is nearly always the same; an hour may have two.
	if s, ok := spans[u.unit]; ok && s.nanos <= 3600e9 {
		return Value{Bits: cut.Bits - uint64(int64(offset)*1e9)}, nil
	}
	day := time.Unix(0, int64(cut.Bits)).UTC()
	return Value{Bits: uint64(zone.Midnight(day.Year(), day.Month(), day.Day(), u.in).UnixNano())}, nil
}

// MaxFormat bounds the bytes of the format of to_char.
const MaxFormat = 1 << 10

// ToChar writes a timestamp as a text in a format of PostgreSQL's: YYYY-MM-DD HH24:MI:SS.MS and
// others.
func ToChar(x *Expr, format string) (*Expr, error) {
	pieces, err := timeFormat(format)
	if err != nil {
		return nil, err
	}
	return build(&Expr{op: toChar, name: format, args: []*Expr{x}, aux: pieces})
}

// ParseTime reads a timestamp from a text in a format that record.CompileTimeFormat takes. A text
// of another form is an error of the record, as it is in a cast.
func ParseTime(x *Expr, format string) (*Expr, error) {
	f, err := record.CompileTimeFormat(format, nil)
	if err != nil {
		return nil, err
	}
	return build(&Expr{op: parseTime, name: format, args: []*Expr{x}, aux: f})
}

func parseTimeTypes(e *Expr) error { return signature(record.Timestamp, false, record.String)(e) }

func evalParseTime(e *Expr, a []Value) (Value, error) {
	v, err := e.aux.(*record.TimeFormat).Parse(a[0].Text)
	return Value{Bits: uint64(v)}, err
}

// A timePiece is a piece of a format: a pattern, or a text that is copied.
type timePiece struct {
	pattern string // "" if the piece is a text
	text    string
	fill    bool   // false means without leading zeros and blanks
	ordinal string // th or TH if the number is followed by its ending
}

// timePatterns are the patterns of to_char. A pattern that begins with another one comes before it.
var timePatterns = []string{
	"Y,YYY", "YYYY", "IYYY", "YYY", "IYY", "YY", "IY", "Y", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "MI",
	"MS", "DAY", "Day", "day", "DDD", "DD", "DY", "Dy", "dy", "D", "IDDD", "ID", "IW", "I", "WW", "W", "CC", "J",
	"HH24", "HH12", "HH", "SSSSS", "SSSS", "SS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "Q", "RM", "rm",
	"A.M.", "P.M.", "a.m.", "p.m.", "AM", "PM", "am", "pm", "A.D.", "B.C.", "a.d.", "b.c.", "AD", "BC", "ad", "bc",
	"TZH", "TZM", "TZ", "tz", "OF",
}

// asWritten are the patterns whose case says how the text is written.
var asWritten = []string{
	"DAY", "MON", "DY", "RM", "AM", "PM", "A.M.", "P.M.", "AD", "BC", "A.D.", "B.C.", "TZ",
}

// timeFormat cuts a format into pieces.
func timeFormat(format string) (pieces []timePiece, err error) {
	if len(format) > MaxFormat {
		return nil, fmt.Errorf("expr: a format of %d bytes, at most %d are allowed", len(format), MaxFormat)
	}
	text := func(s string) { pieces = append(pieces, timePiece{text: s}) }
next:
	for i := 0; i < len(format); {
		rest, fill := format[i:], true
		if rest[0] == '"' {
			end := 1
			for end < len(rest) && rest[end] != '"' {
				end++
			}
			text(rest[1:end])
			i += min(end+1, len(rest))
			continue
		}
		if len(rest) > 2 && (rest[:2] == "FM" || rest[:2] == "fm") {
			rest, fill = rest[2:], false
		}
		for _, p := range timePatterns {
			lower := unicode.IsUpper(rune(p[0])) && !slices.Contains(asWritten, p) && p != "MONTH" && p != "Month"
			if len(rest) >= len(p) && (rest[:len(p)] == p || lower && upper(rest[:len(p)]) == upper(p) && p != "Mon" &&
				p != "Day" && p != "Dy") {
				i = len(format) - len(rest) + len(p)
				piece := timePiece{pattern: p, fill: fill}
				if end := format[i:]; len(end) >= 2 && (end[:2] == "th" || end[:2] == "TH") {
					piece.ordinal = end[:2]
					i += 2
				}
				pieces = append(pieces, piece)
				continue next
			}
		}
		if rest[0] >= 'a' && rest[0] <= 'z' || rest[0] >= 'A' && rest[0] <= 'Z' {
			if rest[0] != 'T' && rest[0] != 'Z' { // the T and Z of the ISO format
				return nil, fmt.Errorf("expr: the format %s: there is no pattern that begins at %s; texts are in "+
					"double quotes", quote(format), quote(rest))
			}
		}
		text(rest[:1])
		i = len(format) - len(rest) + 1
	}
	return pieces, nil
}

// upper returns s with its ASCII letters in upper case.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func toCharTypes(e *Expr) error { return signature(record.String, false, record.Timestamp)(e) }

// appendToChar appends a timestamp by the pieces of a format.
func appendToChar(e *Expr, to []byte, a []Value) ([]byte, error) {
	t := time.Unix(0, int64(a[0].Bits)).UTC()
	for _, p := range e.aux.([]timePiece) {
		to = p.append(to, t)
	}
	return to, nil
}

// appendNumber appends n, which zeros fill up to a number of digits if the piece says so, and the
// ending of an ordinal.
func (p timePiece) appendNumber(to []byte, n, digits int) []byte {
	if !p.fill {
		digits = 0
	}
	to = appendDigits(to, n, digits)
	if p.ordinal != "" {
		to = append(to, ordinalOf(n, p.ordinal == "TH")...)
	}
	return to
}

func (p timePiece) append(to []byte, t time.Time) []byte {
	number := func(n, digits int) []byte { return p.appendNumber(to, n, digits) }
	name := func(s string, width int) []byte {
		switch first := p.pattern[1]; {
		case unicode.IsUpper(rune(first)):
			s = upper(s)
		case unicode.IsLower(rune(p.pattern[0])):
			s = string(s[0]-'A'+'a') + s[1:]
		}
		if !p.fill {
			width = 0
		}
		return padTo(to, s, width)
	}
	hour := (t.Hour()+11)%12 + 1
	isoYear, isoWeek := 0, 0
	if strings.HasPrefix(p.pattern, "I") {
		isoYear, isoWeek = t.ISOWeek()
	}
	switch p.pattern {
	case "":
		return append(to, p.text...)
	case "YYYY":
		return number(t.Year(), 4)
	case "Y,YYY":
		to = appendDigits(to, t.Year()/1000, 0)
		return appendDigits(append(to, ','), t.Year()%1000, 3)
	case "YYY":
		return number(t.Year()%1000, 3)
	case "YY":
		return number(t.Year()%100, 2)
	case "Y":
		return number(t.Year()%10, 1)
	case "IYYY":
		return number(isoYear, 4)
	case "IYY", "IY", "I":
		digits := len(p.pattern)
		return number(isoYear%int(record.Pow10[digits]), digits)
	case "IDDD": // the day of the year of weeks
		return number((isoWeek-1)*7+(int(t.Weekday())+6)%7+1, 3)
	case "CC":
		return number((t.Year()+99)/100, 2)
	case "J": // days since 4714 before Christ
		return number(int(floorDiv64(t.Unix(), 86400))+2440588, 0)
	case "RM", "rm":
		roman := []string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}[t.Month()-1]
		if p.pattern == "rm" {
			roman = strings.ToLower(roman)
		}
		if !p.fill {
			return append(to, roman...)
		}
		return padTo(to, roman, 4)
	case "FF1", "FF2", "FF3", "FF4", "FF5", "FF6":
		digits := int(p.pattern[2] - '0')
		return number(t.Nanosecond()/1e3/int(record.Pow10[6-digits]), digits)
	case "AD", "BC":
		return append(to, "AD"...)
	case "ad", "bc":
		return append(to, "ad"...)
	case "A.D.", "B.C.":
		return append(to, "A.D."...)
	case "a.d.", "b.c.":
		return append(to, "a.d."...)
	case "TZH":
		return append(to, "+00"...)
	case "TZM":
		return append(to, "00"...)
	case "MONTH", "Month", "month":
		return name(t.Month().String(), 9)
	case "MON", "Mon", "mon":
		return name(t.Month().String()[:3], 0)
	case "MM":
		return number(int(t.Month()), 2)
	case "DAY", "Day", "day":
		return name(t.Weekday().String(), 9)
	case "DY", "Dy", "dy":
		return name(t.Weekday().String()[:3], 0)
	case "DDD":
		return number(t.YearDay(), 3)
	case "DD":
		return number(t.Day(), 2)
	case "D":
		return number(int(t.Weekday())+1, 1)
	case "ID":
		return number((int(t.Weekday())+6)%7+1, 1)
	case "IW":
		return number(isoWeek, 2)
	case "WW":
		return number((t.YearDay()-1)/7+1, 2)
	case "W":
		return number((t.Day()-1)/7+1, 1)
	case "Q":
		return number((int(t.Month())+2)/3, 1)
	case "HH24":
		return number(t.Hour(), 2)
	case "HH12", "HH":
		return number(hour, 2)
	case "MI":
		return number(t.Minute(), 2)
	case "SSSS", "SSSSS":
		return number(t.Hour()*3600+t.Minute()*60+t.Second(), 0)
	case "SS":
		return number(t.Second(), 2)
	case "MS":
		return number(t.Nanosecond()/1e6, 3)
	case "US":
		return number(t.Nanosecond()/1e3, 6)
	case "TZ":
		return append(to, "UTC"...)
	case "tz":
		return append(to, "utc"...)
	case "OF":
		return append(to, "+00"...)
	}
	half := "AM"
	if t.Hour() >= 12 {
		half = "PM"
	}
	if p.pattern[1] == '.' {
		half = half[:1] + "." + half[1:] + "."
	}
	if unicode.IsLower(rune(p.pattern[0])) {
		half = strings.ToLower(half)
	}
	return append(to, half...)
}

// ordinalOf is the ending of a number: 1st, 2nd, 3rd, 4th.
func ordinalOf(n int, large bool) string {
	ending := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			ending = "st"
		case 2:
			ending = "nd"
		case 3:
			ending = "rd"
		}
	}
	if large {
		return strings.ToUpper(ending)
	}
	return ending
}

func floorDiv64(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// AddMonths adds some months to a timestamp. The result is on the same day of the month, or on the
// last day if the month has no such day.
func AddMonths(x *Expr, months int) (*Expr, error) {
	return build(&Expr{op: addMonths, name: fmt.Sprint(months), args: []*Expr{x}, aux: months})
}

func evalAddMonths(e *Expr, a []Value) (Value, error) {
	t := time.Unix(0, int64(a[0].Bits)).UTC()
	months := int(t.Month()) - 1 + e.aux.(int)
	year, month := t.Year()+floorDiv(months, 12), time.Month(months-12*floorDiv(months, 12)+1)
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	t = time.Date(year, month, min(t.Day(), last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	if y := t.Year(); y < 1678 || y > 2261 {
		return Value{}, errRange
	}
	return Value{Bits: uint64(t.UnixNano())}, nil
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
