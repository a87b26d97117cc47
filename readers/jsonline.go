package readers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// jsonKind is the kind of a JSON value.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonFalse
	jsonTrue
	jsonNumber
	jsonString
	jsonObject
	jsonArray
)

// String names the kind with its article.
func (k jsonKind) String() string {
	return [...]string{"null", "false", "true", "a number", "a string", "an object", "an array"}[k]
}

// jsonSpan is the place of a value in a buffer.
type jsonSpan struct {
	begin, end int // for a string, including its quotes
	kind       jsonKind
	escaped    bool
}

// jsonLine reads one object, whatever JSON it has. It is the twin of what walks lines.
type jsonLine struct {
	format *jsonFormat
	// order has the columns of the fields of the last line, as many as there is room for; -1 for a
	// field that has none.
	order [maxExpected]int32
	// members is how many fields the line has so far.
	members int

	// spans has the value of each column.
	spans []jsonSpan
	// seen has, for each column, the line that its span belongs to.
	seen []uint64
	// lines is the number of the current line.
	lines uint64
	// escapes are the columns of the last line with texts to unescape.
	escapes []int
	// scratch is for names and times without their escapes.
	scratch []byte
	// depth has a bit for each open value: set for an object, clear for an array.
	depth [maxJSONDepth / 64]uint64

	// The following fields are for columns that are fields within fields.

	// nodes has the line in which each node was last seen.
	nodes []uint64
	// direct has the line in which a field had the whole name of the column.
	direct []uint64
	// above is the number of objects around the one that is scanned.
	above int
	// texts has copies for the columns that need them.
	texts []byte

	// unread has the columns that nobody reads; nil if all are read.
	unread []bool
	// wanted says of each node whether there are columns below it that are read, or must not be
	// missing.
	wanted []bool
}

func newJSONLine(f *jsonFormat) jsonLine {
	n := len(f.fields)
	nodes := 0
	if f.paths != nil {
		nodes = f.paths.nodes
	}
	l := jsonLine{
		nodes: make([]uint64, nodes), wanted: make([]bool, nodes), format: f, spans: make([]jsonSpan, n),
		seen:   make([]uint64, n),
		direct: make([]uint64, n), escapes: make([]int, 0, n),
	}
	l.project(nil)
	return l
}

// project says which columns nobody reads.
func (l *jsonLine) project(unread []bool) {
	l.unread = unread
	if l.format.paths != nil {
		l.want(l.format.paths.root)
	}
}

// want finds the nodes with columns below them that are read, or must not be missing.
func (l *jsonLine) want(n *jsonNode) {
	l.wanted[n.id] = false
	for _, column := range n.within {
		if len(n.fields) > 0 && (l.reads(column) || !l.format.fields[column].nullable) {
			l.wanted[n.id] = true
		}
	}
	for _, field := range n.fields {
		l.want(field)
	}
}

// reads says whether a column is read.
func (l *jsonLine) reads(column int) bool {
	return column >= 0 && (l.unread == nil || !l.unread[column])
}

// read reads the line buf[begin:end] of the parser's stretch into a row. Texts with escapes are
// left for unescape, so that a line with an error further on is not changed. errBlank says that the
// line is empty.
func (l *jsonLine) read(r *jsonParser, b *record.Batch, row, begin, end int) error {
	if err := l.object(r.buf, begin, end); err != nil {
		return err
	}
	l.escapes = l.escapes[:0]
	for column := range l.spans {
		var err error
		switch f := &l.format.fields[column]; {
		case l.unread != nil && l.unread[column]:
			if !f.nullable && (l.seen[column] != l.lines || l.spans[column].kind == jsonNull) {
				err = errNullUnread
			}
		case l.seen[column] == l.lines:
			err = l.convert(r, b, column, row, l.spans[column])
		case f.nullable:
			f.null(b, column, row)
		default:
			err = errors.New("missing, and not nullable")
		}
		if err != nil {
			var value []byte
			if l.seen[column] == l.lines {
				value = r.buf[l.spans[column].begin:l.spans[column].end]
			}
			return newValueError(l.format.cfg.Schema.Field(column).Name, value, err)
		}
	}
	return nil
}

// value reads a value that fills buf[begin:end] into a row. If it is a text with escapes, they are
// left as they are, and l.escapes has the column.
func (l *jsonLine) value(r *jsonParser, b *record.Batch, column, row, begin, end int) error {
	span, err := l.scan(r.buf, begin, end)
	if err != nil {
		return err
	}
	if span.end != end {
		return errOther
	}
	l.escapes = l.escapes[:0]
	return l.convert(r, b, column, row, span)
}

// errOther sends a value to the slow way; it never reaches a user.
var errOther = errors.New("not as usual")

// expected is the error for what is found at place i of a line that begins at begin.
func expected(buf []byte, begin, i, end int, what string) error {
	if i >= end {
		return fmt.Errorf("the record ends after %d bytes, expected %s", end-begin, what)
	}
	return fmt.Errorf("%.20q at byte %d of the record, expected %s", buf[i:min(i+8, end)], i-begin+1, what)
}

// blanks is the first place at or after i that is not a blank.
func blanks(buf []byte, i, end int) int {
	for i < end && (buf[i] == ' ' || buf[i] == '\t' || buf[i] == '\r') {
		i++
	}
	return i
}

// object finds the fields of a line.
func (l *jsonLine) object(buf []byte, begin, end int) error {
	l.lines++
	l.members = 0
	i := blanks(buf, begin, end)
	if i == end {
		return errBlank
	}
	if buf[i] != '{' {
		if span, err := l.scan(buf, i, end); err == nil {
			return fmt.Errorf("%v, expected an object", span.kind)
		}
		return expected(buf, begin, i, end, "an object")
	}
	i = blanks(buf, i+1, end)
	if i < end && buf[i] == '}' {
		return l.rest(buf, begin, i+1, end)
	}
	for {
		if i == end || buf[i] != '"' {
			return expected(buf, begin, i, end, "a name in quotes")
		}
		next, escaped, err := scanString(buf, i, end)
		if err != nil {
			return expected(buf, begin, next, end, err.Error())
		}
		column := l.column(buf[i+1:next-1], escaped)
		var within *jsonNode
		if l.format.paths != nil {
			within = l.format.paths.root.fields[string(l.name(buf[i+1:next-1], escaped))]
		}
		i = blanks(buf, next, end)
		if i == end || buf[i] != ':' {
			return expected(buf, begin, i, end, "a colon")
		}
		i = blanks(buf, i+1, end)
		span, err := l.member(buf, i, end, within, l.reads(column))
		if err != nil {
			return expected(buf, begin, span.end, end, err.Error())
		}
		if l.members < len(l.order) {
			l.order[l.members] = int32(column)
		}
		l.members++
		if column >= 0 {
			l.spans[column], l.seen[column], l.direct[column] = span, l.lines, l.lines
		}
		i = blanks(buf, span.end, end)
		if i < end && buf[i] == ',' {
			i = blanks(buf, i+1, end)
			continue
		}
		if i == end || buf[i] != '}' {
			return expected(buf, begin, i, end, "a comma or }")
		}
		return l.rest(buf, begin, i+1, end)
	}
}

// pass finds the end of the value at i, which nobody reads. It checks what NDJSON says. The error
// is as in scan.
func (l *jsonLine) pass(buf []byte, i, end int) (span jsonSpan, err error) {
	if l.format.cfg.Strict {
		return l.scan(buf, i, end)
	}
	span = jsonSpan{begin: i, kind: jsonNumber}
	fail := func(err error) (jsonSpan, error) {
		span.end = i
		return span, err
	}
	depth := 0
scan:
	for ; i < end; i++ {
		switch c := buf[i]; c {
		case '"':
			i = closingQuote(buf, i+1, end)
			if i == end {
				return fail(errUnended)
			}
		case '\\':
			return fail(errValue)
		case '{', '[':
			if depth+l.above == maxJSONDepth {
				return fail(errDeep)
			}
			l.depth[depth/64] &^= 1 << (depth % 64)
			l.depth[depth/64] |= uint64(c>>5&1) << (depth % 64) // of the brackets, the braces have this bit
			depth++
		case '}', ']':
			if depth == 0 {
				break scan
			}
			depth--
			if l.depth[depth/64]>>(depth%64)&1 != uint64(c>>5&1) {
				return fail(errNext)
			}
		case ',', ':':
			if depth == 0 && c == ',' {
				break scan
			}
			if depth == 0 {
				return fail(errNext)
			}
		}
	}
	if depth > 0 {
		return fail(errNext)
	}
	for i > span.begin && (buf[i-1] == ' ' || buf[i-1] == '\t' || buf[i-1] == '\r') {
		i--
	}
	span.end = i
	if i == span.begin {
		return fail(errValue)
	}
	switch {
	case buf[span.begin] == '{':
		span.kind = jsonObject
	case buf[span.begin] == '[':
		span.kind = jsonArray
	case buf[span.begin] == '"':
		span.kind = jsonString
	case string(buf[span.begin:i]) == "null":
		span.kind = jsonNull
	}
	return span, nil
}

// closingQuote is the place of the quote that closes the string that begins at i, or end.
func closingQuote(buf []byte, i, end int) int {
	for i < end {
		n := bytes.IndexAny(buf[i:end], `"\\`)
		if n < 0 {
			return end
		}
		i += n
		if buf[i] == '"' {
			return i
		}
		i += 2
	}
	return end
}

// rest says what is wrong with the bytes after an object.
func (l *jsonLine) rest(buf []byte, begin, i, end int) error {
	i = blanks(buf, i, end)
	if i < end {
		return expected(buf, begin, i, end, "the end of the line")
	}
	return nil
}

// column is the column of a field, or -1 if it has none. It expects the same order of fields as in
// the previous line.
func (l *jsonLine) column(name []byte, escaped bool) int {
	name = l.name(name, escaped)
	if l.members < len(l.order) {
		if c := int(l.order[l.members]); c >= 0 && c < len(l.spans) && l.format.names[c] == string(name) {
			return c
		}
	}
	if c, ok := l.format.column[string(name)]; ok {
		return c
	}
	return -1
}

// What was expected at the place of an error in a value.
var (
	errValue   = errors.New("a value")
	errDeep    = fmt.Errorf("values nested no deeper than %d", maxJSONDepth)
	errUnended = errors.New("a quote that ends the string")
	errControl = errors.New("an escape for a control character")
	errEscape  = errors.New("an escape")
	errName    = errors.New("a name in quotes")
	errColon   = errors.New("a colon")
	errNext    = errors.New("a comma or the end of the object or array")
)

// scan finds the end of the value at i. If there is an error, span.end is where, and the error says
// what was expected there.
func (l *jsonLine) scan(buf []byte, i, end int) (span jsonSpan, err error) {
	span.begin = i
	// open objects and arrays; bit d of l.depth says that the one at depth d is an object
	depth := 0
	for {
		// A value begins at i.
		var kind jsonKind
		if i == end {
			span.end = i
			return span, errValue
		}
		opened := false
		switch c := buf[i]; {
		case c == '"':
			var escaped bool
			i, escaped, err = scanString(buf, i, end)
			if err != nil {
				span.end = i
				return span, err
			}
			kind, span.escaped = jsonString, span.escaped || escaped
		case c == '-' || c-'0' <= 9:
			next, ok := scanNumber(buf, i, end)
			if !ok {
				span.end = i
				return span, errValue
			}
			kind, i = jsonNumber, next
		case c == '{' || c == '[':
			if depth+l.above == maxJSONDepth {
				span.end = i
				return span, errDeep
			}
			kind = jsonArray
			if c == '{' {
				kind = jsonObject
				l.depth[depth/64] |= 1 << (depth % 64)
			} else {
				l.depth[depth/64] &^= 1 << (depth % 64)
			}
			depth++
			i = blanks(buf, i+1, end)
			opened = true
		case end-i >= 4 && string(buf[i:i+4]) == "null":
			kind, i = jsonNull, i+4
		case end-i >= 4 && string(buf[i:i+4]) == "true":
			kind, i = jsonTrue, i+4
		case end-i >= 5 && string(buf[i:i+5]) == "false":
			kind, i = jsonFalse, i+5
		default:
			span.end = i
			return span, errValue
		}
		if depth == 0 || depth == 1 && opened {
			span.kind = kind
		}
		// What comes after the value, up to the next value.
		for {
			if depth == 0 {
				span.end = i
				return span, nil
			}
			if !opened {
				i = blanks(buf, i, end)
			}
			object := l.depth[(depth-1)/64]>>((depth-1)%64)&1 != 0
			closing := byte(']')
			if object {
				closing = '}'
			}
			if i < end && buf[i] == closing {
				i++
				depth--
				opened = false
				continue
			}
			if !opened {
				if i == end || buf[i] != ',' {
					span.end = i
					return span, errNext
				}
				i = blanks(buf, i+1, end)
			}
			if object {
				if i == end || buf[i] != '"' {
					span.end = i
					return span, errName
				}
				i, _, err = scanString(buf, i, end)
				if err != nil {
					span.end = i
					return span, err
				}
				i = blanks(buf, i, end)
				if i == end || buf[i] != ':' {
					span.end = i
					return span, errColon
				}
				i = blanks(buf, i+1, end)
			}
			break
		}
	}
}

// scanString finds the position after the string whose first quote is at i. With an error, next is
// the position of the fault.
func scanString(buf []byte, i, end int) (next int, escaped bool, err error) {
	for i++; ; {
		// Skip eight bytes at a time, as long as none of them needs attention.
		for i+8 <= end {
			w := binary.LittleEndian.Uint64(buf[i:])
			if m := zeroBytes(w^'"'*ones) | zeroBytes(w^'\\'*ones) | zeroBytes(w&(0xe0*ones)); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i == end {
			return i, escaped, errUnended
		}
		switch c := buf[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c < ' ':
			return i, escaped, errControl
		case c != '\\':
			i++
			continue
		}
		escaped = true
		if i+1 == end {
			return i + 1, escaped, errUnended
		}
		switch buf[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if _, ok := hex4(buf[i+2 : end]); !ok {
				return i, escaped, errEscape
			}
			i += 6
		default:
			return i, escaped, errEscape
		}
	}
}

// hex4 is the number that the first four bytes of text are in hexadecimal.
func hex4(text []byte) (v rune, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, c := range text[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// scanNumber finds the position after the number at i. ok is false if there is no number.
func scanNumber(buf []byte, i, end int) (next int, ok bool) {
	some := func() bool {
		from := i
		for i < end && buf[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if i < end && buf[i] == '-' {
		i++
	}
	if i < end && buf[i] == '0' {
		i++
	} else if !some() {
		return i, false
	}
	if i < end && buf[i] == '.' {
		i++
		if !some() {
			return i, false
		}
	}
	if i < end && buf[i]|0x20 == 'e' {
		i++
		if i < end && (buf[i] == '+' || buf[i] == '-') {
			i++
		}
		if !some() {
			return i, false
		}
	}
	return i, true
}

// unescape resolves the escapes of text in place and returns the new length. scanString has checked
// text. No escape is shorter than the character it stands for.
func unescape(text []byte) int {
	n := 0
	for i := 0; ; {
		plain := bytes.IndexByte(text[i:], '\\')
		if plain < 0 {
			return n + copy(text[n:], text[i:])
		}
		if n < i {
			copy(text[n:], text[i:i+plain])
		}
		n += plain
		i += plain + 1
		c := text[i]
		i++
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			v, _ := hex4(text[i:])
			i += 4
			if utf16.IsSurrogate(v) {
				pair := rune(utf8.RuneError)
				if i+6 <= len(text) && text[i] == '\\' && text[i+1] == 'u' {
					low, _ := hex4(text[i+2:])
					pair = utf16.DecodeRune(v, low)
					if pair != utf8.RuneError {
						i += 6
					}
				}
				v = pair
			}
			n += utf8.EncodeRune(text[n:n+utf8.RuneLen(v)], v)
			continue
		}
		text[n] = c
		n++
	}
}

// unescape resolves the escapes of the texts of the row that was read last.
func (l *jsonLine) unescape(r *jsonParser, b *record.Batch, row int) {
	for _, column := range l.escapes {
		v := &b.Column(column).Views[row]
		v.Len = uint32(unescape(r.buf[v.Off : v.Off+v.Len]))
	}
	l.escapes = l.escapes[:0]
}

// convert reads a value into a row.
func (l *jsonLine) convert(r *jsonParser, b *record.Batch, column, row int, span jsonSpan) error {
	f, c := &l.format.fields[column], b.Column(column)
	text := r.buf[span.begin:span.end]
	if span.kind == jsonNull {
		if !f.nullable {
			return errors.New("null, and not nullable")
		}
		f.null(b, column, row)
		return nil
	}
	if f.kind == fieldText {
		if r.copied != nil && r.copied[column] {
			c.Views[row] = l.copyText(text, span)
			return nil
		}
		v := record.View{Off: uint32(span.begin), Len: uint32(len(text))}
		if span.kind == jsonString {
			v.Off, v.Len = v.Off+1, v.Len-2
			if span.escaped {
				l.escapes = append(l.escapes, column)
			}
		}
		c.Views[row] = v
		return nil
	}
	wrong := func() error {
		shown := fmt.Sprintf("%.40q", text)
		if span.kind == jsonString && len(text) <= 40 && utf8.Valid(text) {
			shown = string(text) // it has JSON's quotes and escapes
		}
		return fmt.Errorf("%s is %v, expected %v", shown, span.kind, l.format.cfg.Schema.Field(column).Type)
	}
	var err error
	var ok bool
	switch {
	case f.kind == fieldBool && (span.kind == jsonTrue || span.kind == jsonFalse):
		c.Int64s[row] = int64(span.kind - jsonFalse)
	case f.kind == fieldNumber && span.kind == jsonNumber:
		c.Int64s[row], ok = f.longNumber(text)
		if !ok {
			c.Int64s[row], err = f.exact(text)
		}
	case f.kind == fieldNumber && f.limit > 0 && span.kind == jsonString: // as velo itself writes decimals
		inner := l.inner(text, span)
		if len(inner) == 0 {
			return wrong()
		}
		c.Int64s[row], err = f.number(inner)
	case f.kind == fieldFloat && span.kind == jsonNumber:
		c.Float64s[row], ok = shortFloat(unsafe.Pointer(unsafe.SliceData(r.buf)), uint32(span.begin), uint32(span.end),
			f.codes)
		if !ok {
			c.Float64s[row], err = f.longFloat(text)
		}
	case f.kind == fieldTime && span.kind == jsonString:
		if !f.rules.careful && !span.escaped {
			base := unsafe.Pointer(unsafe.SliceData(r.buf))
			if v, ok := r.days[column].time(base, uint32(span.begin)+1, uint32(span.end)-1); ok {
				c.Int64s[row] = v
				return nil
			}
		}
		c.Int64s[row], err = f.time(l.inner(text, span))
	case (f.kind == fieldLogical || f.kind == fieldBytes) && span.kind == jsonString:
		err = f.logicalValue(c, row, l.inner(text, span))
	case f.logical.IsWide() && span.kind == jsonNumber:
		err = f.decode(c, row, text)
	case f.kind == fieldTime && span.kind == jsonNumber && (f.rules.TimeUnit != 0 || f.rules.TimeFormat != nil):
		if f.rules.TimeUnit != 0 {
			c.Int64s[row], err = record.ParseEpoch(view(text), f.rules.TimeUnit)
		} else {
			c.Int64s[row], err = f.time(text)
		}
	default:
		err = wrong()
	}
	return err
}

// longFloat converts a JSON number that is no shortFloat.
func (f *field) longFloat(text []byte) (float64, error) {
	// ParseFloat keeps its argument only in its error, which is replaced here.
	v, err := strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
	switch {
	case err != nil:
		return v, fmt.Errorf("%.40q is out of range", text)
	case f.codes != 0 && f.kind.isCode(text):
		return v, errCode(text)
	}
	return v, nil
}

// inner is what a string has within its quotes, without escapes. It is valid until the next call.
func (l *jsonLine) inner(text []byte, span jsonSpan) []byte {
	text = text[1 : len(text)-1]
	if !span.escaped {
		return text
	}
	l.scratch = append(l.scratch[:0], text...)
	return l.scratch[:unescape(l.scratch)]
}

// copyText copies a text and resolves its escapes in the copy.
func (l *jsonLine) copyText(text []byte, span jsonSpan) record.View {
	from := len(l.texts)
	if span.kind == jsonString {
		text = text[1 : len(text)-1]
	}
	l.texts = append(l.texts, text...)
	if span.kind == jsonString && span.escaped {
		l.texts = l.texts[:from+unescape(l.texts[from:])]
	}
	return record.View{Off: uint32(from), Len: uint32(len(l.texts) - from)}
}

// exact converts a JSON number to a bigint or a decimal. Any notation is allowed as long as no
// digit is lost.
func (f *field) exact(text []byte) (int64, error) {
	if f.scale == 0 && len(text) <= 8 {
		// Only digits, with an optional minus; 8 bytes before the end of text can be loaded.
		n := uint64(len(text))
		w := top(unsafe.Add(unsafe.Pointer(unsafe.SliceData(text)), n), n)
		negative := text[0] == '-'
		if negative {
			w ^= uint64('-'^'0') << (64 - 8*n)
		}
		if v, ok := eightDigits(w); ok && int64(v) <= f.shortLimit {
			if negative {
				return -int64(v), nil
			}
			return int64(v), nil
		}
	}
	// digits times 10^exponent is the number times 10^scale. The digits go from the first to the
	// last that is not zero.
	negative := text[0] == '-'
	mantissa, exponent := text, 0
	for i, c := range text {
		if c|0x20 == 'e' {
			mantissa = text[:i]
			e, err := strconv.Atoi(unsafe.String(&text[i+1], len(text)-i-1))
			if err != nil {
				e = math.MaxInt32 // out of range, or 0
				if text[i+1] == '-' {
					e = -e
				}
			}
			exponent = max(min(e, math.MaxInt32), -math.MaxInt32)
			break
		}
	}
	last := -1 // position of the last digit that is not zero
	for i, c := range mantissa {
		if c > '0' && c <= '9' {
			last = i
		}
	}
	if last < 0 {
		return 0, nil
	}
	outOfRange := func() (int64, error) { return 0, fmt.Errorf("%.40q is out of range", text) }
	exponent += f.scale
	var v uint64
	point := false
	for i, c := range mantissa {
		switch {
		case c == '.':
			point = true
			continue
		case c == '-':
			continue
		case i > last:
			if !point {
				exponent++
			}
			continue
		case v > (math.MaxUint64-9)/10:
			return outOfRange()
		}
		v = 10*v + uint64(c-'0')
		if point {
			exponent--
		}
	}
	if exponent < 0 {
		if f.limit == 0 {
			return 0, fmt.Errorf("%.40q is not a bigint", text)
		}
		return 0, fmt.Errorf("%.40q has more than %d digits after the point", text, f.scale)
	}
	for ; exponent > 0; exponent-- {
		if v > math.MaxUint64/10 {
			return outOfRange()
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
		return outOfRange()
	}
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}
