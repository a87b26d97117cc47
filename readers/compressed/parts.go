package compressed

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// partBytes is how much of a file one goroutine unpacks at a time: whole members of gzip or
	// frames of zstd, until they have as many bytes.
	partBytes = 256 << 10

	// MaxPartBytes is the size of the largest part. From a larger member or frame on, a file is
	// unpacked as one stream.
	MaxPartBytes = 4 << 20

	// MaxPartOutput is the most that a part may unpack to. From a part with more on, a file is
	// unpacked as one stream.
	MaxPartOutput = 64 << 20
)

// partLimits are partBytes, MaxPartBytes and MaxPartOutput, except in tests.
type partLimits struct{ bytes, most, output int }

// parts unpacks a file of several members or frames on several goroutines. What Read returns is in
// order and the same as from one stream, errors included.
//
// Where a member of gzip begins is a guess: the bytes there look like a header. If a guess was
// wrong, a part ends within a member. This is an error like any other: from the beginning of the
// part on, the file is unpacked as one stream.
//
// A part belongs to its goroutine until done is closed. All else belongs to who calls Read.
type parts struct {
	format  Format
	in      io.Reader
	inErr   error  // error of in, which comes after ahead
	ahead   []byte // what has been read of in and is in no part
	offset  int64  // of ahead in the file
	unsplit bool   // there are no more parts in ahead, and what follows it
	workers int
	limits  partLimits

	queue   []*part // being unpacked, or unpacked; in order
	free    []*part
	current *part  // the part of out
	out     []byte // unpacked, to be returned
	taken   int    // number of parts whose output was taken
	err     error  // at the end, or because the rest cannot be unpacked

	zstd    *zstd.Decoder
	stream  *unpacker // unpacks the rest of the file, once it is unpacked as one stream
	running sync.WaitGroup
}

// part is some whole members or frames.
type part struct {
	offset int64
	packed []byte
	out    []byte
	err    error
	done   chan struct{}
	gzip   *gunzip // kept for the next part
}

// errPartOutput says that a part unpacks to more than MaxPartOutput.
var errPartOutput = errors.New("a part is too large")

// newParts unpacks in, from the beginning of a file on.
func newParts(format Format, in io.Reader, workers int, limits partLimits) (*parts, error) {
	p := &parts{format: format, in: in, workers: workers, limits: limits}
	n := p.split()
	if n == 0 || n == len(p.ahead) && p.inErr != nil {
		return p, p.unpackRest() // one part gains nothing
	}
	if format == Zstd {
		var err error
		p.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers),
			zstd.WithDecoderMaxWindow(MaxWindowBytes), zstd.WithDecoderMaxMemory(uint64(limits.output)))
		if err != nil {
			return p, err
		}
	}
	p.start(n)
	return p, nil
}

// Read unpacks.
func (p *parts) Read(b []byte) (int, error) {
	for len(p.out) == 0 && p.stream == nil {
		if p.err == nil {
			p.err = p.next()
		}
		if p.err != nil {
			return 0, p.err
		}
	}
	if len(p.out) == 0 {
		return p.stream.Read(b)
	}
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}

// Close waits for the goroutines and releases the memory.
func (p *parts) Close() error {
	p.running.Wait()
	if p.zstd != nil {
		p.zstd.Close()
	}
	if p.stream != nil {
		return p.stream.Close()
	}
	return nil
}

// next goes on with the output of the next part, or with the stream that takes its place.
func (p *parts) next() error {
	if p.current != nil {
		p.free, p.current = append(p.free, p.current), nil
	}
	// A file of which only the beginning is read shall not keep all goroutines busy.
	for !p.unsplit && len(p.queue) < min(p.workers+1, p.taken+1) {
		n := p.split()
		if n == 0 {
			p.unsplit = true
			break
		}
		p.start(n)
	}
	if len(p.queue) == 0 {
		if len(p.ahead) == 0 && p.inErr == io.EOF { //nolint:errorlint // an io.Reader returns it as it is
			return io.EOF
		}
		return p.unpackRest()
	}
	first := p.queue[0]
	<-first.done
	if first.err != nil {
		return p.unpackRest()
	}
	p.queue, p.current, p.out = p.queue[1:], first, first.out
	p.taken++
	return nil
}

// unpackRest goes on with one stream, from the first part on whose output was not taken.
func (p *parts) unpackRest() (err error) {
	base := p.offset
	if len(p.queue) > 0 {
		base = p.queue[0].offset
	}
	var rest []io.Reader
	for _, q := range p.queue {
		rest = append(rest, bytes.NewReader(q.packed))
	}
	rest = append(rest, bytes.NewReader(p.ahead))
	if p.inErr != nil {
		rest = append(rest, failing{p.inErr})
	} else {
		rest = append(rest, p.in)
	}
	counted := &counter{in: io.MultiReader(rest...), n: base}
	buffered := bufio.NewReaderSize(counted, inputBytes)
	p.stream, err = newUnpacker(p.format, buffered, func() int64 { return counted.n - int64(buffered.Buffered()) })
	return err
}

// failing is an io.Reader that returns an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// start unpacks the first n bytes of ahead.
func (p *parts) start(n int) {
	q := &part{}
	if last := len(p.free) - 1; last >= 0 {
		q, p.free = p.free[last], p.free[:last]
	}
	q.offset, q.err, q.done = p.offset, nil, make(chan struct{})
	q.packed = append(q.packed[:0], p.ahead[:n]...)
	p.ahead = append(p.ahead[:0], p.ahead[n:]...)
	p.offset += int64(n)
	p.queue = append(p.queue, q)
	p.running.Go(func() {
		defer close(q.done)
		if p.format == Zstd {
			q.out, q.err = p.zstd.DecodeAll(q.packed, q.out[:0])
		} else {
			q.err = q.gunzip(p.limits.output)
		}
	})
}

// gunzip unpacks members of gzip.
func (q *part) gunzip(most int) (err error) {
	if q.gzip == nil {
		q.gzip, err = newGunzip(bytes.NewReader(q.packed), 0)
	} else {
		err = q.gzip.reset(bytes.NewReader(q.packed))
	}
	q.out = q.out[:0]
	for err == nil {
		if len(q.out) > most {
			return errPartOutput
		}
		if len(q.out) == cap(q.out) {
			q.out = append(make([]byte, 0, max(4*len(q.packed), 2*cap(q.out))), q.out...)
		}
		var n int
		n, err = q.gzip.Read(q.out[len(q.out):cap(q.out)])
		q.out = q.out[:len(q.out)+n]
	}
	if err == io.EOF { //nolint:errorlint // a gunzip returns it as it is
		return nil
	}
	return err
}

// split returns how many bytes of ahead are the next part. It is 0 if there is none: at the end,
// and before a member or frame that is too large.
func (p *parts) split() int {
	whole, searched := 0, p.limits.bytes
	for {
		if p.format == Zstd {
			var known bool
			whole, known = wholeFrames(p.ahead, whole, p.limits.bytes)
			if whole >= p.limits.bytes || !known {
				return whole
			}
		} else {
			if at := memberStart(p.ahead, searched); at >= 0 {
				return at
			}
			searched = max(searched, len(p.ahead)-gzipHeadBytes+1)
		}
		switch {
		case len(p.ahead) >= p.limits.most:
			return whole
		case p.inErr == io.EOF: //nolint:errorlint // an io.Reader returns it as it is
			return len(p.ahead)
		case p.inErr != nil:
			return 0
		}
		p.readAhead()
	}
}

// readAhead reads more of in.
func (p *parts) readAhead() {
	n := len(p.ahead)
	if cap(p.ahead)-n < inputBytes {
		p.ahead = slices.Grow(p.ahead, max(inputBytes, n)) // twice as much, so that little is copied
	}
	more, err := io.ReadFull(p.in, p.ahead[n:n+inputBytes])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	p.ahead, p.inErr = p.ahead[:n+more], err
}

// memberStart returns the first place in b from which on it looks like a member of gzip, or -1.
// Other bytes look so once in 100 GB.
func memberStart(b []byte, from int) int {
	for from+gzipHeadBytes <= len(b) {
		i := bytes.Index(b[from:len(b)-gzipHeadBytes+3], []byte{0x1f, 0x8b, gzipDeflate})
		if i < 0 {
			return -1
		}
		from += i
		flags, level, system := b[from+3], b[from+8], b[from+9]
		if flags < 32 && (level == 0 || level == 2 || level == 4) && (system <= 13 || system == 255) {
			return from
		}
		from++
	}
	return -1
}

// wholeFrames returns the place after the frames of zstd from a place on, which is where a frame
// begins, until it is at least least or the next frame is not whole. known is false if what comes
// there is not a frame.
func wholeFrames(b []byte, from, least int) (end int, known bool) {
	for from < least {
		n, known := frameLength(b[from:])
		if !known || from+n > len(b) {
			return from, known
		}
		from += n
	}
	return from, true
}

// frameLength is the length of the frame of zstd that b begins with (RFC 8878), or more than len(b)
// if the frame is not whole. known is false if b does not begin with a frame.
func frameLength(b []byte) (n int, known bool) {
	if len(b) < 8 {
		return 8, true
	}
	magic := binary.LittleEndian.Uint32(b)
	if magic&^15 == 0x184d2a50 { // a frame that is skipped
		return 8 + int(binary.LittleEndian.Uint32(b[4:])), true
	}
	if magic != 0xfd2fb528 {
		return 0, false
	}
	descriptor := b[4]
	single := descriptor >> 5 & 1
	n = 5 + [...]int{0, 1, 2, 4}[descriptor&3] + [...]int{int(single), 2, 4, 8}[descriptor>>6] + int(1-single)
	for last := false; !last; {
		if n+3 > len(b) {
			return n + 3, true
		}
		header := int(b[n]) | int(b[n+1])<<8 | int(b[n+2])<<16
		last = header&1 != 0
		size := header >> 3
		if header>>1&3 == 1 {
			size = 1 // one byte, repeated
		}
		n += 3 + size
	}
	return n + int(descriptor>>2&1)*4, true
}
