package writers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// bufferBytes is how many bytes are buffered before they are written.
const bufferBytes = 1 << 16

// A Func is a writer that is a function. A batch is valid during the call.
type Func func(ctx context.Context, b *record.Batch) error

// Write calls the function.
func (f Func) Write(ctx context.Context, b *record.Batch) error { return f(ctx, b) }

// Close does nothing.
func (f Func) Close() error { return nil }

// Text is a value as text. For NULL it returns "" and true.
func Text(b *record.Batch, column, row int) (s string, null bool) {
	if b.Column(column).Null(row) {
		return "", true
	}
	return string(appendText(nil, b, column, row)), false
}

// appendText appends a value that is not NULL.
func appendText(to []byte, b *record.Batch, column, row int) []byte {
	c := b.Column(column)
	switch t := b.Schema().Field(column).Type; {
	case t.IsLogical():
		return c.AppendLogical(to, t, row)
	case t == record.String:
		return append(to, c.View(row)...)
	case t == record.Bool:
		return strconv.AppendBool(to, c.Int64s[row] != 0)
	case t == record.Float64:
		return appendDouble(to, c.Float64s[row])
	case t == record.Timestamp:
		return appendTime(to, c.Int64s[row])
	case t.IsDecimal():
		return record.Decimal{Unscaled: c.Int64s[row], Scale: uint8(t.Scale())}.Append(to)
	}
	return strconv.AppendInt(to, c.Int64s[row], 10)
}

// CSV writes a line with the names of the columns, then one for each row, in the format of RFC
// 4180.
type CSV struct {
	to     io.Writer
	buffer *bufio.Writer
	begun  bool
	line   []byte
}

// NewCSV makes a writer to to.
func NewCSV(to io.Writer) *CSV {
	return &CSV{to: to, buffer: bufio.NewWriterSize(to, bufferBytes)}
}

// Write writes the rows of a batch. The error comes from the io.Writer below.
func (c *CSV) Write(_ context.Context, b *record.Batch) error {
	n := b.Schema().Len()
	if !c.begun {
		c.begun, c.line = true, c.line[:0]
		for i := range n {
			c.line = quoteField(append(c.line, b.Schema().Field(i).Name...), len(c.line))
			c.line = separate(c.line, i == n-1)
		}
		if _, err := c.buffer.Write(c.line); err != nil {
			return err
		}
	}
	for row := range b.Len() {
		c.line = c.line[:0]
		for i := range n {
			from := len(c.line)
			if !b.Column(i).Null(row) {
				c.line = appendText(c.line, b, i, row)
				if len(c.line) == from {
					c.line = append(c.line, `""`...) // an empty field is NULL
				} else if b.Schema().Field(i).Type == record.String {
					c.line = quoteField(c.line, from) // no other value needs it
				}
			}
			c.line = separate(c.line, i == n-1)
		}
		if _, err := c.buffer.Write(c.line); err != nil {
			return err
		}
	}
	return nil
}

// quoteField puts the field that begins at from in quotes if it would otherwise be read as
// something else, by the rules of encoding/csv.
func quoteField(line []byte, from int) []byte {
	field := line[from:]
	if !needsQuotes(field) {
		return line
	}
	text := string(field)
	line = append(line[:from], '"')
	for i := range len(text) {
		if text[i] == '"' {
			line = append(line, '"')
		}
		line = append(line, text[i])
	}
	return append(line, '"')
}

// separate ends a field.
func separate(line []byte, last bool) []byte {
	if last {
		return append(line, '\n')
	}
	return append(line, ',')
}

// quotedBytes has the bytes because of which a field needs quotes.
var quotedBytes = [256]bool{',': true, '"': true, '\r': true, '\n': true}

// needsQuotes says whether a field needs quotes. A field that begins with a space needs them,
// because some readers strip the space, and so does \. alone, which ends the input for PostgreSQL.
func needsQuotes(field []byte) bool {
	if len(field) == 0 {
		return false
	}
	for _, c := range field {
		if quotedBytes[c] {
			return true
		}
	}
	if first := field[0]; first > ' ' && first < utf8.RuneSelf {
		return first == '\\' && string(field) == `\.`
	}
	first, _ := utf8.DecodeRune(field)
	return unicode.IsSpace(first)
}

// Flush writes what is buffered.
func (c *CSV) Flush() error { return c.buffer.Flush() }

// Close writes what is buffered.
func (c *CSV) Close() error { return closeAll(c.buffer, c.to) }

// NDJSON writes each row as an object on a line of its own. Decimals, and numbers that JSON does
// not have, are strings.
type NDJSON struct {
	to     io.Writer
	buffer *bufio.Writer
	names  [][]byte // including the brace or comma before them, and the colon
	line   []byte
	text   []byte
}

// NewNDJSON makes a writer to to.
func NewNDJSON(to io.Writer) *NDJSON {
	return &NDJSON{to: to, buffer: bufio.NewWriterSize(to, bufferBytes)}
}

// Write writes the rows of a batch. The error comes from the io.Writer below.
func (w *NDJSON) Write(_ context.Context, b *record.Batch) error {
	if w.names == nil {
		for i := range b.Schema().Len() {
			name := []byte{','}
			if i == 0 {
				name[0] = '{'
			}
			w.names = append(w.names, append(quoted(name, []byte(b.Schema().Field(i).Name)), ':'))
		}
	}
	for row := range b.Len() {
		w.line = w.line[:0]
		for i, name := range w.names {
			w.value(append(w.line, name...), b, i, row)
		}
		w.line = append(w.line, '}', '\n')
		if _, err := w.buffer.Write(w.line); err != nil {
			return err
		}
	}
	return nil
}

// value appends a value to the line.
func (w *NDJSON) value(line []byte, b *record.Batch, column, row int) {
	c := b.Column(column)
	if c.Null(row) {
		w.line = append(line, "null"...)
		return
	}
	switch t := b.Schema().Field(column).Type; {
	case t == record.Int64 || t == record.Bool, t == record.Float64 && !math.IsInf(c.Float64s[row], 0) &&
		!math.IsNaN(c.Float64s[row]):
		w.line = appendText(line, b, column, row)
	default:
		w.text = appendText(w.text[:0], b, column, row)
		w.line = quoted(line, w.text)
	}
}

// quoted appends a text as encoding/json writes it.
func quoted(to, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			// A string can always be marshalled.
			escaped, _ := json.Marshal(string(text))
			return append(to, escaped...)
		}
	}
	to = append(to, '"')
	to = append(to, text...)
	return append(to, '"')
}

// Flush writes what is buffered.
func (w *NDJSON) Flush() error { return w.buffer.Flush() }

// Close writes what is buffered.
func (w *NDJSON) Close() error { return closeAll(w.buffer, w.to) }

// closeAll flushes a buffer and closes the io.Writer below it, if it can be closed.
func closeAll(buffer *bufio.Writer, to io.Writer) error {
	return errors.Join(buffer.Flush(), closeTo(to))
}

// closeTo closes an io.Writer, if it can be closed.
func closeTo(to io.Writer) error {
	if c, ok := to.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
