package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/internal/interval"
)

// A Literal is a value of a logical type by its text, for callers that have a value of a type for
// which Go has none: a parameter of a statement, or a part of a key. Text has one of the forms that
// ParseLogical reads.
type Literal struct {
	Type Type
	Text string
}

// AppendLogical appends the text of a value of a logical type as PostgreSQL writes it: 09:30:00.5
// for a time, 1 day 02:00:00 for an interval, 36 characters in lower case for a uuid, \xdeadbeef
// for a bytea, and a number with all digits after the point for a wide decimal. word is the value
// of a type that IsFixed, text is the value of another. It panics if t is not logical.
func AppendLogical(to []byte, t Type, word uint64, text []byte) []byte {
	switch t {
	case TimeOfDay:
		return AppendClock(to, int64(word))
	case Interval:
		return AppendInterval(to, int64(word))
	case UUID:
		return appendUUID(to, text)
	case Bytes:
		return hex.AppendEncode(append(to, '\\', 'x'), text)
	}
	if t.IsWide() {
		return appendWide(to, t, text)
	}
	panic(fmt.Sprintf("record: %v is no logical type", t))
}

// AppendLogical is AppendLogical for row i, which is not NULL, of a column of type t.
func (c *Column) AppendLogical(to []byte, t Type, i int) []byte {
	if t.IsFixed() {
		return AppendLogical(to, t, uint64(c.Int64s[i]), nil)
	}
	return AppendLogical(to, t, 0, c.View(i))
}

// ParseLogical reads a value of a logical type from a text, with or without blanks around it. word
// is the value of a type that IsFixed; the bytes of another are appended to to. It reads the forms
// that PostgreSQL reads, except for what would have to be left out of a value: a zone of a time,
// and months of an interval.
func ParseLogical(to []byte, t Type, text string) (word uint64, value []byte, err error) {
	trimmed := strings.Trim(text, blanks)
	switch t {
	case TimeOfDay:
		nanos, err := ParseClock(trimmed)
		return uint64(nanos), to, err
	case Interval:
		d, err := interval.Fixed(trimmed, "")
		return uint64(d), to, err
	case UUID:
		value, err = parseUUID(to, trimmed)
		return 0, value, err
	case Bytes:
		value, err = parseBytes(to, text) // a blank is a byte
		return 0, value, err
	}
	if t.IsWide() {
		value, err = parseWide(to, t, trimmed)
		return 0, value, err
	}
	return 0, to, fmt.Errorf("%v is no logical type", t)
}

// CheckLogical says why a word is no value of a logical type; nil if it is one, or if the type is
// not logical.
func CheckLogical(t Type, word uint64) error {
	if t == TimeOfDay && word > DayNanos {
		return fmt.Errorf("%d nanoseconds since midnight are no time of day", int64(word))
	}
	return nil
}

// CheckLogicalText is CheckLogical for the types that are texts.
func CheckLogicalText(t Type, text []byte) error {
	if t == UUID && len(text) != uuidBytes {
		return fmt.Errorf("%d bytes are no uuid, which has %d", len(text), uuidBytes)
	}
	if t.IsWide() {
		return checkWide(t, text)
	}
	return nil
}

// AppendClock appends a time of day: 09:30:00, and the digits of a fraction if it has one.
func AppendClock(to []byte, nanos int64) []byte {
	n := uint64(nanos)
	to = appendTwo(to, n/3600e9)
	to = appendTwo(append(to, ':'), n/60e9%60)
	to = appendTwo(append(to, ':'), n/1e9%60)
	return appendFraction(to, n%1e9)
}

// AppendInterval appends an interval as PostgreSQL writes it: 3 days 04:05:06.
func AppendInterval(to []byte, nanos int64) []byte {
	n, sign := uint64(nanos), ""
	if nanos < 0 {
		n, sign = -n, "-"
	}
	days, rest := n/DayNanos, n%DayNanos
	if days > 0 {
		to = strconv.AppendUint(append(to, sign...), days, 10)
		if days == 1 && nanos > 0 {
			to = append(to, " day"...)
		} else {
			to = append(to, " days"...)
		}
		if rest == 0 {
			return to
		}
		to = append(to, ' ')
	}
	return AppendClock(append(to, sign...), int64(rest))
}

func appendTwo(to []byte, n uint64) []byte {
	if n < 10 {
		to = append(to, '0')
	}
	return strconv.AppendUint(to, n, 10)
}

// appendFraction appends the digits of nanoseconds after a point, without zeros at the end.
func appendFraction(to []byte, n uint64) []byte {
	if n == 0 {
		return to
	}
	to = append(to, '.')
	for unit := uint64(1e8); n > 0; unit /= 10 {
		to = append(to, '0'+byte(n/unit))
		n %= unit
	}
	return to
}

var errClock = errors.New("is not a time of day like 09:30:45.5, from 00:00:00 to 24:00:00")

// ParseClock reads a time of day into nanoseconds since midnight.
//
//	9:30, 09:30:45, 09:30:45.123456789    a comma may stand for the point
//	0930, 093045                          ISO 8601 basic
//	9:30 PM, 12:00am                      12 hours
//	24:00:00                              midnight at the end of the day
//
// A second 60 is the first of the next minute. Anything below a nanosecond is cut off. A zone is
// refused, because the value would lose it.
func ParseClock(text string) (nanos int64, err error) {
	fault := func() (int64, error) { return 0, fmt.Errorf("%.40q %w", text, errClock) }
	t := timeText{rest: text}
	colon := strings.IndexByte(text, ':') >= 0
	if n := t.digits(); !colon && n != 4 && n != 6 {
		return fault()
	}
	least := 2
	if colon {
		least = 1
	}
	between := func() bool { return !colon || t.take(":") != 0 }
	if !t.number(least, 2, &t.hour) || !between() || !t.number(2, 2, &t.minute) {
		return fault()
	}
	if colon && t.take(":") != 0 || !colon && t.digits() > 0 {
		if !t.number(2, 2, &t.second) || t.take(".,") != 0 && !t.fractionDigits() {
			return fault()
		}
	}
	t.skipBlanks()
	switch strings.ToUpper(t.rest) {
	case "":
	case "AM", "PM":
		if t.hour < 1 || t.hour > 12 {
			return fault()
		}
		t.hour %= 12
		if t.rest[0]|0x20 == 'p' {
			t.hour += 12
		}
	default:
		return fault()
	}
	nanos = int64(t.hour)*3600e9 + int64(t.minute)*60e9 + int64(t.second)*1e9 + int64(t.fraction)
	if t.minute > 59 || t.second > 60 || t.second == 60 && t.fraction > 0 || nanos > DayNanos {
		return fault()
	}
	return nanos, nil
}

// uuidBytes is how many bytes a UUID has.
const uuidBytes = 16

// appendUUID appends a UUID in groups of 8, 4, 4, 4 and 12 digits.
func appendUUID(to, id []byte) []byte {
	if len(id) != uuidBytes { // a damaged value: all its bytes are shown
		return hex.AppendEncode(to, id)
	}
	to = hex.AppendEncode(to, id[:4])
	for i := 4; i < 10; i += 2 {
		to = hex.AppendEncode(append(to, '-'), id[i:i+2])
	}
	return hex.AppendEncode(append(to, '-'), id[10:])
}

// parseUUID appends the bytes of a UUID. As in PostgreSQL the digits are of either case, may be in
// braces, and may have a hyphen after any four of them.
func parseUUID(to []byte, text string) ([]byte, error) {
	rest := text
	if strings.HasPrefix(rest, "{") && strings.HasSuffix(rest, "}") {
		rest = rest[1 : len(rest)-1]
	}
	var digits [2 * uuidBytes]byte
	n := 0
	for i := range len(rest) {
		if c := rest[i]; c == '-' && n > 0 && n < len(digits) && n%4 == 0 && rest[i-1] != '-' {
			continue
		}
		if n == len(digits) {
			n++
			break
		}
		digits[n] = rest[i]
		n++
	}
	at := len(to)
	to, err := hex.AppendDecode(to, digits[:min(n, len(digits))])
	if n != len(digits) || err != nil {
		return to[:at], fmt.Errorf("%.60q is not a uuid like a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", text)
	}
	return to, nil
}

// parseBytes appends the bytes that a text in PostgreSQL's forms of bytea means. After \x come
// hexadecimal digits, in pairs that blanks may separate. Otherwise \\ is a backslash, \ooo the byte
// of three octal digits, and every other byte itself.
func parseBytes(to []byte, text string) ([]byte, error) {
	at := len(to)
	rest, isHex := strings.CutPrefix(text, `\x`)
	for i := 0; isHex && i < len(rest); i += 2 {
		if strings.IndexByte(blanks, rest[i]) >= 0 {
			i--
			continue
		}
		var b [1]byte
		if i+2 > len(rest) {
			return to[:at], fmt.Errorf("%.40q is not a bytea: it has an odd number of digits", text)
		}
		if _, err := hex.Decode(b[:], []byte(rest[i:i+2])); err != nil {
			return to[:at], fmt.Errorf("%.40q is not a bytea: %.2q are no hexadecimal digits", text, rest[i:i+2])
		}
		to = append(to, b[0])
	}
	if isHex {
		return to, nil
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			to = append(to, text[i])
		case i+1 < len(text) && text[i+1] == '\\':
			to = append(to, '\\')
			i++
		case i+3 < len(text) && text[i+1]-'0' <= 3 && text[i+2]-'0' <= 7 && text[i+3]-'0' <= 7:
			to = append(to, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
			i += 3
		default:
			return to[:at], fmt.Errorf("%.40q is not a bytea: after a backslash come x and hexadecimal digits, "+
				"another backslash, or three octal digits", text)
		}
	}
	return to, nil
}
