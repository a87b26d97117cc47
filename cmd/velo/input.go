package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// input says what files are.
type input struct {
	Schema      string `help:"The columns, as CREATE TABLE has them: 'symbol text, price double precision not null'. Without it they are guessed." placeholder:"COLUMNS"`
	InputFormat string `help:"What the files are: ${enum}. auto goes by their names, and where those do not say, by their first line." enum:"auto,csv,tsv,ndjson" default:"auto"`
	Delimiter   string `help:"Between fields; \\t is a tab. Guessed from the first line." placeholder:"CHAR"`
	NoHeader    bool   `help:"The first line is a record; columns are called c1, c2, ... unless --schema names them."`
	TimeUnit    string `help:"What a whole number in a timestamp column of NDJSON counts since 1970: s, ms, us or ns. Without it, such a number is refused." placeholder:"UNIT"`
	Follow      bool   `help:"Go on when a file has been read: wait for what is appended to it, or takes its place, until interrupted."`
}

const (
	// stdinName is what FROM calls standard input.
	stdinName = "stdin"

	// stdinFile is the file that standard input is, where it is one.
	stdinFile = "/dev/stdin"

	// sampleBytes is how much of a file is looked at to guess its columns.
	sampleBytes = 1 << 20

	// sampleWait is how long standard input is waited for after its first line: it may come slowly, and have no end.
	sampleWait = 500 * time.Millisecond
)

// The formats.
const (
	formatDelimited = "csv"
	formatNDJSON    = "ndjson"
)

// timeUnits are the values of --time-unit.
var timeUnits = map[string]time.Duration{"": 0, "s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}

// files are the files that a name in FROM stands for, and their schema by that name.
type files struct {
	name      string // what FROM calls them
	paths     []string
	stdin     io.Reader // instead of paths: what is left to read, unpacked, from its beginning
	schema    *record.Schema
	format    string
	delimiter byte     // of delimited files
	header    bool     // they have one
	names     []string // of the fields of JSON, for each column
	timeUnit  time.Duration
	follow    bool
	sources   []string // the file of each reader
	remove    func()   // what was opened to look at the files
}

// open finds the files and guesses what is not said about them.
func (in *input) open(name string, stdin io.Reader) (f *files, err error) {
	f = &files{name: name, header: !in.NoHeader, follow: in.Follow, remove: func() {}}
	var known bool
	if f.timeUnit, known = timeUnits[in.TimeUnit]; !known {
		return nil, fmt.Errorf("--time-unit %q: expected s, ms, us or ns", in.TimeUnit)
	}
	if name != stdinName {
		if f.paths, err = find(name); err != nil {
			return nil, err
		}
	} else if isFile(stdin) {
		f.paths = []string{stdinFile}
	}
	if f.follow && name == stdinName {
		return nil, errors.New("--follow: standard input is read until it ends anyway; name a file")
	}
	sample, whole, err := f.sample(stdin)
	if err != nil {
		return nil, err
	}
	if err := f.decide(in, sample); err != nil {
		return nil, err
	}
	if in.Schema != "" {
		f.schema, err = query.Columns(name, in.Schema)
	}
	if err != nil {
		return nil, err
	}
	if f.format == formatNDJSON {
		err = f.guessJSON(sample, whole && f.complete())
	} else if f.schema == nil {
		f.schema, err = guessSchema(name, sample, whole, whole && f.complete(), f.delimiter, f.header)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// isFile reports whether standard input is a file from its beginning, which readers can share.
func isFile(stdin io.Reader) bool {
	f, ok := stdin.(*os.File)
	if !ok || f != os.Stdin {
		return false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return err == nil && at == 0
}

// decide says what format the files have.
func (f *files) decide(in *input, sample []byte) error {
	extension := ""
	if len(f.paths) > 0 {
		extension = formatExtension(f.paths[0])
	}
	switch {
	case in.InputFormat == formatNDJSON, in.InputFormat == formatDelimited:
		f.format = in.InputFormat
	case in.InputFormat == "tsv":
		f.format, f.delimiter = formatDelimited, '\t'
	case extension == ".ndjson", extension == ".jsonl", extension == ".json":
		f.format = formatNDJSON
	case extension == ".csv":
		f.format = formatDelimited
	case extension == ".tsv", extension == ".tab":
		f.format, f.delimiter = formatDelimited, '\t'
	case in.Delimiter == "" && looksLikeJSON(sample):
		f.format = formatNDJSON
	default:
		f.format = formatDelimited
	}
	switch {
	case f.format == formatNDJSON && in.Delimiter != "":
		return fmt.Errorf("--delimiter %q: %s has JSON, which has no delimiter", in.Delimiter, f.name)
	case in.Delimiter == `\t`:
		f.delimiter = '\t'
	case len(in.Delimiter) == 1:
		f.delimiter = in.Delimiter[0]
	case in.Delimiter != "":
		return fmt.Errorf("--delimiter %q: expected one character", in.Delimiter)
	case f.delimiter == 0:
		f.delimiter = guessDelimiter(sample)
	}
	return nil
}

// sample is the beginning of the first file that has one, up to the end of a line; whole says that it is all.
func (f *files) sample(stdin io.Reader) (sample []byte, whole bool, err error) {
	if len(f.paths) == 0 {
		in, _, err := compressed.NewReader(stdin)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", f.name, err)
		}
		s := &sampler{in: in}
		sample, whole, err = s.collect()
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", f.name, err)
		}
		f.stdin = s
		return upToLine(sample, whole), whole, nil
	}
	for _, path := range f.paths {
		in, _, err := compressed.Open(path)
		if err != nil {
			return nil, false, trimPackage(err)
		}
		sample, err = io.ReadAll(io.LimitReader(in, sampleBytes))
		whole = len(sample) < sampleBytes
		if cerr := in.Close(); err == nil {
			err = cerr
		}
		if err != nil && len(sample) == 0 {
			return nil, false, fmt.Errorf("%s: %w", path, err) // what can be read is read, and the error comes behind it
		}
		if len(sample) > 0 {
			break
		}
	}
	return upToLine(sample, whole), whole, nil
}

// trimPackage is an error as the operating system has it.
func trimPackage(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path
	}
	return err
}

// upToLine is a sample without the line that was cut.
func upToLine(sample []byte, whole bool) []byte {
	if i := bytes.LastIndexByte(sample, '\n'); i >= 0 && !whole {
		return sample[:i+1]
	}
	return sample
}

// A sampler reads the beginning of a stream that may be slow, and then gives all of it.
type sampler struct {
	in      io.Reader
	ahead   []byte          // was read and not given yet
	reading chan readResult // a Read that has not returned; nil where there is none
	err     error
}

type readResult struct {
	data []byte
	err  error
}

// collect reads until there is enough to guess from, or the end, or nothing more for a while behind the first line.
func (s *sampler) collect() (sample []byte, whole bool, err error) {
	var patience <-chan time.Time
	for len(s.ahead) < sampleBytes && s.err == nil {
		if s.reading == nil {
			s.reading = make(chan readResult, 1)
			go func(to chan<- readResult) {
				b := make([]byte, 64<<10)
				n, err := s.in.Read(b)
				to <- readResult{b[:n], err}
			}(s.reading)
		}
		if patience == nil && bytes.IndexByte(s.ahead, '\n') >= 0 {
			patience = time.After(sampleWait)
		}
		select {
		case r := <-s.reading:
			s.took(r)
		case <-patience:
			return s.ahead, false, nil
		}
	}
	if s.err != nil && !errors.Is(s.err, io.EOF) && len(s.ahead) == 0 {
		return nil, false, s.err
	}
	return s.ahead, errors.Is(s.err, io.EOF), nil
}

func (s *sampler) took(r readResult) {
	s.ahead, s.err, s.reading = append(s.ahead, r.data...), r.err, nil
}

// Read gives the sample and then the rest.
func (s *sampler) Read(b []byte) (int, error) {
	if len(s.ahead) == 0 && s.reading != nil {
		s.took(<-s.reading)
	}
	if len(s.ahead) > 0 {
		n := copy(b, s.ahead)
		if s.ahead = s.ahead[n:]; len(s.ahead) == 0 {
			s.ahead = nil
		}
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.in.Read(b)
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

// complete says whether a sample that is the whole of a file is all that there will be.
func (f *files) complete() bool { return len(f.paths) <= 1 && !f.follow }

// guessSchema takes for each column the narrowest type that all values of the sample fit; whole says that the sample ends with
// its file. A column may be NULL unless the sample is all that there will be and it is nowhere empty.
func guessSchema(name string, sample []byte, whole, all bool, delimiter byte, header bool) (*record.Schema, error) {
	r := csv.NewReader(bufio.NewReader(bytes.NewReader(sample)))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = rune(delimiter), -1, true, true
	first, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, emptyError(name)
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
		f := record.Field{Name: fmt.Sprintf("c%d", i+1), Type: c.possible[0], Nullable: c.empty || !all}
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

// emptyError is the error of a file without a line.
func emptyError(name string) error {
	return fmt.Errorf("%s is empty: there is nothing to guess its columns from, say them with --schema", name)
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
		case record.Int64:
			return isCode(text) || !casts(text, t)
		case record.Float64:
			_, err := strconv.ParseFloat(text, 64)
			return err != nil || isCode(text)
		case record.Bool:
			return !slices.Contains([]string{"true", "false"}, strings.ToLower(text))
		}
		return !casts(text, t)
	})
}

// isCode says whether a text of digits is no number but a code, which a number would change: with a zero in front, a sign that
// numbers do not need, or more digits than a bigint has. Two codes would be one group as numbers.
func isCode(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	if text[0] == '+' || len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return true
	}
	if strings.Trim(digits, "0123456789") != "" {
		return false
	}
	_, err := strconv.ParseInt(text, 10, 64)
	return err != nil
}

// casts says whether a text is a value of a type.
func casts(text string, t record.Type) bool {
	e, err := expr.Cast(expr.Text(text), t)
	if err != nil {
		return false
	}
	_, constant := e.Const()
	return constant
}

// readers opens the files, each for so many readers. What is compressed is read by one.
func (f *files) readers(n int) (all []record.Reader, err error) {
	add := func(path string, rs ...record.Reader) {
		for _, r := range rs {
			all = append(all, r)
			f.sources = append(f.sources, path)
		}
	}
	f.sources = nil
	if len(f.paths) == 0 {
		r, err := f.stream("standard input", f.stdin)
		if err != nil {
			return nil, err
		}
		add(f.name, r)
		return all, nil
	}
	each := max(1, n/len(f.paths))
	for _, path := range f.paths {
		rs, err := f.openPath(path, each)
		if err != nil {
			for _, r := range all {
				err = errors.Join(err, r.Close())
			}
			return nil, err
		}
		add(cmp.Or(map[string]string{stdinFile: f.name}[path], path), rs...)
	}
	return all, nil
}

// openPath opens a file for n readers, or for one.
func (f *files) openPath(path string, n int) ([]record.Reader, error) {
	in, packed, err := compressed.Open(path)
	if err != nil && !f.follow {
		return nil, trimPackage(err)
	}
	if err == nil && packed != compressed.None {
		if f.follow {
			return nil, errors.Join(fmt.Errorf("--follow: %s is compressed (%s), expected a file that grows", path, packed), in.Close())
		}
		r, err := f.stream("file "+path, in)
		if err != nil {
			return nil, errors.Join(err, in.Close())
		}
		return []record.Reader{r}, nil
	}
	if err == nil {
		if err := in.Close(); err != nil {
			return nil, err
		}
	}
	switch {
	case f.follow && f.format == formatNDJSON:
		return one(readers.FollowNDJSON(path, f.ndjson()))
	case f.follow:
		return one(readers.FollowDelimited(path, f.delimited()))
	case f.format == formatNDJSON:
		d, err := readers.OpenNDJSON(path, f.ndjson())
		if err != nil {
			return nil, err
		}
		return d.Readers(n), nil
	}
	d, err := readers.OpenDelimited(path, f.delimited())
	if err != nil {
		return nil, err
	}
	return d.Readers(n), nil
}

// one is a reader alone.
func one(r *readers.Stream, err error) ([]record.Reader, error) {
	if err != nil {
		return nil, err
	}
	return []record.Reader{r}, nil
}

// stream reads what has no blocks to deal.
func (f *files) stream(name string, in io.Reader) (record.Reader, error) {
	if f.format == formatNDJSON {
		return readers.NewNDJSONStream(name, in, f.ndjson())
	}
	return readers.NewDelimitedStream(name, in, f.delimited())
}

func (f *files) delimited() readers.DelimitedConfig {
	return readers.DelimitedConfig{Schema: f.schema, Delimiter: f.delimiter, Quote: '"', Header: f.header, ValueOptions: readers.ValueOptions{TimeUnit: f.timeUnit}}
}

func (f *files) ndjson() readers.NDJSONConfig {
	return readers.NDJSONConfig{Schema: f.schema, Names: f.names, ValueOptions: readers.ValueOptions{TimeUnit: f.timeUnit}}
}
