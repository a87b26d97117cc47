// Package inflate unpacks DEFLATE (RFC 1951), several times as fast as package compress/flate, of
// which it is the twin: both give the same bytes, and both an error or none.
//
// # How it is fast
//
// Codes are looked up in tables of ten bits. An entry has two literals if both of their codes fit.
// As long as there is enough input and room, Reader.fast unpacks without any check for the end of
// either, reads eight bytes at a time and copies sixteen. Reader.careful does the rest, one symbol
// at a time, with all checks. It can stop before any symbol whose bits have not come yet, so that
// nothing that is unpacked waits for input.
package inflate

import (
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
)

const (
	// historyBytes is how far back DEFLATE may refer.
	historyBytes = 32 << 10

	// outputBytes is how much is unpacked at a time. It and the history lie in the cache of the
	// second level.
	outputBytes = 128 << 10

	// outputMargin is what one step of fast may write: literals, a match, and what its last wide
	// store writes too much.
	outputMargin = 8 + maxMatch + 64
	maxMatch     = 258

	// inputMargin is what one step of fast may read.
	inputMargin = 32

	// inputBytes is how much input is read at a time. It has room for the longest header of a
	// block, which is less than a KiB.
	inputBytes = 64 << 10

	// maxEmptyReads is how often the io.Reader may return nothing and no error, one after another.
	maxEmptyReads = 100
)

// A state says what comes next in the input.
type state uint8

const (
	header state = iota // of a block
	stored
	coded
	ended
)

// bitReader is a place in the input. Bits that have been read into a word come first.
type bitReader struct {
	word  uint64
	count uint // bits of word, at most 63; those above are not valid, and 0 outside of fast
	pos   int  // the next byte of Reader.in
}

// A Reader unpacks one stream after another from an io.Reader. It reads more than they have, and so
// has methods for what lies between them.
type Reader struct {
	src     io.Reader
	in      []byte
	end     int   // of what is read in in
	dropped int64 // bytes that lay before in
	srcErr  error // error of src, for after what it has read

	bits  bitReader
	state state
	last  bool // the block is the last one
	left  int  // bytes of a stored block
	err   error

	out    []byte // history and output
	begin  int    // first byte in out of this stream
	read   int    // what lies before has been returned
	to     int    // end of the output
	codes  *tables
	own    tables
	length [maxLit + maxDist]uint8
}

// NewReader makes a Reader.
func NewReader(src io.Reader) *Reader {
	return &Reader{
		src: src, in: make([]byte, inputBytes),
		out: make([]byte, historyBytes+outputBytes+outputMargin),
	}
}

// Reset goes on with another io.Reader.
func (r *Reader) Reset(src io.Reader) {
	r.src, r.srcErr, r.end, r.dropped, r.bits = src, nil, 0, 0, bitReader{}
	r.Next()
}

// Next begins with another stream, at the place in the input after the last one.
func (r *Reader) Next() {
	r.state, r.last, r.err = header, false, nil
	r.read, r.begin = r.to, r.to
}

// Offset is how many bytes of the input have been used.
func (r *Reader) Offset() int64 { return r.dropped + int64(r.bits.pos) - int64(r.bits.count/8) }

// ReadByte reads a byte of the input that lies before a stream, or after one.
func (r *Reader) ReadByte() (byte, error) {
	for !r.need(8) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return byte(r.take(8)), nil
}

// Read unpacks. What comes before an error has been returned when the error is.
func (r *Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for r.read == r.to {
		if r.err != nil {
			return 0, r.err
		}
		r.slide()
		r.run()
	}
	n := copy(b, r.out[r.read:r.to])
	r.read += n
	return n, nil
}

// slide makes room for output, all of which has been returned.
func (r *Reader) slide() {
	if r.to < historyBytes+outputBytes/2 {
		return
	}
	from := r.to - historyBytes
	copy(r.out, r.out[from:r.to])
	r.begin = max(r.begin-from, 0)
	r.read, r.to = historyBytes, historyBytes
}

// room is where output ends: a symbol may begin before it.
func (r *Reader) room() int { return len(r.out) - outputMargin }

// run unpacks until there is no room, or no input and something to return, or an end.
func (r *Reader) run() {
	for r.err == nil && r.to < r.room() {
		var more bool // input is missing
		switch r.state {
		case header:
			at := r.bits
			more = !r.readHeader()
			if more {
				r.bits = at
			}
		case stored:
			more = !r.copyStored()
		case coded:
			r.fast()
			more = r.state == coded && r.err == nil && !r.careful()
		case ended:
			r.align()
			r.err = io.EOF
		}
		if !more {
			continue
		}
		if r.to > r.read {
			return
		}
		if err := r.fill(); err != nil {
			r.err = err
		}
	}
}

// fill reads more input. The end of it is io.ErrUnexpectedEOF.
func (r *Reader) fill() error {
	if r.srcErr == nil {
		if r.bits.pos > 0 {
			r.dropped += int64(r.bits.pos)
			r.end = copy(r.in, r.in[r.bits.pos:r.end])
			r.bits.pos = 0
		}
		n := 0
		for range maxEmptyReads {
			n, r.srcErr = r.src.Read(r.in[r.end:])
			if n > 0 || r.srcErr != nil {
				break
			}
		}
		r.end += n
		if n > 0 {
			return nil
		}
		if r.srcErr == nil {
			r.srcErr = io.ErrNoProgress
		}
	}
	if r.srcErr == io.EOF { //nolint:errorlint // an io.Reader returns it as it is
		return io.ErrUnexpectedEOF
	}
	return r.srcErr
}

// need says whether the next n bits of input are there, at most 48.
func (r *Reader) need(n uint) bool {
	b := &r.bits
	for b.count < n {
		if b.pos == r.end {
			return false
		}
		b.word |= uint64(r.in[b.pos]) << b.count
		b.pos++
		b.count += 8
	}
	return true
}

// take takes the next n bits, which are there.
func (r *Reader) take(n uint) int {
	v := r.bits.word & (1<<n - 1)
	r.bits.word >>= n
	r.bits.count -= n
	return int(v)
}

// align goes to the next whole byte.
func (r *Reader) align() { r.take(r.bits.count & 7) }

// corrupt says that the input is not DEFLATE.
func (r *Reader) corrupt() { r.err = flate.CorruptInputError(r.Offset()) }

// endBlock goes on after a block.
func (r *Reader) endBlock() {
	r.state = header
	if r.last {
		r.state = ended
	}
}

// readHeader reads the beginning of a block. It returns false if input is missing.
func (r *Reader) readHeader() bool {
	if !r.need(3) {
		return false
	}
	last := r.take(1) == 1
	switch r.take(2) {
	case 0:
		r.align()
		if !r.need(32) {
			return false
		}
		n, check := r.take(16), r.take(16)
		if n != check^0xffff {
			r.corrupt()
			return true
		}
		r.left, r.state = n, stored
	case 1:
		r.codes, r.state = &fixed, coded
	case 2:
		if !r.readCodes() {
			return false
		}
	default:
		r.corrupt()
	}
	r.last = last
	return true
}

// readCodes reads the codes of a block. It returns false if input is missing.
func (r *Reader) readCodes() bool {
	if !r.need(14) {
		return false
	}
	lits, dists, n := r.take(5)+257, r.take(5)+1, r.take(4)+4
	if lits > maxLit || dists > maxDist {
		r.corrupt()
		return true
	}
	var lengths [len(codeOrder)]uint8
	for _, at := range codeOrder[:n] {
		if !r.need(3) {
			return false
		}
		lengths[at] = uint8(r.take(3))
	}
	var table [1 << 7]uint32
	none := slices.Max(lengths[:]) == 0 // there are symbols to read, and no codes for them
	if none || !fillTable(table[:], 7, lengths[:], litSymbols[:]) {
		r.corrupt()
		return true
	}
	all := r.length[:lits+dists]
	for i := 0; i < len(all); {
		_ = r.need(7) // or what there is
		e := table[r.bits.word&(1<<7-1)]
		if e&noCode != 0 && e&notLiteral != 0 {
			if r.bits.count == 0 {
				return false
			}
			r.corrupt()
			return true
		}
		if e&takeBits > uint32(r.bits.count) {
			return false
		}
		r.take(uint(e & takeBits))
		value, repeat := uint8(e>>baseShift), 1
		switch value {
		case 16:
			if !r.need(2) {
				return false
			}
			repeat = 3 + r.take(2)
			if i == 0 {
				r.corrupt()
				return true
			}
			value = all[i-1]
		case 17:
			if !r.need(3) {
				return false
			}
			repeat, value = 3+r.take(3), 0
		case 18:
			if !r.need(7) {
				return false
			}
			repeat, value = 11+r.take(7), 0
		}
		if repeat > len(all)-i {
			r.corrupt()
			return true
		}
		for range repeat {
			all[i] = value
			i++
		}
	}
	if !r.own.build(all[:lits], all[lits:]) {
		r.corrupt()
		return true
	}
	r.codes, r.state = &r.own, coded
	return true
}

// copyStored copies of a stored block what there is. It returns false if input is missing.
func (r *Reader) copyStored() bool {
	for r.bits.count > 0 && r.left > 0 && r.to < r.room() {
		r.out[r.to] = byte(r.take(8))
		r.to++
		r.left--
	}
	if r.left > 0 && r.to < r.room() {
		n := copy(r.out[r.to:r.room()], r.in[r.bits.pos:min(r.end, r.bits.pos+r.left)])
		r.bits.pos += n
		r.to += n
		r.left -= n
		if n == 0 {
			return false
		}
	}
	if r.left == 0 {
		r.endBlock()
	}
	return true
}

// careful unpacks one symbol after another, with all checks, until fast can go on or the block
// ends. It returns false if input is missing. It is the twin of fast.
func (r *Reader) careful() bool {
	for r.to < r.room() {
		at := r.bits
		_ = r.need(maxCode) // or what there is
		e := r.codes.lit[r.bits.word&(1<<litBits-1)]
		switch {
		case e&notLiteral == 0:
			// Only the first literal: the bits of the second may not be there.
			n := e >> firstShift & codeMask
			if n > uint32(r.bits.count) {
				r.bits = at
				return false
			}
			r.take(uint(n))
			r.out[r.to] = byte(e >> baseShift)
			r.to++
			continue
		case e&special != 0 && e&(endOfBlock|noCode) == 0:
			if r.bits.count < litBits {
				r.bits = at
				return false
			}
			r.take(litBits)
			e = r.codes.lit[uint64(e>>baseShift)+r.bits.word&(1<<(e>>codeShift&codeMask)-1)]
		}
		n := e >> codeShift & codeMask // of a length
		if e&(notLiteral|special) != notLiteral {
			n = e & takeBits
		}
		switch {
		case e&(notLiteral|noCode) == notLiteral|noCode && e&special != 0:
			if r.bits.count == 0 {
				return false
			}
			r.corrupt()
			return true
		case n > uint32(r.bits.count):
			r.bits = at
			return false
		case e&notLiteral == 0:
			r.take(uint(n))
			r.out[r.to] = byte(e >> baseShift)
			r.to++
			continue
		case e&special != 0:
			r.take(uint(n))
			r.endBlock()
			return true
		}
		r.take(uint(n))
		if !r.match(e) {
			if r.err == nil {
				r.bits = at
				return false
			}
			return true
		}
		if r.end-r.bits.pos >= 2*inputMargin && r.to < r.room() {
			return true
		}
	}
	return true
}

// match reads the rest of a match, after the code of its length. It returns false if input is
// missing, or after an error.
func (r *Reader) match(e uint32) bool {
	more := uint(e&takeBits - e>>codeShift&codeMask)
	if !r.need(more) {
		return false
	}
	length := int(e>>baseShift) + r.take(more)
	_ = r.need(maxCode) // or what there is
	e = r.codes.dist[r.bits.word&(1<<distBits-1)]
	if e&special != 0 && e&noCode == 0 {
		if r.bits.count < distBits {
			return false
		}
		r.take(distBits)
		e = r.codes.dist[uint64(e>>baseShift)+r.bits.word&(1<<(e>>codeShift&codeMask)-1)]
	}
	if e&special != 0 {
		if r.bits.count > 0 {
			r.corrupt()
		}
		return false
	}
	n := uint(e >> codeShift & codeMask)
	if n > r.bits.count {
		return false
	}
	r.take(n)
	more = uint(e&takeBits) - n
	if !r.need(more) {
		return false
	}
	distance := int(e>>baseShift) + r.take(more)
	if distance > r.to-r.begin {
		r.corrupt()
		return false
	}
	for range length {
		r.out[r.to] = r.out[r.to-distance]
		r.to++
	}
	return true
}

// load reads eight bytes as a number.
func load(b *[8]byte) uint64 { return binary.LittleEndian.Uint64(b[:]) }
