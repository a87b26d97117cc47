package velocli

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// The types of columns are guessed from samples: the beginning of each file, and spots further on
// in files that are not compressed. A guess is not final: if a later value does not fit, the column
// is widened (see widen.go).

const (
	// otherSampleBytes is how many bytes of each file after the first are looked at, and spotBytes
	// how many of each spot.
	otherSampleBytes = 64 << 10
	spotBytes        = 8 << 10

	// rowSampleBytes is how many bytes of the first sample are looked at for the types of a
	// delimited file, if spots further on are looked at too.
	rowSampleBytes = 128 << 10

	// maxSamples is how many files have their beginnings looked at.
	maxSamples = 100
)

// These are variables so that tests can use small files with values that no sample has.
var (
	// sampleBytes is how many bytes of the first file are looked at.
	sampleBytes = 1 << 20

	// maxSpots is how many spots of all files are looked at in addition.
	maxSpots = 16
)

// sampled is a part of a file that begins and ends at the boundaries of lines.
type sampled struct {
	data   []byte
	whole  bool // it is the whole file
	file   string
	offset int64 // where data begins in the file
}

// where describes the place of an offset in the sample to people.
func (s *sampled) where(at int) string {
	if s.offset > 0 {
		return fmt.Sprintf("%s, the line at byte %d", s.file, s.offset+int64(at))
	}
	return fmt.Sprintf("%s, line %d", s.file, 1+bytes.Count(s.data[:at], []byte{'\n'}))
}

// upToLine is a sample without the line that was cut off.
func upToLine(sample []byte, whole bool) []byte {
	if i := bytes.LastIndexByte(sample, '\n'); i >= 0 && !whole {
		return sample[:i+1]
	}
	return sample
}

// forTypes is the beginning of a sample of a delimited file, if spots of it are looked at too.
// It has at least the line at from.
func (s sampled) forTypes(from int) sampled {
	end := 1 + bytes.LastIndexByte(s.data[:min(len(s.data), rowSampleBytes)], '\n')
	if end > from && !s.whole && s.file != "" && !isPacked(s.file) {
		s.data = s.data[:end]
	}
	return s
}

// otherSamples are the beginnings of the files after the first, which may have other columns. A
// file that cannot be read is left to its reader to report.
func (f *files) otherSamples() (all []sampled) {
	for _, path := range f.paths[min(1, len(f.paths)):min(len(f.paths), maxSamples)] {
		in, _, err := compressed.OpenStream(path)
		if err != nil {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(in, otherSampleBytes))
		if cerr := in.Close(); err != nil || cerr != nil {
			continue
		}
		whole := len(data) < otherSampleBytes
		all = append(all, sampled{data: upToLine(data, whole), whole: whole, file: path})
	}
	return all
}

// spots are parts of a file after the sample of its beginning, including its end. A compressed file
// has none.
func (f *files) spots(begin sampled) (all []sampled) {
	if begin.whole || begin.file == "" || isPacked(begin.file) {
		return nil
	}
	file, err := os.Open(begin.file)
	if err != nil {
		return nil // its reader reports why
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	first, size := int64(len(begin.data)), info.Size()
	n := int64(max(1, maxSpots/max(1, len(f.paths))))
	for k := range n {
		from := max(first, first+(size-first)*(k+1)/n-spotBytes)
		data := make([]byte, min(spotBytes, max(size-from, 0)))
		got, err := file.ReadAt(data, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return all
		}
		data = data[:got]
		cut := 0
		if from > first {
			cut = bytes.IndexByte(data, '\n') + 1
			if cut == 0 {
				continue // a part of a single line
			}
		}
		atEnd := from+int64(got) == size
		all = append(all, sampled{data: upToLine(data[cut:], atEnd), file: begin.file, offset: from + int64(cut)})
	}
	return all
}

// guesses are the types that are tried, in this order; text always fits.
var guesses = []record.Type{record.Int64, record.Float64, record.Timestamp, record.Bool, record.String}

// guess is what is known about a column.
type guess struct {
	// name is the name of the column.
	name string
	// field is its name in the files.
	field string
	// possible are the types that all values so far fit, the preferred one first.
	possible []record.Type
	// empty says that there was a NULL, and some that there was a value.
	empty, some bool
	// assumed is the type of a column without a value: what the query needs, or text.
	assumed record.Type
	// present is how many lines of JSON have a value for it that is not null.
	present int
	// within says that it is a field within another field.
	within bool

	// forced is the value that made the column text, and where is its place.
	forced, where string
	// mixed says that there were values before it which are of another type.
	mixed bool
}

// column makes a column of a guess. all says that there is no more input than what was looked at.
func (c *guess) column(all bool) record.Field {
	field := record.Field{Name: c.name, Type: c.possible[0], Nullable: c.empty || !all}
	if !c.some {
		field.Type = c.assumed
	}
	return field
}

// narrow keeps only the types that a value fits. It calls where for the place of the value, if that
// matters.
func (c *guess) narrow(value string, where func() string, fits func(t record.Type) bool) {
	was, before := c.possible[0], c.some
	c.some = true
	c.possible = slices.DeleteFunc(c.possible, func(t record.Type) bool { return t != record.String && !fits(t) })
	if was != record.String && c.possible[0] == record.String {
		c.forced, c.where, c.mixed = value, where(), before
	}
}

// A guesser knows which texts the readers accept.
type guesser struct {
	values  readers.ValueOptions
	order   []record.Type
	parsers map[record.Type]*readers.ValueParser
}

func newGuesser(o readers.ValueOptions) *guesser {
	o.NoCodes = true
	g := &guesser{values: o, order: guesses, parsers: map[record.Type]*readers.ValueParser{}}
	if o.TimeFormat != nil {
		// A text of the declared form is a time, even if it could also be a number.
		g.order = append([]record.Type{record.Timestamp},
			slices.DeleteFunc(slices.Clone(guesses), func(t record.Type) bool {
				return t == record.Timestamp
			})...)
	}
	for _, t := range guesses {
		g.parsers[t] = readers.NewValueParser(t, o)
	}
	return g
}

func (g *guesser) column(name, field string) *guess {
	return &guess{name: name, field: field, possible: slices.Clone(g.order), assumed: record.String}
}

// narrow rules out the types that a text is no value of.
func (g *guesser) narrow(c *guess, text string, where func() string) {
	if c.some && c.possible[0] == record.String && text != "" && g.values.Nulls == nil && text[0] > ' ' {
		return // a value, and it is text whatever it is
	}
	value := strings.TrimSpace(text)
	if value == "" || slices.Contains(g.values.Nulls, value) {
		c.empty = true
		if text == "" || value != "" {
			return
		}
	}
	c.narrow(text, where, func(t record.Type) bool {
		// blanks are NULL in every type except text
		return value == "" || g.parsers[t].Check([]byte(value)) == nil
	})
}

// isTime says whether a JSON string is a time. Digits alone are a time only if a format says so.
func (g *guesser) isTime(s string) bool {
	return (g.values.TimeFormat != nil || strings.Trim(s, "0123456789") != "") &&
		g.parsers[record.Timestamp].Check([]byte(s)) == nil
}

// guessSchema chooses for each column the narrowest type that all values of the samples fit. It
// collects the columns of all files by their names. A column is nullable, unless the samples are
// all the input there will be and the column is never empty in them.
func (f *files) guessSchema(samples []sampled) error {
	g := newGuesser(f.values)
	f.guesser, f.allSeen = g, samples[0].whole && f.complete()
	if f.header && !f.named && g.records(f, samples) {
		f.header = false
		f.said = fmt.Sprintf("%s: the first line looks like the others, and is taken for a record: the columns are "+
			"c1, c2, ...; --header if it has names", samples[0].file)
	}
	index := map[string]*guess{}
	for n, s := range samples {
		head := f.headOf(s.data)
		if head.First == nil {
			continue
		}
		own, from := readers.ColumnNames(head.First), head.Next
		if !f.header {
			from = head.Bytes
			for i := range own {
				own[i] = fmt.Sprintf("c%d", i+1)
			}
		} else if n > 0 && len(index) > 0 && !slices.ContainsFunc(own, func(name string) bool {
			return index[name] != nil
		}) {
			continue // its reader reports that the first line is not a header
		}
		var here []*guess
		for _, name := range own {
			if index[name] == nil {
				index[name] = g.column(name, name)
				f.guessed = append(f.guessed, index[name])
			}
			here = append(here, index[name])
		}
		s = s.forTypes(from)
		if err := g.seeRows(s, from, f, here); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for _, spot := range f.spots(s) {
			g.seeSpot(spot, f, here)
		}
	}
	if len(f.guessed) == 0 {
		return emptyError(f.name)
	}
	if len(f.guessed) > record.MaxFields {
		return nil // see choose
	}
	return f.makeSchema()
}

// records says whether the first lines of all samples are records rather than names. That is so if
// all fields of a first line are numbers and times like the fields of the next line, or if a field
// in both lines is something that cannot be a name (a time, a number with a sign or with a leading
// zero).
func (g *guesser) records(f *files, samples []sampled) bool {
	some := false
	for _, s := range samples {
		head := f.headOf(s.data)
		if head.First == nil {
			continue
		}
		next, err := f.rows(s.data[head.Next:]).Read()
		if err != nil || len(next) != len(head.First) {
			return false
		}
		alike, never := true, false
		for i, text := range head.First {
			first, second := g.kind(text), g.kind(next[i])
			alike = alike && first != record.String && first == second
			never = never || g.noName(text) && g.noName(next[i])
		}
		if !alike && !never {
			return false
		}
		some = true
	}
	return some
}

// kind is the type that a text has by itself. A number with a point counts like one without.
func (g *guesser) kind(text string) record.Type {
	c := g.column("", "")
	if g.narrow(c, text, func() string { return "" }); !c.some || c.possible[0] == record.Bool {
		return record.String
	}
	return max(c.possible[0], record.Float64)
}

// noName says whether a text cannot be the name of a column. A number can be one, such as a year.
func (g *guesser) noName(text string) bool {
	text = strings.TrimSpace(text)
	if g.kind(text) == record.Timestamp {
		return true
	}
	digits := strings.TrimLeft(text, "+-")
	return strings.Trim(digits, "0123456789.") == "" && digits != "" &&
		(digits != text || len(digits) > 1 && digits[0] == '0' && digits[1] != '.')
}

// star matches what asks for all columns.
var star = regexp.MustCompile(`(?i)(select|distinct|,)\s*\*|\.\s*\*`)

// choose keeps only the columns that a query names, if there are more than a record may have.
func (f *files) choose(sql string) error {
	if f.schema != nil {
		return nil
	}
	if f.whole != nil {
		return f.chooseWhole(sql)
	}
	all := f.guessed
	f.guessed = nil
	for i, c := range all {
		used := mentions(sql, c.name) || star.MatchString(sql) || len(f.guessed) == 0 && i == len(all)-1
		if !f.header {
			f.fields = append(f.fields, -1)
		}
		if used {
			if !f.header {
				f.fields[i] = len(f.guessed)
			}
			f.guessed = append(f.guessed, c)
		}
	}
	if n := len(f.guessed); n > record.MaxFields {
		return tooWide(f.name, n)
	}
	return f.makeSchema()
}

func tooWide(name string, n int) error {
	return fmt.Errorf("%s has %d columns, and a query has %d at most: name those that it needs", name, n,
		record.MaxFields)
}

// makeSchema makes the schema from the guesses.
func (f *files) makeSchema() (err error) {
	var fields []record.Field
	for _, c := range f.guessed {
		fields = append(fields, c.column(f.allSeen))
	}
	f.schema, err = record.NewSchema(f.name, fields...)
	return err
}

// rows is a reader of the rows of a sample.
func (f *files) rows(text []byte) *csv.Reader {
	r := csv.NewReader(bufio.NewReader(bytes.NewReader(text)))
	r.Comma, r.Comment, r.FieldsPerRecord, r.ReuseRecord = rune(f.delimiter), rune(f.comment), -1, true
	return r
}

// seeRows looks at the rows of a sample.
func (g *guesser) seeRows(s sampled, from int, f *files, columns []*guess) error {
	r := f.rows(s.data[from:])
	r.LazyQuotes = true
	for {
		at := from + int(r.InputOffset())
		row, err := r.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) && s.whole {
				return err
			}
			return nil // the last record may have been cut off
		}
		for i := range min(len(row), len(columns)) {
			g.narrow(columns[i], row[i], func() string { return s.where(at) })
		}
	}
}

// seeSpot looks at the rows of a spot. A spot may begin within quotes, so it counts only if all of
// its rows look as rows should.
func (g *guesser) seeSpot(s sampled, f *files, columns []*guess) {
	for pass := range 2 {
		r := f.rows(s.data)
		for {
			at := int(r.InputOffset())
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || len(row) != len(columns) && (len(row) != len(columns)+1 || row[len(columns)] != "") {
				return
			}
			for i := range columns {
				if pass == 1 {
					g.narrow(columns[i], row[i], func() string { return s.where(at) })
				}
			}
		}
	}
}

// emptyError is the error for a file without a line.
func emptyError(name string) error {
	return fmt.Errorf("%s is empty: there is nothing to guess its columns from, say them with --schema", name)
}

// because adds to the error of a query which values made its columns text, because a text cannot be
// summed, for example.
func (f *files) because(sql string, err error) error {
	const most = 3
	told := 0
	if f.said != "" {
		err = fmt.Errorf("%w\n%s", err, f.said)
	}
	if f.whole != nil {
		return errors.Join(err, f.whole.saysLeft(sql))
	}
	if f.format == formatNDJSON && f.guessed != nil && !f.allSeen && strings.Contains(err.Error(), "there is no") {
		err = fmt.Errorf("%w\n%s was looked at in part, and a field may come later: --schema declares columns", err,
			f.name)
	}
	if !strings.Contains(err.Error(), record.String.String()) {
		return err // the error is about something else
	}
	var texts []*guess
	for _, c := range f.guessed {
		if c.where != "" && mentions(sql, c.name) && c.column(false).Type == record.String {
			texts = append(texts, c)
		}
	}
	mixed := slices.ContainsFunc(texts, func(c *guess) bool { return c.mixed })
	for _, c := range texts {
		if told == most || mixed && !c.mixed { // it is a text all along, and nobody wonders why
			continue
		}
		told++
		hint := "--schema declares another type, and values that do not fit are set aside"
		switch {
		case f.format == formatDelimited &&
			slices.Contains([]string{"NA", "N/A", "NULL", "null", "nan", "-", `\N`, "None", "?"}, c.forced):
			hint = fmt.Sprintf("if it stands for NULL: --null '%s'", c.forced)
		case f.format == formatDelimited && !f.values.DecimalComma && strings.Count(c.forced, ",") == 1 &&
			strings.Trim(c.forced, "+-0123456789,") == "":
			hint = "if it is a decimal comma: --decimal ,"
		}
		err = fmt.Errorf("%w\ncolumn %q is text because of %.40q in %s; %s", err, c.name, c.forced, c.where, hint)
	}
	return err
}

// mentions says whether a query contains a name, ignoring case.
func mentions(sql, name string) bool {
	return strings.Contains(strings.ToLower(sql), strings.ToLower(name))
}

// fileName is what messages call a path.
func (f *files) fileName(path string) string {
	return cmp.Or(map[string]string{stdinFile: f.name}[path], path)
}
