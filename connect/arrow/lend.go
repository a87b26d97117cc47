package arrow

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/velo-engine/velo/record"
)

// lent is the memory of a column that is lent to a batch.
type lent struct {
	ints   []int64
	floats []float64
	views  []record.View
	bytes  []byte // of wide decimals
	valid  []uint64
	// words are the texts of dict, the dictionary of the last rows.
	dict  arrow.Array
	words record.Column
}

// lend lends the next rows to a batch, column by column. It returns false, and has lent nothing, if
// one of them cannot be a record; then Read goes row by row, which does the same (TestLendTwin).
func (r *Reader) lend(b *record.Batch) bool {
	n := min(b.Cap(), int(r.batch.NumRows())-r.row)
	if r.plain || n == 0 {
		return false
	}
	if r.columns == nil {
		r.columns = make([]lent, r.source.schema.Len())
	}
	for i, place := range r.source.places {
		f := r.source.schema.Field(i)
		to := &r.columns[i]
		col := b.Column(i)
		if r.read != nil && !r.read[i] {
			to.nothing(col, f, n)
			continue
		}
		c := r.batch.Column(place)
		*col = record.Column{}
		if !to.validity(col, c, f.Nullable, r.row, n) || !to.values(col, c, f.Type, r.row, n) {
			b.Reset() // what the batch owns again
			return false
		}
	}
	b.SetLen(n)
	r.row += n
	return true
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// nothing lends a column that nobody reads.
func (to *lent) nothing(col *record.Column, f record.Field, n int) {
	*col = record.Column{}
	switch f.Type.Kind() {
	case record.String:
		to.views = sized(to.views, n)
		clear(to.views)
		col.Views = to.views
	case record.Float64:
		to.floats = sized(to.floats, n)
		clear(to.floats)
		col.Float64s = to.floats
	default:
		to.ints = sized(to.ints, n)
		clear(to.ints)
		col.Int64s = to.ints
	}
	if f.Nullable {
		to.valid = sized(to.valid, (n+63)/64)
		clear(to.valid)
		col.Valid = to.valid
	}
}

// validity lends which values are there. It returns false for a NULL in a column that is NOT NULL.
func (to *lent) validity(col *record.Column, c arrow.Array, nullable bool, row, n int) bool {
	bits := c.NullBitmapBytes()
	if c.NullN() == 0 || len(bits) == 0 {
		return true
	}
	to.valid = sized(to.valid, (n+63)/64)
	clear(to.valid)
	at, some := c.Data().Offset()+row, 0
	for k := range n {
		bit := uint64(bits[(at+k)>>3]>>((at+k)&7)) & 1
		to.valid[k>>6] |= bit << (k & 63)
		some += int(bit)
	}
	if some < n {
		if !nullable {
			return false
		}
		col.Valid = to.valid
	}
	return true
}

// values lends values. It returns false if one does not fit; it may be below a NULL.
func (to *lent) values(col *record.Column, c arrow.Array, t record.Type, row, n int) bool {
	switch t.Kind() {
	case record.String:
		if c, ok := c.(*array.Decimal128); ok {
			return to.wides(col, c, t, row, n)
		}
		return to.texts(col, c, row, n)
	case record.Float64:
		if c, ok := c.(*array.Float64); ok {
			col.Float64s = c.Float64Values()[row : row+n]
			return true
		}
		to.floats = sized(to.floats, n)
		for k, v := range c.(*array.Float32).Float32Values()[row : row+n] {
			to.floats[k] = float64(v)
		}
		col.Float64s = to.floats
		return true
	}
	to.ints = sized(to.ints, n)
	col.Int64s = to.ints
	switch c := c.(type) {
	case *array.Int64:
		col.Int64s = c.Int64Values()[row : row+n]
	case *array.Int32:
		widen(to.ints, c.Int32Values()[row:row+n])
	case *array.Int16:
		widen(to.ints, c.Int16Values()[row:row+n])
	case *array.Int8:
		widen(to.ints, c.Int8Values()[row:row+n])
	case *array.Uint32:
		widen(to.ints, c.Uint32Values()[row:row+n])
	case *array.Uint16:
		widen(to.ints, c.Uint16Values()[row:row+n])
	case *array.Uint8:
		widen(to.ints, c.Uint8Values()[row:row+n])
	case *array.Timestamp:
		return multiplied(to.ints, c.TimestampValues()[row:row+n],
			int64(c.DataType().(*arrow.TimestampType).Unit.Multiplier()))
	case *array.Duration:
		return multiplied(to.ints, c.DurationValues()[row:row+n],
			int64(c.DataType().(*arrow.DurationType).Unit.Multiplier()))
	case *array.Date32:
		return multiplied(to.ints, c.Date32Values()[row:row+n], 24*3600*1e9)
	case *array.Date64:
		return multiplied(to.ints, c.Date64Values()[row:row+n], 1e6)
	default: // few streams have these
		for k := range n {
			var err error
			to.ints[k], err = wholeAt(c, row+k)
			if err != nil {
				return false
			}
		}
	}
	return true
}

func widen[T int8 | int16 | int32 | uint8 | uint16 | uint32](to []int64, from []T) {
	for i, v := range from {
		to[i] = int64(v)
	}
}

// multiplied makes times of numbers. It returns false if one is out of range.
func multiplied[T ~int32 | ~int64](to []int64, from []T, unit int64) bool {
	least, greatest := math.MinInt64/unit, math.MaxInt64/unit
	for i, v := range from {
		if int64(v) < least || int64(v) > greatest {
			return false
		}
		to[i] = int64(v) * unit
	}
	return true
}

// wides makes the bytes of wide decimals. It returns false if one has more digits than its type.
func (to *lent) wides(col *record.Column, c *array.Decimal128, t record.Type, row, n int) bool {
	to.views, to.bytes = sized(to.views, n), to.bytes[:0]
	for k := range n {
		at := len(to.bytes)
		to.bytes = wideAt(c, row+k).AppendBytes(to.bytes)
		to.views[k] = record.View{Off: uint32(at), Len: uint32(len(to.bytes) - at)}
		if c.IsValid(row+k) && record.CheckLogicalText(t, to.bytes[at:]) != nil {
			return false
		}
	}
	col.Views, col.Bytes = to.views, to.bytes
	return true
}

// texts lends texts where they lie.
func (to *lent) texts(col *record.Column, c arrow.Array, row, n int) bool {
	to.views = sized(to.views, n)
	col.Views = to.views
	switch c := c.(type) {
	case *array.String:
		col.Bytes = bytesOf(c)
		return viewsOf(to.views, c.ValueOffsets()[row:row+n+1], len(col.Bytes))
	case *array.LargeString:
		col.Bytes = bytesOf(c)
		return viewsOf(to.views, c.ValueOffsets()[row:row+n+1], len(col.Bytes))
	case *array.Binary:
		col.Bytes = bytesOf(c)
		return viewsOf(to.views, c.ValueOffsets()[row:row+n+1], len(col.Bytes))
	case *array.LargeBinary:
		col.Bytes = bytesOf(c)
		return viewsOf(to.views, c.ValueOffsets()[row:row+n+1], len(col.Bytes))
	case array.ExtensionArray:
		return to.texts(col, c.Storage(), row, n)
	case *array.FixedSizeBinary:
		width := c.DataType().(*arrow.FixedSizeBinaryType).ByteWidth
		data := c.Data()
		if data.Buffers()[1] == nil {
			return n == 0
		}
		col.Bytes = data.Buffers()[1].Bytes()
		if (data.Offset()+row+n)*width > len(col.Bytes) {
			return false
		}
		for k := range n {
			to.views[k] = record.View{Off: uint32((data.Offset() + row + k) * width), Len: uint32(width)}
		}
		return true
	case *array.Dictionary:
		if to.dict != c.Dictionary() {
			to.dict = nil
			var words lent
			if !words.texts(&to.words, c.Dictionary(), 0, c.Dictionary().Len()) {
				return false
			}
			to.dict = c.Dictionary()
		}
		col.Bytes = to.words.Bytes
		for k := range n {
			to.views[k] = record.View{}
			if c.IsValid(row + k) {
				to.views[k] = to.words.Views[c.GetValueIndex(row+k)]
			}
		}
		return true
	}
	return false
}

// bytesOf are the bytes that the offsets of texts are places in.
func bytesOf(c arrow.Array) []byte {
	b := c.Data().Buffers()[2]
	if b == nil { // no text has any
		return nil
	}
	return b.Bytes()
}

// viewsOf makes views of offsets. It returns false if they do not lie in the bytes.
func viewsOf[T int32 | int64](to []record.View, offsets []T, size int) bool {
	for i := range to {
		from, end := int64(offsets[i]), int64(offsets[i+1])
		if from < 0 || end < from || end > int64(size) {
			return false
		}
		to[i] = record.View{Off: uint32(from), Len: uint32(end - from)}
	}
	return true
}
