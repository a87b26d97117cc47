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

// guessJSON finds the fields of JSON lines. Without a schema their types are guessed; with one, its columns get the names of the
// fields that they are, but for the case of letters.
func (f *files) guessJSON(samples []sampled) error {
	f.guesser = newGuesser(f.ndjson().ValueOptions)
	columns, lines, err := f.lookAtJSON(samples)
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
		if !slices.ContainsFunc(samples, func(s sampled) bool { return len(bytes.TrimSpace(s.data)) > 0 }) {
			return emptyError(f.name)
		}
		return fmt.Errorf("%s: no line of the sample is an object with fields, expected one object a line; say the columns with --schema", f.name)
	}
	folded := map[string]int{}
	for _, c := range columns {
		folded[strings.ToLower(c.field)]++
	}
	f.allSeen = samples[0].whole && f.complete()
	for _, c := range columns {
		c.empty = c.present < lines
		if low := strings.ToLower(c.field); folded[low] == 1 && low != "" {
			c.name = low
		}
		if c.name == "" {
			continue // SQL has no name for it
		}
		f.guessed = append(f.guessed, c)
		f.names = append(f.names, c.field)
	}
	return f.makeSchema()
}

// fieldName is the field that a column is.
func fieldName(columns []*guess, column string) string {
	name, n := column, 0
	for _, c := range columns {
		if c.field == column {
			return column
		}
		if strings.EqualFold(c.field, column) {
			name = c.field
			n++
		}
	}
	if n != 1 {
		return column
	}
	return name
}

// lookAtJSON finds the fields of samples, in the order in which they come, and how many lines are objects. Lines that are none are
// left out: they go to quarantine when they are read.
func (f *files) lookAtJSON(samples []sampled) (columns []*guess, lines int, err error) {
	index := map[string]*guess{}
	look := func(s sampled) {
		at := 0
		for line := range bytes.Lines(s.data) {
			begin := at
			at += len(line)
			if begin == 0 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			values, err := jsonFields(line)
			if err != nil {
				continue
			}
			lines++
			for _, v := range values {
				c := index[v.name]
				if c == nil {
					c = f.guesser.column(v.name, v.name)
					index[v.name] = c
					columns = append(columns, c)
				}
				if f.guesser.seeJSON(c, v.value, func() string { return s.where(begin) }) {
					c.present++
				}
			}
		}
	}
	for _, s := range samples {
		if first := bytes.TrimLeft(bytes.TrimPrefix(s.data, []byte("\ufeff")), " \t\r\n"); len(first) > 0 && first[0] == '[' {
			return nil, 0, fmt.Errorf("%s begins with [: it is one array, expected one object a line; jq -c '.[]' makes that of it", f.name)
		}
		look(s)
		for _, spot := range f.spots(s) {
			look(spot)
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

// seeJSON narrows the types of a column to those that a value of JSON has; false says that the value is null. Values in values,
// and mixtures, are text.
func (g *guesser) seeJSON(c *guess, value []byte, where func() string) bool {
	if string(value) == "null" {
		return false
	}
	c.narrow(string(value), where, func(t record.Type) bool {
		switch value[0] {
		case '"':
			var s string
			return t == record.Timestamp && json.Unmarshal(value, &s) == nil && g.isTime(s)
		case 't', 'f':
			return t == record.Bool
		case '{', '[':
			return false
		}
		switch t {
		case record.Int64:
			_, err := strconv.ParseInt(string(value), 10, 64)
			return err == nil
		case record.Float64:
			return g.parsers[t].Check(value) == nil
		}
		return false
	})
	return true
}
