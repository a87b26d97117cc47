package readers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// fieldKind says how a field is read. There is one kind for each type, except that the types with
// the fast path of whole numbers share one.
type fieldKind uint8

const (
	fieldText   fieldKind = iota
	fieldNumber           // bigint and decimal
	fieldFloat
	fieldBool
	fieldTime
	fieldLogical // a logical type that is a word
	fieldBytes   // a logical type that is a text: its bytes differ from what the file has
)

// field is a column as the scanner needs it.
type field struct {
	kind     fieldKind
	logical  record.Type // of fieldLogical and fieldBytes
	nullable bool
	quoted   bool // the file has quotes
	scale    int
	limit    int64 // greatest magnitude of a decimal; 0 for bigint
	rules    *valueRules
	codes    uint64 // as in columnText

	// The following fields are for shortNumbers.

	// pointShift is the shift that brings the point in a word to the lowest byte.
	pointShift uint
	// behind masks the bytes after the point.
	behind uint64
	// leastBytes is the length of "0." and the digits after it.
	leastBytes int
	// shortLimit is the greatest magnitude.
	shortLimit int64
}

// compileFields decides how each column of a schema is read.
func compileFields(s *record.Schema, quote byte, o *ValueOptions) []field {
	fields := make([]field, s.Len())
	for i := range fields {
		fields[i] = compileField(s.Field(i), quote, o)
	}
	return fields
}

// compileField decides how a column is read.
func compileField(column record.Field, quote byte, o *ValueOptions) field {
	f := field{nullable: column.Nullable, quoted: quote != 0}
	switch t := column.Type; {
	case t.IsLogical():
		f.kind, f.logical = fieldLogical, t
		if !t.IsFixed() {
			f.kind = fieldBytes
		}
	case t == record.String:
		f.kind = fieldText
	case t == record.Float64:
		f.kind = fieldFloat
	case t == record.Bool:
		f.kind = fieldBool
	case t == record.Timestamp:
		f.kind = fieldTime
	default:
		f.kind = fieldNumber
		f.scale = t.Scale()
		f.shortLimit = math.MaxInt64
		if t.IsDecimal() {
			f.limit = record.Pow10[t.Precision()] - 1
			f.shortLimit = f.limit
		}
		f.leastBytes = 9 // longer than a word: too many digits after the point for one
		if f.scale <= 6 {
			f.leastBytes = f.scale + 2
			f.pointShift = uint(56 - 8*f.scale)
			f.behind = ^uint64(0) << (64 - 8*f.scale)
		}
	}
	rules := compileRules(f.kind, o, f.scale)
	f.rules = &rules
	if o.NoCodes {
		f.codes = codeBytes
	}
	return f
}

// Words of eight equal bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	zeros = 0x3030303030303030 // "00000000"
)

// word is the eight bytes at p.
//
//gcassert:inline
func word(p unsafe.Pointer) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(p)[:])
}

// The number of records that are parsed column by column is between these. A faulty record ends its
// stripe, and the work on the records after it is lost. So the stripes after it are short, and grow
// again.
const (
	maxStripe = 256
	minStripe = 8
)

// parse reads records from r.buf[r.pos:r.end] into b until either is exhausted, or until b has no
// room for a reject.
func (r *delimitedParser) parse(b *record.Batch) {
	l := r.lay
	for i, col := range l.columns {
		if col >= 0 && l.fields[i].kind == fieldText && !r.skips(col) {
			b.Column(col).Bytes = r.buf
		}
	}
	r.decoded.begin(b, r.format.fields)
	s := &r.structurals
	row, rows := 0, b.Cap()
	for row < rows && r.pos < r.end {
		width := len(l.fields) + r.trailing // places of a record
		n := min(s.more(r.buf, r.end, r.format.quoting, width)/width, rows-row, r.stripe)
		good, reason := r.columns(b, row, n, width)
		if r.doubled {
			r.lineAt(int(s.at[s.from-1+good*width]) + 1) // before newlines move
			r.undouble(b, row, row+good)
		}
		s.from += good * width
		r.pos = int(s.at[s.from-1]) + 1
		r.stripe = min(2*r.stripe, maxStripe)
		row += good
		if good == n && n > 0 {
			continue
		}
		r.stripe = minStripe
		notNull(b, row, row+n-good)
		if reason == errFields && (good > 0 || r.turn()) {
			continue // the next record may have a delimiter at its end, or lack the expected one
		}
		if !r.reject(b, reason) {
			break
		}
	}
	r.decoded.end(b)
	r.lend(b)
	b.SetLen(row)
}

// turn switches whether a delimiter is expected after the last field of each record. It returns
// false if both ways have been tried at this place.
func (r *delimitedParser) turn() bool {
	if r.turned == r.pos {
		return false
	}
	r.turned = r.pos
	r.trailing = 1 - r.trailing
	return true
}

// columns reads the next n records into the rows from row on, column by column. It returns how many
// come before the first faulty one, and what the first fault is. If it returns 0, there may be
// fewer fields left than one record has.
func (r *delimitedParser) columns(b *record.Batch, row, n, width int) (good int, reason error) {
	l := r.lay
	good, reason = n, errFields
	if comment := r.format.cfg.Comment; comment != 0 {
		if read := r.comments(comment, good, width); read < good {
			good, reason = read, errComment
		}
		if n == 0 && r.buf[r.pos] == comment {
			return 0, errComment
		}
	}
	for i := 0; i < len(l.fields) && good > 0; i++ {
		var read int
		var err error
		switch {
		case l.columns[i] < 0:
			read, err = r.skipped(i, good, width)
		case r.skips(l.columns[i]):
			read, err = r.unreadColumn(i, good, width)
		case r.structurals.quoted:
			read, err = r.quotedColumn(b, i, row, good, width)
		default:
			read, err = r.column(b, i, row, good, width)
		}
		f, col := &l.fields[i], l.columns[i]
		if col >= 0 && f.kind == fieldText && len(f.rules.Nulls) > 0 && !r.skips(col) {
			f.nullWords(b, col, row, row+read)
		}
		if read < good {
			good, reason = read, err
		}
	}
	if r.trailing != 0 && good > 0 {
		if read := r.ends(good, width); read < good {
			good, reason = read, errFields
		}
	}
	if read, err := r.lengths(good, width); read < good {
		good, reason = read, err
	}
	for _, col := range l.missing {
		if good > 0 && !r.skips(col) {
			r.format.fields[col].nulls(b, col, row, row+good)
		}
	}
	return good, reason
}

// comments returns how many of the next n records come before the first comment.
func (r *delimitedParser) comments(comment byte, n, width int) int {
	at := r.structurals.at[r.structurals.from-1:]
	for k := range n {
		if r.buf[at[k*width]+1] == comment {
			return k
		}
	}
	return n
}

// ends returns how many of the next n records have nothing after the delimiter that follows their
// last field.
func (r *delimitedParser) ends(n, width int) int {
	at := r.structurals.at[r.structurals.from-1:]
	for k := range n {
		begin, end := at[k*width+width-1]+1, at[k*width+width]
		if begin < end && r.buf[end-1] == '\r' {
			end--
		}
		if begin != end || r.buf[at[k*width+width]] != '\n' {
			return k
		}
	}
	return n
}

// fieldEnd is the byte that field i of a record must end with.
func (r *delimitedParser) fieldEnd(i int) byte {
	if i == len(r.lay.fields)-1 && r.trailing == 0 {
		return '\n'
	}
	return r.format.cfg.Delimiter
}

// skipped passes over field i of the next n records, which is not a column, and returns how many
// records have it.
func (r *delimitedParser) skipped(i, n, width int) (read int, err error) {
	at, end := r.structurals.at[r.structurals.from+i:], r.fieldEnd(i)
	for read < n {
		if r.buf[at[read*width]] != end {
			return read, errFields
		}
		read++
	}
	return read, nil
}

// unreadColumn passes over field i of the next n records, which is a column that nobody reads. It
// returns how many records have the field, with a value if the column is not nullable.
func (r *delimitedParser) unreadColumn(i, n, width int) (read int, err error) {
	f := &r.lay.fields[i]
	if f.nullable || f.kind == fieldText {
		return r.skipped(i, n, width)
	}
	at, last := r.structurals.at[r.structurals.from-1+i:], r.fieldEnd(i)
	words, quote := len(f.rules.Nulls) > 0, r.format.cfg.Quote
	for ; read < n; read++ {
		begin, end := int(at[read*width])+1, int(at[read*width+1])
		if r.buf[end] != last {
			return read, errFields
		}
		if c := r.buf[begin]; begin < end && c > ' ' && c < 0x80 && c != quote && !words {
			continue
		}
		if err := r.noValue(f, r.lay.columns[i], r.buf[begin:end]); err != nil {
			return read, err
		}
	}
	return read, nil
}

// noValue returns why a field of a column has no value, if it is empty or a word for NULL.
func (r *delimitedParser) noValue(f *field, col int, text []byte) error {
	if f.quoted {
		inner, _, err := r.format.quoting.unquote(bytes.TrimSuffix(text, []byte{'\r'}))
		if err != nil {
			return nil //nolint:nilerr // it is not empty, and what else it is does not matter
		}
		text = inner
	}
	text = bytes.TrimSpace(text)
	err := errEmpty
	switch {
	case len(text) == 0:
	case f.rules.isNull(text):
		_, _, err = f.value(text) // a word for NULL may be a value here, such as 0
	default:
		return nil
	}
	if err == nil {
		return nil
	}
	return newValueError(r.format.cfg.Schema.Field(col).Name, text, err)
}

// column reads field i of the next n records into the rows from row on; n is at least 1. It stops
// before the first record whose field is faulty, and returns how many it has read.
func (r *delimitedParser) column(b *record.Batch, i, row, n, width int) (read int, err error) {
	f, col, s := &r.lay.fields[i], r.lay.columns[i], &r.structurals
	c := columnText{
		base: unsafe.Pointer(unsafe.SliceData(r.buf)), width: width, end: r.fieldEnd(i), quote: r.format.textQuote(),
		codes: f.codes,
	}
	at := s.at[s.from-1+i : s.from+1+i+(n-1)*width]
	for {
		c.at = at[read*width:]
		if f.kind == fieldText {
			read += c.texts(b.Column(col).Views[row+read : row+n])
		} else {
			read += r.values(&c, b, i, row+read, row+n)
		}
		if read == n {
			return read, nil
		}
		// The next field has an unusual form, or a type without a fast path.
		begin, end := int(at[read*width])+1, int(at[read*width+1])
		if r.buf[end] != c.end {
			return read, errFields
		}
		if c.end == '\n' && begin < end && r.buf[end-1] == '\r' {
			end--
		}
		if err := f.read(b, col, row+read, r.buf[begin:end]); err != nil {
			return read, newValueError(r.format.cfg.Schema.Field(col).Name, r.buf[begin:end], err)
		}
		read++
		if read == n {
			return read, nil
		}
	}
}

// values reads the numbers or times in the rows from..to of field i. It stops at the first that has
// an unusual form, or at once if the type has no fast path, and returns how many it has read.
func (r *delimitedParser) values(c *columnText, b *record.Batch, i, from, to int) int {
	f, col := &r.lay.fields[i], r.lay.columns[i]
	if f.rules.careful {
		return 0
	}
	switch f.kind {
	case fieldNumber:
		return c.shortNumbers(f, b.Column(col).Int64s[from:to])
	case fieldFloat:
		return c.floats(b.Column(col).Float64s[from:to])
	case fieldTime:
		return c.times(&r.days[col], b.Column(col).Int64s[from:to])
	}
	return 0
}

// lengths returns how many of the next n records come before the first that is too long.
func (r *delimitedParser) lengths(n, width int) (int, error) {
	s, longest := &r.structurals, r.format.cfg.MaxRecordBytes
	if int(s.at[s.from-1+n*width])-r.pos <= longest {
		return n, nil // all of them together are not too long, so none is
	}
	begin := r.pos
	for i := range n {
		end := int(s.at[s.from-1+(i+1)*width])
		if end-begin > longest {
			return i, longRecord(end-begin, longest)
		}
		begin = end + 1
	}
	return n, nil
}

// Reasons to reject a record that are not errors of a column.
var (
	errFields  = errors.New("a wrong number of fields")
	errBlank   = errors.New("an empty line")
	errComment = errors.New("a comment")
)

// longRecord is the reason to reject a record that is longer than allowed.
func longRecord(bytes, longest int) error {
	return fmt.Errorf("a record of %d bytes, at most %d are allowed", bytes, longest)
}

// reject sets the record at r.pos aside and goes on after it. It returns false if the batch takes
// no more rejects. Empty lines and comments are not records and are skipped.
func (r *delimitedParser) reject(b *record.Batch, reason error) bool {
	o := r.format.quoting.outline(r.buf[r.pos:r.end])
	if reason == errComment {
		o = outline{bytes: lineLength(r.buf[r.pos:r.end]), open: -1}
	}
	next := r.pos + o.bytes
	line := bytes.TrimSuffix(r.buf[r.pos:next-1], []byte{'\r'})
	switch {
	case reason == errComment:
		if longest := r.format.cfg.MaxRecordBytes; o.bytes-1 > longest {
			// A stream gives such a line up before it knows the rest of it.
			reason = longRecord(o.bytes-1, longest)
		}
	case o.open >= 0:
		reason = fmt.Errorf("the quote at offset %d is not closed", r.base+int64(r.pos+o.open))
	case len(line) == 0 && (reason == errFields || len(r.lay.fields) > 1):
		reason = errBlank
	case reason == errFields || !r.fieldsFit(o.fields, line):
		// The number of fields goes before any other fault. Otherwise the reason would depend on
		// which other records were read together with this one.
		reason = fmt.Errorf("%d fields, expected %d", o.fields, len(r.lay.fields))
		if o.fields == 1 {
			reason = fmt.Errorf("1 field, expected %d", len(r.lay.fields))
		}
	}
	if reason != errBlank && reason != errComment {
		if !b.Reject(record.Reject{Offset: r.base + int64(r.pos), Line: r.lineAt(r.pos), Reason: reason, Bytes: line}) {
			return false
		}
	}
	r.pos = next
	r.structurals.skip(next)
	return true
}

// fieldsFit says whether a record may have n fields: as many as expected, or one more if the last
// one is empty.
func (r *delimitedParser) fieldsFit(n int, line []byte) bool {
	want := len(r.lay.fields)
	return n == want || n == want+1 && line[len(line)-1] == r.format.cfg.Delimiter
}

// notNull makes all values in the rows from..to not NULL. It undoes what was set for records that
// did not become rows.
func notNull(b *record.Batch, from, to int) {
	for i := range b.Schema().Len() {
		if c := b.Column(i); c.Valid != nil {
			for row := from; row < to; row++ {
				c.Valid[row>>6] |= 1 << (row & 63)
			}
		}
	}
}

// columnText is the text of a column in consecutive records.
type columnText struct {
	// base is the buffer that the places are in.
	base unsafe.Pointer
	// at has the places: the field of record r lies between at[r*width] and at[r*width+1].
	at []uint32
	// width is how many places a record has.
	width int
	// skip is how many bytes are skipped at the beginning of the field.
	skip uint32
	// end is the byte that the field must end with.
	end byte
	// quote is a byte that no plain text begins with.
	quote byte

	// codes is codeBytes if numbers must not be codes, else 0.
	codes uint64
}

// A code is a number that begins with a zero and another digit. Its first two bytes are codeBytes
// in the bits of codeMask. After the zero, a point or an end of the field differs from that.
const (
	codeMask  = 0x10ff
	codeBytes = 0x1030
)

// field returns where the field of a record is. ok is false if it is empty or does not end as it
// must.
//
//gcassert:inline
func (c *columnText) field(record int) (begin, end uint32, ok bool) {
	begin, end = c.at[record*c.width]+1+c.skip, c.at[record*c.width+1]
	if *(*byte)(unsafe.Add(c.base, end)) != c.end {
		return 0, 0, false
	}
	if c.end == '\n' && *(*byte)(unsafe.Add(c.base, end-1)) == '\r' {
		end--
	}
	return begin, end, begin < end
}

// texts reads strings up to the first that is empty, quoted or faulty, and returns how many.
func (c *columnText) texts(views []record.View) int {
	for i := range views {
		begin, end, ok := c.field(i)
		if !ok || *(*byte)(unsafe.Add(c.base, begin)) == c.quote {
			return i
		}
		views[i] = record.View{Off: begin, Len: end - begin}
	}
	return len(views)
}

// vectorNumbers is how many numbers are read together if the processor supports it.
const vectorNumbers = 8

// numberArgs has what numbers512 works on, which shortNumbers has in variables. The assembly knows
// its layout.
type numberArgs struct {
	base                     unsafe.Pointer
	at                       *uint32
	values                   *int64
	n, width                 int
	end                      uint64
	pointShift, behind       uint64
	leastBytes, limit, scale uint64
	// bytes of a field before its number, including the one that ends the previous field
	before uint64
	lanes  [vectorNumbers]uint32
}

// plain returns how many of the next n fields come before the first code. The vector routines do
// not recognise codes. Without vectors, or if codes are allowed, plain returns n.
func (c *columnText) plain(n int) int {
	if c.codes == 0 || !have512 && !haveAVX2 {
		return n
	}
	at, width, skip := c.at, c.width, c.skip+1
	for i := range n {
		w := binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(c.base, at[i*width]+skip))[:])
		if byte(w) == '-' {
			w >>= 8
		}
		if byte(w) == '0' && byte(w>>8)-'0' <= 9 {
			return i
		}
	}
	return n
}

// shortNumbers reads numbers of up to eight bytes in their usual form: an optional minus, digits,
// and as many digits after the point as the column has. It stops at the first number in another
// form and returns how many it has read. Eight digits are converted with three multiplications, as
// simdjson does; no branch depends on the sign or the length.
func (c *columnText) shortNumbers(f *field, values []int64) int {
	scale, pointShift, behind, leastBytes, limit, codes := f.scale, f.pointShift, f.behind, uint64(f.leastBytes),
		f.shortLimit, c.codes
	done := 0
	if n := c.plain(len(values)); have512 && n >= vectorNumbers {
		done = numbers512(&numberArgs{
			base: c.base, at: &c.at[0], values: &values[0], n: n, width: c.width, end: uint64(c.end),
			pointShift: uint64(pointShift), behind: behind, leastBytes: leastBytes, limit: uint64(limit),
			scale: uint64(scale), before: uint64(c.skip) + 1,
			lanes: [vectorNumbers]uint32{0, 1, 2, 3, 4, 5, 6, 7},
		})
	}
	for i := done; i < len(values); i++ {
		begin, end, ok := c.field(i)
		n := uint64(end - begin)
		if !ok || n > 8 {
			return i
		}
		// The number is the upper n bytes of w; the pad in front of the buffer makes the load
		// valid. The bytes below become zeros.
		w := word(unsafe.Add(c.base, int(end)-8))
		shift := (8 * (8 - n)) & 63
		below := uint64(1)<<shift - 1
		var negative uint64
		if byte(w>>shift) == '-' {
			negative = 1
		}
		if w>>shift>>(8*negative)&codeMask == codes {
			return i
		}
		w ^= negative * ('-' ^ '0') << shift
		w = w&^below | zeros&below
		if scale > 0 {
			// Remove the point: what is before it moves up a byte.
			if byte(w>>(pointShift&63)) != '.' || n < leastBytes {
				return i
			}
			w = w&behind | w<<8&^behind | '0'
		}
		if w&0xf0f0f0f0f0f0f0f0|(w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0>>4 != 0x3333333333333333 {
			return i // not eight digits
		}
		w = w & 0x0f0f0f0f0f0f0f0f * 2561 >> 8
		w = w & 0x00ff00ff00ff00ff * 6553601 >> 16
		v := int64(w & 0x0000ffff0000ffff * 42949672960001 >> 32)
		if v > limit || n == negative {
			return i
		}
		values[i] = (v ^ -int64(negative)) + int64(negative)
	}
	return len(values)
}

// null makes a column of a row NULL. The batch's own SetNull only works on its last row.
func (f *field) null(b *record.Batch, col, row int) {
	b.SetLen(row + 1)
	b.SetNull(col)
	switch c := b.Column(col); f.kind {
	case fieldText, fieldBytes:
		c.Views[row] = record.View{}
	case fieldFloat:
		c.Float64s[row] = 0
	default:
		c.Int64s[row] = 0
	}
}

// nulls makes a column of the rows from..to NULL. There must be at least one row.
func (f *field) nulls(b *record.Batch, col, from, to int) {
	f.null(b, col, from) // creates Valid too
	c := b.Column(col)
	switch f.kind {
	case fieldText, fieldBytes:
		clear(c.Views[from:to])
	case fieldFloat:
		clear(c.Float64s[from:to])
	default:
		clear(c.Int64s[from:to])
	}
	for row := from; row < to; row++ {
		c.Valid[row>>6] &^= 1 << (row & 63)
	}
}
