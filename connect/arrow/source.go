package arrow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// streamBegin is what each message of a stream begins with.
const streamBegin = "\xff\xff\xff\xff"

// maxBatchBytes bounds a record batch, so that a damaged length cannot take all memory.
const maxBatchBytes = 1 << 30

func init() {
	connect.RegisterFormat("a stream of Arrow", connect.Format{
		Begin: streamBegin,
		Open: func(paths []string) (connect.Files, error) {
			if len(paths) != 1 {
				return nil, fmt.Errorf("arrow: %d files, and streams of Arrow are read one by one: expected one file",
					len(paths))
			}
			in, err := os.Open(paths[0])
			if err != nil {
				return nil, err
			}
			return Open(in)
		},
		OpenStream: func(in io.Reader) (connect.Files, error) { return Open(io.NopCloser(in)) },
	})
}

// A Source is a stream of Arrow that is read once, by one reader. It is a connect.Files.
type Source struct {
	in     io.ReadCloser
	stream *ipc.Reader
	schema *record.Schema
	// places has the field of the stream for each column.
	places []int
}

// Open reads the schema of a stream. The source closes the stream.
func Open(in io.ReadCloser) (*Source, error) {
	stream, err := ipc.NewReaderFromMessageReader(&messages{in: in}, ipc.WithAllocator(bounded{memory.DefaultAllocator}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("arrow: %w", err), in.Close())
	}
	return &Source{in: in, stream: stream}, nil
}

// bounded allocates as much as a record batch may have. The library turns the panic into an error.
type bounded struct{ memory.Allocator }

func (b bounded) Allocate(size int) []byte {
	if size > maxBatchBytes {
		panic(fmt.Errorf("a record batch of %d bytes, at most %d are read", size, maxBatchBytes))
	}
	return b.Allocator.Allocate(size)
}

func (b bounded) Reallocate(size int, old []byte) []byte {
	if size > maxBatchBytes {
		panic(fmt.Errorf("a record batch of %d bytes, at most %d are read", size, maxBatchBytes))
	}
	return b.Allocator.Reallocate(size, old)
}

// extensionKey is the key of the name of an extension type in the metadata of a field,
// uuidExtension the name of the type of UUIDs. Its values are stored as fixed size binary of 16
// bytes.
const (
	extensionKey  = "ARROW:extension:name"
	uuidExtension = "arrow.uuid"
)

// kindOfField is kindOf for a field. The library leaves the type of an extension that nobody has
// registered in the metadata.
func kindOfField(f arrow.Field) (kind record.Type, ok bool) {
	fixed, isFixed := f.Type.(*arrow.FixedSizeBinaryType)
	name, _ := f.Metadata.GetValue(extensionKey)
	if isFixed && fixed.ByteWidth == 16 && name == uuidExtension {
		return record.UUID, true
	}
	return kindOf(f.Type)
}

// kindOf is the type of a column for a type of Arrow; ok is false if there is none.
func kindOf(t arrow.DataType) (kind record.Type, ok bool) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return record.Bool, true
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Uint8Type, *arrow.Uint16Type,
		*arrow.Uint32Type, *arrow.Uint64Type:
		return record.Int64, true
	case *arrow.Float32Type, *arrow.Float64Type:
		return record.Float64, true
	case *arrow.StringType, *arrow.LargeStringType:
		return record.String, true
	case *arrow.BinaryType, *arrow.LargeBinaryType:
		return record.Bytes, true
	case *arrow.FixedSizeBinaryType:
		return record.Bytes, true
	case arrow.ExtensionType:
		if t.ExtensionName() == uuidExtension {
			return record.UUID, true
		}
		return kindOf(t.StorageType())
	case *arrow.Time32Type, *arrow.Time64Type:
		return record.TimeOfDay, true
	case *arrow.DurationType:
		return record.Interval, true
	case *arrow.TimestampType, *arrow.Date32Type, *arrow.Date64Type:
		return record.Timestamp, true
	case *arrow.Decimal128Type:
		if t.Precision >= 1 && t.Precision <= record.MaxDigits && t.Scale >= 0 && t.Scale <= t.Precision {
			return record.DecimalOf(int(t.Precision), int(t.Scale)), true
		}
	case *arrow.DictionaryType:
		kind, ok = kindOf(t.ValueType)
		return kind, ok && kind == record.String
	}
	return 0, false
}

// Columns are the fields of the stream.
func (s *Source) Columns() (columns []record.Field, left []connect.LeftField, err error) {
	for _, f := range s.stream.Schema().Fields() {
		kind, ok := kindOfField(f)
		if !ok {
			left = append(left, connect.LeftField{Name: f.Name, Why: fmt.Sprintf("it is %v", f.Type)})
			continue
		}
		columns = append(columns, record.Field{Name: f.Name, Type: kind, Nullable: f.Nullable})
	}
	return columns, left, nil
}

// Bind says which columns are read. Their types are those of the stream.
func (s *Source) Bind(schema *record.Schema) error {
	s.schema, s.places = schema, nil
	var faults []error
	fields := s.stream.Schema().Fields()
	for i := range schema.Len() {
		want := schema.Field(i)
		place := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == want.Name })
		if place < 0 {
			place = slices.IndexFunc(fields, func(f arrow.Field) bool { return strings.EqualFold(f.Name, want.Name) })
		}
		s.places = append(s.places, place)
		if place < 0 {
			faults = append(faults, fmt.Errorf("arrow: column %q: the stream has no such field", want.Name))
			continue
		}
		kind, ok := kindOfField(fields[place])
		isText := want.Type == record.String && kind == record.Bytes ||
			want.Type == record.Bytes && kind == record.String
		if !ok || kind != want.Type && !isText {
			faults = append(faults, fmt.Errorf("arrow: column %q, which is %v: it is %v in the stream", want.Name,
				want.Type, fields[place].Type))
		}
	}
	return errors.Join(faults...)
}

// Rows is 0: how many there are is known at the end.
func (*Source) Rows() int64 { return 0 }

// Readers makes the one reader.
func (s *Source) Readers(int) []record.Reader { return []record.Reader{&Reader{source: s}} }

// A Reader reads a stream. It blocks while the stream does, so an engine calls it on a goroutine of
// its own. One goroutine uses it.
type Reader struct {
	source *Source
	read   []bool // which columns are read; nil if all are

	batch arrow.RecordBatch // at hand; nil if there is none
	row   int               // the first of its rows that has not been read
	rows  int64             // how many rows have come before it

	// reject is a record that the last batch had no room for.
	reject *record.Reject

	columns []lent
	plain   bool // for tests: row by row
}

// String names the reader.
func (*Reader) String() string { return "stream of Arrow" }

// Columns says which columns are read: see record.Projector.
func (r *Reader) Columns(read []bool) { r.read = read }

// Read reads rows of one record batch, up to the capacity of b. A record with a value that no
// column has (an unsigned number from 2^63 on, a time out of range, NULL in a column that is NOT
// NULL) is set aside, with the number of its row.
func (r *Reader) Read(_ context.Context, b *record.Batch) (err error) {
	defer func() {
		if v := recover(); v != nil { // lengths and places in damaged arrays
			b.SetLen(0)
			err = fmt.Errorf("arrow: row %d: the stream is damaged: %v", r.rows+int64(r.row), v)
		}
	}()
	if r.reject != nil {
		b.Reject(*r.reject)
		r.reject = nil
	}
	for r.batch == nil || r.row == int(r.batch.NumRows()) {
		if r.batch != nil {
			r.rows += r.batch.NumRows()
			r.batch = nil // the stream releases it
		}
		if !r.source.stream.Next() {
			err := r.source.stream.Err()
			if err == nil || errors.Is(err, io.EOF) {
				return io.EOF
			}
			return fmt.Errorf("arrow: after row %d: %w", r.rows, err)
		}
		r.batch, r.row = r.source.stream.RecordBatch(), 0
	}
	if r.reject == nil && len(b.Rejects()) == 0 && r.lend(b) {
		return nil
	}
	for ; r.row < int(r.batch.NumRows()); r.row++ {
		text, err := r.textBytes()
		if err == nil && !b.Add(text) {
			return nil
		}
		if err == nil {
			r.set(b)
			continue
		}
		x := record.Reject{Offset: r.rows + int64(r.row), Reason: err}
		if !b.Reject(x) {
			r.reject = &x
			r.row++
			return nil
		}
	}
	return nil
}

// textBytes is how many bytes the texts of the row at hand have. The error says why it cannot be a
// record.
func (r *Reader) textBytes() (n int, err error) {
	for i, place := range r.source.places {
		if r.read != nil && !r.read[i] {
			continue
		}
		f := r.source.schema.Field(i)
		c := r.batch.Column(place)
		switch {
		case c.IsNull(r.row):
			if !f.Nullable {
				return 0, fmt.Errorf("column %q: it is NULL, and the column is NOT NULL", f.Name)
			}
		case f.Type.Kind() == record.String:
			text := textAt(c, r.row)
			if f.Type.IsWide() {
				err := record.CheckLogicalText(f.Type, []byte(text))
				if err != nil {
					return 0, fmt.Errorf("column %q: %w", f.Name, err)
				}
			}
			n += len(text)
		case f.Type != record.Float64:
			_, err := wholeAt(c, r.row)
			if err != nil {
				return 0, fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
	}
	return n, nil
}

// set sets the columns of the last row of b.
func (r *Reader) set(b *record.Batch) {
	for i, place := range r.source.places {
		f := r.source.schema.Field(i)
		c := r.batch.Column(place)
		switch {
		case r.read != nil && !r.read[i] || c.IsNull(r.row):
			if f.Nullable {
				b.SetNull(i)
			}
		case f.Type.Kind() == record.String:
			b.SetString(i, textAt(c, r.row))
		case f.Type == record.Float64:
			b.SetFloat64(i, floatAt(c, r.row))
		default:
			v, _ := wholeAt(c, r.row) // textBytes has looked
			b.SetInt64(i, v)
		}
	}
}

// textAt is a text, valid as long as its record batch.
func textAt(c arrow.Array, row int) string {
	switch c := c.(type) {
	case *array.String:
		return c.Value(row)
	case *array.LargeString:
		return c.Value(row)
	case *array.Binary:
		return c.ValueString(row)
	case *array.LargeBinary:
		return c.ValueString(row)
	case *array.FixedSizeBinary:
		return string(c.Value(row))
	case *array.Decimal128:
		return string(wideAt(c, row).AppendBytes(nil))
	case array.ExtensionArray:
		return textAt(c.Storage(), row)
	case *array.Dictionary:
		return textAt(c.Dictionary(), c.GetValueIndex(row))
	}
	return ""
}

// wideAt is a decimal as a wide one.
func wideAt(c *array.Decimal128, row int) record.Decimal128 {
	v, t := c.Value(row), c.DataType().(*arrow.Decimal128Type)
	return record.Decimal128{High: v.HighBits(), Low: v.LowBits(), Scale: uint8(t.Scale)}
}

func floatAt(c arrow.Array, row int) float64 {
	if c, ok := c.(*array.Float32); ok {
		return float64(c.Value(row))
	}
	return c.(*array.Float64).Value(row)
}

// wholeAt is a value that is neither a text nor a double, as a column has it.
func wholeAt(c arrow.Array, row int) (int64, error) {
	switch c := c.(type) {
	case *array.Boolean:
		if c.Value(row) {
			return 1, nil
		}
		return 0, nil
	case *array.Int8:
		return int64(c.Value(row)), nil
	case *array.Int16:
		return int64(c.Value(row)), nil
	case *array.Int32:
		return int64(c.Value(row)), nil
	case *array.Int64:
		return c.Value(row), nil
	case *array.Uint8:
		return int64(c.Value(row)), nil
	case *array.Uint16:
		return int64(c.Value(row)), nil
	case *array.Uint32:
		return int64(c.Value(row)), nil
	case *array.Uint64:
		v := c.Value(row)
		if v > math.MaxInt64 {
			return 0, fmt.Errorf("%d does not fit bigint", v)
		}
		return int64(v), nil
	case *array.Timestamp:
		unit := c.DataType().(*arrow.TimestampType).Unit
		return nanos(int64(c.Value(row)), int64(unit.Multiplier()))
	case *array.Time32:
		return clock(int64(c.Value(row)), c.DataType().(*arrow.Time32Type).Unit)
	case *array.Time64:
		return clock(int64(c.Value(row)), c.DataType().(*arrow.Time64Type).Unit)
	case *array.Duration:
		unit := int64(c.DataType().(*arrow.DurationType).Unit.Multiplier())
		v := int64(c.Value(row))
		if v > math.MaxInt64/unit || v < math.MinInt64/unit {
			return 0, fmt.Errorf("an interval of %d times %d ns is longer than 292 years", v, unit)
		}
		return v * unit, nil
	case *array.Date32:
		return nanos(int64(c.Value(row)), 24*3600*1e9)
	case *array.Date64:
		return nanos(int64(c.Value(row)), 1e6)
	case *array.Decimal128:
		v := c.Value(row)
		t := c.DataType().(*arrow.Decimal128Type)
		n := int64(v.LowBits())
		if v.HighBits() != n>>63 || n >= record.Pow10[t.Precision] || n <= -record.Pow10[t.Precision] {
			return 0, fmt.Errorf("%v does not fit decimal(%d,%d)", v.BigInt(), t.Precision, t.Scale)
		}
		return n, nil
	}
	return 0, fmt.Errorf("it is %v", c.DataType())
}

// clock is a time of day in nanoseconds.
func clock(v int64, unit arrow.TimeUnit) (int64, error) {
	if by := int64(unit.Multiplier()); v >= 0 && v <= record.DayNanos/by {
		return v * by, nil
	}
	return 0, fmt.Errorf("%d %v since midnight are no time of day", v, unit)
}

// nanos is a time in nanoseconds.
func nanos(v, unit int64) (int64, error) {
	if v > math.MaxInt64/unit || v < math.MinInt64/unit {
		return 0, fmt.Errorf("%d is out of the range of a timestamp", v)
	}
	return v * unit, nil
}

// Close closes the stream.
func (r *Reader) Close() error {
	r.batch = nil
	r.source.stream.Release()
	return r.source.in.Close()
}
