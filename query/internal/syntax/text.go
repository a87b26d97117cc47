package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// stringValue parses a string and returns its value.
func (p *parser) stringValue() string {
	t := p.next()
	if t.Type == str {
		return strings.ReplaceAll(t.Value[1:len(t.Value)-1], "''", "'")
	}
	// E'...' has the escapes of PostgreSQL.
	var b strings.Builder
	s := t.Value[2 : len(t.Value)-1]
	for i := 0; i < len(s); {
		c := s[i]
		i++
		switch {
		case c == '\'':
			i++ // doubled
			b.WriteByte(c)
		case c != '\\':
			b.WriteByte(c)
		default:
			pos := Pos(t.Pos.Offset + 2 + i - 1)
			c = s[i]
			i++
			switch {
			case strings.IndexByte("bfnrt", c) >= 0:
				b.WriteByte("\b\f\n\r\t"[strings.IndexByte("bfnrt", c)])
			case c >= '0' && c <= '7':
				i--
				v, n := digits(s[i:], 8, 3)
				i += n
				b.WriteByte(byte(v))
			case c == 'x':
				v, n := digits(s[i:], 16, 2)
				if n == 0 {
					fail(pos, `expected one or two hexadecimal digits behind \x`)
				}
				i += n
				b.WriteByte(byte(v))
			case c == 'u' || c == 'U':
				want := map[byte]int{'u': 4, 'U': 8}[c]
				v, n := digits(s[i:], 16, want)
				if n != want {
					fail(pos, "expected "+strconv.Itoa(want)+` hexadecimal digits behind \`+string(c))
				}
				if v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
					fail(pos, "no such character")
				}
				i += n
				b.WriteRune(rune(v))
			default:
				b.WriteByte(c)
			}
		}
	}
	if v := b.String(); utf8.ValidString(v) && strings.IndexByte(v, 0) < 0 {
		return v
	}
	fail(Pos(t.Pos.Offset), "the string's escapes are not UTF-8 text")
	return ""
}

// digits is the number that the first digits of s form, at most most of them, and how many digits
// there are.
func digits(s string, base, most int) (v uint64, n int) {
	for n < most && n < len(s) {
		if _, err := strconv.ParseUint(s[n:n+1], base, 8); err != nil {
			break
		}
		n++
	}
	v, _ = strconv.ParseUint(s[:n], base, 64)
	return v, n
}
