package readers

import (
	"bytes"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// A quoteState is one of four states that decide whether delimiters and newlines are structural.
// Every byte changes the state:
//
//	            quote        delimiter or newline   any other byte
//	fieldStart  inQuotes     fieldStart             bareField
//	bareField   bareField    fieldStart             bareField
//	inQuotes    afterQuote   inQuotes               inQuotes
//	afterQuote  inQuotes     fieldStart             bareField
//
// So a quote opens quotes only at the beginning of a field. A quote inside of a field without
// quotes, or after a closing quote, is a fault only of its own record: the records around it are
// where they would be without it.
//
// Sixty-four bytes are processed at a time, as simdjson does. The bytes inside of quotes are those
// with an odd number of quotes up to them, as long as every opening quote stands where it may. If
// one does not, it is taken out and the rest is done again.
type quoteState uint8

const (
	fieldStart quoteState = iota // after a delimiter or a newline
	// in a field without quotes, or in what wrongly follows a closing quote
	bareField
	inQuotes
	afterQuote // the quote closes, unless another one follows
	quoteStates
)

// quoting says which bytes of a file have a meaning.
type quoting struct {
	delimiter, quote byte
}

// next is the state after byte c. It is the twin of step for one byte, for records that are
// rejected.
func (q quoting) next(state quoteState, c byte) quoteState {
	switch {
	case state == inQuotes && c != q.quote:
		return inQuotes
	case state == inQuotes:
		return afterQuote
	case c == q.quote && state != bareField:
		return inQuotes
	case c == q.delimiter || c == '\n':
		return fieldStart
	}
	return bareField
}

// oddQuotes says which quotes the fields of a record must be searched for.
type oddQuotes uint8

const (
	doubledQuotes oddQuotes = 1 << iota // two quotes that stand for one
	strayQuotes                         // a quote in a field without quotes, or after a closing one
)

// step processes n bytes, at most 64. Bit i of quotes says that byte i is a quote, bit i of ends
// that it is a delimiter or a newline; bits from n on are 0. It returns the ends that are
// structural, which quotes there are other than the first and the last byte of a field, and the
// state after the bytes.
func step(quotes, ends uint64, n int, state quoteState) (structural uint64, odd oddQuotes, after quoteState) {
	if quotes == 0 {
		return plainStep(ends, n, state)
	}
	var carry, first, second uint64
	switch state {
	case fieldStart:
		first = 1
	case inQuotes:
		carry = ^uint64(0)
	case afterQuote:
		first, second = 1, 1
	}
	for {
		inside := prefixXor(quotes) ^ carry
		opening := quotes & inside
		stray := opening &^ ((ends|quotes)<<1 | first)
		if opening&(quotes<<1|second) != 0 {
			odd |= doubledQuotes
		}
		if stray != 0 {
			odd |= strayQuotes
			// an ordinary byte, not a quote: what comes after it looks different now
			quotes &^= stray & -stray
			continue
		}
		last := uint64(1) << (n - 1)
		switch {
		case inside&last != 0:
			after = inQuotes
		case quotes&last != 0:
			after = afterQuote
		case ends&last != 0:
			after = fieldStart
		default:
			after = bareField
		}
		return ends &^ inside, odd, after
	}
}

// stepsGo is the twin of what is done in vectors: step for each 64 of buf[from:from+n], whose
// structural bytes it writes to words. n is at most structuralChunk, and pad bytes after from+n can
// be read. odd is a place after all quotes other than the first and the last byte of a field, and
// stray one after those that are not doubled; 0 if there are none.
func (q quoting) stepsGo(words *structuralWords, masks *quoteMasks, buf []byte, from, n int, state quoteState) (
	after quoteState, odd, stray int,
) {
	findQuotes(masks, buf, from, n, q)
	for i := 0; i < n; i += 64 {
		var some oddQuotes
		words[i/64], some, state = step(masks[i/32], masks[i/32+1], min(64, n-i), state)
		if some != 0 {
			odd = from + i + 64
			if some&strayQuotes != 0 {
				stray = odd
			}
		}
	}
	return state, odd, stray
}

// plainStep is step for bytes without a quote.
//
//gcassert:inline
func plainStep(ends uint64, n int, state quoteState) (structural uint64, odd oddQuotes, after quoteState) {
	if state == inQuotes {
		return 0, 0, inQuotes
	}
	return ends, 0, bareField - quoteState(ends>>(n-1)&1) // fieldStart after an end
}

// prefixXor sets bit i if an odd number of the bits 0..i of x are set.
//
//gcassert:inline
func prefixXor(x uint64) uint64 {
	x ^= x << 1
	x ^= x << 2
	x ^= x << 4
	x ^= x << 8
	x ^= x << 16
	return x ^ x<<32
}

// quoteMasks are what step needs of structuralChunk bytes: for each 64 bytes, a word of quotes and
// a word of delimiters and newlines.
type quoteMasks [2 * structuralChunk / 64]uint64

// findQuotesGo is the twin of the assembly. It fills in the masks of buf[from:from+n]. n is at most
// structuralChunk, and pad bytes after from+n can be read.
func findQuotesGo(out *quoteMasks, buf []byte, from, n int, q quoting) {
	_ = buf[from+n+pad-1]
	base := unsafe.Pointer(unsafe.SliceData(buf))
	delimiters, quotes := uint64(q.delimiter)*ones, uint64(q.quote)*ones
	for i := 0; i < n; i += 64 {
		var quote, end uint64
		for j := 0; j < 64; j += 8 {
			w := word(unsafe.Add(base, from+i+j))
			quote |= byteMask(zeroBytes(w^quotes)) << j
			end |= byteMask(zeroBytes(w^delimiters)|zeroBytes(w^'\n'*ones)) << j
		}
		if left := n - i; left < 64 {
			quote &= 1<<left - 1
			end &= 1<<left - 1
		}
		out[i/32], out[i/32+1] = quote, end
	}
}

// byteMask has one bit for each byte of w, in which only high bits are set.
//
//gcassert:inline
func byteMask(w uint64) uint64 { return w >> 7 * 0x0102040810204080 >> 56 }

// newline returns the position after the first newline of buf[from:to] that is outside of quotes,
// given the state before from. If there is none, it returns -1 and the state after to. pad bytes
// after to can be read.
func (q quoting) newline(buf []byte, from, to int, state quoteState) (int, quoteState) {
	var masks quoteMasks
	for chunk := 256; from < to; chunk = structuralChunk { // most lines are short
		n := min(chunk, to-from)
		findQuotes(&masks, buf, from, n, q)
		for i := 0; i < n; i += 64 {
			structural, _, after := step(masks[i/32], masks[i/32+1], min(64, n-i), state)
			for ; structural != 0; structural &= structural - 1 {
				if at := from + i + bits.TrailingZeros64(structural); buf[at] == '\n' {
					return at + 1, fieldStart
				}
			}
			state = after
		}
		from += n
	}
	return -1, state
}

// lastNewline returns the position after the last newline of buf[from:to] that is outside of
// quotes, or otherwise if there is none.
func (q quoting) lastNewline(buf []byte, from, to int, state quoteState, otherwise int) int {
	for from < to {
		next, after := q.newline(buf, from, to, state)
		if next < 0 {
			break
		}
		otherwise, from, state = next, next, after
	}
	return otherwise
}

// quoteMoves say which state each state becomes over some bytes, in two bits each. They can be
// computed without knowing what comes before the bytes.
type quoteMoves uint8

// from is the state after the bytes, if state is the one before them.
func (m quoteMoves) from(state quoteState) quoteState { return quoteState(m >> (2 * state) & 3) }

// quoteChains find the moves of bytes that come in pieces. Each state at the beginning starts a
// chain of states. Chains that meet stay together, which they mostly do after the first field in
// quotes.
type quoteChains struct {
	quoting
	chain [quoteStates]uint8      // chain of each state at the beginning
	state [quoteStates]quoteState // current state of each chain
	n     int                     // number of chains
}

func newQuoteChains(q quoting) quoteChains {
	return quoteChains{
		quoting: q, n: int(quoteStates), chain: [...]uint8{0, 1, 2, 3},
		state: [...]quoteState{0, 1, 2, 3},
	}
}

// moves are the moves of everything that was fed.
func (c *quoteChains) moves() (m quoteMoves) {
	for s, chain := range c.chain {
		m |= quoteMoves(c.state[chain]) << (2 * s)
	}
	return m
}

// feed goes on with buf[from:to] and reports whether there is a quote in it. pad bytes after to can
// be read.
func (c *quoteChains) feed(buf []byte, from, to int) (quotes bool) {
	if from == to {
		return false
	}
	i := bytes.IndexByte(buf[from:to], c.quote)
	if i < 0 {
		c.bare(buf[to-1])
		return false
	}
	if i > 0 {
		c.bare(buf[from+i-1])
		from += i
	}
	var masks quoteMasks
	var words structuralWords
	for from < to {
		n := min(structuralChunk, to-from)
		if c.n == 1 {
			c.state[0], _, _ = c.steps(&words, &masks, buf, from, n, c.state[0])
			from += n
			continue
		}
		findQuotes(&masks, buf, from, n, c.quoting)
		for i := 0; i < n; i += 64 {
			quotes, ends := masks[i/32], masks[i/32+1]
			for j := range c.n {
				_, _, c.state[j] = step(quotes, ends, min(64, n-i), c.state[j])
			}
			if c.n > 1 {
				c.meet()
			}
		}
		from += n
	}
	return true
}

// bare goes on with bytes that contain no quote and end with last.
func (c *quoteChains) bare(last byte) {
	for j, state := range c.state[:c.n] {
		if state != inQuotes {
			c.state[j] = c.next(bareField, last)
		}
	}
	c.meet()
}

// meet joins chains that have the same state.
func (c *quoteChains) meet() {
	var have [quoteStates]uint8 // 1 + the chain that has a state
	n := 0
	var to [quoteStates]uint8
	for j, state := range c.state[:c.n] {
		if have[state] == 0 {
			c.state[n] = state
			n++
			have[state] = uint8(n)
		}
		to[j] = have[state] - 1
	}
	for s, chain := range c.chain {
		c.chain[s] = to[chain]
	}
	c.n = n
}

// quoteTable has the moves of the blocks of a file, for the readers that share it. A record may
// begin far before a block, in a block of another reader. A reader announces a block that it is
// about to scan, so that others scan other blocks first; nobody waits. All readers that store the
// moves of a block store the same value, so a plain atomic word for each block is enough.
type quoteTable []atomic.Uint32

// The word of a block is movesUnknown, movesAnnounced while a reader scans it, or movesKnown plus
// the moves.
const (
	movesUnknown   = 0
	movesAnnounced = 1
	movesKnown     = 1 << 8
)

// announce reports whether no other reader had announced the block.
func (t quoteTable) announce(block int64) bool {
	return t[block].CompareAndSwap(movesUnknown, movesAnnounced)
}

// publish stores the moves of a block. Nothing else is published with them: readers of the word
// read no other memory because of it.
func (t quoteTable) publish(block int64, m quoteMoves) { t[block].Store(movesKnown | uint32(m)) }

// moves returns the moves of a block, if they are known.
func (t quoteTable) moves(block int64) (m quoteMoves, known bool) {
	w := t[block].Load()
	return quoteMoves(w), w >= movesKnown
}

// quoteBytes is how much of another reader's block is scanned together: as much as stays in the
// first-level cache.
const quoteBytes = 16 << 10

// quoteCursor knows the state at the beginning of one block after another.
type quoteCursor struct {
	block   int64 // state is the state before the first byte of this block
	state   quoteState
	scratch []byte // for blocks of other readers; allocated when one is needed
}

// span returns where a block begins and ends for the moves. Both are a byte early, because the byte
// before a block says whether a record begins with the block.
func (d *Delimited) span(block int64) (from, to int64) {
	size, start := d.blockBytes, d.start
	return max(start+block*size-1, start), max(min(start+(block+1)*size, d.size)-1, start)
}

// stateAt is the state before the span of a block. Blocks must be asked for in ascending order.
func (r *delimitedReader) stateAt(block int64) (quoteState, error) {
	c, table := &r.quotes, r.delimited.quoteTable
	for b := c.block; b < block; b++ {
		if table.announce(b) {
			if err := r.look(b); err != nil {
				return 0, err
			}
		}
	}
	for ; c.block < block; c.block++ {
		m, known := table.moves(c.block)
		if !known { // the other reader has not finished
			if err := r.look(c.block); err != nil {
				return 0, err
			}
			m, _ = table.moves(c.block)
		}
		c.state = m.from(c.state)
	}
	return c.state, nil
}

// look finds and publishes the moves of a block of another reader, unless they are published while
// it looks.
func (r *delimitedReader) look(block int64) error {
	d, c := r.delimited, &r.quotes
	chains := newQuoteChains(d.format.quoting)
	for from, to := d.span(block); from < to; {
		if _, known := d.quoteTable.moves(block); known {
			return nil
		}
		n := int(min(quoteBytes, to-from))
		var text []byte
		text, c.scratch = alignedTo(from, c.scratch, quoteBytes+pad)
		if err := d.readAt(text[:n], from); err != nil {
			return err
		}
		chains.feed(text, 0, n)
		from += int64(n)
	}
	d.quoteTable.publish(block, chains.moves())
	return nil
}

// findQuoted is findStructurals for buffers with quotes: it finds the delimiters and newlines that
// are outside of quotes.
func (s *structurals) findQuoted(out []uint32, buf []byte, from, n int, q quoting) (found int) {
	if s.state != inQuotes && bytes.IndexByte(buf[from:from+n], q.quote) < 0 {
		s.state = q.next(bareField, buf[from+n-1])
		return findStructurals(out, buf, from, n, q.delimiter)
	}
	var odd, stray int
	s.state, odd, stray = q.steps(&s.words, &s.masks, buf, from, n, s.state)
	s.odd, s.stray = max(s.odd, odd), max(s.stray, stray)
	return flatten(out, s.words[:(n+63)/64], from)
}

// lastEnd returns the position after the last newline of buf[from:to] that is outside of quotes, or
// -1 if there is none, and the state before to. pad bytes after to can be read. Only the last
// delimiters of each chunk are looked at.
func (q quoting) lastEnd(buf []byte, from, to int, state quoteState) (int, quoteState) {
	var masks quoteMasks
	var words structuralWords
	last := -1
	for from < to {
		n := min(structuralChunk, to-from)
		state, _, _ = q.steps(&words, &masks, buf, from, n, state)
		if end := lastNewline(buf, from, words[:(n+63)/64]); end >= 0 {
			last = end
		}
		from += n
	}
	return last, state
}

// lastNewline returns the position after the last newline among the structural bytes of
// buf[from:], or -1 if there is none.
func lastNewline(buf []byte, from int, words []uint64) int {
	for i := len(words) - 1; i >= 0; i-- {
		for structural := words[i]; structural != 0; {
			highest := 63 - bits.LeadingZeros64(structural)
			if at := from + 64*i + highest; buf[at] == '\n' {
				return at + 1
			}
			structural &^= 1 << highest
		}
	}
	return -1
}
