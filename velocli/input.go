package velocli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// input says what the files look like.
type input struct {
	// listed are the files of the command line.
	listed []string

	Schema      string   `help:"The columns, as CREATE TABLE has them: 'symbol text, price double precision not null'. Without it they are guessed." placeholder:"COLUMNS"`
	InputFormat string   `help:"What the files are: ${enum}. auto goes by their names, and if the names do not say, by their first line." enum:"auto,csv,tsv,ndjson" default:"auto"`
	Delimiter   string   `help:"Between fields; \\t is a tab. Guessed from the first line." placeholder:"CHAR"`
	Header      bool     `help:"The first line has the names of the columns, even if it looks like a record." xor:"header"`
	NoHeader    bool     `xor:"header" help:"The first line is a record; columns are called c1, c2, ... unless --schema names them."`
	TimeUnit    string   `help:"What a whole number in a timestamp column of NDJSON counts since 1970: s, ms, us or ns. Without it, such a number is refused." placeholder:"UNIT"`
	TimeFormat  string   `help:"How times are written, in strptime's directives: '%d/%m/%Y %H:%M'. Without it, every form that has one meaning is taken." placeholder:"FORMAT"`
	TimeZone    string   `help:"The time zone of times without one, such as Europe/Berlin; UTC without it." placeholder:"ZONE"`
	Null        []string `help:"Words that stand for NULL in CSV, such as NA; several with a comma between them." placeholder:"WORD"`
	Decimal     string   `help:"What numbers in CSV have for the point: a comma, or a point." placeholder:"CHAR"`
	Comment     string   `help:"Lines of CSV that begin with it are left out." placeholder:"CHAR"`
	SkipLines   int      `help:"How many lines of each CSV file before the header, or before the first record, are not looked at." placeholder:"N"`
	Strict      bool     `help:"Check also the columns that the query does not read."`
	byPlace     bool
	Follow      bool `help:"Go on when a file has been read: wait for what is appended to it, or takes its place, until interrupted."`
}

const (
	// stdinName is the name of standard input in FROM.
	stdinName = "stdin"

	// stdinFile is the file of standard input, if that is a file.
	stdinFile = "/dev/stdin"

	// sampleWait is how long to wait for more of standard input after its first line: it may come
	// slowly, and have no end.
	sampleWait = 500 * time.Millisecond
)

// The formats.
const (
	formatDelimited = "csv"
	formatNDJSON    = "ndjson"
)

// timeUnits are the values of --time-unit.
var timeUnits = map[string]time.Duration{
	"": 0, "s": time.Second, "ms": time.Millisecond, "us": time.Microsecond,
	"ns": time.Nanosecond,
}

// files are the files that a name in FROM stands for, and their schema by that name.
type files struct {
	// name is what FROM calls them.
	name string
	// listed are the files, directories and patterns of the command line that the name stands for;
	// nil if the name says itself what is read.
	listed []string
	// bounds are what a record must meet that the query wants. Readers that can leave out others
	// are told; skippers are those readers.
	bounds   []record.Bound
	skippers []record.Skipper
	// paths are the files, if they are files.
	paths []string
	// stdin is read instead of paths: it has the rest of the input, unpacked, from its beginning.
	stdin io.Reader
	// pipe says that stdin is not standard input but a FIFO, or a device.
	pipe bool
	// ofMessages says that no files are read, so that the offset of a record counts messages.
	ofMessages bool
	// schema has the columns, once they are known.
	schema *record.Schema
	format string
	// delimiter is for delimited files.
	delimiter byte
	// header says that the files have a header.
	header bool
	// named says that the header is certain to have names.
	named bool
	// said is what the user should know about the guess.
	said string
	// fields are for delimited files without a header, see readers.DelimitedConfig; nil if each
	// field is a column.
	fields []int
	// names has the field of JSON for each column.
	names []string
	// values say how values are written.
	values readers.ValueOptions
	// comment begins lines that are not records; 0 if there are no comments.
	comment byte
	// skipLines is how many lines at the beginning are ignored.
	skipLines int
	// byPlace says that columns are in the order of the schema, whatever the header says.
	byPlace bool
	// follow says that the files are followed.
	follow bool
	// mostFiles is how many files are followed at once; 0 is the reader's default.
	mostFiles int
	// set follows the files, if the name is a pattern.
	set *readers.FollowSet
	// found is what the set found at first.
	found readers.Found
	// skipped says why names that a pattern has found are not read.
	skipped []error
	// packed are compressed files that are not followed, until that has been said.
	packed []string
	// sources has the file of each reader.
	sources []string

	// The following fields say what has been guessed.

	// guessed has a guess for each column.
	guessed []*guess
	// nested are fields within fields, which become columns if a query asks for them.
	nested []*guess
	// guesser is what made the guesses.
	guesser *guesser
	// allSeen says that all of the input was looked at.
	allSeen bool
	// sampledFile is the first file that is not empty.
	sampledFile string
	// remove removes what was opened to look at the files.
	remove func()
	// tables are the tables that the query joins.
	tables []*lookup.Table
	// sub computes the queries in expressions; nil before they are known.
	sub *subqueries
	// none says that nothing is read: the query has its records in its text. given is its plan.
	none  bool
	given *plan.Plan
	// whole are the files, if they are of a format that says itself which columns they have; nil
	// otherwise.
	whole *whole
}

// open finds the files and guesses what is not said about them.
func (in *input) open(name string, stdin io.Reader) (f *files, err error) {
	f = &files{name: name, header: !in.NoHeader, named: in.Header, follow: in.Follow, remove: func() {}}
	if name == filesName {
		f.listed = in.listed
	}
	if err := in.lines(f); err != nil {
		return nil, err
	}
	if err := f.locate(f.target(), &stdin); err != nil {
		return nil, err
	}
	if f.follow && len(f.paths) == 0 {
		return nil, fmt.Errorf("--follow: %s is read until it ends anyway; name a file", f.streamName())
	}
	is, err := f.openWhole(in)
	if is || err != nil {
		return f, err
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
	if err := foreign(name, sample); err != nil {
		return nil, err
	}
	samples := append([]sampled{{data: sample, whole: whole, file: f.sampledFile}}, f.otherSamples()...)
	switch {
	case f.format == formatNDJSON:
		err = f.guessJSON(samples)
	case f.schema == nil:
		err = f.guessSchema(samples)
	case f.header && !in.byPlace:
		err = f.checkHeader(sample)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// locate finds what a name stands for: files, or something that is read once from its beginning to
// its end, like stdin.
func (f *files) locate(name string, stdin *io.Reader) (err error) {
	if name == stdinName && len(f.listed) == 0 || name == stdinFile {
		if isFile(*stdin) {
			f.paths = []string{stdinFile}
		}
		return nil
	}
	if err := f.followable(); err != nil {
		return err
	}
	if info, err := os.Stat(name); len(f.listed) < 2 && err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		pipe, err := os.Open(name)
		if err != nil {
			return err
		}
		*stdin, f.pipe, f.remove = pipe, true, func() { _ = pipe.Close() }
		return nil
	}
	f.paths, err = f.find()
	if err != nil || !f.isSet() {
		return err
	}
	f.paths, f.skipped = onlyFiles(f.paths)
	if len(f.paths) == 0 {
		return fmt.Errorf("%s: %w", name, errors.Join(f.skipped...))
	}
	return nil
}

// streamName is the name of something that is read once.
func (f *files) streamName() string {
	if f.pipe {
		return f.target()
	}
	return "standard input"
}

// likeNamed lists files that a name without an extension may mean.
func likeNamed(name string) string {
	for _, format := range []string{".csv", ".tsv", ".ndjson", ".jsonl", ".json", ".parquet"} {
		for _, packed := range append([]string{""}, packedExtensions...) {
			if info, err := os.Stat(name + format + packed); err == nil && info.Mode().IsRegular() {
				return name + format + packed
			}
		}
	}
	return ""
}

// lines decides how the lines of files are written.
func (in *input) lines(f *files) (err error) {
	var known bool
	f.values.TimeUnit, known = timeUnits[in.TimeUnit]
	if !known {
		return cli.Misusef("--time-unit %q: expected s, ms, us or ns", in.TimeUnit)
	}
	if in.TimeZone != "" {
		f.values.TimeZone, err = time.LoadLocation(in.TimeZone)
		if err != nil {
			return cli.Misusef("--time-zone %q: %w; expected a name like Europe/Berlin", in.TimeZone, err)
		}
	}
	if in.TimeFormat != "" {
		f.values.TimeFormat, err = record.CompileTimeFormat(in.TimeFormat, f.values.TimeZone)
		if err != nil {
			return err
		}
	}
	f.values.Nulls, f.values.Strict = in.Null, in.Strict
	switch in.Decimal {
	case "", ".":
	case ",":
		f.values.DecimalComma = true
	default:
		return cli.Misusef("--decimal %q: expected a comma or a point", in.Decimal)
	}
	if len(in.Comment) > 1 {
		return cli.Misusef("--comment %q: expected one character", in.Comment)
	} else if in.Comment != "" {
		f.comment = in.Comment[0]
	}
	if in.SkipLines < 0 {
		return cli.Misusef("--skip-lines %d: expected none or more", in.SkipLines)
	}
	f.skipLines, f.byPlace = in.SkipLines, in.byPlace
	return nil
}

// foreignFormats are the bytes that files of other formats begin with.
var foreignFormats = []struct{ begin, what, do string }{
	{"\xff\xfe\x00\x00", "UTF-32", "iconv -f UTF-32 -t UTF-8 makes text of it that velo reads"},
	{"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 makes text of it that velo reads"},
	{"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 makes text of it that velo reads"},
	{"\xfd7zXZ\x00", "compressed with xz", "unpack it with xz -dc, and read FROM stdin"},
	{"BZh", "compressed with bzip2", "unpack it with bzip2 -dc, and read FROM stdin"},
	{"PK\x03\x04", "a zip archive", "unpack it with unzip -p, and read FROM stdin"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with 7z x -so, and read FROM stdin"},
	{
		"PAR1", "Parquet", "the velo of connect/cmd/velo reads it; docs/connectors.md says how to install that",
	},
}

// foreign is the error for a file of another format.
func foreign(name string, sample []byte) error {
	if i := bytes.IndexByte(sample, '\r'); i >= 0 && i < len(sample)-1 && bytes.IndexByte(sample, '\n') < 0 {
		return fmt.Errorf("the lines of %s end with CR alone, expected LF or CRLF: tr '\\r' '\\n' converts it, "+
			"and velo reads FROM stdin", name)
	}
	if format, _, ok := connect.Default.FormatOf(sample); ok {
		return fmt.Errorf("%s is %s, which is read from its end, and so not from a pipe: name a file", name, format)
	}
	for _, f := range foreignFormats {
		if f.begin == "BZh" && (len(sample) < 10 || string(sample[4:10]) != "1AY&SY") {
			continue
		}
		if bytes.HasPrefix(sample, []byte(f.begin)) {
			return fmt.Errorf("%s is %s: %s", name, f.what, f.do)
		}
	}
	return nil
}

// isFile reports whether standard input is a file that is at its beginning, so that several readers
// can share it.
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

// decide decides which format the files have.
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
		return cli.Misusef("--delimiter %q: expected one character", in.Delimiter)
	case f.delimiter == 0:
		f.delimiter = ',' // for the lines before the header
		f.delimiter = guessDelimiter(sample[f.headOf(sample).Bytes:])
	}
	return nil
}

// sample is the beginning, up to the end of a line, of the first file that is not empty. whole says
// that it is the whole file.
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
		in, _, err := compressed.OpenStream(path)
		if other := likeNamed(path); errors.Is(err, fs.ErrNotExist) && other != "" {
			return nil, false, fmt.Errorf("%w; did you mean FROM \"%s\"?", trimPackage(err), other)
		}
		if err != nil {
			return nil, false, trimPackage(err)
		}
		sample, err = io.ReadAll(io.LimitReader(in, int64(sampleBytes)))
		whole = len(sample) < sampleBytes
		if cerr := in.Close(); err == nil {
			err = cerr
		}
		if err != nil && len(sample) == 0 {
			// what can be read is read, and the error comes after it
			return nil, false, fmt.Errorf("%s: %w", path, err)
		}
		f.sampledFile = path
		if len(sample) > 0 {
			break
		}
	}
	return upToLine(sample, whole), whole, nil
}

// trimPackage is an error as the operating system words it.
func trimPackage(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path
	}
	return err
}

// A sampler reads the beginning of a stream that may be slow. Afterwards it can be read like the
// stream from its beginning.
type sampler struct {
	// in is the stream.
	in io.Reader
	// ahead was read from the stream but has not been returned yet.
	ahead []byte
	// reading gets the result of a Read that has not returned; nil if there is none.
	reading chan readResult
	// err is the error with which the stream has ended.
	err error
}

type readResult struct {
	data []byte
	err  error
}

// collect reads until there is enough to guess from, until the end, or until nothing has come for a
// while after the first line.
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

// Read returns the sample and then the rest.
func (s *sampler) Read(b []byte) (int, error) {
	if len(s.ahead) == 0 && s.reading != nil {
		s.took(<-s.reading)
	}
	if len(s.ahead) > 0 {
		n := copy(b, s.ahead)
		s.ahead = s.ahead[n:]
		if len(s.ahead) == 0 {
			s.ahead = nil
		}
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.in.Read(b)
}

// guessDelimiter is the usual delimiter that occurs most often in the first line.
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

// complete says whether a sample that is a whole file is all the input there will be.
func (f *files) complete() bool { return len(f.paths) <= 1 && !f.follow }

// headOf is the beginning of a delimited file whose columns are not known.
func (f *files) headOf(sample []byte) readers.Head {
	cfg := f.delimited()
	cfg.Schema, cfg.ByName = unknownColumns, false
	head, _ := cfg.ScanHead(sample, true)
	return head
}

// unknownColumns stands for a schema that is not known.
var unknownColumns = func() *record.Schema {
	s, err := record.NewSchema("unknown", record.Field{Name: "a", Type: record.String},
		record.Field{Name: "b", Type: record.String})
	if err != nil {
		panic(err) // the schema is a constant
	}
	return s
}()

// checkHeader reports which columns of a declared schema the header does not have.
func (f *files) checkHeader(sample []byte) error {
	first := f.headOf(sample).First
	if first == nil {
		return nil // the file is empty: it has no records either
	}
	names := readers.ColumnNames(first)
	var lacking []string
	for i := range f.schema.Len() {
		want := f.schema.Field(i).Name
		if !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, want) }) {
			lacking = append(lacking, want)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("the first line of %s has the columns %s; expected %s too: columns go by their names, in "+
			"any order. "+
			"If the first line is a record: --no-header, or header = 'false'; to take columns by their places: "+
			"--no-header --skip-lines=1, or header = 'skip'",
			f.name, strings.Join(names, ", "), strings.Join(lacking, ", "))
	}
	return nil
}

// readers opens the files, each for n readers.
func (f *files) readers(n int) (all []record.Reader, err error) {
	add := func(path string, rs ...record.Reader) {
		for _, r := range rs {
			all = append(all, r)
			f.sources = append(f.sources, path)
		}
	}
	f.sources = nil
	if f.none {
		rs, err := givenReaders(f.given)
		add(f.name, rs...)
		return all, err
	}
	if f.whole != nil {
		all = f.whole.Readers(n)
		f.skip(all)
		for range all {
			f.sources = append(f.sources, f.name)
		}
		return all, nil
	}
	if len(f.paths) == 0 {
		rs, err := f.streams(f.streamName(), f.stdin, 1)
		if err != nil {
			return nil, err
		}
		add(f.name, rs...)
		return all, nil
	}
	if f.follow && f.isSet() {
		rs, err := f.followed()
		for _, r := range rs {
			add(strings.TrimPrefix(fmt.Sprint(r), "file "), r)
		}
		return all, err
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
		add(f.fileName(path), rs...)
	}
	return all, nil
}

// openPath opens a file for n readers.
func (f *files) openPath(path string, n int) ([]record.Reader, error) {
	in, packed, err := compressed.Open(path)
	if err != nil && !f.follow {
		return nil, trimPackage(err)
	}
	if err == nil && packed != compressed.None {
		if f.follow {
			return nil, errors.Join(fmt.Errorf("--follow: %s is compressed (%s), expected a file that grows", path,
				packed), in.Close())
		}
		rs, err := f.streams("file "+path, in, n)
		if err != nil {
			return nil, errors.Join(err, in.Close())
		}
		return rs, nil
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

// one returns a single reader as a list.
func one(r *readers.FollowedFile, err error) ([]record.Reader, error) {
	if err != nil {
		return nil, err
	}
	return []record.Reader{r}, nil
}

// streams reads input that cannot be read from any place, with n readers.
func (f *files) streams(name string, in io.Reader, n int) ([]record.Reader, error) {
	if f.format == formatNDJSON {
		return readers.NewNDJSONStreams(name, in, f.ndjson(), n)
	}
	return readers.NewDelimitedStreams(name, in, f.delimited(), n)
}

// valueOptions say how values are written. A type that was guessed must not lose anything.
func (f *files) valueOptions() readers.ValueOptions {
	o := f.values
	o.NoCodes = f.guessed != nil
	return o
}

func (f *files) delimited() readers.DelimitedConfig {
	return readers.DelimitedConfig{
		Schema: f.schema, Fields: f.fields, Delimiter: f.delimiter, Quote: '"', Header: f.header, ByName: f.header &&
			!f.byPlace,
		Comment: f.comment, SkipLines: f.skipLines, ValueOptions: f.valueOptions(),
	}
}

func (f *files) ndjson() readers.NDJSONConfig {
	values := f.valueOptions()
	values.Nulls, values.DecimalComma = nil, false // JSON has its own
	return readers.NDJSONConfig{Schema: f.schema, Names: f.names, ValueOptions: values}
}
