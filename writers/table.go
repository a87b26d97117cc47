package writers

import (
	"bufio"
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
	rows   [][]string
	width  []int // of the columns that have been written; nil before the first Flush
}

// NewTable makes a writer to to.
func NewTable(to io.Writer) *Table { return &Table{to: to} }

// Write keeps the rows of a batch.
func (t *Table) Write(_ context.Context, b *record.Batch) error {
	t.schema = b.Schema()
	for i := range b.Len() {
		t.Append(Texts(b, i))
	}
	if len(t.rows) >= maxTableRows {
		return t.Flush()
	}
	return nil
}

// Append adds a row of texts, one for each column of the batches.
func (t *Table) Append(row []string) { t.rows = append(t.rows, row) }

// Texts are the values of a row as a table shows them.
func Texts(b *record.Batch, row int) []string {
	texts := make([]string, b.Schema().Len())
	for c := range texts {
		s, null := Text(b, c, row)
		if null {
			s = "NULL"
		}
		texts[c] = strings.Map(inLine, s)
	}
	return texts
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
	if t.schema == nil {
		return nil
	}
	width := t.widths()
	if t.width == nil {
		head, rule := make([]string, len(width)), make([]string, len(width))
		for c := range width {
			head[c], rule[c] = t.schema.Field(c).Name, strings.Repeat("-", width[c])
		}
		lines = append(lines, t.line(head, width), t.line(rule, width))
	}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, width))
	}
	return lines
}

// widths are the widths of the columns, with the rows that are kept.
func (t *Table) widths() []int {
	width := make([]int, t.schema.Len())
	copy(width, t.width)
	for c := range width {
		width[c] = max(width[c], utf8.RuneCountInString(t.schema.Field(c).Name))
		for _, row := range t.rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
		}
	}
	return width
}

// line is a row in columns of these widths.
func (t *Table) line(row []string, width []int) string {
	var b strings.Builder
	for c, s := range row {
		pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(s))
		if k := t.schema.Field(c).Type; k == record.Int64 || k == record.Float64 ||
			k.IsDecimal() || k.IsWide() {
			s = pad + s
		} else {
			s += pad
		}
		if c > 0 {
			b.WriteString("  ")
		}
		b.WriteString(s)
	}
	return strings.TrimRight(b.String(), " ")
}

// Flush writes the rows that have been kept, after the names if it is the first time.
func (t *Table) Flush() error {
	if t.schema == nil {
		return nil
	}
	w := bufio.NewWriterSize(t.to, bufferBytes)
	for _, l := range t.Lines() {
		_, _ = w.WriteString(l) // Flush returns the error
		_ = w.WriteByte('\n')
	}
	t.width, t.rows = t.widths(), nil
	return w.Flush()
}

// Close writes the rest of the table.
func (t *Table) Close() error { return errors.Join(t.Flush(), closeTo(t.to)) }
