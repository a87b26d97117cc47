package readers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
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
	scale    int
	limit    int64 // the greatest magnitude of a decimal; 0 for bigint

	// For shortNumber: where the point is in a word, the bytes behind it, the length of 0. and what is behind, the greatest magnitude.
	pointShift uint
	behind     uint64
	leastBytes int
	shortLimit int64
}

// compileFields says how each column of a schema is read.
func compileFields(s *record.Schema) []field {
	fields := make([]field, s.Len())
	for i := range fields {
		column := s.Field(i)
		f := &fields[i]
		f.nullable = column.Nullable
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

// zeroByte has the high bit set of the first byte of w that is zero, and perhaps of some behind it; it is 0 where none is.
func zeroByte(w uint64) uint64 { return (w - ones) &^ w & highs }

// word is the eight bytes from p on.
func word(p unsafe.Pointer) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(p)[:])
}

// parse reads records from r.buf[r.pos:r.end] into b until either is at its end.
func (r *delimitedReader) parse(b *record.Batch) {
	fields, buf, end := r.file.fields, r.buf, r.end
	delimiter := uint64(r.file.cfg.Delimiter) * ones
	const newline = '\n' * ones
	maxBytes := r.file.cfg.MaxRecordBytes
	for i := range fields {
		c := b.Column(i)
		if fields[i].kind == fieldText {
			c.Bytes = buf
		}
		r.columns[i] = c
	}
	columns := r.columns[:len(fields)]
	// The words that are loaded from base lie in buf: it has a pad in front of the first record and behind the last newline.
	base := unsafe.Pointer(unsafe.SliceData(buf))
	row, rows := 0, b.Cap()
	pos := r.pos
	last := len(fields) - 1
records:
	for row < rows && pos < end {
		start := pos
		for i := range fields {
			f := &fields[i]
			at := pos
			// The end of the field is the first delimiter or newline. There is one: the records end with a newline.
			var m uint64
			for {
				w := word(unsafe.Add(base, pos))
				if m = zeroByte(w^delimiter) | zeroByte(w^newline); m != 0 {
					break
				}
				pos += 8
			}
			pos += bits.TrailingZeros64(m) >> 3
			stop := *(*byte)(unsafe.Add(base, pos))
			if (stop == '\n') != (i == last) {
				if pos = r.rejectFields(b, row, start); pos < 0 {
					r.pos = start
					b.SetLen(row)
					return
				}
				continue records
			}
			n := pos - at
			if i == last && n > 0 && buf[pos-1] == '\r' {
				n--
			}
			pos++
			if n > 0 {
				switch f.kind {
				case fieldText:
					if *(*byte)(unsafe.Add(base, at)) != '"' {
						columns[i].Views[row] = record.View{Off: uint32(at), Len: uint32(n)}
						continue
					}
				case fieldNumber:
					if n <= 8 {
						if v, ok := f.shortNumber(word(unsafe.Add(base, at+n-8)), n); ok {
							columns[i].Int64s[row] = v
							continue
						}
					}
				}
			}
			if err := f.read(b, i, row, buf[at:at+n]); err != nil {
				if i == 0 && last > 0 && n == 0 && buf[at] == '\n' {
					err = errBlank
				}
				if pos = r.reject(b, row, start, pos-1, r.columnError(i, err)); pos < 0 {
					r.pos = start
					b.SetLen(row)
					return
				}
				continue records
			}
		}
		if pos-1-start > maxBytes {
			if r.reject(b, row, start, pos-1, fmt.Errorf("a line of %d bytes, at most %d are allowed", pos-1-start, maxBytes)) < 0 {
				r.pos = start
				b.SetLen(row)
				return
			}
			continue
		}
		row++
	}
	r.pos = pos
	b.SetLen(row)
}

// errBlank is the reason of an empty line.
var errBlank = fmt.Errorf("an empty line")

// columnError names the column of a field that could not be read.
func (r *delimitedReader) columnError(i int, err error) error {
	if err == errBlank {
		return err
	}
	return fmt.Errorf("column %q: %w", r.file.cfg.Schema.Field(i).Name, err)
}

// rejectFields rejects the record at start for the wrong number of fields. It returns what reject does.
func (r *delimitedReader) rejectFields(b *record.Batch, row, start int) int {
	nl := start + bytes.IndexByte(r.buf[start:r.end], '\n')
	line := bytes.TrimSuffix(r.buf[start:nl], []byte{'\r'})
	want := len(r.file.fields)
	if len(line) == 0 && r.base+int64(nl)+1 >= r.file.size {
		return nl + 1 // the empty rest behind the last newline
	}
	reason := errBlank
	if len(line) > 0 {
		have := bytes.Count(line, []byte{r.file.cfg.Delimiter}) + 1
		reason = fmt.Errorf("%d fields, expected %d", have, want)
	}
	return r.reject(b, row, start, nl, reason)
}

// reject sets the record from start to the newline at or behind nl aside and returns where the next begins, less than 0 where
// the batch takes no more rejects. It would have been row row of the batch; the next record will be.
func (r *delimitedReader) reject(b *record.Batch, row, start, nl int, reason error) int {
	nl += bytes.IndexByte(r.buf[nl:r.end], '\n')
	line := bytes.TrimSuffix(r.buf[start:nl], []byte{'\r'})
	if !b.Reject(record.Reject{Offset: r.base + int64(start), Reason: reason, Bytes: line}) {
		return -1
	}
	for i := range r.file.fields {
		if c := b.Column(i); c.Valid != nil {
			c.Valid[row>>6] |= 1 << (row & 63) // a NULL of this record is not one of the next
		}
	}
	return nl + 1
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
	if text[0] == '"' {
		return fmt.Errorf("%.40q begins with a quote, which is not understood in this format", text)
	}
	var err error
	switch f.kind {
	case fieldText: // only what begins with a quote comes here
	case fieldNumber:
		c.Int64s[row], err = f.number(text)
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

// shortNumber reads a number of n bytes, up to eight, in its usual form: a minus perhaps, digits, and as many behind the point as the
// column has. They are the upper bytes of w; what is below does not matter. False says to look closer. Eight digits
// are converted with three multiplications, as simdjson does; there is no branch that depends on the sign or the length.
func (f *field) shortNumber(w uint64, n int) (int64, bool) {
	shift := uint(8*(8-n)) & 63
	below := uint64(1)<<shift - 1
	var negative uint64
	if byte(w>>shift) == '-' {
		negative = 1
	}
	w ^= negative * ('-' ^ '0') << shift
	w = w&^below | zeros&below
	if f.scale > 0 {
		// Take the point out: what is before it moves up a byte.
		if byte(w>>f.pointShift) != '.' || n < f.leastBytes {
			return 0, false
		}
		w = w&f.behind | w<<8&^f.behind | '0'
	}
	if w&0xf0f0f0f0f0f0f0f0|(w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0>>4 != 0x3333333333333333 {
		return 0, false // not eight digits
	}
	w = w & 0x0f0f0f0f0f0f0f0f * 2561 >> 8
	w = w & 0x00ff00ff00ff00ff * 6553601 >> 16
	v := int64(w & 0x0000ffff0000ffff * 42949672960001 >> 32)
	if v > f.shortLimit || n == int(negative) {
		return 0, false
	}
	return (v ^ -int64(negative)) + int64(negative), true
}
