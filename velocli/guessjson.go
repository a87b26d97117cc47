package velocli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/record"
)

const (
	// maxGuessedDepth is how deep fields may lie within fields and still become columns.
	maxGuessedDepth = 5

	// maxGuessedFields is how many fields are guessed at most.
	maxGuessedFields = 10_000
)

// looksLikeJSON says whether the first line is an object.
func looksLikeJSON(sample []byte) bool {
	sample = bytes.TrimLeft(bytes.TrimPrefix(sample, []byte("\ufeff")), " \t\r\n")
	line, _, _ := bytes.Cut(sample, []byte("\n"))
	return len(line) > 0 && line[0] == '{' && json.Valid(line)
}

// guessJSON finds the fields of JSON lines. Without a schema their types are guessed. With a
// schema, its columns are matched with the names of fields, ignoring the case of letters.
func (f *files) guessJSON(samples []sampled) error {
	f.guesser = newGuesser(f.ndjson().ValueOptions)
	columns, lines, err := f.lookAtJSON(samples)
	if err != nil {
		return err
	}
	all := columns // including fields within others
	columns = slices.DeleteFunc(slices.Clone(columns), func(c *guess) bool { return c.within })
	if f.schema != nil {
		columns = all
		for i := range f.schema.Len() {
			f.names = append(f.names, fieldName(columns, f.schema.Field(i).Name))
		}
		return nil
	}
	if len(columns) == 0 {
		if !slices.ContainsFunc(samples, func(s sampled) bool { return len(bytes.TrimSpace(s.data)) > 0 }) {
			return emptyError(f.name)
		}
		return fmt.Errorf("%s: no line of the sample is an object with fields, expected one object a line; say the "+
			"columns with --schema", f.name)
	}
	folded := map[string]int{}
	for _, c := range all {
		folded[strings.ToLower(c.field)]++
	}
	f.allSeen = samples[0].whole && f.complete()
	for _, c := range all {
		c.empty = c.empty || c.present < lines
		if low := strings.ToLower(c.field); folded[low] == 1 && low != "" {
			c.name = low
		}
		if c.name == "" {
			continue // SQL cannot name it
		}
		if c.within {
			f.nested = append(f.nested, c)
			continue
		}
		f.guessed = append(f.guessed, c)
		f.names = append(f.names, c.field)
	}
	return f.makeSchema()
}

// addNested adds the fields within other fields that a query asks for: those all of whose names it
// contains, as in a.b.c or a->'b'->>'c'. All of them would be many columns that nobody reads.
func (f *files) addNested(asksFor func(path string) bool) error {
	for _, c := range f.nested {
		if len(f.guessed) < record.MaxFields && asksFor(c.name) && !slices.Contains(f.guessed, c) {
			f.guessed = append(f.guessed, c)
			f.names = append(f.names, c.field)
		}
	}
	return f.makeSchema()
}

// mentionsPath says whether a query contains all names of a path.
func mentionsPath(sql string) func(path string) bool {
	return func(path string) bool {
		for _, name := range strings.Split(path, ".") {
			if !mentions(sql, name) {
				return false
			}
		}
		return true
	}
}

// fieldName is the field for a column.
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

// lookAtJSON finds the fields of samples, in the order in which they come, and how many lines are
// objects. Lines that are not objects are left out: they go to quarantine when they are read.
func (f *files) lookAtJSON(samples []sampled) (columns []*guess, lines int, err error) {
	index := map[string]*guess{}
	var object func(values []jsonPair, outer string, depth int, where func() string)
	object = func(values []jsonPair, outer string, depth int, where func() string) {
		for _, v := range values {
			name := v.name
			if outer != "" {
				name = outer + name
			}
			c := index[name]
			if c != nil && c.within && outer == "" {
				*c = *f.guesser.column(name, name) // a field of the whole name takes precedence
			}
			if c == nil {
				if len(columns) >= maxGuessedFields {
					continue
				}
				c = f.guesser.column(name, name)
				c.within = outer != ""
				index[name] = c
				columns = append(columns, c)
			}
			if c.within == (outer != "") && f.guesser.seeJSON(c, v.value, where) {
				c.present++
			}
			if v.value[0] == '{' && depth < maxGuessedDepth && v.name != "" {
				if inner, err := validFields(v.value); err == nil {
					object(inner, name+".", depth+1, where)
				}
			}
		}
	}
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
			object(values, "", 0, func() string { return s.where(begin) })
		}
	}
	for _, s := range samples {
		if first := bytes.TrimLeft(bytes.TrimPrefix(s.data, []byte("\ufeff")), " \t\r\n"); len(first) > 0 &&
			first[0] == '[' {
			return nil, 0, fmt.Errorf("%s begins with [: it is one array, expected one object a line; jq -c '.[]' "+
				"converts it", f.name)
		}
		look(s)
		for _, spot := range f.spots(s) {
			look(spot)
		}
	}
	return columns, lines, nil
}

// jsonPair is a field and its value, as written in the line.
type jsonPair struct {
	name  string
	value []byte
}

// jsonFields are the fields of a line, in order.
func jsonFields(line []byte) ([]jsonPair, error) {
	if !json.Valid(line) {
		return nil, errors.New("no JSON")
	}
	line = bytes.TrimSpace(line)
	if line[0] != '{' {
		return nil, errors.New("no object")
	}
	return validFields(line)
}

// validFields is jsonFields for an object that is known to be JSON.
func validFields(object []byte) (pairs []jsonPair, err error) {
	i := 1
	for {
		for i < len(object) && object[i] != '"' { // blanks, a comma
			i++
		}
		if i == len(object) {
			return pairs, nil
		}
		end := valueEnd(object, i)
		var p jsonPair
		if name := object[i:end]; bytes.IndexByte(name, '\\') < 0 {
			p.name = string(name[1 : len(name)-1])
		} else if err := json.Unmarshal(name, &p.name); err != nil {
			return nil, err
		}
		i = end
		for object[i] == ' ' || object[i] == '\t' || object[i] == '\r' || object[i] == '\n' || object[i] == ':' {
			i++
		}
		end = valueEnd(object, i)
		p.value = bytes.TrimRight(object[i:end], " \t\r\n")
		pairs = append(pairs, p)
		i = end
	}
}

// valueEnd is the end of the JSON value that begins at i. Blanks after a number, true, false or
// null belong to it.
func valueEnd(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // end of the object that contains the value
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// seeJSON narrows the types of a column to those that fit a JSON value. It returns false if the
// value is null. Values in values, and mixtures of types, are text.
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
