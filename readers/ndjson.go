package readers

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/record"
)

const (
	// maxJSONDepth is how deep values of one record may be nested.
	maxJSONDepth = 1024

	// maxExpected is of how many fields of a line the columns are expected again in the next one.
	maxExpected = 1024
)

// NDJSONConfig says what the objects of a file look like.
type NDJSONConfig struct {
	// Schema has the columns of the records.
	Schema *record.Schema

	// Names has the name of each column's field, if any differs from the column's own name;
	// otherwise it is nil.
	Names []string

	ValueOptions // Nulls and DecimalComma are for delimited files only

	// BlockBytes is the size of the blocks; 0 is DefaultBlockBytes.
	BlockBytes int
	// MaxRecordBytes is the longest record. A longer record goes to quarantine; 0 is
	// DefaultMaxRecordBytes.
	MaxRecordBytes int

	// RotateWait is as in DelimitedConfig.
	RotateWait time.Duration
}

// Validate reports every fault at once.
func (c *NDJSONConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("readers: ndjson: "+format, args...))
	}
	switch {
	case c.Schema == nil:
		fault("no schema")
	case c.Names != nil && len(c.Names) != c.Schema.Len():
		fault("%d names for %d columns", len(c.Names), c.Schema.Len())
	default:
		seen := map[string]int{}
		for i := range c.Schema.Len() {
			name := c.name(i)
			if j, twice := seen[name]; twice {
				fault("columns %q and %q are the same field %q", c.Schema.Field(j).Name, c.Schema.Field(i).Name, name)
			}
			seen[name] = i
		}
	}
	if len(c.Nulls) > 0 || c.DecimalComma {
		fault("JSON has its own null and its own numbers, expected no Nulls and no DecimalComma")
	}
	c.ValueOptions.validate(fault)
	checkLimits(c.BlockBytes, c.MaxRecordBytes, fault)
	checkRotateWait(c.RotateWait, fault)
	return errors.Join(faults...)
}

// name is the name of a column's field.
func (c *NDJSONConfig) name(column int) string {
	if c.Names != nil {
		return c.Names[column]
	}
	return c.Schema.Field(column).Name
}

// NDJSON is an open file of JSON objects, one a line.
//
// Lines end with LF or CRLF; the last one may end with the file. A newline inside of a string is
// always escaped, so a newline always ends a record. An empty line is not a record. Fields are
// found by their exact names, in any order; if a field comes twice the last one counts. A column
// named a.b is the field b of the object a, unless there is a field of the name a.b; it is NULL if
// a is missing or not an object. Fields that are not in the schema are skipped. A field that is
// missing is NULL, like null, and refused if the column is not nullable.
//
//	boolean          true, false
//	bigint           a number that is whole: 12, -3, 1e3, 2.0
//	double precision a number, as strconv.ParseFloat reads it
//	decimal(p,s)     a number; more than s digits after the point are refused unless zeros
//	timestamp        a string as in Delimited: 2026-01-31T12:30:45.123456789Z;
//	                 a whole number only with a TimeUnit
//	text             the characters of a string; for anything else its JSON, like PostgreSQL's ->>
//
// A record with a value that does not fit goes to quarantine; a number in a string is not a number.
// So does a record whose names, or whose values of columns, are not what RFC 8259 allows. A value
// that nobody reads, because it is of no column or of one that no plan reads (see
// record.Projector), ends with the comma or brace after it: its strings must be closed and its
// brackets must match, and it must not be empty or have a colon or a backslash where there is
// neither string nor bracket. What its strings, numbers and words are is not checked unless Strict
// is set. Strings are not checked to be UTF-8: their bytes are the text. Half of a surrogate pair
// in \u becomes U+FFFD. A byte order mark at the beginning of the file is skipped. Values may be
// nested 1024 deep.
type NDJSON struct {
	*lineFile
	format *jsonFormat
}

// OpenNDJSON opens a file. The error says what is wrong with the configuration, or that the file is
// missing, is a directory, or cannot be read. Call Readers to get what reads it.
func OpenNDJSON(path string, cfg NDJSONConfig) (*NDJSON, error) {
	format, err := newJSONFormat(cfg)
	if err != nil {
		return nil, err
	}
	f, err := openLines(path, format.cfg.BlockBytes, format.cfg.MaxRecordBytes)
	if err != nil {
		return nil, err
	}
	return &NDJSON{lineFile: f, format: format}, nil
}

// Readers makes n readers that share the file's blocks. It is called once; the file is closed with
// the last of them. Each can be polled, and can tell the line of an offset.
func (f *NDJSON) Readers(n int) []record.Reader {
	return f.deal(n, func(block blockReader) record.Reader {
		r := &block
		r.parser, r.find = newJSONParser(f.format), r.findLines
		return r
	})
}

// jsonFormat is what all parsers of one configuration share.
type jsonFormat struct {
	cfg    NDJSONConfig
	fields []field
	names  []string // name of each column's field
	column map[string]int
	paths  *jsonPaths // nil if no column is a field within a field
}

// newJSONFormat checks a configuration and fills in its defaults.
func newJSONFormat(cfg NDJSONConfig) (*jsonFormat, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultBlockBytes),
		cmp.Or(cfg.MaxRecordBytes, DefaultMaxRecordBytes)
	f := &jsonFormat{cfg: cfg, fields: compileFields(cfg.Schema, 0, &cfg.ValueOptions), column: map[string]int{}}
	for i := range f.fields {
		f.names = append(f.names, cfg.name(i))
		f.column[f.names[i]] = i
	}
	f.paths = compilePaths(f.names)
	return f, nil
}

// jsonParser parses the objects of a stretch.
type jsonParser struct {
	stretch
	projection
	format *jsonFormat
	stripe int // how many lines are read together
	// walker walks lines; nil before the first.
	walker *jsonWalker
	// copied says which columns are copied (see jsonpath.go); nil if none is.
	copied []bool
	// days has the last day read, for each column.
	days []day
	// line reads the lines that are unusual.
	line    jsonLine
	decoded decoded

	// escaped has the texts with escapes among the lines that are read together. They are unescaped
	// when it is known which of the lines are rows.
	escaped []escapedText
}

// escapedText is the place of a value in a batch.
type escapedText struct{ column, row int32 }

func newJSONParser(f *jsonFormat) *jsonParser {
	r := &jsonParser{
		format: f, stripe: maxStripe, days: make([]day, len(f.fields)), line: newJSONLine(f),
	}
	r.copied = copied(f.names, f.fields, &r.projection)
	return r
}

// project says which columns are read.
func (r *jsonParser) project(read []bool) {
	if !r.format.cfg.Strict {
		r.projection.project(read)
		r.line.project(r.unread)
		r.copied = copied(r.format.names, r.format.fields, &r.projection)
	}
}

// begin has nothing to do: a walk needs only the place of a line.
func (r *jsonParser) begin() {}

// tooLong returns the reject for the record after the end.
func (r *jsonParser) tooLong() record.Reject {
	return record.Reject{
		Offset: r.base + int64(r.end), Line: r.lineAt(r.end), Bytes: r.buf[r.end : len(r.buf)-pad],
		Reason: fmt.Errorf("a record of more than %d bytes", r.format.cfg.MaxRecordBytes),
	}
}

// parse walks lines, and reads those that are unusual one by one.
func (r *jsonParser) parse(b *record.Batch) {
	for i := range r.format.fields {
		if r.format.fields[i].kind == fieldText && !r.skips(i) {
			b.Column(i).Bytes = r.buf
		}
	}
	if r.walker == nil {
		r.walker = newJSONWalker(r.format, r.unread)
	}
	r.line.texts = r.line.texts[:0]
	r.decoded.begin(b, r.format.fields)
	row, rows := 0, b.Cap()
	for row < rows && r.pos < r.end {
		n, good, usual := r.walk(b, row, min(rows-row, r.stripe))
		row += good
		r.stripe = min(2*r.stripe, maxStripe)
		if good == n && usual {
			continue
		}
		if good < n {
			r.stripe = minStripe // the work on the lines after the bad one is lost
			notNull(b, row, row+n-good)
		}
		isRow, room := r.one(b, row)
		if !room {
			break
		}
		if isRow {
			row++
		}
	}
	for i, is := range r.copied {
		if is {
			b.Column(i).Bytes = r.line.texts
		}
	}
	r.decoded.end(b)
	r.lend(b)
	b.SetLen(row)
}

// one reads the line at r.pos into a row. isRow says whether it is a row. room is false if it is
// not, and the batch had no room for its reject.
func (r *jsonParser) one(b *record.Batch, row int) (isRow, room bool) {
	l := &r.line
	end := r.pos + lineLength(r.buf[r.pos:r.end])
	text := end - 1
	if text > r.pos && r.buf[text-1] == '\r' {
		text--
	}
	begin := r.pos
	if r.base+int64(begin) == 0 && text-begin >= 3 && string(r.buf[begin:begin+3]) == "\ufeff" {
		begin += 3
	}
	err := l.read(r, b, row, begin, text)
	switch {
	case (err == nil || err == errBlank) && end-1-r.pos > r.format.cfg.MaxRecordBytes:
		// Blanks count as well, because a stream gives such a line up before it knows the rest of
		// it.
		err = longRecord(end-1-r.pos, r.format.cfg.MaxRecordBytes)
	case err == nil:
		r.lineAt(end) // before unescaping makes newlines
		l.unescape(r, b, row)
		isRow = true
	}
	if err != nil && err != errBlank {
		if !b.Reject(record.Reject{
			Offset: r.base + int64(r.pos), Line: r.lineAt(r.pos), Reason: err,
			Bytes: r.buf[r.pos:text],
		}) {
			return false, false
		}
	}
	if !isRow {
		notNull(b, row, row+1)
	}
	r.pos = end
	return isRow, true
}

// unescape resolves the escapes of texts in the rows before row, whose lines end before end.
func (r *jsonParser) unescape(b *record.Batch, row, end int) {
	r.lineAt(end) // before unescaping makes newlines
	for _, e := range r.escaped {
		if int(e.row) < row {
			v := &b.Column(int(e.column)).Views[e.row]
			v.Len = uint32(unescape(r.buf[v.Off : v.Off+v.Len]))
		}
	}
}
