package readers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// fieldKind is how a field is read: the types, with the whole numbers that have a fast path together.
type fieldKind uint8

const (
	fieldText   fieldKind = iota
	fieldNumber           // bigint and decimal
	fieldFloat
	fieldBool
	fieldTime
)

// field is a column as the scanner needs it.
type field struct {
	kind     fieldKind
	nullable bool
	quoted   bool // the file has quotes
	scale    int
	limit    int64 // the greatest magnitude of a decimal; 0 for bigint

	// For shortNumbers: where the point is in a word, the bytes behind it, the length of 0. and what is behind, the greatest magnitude.
	pointShift uint
	behind     uint64
	leastBytes int
	shortLimit int64
}

// compileFields says how each column of a schema is read.
func compileFields(s *record.Schema, quote byte) []field {
	fields := make([]field, s.Len())
	for i := range fields {
		column := s.Field(i)
		f := &fields[i]
		f.nullable, f.quoted = column.Nullable, quote != 0
		switch t := column.Type; {
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
			f.leastBytes = 9 // more than there are: too many digits behind the point for a word
			if f.scale <= 6 {
				f.leastBytes = f.scale + 2
				f.pointShift = uint(56 - 8*f.scale)
				f.behind = ^uint64(0) << (64 - 8*f.scale)
			}
		}
	}
	return fields
}

// Words of eight equal bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	zeros = 0x3030303030303030 // "00000000"
)

// word is the eight bytes from p on.
//
//gcassert:inline
func word(p unsafe.Pointer) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(p)[:])
}

// How many records are parsed column by column. A record that is wrong ends its stripe, and what was done for those
// behind it is lost: the stripes after it are short, and grow again.
const (
	maxStripe = 256
	minStripe = 8
)

// parse reads records from r.buf[r.pos:r.end] into b until either is at its end, or b has no room for a reject.
func (r *delimitedParser) parse(b *record.Batch) {
	width := len(r.format.fields)
	for i := range width {
		if c := b.Column(i); r.format.fields[i].kind == fieldText {
			c.Bytes = r.buf
		}
	}
	s := &r.structurals
	row, rows := 0, b.Cap()
	for row < rows && r.pos < r.end {
		n := min(s.more(r.buf, r.end, r.format.quoting, width)/width, rows-row, r.stripe)
		// The first of these records that is wrong, and what is wrong with it first. Without a single one there are fewer fields left than
		// one has.
		good, reason := n, errFields
		for i := 0; i < width && good > 0; i++ {
			var read int
			var err error
			if s.quoted {
				read, err = r.quotedColumn(b, i, row, good)
			} else {
				read, err = r.column(b, i, row, good)
			}
			if read < good {
				good, reason = read, err
			}
		}
		if read, err := r.lengths(good); read < good {
			good, reason = read, err
		}
		if r.doubled {
			r.lineAt(int(s.at[s.from-1+good*width]) + 1) // before newlines move
			r.undouble(b, row, row+good)
		}
		s.from += good * width
		r.pos = int(s.at[s.from-1]) + 1
		r.stripe = min(2*r.stripe, maxStripe)
		if row += good; good == n && n > 0 {
			continue
		}
		r.stripe = minStripe
		notNull(b, row, row+n-good)
		if !r.reject(b, reason) {
			break
		}
	}
	b.SetLen(row)
}

// column reads column i of the next n records, at least one, into the rows from row on. It stops before the first record that is wrong
// there, and returns how many it has read.
func (r *delimitedParser) column(b *record.Batch, i, row, n int) (read int, err error) {
	f, s, width := &r.format.fields[i], &r.structurals, len(r.format.fields)
	c := columnText{base: unsafe.Pointer(unsafe.SliceData(r.buf)), width: width, end: r.format.cfg.Delimiter, quote: r.format.textQuote()}
	if i == width-1 {
		c.end = '\n'
	}
	at := s.at[s.from-1+i : s.from+1+i+(n-1)*width]
	for {
		c.at = at[read*width:]
		if f.kind == fieldText {
			read += c.texts(b.Column(i).Views[row+read : row+n])
		} else {
			read += r.values(&c, b, i, row+read, row+n)
		}
		if read == n {
			return read, nil
		}
		// The next one is not as usual, or of a type that has no fast path.
		begin, end := int(at[read*width])+1, int(at[read*width+1])
		if r.buf[end] != c.end {
			return read, errFields
		}
		if c.end == '\n' && begin < end && r.buf[end-1] == '\r' {
			end--
		}
		if err := f.read(b, i, row+read, r.buf[begin:end]); err != nil {
			return read, fmt.Errorf("column %q: %w", r.format.cfg.Schema.Field(i).Name, err)
		}
		if read++; read == n {
			return read, nil
		}
	}
}

// values reads the numbers or times of the rows from..to of column i, up to the first that is not as usual or where the type has no fast path, and returns how many.
func (r *delimitedParser) values(c *columnText, b *record.Batch, i, from, to int) int {
	switch f := &r.format.fields[i]; f.kind {
	case fieldNumber:
		return c.shortNumbers(f, b.Column(i).Int64s[from:to])
	case fieldFloat:
		return c.floats(b.Column(i).Float64s[from:to])
	case fieldTime:
		return c.times(&r.days[i], b.Column(i).Int64s[from:to])
	}
	return 0
}

// lengths returns how many of the next n records come before the first that is too long.
func (r *delimitedParser) lengths(n int) (int, error) {
	s, width, longest := &r.structurals, len(r.format.fields), r.format.cfg.MaxRecordBytes
	if int(s.at[s.from-1+n*width])-r.pos <= longest {
		return n, nil // all of them together are not
	}
	begin := r.pos
	for i := range n {
		end := int(s.at[s.from-1+(i+1)*width])
		if end-begin > longest {
			return i, fmt.Errorf("a record of %d bytes, at most %d are allowed", end-begin, longest)
		}
		begin = end + 1
	}
	return n, nil
}

// Reasons of a record for which there is no error of a column.
var (
	errFields = errors.New("a wrong number of fields")
	errBlank  = errors.New("an empty line")
)

// reject sets the record at r.pos aside and goes on behind it. False says that the batch takes no more rejects.
func (r *delimitedParser) reject(b *record.Batch, reason error) bool {
	o := r.format.quoting.outline(r.buf[r.pos:r.end])
	next := r.pos + o.bytes
	line := bytes.TrimSuffix(r.buf[r.pos:next-1], []byte{'\r'})
	switch {
	case o.open >= 0:
		reason = fmt.Errorf("the quote at offset %d is not closed", r.base+int64(r.pos+o.open))
	case len(line) == 0 && reason == errFields:
		reason = errBlank
	case reason == errFields:
		reason = fmt.Errorf("%d fields, expected %d", o.fields, len(r.format.fields))
	}
	// The empty rest behind the last newline is no record.
	if reason != errBlank || r.base+int64(next) < r.size {
		if !b.Reject(record.Reject{Offset: r.base + int64(r.pos), Line: r.lineAt(r.pos), Reason: reason, Bytes: line}) {
			return false
		}
	}
	r.pos = next
	r.structurals.skip(next)
	return true
}

// notNull lets nothing be NULL in the rows from..to: what was set for records that did not become rows.
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
	base  unsafe.Pointer // of the buffer that the places are in
	at    []uint32       // the field of record r is between at[r*width] and at[r*width+1], behind skip bytes
	width int
	skip  uint32
	end   byte // what the field must end with
	quote byte // what no text begins with
}

// field is where the field of a record is; false says that it is empty or does not end as it must.
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

// texts reads strings, up to the first that is empty, quoted or wrong, and returns how many.
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

// vectorNumbers is how many numbers are read together where the processor can.
const vectorNumbers = 8

// numberArgs is what numbers512 works on: what shortNumbers has in variables. The assembly knows its layout.
type numberArgs struct {
	base                     unsafe.Pointer
	at                       *uint32
	values                   *int64
	n, width                 int
	end                      uint64
	pointShift, behind       uint64
	leastBytes, limit, scale uint64
	before                   uint64 // bytes of a field up to its number, with the one that ends the field before
	lanes                    [vectorNumbers]uint32
}

// shortNumbers reads numbers of up to eight bytes in their usual form: a minus perhaps, digits, and as many behind the point as the
// column has. It stops at the first that is different and returns how many. Eight digits are converted with three
// multiplications, as simdjson does; no branch depends on the sign or the length.
func (c *columnText) shortNumbers(f *field, values []int64) int {
	scale, pointShift, behind, leastBytes, limit := f.scale, f.pointShift, f.behind, uint64(f.leastBytes), f.shortLimit
	done := 0
	if have512 && len(values) >= vectorNumbers {
		done = numbers512(&numberArgs{
			base: c.base, at: &c.at[0], values: &values[0], n: len(values), width: c.width, end: uint64(c.end),
			pointShift: uint64(pointShift), behind: behind, leastBytes: leastBytes, limit: uint64(limit), scale: uint64(scale), before: uint64(c.skip) + 1,
			lanes: [vectorNumbers]uint32{0, 1, 2, 3, 4, 5, 6, 7},
		})
	}
	for i := done; i < len(values); i++ {
		begin, end, ok := c.field(i)
		n := uint64(end - begin)
		if !ok || n > 8 {
			return i
		}
		// The number is the upper n bytes of w, which the pad in front of the buffer allows to load; what is below becomes zeros.
		w := word(unsafe.Add(c.base, int(end)-8))
		shift := (8 * (8 - n)) & 63
		below := uint64(1)<<shift - 1
		var negative uint64
		if byte(w>>shift) == '-' {
			negative = 1
		}
		w ^= negative * ('-' ^ '0') << shift
		w = w&^below | zeros&below
		if scale > 0 {
			// Take the point out: what is before it moves up a byte.
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

// read reads any field, the twin of the fast paths in parse: NULLs, long numbers, everything that is wrong.
func (f *field) read(b *record.Batch, col, row int, text []byte) error {
	c := b.Column(col)
	if len(text) == 0 {
		switch {
		case f.nullable:
			f.null(b, col, row)
			return nil
		case f.kind == fieldText:
			c.Views[row] = record.View{}
			return nil
		}
		return fmt.Errorf("empty, and not nullable")
	}
	if text[0] == '"' && !f.quoted {
		return fmt.Errorf("%.40q begins with a quote, and the format has none", text)
	}
	var err error
	switch f.kind {
	case fieldText: // only what begins with a quote comes here
	case fieldNumber:
		var ok bool
		if c.Int64s[row], ok = f.longNumber(text); !ok {
			c.Int64s[row], err = f.number(text)
		}
	case fieldFloat:
		// ParseFloat keeps its argument only in the error, which is made anew here.
		c.Float64s[row], err = strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
		if err != nil {
			err = fmt.Errorf("%.40q is not a double precision", text)
		}
	case fieldBool:
		c.Int64s[row], err = parseBool(text)
	case fieldTime:
		c.Int64s[row], err = parseTime(text)
	}
	return err
}

// null makes a column of a row NULL. The batch's own SetNull is for its last row.
func (f *field) null(b *record.Batch, col, row int) {
	b.SetLen(row + 1)
	b.SetNull(col)
	switch c := b.Column(col); f.kind {
	case fieldText:
		c.Views[row] = record.View{}
	case fieldFloat:
		c.Float64s[row] = 0
	default:
		c.Int64s[row] = 0
	}
}

// nulls makes a column of the rows from..to NULL, one at least.
func (f *field) nulls(b *record.Batch, col, from, to int) {
	f.null(b, col, from) // makes Valid too
	c := b.Column(col)
	switch f.kind {
	case fieldText:
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
