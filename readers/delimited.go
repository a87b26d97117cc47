package readers

import (
	"bytes"
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

	// DefaultMaxRecordBytes bounds a line.
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
	Header         bool // the first line is not a record
	BlockBytes     int  // 0 is DefaultBlockBytes
	MaxRecordBytes int  // a longer line goes to quarantine; 0 is DefaultMaxRecordBytes
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
// Lines end with LF or CRLF; the last one may end with the file. A field is the bytes between delimiters: quotes are not
// understood, and a field that begins with one is refused. An empty field is NULL where the column may be, the empty string in
// a text column, and refused elsewhere. An empty line is a record only where the schema has one column; the empty rest behind
// the last newline is none.
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
	d := &Delimited{cfg: cfg, file: f, path: path, size: info.Size(), fields: compileFields(cfg.Schema)}
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
	return record.Reject{
		Offset: r.base + int64(r.end),
		Reason: fmt.Errorf("a line of more than %d bytes", r.file.cfg.MaxRecordBytes),
		Bytes:  rest,
	}
}
