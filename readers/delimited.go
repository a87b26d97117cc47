package readers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/record"
)

// DelimitedConfig says what the lines of a file are.
type DelimitedConfig struct {
	Schema    *record.Schema
	Delimiter byte // between fields; 0 is a comma
	Quote     byte // around fields that have delimiters, newlines or quotes in them, usually '"'; 0: there are none

	// SkipLines is how many lines before the first one are not looked at. Lines that begin with Comment are none; 0: there are no comments.
	SkipLines int
	Comment   byte

	// Header says that the first line is no record. With ByName it says which field is which column: fields may come in any order, those that are no column
	// are skipped, and a column that no field is is NULL. Where it may not be, or where the header has none of the columns, that is an error. Names are
	// compared as ColumnNames makes them, and without their case.
	Header bool
	ByName bool

	// Names has the name of each column in headers, where that is another than the column's; nil where none is.
	Names []string

	// Fields has the column of each field of a line, -1 for a field that is none; nil: field i is column i. Not with ByName.
	Fields []int

	ValueOptions

	BlockBytes     int // 0 is DefaultBlockBytes
	MaxRecordBytes int // a longer record goes to quarantine, a longer header is an error; 0 is DefaultMaxRecordBytes

	// RotateWait is of files that are followed: how long one that another has taken the place of must be quiet before it is
	// closed. 0 is DefaultRotateWait.
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

// validateFields reports the faults of what lines and fields are.
func (c *DelimitedConfig) validateFields(fault func(format string, args ...any)) {
	if c.SkipLines < 0 {
		fault("%d lines to skip, expected none or more", c.SkipLines)
	}
	if delimiter := cmp.Or(c.Delimiter, ','); c.Comment != 0 && (c.Comment == delimiter || c.Comment == c.Quote || c.Comment == '\n' || c.Comment == '\r') {
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
// Lines end with LF or CRLF; the last one may end with the file. A field is the bytes between delimiters. An empty field is NULL where
// the column may be, the empty string in a text column, and refused elsewhere. An empty line is a record only where a line
// has one field. A byte order mark at the beginning is no part of the first field. A delimiter may follow the last field.
// Blanks around values of types other than text do not count.
//
// Without a Quote a record is a line, and a field that begins with '"' is refused: it is not misread as text. With one, fields are as
// RFC 4180 has them: a field that begins with the quote ends with it, delimiters and newlines between the two are text, and two
// quotes there are one. CRLF between quotes stays as it is. Any type may be quoted; "" is the empty string in a text column, and like
// an empty field in others. A quote inside of a field that does not begin with one is a byte like others. Bytes after a closing
// quote send their record to quarantine; its fields and its end are found as if such a quote were any other byte. A quote that is not closed makes one record of the rest of the file: of a record
// longer than MaxRecordBytes the beginning goes to quarantine, and reading goes on behind its end, which is found without
// keeping the record in memory. So no part of a quoted text is ever taken for a record.
//
//	boolean          true, false, t, f, 1, 0, in any case
//	bigint           decimal digits with an optional sign
//	double precision what strconv.ParseFloat takes: 1.5, -2e10, NaN, Infinity
//	decimal(p,s)     digits with an optional point; more than s behind it are refused unless they are zeros
//	timestamp        what record.ParseTime takes: 2026-01-31T12:30:45.123456789Z, a date alone, and other forms; see ValueOptions
//	text             any bytes
type Delimited struct {
	*lineFile
	format     *delimitedFormat
	lay        *layout
	quoteTable quoteTable // nil without quotes
}

// delimitedFormat is what all who parse lines of one configuration share.
type delimitedFormat struct {
	cfg     DelimitedConfig
	fields  []field // of each column
	own     *layout // of lines, unless a header says another
	quoting quoting
}

// newDelimitedFormat checks a configuration and fills in its defaults.
func newDelimitedFormat(cfg DelimitedConfig) (*delimitedFormat, error) {
	cfg.Delimiter = cmp.Or(cfg.Delimiter, ',')
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultBlockBytes), cmp.Or(cfg.MaxRecordBytes, DefaultMaxRecordBytes)
	f := &delimitedFormat{cfg: cfg, fields: compileFields(cfg.Schema, cfg.Quote, &cfg.ValueOptions), quoting: quoting{cfg.Delimiter, cfg.Quote}}
	columns := cfg.Fields
	if columns == nil {
		for col := range f.fields {
			columns = append(columns, col)
		}
	}
	f.own = newLayout(f.fields, columns)
	return f, nil
}

// OpenDelimited opens a file. The error says what is wrong with the configuration, or that the file is missing, a directory, or
// cannot be read. Readers makes what reads it.
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

// Readers makes n readers that share the file's blocks. It is called once; the file is closed with the last of them. Each can be
// polled, and knows the line of an offset.
func (d *Delimited) Readers(n int) []record.Reader {
	return d.deal(n, func(block blockReader) record.Reader {
		r := &delimitedReader{blockReader: block, delimitedParser: newDelimitedParser(d.format), delimited: d}
		r.parser, r.find, r.lay = &r.delimitedParser, r.findLines, d.lay
		if d.quoteTable != nil {
			r.find = r.findQuoted
		}
		return r
	})
}

// delimitedReader reads every step-th block of a file.
type delimitedReader struct {
	blockReader
	delimitedParser
	delimited *Delimited
	quotes    quoteCursor // only with quotes
}

// delimitedParser parses the records of a stretch.
type delimitedParser struct {
	stretch
	format      *delimitedFormat
	structurals structurals
	stripe      int   // how many records to parse together
	days        []day // of each column, the last one
	trailing    int   // 1: each record has a delimiter behind its last field
	turned      int   // where trailing was changed last

	// Only with quotes:
	inner   []uint32 // where the fields of a column are inside of their quotes
	doubled bool     // this stripe has texts in which two quotes are still two
}

func newDelimitedParser(f *delimitedFormat) delimitedParser {
	return delimitedParser{format: f, stretch: stretch{lay: f.own}, stripe: maxStripe, days: make([]day, len(f.fields))}
}

// begin finds out whether a new stretch has quotes.
func (r *delimitedParser) begin() {
	quote := r.format.cfg.Quote
	r.beginWith(quote != 0 && bytes.IndexByte(r.buf[r.pos:r.end], quote) >= 0)
}

// beginWith begins a stretch of which it is known whether it has quotes.
func (r *delimitedParser) beginWith(quotes bool) {
	r.structurals.reset(r.pos, len(r.lay.fields)+1)
	r.structurals.quoted = quotes
	r.turned = -1
	if quotes && r.inner == nil {
		r.inner = make([]uint32, 2*maxStripe)
	}
}

// findQuoted finds the records of a block where a newline may be in quotes.
func (r *delimitedReader) findQuoted(begin, next int64) error {
	d, q := r.delimited, r.format.quoting
	block := (begin - d.start) / d.blockBytes
	from := r.base + pad
	to := pad + int(next-from) // the place of next in the buffer

	tail := max(to-1, pad)
	// What the block does to the state is published first: the readers of the blocks behind it may be waiting for nothing else.
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
		if first, _ = q.newline(r.buf, pad, to, state); first < 0 {
			r.pos, r.end = 0, 0 // no record begins in this block
			return nil
		}
		firstState = fieldStart
	}
	// The last record that begins before next ends with the first newline from next-1 on.
	known := tail // from tail to here there is none
	state = chains.moves().from(state)
	last := -1
	for {
		end := len(r.buf) - pad
		if last, state = q.newline(r.buf, known, end, state); last >= 0 {
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
			// The file ends without a newline, or inside of quotes: give it one.
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

// tooLong is the reject for the record behind the end.
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
