package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// open keeps a writer from closing what it writes to.
type open struct{ io.Writer }

// newPrinter is the writer of a format.
func newPrinter(format string, to io.Writer, schema *record.Schema) record.Writer {
	switch format {
	case "csv":
		return writers.NewCSV(open{to})
	case "ndjson":
		return writers.NewNDJSON(open{to})
	}
	return &tablePrinter{w: bufio.NewWriter(to), schema: schema}
}

// tablePrinter writes a table for people, which is kept until all rows are there.
type tablePrinter struct {
	w      *bufio.Writer
	schema *record.Schema
	rows   [][]string
}

// Write keeps the rows.
func (p *tablePrinter) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Len() {
		row := make([]string, b.Schema().Len())
		for c := range row {
			s, null := writers.Text(b, c, i)
			if null {
				s = "NULL"
			}
			row[c] = s
		}
		p.rows = append(p.rows, row)
	}
	return nil
}

// Close writes the table.
func (p *tablePrinter) Close() error {
	n := p.schema.Len()
	head := make([]string, n)
	width := make([]int, n)
	for c := range n {
		head[c] = p.schema.Field(c).Name
		width[c] = utf8.RuneCountInString(head[c])
		for _, row := range p.rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
		}
	}
	line := func(row []string) {
		var b strings.Builder
		for c, s := range row {
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(s))
			if t := p.schema.Field(c).Type; t == record.Int64 || t == record.Float64 || t.IsDecimal() {
				s = pad + s
			} else {
				s += pad
			}
			if c > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s)
		}
		fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
	}
	line(head)
	rule := make([]string, n)
	for c := range rule {
		rule[c] = strings.Repeat("-", width[c])
	}
	line(rule)
	for _, row := range p.rows {
		line(row)
	}
	return p.w.Flush()
}
