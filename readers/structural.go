package readers

import (
	"math/bits"
	"unsafe"
)

// A structural byte ends a field: it is a delimiter or a newline. Finding all of them before
// looking at any field, with no branch that depends on where they are, is the idea of simdjson
// (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019).

const (
	// structuralSlack is how many entries after the last place a scan may overwrite.
	structuralSlack = 64

	// structuralChunk is how many bytes are scanned at a time: their places stay in the first-level
	// cache.
	structuralChunk = 4096
)

// structurals has the places of the structural bytes of a buffer, found chunk by chunk.
type structurals struct {
	// at has the places. at[from:to] have not been used yet; at[from-1] was used last.
	at       []uint32
	from, to int
	// scanned is how far the buffer was scanned: all places before it are in at, or were used.
	scanned int

	// The following fields are used only if the buffer has quotes.
	quoted bool
	// state is the state before scanned.
	state quoteState
	// odd is a place, as far as scanned. A field that begins at or after it has no quotes other
	// than its first and its last byte.
	odd int
	// stray is a place, as far as scanned. A field that begins at or after it has, besides those,
	// only doubled quotes.
	stray int
	// masks and words are scratch of a scan.
	masks quoteMasks
	words structuralWords
}

// reset begins at place pos of a buffer, where a record begins. least is how many more places there
// must always be room for.
func (s *structurals) reset(pos, least int) {
	if n := 1 + least + structuralChunk + structuralSlack; len(s.at) < n {
		s.at = make([]uint32, n)
	}
	s.from, s.to, s.scanned = 1, 1, pos
	s.quoted, s.state, s.odd, s.stray = false, fieldStart, 0, 0
	s.at[0] = uint32(pos - 1)
}

// skip goes to pos, where a record begins.
func (s *structurals) skip(pos int) {
	for s.from < s.to && int(s.at[s.from]) < pos {
		s.from++
	}
	if s.from == s.to {
		s.from, s.to = 1, 1
		if s.scanned < pos {
			s.scanned, s.state = pos, fieldStart
		}
	}
	s.at[s.from-1] = uint32(pos - 1)
}

// more makes at least n places available, if there are that many before end. end must not be before
// anything that was scanned. more returns how many places there are. pad bytes after end can be
// read.
func (s *structurals) more(buf []byte, end int, q quoting, n int) int {
	if s.to-s.from < n && s.scanned < end {
		s.to = copy(s.at, s.at[s.from-1:s.to])
		s.from = 1
		for s.to-s.from < n && s.scanned < end {
			chunk := min(structuralChunk, end-s.scanned)
			if s.quoted {
				s.to += s.findQuoted(s.at[s.to:], buf, s.scanned, chunk, q)
			} else {
				s.to += findStructurals(s.at[s.to:], buf, s.scanned, chunk, q.delimiter)
			}
			s.scanned += chunk
		}
	}
	return s.to - s.from
}

// findStructuralsGo is the twin of the assembly, eight bytes at a time. It writes the places of the
// delimiters and newlines in buf[from:from+n] to out, in order, and returns how many there are. out
// has room for n and structuralSlack more, and pad bytes after from+n can be read.
func findStructuralsGo(out []uint32, buf []byte, from, n int, delimiter byte) (found int) {
	_, _ = out[n+structuralSlack-1], buf[from+n+pad-1]
	base := unsafe.Pointer(unsafe.SliceData(buf))
	d := uint64(delimiter) * ones
	for i := 0; i < n; i += 8 {
		w := word(unsafe.Add(base, from+i))
		m := zeroBytes(w^d) | zeroBytes(w^'\n'*ones)
		if left := n - i; left < 8 {
			m &= 1<<(8*left) - 1
		}
		for ; m != 0; m &= m - 1 {
			out[found] = uint32(from + i + bits.TrailingZeros64(m)>>3)
			found++
		}
	}
	return found
}

// structuralWords has a bit for each byte of structuralChunk.
type structuralWords [structuralChunk / 64]uint64

// flattenGo is the twin of the assembly. It writes the places of the bits of words to out, in
// order, and returns how many there are. The first bit is at place from. out has room for 64 places
// for each word; what is after the last place may be overwritten.
func flattenGo(out []uint32, words []uint64, from int) (found int) {
	for i, w := range words {
		for ; w != 0; w &= w - 1 {
			out[found] = uint32(from + 64*i + bits.TrailingZeros64(w))
			found++
		}
	}
	return found
}

// zeroBytes sets the high bit of each byte of w that is zero, and no other bit.
//
//gcassert:inline
func zeroBytes(w uint64) uint64 {
	return ^(w&^highs + ^uint64(highs) | w | ^uint64(highs))
}
