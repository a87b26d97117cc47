package parquet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

const (
	// DefaultGroupRows is EncoderConfig.GroupRows unless something else is said.
	DefaultGroupRows = 1 << 17

	// maxGroupBytes ends a row group, which is in memory until then.
	maxGroupBytes = 128 << 20

	// pageBytes is how many bytes the pages have that are written, before they are packed.
	pageBytes = 1 << 20

	// dictionaryBytes bounds the dictionary of a column of texts. With more the texts are written
	// as they are.
	dictionaryBytes = 1 << 20
)

// A Unit is the unit of the times in a file.
type Unit string

// The units.
const (
	Nanos  Unit = "ns"
	Micros Unit = "us"
	Millis Unit = "ms"
)

// BadText says what happens to texts that are not UTF-8, which a file must not have.
type BadText string

// What happens to bad texts.
const (
	RefuseText  BadText = "refuse"  // an error
	ReplaceText BadText = "replace" // U+FFFD stands for the bad bytes
)

// EncoderConfig says how files are written. The zero value is the usual one.
type EncoderConfig struct {
	// Compression is zstd, snappy, gzip, lz4, brotli or none; empty is zstd.
	Compression string
	// Unit is the unit of times; empty is Nanos. What does not fit a larger unit is cut off.
	Unit Unit
	// BadText is RefuseText if it is empty.
	BadText BadText
	// GroupRows is how many rows a row group has; 0 means DefaultGroupRows. A row group ends
	// earlier if it has too many bytes.
	GroupRows int64
}

// codecs are the compressions that files are written with.
var codecs = map[string]compress.Codec{
	"": &pq.Zstd, "zstd": &pq.Zstd, "snappy": &pq.Snappy, "gzip": &pq.Gzip, "lz4": &pq.Lz4Raw, "brotli": &pq.Brotli,
	"none": &pq.Uncompressed,
}

// Encoder writes one file, as writers.FileConfig.Encode wants it. Rows of a row group are in memory
// until there are enough of them.
type Encoder struct {
	cfg    EncoderConfig
	to     io.Writer
	writer *pq.GenericWriter[any]
	schema *record.Schema
	values []pq.Value // scratch
	text   []byte     // scratch
	rows   int64      // of the row group at hand
	size   int64      // about how many bytes those have
}

// NewEncoder makes an encoder. It panics if there is no such compression.
func NewEncoder(to io.Writer, cfg EncoderConfig) *Encoder {
	if codecs[cfg.Compression] == nil {
		panic(fmt.Sprintf("parquet: there is no compression %q", cfg.Compression))
	}
	if cfg.GroupRows == 0 {
		cfg.GroupRows = DefaultGroupRows
	}
	return &Encoder{cfg: cfg, to: to}
}

// Write takes a batch. All batches have the same schema. An error says that a text is not UTF-8.
func (e *Encoder) Write(_ context.Context, b *record.Batch) error {
	if e.writer == nil {
		e.begin(b.Schema())
	}
	columns := e.writer.ColumnWriters()
	for i := range e.schema.Len() {
		values, err := e.column(b, i)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			continue
		}
		if _, err := columns[i].WriteRowValues(values); err != nil {
			return fmt.Errorf("parquet: column %q: %w", e.schema.Field(i).Name, err)
		}
	}
	e.rows += int64(b.Len())
	if e.rows >= e.cfg.GroupRows || e.size >= maxGroupBytes {
		e.rows, e.size = 0, 0
		return e.writer.Flush()
	}
	return nil
}

// Flush does nothing: rows wait until a row group is full.
func (e *Encoder) Flush() error { return nil }

// Buffered is about how many bytes the row group at hand has, before it is packed.
func (e *Encoder) Buffered() int64 { return e.size }

// Close writes the rest and the footer. It writes nothing if there was no batch.
func (e *Encoder) Close() error {
	if e.writer == nil {
		return nil
	}
	e.size = 0
	return e.writer.Close()
}

// begin makes the schema of the file.
func (e *Encoder) begin(s *record.Schema) {
	e.schema = s
	root := &group{Group: pq.Group{}}
	for i := range s.Len() {
		f := s.Field(i)
		node := e.node(f.Type)
		if f.Nullable {
			node = pq.Optional(node)
		} else {
			node = pq.Required(node)
		}
		root.Group[f.Name] = node
		root.fields = append(root.fields, field{node, f.Name})
	}
	e.writer = pq.NewGenericWriter[any](e.to, pq.NewSchema("velo", root), pq.Compression(codecs[e.cfg.Compression]),
		pq.MaxRowsPerRowGroup(math.MaxInt64), pq.PageBufferSize(pageBytes), pq.DictionaryMaxBytes(dictionaryBytes),
		pq.CreatedBy("velo", "", ""), pq.WriteBufferSize(0))
}

// node is the type of a column in the file.
func (e *Encoder) node(t record.Type) pq.Node {
	switch {
	case t == record.Bool:
		return pq.Leaf(pq.BooleanType)
	case t == record.Int64:
		return pq.Leaf(pq.Int64Type)
	case t == record.Float64:
		return pq.Leaf(pq.DoubleType)
	case t == record.Timestamp:
		return pq.Timestamp(e.unit())
	case t == record.TimeOfDay:
		return pq.Time(e.unit())
	case t == record.Interval:
		return pq.Leaf(pq.Int64Type) // the type of files has no sign, and only milliseconds
	case t == record.UUID:
		return pq.UUID()
	case t == record.Bytes:
		return pq.Encoded(pq.Leaf(pq.ByteArrayType), &pq.RLEDictionary)
	case t.IsWide():
		return pq.Decimal(t.Scale(), t.Precision(), pq.FixedLenByteArrayType(int128.Size))
	case t.IsDecimal():
		return pq.Decimal(t.Scale(), t.Precision(), pq.Int64Type)
	}
	return pq.Encoded(pq.String(), &pq.RLEDictionary)
}

// unit is the unit of times.
func (e *Encoder) unit() pq.TimeUnit {
	return map[Unit]pq.TimeUnit{
		"": pq.Nanosecond, Nanos: pq.Nanosecond, Micros: pq.Microsecond, Millis: pq.Millisecond,
	}[e.cfg.Unit]
}

// column makes the values of a column as the library wants them. They are valid until the next
// call.
func (e *Encoder) column(b *record.Batch, i int) ([]pq.Value, error) {
	f, c := e.schema.Field(i), b.Column(i)
	e.values = e.values[:0]
	present := 0
	if f.Nullable {
		present = 1
	}
	divide := int64(1)
	isTime := f.Type == record.Timestamp || f.Type == record.TimeOfDay
	switch {
	case isTime && e.cfg.Unit == Micros:
		divide = 1e3
	case isTime && e.cfg.Unit == Millis:
		divide = 1e6
	}
	e.text = e.text[:0]
	for row := range b.Len() {
		var v pq.Value
		level := present
		switch {
		case c.Null(row):
			v, level = pq.NullValue(), 0
		case f.Type == record.Bool:
			v = pq.BooleanValue(c.Int64s[row] != 0)
		case f.Type == record.Float64:
			v = pq.DoubleValue(c.Float64s[row])
		case f.Type == record.String:
			text, err := e.valid(f.Name, c.View(row))
			if err != nil {
				return nil, err
			}
			e.size += int64(len(text))
			v = pq.ByteArrayValue(text)
		case f.Type.IsWide():
			at := len(e.text)
			e.text = int128.FromBytes(c.View(row)).AppendTwos(e.text)
			e.size += int128.Size
			v = pq.FixedLenByteArrayValue(e.text[at:])
		case f.Type.Kind() == record.String:
			e.size += int64(len(c.View(row)))
			v = pq.FixedLenByteArrayValue(c.View(row))
			if f.Type == record.Bytes {
				v = pq.ByteArrayValue(c.View(row))
			}
		case f.Type == record.TimeOfDay && e.cfg.Unit == Millis:
			v = pq.Int32Value(int32(c.Int64s[row] / divide))
		default:
			v = pq.Int64Value(floorDiv(c.Int64s[row], divide))
		}
		e.values = append(e.values, v.Level(0, level, i))
	}
	e.size += 8 * int64(b.Len())
	return e.values, nil
}

// floorDiv divides and rounds down, also before 1970.
func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}

// valid is a text as UTF-8.
func (e *Encoder) valid(column string, text []byte) ([]byte, error) {
	if utf8.Valid(text) {
		return text, nil
	}
	if e.cfg.BadText == ReplaceText {
		return bytes.ToValidUTF8(text, []byte("\uFFFD")), nil
	}
	return nil, fmt.Errorf("parquet: column %q: %q is not UTF-8, which a text in a file must be; bad.text = 'replace' "+
		"writes U+FFFD for what is not", column, text[:min(len(text), 40)])
}

// group is the root of a schema. The library's own sorts its fields by their names.
type group struct {
	pq.Group
	fields []pq.Field
}

// Fields are the columns in their order.
func (g *group) Fields() []pq.Field { return slices.Clone(g.fields) }

// GoType is what no row is ever made of: values are written column by column.
func (*group) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

// field is a column of a schema.
type field struct {
	pq.Node
	name string
}

// Name is the name of the column.
func (f field) Name() string { return f.name }

// Value is never called: no row is a Go value.
func (f field) Value(base reflect.Value) reflect.Value { return base }
