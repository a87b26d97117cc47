package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// A form is how the values of a column lie in COPY's binary format.
type form uint8

const (
	formBool      form = 1 + iota // one byte
	formInt8                      // 8 bytes, big endian, as everything
	formFloat8                    // 8 bytes
	formTimestamp                 // microseconds since 2000
	formNumeric                   // digits in groups of four
	formText                      // UTF-8 without a byte 0
	formBytea                     // bytes as they are, also of a uuid
	formTime                      // microseconds since midnight
	formInterval                  // microseconds, days, months
)

// pgEpoch is 2000-01-01, from which PostgreSQL counts, in microseconds since 1970.
const pgEpoch = 946684800 * 1_000_000

// field is a column of the table that is written.
type field struct {
	from int // its column in the batch
	name string
	typ  record.Type
	form form
	key  bool
}

// encoder makes rows for COPY. It keeps them one after the other, because a window may have to be
// written again.
//
// In mode Upsert they are rows of the temporary table: the number of the row and whether it is
// deleted come before the columns.
type encoder struct {
	fields   []field
	upsert   bool
	changes  bool
	replace  bool // bad bytes of texts
	replaced *atomic.Uint64
	text     []byte
	rows     uint64 // since clear
}

func newEncoder(cfg *SinkConfig, replaced *atomic.Uint64) *encoder {
	e := &encoder{
		upsert: cfg.Mode == Upsert, changes: cfg.Changes && cfg.Mode == Upsert, replace: cfg.BadText == ReplaceText,
		replaced: replaced,
	}
	for _, f := range cfg.columns() {
		i, _ := cfg.Schema.Index(f.Name)
		e.fields = append(e.fields, field{
			from: i, name: f.Name, typ: f.Type, key: e.upsert && slices.Contains(cfg.Keys, f.Name),
		})
	}
	return e
}

// fit says how the table wants the columns. Rows that were encoded for another table would not fit
// it.
func (e *encoder) fit(forms []form) error {
	for i := range e.fields {
		if e.fields[i].form != 0 && e.fields[i].form != forms[i] {
			return final{fmt.Errorf("the type of column %q has changed while the job ran: start it again",
				e.fields[i].name)}
		}
		e.fields[i].form = forms[i]
	}
	return nil
}

// clear forgets all rows.
func (e *encoder) clear() { e.text, e.rows = e.text[:0], 0 }

// add encodes the rows of a batch. After an error the rows are not complete: they must be cleared.
func (e *encoder) add(b *record.Batch) error {
	for row := range b.Len() {
		e.rows++
		n := len(e.fields)
		if e.upsert {
			n += 2
		}
		e.text = binary.BigEndian.AppendUint16(e.text, uint16(n))
		if e.upsert {
			e.text = binary.BigEndian.AppendUint32(e.text, 8)
			e.text = binary.BigEndian.AppendUint64(e.text, e.rows)
			deleted := byte(0)
			if e.changes && string(b.Column(0).View(row)) == "delete" {
				deleted = 1
			}
			e.text = append(e.text, 0, 0, 0, 1, deleted)
		}
		for i := range e.fields {
			f := &e.fields[i]
			c := b.Column(f.from)
			if c.Null(row) {
				e.text = append(e.text, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			if err := e.value(f, c, row); err != nil {
				return fmt.Errorf("column %q: %w", f.name, err)
			}
		}
	}
	return nil
}

// value encodes a value with its length before it.
func (e *encoder) value(f *field, c *record.Column, row int) error {
	at := len(e.text)
	e.text = append(e.text, 0, 0, 0, 0)
	switch f.form {
	case formBool:
		e.text = append(e.text, byte(c.Int64s[row]&1))
	case formInt8:
		e.text = binary.BigEndian.AppendUint64(e.text, uint64(c.Int64s[row]))
	case formFloat8:
		e.text = binary.BigEndian.AppendUint64(e.text, math.Float64bits(c.Float64s[row]))
	case formTimestamp, formTime, formInterval:
		nanos := c.Int64s[row]
		if f.key && nanos%1000 != 0 {
			text, hint := time.Unix(0, nanos).UTC().Format(time.RFC3339Nano), ""
			if f.typ.IsLogical() {
				text = string(c.AppendLogical(nil, f.typ, row))
			} else {
				hint = fmt.Sprintf(": round it in the query, such as date_trunc('milliseconds', %s)", f.name)
			}
			return fmt.Errorf("%s is a key and has nanoseconds, which PostgreSQL cannot tell apart%s", text, hint)
		}
		if f.form == formTime {
			e.text = binary.BigEndian.AppendUint64(e.text, uint64(micros(nanos)))
			break
		}
		if f.form == formInterval {
			const dayMicros = record.DayNanos / 1000
			us := micros(nanos)
			e.text = binary.BigEndian.AppendUint64(e.text, uint64(us%dayMicros))
			e.text = binary.BigEndian.AppendUint32(e.text, uint32(us/dayMicros))
			e.text = binary.BigEndian.AppendUint32(e.text, 0)
			break
		}
		e.text = binary.BigEndian.AppendUint64(e.text, uint64(micros(nanos)-pgEpoch))
	case formNumeric:
		if f.typ.IsWide() {
			e.text = int128.FromBytes(c.View(row)).AppendNumeric(e.text, f.typ.Scale())
			break
		}
		e.text = appendNumeric(e.text, c.Int64s[row], f.typ.Scale())
	case formText:
		v := c.View(row)
		if !goodText(v) {
			if f.key && e.replace {
				return fmt.Errorf("%.60q is a key and no text that PostgreSQL can store (%s), and another key may become "+
					"the same text: make the column of the table bytea", v, badness(v))
			}
			if !e.replace {
				return fmt.Errorf("%.60q is no text that PostgreSQL can store (%s): make the column of the table "+
					"bytea, or have bad bytes replaced (bad.text = 'replace')", v, badness(v))
			}
			e.replaced.Add(1)
			v = []byte(strings.ReplaceAll(strings.ToValidUTF8(string(v), "\uFFFD"), "\x00", "\uFFFD"))
		}
		e.text = append(e.text, v...)
	case formBytea:
		e.text = append(e.text, c.View(row)...)
	default:
		return errors.New("it has no form") // compare has given it one
	}
	n := len(e.text) - at - 4
	if n > maxValueBytes {
		return fmt.Errorf("a value of %d bytes, and PostgreSQL allows %d", n, maxValueBytes)
	}
	binary.BigEndian.PutUint32(e.text[at:], uint32(n))
	return nil
}

// maxValueBytes is the longest value that PostgreSQL can store.
const maxValueBytes = 1<<30 - 1

// goodText says whether PostgreSQL can store a text in a database with the encoding UTF8.
func goodText(v []byte) bool { return utf8.Valid(v) && bytes.IndexByte(v, 0) < 0 }

// badness is what is wrong with a text.
func badness(v []byte) string {
	if bytes.IndexByte(v, 0) >= 0 {
		return "it has a byte 0"
	}
	return "it is not valid UTF-8"
}

// micros are nanoseconds in PostgreSQL's microseconds, rounded down.
func micros(nanos int64) int64 {
	n := nanos / 1000
	if nanos%1000 < 0 {
		n--
	}
	return n
}

// appendNumeric encodes unscaled/10^scale: the number of groups of four digits, the power of 10,000
// of the first group, the sign, the number of digits after the point, the groups.
func appendNumeric(to []byte, unscaled int64, scale int) []byte {
	u, sign := uint64(unscaled), uint16(0)
	if unscaled < 0 {
		u, sign = -u, 0x4000
	}
	var groups [12]uint16
	p := uint64(record.Pow10[scale])
	whole, part := u/p, u%p
	n := 0
	for w := whole; w > 0; w /= 10_000 {
		n++
	}
	for i, w := n-1, whole; i >= 0; i, w = i-1, w/10_000 {
		groups[i] = uint16(w % 10_000)
	}
	weight := n - 1
	for left := scale; left > 0; left -= 4 {
		digits := part // the last group lacks digits on the right
		if left >= 4 {
			digits = part / uint64(record.Pow10[left-4])
			part %= uint64(record.Pow10[left-4])
		} else {
			digits *= uint64(record.Pow10[4-left])
		}
		groups[n] = uint16(digits)
		n++
	}
	all := groups[:n]
	for len(all) > 0 && all[0] == 0 {
		all, weight = all[1:], weight-1
	}
	for len(all) > 0 && all[len(all)-1] == 0 {
		all = all[:len(all)-1]
	}
	if len(all) == 0 {
		weight = 0
	}
	to = binary.BigEndian.AppendUint16(to, uint16(len(all)))
	to = binary.BigEndian.AppendUint16(to, uint16(int16(weight)))
	to = binary.BigEndian.AppendUint16(to, sign)
	to = binary.BigEndian.AppendUint16(to, uint16(scale))
	for _, g := range all {
		to = binary.BigEndian.AppendUint16(to, g)
	}
	return to
}

// copyHeader comes before the rows of a COPY, copyTrailer after them.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// copy is what COPY reads: the rows that there are.
func (e *encoder) copy() io.Reader {
	return io.MultiReader(strings.NewReader(copyHeader), bytes.NewReader(e.text), strings.NewReader(copyTrailer))
}
