package readers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/record"
)

// DelimitedConfig says what the lines of a file look like.
type DelimitedConfig struct {
	// Schema has the columns of the records.
	Schema *record.Schema
	// Delimiter separates fields; 0 is a comma.
	Delimiter byte
	// Quote encloses fields that contain delimiters, newlines or quotes, usually '"'; 0 means that
	// there are no quotes.
	Quote byte

	// SkipLines is how many lines at the beginning are ignored.
	SkipLines int
	// Comment begins lines that are not records; 0 means that there are no comments.
	Comment byte

	// Header says that the first line is not a record.
	Header bool
	// ByName says that the header decides which field is which column. Fields may then come in any
	// order, and fields that are no column are skipped. A column without a field is NULL, or an
	// error if it is not nullable. It is also an error if the header has none of the columns. Names
	// are compared as ColumnNames makes them, ignoring case.
	ByName bool

	// Names has the name of each column in headers, if any differs from the column's own name;
	// otherwise it is nil.
	Names []string

	// Fields has the column of each field of a line, and -1 for a field that is no column. If it is
	// nil, field i is column i. It cannot be used with ByName.
	Fields []int

	ValueOptions

	// BlockBytes is the size of the blocks; 0 is DefaultBlockBytes.
	BlockBytes int
	// MaxRecordBytes is the longest record. A longer record goes to quarantine, a longer header is
	// an error; 0 is DefaultMaxRecordBytes.
	MaxRecordBytes int

	// RotateWait applies to files that are followed: it is how long a file must be quiet, after
	// another one has taken its name, before it is closed. 0 is DefaultRotateWait.
	RotateWait time.Duration
}

// Validate reports every fault at once.
func (c *DelimitedConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("readers: delimited: "+format, args...))
	}
	if c.Schema == nil {
		fault("no schema")
	}
	if c.Delimiter == '\n' || c.Delimiter == '\r' || c.Delimiter == '"' {
		fault("%q cannot be the delimiter", c.Delimiter)
	}
	if delimiter := cmp.Or(c.Delimiter, ','); c.Quote == '\n' || c.Quote == '\r' || c.Quote == delimiter {
		fault("%q cannot be the quote", c.Quote)
	}
	c.validateFields(fault)
	c.ValueOptions.validate(fault)
	if delimiter := cmp.Or(c.Delimiter, ','); c.DecimalComma && delimiter == ',' && c.Quote == 0 {
		fault("a decimal comma, and a comma between fields without quotes")
	}
	checkLimits(c.BlockBytes, c.MaxRecordBytes, fault)
	checkRotateWait(c.RotateWait, fault)
	return errors.Join(faults...)
}

// validateFields reports the faults of the options about lines and fields.
func (c *DelimitedConfig) validateFields(fault func(format string, args ...any)) {
	if c.SkipLines < 0 {
		fault("%d lines to skip, expected none or more", c.SkipLines)
	}
	if delimiter := cmp.Or(c.Delimiter, ','); c.Comment != 0 &&
		(c.Comment == delimiter || c.Comment == c.Quote || c.Comment == '\n' || c.Comment == '\r') {
		fault("%q cannot begin a comment", c.Comment)
	}
	if c.ByName && (!c.Header || c.Fields != nil) {
		fault("columns by name, expected a header and no Fields")
	}
	if c.Schema == nil {
		return
	}
	if c.Names != nil && len(c.Names) != c.Schema.Len() {
		fault("%d names for %d columns", len(c.Names), c.Schema.Len())
	}
	if c.Fields == nil {
		return
	}
	seen := make([]bool, c.Schema.Len())
	for i, col := range c.Fields {
		switch {
		case col < -1 || col >= c.Schema.Len():
			fault("field %d is column %d, there are %d", i, col, c.Schema.Len())
		case col >= 0 && seen[col]:
			fault("two fields are column %q", c.Schema.Field(col).Name)
		case col >= 0:
			seen[col] = true
		}
	}
	for col, is := range seen {
		if f := c.Schema.Field(col); !is && !f.Nullable {
			fault("no field is column %q, which is not nullable", f.Name)
		}
	}
}

// Delimited is an open file of lines with a delimiter between the fields.
//
// Lines end with LF or CRLF; the last one may end with the file. A field is the bytes between
// delimiters. An empty field is NULL in a nullable column, the empty string in a text column that
// is not nullable, and refused in other columns. An empty line is a record only if a line has one
// field. A byte order mark at the beginning is not part of the first field. A delimiter may follow
// the last field. Blanks around values of types other than text are ignored.
//
// Without a Quote, a record is a line, and a field that begins with '"' is refused, so that it is
// not misread as text. With a Quote, fields follow RFC 4180: a field that begins with the quote
// ends with it, delimiters and newlines between the two are text, and two quotes there stand for
// one. CRLF between quotes stays as it is. Any type may be quoted; "" is the empty string in a text
// column, and is treated like an empty field in other columns. A quote inside of a field that does
// not begin with one is an ordinary byte. Bytes after a closing quote send their record to
// quarantine; its fields and its end are found as if such a quote were any other byte. A quote that
// is not closed makes the rest of the file one record. If a record is longer than MaxRecordBytes,
// its beginning goes to quarantine, and reading goes on after its end, which is found without
// keeping the record in memory. So no part of a quoted text is ever taken for a record.
//
//	boolean          true, false, t, f, 1, 0, in any case
//	bigint           decimal digits with an optional sign
//	double precision what strconv.ParseFloat takes: 1.5, -2e10, NaN, Infinity
//	decimal(p,s)     digits with an optional point; more than s after it are refused unless zeros
//	timestamp        what record.ParseTime takes: 2026-01-31T12:30:45.123456789Z, a date alone,
//	                 and other forms; see ValueOptions
//	text             any bytes
type Delimited struct {
	*lineFile
	format     *delimitedFormat
	lay        *layout
	quoteTable quoteTable // nil if the file has no quotes
}

// delimitedFormat is what all parsers of one configuration share.
type delimitedFormat struct {
	cfg     DelimitedConfig
	fields  []field // one for each column
	own     *layout // layout of lines, unless a header gives another one
	quoting quoting
}

// newDelimitedFormat checks a configuration and fills in its defaults.
func newDelimitedFormat(cfg DelimitedConfig) (*delimitedFormat, error) {
	cfg.Delimiter = cmp.Or(cfg.Delimiter, ',')
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultBlockBytes),
		cmp.Or(cfg.MaxRecordBytes, DefaultMaxRecordBytes)
	f := &delimitedFormat{
		cfg: cfg, fields: compileFields(cfg.Schema, cfg.Quote, &cfg.ValueOptions),
		quoting: quoting{cfg.Delimiter, cfg.Quote},
	}
	columns := cfg.Fields
	if columns == nil {
		for col := range f.fields {
			columns = append(columns, col)
		}
	}
	f.own = newLayout(f.fields, columns)
	return f, nil
}

// OpenDelimited opens a file. The error says what is wrong with the configuration, or that the file
// is missing, is a directory, or cannot be read. Call Readers to get what reads it.
func OpenDelimited(path string, cfg DelimitedConfig) (*Delimited, error) {
	format, err := newDelimitedFormat(cfg)
	if err != nil {
		return nil, err
	}
	f, err := openLines(path, format.cfg.BlockBytes, format.cfg.MaxRecordBytes)
	if err != nil {
		return nil, err
	}
	d := &Delimited{lineFile: f, format: format}
	if err := d.readHead(); err != nil {
		return nil, errors.Join(fmt.Errorf("readers: %s: %w", path, err), f.file.Close())
	}
	if cfg.Quote != 0 {
		d.quoteTable = make(quoteTable, (d.size-d.start+d.blockBytes-1)/d.blockBytes)
	}
	return d, nil
}

// readHead finds the first record, and the columns of the fields.
func (d *Delimited) readHead() error {
	scan := d.format.newHeadScan()
	for n := int64(tailBytes); ; n *= 2 {
		n = min(n, d.size)
		text := make([]byte, n)
		if err := d.readAt(text, 0); err != nil {
			return err
		}
		head, l, enough, err := scan.scan(&headPlace{}, text, n == d.size)
		if err != nil {
			return err
		}
		if enough {
			d.start, d.lay = int64(head), l
			return nil
		}
	}
}

// Readers makes n readers that share the file's blocks. It is called once; the file is closed with
// the last of them. Each can be polled, and can tell the line of an offset.
func (d *Delimited) Readers(n int) []record.Reader {
	return d.deal(n, func(block blockReader) record.Reader {
		r := &delimitedReader{blockReader: block, delimitedParser: newDelimitedParser(d.format), delimited: d}
		r.parser, r.find, r.lay = &r.delimitedParser, r.findLines, d.lay
		if d.quoteTable != nil {
			r.find, r.quoteStart = r.findQuoted, &r.quotes
		}
		return r
	})
}

// delimitedReader reads every step-th block of a file.
type delimitedReader struct {
	blockReader
	delimitedParser
	delimited *Delimited
	quotes    quoteCursor // used only with quotes
}

// delimitedParser parses the records of a stretch.
type delimitedParser struct {
	stretch
	projection
	format      *delimitedFormat
	structurals structurals
	stripe      int   // how many records are parsed together
	days        []day // the last day read, for each column
	trailing    int   // 1 if each record has a delimiter after its last field, else 0
	turned      int   // where trailing was last changed
	decoded     decoded

	// Used only with quotes:
	inner   []uint32 // offsets of the fields of a column, within their quotes
	doubled bool     // this stripe has texts in which two quotes have not become one yet
}

func newDelimitedParser(f *delimitedFormat) delimitedParser {
	return delimitedParser{format: f, stretch: stretch{lay: f.own}, stripe: maxStripe, days: make([]day, len(f.fields))}
}

// project says which columns are read.
func (r *delimitedParser) project(read []bool) {
	if !r.format.cfg.Strict {
		r.projection.project(read)
	}
}

// begin finds out whether a new stretch has quotes.
func (r *delimitedParser) begin() {
	quote := r.format.cfg.Quote
	r.beginWith(quote != 0 && bytes.IndexByte(r.buf[r.pos:r.end], quote) >= 0)
}

// beginWith begins a stretch; the caller knows whether it has quotes.
func (r *delimitedParser) beginWith(quotes bool) {
	r.structurals.reset(r.pos, len(r.lay.fields)+1)
	r.structurals.quoted = quotes
	r.turned = -1
	if quotes && r.inner == nil {
		r.inner = make([]uint32, 2*maxStripe)
	}
}

// findQuoted finds the records of a block if a newline may be in quotes.
func (r *delimitedReader) findQuoted(begin, next int64) error {
	d, q := r.delimited, r.format.quoting
	block := (begin - d.start) / d.blockBytes
	from := r.base + pad
	to := pad + int(next-from) // position of next in the buffer

	tail := max(to-1, pad)
	// What the block does to the state is published first, because the readers of later blocks may
	// be waiting for exactly that.
	d.quoteTable.announce(block)
	chains := newQuoteChains(q)
	quotes := chains.feed(r.buf, pad, tail)
	d.quoteTable.publish(block, chains.moves())
	state, err := r.stateAt(block)
	if err != nil {
		return err
	}

	first, firstState := pad, state
	if begin > d.start {
		first, _ = q.newline(r.buf, pad, to, state)
		if first < 0 {
			r.pos, r.end = 0, 0 // no record begins in this block
			return nil
		}
		firstState = fieldStart
	}
	// The last record that begins before next ends with the first newline at or after next-1.
	known := tail // there is no such newline from tail to here
	state = chains.moves().from(state)
	last := -1
	for {
		end := len(r.buf) - pad
		last, state = q.newline(r.buf, known, end, state)
		if last >= 0 {
			break
		}
		known = end
		recordStart := q.lastNewline(r.buf, first, max(tail, first), firstState, first)
		if end-recordStart > d.maxRecordBytes {
			last = recordStart
			r.oversized = true
			break
		}
		if r.base+int64(end) == d.size {
			// The file ends without a newline, or inside of quotes: add a newline.
			r.buf = resize(r.buf, end+1+pad)
			r.buf[end] = '\n'
			last = end + 1
			break
		}
		more := int(min(int64(end-pad), d.size-r.base-int64(end))) // twice as much as now
		r.buf = resize(r.buf, end+more+pad)
		if err := d.readAt(r.buf[end:end+more], r.base+int64(end)); err != nil {
			return err
		}
	}
	r.pos, r.end = min(first, last), last
	r.beginWith(quotes || state == inQuotes || bytes.IndexByte(r.buf[min(tail, last):last], q.quote) >= 0)
	return nil
}

// tooLong returns the reject for the record after the end.
func (r *delimitedParser) tooLong() record.Reject {
	rest := r.buf[r.end : len(r.buf)-pad]
	reason := fmt.Errorf("a record of more than %d bytes", r.format.cfg.MaxRecordBytes)
	if r.format.cfg.Quote != 0 {
		if o := r.format.quoting.outline(rest); o.open >= 0 {
			reason = fmt.Errorf("a record of more than %d bytes: the quote at offset %d is not closed within them",
				r.format.cfg.MaxRecordBytes, r.base+int64(r.end+o.open))
		}
	}
	return record.Reject{Offset: r.base + int64(r.end), Line: r.lineAt(r.end), Reason: reason, Bytes: rest}
}
