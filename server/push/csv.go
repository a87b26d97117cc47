package push

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/velo-engine/velo/readers"
)

// A Record is a text that is to be one record, and the line with which it begins, from 1.
type Record struct {
	Text []byte
	Line int
}

// SplitCSV splits a text into the records of a CSV, which may have newlines in quotes (RFC 4180). A
// quote that is not closed goes on to the end. Blank lines are records. The texts are parts of the
// given one.
func SplitCSV(text []byte) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		rest := text
		for line := 1; len(rest) > 0; {
			n := recordEnd(rest)
			one := bytes.TrimSuffix(bytes.TrimSuffix(rest[:n], []byte{'\n'}), []byte{'\r'})
			if !yield(Record{one, line}) {
				return
			}
			line += bytes.Count(rest[:n], []byte{'\n'})
			rest = rest[n:]
		}
	}
}

// recordEnd is where the first record of a CSV ends, after its newline.
func recordEnd(text []byte) int {
	end := bytes.IndexByte(text, '\n') + 1
	if end == 0 {
		end = len(text)
	}
	if bytes.IndexByte(text[:end], '"') < 0 {
		return end
	}
	begins, quoted := true, false // a field begins; the text is in quotes
	for i, c := range text {
		switch {
		case c == '"' && (quoted || begins):
			quoted = !quoted // two quotes are one, and leave the state as it was
			begins = false
			if !quoted && i+1 < len(text) && text[i+1] == '"' {
				begins = true // the next quote goes on with the field
			}
		case quoted:
		case c == '\n':
			return i + 1
		default:
			begins = c == ','
		}
	}
	return len(text)
}

// Fields says which column each field of a CSV is, by the names in its header, whatever their case:
// see readers.DelimitedConfig.Fields. Names that are no column are skipped. The error says what the
// header lacks.
func (s *Source) Fields(header []byte) ([]int, error) {
	names, err := csv.NewReader(bytes.NewReader(header)).Read()
	if err != nil {
		return nil, fmt.Errorf("push: the header: %w", err)
	}
	fields, seen, columns := make([]int, len(names)), map[int]bool{}, s.columns()
	for i, name := range readers.ColumnNames(names) {
		fields[i] = slices.IndexFunc(columns, func(column string) bool { return strings.EqualFold(column, name) })
		if seen[fields[i]] && fields[i] >= 0 {
			return nil, fmt.Errorf("push: the header has column %q twice", name)
		}
		seen[fields[i]] = true
	}
	var lacks []string
	for i, name := range s.columns() {
		if !seen[i] && !s.schema.Field(i).Nullable {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		return nil, fmt.Errorf("push: the first line has the columns %s; expected %s too, which are NOT NULL; "+
			"Content-Type: text/csv; header=absent if it is a record", strings.Join(names, ", "),
			strings.Join(lacks, ", "))
	}
	if len(seen) == 1 && seen[-1] {
		return nil, fmt.Errorf("push: the first line has none of the columns %s; Content-Type: text/csv; "+
			"header=absent if it is a record", strings.Join(s.columns(), ", "))
	}
	return fields, nil
}

// columns are the names of the columns.
func (s *Source) columns() (names []string) {
	for i := range s.schema.Len() {
		names = append(names, s.schema.Field(i).Name)
	}
	return names
}

// messages makes what parses lines: objects of JSON, or records of CSV.
func (s *Source) messages(q *Request) (*readers.Messages, error) {
	if !q.CSV {
		return readers.NewNDJSONMessages(s.cfg)
	}
	return readers.NewDelimitedMessages(readers.DelimitedConfig{
		Schema: s.schema, Fields: q.Fields, Quote: '"', ValueOptions: s.cfg.ValueOptions,
	})
}
