// Package compressed unpacks files as they are read: gzip, zstd, lz4, and s2 and snappy in their
// framed form. It recognises them by their first bytes.
//
//	in, format, err := compressed.Open("trades.ndjson.zst")
//	cfg := readers.NDJSONConfig{Schema: trades}
//	r, err := readers.NewNDJSONStream("trades.ndjson.zst", in, cfg)
//
// It is separate from package readers so that a service that reads no such files does not need the
// libraries that unpack them. A compressed file is one stream, which is read from its beginning;
// several files can be read side by side. Open unpacks a file of several members of gzip
// (written by bgzip, or by cat) or frames of zstd (written by pzstd) on several goroutines, in
// order; see MaxPartBytes. Unpacking gzip or zstd takes longer than reading the lines that come of
// it: leave half of the cores to it (engine.Config.Cores), since runners are pinned to theirs.
//
// If a file is damaged, everything before the damage is unpacked, and then comes an error that says
// where in the compressed file it was found. Memory is bounded: a zstd window of more than
// MaxWindowBytes is refused.
package compressed

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	// MaxWindowBytes is how far back a zstd file may refer, and so how much memory unpacking it
	// takes. It is what zstd itself accepts by default.
	MaxWindowBytes = 128 << 20

	// MagicBytes is how many first bytes identify a format.
	MagicBytes = 10

	// inputBytes is how much of the compressed file is read at a time.
	inputBytes = 64 << 10
)

// A Format is a way to compress.
type Format string

// The formats.
const (
	None Format = "" // not compressed, or not a known format
	Gzip Format = "gzip"
	Zstd Format = "zstd"
	LZ4  Format = "lz4"
	S2   Format = "s2" // also snappy, which is a part of it
)

// magics are the first bytes of the formats.
var magics = []struct {
	bytes  string
	format Format
}{
	{"\x1f\x8b", Gzip},
	{"\x28\xb5\x2f\xfd", Zstd},
	{"\x04\x22\x4d\x18", LZ4},
	{"\xff\x06\x00\x00sNaPpY", S2},
	{"\xff\x06\x00\x00S2sTwO", S2},
}

// Detect identifies the format by the first bytes of a file; MagicBytes of them are enough.
func Detect(head []byte) Format {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.format
		}
	}
	return None
}

// Open opens a file and unpacks it. It may be closed while it is being read. The format None says
// that the file is not compressed, or not in a known format; it is read as it is.
func Open(path string) (io.ReadCloser, Format, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, None, fmt.Errorf("compressed: %w", err)
	}
	in, format, err := openParts(f, unpackers())
	if err == nil && in == nil {
		in, format, err = NewReader(f)
	}
	return opened(f, in, format, err)
}

// OpenStream is like Open, but unpacks the file on the goroutine that reads it. This costs less if
// only the beginning is wanted.
func OpenStream(path string) (io.ReadCloser, Format, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, None, fmt.Errorf("compressed: %w", err)
	}
	in, format, err := NewReader(f)
	return opened(f, in, format, err)
}

// opened is an open file and what unpacks it, or the error with the name of the file.
func opened(f *os.File, in io.ReadCloser, format Format, err error) (io.ReadCloser, Format, error) {
	if err != nil {
		return nil, format, errors.Join(fmt.Errorf("compressed: %s: %w", f.Name(), err), f.Close())
	}
	return &file{in: in, file: f}, format, nil
}

// unpackers is how many goroutines may unpack a file.
func unpackers() int { return min(runtime.GOMAXPROCS(0), runtime.NumCPU()) }

// openParts unpacks a file on several goroutines. It returns nil if it has only one to use, or is
// not in a format with parts, or may be slow to come.
func openParts(f *os.File, workers int) (io.ReadCloser, Format, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || workers < 2 {
		return nil, None, err
	}
	head := make([]byte, MagicBytes)
	n, _ := f.ReadAt(head, 0)
	format := Detect(head[:n])
	if format != Gzip && format != Zstd {
		return nil, None, nil // if the file cannot be read, Read says so
	}
	p, err := newParts(format, &counter{in: f}, workers, partLimits{partBytes, MaxPartBytes, MaxPartOutput})
	if err != nil {
		return nil, format, errors.Join(err, p.Close())
	}
	return p, format, nil
}

// file is an open file and what it unpacks to.
type file struct {
	// A reader may be closed while it is being read, but the unpacker may not: mu keeps the two
	// apart.
	mu   sync.Mutex
	in   io.ReadCloser
	file *os.File
	done bool
}

// Read unpacks.
func (f *file) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return 0, os.ErrClosed
	}
	return f.in.Read(b)
}

// File is the compressed file. The bytes that Read gives depend on nothing else: see
// readers.FileReader.
func (f *file) File() *os.File { return f.file }

// Close waits for a Read and closes the file.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return os.ErrClosed
	}
	f.done = true
	return errors.Join(f.in.Close(), f.file.Close())
}

// NewReader unpacks what in has, in the format that its first bytes identify. Close releases the
// memory; it does not close in.
func NewReader(in io.Reader) (io.ReadCloser, Format, error) {
	counted := &counter{in: in}
	buffered := bufio.NewReaderSize(counted, inputBytes)
	head, err := begin(buffered)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, None, err
	}
	format := Detect(head)
	if format == None {
		return io.NopCloser(buffered), None, nil
	}
	u, err := newUnpacker(format, buffered, func() int64 { return counted.n - int64(buffered.Buffered()) })
	if err != nil {
		return nil, format, err
	}
	return u, format, nil
}

// newUnpacker unpacks a format as one stream; packed is how much of the file has been used, unless
// the unpacker of the format knows that better.
func newUnpacker(format Format, in io.Reader, packed func() int64) (*unpacker, error) {
	u := &unpacker{format: format, packed: packed, close: func() error { return nil }}
	switch format {
	case Gzip:
		z, err := newGunzip(in, packed())
		u.out, u.packed = z, z.offset
		if err != nil {
			return nil, u.fault(err)
		}
	case Zstd:
		// With one decoder nothing is unpacked before it is asked for.
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindowBytes))
		if err != nil {
			return nil, u.fault(err)
		}
		u.out, u.close = z, func() error { z.Close(); return nil }
	case LZ4:
		u.out = lz4.NewReader(in)
	case S2:
		u.out = s2.NewReader(in)
	}
	return u, nil
}

// begin returns the bytes that identify the format. It waits for no more than it needs, because
// more may be long in coming.
func begin(in *bufio.Reader) (head []byte, err error) {
	for n := 1; ; n++ {
		head, err = in.Peek(n)
		if err != nil || !begun(head) {
			return head, err
		}
	}
}

// begun says whether more bytes may complete the first bytes of a format.
func begun(head []byte) bool {
	for _, m := range magics {
		if len(head) < len(m.bytes) && m.bytes[:len(head)] == string(head) {
			return true
		}
	}
	return false
}

// counter counts what has been read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if n < 0 || n > len(b) { // the unpackers trust the count and would slice by it
		return 0, fmt.Errorf("the io.Reader (%T) says that it has read %d bytes into %d, expected 0..%d", c.in, n,
			len(b), len(b))
	}
	c.n += int64(n)
	return n, err
}

// unpacker says where in the compressed file an error was found.
type unpacker struct {
	format Format
	out    io.Reader
	close  func() error
	packed func() int64
}

// Read unpacks.
func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.out.Read(b)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = u.fault(err)
	}
	return n, err
}

// Close releases the memory.
func (u *unpacker) Close() error { return u.close() }

func (u *unpacker) fault(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fmt.Errorf("%s: the compressed file is cut off, at or before its byte %d: %w", u.format, u.packed(),
			io.ErrUnexpectedEOF)
	case errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("%s: at or before byte %d of the compressed file: a wrong checksum: %w", u.format, u.packed(),
			err)
	}
	return fmt.Errorf("%s: at or before byte %d of the compressed file: %w", u.format, u.packed(), err)
}
