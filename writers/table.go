package writers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// maxTableRows is how many rows a Table keeps at most to find out how wide its columns are.
const maxTableRows = 1 << 16

// Table writes a table for people: columns aligned, numbers to the right, NULL as NULL. Characters
// that cannot be printed in a line are shown as a space.
//
// It keeps its rows until Close, so that the widths fit all of them, but never more than
// maxTableRows: then, or when Flush is called, it writes the rows that it has. The widths only grow
// after that, so a row that is wider than all before it begins a wider table.
type Table struct {
	to     io.Writer
	schema *record.Schema
	begun  bool // the names have been written

	// text has the values of the rows that are kept, one after the other; ends has where each ends,
	// in bytes.
	text []byte
	ends []int
	// width has the width of each column, in characters; right says whether it has numbers.
	width []int
	right []bool
	line  []byte // scratch of Lines and Flush
}

// NewTable makes a writer to to.
func NewTable(to io.Writer) *Table { return &Table{to: to} }

// Write keeps the rows of a batch.
func (t *Table) Write(_ context.Context, b *record.Batch) error {
	if t.schema == nil {
		t.begin(b.Schema())
	}
	n := t.schema.Len()
	for row := range b.Len() {
		for c := range n {
			from := len(t.text)
			t.text = appendShown(t.text, b, c, row)
			t.end(c, from)
		}
	}
	if t.len() >= maxTableRows {
		return t.Flush()
	}
	return nil
}

// begin notes the columns.
func (t *Table) begin(schema *record.Schema) {
	t.schema = schema
	for c := range schema.Len() {
		f := schema.Field(c)
		number := f.Type == record.Int64 || f.Type == record.Float64 || f.Type.IsDecimal() || f.Type.IsWide()
		t.right = append(t.right, number)
		t.width = append(t.width, utf8.RuneCountInString(f.Name))
	}
}

// end ends a value of column c that begins at from.
func (t *Table) end(c, from int) {
	t.ends = append(t.ends, len(t.text))
	t.width[c] = max(t.width[c], utf8.RuneCount(t.text[from:]))
}

// len is the number of rows that are kept.
func (t *Table) len() int { return len(t.ends) / max(1, len(t.width)) }

// Append adds a row of texts, one for each column of the batches. Write must have been called,
// maybe with an empty batch.
func (t *Table) Append(row []string) {
	for c, s := range row {
		from := len(t.text)
		t.text = append(t.text, s...)
		t.end(c, from)
	}
}

// Texts are the values of a row as a table shows them.
func Texts(b *record.Batch, row int) []string {
	texts := make([]string, b.Schema().Len())
	for c := range texts {
		texts[c] = string(appendShown(nil, b, c, row))
	}
	return texts
}

// appendShown appends a value as a table shows it.
func appendShown(to []byte, b *record.Batch, column, row int) []byte {
	if b.Column(column).Null(row) {
		return append(to, "NULL"...)
	}
	from := len(to)
	to = appendText(to, b, column, row)
	for _, c := range to[from:] {
		if c < ' ' || c >= 0x7f {
			return append(to[:from], strings.Map(inLine, string(to[from:]))...)
		}
	}
	return to
}

// inLine keeps a value from leaving its line, and a terminal from obeying it.
func inLine(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return ' '
	}
	return r
}

// Lines are the lines of the table: the names, a rule, the rows. After a Flush they are the lines
// of the rows since then.
func (t *Table) Lines() (lines []string) {
	for i := range t.lines() {
		lines = append(lines, string(t.lineOf(i)))
	}
	return lines
}

// lines is the number of lines that are not written yet.
func (t *Table) lines() int {
	if t.schema == nil || t.begun {
		return t.len()
	}
	return t.len() + 2
}

// lineOf makes line i in t.line.
func (t *Table) lineOf(i int) []byte {
	t.line = t.line[:0]
	if !t.begun {
		i -= 2 // for the names and the rule
	}
	at := 0
	if i > 0 {
		at = t.ends[i*len(t.width)-1]
	}
	for c, width := range t.width {
		switch {
		case i == -2:
			name := []byte(t.schema.Field(c).Name)
			t.cell(c, name, width-utf8.RuneCount(name))
		case i == -1:
			t.cell(c, nil, 0)
			t.line = appendMany(t.line, '-', width)
		default:
			end := t.ends[i*len(t.width)+c]
			s := t.text[at:end]
			at = end
			t.cell(c, s, width-utf8.RuneCount(s))
		}
	}
	return bytes.TrimRight(t.line, " ")
}

// cell appends a value of column c, with that many spaces on the side where the column is not
// aligned.
func (t *Table) cell(c int, s []byte, spaces int) {
	if c > 0 {
		t.line = append(t.line, "  "...)
	}
	if t.right[c] {
		t.line = append(appendMany(t.line, ' ', spaces), s...)
	} else {
		t.line = appendMany(append(t.line, s...), ' ', spaces)
	}
}

// appendMany appends a byte n times.
func appendMany(to []byte, b byte, n int) []byte {
	for range n {
		to = append(to, b)
	}
	return to
}

// Flush writes the rows that have been kept, after the names if it is the first time.
func (t *Table) Flush() error {
	if t.schema == nil {
		return nil
	}
	w := bufio.NewWriterSize(t.to, bufferBytes)
	for i := range t.lines() {
		_, _ = w.Write(t.lineOf(i)) // Flush returns the error
		_ = w.WriteByte('\n')
	}
	t.begun, t.text, t.ends = true, t.text[:0], t.ends[:0]
	return w.Flush()
}

// Close writes the rest of the table.
func (t *Table) Close() error { return errors.Join(t.Flush(), closeTo(t.to)) }
