package readers

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// errTrailing says that a field goes on after its closing quote. A quote inside of a field that
// does not begin with one is an ordinary byte.
var errTrailing = errors.New("bytes after the closing quote")

// textQuote is the byte that no plain text begins with. Without quotes, that is the byte that
// suggests that there are quotes after all.
func (f *delimitedFormat) textQuote() byte {
	if f.cfg.Quote == 0 {
		return '"'
	}
	return f.cfg.Quote
}

// quotedColumn is column for blocks with quotes.
func (r *delimitedParser) quotedColumn(b *record.Batch, i, row, n, width int) (read int, err error) {
	f, col, s, quote := &r.lay.fields[i], r.lay.columns[i], &r.structurals, r.format.cfg.Quote
	c := columnText{
		base: unsafe.Pointer(unsafe.SliceData(r.buf)), width: width, end: r.fieldEnd(i), quote: quote,
		codes: f.codes,
	}
	at := s.at[s.from-1+i : s.from+1+i+(n-1)*width]
	stripped := 0 // r.inner has the quoted fields before this one
	for {
		c.at = at[read*width:]
		switch {
		case f.kind == fieldText:
			read += r.quotedTexts(&c, b.Column(col).Views[row+read:row+n])
		case r.buf[c.at[0]+1] == quote:
			if stripped <= read {
				stripped = r.strip(&c, read, n)
			}
			if read < stripped {
				bare := columnText{base: c.base, at: r.inner[2*read : 2*stripped], width: 2, end: quote, codes: f.codes}
				read += r.values(&bare, b, i, row+read, row+stripped)
			}
		default:
			read += r.values(&c, b, i, row+read, row+n)
		}
		if read == n {
			return read, nil
		}
		begin, end := int(at[read*width])+1, int(at[read*width+1])
		if r.buf[end] != c.end {
			return read, errFields
		}
		if c.end == '\n' && begin < end && r.buf[end-1] == '\r' {
			end--
		}
		inner, quoted, err := r.format.quoting.unquote(r.buf[begin:end])
		switch {
		case err != nil:
			return read, fmt.Errorf("column %q: %w: %.40q", r.format.cfg.Schema.Field(col).Name, err, r.buf[begin:end])
		case quoted && f.kind == fieldText:
			b.Column(col).Views[row+read] = record.View{Off: uint32(begin) + 1, Len: uint32(len(inner))}
			r.doubled = r.doubled || bytes.IndexByte(inner, quote) >= 0
		default:
			if f.kind == fieldBytes && quoted && bytes.IndexByte(inner, quote) >= 0 {
				inner = bytes.ReplaceAll(inner, []byte{quote, quote}, []byte{quote})
			}
			if err := f.read(b, col, row+read, inner); err != nil {
				return read, newValueError(r.format.cfg.Schema.Field(col).Name, inner, err)
			}
		}
		read++
		if read == n {
			return read, nil
		}
	}
}

// quotedTexts is columnText.texts for texts with and without quotes. It stops at the first that is
// empty or faulty.
func (r *delimitedParser) quotedTexts(c *columnText, views []record.View) int {
	buf, odd, stray := r.buf, uint32(r.structurals.odd), uint32(r.structurals.stray)
	for i := range views {
		begin, end, ok := c.field(i)
		if !ok {
			return i
		}
		if buf[begin] == c.quote {
			begin++
			if begin == end || buf[end-1] != c.quote {
				return i
			}
			end--
			if begin <= odd {
				if inner := buf[begin:end]; bytes.IndexByte(inner, c.quote) >= 0 {
					if begin <= stray && !allDoubled(inner, c.quote) {
						return i
					}
					r.doubled = true
				}
			}
		}
		views[i] = record.View{Off: begin, Len: end - begin}
	}
	return len(views)
}

// strip writes to r.inner where the fields of the records from..to lie inside of their quotes, in
// the form that columnText expects. It stops at the first field without quotes, and returns how far
// it came. The fields of c begin with the one of record from.
func (r *delimitedParser) strip(c *columnText, from, to int) int {
	for i := from; i < to; i++ {
		begin, end, ok := c.field(i - from)
		if !ok || end-begin < 2 || r.buf[begin] != c.quote || r.buf[end-1] != c.quote {
			return i
		}
		r.inner[2*i], r.inner[2*i+1] = begin, end-1
	}
	return to
}

// undouble replaces two quotes by one in the quoted texts of the rows from..to. It does so in the
// buffer, because nothing else needs these records any more.
func (r *delimitedParser) undouble(b *record.Batch, from, to int) {
	r.doubled = false
	quote := r.format.cfg.Quote
	for i, col := range r.lay.columns {
		if col < 0 || r.lay.fields[i].kind != fieldText || r.skips(col) {
			continue
		}
		c := b.Column(col)
		for row := from; row < to; row++ {
			v := &c.Views[row]
			if v.Len == 0 || r.buf[v.Off-1] != quote {
				continue // the field has no quotes around it
			}
			text := r.buf[v.Off : v.Off+v.Len]
			have := bytes.IndexByte(text, quote)
			if have < 0 {
				continue
			}
			for rest := text[have:]; len(rest) > 0; {
				// A quote, another one, and the bytes after them up to the next: all except the
				// first quote move.
				n := bytes.IndexByte(rest[2:], quote) + 2
				if n < 2 {
					n = len(rest)
				}
				have += copy(text[have:], rest[1:n])
				rest = rest[n:]
			}
			v.Len = uint32(have)
		}
	}
}

// allDoubled reports whether all quotes come in pairs.
func allDoubled(text []byte, quote byte) bool {
	for {
		i := bytes.IndexByte(text, quote)
		if i < 0 {
			return true
		}
		if i+1 == len(text) || text[i+1] != quote {
			return false
		}
		text = text[i+2:]
	}
}

// unquote returns a field without its quotes. Doubled quotes inside of it stay doubled.
func (q quoting) unquote(text []byte) (inner []byte, quoted bool, err error) {
	if len(text) == 0 || text[0] != q.quote {
		return text, false, nil
	}
	if last := len(text) - 1; last > 0 && text[last] == q.quote && allDoubled(text[1:last], q.quote) {
		return text[1:last], true, nil
	}
	return nil, true, errTrailing
}

// outline is what can be said about a record that is rejected.
type outline struct {
	bytes  int // including its newline
	fields int
	open   int // position of the quote that is not closed; -1 if there is none
}

// outline looks at the record that begins with text, byte by byte. text may end before the record
// does, but has at least its first byte.
func (q quoting) outline(text []byte) outline {
	o := outline{fields: 1, open: -1}
	state := fieldStart
	for i, c := range text {
		if q.quote == 0 {
			state = bareField
		}
		after := q.next(state, c)
		switch {
		case after == fieldStart && c == '\n':
			o.bytes, o.open = i+1, -1
			return o
		case after == fieldStart:
			o.fields++
		case after == inQuotes && state == fieldStart:
			o.open = i
		}
		state = after
	}
	o.bytes = len(text)
	if state != inQuotes {
		o.open = -1
	}
	return o
}
