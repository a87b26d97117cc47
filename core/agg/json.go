package agg

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// appendJSON appends a value as JSON. A float that is no number is a string, and so is a timestamp.
// The word of a text is not looked at.
func appendJSON(to []byte, typ record.Type, word uint64, text []byte) []byte {
	switch {
	case typ.IsWide():
		return record.AppendLogical(to, typ, word, text)
	case typ.IsLogical():
		to = append(to, '"')
		if typ == record.Bytes { // its text begins with a backslash, which JSON escapes
			to = append(to, '\\')
		}
		return append(record.AppendLogical(to, typ, word, text), '"')
	case typ == record.String:
		return appendJSONText(to, text)
	case typ == record.Bool:
		return strconv.AppendBool(to, word != 0)
	case typ == record.Timestamp:
		to = time.Unix(0, int64(word)).UTC().AppendFormat(append(to, '"'), time.RFC3339Nano)
		return append(to, '"')
	case typ.IsDecimal():
		return record.Decimal{Unscaled: int64(word), Scale: uint8(typ.Scale())}.Append(to)
	case typ == record.Float64:
		v := math.Float64frombits(word)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			to = strconv.AppendFloat(append(to, '"'), v, 'f', -1, 64)
			return append(to, '"')
		}
		format := byte('f')
		if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e15) {
			format = 'e'
		}
		return strconv.AppendFloat(to, v, format, -1, 64)
	}
	return strconv.AppendInt(to, int64(word), 10)
}

// appendJSONText appends a text as a string of JSON. Bytes that are no UTF-8 become U+FFFD.
func appendJSONText(to, text []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for len(text) > 0 {
		c := text[0]
		switch {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c == '\n':
			to = append(to, `\n`...)
		case c == '\r':
			to = append(to, `\r`...)
		case c == '\t':
			to = append(to, `\t`...)
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			to = append(to, c)
		default:
			r, size := utf8.DecodeRune(text)
			to = utf8.AppendRune(to, r)
			text = text[size:]
			continue
		}
		text = text[1:]
	}
	return append(to, '"')
}
