package readers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// Limits and defaults of delimited files.
const (
	// DefaultBlockBytes is the size of the blocks that a file is dealt in: what the kernel has copied into the buffer is still in the
	// second-level cache when it is looked at, and the batch that is cut short at the end of a block does not show yet.
	DefaultBlockBytes = 128 << 10
	maxBlockBytes     = 1 << 30 // places in a block are kept in 32 bits

	// DefaultMaxRecordBytes bounds a record, and so what is read into memory where a quote is not closed.
	DefaultMaxRecordBytes = 1 << 20

	// tailBytes is how much is read behind a block at first, for the end of its last record.
	tailBytes = 4096

	// pad bytes lie on either side of what was read, so that a vector can be loaded from any place in it, forwards and backwards.
	pad = 64
)

// DelimitedConfig says what the lines of a file are.
type DelimitedConfig struct {
	Schema         *record.Schema
	Delimiter      byte // between fields; 0 is a comma
	Quote          byte // around fields that have delimiters, newlines or quotes in them, usually '"'; 0: there are none
	Header         bool // the first record is not one
	BlockBytes     int  // 0 is DefaultBlockBytes
	MaxRecordBytes int  // a longer record goes to quarantine; 0 is DefaultMaxRecordBytes
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
	if c.BlockBytes < 0 || c.BlockBytes > maxBlockBytes {
		fault("blocks of %d bytes, expected 1..%d, or 0 for %d", c.BlockBytes, maxBlockBytes, DefaultBlockBytes)
	}
	if c.MaxRecordBytes < 0 || c.MaxRecordBytes > maxBlockBytes {
		fault("records of %d bytes, expected 1..%d, or 0 for %d", c.MaxRecordBytes, maxBlockBytes, DefaultMaxRecordBytes)
	}
	return errors.Join(faults...)
}

// Delimited is an open file of lines with a delimiter between the fields.
//
// Lines end with LF or CRLF; the last one may end with the file. A field is the bytes between delimiters. An empty field is NULL where
// the column may be, the empty string in a text column, and refused elsewhere. An empty line is a record only where the schema
// has one column; the empty rest behind the last newline is none.
//
// Without a Quote a record is a line, and a field that begins with '"' is refused: it is not misread as text. With one, fields are as
// RFC 4180 has them: a field that begins with the quote ends with it, delimiters and newlines between the two are text, and two
// quotes there are one. CRLF between quotes stays as it is. Any type may be quoted; "" is the empty string in a text column, and like
// an empty field in others. Quotes anywhere else, or bytes behind a closing one, send their record to quarantine; its fields and its
// end are found as if such a quote were any other byte. A quote that is not closed makes one record of the rest of the file: of a record
// longer than MaxRecordBytes the beginning goes to quarantine, and reading goes on behind its end, which is found without
// keeping the record in memory. So no part of a quoted text is ever taken for a record.
//
//	boolean          true, false, t, f, 1, 0, in any case
//	bigint           decimal digits with an optional sign
//	double precision what strconv.ParseFloat takes: 1.5, -2e10, NaN, Infinity
//	decimal(p,s)     digits with an optional point; more than s behind it are refused unless they are zeros
//	timestamp        2026-01-31T12:30:45.123456789Z, +01:00 for a zone, a space for T; no zone is UTC; a date alone is its midnight
//	text             any bytes
type Delimited struct {
	cfg    DelimitedConfig
	file   *os.File
	path   string
	size   int64
	fields []field
	lines  lineIndex
	open   atomic.Int64 // readers not yet closed

	quoting    quoting
	quoteTable quoteTable // nil without quotes
}

// OpenDelimited opens a file. The error says what is wrong with the configuration, or that the file is missing, a directory, or
// cannot be read. Readers makes what reads it.
func OpenDelimited(path string, cfg DelimitedConfig) (*Delimited, error) {
	if cfg.Delimiter == 0 {
		cfg.Delimiter = ','
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.BlockBytes == 0 {
		cfg.BlockBytes = DefaultBlockBytes
	}
	if cfg.MaxRecordBytes == 0 {
		cfg.MaxRecordBytes = DefaultMaxRecordBytes
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("readers: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("readers: %w", err)
	}
	if !info.Mode().IsRegular() {
		f.Close()
		kind := "not a regular file"
		if info.IsDir() {
			kind = "a directory"
		}
		return nil, fmt.Errorf("readers: %s is %s, expected a file of lines", path, kind)
	}
	d := &Delimited{cfg: cfg, file: f, path: path, size: info.Size(), fields: compileFields(cfg.Schema, cfg.Quote)}
	if d.quoting = (quoting{cfg.Delimiter, cfg.Quote}); cfg.Quote != 0 {
		d.quoteTable = make(quoteTable, (d.size+int64(cfg.BlockBytes)-1)/int64(cfg.BlockBytes))
	}
	d.lines = lineIndex{file: f, size: d.size, before: []int64{0}}
	return d, nil
}

// Size is the size of the file in bytes, as it was when it was opened.
func (d *Delimited) Size() int64 { return d.size }

// Readers makes n readers that share the file's blocks. It is called once; the file is closed with the last of them. Each can be
// polled, and knows the line of an offset.
func (d *Delimited) Readers(n int) []record.Reader {
	rs := make([]record.Reader, n)
	for i := range rs {
		rs[i] = &delimitedReader{file: d, id: i, block: int64(i), step: int64(n), stripe: maxStripe}
	}
	d.open.Store(int64(n))
	if n == 0 {
		d.file.Close()
	}
	return rs
}

// delimitedReader reads every step-th block of a file.
type delimitedReader struct {
	file  *Delimited
	id    int
	block int64 // to read next
	step  int64

	buf         []byte // pad, what was read, pad
	pos, end    int    // records that are left of this block: buf[pos:end], which ends with a newline
	base        int64  // the offset in the file of buf[0]
	oversized   bool   // the record behind end is longer than allowed: reject it
	structurals structurals
	stripe      int // how many records to parse together

	// Only with quotes:
	quotes  quoteCursor
	inner   []uint32 // where the fields of a column are inside of their quotes
	doubled bool     // this stripe has texts in which two quotes are still two
}

// Poll reads records of one block, up to the capacity of the batch.
func (r *delimitedReader) Poll(b *record.Batch) error {
	for r.pos == r.end {
		if r.oversized {
			if !b.Reject(r.tooLong()) {
				return nil
			}
			r.oversized = false
		}
		if r.block*int64(r.file.cfg.BlockBytes) >= r.file.size {
			return io.EOF
		}
		if err := r.load(); err != nil {
			return fmt.Errorf("readers: %w", err)
		}
		if len(b.Rejects()) > 0 {
			return nil // of the block before
		}
	}
	r.parse(b)
	return nil
}

// Read is Poll: a file does not keep anybody waiting for long.
func (r *delimitedReader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Close closes the file with its last reader.
func (r *delimitedReader) Close() error {
	r.buf = nil
	if r.file.open.Add(-1) == 0 {
		return r.file.file.Close()
	}
	return nil
}

// String names the reader.
func (r *delimitedReader) String() string { return "file " + r.file.path }

// Line is the line of an offset, counted when asked.
func (r *delimitedReader) Line(offset int64) (int64, error) { return r.file.lines.line(offset) }

// load reads the next block of this reader and finds the records that begin in it.
func (r *delimitedReader) load() error {
	d := r.file
	size := int64(d.cfg.BlockBytes)
	begin := r.block * size
	next := min(begin+size, d.size) // where the next block begins
	r.block += r.step

	// The byte before the block says whether a record begins with it.
	from := max(begin-1, 0)
	r.base = from - pad
	n := int(min(next-from+tailBytes, d.size-from))
	r.buf = resize(r.buf, pad+n+pad)
	if err := d.readAt(r.buf[pad:pad+n], from); err != nil {
		return err
	}
	data := r.buf[pad : pad+n]
	if d.cfg.Quote != 0 {
		return r.loadQuoted(begin, next)
	}
	first := 0
	if begin > 0 || d.cfg.Header {
		i := bytes.IndexByte(data[:next-from], '\n')
		if i < 0 {
			r.pos, r.end = 0, 0 // no record begins in this block
			return nil
		}
		first = i + 1
	}
	// The last record that begins before next ends with the first newline from next-1 on.
	last := int(next - from - 1)
	for {
		if i := bytes.IndexByte(data[last:], '\n'); i >= 0 {
			last += i + 1
			break
		}
		last = len(data)
		atEnd := from+int64(last) == d.size
		recordStart := bytes.LastIndexByte(data[:next-from-1], '\n') + 1
		if last-recordStart > d.cfg.MaxRecordBytes {
			last = recordStart
			r.oversized = true
			break
		}
		if atEnd {
			// The file ends without a newline: give it one.
			r.buf = resize(r.buf, pad+last+1+pad)
			r.buf[pad+last] = '\n'
			last++
			break
		}
		more := int(min(int64(last), d.size-from-int64(last))) // twice as much as now
		r.buf = resize(r.buf, pad+last+more+pad)
		data = r.buf[pad : pad+last+more]
		if err := d.readAt(data[last:], from+int64(last)); err != nil {
			return err
		}
	}
	r.pos, r.end = pad+min(first, last), pad+last
	r.structurals.reset(r.pos, len(d.fields))
	return nil
}

// loadQuoted is the rest of load where a newline may be in quotes. The block is in the buffer, and the byte before it.
func (r *delimitedReader) loadQuoted(begin, next int64) error {
	d, q := r.file, r.file.quoting
	block := begin / int64(d.cfg.BlockBytes)
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
	if begin > 0 || d.cfg.Header {
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
		if end-recordStart > d.cfg.MaxRecordBytes {
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
	r.structurals.reset(r.pos, len(d.fields))
	r.structurals.quoted = quotes || state == inQuotes || bytes.IndexByte(r.buf[min(tail, last):last], q.quote) >= 0
	if r.structurals.quoted && r.inner == nil {
		r.inner = make([]uint32, 2*maxStripe)
	}
	return nil
}

// resize is b with n bytes, of which it keeps those it had.
func resize(b []byte, n int) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	c := make([]byte, n)
	copy(c, b)
	return c
}

// readAt fills b from offset on. A file that has become shorter is an error: what was read before may not be what is there now.
func (d *Delimited) readAt(b []byte, offset int64) error {
	n, err := d.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file ends at offset %d, it had %d bytes when it was opened", d.path, offset+int64(n), d.size)
	}
	return fmt.Errorf("%s: offset %d: %w", d.path, offset+int64(n), err)
}

// tooLong is the reject for the record behind the end.
func (r *delimitedReader) tooLong() record.Reject {
	rest := r.buf[r.end : len(r.buf)-pad]
	reason := fmt.Errorf("a record of more than %d bytes", r.file.cfg.MaxRecordBytes)
	if r.file.cfg.Quote != 0 {
		if o := r.file.quoting.outline(rest); o.open >= 0 {
			reason = fmt.Errorf("a record of more than %d bytes: the quote at offset %d is not closed within them",
				r.file.cfg.MaxRecordBytes, r.base+int64(r.end+o.open))
		}
	}
	return record.Reject{Offset: r.base + int64(r.end), Reason: reason, Bytes: rest}
}
