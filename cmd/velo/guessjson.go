package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/record"
)

// looksLikeJSON says whether the first line is an object.
func looksLikeJSON(sample []byte) bool {
	sample = bytes.TrimLeft(bytes.TrimPrefix(sample, []byte("\ufeff")), " \t\r\n")
	line, _, _ := bytes.Cut(sample, []byte("\n"))
	return len(line) > 0 && line[0] == '{' && json.Valid(line)
}

// jsonColumn is what is known of the fields of one name.
type jsonColumn struct {
	name    string
	guess   guess
	present int // lines that have it, and not null
}

// guessJSON finds the fields of JSON lines. Without a schema their types are guessed; with one, its columns get the names of the fields that they are, but
// for the case of letters.
func (f *files) guessJSON(sample []byte, whole bool) error {
	columns, lines, err := f.lookAtJSON(sample)
	if err != nil {
		return err
	}
	if f.schema != nil {
		for i := range f.schema.Len() {
			f.names = append(f.names, fieldName(columns, f.schema.Field(i).Name))
		}
		return nil
	}
	if len(columns) == 0 {
		if len(bytes.TrimSpace(sample)) == 0 {
			return emptyError(f.name)
		}
		return fmt.Errorf("%s: no line of the sample is an object with fields, expected one object a line; say the columns with --schema", f.name)
	}
	folded := map[string]int{}
	for _, c := range columns {
		folded[strings.ToLower(c.name)]++
	}
	var fields []record.Field
	for _, c := range columns {
		// In a sample of a file, a field that is always there may be missing further on.
		field := record.Field{Name: c.name, Type: c.guess.possible[0], Nullable: !whole || c.present < lines}
		if low := strings.ToLower(c.name); folded[low] == 1 && low != "" {
			field.Name = low
		}
		if !c.guess.some {
			field.Type = record.String
		}
		if field.Name == "" {
			continue // SQL has no name for it
		}
		fields = append(fields, field)
		f.names = append(f.names, c.name)
	}
	f.schema, err = record.NewSchema(f.name, fields...)
	return err
}

// fieldName is the field that a column is.
func fieldName(columns []*jsonColumn, column string) string {
	name, n := column, 0
	for _, c := range columns {
		if c.name == column {
			return column
		}
		if strings.EqualFold(c.name, column) {
			name = c.name
			n++
		}
	}
	if n != 1 {
		return column
	}
	return name
}

// lookAtJSON finds the fields of a sample, in the order in which they come, and how many lines are objects. Lines that are none are left out: they
// go to quarantine when they are read.
func (f *files) lookAtJSON(sample []byte) (columns []*jsonColumn, lines int, err error) {
	sample = bytes.TrimPrefix(sample, []byte("\ufeff"))
	if first := bytes.TrimLeft(sample, " \t\r\n"); len(first) > 0 && first[0] == '[' {
		return nil, 0, fmt.Errorf("%s begins with [: it is one array, expected one object a line; jq -c '.[]' makes that of it", f.name)
	}
	index := map[string]*jsonColumn{}
	g := newGuesser(f.ndjson().ValueOptions)
	for line := range bytes.Lines(sample) {
		values, err := jsonFields(line)
		if err != nil {
			continue
		}
		lines++
		for _, v := range values {
			c := index[v.name]
			if c == nil {
				c = &jsonColumn{name: v.name, guess: *g.column()}
				index[v.name] = c
				columns = append(columns, c)
			}
			if c.see(g, v.value) {
				c.present++
			}
		}
	}
	return columns, lines, nil
}

// jsonPair is a field and its value.
type jsonPair struct {
	name  string
	value json.RawMessage
}

// jsonFields are the fields of a line, in their order.
func jsonFields(line []byte) (pairs []jsonPair, err error) {
	if !json.Valid(line) {
		return nil, errors.New("no JSON")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		p := jsonPair{}
		p.name, _ = t.(string)
		if err := d.Decode(&p.value); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// see narrows the types of a column; false says that the value is null.
func (c *jsonColumn) see(g *guesser, value json.RawMessage) bool {
	var fits []record.Type
	switch {
	case string(value) == "null":
		return false
	case value[0] == '"':
		var s string
		if json.Unmarshal(value, &s) == nil && g.isTime(s) {
			fits = append(fits, record.Timestamp)
		}
	case value[0] == 't', value[0] == 'f':
		fits = append(fits, record.Bool)
	case value[0] == '-', value[0] >= '0' && value[0] <= '9':
		if _, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			fits = append(fits, record.Int64)
		}
		if _, err := strconv.ParseFloat(string(value), 64); err == nil && !isCode(string(value)) {
			fits = append(fits, record.Float64)
		}
	}
	fits = append(fits, record.String) // values in values, and mixtures: as JSON
	c.guess.some = true
	c.guess.possible = slices.DeleteFunc(c.guess.possible, func(t record.Type) bool { return !slices.Contains(fits, t) })
	return true
}
