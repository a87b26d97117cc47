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
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// Limits and defaults of files of lines, whatever the format of a line is.
const (
	// DefaultBlockBytes is the size of the blocks that a file is dealt in. A block is small enough
	// that what the kernel has copied into the buffer is still in the second-level cache when it is
	// parsed, and large enough that the short batch at the end of a block does not matter.
	DefaultBlockBytes = 128 << 10
	maxBlockBytes     = 1 << 30 // places in a block are kept in 32 bits

	// DefaultMaxRecordBytes bounds a record, and so how much is read into memory when a record does
	// not end.
	DefaultMaxRecordBytes = 1 << 20

	// tailBytes is how much is read after a block at first, for the end of its last record.
	tailBytes = 4096

	// pad bytes lie on either side of the data, so that a vector can be loaded from any place in
	// it, forwards and backwards.
	pad = 64
)

// stretch is the part of a source that is in memory: whole records, and perhaps the beginning of
// one that is too long.
type stretch struct {
	buf       []byte  // pad, data, pad
	pos, end  int     // records that are left: buf[pos:end], which ends with a newline
	base      int64   // offset in the source of buf[0]
	size      int64   // size of the source; math.MaxInt64 as long as it is not known
	oversized bool    // the record after end is longer than allowed: reject it
	lay       *layout // layout of the fields, for lines that have one

	// Used only if one reader reads a source from its beginning:
	line    int64 // line that counted is in, from 1; 0 if lines are not counted
	counted int   // a place in buf, at or before pos

	// asked says that somebody wants to know the lines of each batch; first and next are the lines
	// of the last one, see record.LineCounter.
	asked       bool
	first, next int64
}

// countBatch parses a batch, and notes its lines if somebody wants to know them.
func (w *stretch) countBatch(b *record.Batch, parse func(*record.Batch)) {
	if !w.asked {
		parse(b)
		return
	}
	w.first = w.lineAt(w.pos)
	parse(b)
	w.next = w.lineAt(w.pos)
}

// lineAt returns the line of a place in buf, or 0 if lines are not counted. Places must be asked
// for in ascending order.
func (w *stretch) lineAt(place int) int64 {
	if w.line > 0 {
		w.line += int64(bytes.Count(w.buf[w.counted:place], []byte{'\n'}))
		w.counted = place
	}
	return w.line
}

// A parser makes rows of the records of a stretch, which it holds by value. It is called once for
// each batch and stretch.
type parser interface {
	// loaded returns the stretch, to be filled when all of its records have been parsed.
	loaded() *stretch
	// begin is called when the stretch has been filled.
	begin()
	// parse reads records into b until either is exhausted, or until b has no room for a reject.
	parse(b *record.Batch)
	// tooLong returns the reject of the record after the end of the stretch.
	tooLong() record.Reject
	// project says which columns are read. It is called before the first stretch.
	project(read []bool)
}

func (w *stretch) loaded() *stretch { return w }

// lineFile is an open file of lines, which is dealt in blocks to readers.
type lineFile struct {
	file           *os.File
	path           string
	size           int64
	start          int64 // offset of the first record, and of the first block
	blockBytes     int64
	maxRecordBytes int
	lines          lineIndex
	open           atomic.Int64 // readers that are not closed yet
}

// openLines opens a file. The callers fill in the defaults of both limits.
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

// deal makes n readers, which share the blocks of f.
func (f *lineFile) deal(n int, reader func(blockReader) record.Reader) []record.Reader {
	rs := make([]record.Reader, n)
	for i := range rs {
		rs[i] = reader(blockReader{file: f, block: int64(i), step: int64(n), waits: f.share(i, n)})
	}
	f.open.Store(int64(n))
	if n == 0 {
		f.file.Close()
	}
	return rs
}

// share is how many bytes the blocks of one of n readers have.
func (f *lineFile) share(i, n int) *atomic.Int64 {
	r := blockReader{file: f, block: int64(i), step: int64(n), waits: new(atomic.Int64)}
	r.measure()
	return r.waits
}

// readAt fills b from offset on. It is an error if the file has become shorter: what was read
// before may not be there any more.
func (f *lineFile) readAt(b []byte, offset int64) error {
	n, err := f.file.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file ends at offset %d, it had %d bytes when it was opened", f.path, offset+int64(n),
			f.size)
	}
	return fmt.Errorf("%s: offset %d: %w", f.path, offset+int64(n), err)
}

// blockReader reads every step-th block of a file.
type blockReader struct {
	file   *lineFile
	block  int64 // number of the block to read next, after the gaps
	step   int64
	gaps   []gap // blocks to be read first, after a restart
	parser parser
	// waits is how many bytes the blocks have that are to be read. Statistic.
	waits  *atomic.Int64
	memory []byte // what the buffer of a block lies in

	// The next fields are used if the engine keeps its state: see resume.go. split is empty
	// otherwise.
	split              string
	identity, position []byte
	at                 int64        // the block at hand, -1 before the first
	quoteStart         *quoteCursor // nil without quotes
	// find finds the records that begin in a block. buf has the bytes of the block and the byte
	// before it.
	find func(begin, next int64) error
}

// Poll reads records of one block, up to the capacity of the batch.
func (r *blockReader) Poll(b *record.Batch) error {
	err := r.poll(b)
	if r.split != "" {
		r.setPosition(b)
	}
	return err
}

func (r *blockReader) poll(b *record.Batch) error {
	for w := r.parser.loaded(); w.pos == w.end; {
		if w.oversized {
			if !b.Reject(r.parser.tooLong()) {
				return nil
			}
			w.oversized = false
		}
		err := r.load()
		if err == io.EOF {
			return err
		}
		if err != nil {
			return fmt.Errorf("readers: %w", err)
		}
		if len(b.Rejects()) > 0 {
			return nil // rejects of the previous block
		}
	}
	r.parser.loaded().countBatch(b, r.parser.parse)
	return nil
}

// CountLines has the lines of each batch counted, if this is the only reader of the file and reads
// it from its beginning.
func (r *blockReader) CountLines() {
	w := r.parser.loaded()
	if r.step != 1 || r.block != 0 || len(r.gaps) > 0 {
		return
	}
	line, err := r.file.lines.line(r.file.start)
	if err == nil {
		w.asked, w.line, w.counted = true, line, w.pos
	}
}

// Lines returns the lines of the last batch.
func (r *blockReader) Lines() (first, next int64) {
	w := r.parser.loaded()
	return w.first, w.next
}

// Read is Poll: a file keeps nobody waiting for long.
func (r *blockReader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Columns says which columns are read: see record.Projector.
func (r *blockReader) Columns(read []bool) { r.parser.project(read) }

// Close closes the file with its last reader.
func (r *blockReader) Close() error {
	r.parser.loaded().buf, r.memory = nil, nil
	if r.file.open.Add(-1) == 0 {
		return r.file.file.Close()
	}
	return nil
}

// String names the reader.
func (r *blockReader) String() string { return "file " + r.file.path }

// Line returns the line of an offset. Lines are counted when asked for.
func (r *blockReader) Line(offset int64) (int64, error) { return r.file.lines.line(offset) }

// load reads the next block of this reader and finds the records that begin in it. The error is
// io.EOF if there is none.
func (r *blockReader) load() error {
	block, begun, err := r.nextBlock()
	r.measure()
	if err != nil {
		return err
	}
	f, w := r.file, r.parser.loaded()
	begin := f.start + block*f.blockBytes
	next := min(begin+f.blockBytes, f.size) // where the next block begins
	r.at = block

	// The byte before the block says whether a record begins with the block.
	from := max(begin-1, f.start)
	w.base, w.size = from-pad, f.size
	n := int(min(next-from+tailBytes, f.size-from))
	if cap(w.buf) > cap(r.memory) {
		r.memory = w.buf // it had to grow
	}
	w.buf, r.memory = alignedTo(from-pad, r.memory, pad+n+pad)
	if err := f.readAt(w.buf[pad:pad+n], from); err != nil {
		return err
	}
	if err := r.find(begin, next); err != nil {
		return err
	}
	w.counted = w.pos
	if begun >= 0 && w.pos < w.end {
		w.pos = min(max(w.pos, int(begun-w.base)), w.end)
		r.parser.begin()
	}
	return nil
}

// measure notes how many bytes the blocks have that are to be read.
func (r *blockReader) measure() {
	f := r.file
	waits := int64(len(r.gaps)) * f.blockBytes
	if blocks := f.blocks(); r.block < blocks {
		mine := (blocks - r.block + r.step - 1) / r.step
		waits += mine * f.blockBytes
		if (blocks-1-r.block)%r.step == 0 { // the last one, which is shorter, is one of them
			waits -= f.start + blocks*f.blockBytes - f.size
		}
	}
	r.waits.Store(waits)
}

// Lag says how many bytes the blocks of this reader have that it has not begun with. Any goroutine
// may call it.
func (r *blockReader) Lag() []record.Lag {
	return []record.Lag{{Split: r.String(), Bytes: uint64(max(r.waits.Load(), 0)), InBytes: true}}
}

// findLines finds the records of a block if every newline ends a record.
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
	// The last record that begins before next ends with the first newline at or after next-1.
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
			// The file ends without a newline: add one.
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

// resize returns b with n bytes, keeping its contents.
func resize(b []byte, n int) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	c := make([]byte, n)
	copy(c, b)
	return c
}

// cacheLine is how many bytes processors copy at a time.
const cacheLine = 64

// alignedTo returns n bytes of memory, or of new memory if that is too small, which lie in cache
// lines as the bytes of a file from an offset on do. The kernel then copies whole lines: some
// processors take up to five times as long otherwise.
func alignedTo(offset int64, memory []byte, n int) (b, all []byte) {
	memory = resize(memory[:0], cacheLine+n)
	skip := (uintptr(offset) - uintptr(unsafe.Pointer(unsafe.SliceData(memory)))) % cacheLine
	return memory[skip:][:n], memory
}

// checkLimits reports what is wrong with the limits of a configuration of lines.
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

// lineLength is the length of the first line of text, including its newline, which must be there.
func lineLength(text []byte) int { return bytes.IndexByte(text, '\n') + 1 }
