package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// A printer writes the rows of a result.
type printer interface {
	print(b *record.Batch) error
	close() error
}

// newPrinter is the printer of a format.
func newPrinter(format string, to io.Writer, schema *record.Schema) printer {
	w := bufio.NewWriterSize(to, 1<<16)
	switch format {
	case "csv":
		p := &csvPrinter{w: csv.NewWriter(w), buffer: w}
		p.header = true
		return p
	case "ndjson":
		return &jsonPrinter{w: w}
	}
	return &tablePrinter{w: w, schema: schema}
}

// text is a value as text; "" and true where it is NULL.
func text(b *record.Batch, column, row int) (s string, null bool) {
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

// csvPrinter writes a line of names, then a line for each row. NULL is an empty field.
type csvPrinter struct {
	w      *csv.Writer
	buffer *bufio.Writer
	header bool
}

func (p *csvPrinter) print(b *record.Batch) error {
	row := make([]string, b.Schema().Len())
	if p.header {
		p.header = false
		for c := range row {
			row[c] = b.Schema().Field(c).Name
		}
		if err := p.w.Write(row); err != nil {
			return err
		}
	}
	for i := range b.Len() {
		for c := range row {
			row[c], _ = text(b, c, i)
		}
		if err := p.w.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (p *csvPrinter) close() error {
	p.w.Flush()
	if err := p.w.Error(); err != nil {
		return err
	}
	return p.buffer.Flush()
}

// jsonPrinter writes an object for each row. Numbers that JSON has not, and decimals, are strings.
type jsonPrinter struct{ w *bufio.Writer }

func (p *jsonPrinter) print(b *record.Batch) error {
	names := make([][]byte, b.Schema().Len())
	for c := range names {
		name, err := json.Marshal(b.Schema().Field(c).Name)
		if err != nil {
			return err
		}
		names[c] = name
	}
	for i := range b.Len() {
		for c, name := range names {
			p.w.WriteByte(map[bool]byte{true: '{', false: ','}[c == 0])
			p.w.Write(name)
			p.w.WriteByte(':')
			s, null := text(b, c, i)
			switch t := b.Schema().Field(c).Type; {
			case null:
				s = "null"
			case t == record.Int64 || t == record.Bool:
			case t == record.Float64 && !math.IsInf(b.Column(c).Float64s[i], 0) && !math.IsNaN(b.Column(c).Float64s[i]):
			default:
				quoted, err := json.Marshal(s)
				if err != nil {
					return err
				}
				s = string(quoted)
			}
			p.w.WriteString(s)
		}
		if _, err := p.w.WriteString("}\n"); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonPrinter) close() error { return p.w.Flush() }

// tablePrinter writes a table for people, which is kept until all rows are there.
type tablePrinter struct {
	w      *bufio.Writer
	schema *record.Schema
	rows   [][]string
}

func (p *tablePrinter) print(b *record.Batch) error {
	for i := range b.Len() {
		row := make([]string, b.Schema().Len())
		for c := range row {
			s, null := text(b, c, i)
			if null {
				s = "NULL"
			}
			row[c] = s
		}
		p.rows = append(p.rows, row)
	}
	return nil
}

func (p *tablePrinter) close() error {
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
