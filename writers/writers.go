package writers

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/velo-engine/velo/record"
)

// bufferBytes is what is kept before it is written.
const bufferBytes = 1 << 16

// A Func is a writer that is a function. A batch is valid during the call.
type Func func(ctx context.Context, b *record.Batch) error

// Write calls the function.
func (f Func) Write(ctx context.Context, b *record.Batch) error { return f(ctx, b) }

// Close does nothing.
func (f Func) Close() error { return nil }

// Text is a value as text; "" and true where it is NULL.
func Text(b *record.Batch, column, row int) (s string, null bool) {
	c := b.Column(column)
	if c.Null(row) {
		return "", true
	}
	switch t := b.Schema().Field(column).Type; {
	case t == record.String:
		return string(c.View(row)), false
	case t == record.Bool:
		return strconv.FormatBool(c.Int64s[row] != 0), false
	case t == record.Float64:
		return strconv.FormatFloat(c.Float64s[row], 'g', -1, 64), false
	case t == record.Timestamp:
		return time.Unix(0, c.Int64s[row]).UTC().Format(time.RFC3339Nano), false
	case t.IsDecimal():
		return record.Decimal{Unscaled: c.Int64s[row], Scale: uint8(t.Scale())}.String(), false
	}
	return strconv.FormatInt(c.Int64s[row], 10), false
}

// CSV writes a line with the names of the columns, then one for each row, as RFC 4180 has them.
type CSV struct {
	to     io.Writer
	buffer *bufio.Writer
	w      *csv.Writer
	begun  bool
	row    []string
}

// NewCSV is a writer to to.
func NewCSV(to io.Writer) *CSV {
	b := bufio.NewWriterSize(to, bufferBytes)
	return &CSV{to: to, buffer: b, w: csv.NewWriter(b)}
}

// Write writes the rows of a batch. The error is that of what is written to.
func (c *CSV) Write(_ context.Context, b *record.Batch) error {
	n := b.Schema().Len()
	if !c.begun {
		c.begun, c.row = true, make([]string, n)
		for i := range n {
			c.row[i] = b.Schema().Field(i).Name
		}
		if err := c.w.Write(c.row); err != nil {
			return err
		}
	}
	for row := range b.Len() {
		for i := range n {
			c.row[i], _ = Text(b, i, row)
		}
		if err := c.w.Write(c.row); err != nil {
			return err
		}
	}
	return c.w.Error()
}

// Flush writes what is buffered.
func (c *CSV) Flush() error {
	c.w.Flush()
	return errors.Join(c.w.Error(), c.buffer.Flush())
}

// Close writes what is buffered.
func (c *CSV) Close() error {
	c.w.Flush()
	return errors.Join(c.w.Error(), closeAll(c.buffer, c.to))
}

// NDJSON writes an object for each row, a line each. Numbers that JSON does not have, and decimals, are strings.
type NDJSON struct {
	to     io.Writer
	buffer *bufio.Writer
	names  [][]byte // with quotes and colon
}

// NewNDJSON is a writer to to.
func NewNDJSON(to io.Writer) *NDJSON {
	return &NDJSON{to: to, buffer: bufio.NewWriterSize(to, bufferBytes)}
}

// Write writes the rows of a batch. The error is that of what is written to.
func (w *NDJSON) Write(_ context.Context, b *record.Batch) error {
	if w.names == nil {
		for i := range b.Schema().Len() {
			name, err := json.Marshal(b.Schema().Field(i).Name)
			if err != nil {
				return err
			}
			w.names = append(w.names, append(name, ':'))
		}
	}
	var line []byte
	for row := range b.Len() {
		line = line[:0]
		for i, name := range w.names {
			line = append(line, map[bool]byte{true: '{', false: ','}[i == 0])
			line = append(line, name...)
			value, err := jsonValue(b, i, row)
			if err != nil {
				return err
			}
			line = append(line, value...)
		}
		line = append(line, '}', '\n')
		if _, err := w.buffer.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func jsonValue(b *record.Batch, column, row int) (string, error) {
	s, null := Text(b, column, row)
	switch t := b.Schema().Field(column).Type; {
	case null:
		return "null", nil
	case t == record.Int64 || t == record.Bool:
		return s, nil
	case t == record.Float64:
		if f := b.Column(column).Float64s[row]; !math.IsInf(f, 0) && !math.IsNaN(f) {
			return s, nil
		}
	}
	quoted, err := json.Marshal(s)
	return string(quoted), err
}

// Flush writes what is buffered.
func (w *NDJSON) Flush() error { return w.buffer.Flush() }

// Close writes what is buffered.
func (w *NDJSON) Close() error { return closeAll(w.buffer, w.to) }

// closeAll flushes a buffer and closes what it writes to, where that can be.
func closeAll(buffer *bufio.Writer, to io.Writer) error {
	err := buffer.Flush()
	if c, ok := to.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}
