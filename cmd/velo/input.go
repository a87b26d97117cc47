package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// input says what files are.
type input struct {
	Schema    string `help:"The columns, as CREATE TABLE has them: 'symbol text, price double precision not null'. Without it they are guessed." placeholder:"COLUMNS"`
	Delimiter string `help:"Between fields; \\t is a tab. Guessed from the first line." placeholder:"CHAR"`
	NoHeader  bool   `help:"The first line is a record; columns are called c1, c2, ... unless --schema names them."`
}

const (
	// stdinName is what FROM calls standard input.
	stdinName = "stdin"

	// sampleBytes is how much of a file is looked at to guess its columns.
	sampleBytes = 1 << 20
)

// files are the files that a name in FROM stands for, and their schema by that name.
type files struct {
	name      string // what FROM calls them
	paths     []string
	schema    *record.Schema
	delimiter byte
	header    bool
	remove    func() // what was made of standard input
}

// open finds the files and guesses what is not said about them.
func (in *input) open(name string, stdin io.Reader) (f *files, err error) {
	f = &files{name: name, header: !in.NoHeader, remove: func() {}}
	switch {
	case name == stdinName:
		if err := f.spool(stdin); err != nil {
			return nil, err
		}
	case strings.ContainsAny(name, "*?["):
		if f.paths, err = filepath.Glob(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(f.paths) == 0 {
			return nil, fmt.Errorf("no file is called like %s", name)
		}
		slices.Sort(f.paths)
	default:
		f.paths = []string{name}
	}
	sample, whole, err := f.sample()
	if err != nil {
		f.remove()
		return nil, err
	}
	switch {
	case in.Delimiter == `\t`:
		f.delimiter = '\t'
	case len(in.Delimiter) == 1:
		f.delimiter = in.Delimiter[0]
	case in.Delimiter != "":
		f.remove()
		return nil, fmt.Errorf("--delimiter %q: expected one character", in.Delimiter)
	default:
		f.delimiter = guessDelimiter(sample)
	}
	if in.Schema != "" {
		f.schema, err = query.Columns(name, in.Schema)
	} else {
		f.schema, err = guessSchema(name, sample, whole, f.delimiter, f.header)
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// spool keeps standard input in a file, which readers can share.
func (f *files) spool(stdin io.Reader) error {
	tmp, err := os.CreateTemp("", "velo-*.csv")
	if err != nil {
		return err
	}
	f.remove = func() { _ = os.Remove(tmp.Name()) } // a temporary file that stays is the system's to remove
	f.paths = []string{tmp.Name()}
	_, err = io.Copy(tmp, stdin)
	if err = errors.Join(err, tmp.Close()); err != nil {
		f.remove()
	}
	return err
}

// sample is the beginning of the first file, up to the end of a line; whole says that it is all.
func (f *files) sample() (sample []byte, whole bool, err error) {
	file, err := os.Open(f.paths[0])
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	sample, err = io.ReadAll(io.LimitReader(file, sampleBytes))
	if err != nil {
		return nil, false, err
	}
	if len(sample) < sampleBytes {
		return sample, true, nil
	}
	if i := bytes.LastIndexByte(sample, '\n'); i >= 0 {
		sample = sample[:i+1]
	}
	return sample, false, nil
}

// guessDelimiter is the one of the usual ones that the first line has most of.
func guessDelimiter(sample []byte) byte {
	line, _, _ := bytes.Cut(sample, []byte("\n"))
	best, most := byte(','), 0
	for _, d := range []byte(",;\t|") {
		if n := bytes.Count(line, []byte{d}); n > most {
			best, most = d, n
		}
	}
	return best
}

// guessSchema takes for each column the narrowest type that all values of the sample fit. A column that is nowhere empty in it is not NULL.
func guessSchema(name string, sample []byte, whole bool, delimiter byte, header bool) (*record.Schema, error) {
	r := csv.NewReader(bufio.NewReader(bytes.NewReader(sample)))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = rune(delimiter), -1, true, true
	first, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty: there is nothing to guess its columns from, say them with --schema", name)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	first = slices.Clone(first)
	first[0] = strings.TrimPrefix(first[0], "\ufeff")
	columns := make([]guess, len(first))
	for i := range columns {
		columns[i] = guess{possible: slices.Clone(guesses)}
		if !header {
			columns[i].see(first[i])
		}
	}
	for rows := 0; ; rows++ {
		row, err := r.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) && whole {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			break // the last record may have been cut
		}
		for i := range min(len(row), len(columns)) {
			columns[i].see(row[i])
		}
	}
	var fields []record.Field
	for i, c := range columns {
		f := record.Field{Name: fmt.Sprintf("c%d", i+1), Type: c.possible[0], Nullable: c.empty}
		if header {
			f.Name = strings.ToLower(strings.TrimSpace(first[i]))
		}
		if f.Name == "" {
			f.Name = fmt.Sprintf("c%d", i+1)
		}
		if !c.some {
			f.Type = record.String
		}
		fields = append(fields, f)
	}
	return record.NewSchema(name, fields...)
}

// guesses are the types that are tried, in this order; text always fits.
var guesses = []record.Type{record.Int64, record.Float64, record.Timestamp, record.Bool, record.String}

// guess is what is known of a column.
type guess struct {
	possible    []record.Type
	empty, some bool
}

func (g *guess) see(text string) {
	if text == "" {
		g.empty = true
		return
	}
	g.some = true
	g.possible = slices.DeleteFunc(g.possible, func(t record.Type) bool {
		switch t {
		case record.String:
			return false
		case record.Float64:
			_, err := strconv.ParseFloat(text, 64)
			return err != nil
		case record.Bool:
			return !slices.Contains([]string{"true", "false", "t", "f"}, strings.ToLower(text))
		}
		e, err := expr.Cast(expr.Text(text), t)
		if err != nil {
			return true
		}
		_, constant := e.Const()
		return !constant
	})
}

// readers opens the files, each for so many readers.
func (f *files) readers(n int) (all []record.Reader, err error) {
	each := max(1, n/len(f.paths))
	for _, path := range f.paths {
		d, err := readers.OpenDelimited(path, readers.DelimitedConfig{Schema: f.schema, Delimiter: f.delimiter, Quote: '"', Header: f.header})
		if err != nil {
			for _, r := range all {
				err = errors.Join(err, r.Close())
			}
			return nil, err
		}
		all = append(all, d.Readers(each)...)
	}
	return all, nil
}
