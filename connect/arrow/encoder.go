package arrow

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// MediaType is what clients call a stream of Arrow.
const MediaType = "application/vnd.apache.arrow.stream"

func init() {
	connect.RegisterEncoding("arrow", connect.Encoding{
		MediaType: MediaType, Binary: true,
		New: func(to io.Writer, schema *record.Schema) connect.Rows { return NewEncoder(to, schema) },
	})
}

// Encoder writes rows as a stream of Arrow: the schema, a record batch for each batch, and an end.
// One goroutine uses it.
type Encoder struct {
	writer *ipc.Writer
	schema *record.Schema
	fields *arrow.Schema
	builds []array.Builder
}

// NewEncoder makes an encoder.
func NewEncoder(to io.Writer, schema *record.Schema) *Encoder {
	e := &Encoder{schema: schema}
	var fields []arrow.Field
	for i := range schema.Len() {
		f := schema.Field(i)
		t := typeOf(f.Type)
		field := arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}
		if f.Type == record.UUID {
			field.Metadata = arrow.NewMetadata([]string{extensionKey, "ARROW:extension:metadata"},
				[]string{uuidExtension, ""})
		}
		fields = append(fields, field)
		e.builds = append(e.builds, array.NewBuilder(memory.DefaultAllocator, t))
	}
	e.fields = arrow.NewSchema(fields, nil)
	e.writer = ipc.NewWriter(to, ipc.WithSchema(e.fields))
	return e
}

// typeOf is a type in Arrow.
func typeOf(t record.Type) arrow.DataType {
	switch {
	case t == record.Bool:
		return arrow.FixedWidthTypes.Boolean
	case t == record.Int64:
		return arrow.PrimitiveTypes.Int64
	case t == record.Float64:
		return arrow.PrimitiveTypes.Float64
	case t == record.Timestamp:
		return arrow.FixedWidthTypes.Timestamp_ns // in UTC
	case t == record.TimeOfDay:
		return arrow.FixedWidthTypes.Time64ns
	case t == record.Interval:
		return arrow.FixedWidthTypes.Duration_ns
	case t == record.UUID:
		return &arrow.FixedSizeBinaryType{ByteWidth: 16}
	case t == record.Bytes:
		return arrow.BinaryTypes.Binary
	case t.IsDecimal() || t.IsWide():
		return &arrow.Decimal128Type{Precision: int32(t.Precision()), Scale: int32(t.Scale())}
	}
	return arrow.BinaryTypes.String
}

// Write writes a batch. Bytes of texts that are not UTF-8 become U+FFFD, because a text in Arrow is
// UTF-8.
func (e *Encoder) Write(_ context.Context, b *record.Batch) error {
	var columns []arrow.Array
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, build := range e.builds {
		build.Reserve(b.Len())
		appendColumn(build, b, i)
		columns = append(columns, build.NewArray())
	}
	batch := array.NewRecordBatch(e.fields, columns, int64(b.Len()))
	defer batch.Release()
	err := e.writer.Write(batch)
	if err != nil {
		return fmt.Errorf("arrow: %w", err)
	}
	return nil
}

// appendColumn appends the values of a column.
func appendColumn(build array.Builder, b *record.Batch, i int) {
	c := b.Column(i)
	for row := range b.Len() {
		if c.Null(row) {
			build.AppendNull()
			continue
		}
		switch to := build.(type) {
		case *array.BooleanBuilder:
			to.Append(c.Int64s[row] != 0)
		case *array.Int64Builder:
			to.Append(c.Int64s[row])
		case *array.Float64Builder:
			to.Append(c.Float64s[row])
		case *array.TimestampBuilder:
			to.Append(arrow.Timestamp(c.Int64s[row]))
		case *array.Decimal128Builder:
			to.Append(decimalAt(b.Schema().Field(i).Type, c, row))
		case *array.Time64Builder:
			to.Append(arrow.Time64(c.Int64s[row]))
		case *array.DurationBuilder:
			to.Append(arrow.Duration(c.Int64s[row]))
		case *array.FixedSizeBinaryBuilder:
			to.Append(c.View(row))
		case *array.BinaryBuilder:
			to.Append(c.View(row))
		case *array.StringBuilder:
			text := c.View(row)
			if !utf8.Valid(text) {
				text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
			}
			to.BinaryBuilder.Append(text)
		}
	}
}

// decimalAt is a decimal of a row.
func decimalAt(t record.Type, c *record.Column, row int) decimal128.Num {
	if t.IsWide() {
		d := record.WideDecimal(t, c.View(row))
		return decimal128.New(d.High, d.Low)
	}
	return decimal128.FromI64(c.Int64s[row])
}

// Flush does nothing: each batch is written at once.
func (e *Encoder) Flush() error { return nil }

// Close writes the end of the stream, and the schema if there was no batch.
func (e *Encoder) Close() error {
	for _, build := range e.builds {
		build.Release()
	}
	err := e.writer.Close()
	if err != nil {
		return fmt.Errorf("arrow: %w", err)
	}
	return nil
}
