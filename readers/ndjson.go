package readers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

const (
	// maxJSONDepth is how deep values of one record may be nested.
	maxJSONDepth = 1024

	// jsonShapes is how many orders of fields are remembered, so that lines of a few kinds in turn
	// are as fast as lines of one kind.
	jsonShapes = 4

	// shapeMisses is after how many lines of no known shape the oldest shape is replaced. Learning
	// a shape takes as long as reading a line.
	shapeMisses = 8

	// Lines are walked if, of shapeRuns stripes that ended with a line of another shape, the mean
	// had fewer lines than shortRun. Then trying the shapes takes longer than walking.
	shapeRuns = 64
	shortRun  = 4

	// maxShapeFields is the most fields of a line that is read column by column.
	maxShapeFields = 1024
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
	index  jsonIndex
	stripe int // how many lines are parsed together
	// shapes are the known shapes.
	shapes []*jsonShape
	shape  int        // index of the last line's shape
	spare  *jsonShape // memory for the next shape
	misses int        // lines of no known shape since the last one was learned
	// runs counts the stripes that ended because the next line has another shape, and runLines the
	// lines in them.
	runs, runLines int
	// unshaped counts lines that a walk might read and a shape cannot.
	unshaped int
	// walker reads lines of no known shape; nil if it cannot. walking says that all lines are
	// walked.
	walker  *jsonWalker
	walking bool
	// copied says which columns are copied (see jsonpath.go); nil if none is.
	copied []bool
	// days has the last day read, for each column.
	days []day
	// line reads the lines that have no known shape.
	line jsonLine

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

// begin goes to the first line of a stretch.
func (r *jsonParser) begin() {
	if r.walking {
		r.walker.places.reset(r.pos)
		return
	}
	r.index.reset(r.pos, maxShapeFields)
	r.buf[r.pos-1] = '\n' // shapes begin with it; nothing before pos is used
}

// tooLong returns the reject for the record after the end.
func (r *jsonParser) tooLong() record.Reject {
	return record.Reject{
		Offset: r.base + int64(r.end), Line: r.lineAt(r.end), Bytes: r.buf[r.end : len(r.buf)-pad],
		Reason: fmt.Errorf("a record of more than %d bytes", r.format.cfg.MaxRecordBytes),
	}
}

// parse reads lines column by column as long as they look like earlier ones, and the others one by
// one.
func (r *jsonParser) parse(b *record.Batch) {
	for i := range r.format.fields {
		if r.format.fields[i].kind == fieldText && !r.skips(i) {
			b.Column(i).Bytes = r.buf
		}
	}
	r.line.texts = r.line.texts[:0]
	row, rows := 0, b.Cap()
	for row < rows && r.pos < r.end {
		if r.unshaped >= walkAfter {
			r.beginWalking()
		}
		n, good := 0, 0
		if r.walking {
			n, good = r.walk(b, row, min(rows-row, r.stripe))
		} else {
			n, good = r.shaped(b, row, min(rows-row, r.stripe))
		}
		row += good
		r.stripe = min(2*r.stripe, maxStripe)
		if good == n && n > 0 {
			continue
		}
		if good < n {
			r.stripe = minStripe // the work on the lines after the bad one is lost
		}
		notNull(b, row, row+n-good)
		if good > 0 && len(r.shapes) > 1 && !r.walking {
			continue // perhaps the line has another shape
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
	r.lend(b)
	b.SetLen(row)
}

// shaped reads the next lines, at most most of them, as lines of one of the known shapes. n and
// good are as in columns.
func (r *jsonParser) shaped(b *record.Batch, row, most int) (n, good int) {
	for range r.shapes {
		n, good = r.columns(b, r.shapes[r.shape], row, most)
		if good > 0 {
			s := &r.index
			s.from += good * r.shapes[r.shape].width
			r.pos = int(s.at[s.from-1]) + 1
			break
		}
		notNull(b, row, row+n)
		r.shape = (r.shape + 1) % len(r.shapes)
	}
	if good < n && len(r.shapes) > 1 {
		r.runs++
		r.runLines += good
		if r.runs == shapeRuns {
			if r.runLines < shapeRuns*shortRun {
				r.unshaped += walkAfter
			}
			r.runs, r.runLines = 0, 0
		}
	}
	return n, good
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
	case err == nil && end-1-r.pos > r.format.cfg.MaxRecordBytes:
		err = fmt.Errorf("a record of %d bytes, at most %d are allowed", end-1-r.pos, r.format.cfg.MaxRecordBytes)
	case err == nil:
		switch {
		case r.walking:
		case l.flat && !(r.index.odd && r.index.scanned < end):
			r.learn(end)
		case !l.flat:
			r.unshaped++
		}
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
	if r.walking {
		r.walker.places.skip(end)
	} else {
		r.index.skip(end)
	}
	return isRow, true
}

// beginWalking has lines walked from here on, if that is possible.
func (r *jsonParser) beginWalking() {
	r.unshaped = math.MinInt // once
	r.walker = newJSONWalker(r.format, r.unread, r.copied)
	if r.walker != nil {
		r.walking = true
		r.walker.places.reset(r.pos)
	}
}

// A jsonShape describes lines that have the same fields in the same order, without escapes in their
// names and without values in values:
//
//	\n{"time":"2026-01-31T12:30:45Z","price":12.5,"venue":null}\n
//	-----------                    ^---------    ^---------    ^  prefixes, and the index's places
//
// A prefix begins with the byte that ends the previous field. It is compared byte by byte,
// including any blanks. If a string is expected, the prefix ends with its opening quote.
type jsonShape struct {
	fields []shapeField
	text   []byte // text of all prefixes
	absent []int  // columns that such a line does not have
	width  int    // places of a line: one for each field and one for the newline
	crlf   bool
}

// shapeField is a field of a shape.
type shapeField struct {
	column int    // -1 if the field is not in the schema
	prefix []byte // a multiple of eight bytes, filled up with zeros after length
	length uint32
	mask   uint64 // of the bytes of the last word that belong to the prefix
	quoted bool   // the prefix ends with a quote
}

// columns reads the next lines, at most most of them, as lines of a shape. n is how many lines it
// tried, and good is how many had the shape before the first that did not.
func (r *jsonParser) columns(b *record.Batch, shape *jsonShape, row, most int) (n, good int) {
	s := &r.index
	n = min(s.more(r.buf, r.end, shape.width)/shape.width, most)
	good = n
	r.escaped = r.escaped[:0]
	for k := range shape.fields {
		if good == 0 {
			return n, 0
		}
		if f := &shape.fields[k]; f.column < 0 || r.skips(f.column) {
			good, _ = r.prefixes(shape, k, 0, good)
			good = r.skipped(shape, k, good, f.column >= 0 && !r.format.fields[f.column].nullable)
		} else {
			good = r.column(b, shape, k, row, good)
		}
	}
	good = r.ends(shape, good)
	if good > 0 {
		good = r.lengths(shape, good)
	}
	if len(r.escaped) > 0 && good > 0 {
		r.unescape(b, row+good, int(s.at[s.from-1+good*shape.width])+1)
	}
	for _, column := range shape.absent {
		if good > 0 && !r.skips(column) {
			r.format.fields[column].nulls(b, column, row, row+good)
		}
	}
	return n, good
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

// prefixes compares the prefix of field k in the lines from..n, and returns the first line that
// differs. bare says that this line differs only in that the quote is missing.
func (r *jsonParser) prefixes(shape *jsonShape, k, from, n int) (same int, bare bool) {
	s, f := &r.index, &shape.fields[k]
	width := shape.width
	at := s.at[s.from-1+k : s.from+k+(n-1)*width]
	base := unsafe.Pointer(unsafe.SliceData(r.buf))
	p := unsafe.Pointer(unsafe.SliceData(f.prefix))
	i := from
	switch len(f.prefix) {
	case 8:
		w0, mask := word(p), f.mask
		for ; i < n; i++ {
			if q := unsafe.Add(base, at[i*width]); (word(q)^w0)&mask != 0 {
				break
			}
		}
	case 16:
		w0, w1, mask := word(p), word(unsafe.Add(p, 8)), f.mask
		for ; i < n; i++ {
			if q := unsafe.Add(base, at[i*width]); word(q)^w0|(word(unsafe.Add(q, 8))^w1)&mask != 0 {
				break
			}
		}
	default:
		last := len(f.prefix) - 8
		wn, mask := word(unsafe.Add(p, last)), f.mask
	lines:
		for ; i < n; i++ {
			// The prefix may be longer than the rest of the buffer, so the last word is loaded only
			// if the others agree.
			q := unsafe.Add(base, at[i*width])
			for j := 0; j < last; j += 8 {
				if word(unsafe.Add(q, j)) != word(unsafe.Add(p, j)) {
					break lines
				}
			}
			if (word(unsafe.Add(q, last))^wn)&mask != 0 {
				break
			}
		}
	}
	if i < n && f.quoted {
		begin := int(at[i*width])
		rest := r.buf[begin:min(begin+int(f.length)-1, r.end)]
		bare = string(rest) == string(f.prefix[:len(rest)]) && len(rest) == int(f.length)-1
	}
	return i, bare
}

// column reads field k of the next n lines into its column. It stops before the first line that
// does not have the shape, or whose value cannot be read, and returns how many lines it has read.
func (r *jsonParser) column(b *record.Batch, shape *jsonShape, k, row, n int) (read int) {
	s, sf := &r.index, &shape.fields[k]
	i, width := sf.column, shape.width
	f := &r.format.fields[i]
	c := columnText{
		base: unsafe.Pointer(unsafe.SliceData(r.buf)), width: width, skip: sf.length - 1, end: ',',
		codes: f.codes,
	}
	if k == width-2 {
		c.end = '}'
	}
	at := s.at[s.from-1+k : s.from+1+k+(n-1)*width]
	for {
		same, bare := r.prefixes(shape, k, read, n)
		for read < same {
			c.at = at[read*width:]
			switch f.kind {
			case fieldText:
				if sf.quoted {
					read += c.jsonTexts(s.state.escapes, b.Column(i).Views[row+read:row+same])
				}
			case fieldNumber:
				read += c.shortNumbers(f, b.Column(i).Int64s[row+read:row+read+c.jsonNumbers(same-read)])
			case fieldFloat:
				read += c.floats(b.Column(i).Float64s[row+read : row+read+c.jsonNumbers(same-read)])
			case fieldBool:
				read += c.jsonBools(b.Column(i).Int64s[row+read : row+same])
			case fieldTime:
				if sf.quoted && !f.rules.careful {
					read += c.jsonTimes(&r.days[i], b.Column(i).Int64s[row+read:row+same])
				}
			}
			if read == same {
				break
			}
			begin, end := int(at[read*width])+int(sf.length), int(at[read*width+1])
			if sf.quoted {
				begin--
			}
			if r.line.value(r, b, i, row+read, begin, end) != nil {
				return read
			}
			if len(r.line.escapes) > 0 {
				r.escaped = append(r.escaped, escapedText{int32(i), int32(row + read)})
			}
			read++
		}
		if read == n || !bare {
			return read
		}
		// The value is not the string that was expected; it may be null.
		begin, end := int(at[read*width])+int(sf.length)-1, int(at[read*width+1])
		if begin >= end || r.line.value(r, b, i, row+read, begin, end) != nil {
			return read
		}
		read++
	}
}

// skipped returns how many of the next n lines have a value in field k, which nobody reads. notNull
// says that it must not be null.
func (r *jsonParser) skipped(shape *jsonShape, k, n int, notNull bool) int {
	s, width, length := &r.index, shape.width, int(shape.fields[k].length)
	at := s.at[s.from-1+k:]
	for i := range n {
		begin, end := int(at[i*width])+length, int(at[i*width+1])
		if !r.format.cfg.Strict && (r.buf[begin] == '"' || passedShort(r.buf, begin, end)) {
			continue // the index has checked that it ends where it should
		}
		span, err := r.line.pass(r.buf, begin, end)
		if err != nil || span.end != end || notNull && span.kind == jsonNull {
			return i
		}
	}
	return n
}

// passedShort says whether the value buf[begin:end] has up to eight bytes and none that the index
// does not check: no bracket, no letter of null, and no blank at the end. Numbers are such values.
// pad bytes after end can be read.
func passedShort(buf []byte, begin, end int) bool {
	n := uint(end - begin)
	if n-1 >= 8 || buf[end-1] <= ' ' {
		return false
	}
	w := word(unsafe.Pointer(&buf[begin])) << (64 - 8*n) // without the bytes after the value
	// '[' and all greater bytes set their high bit.
	high := w | (w&(0x7f*ones) + (0x80-'[')*ones)
	return high&(0x80*ones) == 0
}

// ends returns how many of the next n lines end as lines of a shape do.
func (r *jsonParser) ends(shape *jsonShape, n int) int {
	s, width := &r.index, shape.width
	base := unsafe.Pointer(unsafe.SliceData(r.buf))
	behind := uint32(1)
	if shape.crlf {
		behind = 2
	}
	at := s.at[s.from-1 : s.from+n*width]
	for i := range n {
		brace, newline := at[i*width+width-1], at[i*width+width]
		if newline-brace != behind || *(*byte)(unsafe.Add(base, brace)) != '}' ||
			*(*byte)(unsafe.Add(base, newline)) != '\n' {
			return i
		}
		if shape.crlf && *(*byte)(unsafe.Add(base, brace+1)) != '\r' {
			return i
		}
	}
	return n
}

// lengths returns how many of the next n lines come before the first that is too long.
func (r *jsonParser) lengths(shape *jsonShape, n int) int {
	s, width, longest := &r.index, shape.width, r.format.cfg.MaxRecordBytes
	begin := r.pos
	if int(s.at[s.from-1+n*width])-begin <= longest {
		return n // all of them together are not too long, so none is
	}
	for i := range n {
		end := int(s.at[s.from-1+(i+1)*width])
		if end-begin > longest {
			return i
		}
		begin = end + 1
	}
	return n
}

// learn remembers the shape of the line at r.pos, which has just been read and ends before end.
func (r *jsonParser) learn(end int) {
	l := &r.line
	r.misses++
	if l.members == 0 || l.members > maxShapeFields || len(r.shapes) == jsonShapes && r.misses < shapeMisses {
		return
	}
	shape := r.spare // nothing is allocated for shapes that come and go
	if shape == nil {
		shape = &jsonShape{}
	}
	r.spare = shape
	shape.width, shape.crlf = l.members+1, r.buf[end-2] == '\r'
	shape.fields, shape.text, shape.absent = shape.fields[:0], shape.text[:0], shape.absent[:0]
	begin := r.pos - 1
	for k := range l.members {
		m := l.places[k]
		if k > 0 && r.buf[begin] != ',' {
			return // there are blanks before it
		}
		f := shapeField{column: m.column}
		if f.column >= 0 && !r.skips(f.column) {
			if l.spans[f.column].begin != m.begin || r.copied != nil && r.copied[f.column] {
				return // it comes twice, or its text must be copied
			}
			kind := r.format.fields[f.column].kind
			f.quoted = kind == fieldText || kind == fieldTime && r.format.cfg.TimeUnit == 0
		}
		from := len(shape.text)
		shape.text = append(shape.text, r.buf[begin:m.begin]...)
		if k == 0 {
			shape.text[from] = '\n'
		}
		if f.quoted {
			shape.text = append(shape.text, '"')
		}
		f.length = uint32(len(shape.text) - from)
		last := (f.length-1)%8 + 1
		f.mask = ^uint64(0) >> (64 - 8*last)
		for range 8 - last {
			shape.text = append(shape.text, 0)
		}
		shape.fields = append(shape.fields, f)
		begin = m.end
	}
	if r.buf[begin] != '}' {
		return
	}
	from := 0
	for k := range shape.fields {
		f := &shape.fields[k]
		n := int(f.length+7) &^ 7
		f.prefix = shape.text[from : from+n]
		from += n
	}
	for i, seen := range l.seen {
		if seen != l.lines {
			shape.absent = append(shape.absent, i)
		}
	}
	for _, s := range r.shapes {
		if s.width == shape.width && s.crlf == shape.crlf && bytes.Equal(s.text, shape.text) {
			return // the shape is known; only a value of this line was unusual
		}
	}
	r.misses = 0
	r.unshaped++
	if len(r.shapes) < jsonShapes {
		r.unshaped--
		r.shapes = append(r.shapes, shape)
		r.shape, r.spare = len(r.shapes)-1, nil
		return
	}
	r.shape = (r.shape + 1) % jsonShapes
	r.shapes[r.shape], r.spare = shape, r.shapes[r.shape]
}
