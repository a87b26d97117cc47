package writers

import (
	"bufio"
	"context"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// Table writes a table for people: columns aligned, numbers to the right, NULL as NULL. The widths are those of all rows, so it keeps them until Close. What cannot be
// printed in a line is shown as a space.
type Table struct {
	to     io.Writer
	schema *record.Schema
	rows   [][]string
}

// NewTable is a writer to to.
func NewTable(to io.Writer) *Table { return &Table{to: to} }

// Write keeps the rows of a batch.
func (t *Table) Write(_ context.Context, b *record.Batch) error {
	t.schema = b.Schema()
	for i := range b.Len() {
		t.Append(Texts(b, i))
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

// Lines are the lines of the table: the names, a rule, the rows.
func (t *Table) Lines() (lines []string) {
	if t.schema == nil {
		return nil
	}
	n := t.schema.Len()
	head, rule, width := make([]string, n), make([]string, n), make([]int, n)
	for c := range n {
		head[c] = t.schema.Field(c).Name
		width[c] = utf8.RuneCountInString(head[c])
		for _, row := range t.rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
		}
		rule[c] = strings.Repeat("-", width[c])
	}
	line := func(row []string) {
		var b strings.Builder
		for c, s := range row {
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(s))
			if k := t.schema.Field(c).Type; k == record.Int64 || k == record.Float64 || k.IsDecimal() {
				s = pad + s
			} else {
				s += pad
			}
			if c > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	line(head)
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
	return lines
}

// Close writes the table.
func (t *Table) Close() error {
	w := bufio.NewWriterSize(t.to, bufferBytes)
	for _, l := range t.Lines() {
		_, _ = w.WriteString(l) // Flush has the error
		_ = w.WriteByte('\n')
	}
	return closeAll(w, t.to)
}
