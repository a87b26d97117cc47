package record

import (
	"fmt"
	"math"
	"math/bits"
	"time"
	"unsafe"
)

// Limits of a batch.
const (
	// MaxRows bounds the capacity of a batch.
	MaxRows = 1 << 16

	// DefaultRows is the capacity of a batch unless the engine is told otherwise: large enough that
	// the work done once per batch is lost in the work done per row, small enough that a batch
	// stays in the second-level cache.
	DefaultRows = 2048

	// MaxRejects bounds the rejected records that one batch carries.
	MaxRejects = 64

	// MaxRejectBytes bounds how many bytes of the record itself a Reject keeps.
	MaxRejectBytes = 4096
)

// A View is a string of a String column: Len bytes from Off of the column's Bytes.
type View struct{ Off, Len uint32 }

// A Column is one column of a batch: one value per row, in the slice for its type. The other slices
// are nil.
type Column struct {
	// Int64s has the values of Bool (0 or 1), Int64, Timestamp (nanoseconds) and decimal
	// (value*10^scale) columns.
	Int64s []int64

	// Float64s has the values of Float64 columns.
	Float64s []float64

	// Views and Bytes have the values of String columns. Views may point anywhere in Bytes, overlap
	// and leave gaps, so a reader can lend a whole block of a file together with the fields found
	// in it.
	Views []View
	Bytes []byte

	// Valid has one bit per row, row i in bit i%64 of word i/64: 0 means NULL. A nil Valid means
	// that no row is NULL. The value of a NULL is never read.
	Valid []uint64
}

// Null says whether row i is NULL.
func (c *Column) Null(i int) bool { return c.Valid != nil && c.Valid[i>>6]>>(i&63)&1 == 0 }

// AnyNull says whether any of the rows from..to-1 is NULL.
func (c *Column) AnyNull(from, to int) bool {
	if c.Valid == nil || from >= to {
		return false
	}
	first, last := from>>6, (to-1)>>6
	for w := first; w <= last; w++ {
		null := ^c.Valid[w]
		if w == first {
			null &= ^uint64(0) << (from & 63)
		}
		if w == last {
			null &= ^uint64(0) >> (63 - (to-1)&63)
		}
		if null != 0 {
			return true
		}
	}
	return false
}

// View is the string of row i of a String column. It is valid as long as the batch.
func (c *Column) View(i int) []byte {
	v := c.Views[i]
	return c.Bytes[v.Off : uint64(v.Off)+uint64(v.Len)]
}

// A Reject is a record that a reader could not accept. It goes to quarantine and is counted.
type Reject struct {
	// Offset is where the record begins, in the source's own measure (for a file: bytes); -1 if it
	// is not known.
	Offset int64
	// Line is the 1-based line in the source; 0 if it is not known, or not known yet (see Liner).
	Line int64
	// Reason says what was found and what was expected.
	Reason error
	// Bytes is the record, cut at MaxRejectBytes.
	Bytes []byte
}

// A Batch is a block of records in columns, up to a fixed capacity.
//
// The engine owns a batch: it makes it, resets it and hands it to a reader. The reader fills it in
// one of three ways, and does not touch it after returning:
//
//   - row by row: Add, then Set... for each column; or an Encoder, which does that for a Go struct;
//   - column by column: write into the slices of Column(i), which have the batch's capacity, then
//     SetLen;
//   - by lending: put slices of its own into Column(i), which must stay unchanged until the
//     reader's next call, then SetLen. Reset ends the loan. If the Reader is not a Poller, the
//     engine copies what was lent (Keep), because it calls such a Reader ahead of time.
//
// A batch is used by one goroutine at a time.
type Batch struct {
	schema *Schema
	rows   int
	// limit is the capacity in rows.
	limit int
	// cols are the columns: the batch's own, or lent ones.
	cols []Column
	// own is the batch's own storage. Its Valid is allocated, but used only from the first NULL on.
	own []Column
	// text has the bytes of strings that were set row by row. All of the batch's own String columns
	// share it.
	text []byte
	// reject has the records that were set aside.
	reject []Reject
	// hold is what SetHold has said.
	hold Hold
	// unfit counts the calls of SetUnfit.
	unfit int
	// positions are what SetPosition has said. The offsets lie in offsets.
	positions []Position
	offsets   []byte
}

// A Hold says when the times of a batch's records advance their reader's watermark; see SetHold.
type Hold uint8

// The holds.
const (
	// HoldNone is for records that come in one order: their times count at once.
	HoldNone Hold = iota

	// HoldRound is for a part of a round: the times do not count yet.
	HoldRound

	// HoldRoundEnds is for the last part of a round. After it the times of the previous round
	// count; the times of this round count when the next round has ended.
	HoldRoundEnds

	// HoldSettled is for the last part of a round after which nothing waits: all times count after
	// it.
	HoldSettled
)

// SetHold is for a reader that brings the records of several senders, whose queues it reads one
// after the other. It reads them in rounds: a round is everything that the queues have when it
// begins. Until a round has ended, the records of one sender say nothing about what others have
// sent in the meantime, so their times must not make those records late. Reset undoes SetHold.
func (b *Batch) SetHold(h Hold) { b.hold = h }

// Hold is the last argument of SetHold since Reset.
func (b *Batch) Hold() Hold { return b.hold }

// SetPosition says how far a split has been read when all records of the batch have been counted:
// see Resumer. A batch may have records of several splits; the last call for a split counts. The
// offset is copied. Reset undoes SetPosition. It allocates nothing once the batch has had as many
// positions.
func (b *Batch) SetPosition(split string, offset []byte) {
	if len(offset) > MaxOffsetBytes {
		panic(fmt.Sprintf("record: the position of split %q has %d bytes, at most %d are allowed", split, len(offset),
			MaxOffsetBytes))
	}
	if last := len(b.positions) - 1; last >= 0 && b.positions[last].Split == split {
		if p := &b.positions[last]; len(p.Offset) == len(offset) {
			copy(p.Offset, offset)
		} else {
			p.Offset = b.keepOffset(offset)
		}
		return
	}
	b.positions = append(b.positions, Position{split, b.keepOffset(offset)})
}

// keepOffset copies an offset.
func (b *Batch) keepOffset(offset []byte) []byte {
	n := len(b.offsets)
	b.offsets = append(b.offsets, offset...) // older offsets may stay in the array before
	return b.offsets[n:len(b.offsets):len(b.offsets)]
}

// Positions are what SetPosition has said since Reset, in that order: a later position of a split
// replaces an earlier one. They are valid as long as the batch.
func (b *Batch) Positions() []Position { return b.positions }

// NewBatch makes an empty batch with room for rows rows (at most MaxRows; 0 means DefaultRows).
func NewBatch(schema *Schema, rows int) *Batch {
	if rows == 0 {
		rows = DefaultRows
	}
	if rows < 0 || rows > MaxRows {
		panic(fmt.Sprintf("record: NewBatch: %d rows, expected 1..%d", rows, MaxRows))
	}
	b := &Batch{
		schema: schema, limit: rows,
		cols: make([]Column, schema.Len()), own: make([]Column, schema.Len()),
		text: make([]byte, 0, 16*rows),
	}
	for i := range b.own {
		c := &b.own[i]
		switch f := schema.Field(i); f.Type.Kind() {
		case Float64:
			c.Float64s = make([]float64, rows)
		case String:
			c.Views = make([]View, rows)
		default:
			c.Int64s = make([]int64, rows)
		}
		if schema.Field(i).Nullable {
			c.Valid = make([]uint64, (rows+63)/64)
		}
	}
	b.Reset()
	return b
}

// Reset empties the batch and ends all loans.
func (b *Batch) Reset() {
	b.rows, b.hold, b.unfit = 0, HoldNone, 0
	b.text = b.text[:0]
	b.positions, b.offsets = b.positions[:0], b.offsets[:0]
	clear(b.reject)
	b.reject = b.reject[:0]
	for i := range b.cols {
		b.cols[i] = b.own[i]
		b.cols[i].Valid = nil
		if b.own[i].Views != nil {
			b.cols[i].Bytes = b.text
		}
	}
}

// Schema is the schema of the rows.
func (b *Batch) Schema() *Schema { return b.schema }

// Len is the number of rows.
func (b *Batch) Len() int { return b.rows }

// Cap is the number of rows that there is room for.
func (b *Batch) Cap() int { return b.limit }

// Column is column i. It may be read, filled, or replaced by lent slices.
func (b *Batch) Column(i int) *Column { return &b.cols[i] }

// SetLen says how many rows the columns have now. It is for readers that fill or lend columns.
func (b *Batch) SetLen(rows int) {
	if rows < 0 || rows > b.limit {
		panic(fmt.Sprintf("record: SetLen(%d) of a batch for %d rows", rows, b.limit))
	}
	b.rows = rows
}

// Add begins a row. textBytes is the number of bytes that its strings will need together. Every
// column of the row is zero, or the empty string, until it is set. If Add returns false, the row
// does not fit: return the batch and keep the record for the next call. A row always fits into an
// empty batch.
func (b *Batch) Add(textBytes int) bool {
	if b.rows == b.limit {
		return false
	}
	if !b.roomFor(textBytes) {
		return false
	}
	row := b.rows
	b.rows++
	for i := range b.cols {
		c := &b.cols[i]
		switch {
		case c.Int64s != nil:
			c.Int64s[row] = 0
		case c.Float64s != nil:
			c.Float64s[row] = 0
		default:
			c.Views[row] = View{}
		}
	}
	return true
}

// roomFor says whether textBytes more bytes of strings fit. An empty batch makes room for any
// number that a View can address.
func (b *Batch) roomFor(textBytes int) bool {
	if len(b.text)+textBytes <= cap(b.text) {
		return true
	}
	if b.rows > 0 {
		return false
	}
	if textBytes > math.MaxUint32 {
		panic(fmt.Sprintf("record: strings of %d bytes in one record, at most %d are possible", textBytes,
			uint32(math.MaxUint32)))
	}
	b.text = make([]byte, 0, textBytes) // one huge record; the memory is kept
	return true
}

// SetInt64 sets a Bool (0 or 1), Int64, Timestamp (nanoseconds) or decimal (value*10^scale) column
// of the last row.
func (b *Batch) SetInt64(col int, v int64) { b.cols[col].Int64s[b.rows-1] = v }

// SetBool sets a Bool column of the last row.
func (b *Batch) SetBool(col int, v bool) {
	var n int64
	if v {
		n = 1
	}
	b.SetInt64(col, n)
}

// SetTime sets a Timestamp column of the last row.
func (b *Batch) SetTime(col int, t time.Time) { b.SetInt64(col, t.UnixNano()) }

// SetFloat64 sets a Float64 column of the last row.
func (b *Batch) SetFloat64(col int, v float64) { b.cols[col].Float64s[b.rows-1] = v }

// SetString sets a String column of the last row and copies s. It panics if the strings of the row
// are longer than Add was told.
func (b *Batch) SetString(col int, s string) { setText(b, col, s) }

// SetBytes is SetString for a slice of bytes.
func (b *Batch) SetBytes(col int, s []byte) { setText(b, col, s) }

func setText[S string | []byte](b *Batch, col int, s S) {
	n := len(b.text)
	if n+len(s) > cap(b.text) {
		panic("record: the strings of a row are longer than Add was told")
	}
	b.text = append(b.text, s...)
	c := &b.cols[col]
	c.Views[b.rows-1] = View{uint32(n), uint32(len(s))}
	c.Bytes = b.text
}

// SetUnfit is SetNull for a value of a result that does not fit the type of its column, such as a
// sum, or that could not be computed. It is counted.
func (b *Batch) SetUnfit(col int) {
	b.SetNull(col)
	b.unfit++
}

// Unfit is how often SetUnfit was called since Reset.
func (b *Batch) Unfit() int { return b.unfit }

// SetNull makes a column of the last row NULL. The column must be nullable.
func (b *Batch) SetNull(col int) {
	c := &b.cols[col]
	if c.Valid == nil {
		if b.own[col].Valid == nil {
			panic(fmt.Sprintf("record: column %q is not nullable", b.schema.Field(col).Name))
		}
		c.Valid = b.own[col].Valid
		for i := range c.Valid {
			c.Valid[i] = ^uint64(0)
		}
	}
	row := b.rows - 1
	c.Valid[row>>6] &^= 1 << (row & 63)
}

// Reject sets aside a record that could not be read; the record is copied. If it returns false, the
// batch already carries MaxRejects: return it and keep the record for the next call.
func (b *Batch) Reject(r Reject) bool {
	if len(b.reject) == MaxRejects {
		return false
	}
	r.Bytes = append([]byte(nil), r.Bytes[:min(len(r.Bytes), MaxRejectBytes)]...)
	b.reject = append(b.reject, r)
	return true
}

// Rejects are the records set aside. They are valid until Reset.
func (b *Batch) Rejects() []Reject { return b.reject }

// Keep copies what was lent into the batch's own storage, so that the batch may outlive the
// reader's next call. Columns that were not lent are not changed. Check must have found no fault in
// the batch before.
func (b *Batch) Keep() {
	text := b.text // appending may move it; a column with other bytes has lent them
	for i := range b.cols {
		c, own := &b.cols[i], &b.own[i]
		switch {
		case own.Views != nil:
			if len(c.Bytes) > 0 && !sameSlice(c.Bytes, text) {
				b.keepTexts(c, own)
			} else if !sameSlice(c.Views, own.Views) {
				copy(own.Views, c.Views[:b.rows])
			}
			c.Views = own.Views
		case own.Float64s != nil:
			if !sameSlice(c.Float64s, own.Float64s) {
				copy(own.Float64s, c.Float64s[:b.rows])
				c.Float64s = own.Float64s
			}
		case !sameSlice(c.Int64s, own.Int64s):
			copy(own.Int64s, c.Int64s[:b.rows])
			c.Int64s = own.Int64s
		}
		switch {
		case own.Valid == nil:
			c.Valid = nil // Check has verified that nothing is NULL
		case c.Valid != nil && !sameSlice(c.Valid, own.Valid):
			copy(own.Valid, c.Valid[:(b.rows+63)/64])
			c.Valid = own.Valid
		}
	}
	for i := range b.cols {
		if b.own[i].Views != nil {
			b.cols[i].Bytes = b.text
		}
	}
}

// keepTexts copies the texts of a column after those that the batch has. The new views go to
// own.Views, which may be where the old ones are.
func (b *Batch) keepTexts(c, own *Column) {
	for row, v := range c.Views[:b.rows] {
		to := View{}
		if v.Len > 0 && !c.Null(row) {
			to = View{uint32(len(b.text)), v.Len}
			b.text = append(b.text, c.Bytes[v.Off:uint64(v.Off)+uint64(v.Len)]...)
		}
		own.Views[row] = to
	}
}

// sameSlice says whether two slices begin at the same place.
func sameSlice[T any](a, b []T) bool { return unsafe.SliceData(a) == unsafe.SliceData(b) }

// CopyRows makes a batch of some rows, with room for no more.
func (b *Batch) CopyRows(rows []int32) *Batch {
	c := NewBatch(b.schema, max(len(rows), 1))
	text := 0
	for i := range b.cols {
		for _, row := range rows {
			if col := &b.cols[i]; col.Views != nil && !col.Null(int(row)) {
				text += int(col.Views[row].Len)
			}
		}
	}
	c.text = make([]byte, 0, text)
	c.Reset()
	for _, row := range rows {
		c.Add(0)
		for i := range b.cols {
			switch from := &b.cols[i]; {
			case from.Null(int(row)):
				c.SetNull(i)
			case from.Views != nil:
				c.SetBytes(i, from.View(int(row)))
			case from.Float64s != nil:
				c.SetFloat64(i, from.Float64s[row])
			default:
				c.SetInt64(i, from.Int64s[row])
			}
		}
	}
	return c
}

// Check says whether the columns are what the schema and Len promise: as many values as rows, every
// view within its bytes, NULL only where the schema allows it. It is called once per batch, because
// readers are other people's code.
func (b *Batch) Check() error {
	for i := range b.cols {
		c, f := &b.cols[i], b.schema.Field(i)
		var have int
		switch f.Type.Kind() {
		case Float64:
			have = len(c.Float64s)
		case String:
			have = len(c.Views)
		default:
			have = len(c.Int64s)
		}
		if have < b.rows {
			return fmt.Errorf("record: column %q has %d values, the batch has %d rows", f.Name, have, b.rows)
		}
		if c.Valid != nil {
			if len(c.Valid) < (b.rows+63)/64 {
				return fmt.Errorf("record: column %q has %d words of validity, %d rows need %d", f.Name, len(c.Valid),
					b.rows, (b.rows+63)/64)
			}
			if row := c.firstNull(b.rows); row >= 0 && !f.Nullable {
				return fmt.Errorf("record: column %q is not nullable, row %d of the batch is NULL", f.Name, row)
			}
		}
		if f.Type.Kind() == String {
			if end := lastEnd(c.Views[:b.rows]); end > uint64(len(c.Bytes)) {
				return fmt.Errorf("record: column %q: a view ends at %d, the column has %d bytes", f.Name, end,
					len(c.Bytes))
			}
		}
	}
	return nil
}

// firstNull returns the first NULL among the first rows rows, or -1 if there is none. Valid is not
// nil.
func (c *Column) firstNull(rows int) int {
	for i := 0; i < rows; i += 64 {
		null := ^c.Valid[i>>6]
		if rest := rows - i; rest < 64 {
			null &= 1<<rest - 1
		}
		if null != 0 {
			return i + bits.TrailingZeros64(null)
		}
	}
	return -1
}
