package readers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// Limits and defaults of files of lines, whatever the format of a line is.
const (
	// DefaultBlockBytes is the size of the blocks that a file is dealt in: what the kernel has copied into the buffer is still in the
	// second-level cache when it is looked at, and the batch that is cut short at the end of a block does not show yet.
	DefaultBlockBytes = 128 << 10
	maxBlockBytes     = 1 << 30 // places in a block are kept in 32 bits

	// DefaultMaxRecordBytes bounds a record, and so what is read into memory where a record does not end.
	DefaultMaxRecordBytes = 1 << 20

	// tailBytes is how much is read behind a block at first, for the end of its last record.
	tailBytes = 4096

	// pad bytes lie on either side of what was read, so that a vector can be loaded from any place in it, forwards and backwards.
	pad = 64
)

// stretch is the part of a source that is in memory: whole records, and perhaps the beginning of one that is too long.
type stretch struct {
	buf       []byte  // pad, what was read, pad
	pos, end  int     // records that are left: buf[pos:end], which ends with a newline
	base      int64   // the offset in the source of buf[0]
	size      int64   // of the source; math.MaxInt64 as long as it is not known
	oversized bool    // the record behind end is longer than allowed: reject it
	lay       *layout // of the fields of lines that have some

	// Only where a source is read by one reader from its beginning:
	line    int64 // that counted is in, from 1; 0 where lines are not counted
	counted int   // a place in buf, at or before pos
}

// lineAt is the line of a place in buf, at or behind all those it was asked for before; 0 where lines are not counted.
func (w *stretch) lineAt(place int) int64 {
	if w.line > 0 {
		w.line += int64(bytes.Count(w.buf[w.counted:place], []byte{'\n'}))
		w.counted = place
	}
	return w.line
}

// A parser makes rows of the records of a stretch, which it has by value. It is called once for each batch and stretch.
type parser interface {
	// loaded is the stretch, to be filled when all of its records are gone.
	loaded() *stretch
	// begin is called when the stretch has been filled.
	begin()
	// parse reads records into b until either is at its end, or b has no room for a reject.
	parse(b *record.Batch)
	// tooLong is the reject of the record behind the end of the stretch.
	tooLong() record.Reject
}

func (w *stretch) loaded() *stretch { return w }

// lineFile is an open file of lines, which is dealt in blocks to readers.
type lineFile struct {
	file           *os.File
	path           string
	size           int64
	start          int64 // of the first record, and of the first block
	blockBytes     int64
	maxRecordBytes int
	lines          lineIndex
	open           atomic.Int64 // readers not yet closed
}

// openLines opens a file; 0 is the default of either limit.
func openLines(path string, blockBytes, maxRecordBytes int) (*lineFile, error) {
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
	return &lineFile{
		file: f, path: path, size: info.Size(), blockBytes: int64(blockBytes), maxRecordBytes: maxRecordBytes,
		lines: lineIndex{file: f, size: info.Size(), before: []int64{0}},
	}, nil
}

// Size is the size of the file in bytes, as it was when it was opened.
func (f *lineFile) Size() int64 { return f.size }

// deal gives out the n readers that f was opened for.
func (f *lineFile) deal(n int, reader func(blockReader) record.Reader) []record.Reader {
	rs := make([]record.Reader, n)
	for i := range rs {
		rs[i] = reader(blockReader{file: f, block: int64(i), step: int64(n)})
	}
	f.open.Store(int64(n))
	if n == 0 {
		f.file.Close()
	}
	return rs
}

// readAt fills b from offset on. A file that has become shorter is an error: what was read before may not be what is there now.
func (f *lineFile) readAt(b []byte, offset int64) error {
	n, err := f.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file ends at offset %d, it had %d bytes when it was opened", f.path, offset+int64(n), f.size)
	}
	return fmt.Errorf("%s: offset %d: %w", f.path, offset+int64(n), err)
}

// blockReader reads every step-th block of a file.
type blockReader struct {
	file   *lineFile
	block  int64 // to read next
	step   int64
	parser parser
	// find finds the records that begin in a block of which buf has the bytes and the byte before.
	find func(begin, next int64) error
}

// Poll reads records of one block, up to the capacity of the batch.
func (r *blockReader) Poll(b *record.Batch) error {
	for w := r.parser.loaded(); w.pos == w.end; {
		if w.oversized {
			if !b.Reject(r.parser.tooLong()) {
				return nil
			}
			w.oversized = false
		}
		if r.file.start+r.block*r.file.blockBytes >= r.file.size {
			return io.EOF
		}
		if err := r.load(); err != nil {
			return fmt.Errorf("readers: %w", err)
		}
		if len(b.Rejects()) > 0 {
			return nil // of the block before
		}
	}
	r.parser.parse(b)
	return nil
}

// Read is Poll: a file does not keep anybody waiting for long.
func (r *blockReader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Close closes the file with its last reader.
func (r *blockReader) Close() error {
	r.parser.loaded().buf = nil
	if r.file.open.Add(-1) == 0 {
		return r.file.file.Close()
	}
	return nil
}

// String names the reader.
func (r *blockReader) String() string { return "file " + r.file.path }

// Line is the line of an offset, counted when asked.
func (r *blockReader) Line(offset int64) (int64, error) { return r.file.lines.line(offset) }

// load reads the next block of this reader and finds the records that begin in it.
func (r *blockReader) load() error {
	f, w := r.file, r.parser.loaded()
	begin := f.start + r.block*f.blockBytes
	next := min(begin+f.blockBytes, f.size) // where the next block begins
	r.block += r.step

	// The byte before the block says whether a record begins with it.
	from := max(begin-1, f.start)
	w.base, w.size = from-pad, f.size
	n := int(min(next-from+tailBytes, f.size-from))
	w.buf = resize(w.buf, pad+n+pad)
	if err := f.readAt(w.buf[pad:pad+n], from); err != nil {
		return err
	}
	return r.find(begin, next)
}

// findLines finds the records of a block where every newline ends one.
func (r *blockReader) findLines(begin, next int64) error {
	f, w := r.file, r.parser.loaded()
	from := w.base + pad
	data := w.buf[pad : len(w.buf)-pad]
	first := 0
	if begin > f.start {
		i := bytes.IndexByte(data[:next-from], '\n')
		if i < 0 {
			w.pos, w.end = 0, 0 // no record begins in this block
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
		atEnd := from+int64(last) == f.size
		recordStart := bytes.LastIndexByte(data[:next-from-1], '\n') + 1
		if last-recordStart > f.maxRecordBytes {
			last = recordStart
			w.oversized = true
			break
		}
		if atEnd {
			// The file ends without a newline: give it one.
			w.buf = resize(w.buf, pad+last+1+pad)
			w.buf[pad+last] = '\n'
			last++
			break
		}
		more := int(min(int64(last), f.size-from-int64(last))) // twice as much as now
		w.buf = resize(w.buf, pad+last+more+pad)
		data = w.buf[pad : pad+last+more]
		if err := f.readAt(data[last:], from+int64(last)); err != nil {
			return err
		}
	}
	w.pos, w.end = pad+min(first, last), pad+last
	r.parser.begin()
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

// checkLimits says what is wrong with the limits of a configuration of lines.
func checkLimits(blockBytes, maxRecordBytes int, fault func(format string, args ...any)) {
	if blockBytes < 0 || blockBytes > maxBlockBytes {
		fault("blocks of %d bytes, expected 1..%d, or 0 for %d", blockBytes, maxBlockBytes, DefaultBlockBytes)
	}
	if maxRecordBytes < 0 || maxRecordBytes > maxBlockBytes {
		fault("records of %d bytes, expected 1..%d, or 0 for %d", maxRecordBytes, maxBlockBytes, DefaultMaxRecordBytes)
	}
}

// unknownSize is the size of a source whose end has not been seen.
const unknownSize = math.MaxInt64

// lineLength is the length of the line that text begins with, with its newline, which is there.
func lineLength(text []byte) int { return bytes.IndexByte(text, '\n') + 1 }
