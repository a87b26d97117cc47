package readers

import (
	"math/bits"
	"unsafe"
)

// jsonPlaces finds, 64 bytes at a time, the bytes of JSON lines that are outside of strings and
// mean something: colons, commas, brackets and newlines. Objects are looked into down to a depth,
// the depth of the deepest column; arrays, deeper objects and empty objects are passed over
// whole, and their bytes have no places:
//
//	{"at":"2026-01-31","request":{"method":"GET","headers":{"x":[1,2]}},"tags":["a","b"]}
//	^    ^            ^         ^^        ^     ^         ^           ^^      ^         ^  depth 2
//	^    ^            ^         ^                                      ^      ^         ^  depth 1
//
// Brackets match and strings are closed in all of it. The first byte of a line that does not fit is
// called odd: its line is read byte by byte (see jsonLine).
type jsonPlaces struct {
	// at has the places. at[from:to] have not been used yet.
	at       []uint32
	from, to int
	// scanned is how far the buffer was scanned: all places before it are in at, or were used.
	scanned int
	// odd says that the byte at scanned is odd: scanning goes on after its line.
	odd bool
	// shallow is the depth down to which objects are looked into.
	shallow int
	nestedState
	// masks and words are scratch of a scan.
	masks nestedMasks
	words structuralWords
}

// nestedState is what has to be known about the bytes before scanned.
type nestedState struct {
	inside  uint64 // all bits set inside of a string
	closed  uint64 // 1 right after a string
	escaped uint64 // 1 right after a backslash that is not escaped itself
	depth   int    // open brackets
	deepAt  int    // depth of the bracket whose contents are passed over; 0 if none is
	kinds   uint64 // the open brackets, the last one lowest: 1 for an object
	escapes int    // there is no backslash from this place on, as far as scanned
}

// maxPlacesDepth is how many brackets nestedState.kinds has room for. Lines that are nested deeper
// are read byte by byte.
const maxPlacesDepth = 64

// nestedMasks are what the bytes are, in words of 64 bytes each.
type nestedMasks [nestedWords * structuralChunk / 64]uint64

// The words for 64 bytes.
const (
	nestedQuote     = iota
	nestedNever     // bytes below a space, except line ends
	nestedBreak     // LF, CR
	nestedNewline   // LF
	nestedSeparator // comma and colon
	nestedOpen      // { and [
	nestedClose     // } and ]
	nestedBackslash
	nestedWords
)

// reset begins at place pos of a buffer, where a line begins.
func (s *jsonPlaces) reset(pos int) {
	if len(s.at) == 0 {
		s.at = make([]uint32, 2*structuralChunk+structuralSlack)
	}
	s.from, s.to, s.scanned = 0, 0, pos
	s.odd, s.nestedState = false, nestedState{}
}

// skip goes to pos, where a line begins.
func (s *jsonPlaces) skip(pos int) {
	for s.from < s.to && int(s.at[s.from]) < pos {
		s.from++
	}
	if s.from == s.to && s.scanned < pos {
		s.reset(pos)
	}
}

// more scans another chunk before end, and moves the places that have not been used to the front.
// It returns false if there is nothing more to scan. pad bytes after end can be read.
func (s *jsonPlaces) more(buf []byte, end int) bool {
	if s.scanned >= end || s.odd {
		return false
	}
	s.to = copy(s.at, s.at[s.from:s.to])
	s.from = 0
	if least := s.to + structuralChunk + structuralSlack; len(s.at) < least {
		s.at = append(s.at, make([]uint32, least)...)
	}
	n := min(structuralChunk, end-s.scanned)
	found, scanned := s.find(s.at[s.to:], buf, s.scanned, n)
	s.to += found
	s.scanned += scanned
	s.odd = scanned < n
	return true
}

// find writes the places in buf[from:from+n] to out, in order. It returns how many there are, and
// how many bytes come before the first odd one. out has room for n and structuralSlack more.
func (s *jsonPlaces) find(out []uint32, buf []byte, from, n int) (found, scanned int) {
	findNestedMasks(&s.masks, buf, from, n)
	for i := 0; i < n; i += 64 {
		m := (*[nestedWords]uint64)(s.masks[i/64*nestedWords:])
		structural, odd := s.step(buf, from+i, m)
		if m[nestedBackslash] != 0 {
			s.escapes = from + i + 64
		}
		if odd != 0 {
			structural &= odd&-odd - 1
		}
		s.words[i/64] = structural
		if odd != 0 {
			return flatten(out, s.words[:i/64+1], from), i + bits.TrailingZeros64(odd)
		}
	}
	return flatten(out, s.words[:(n+63)/64], from), n
}

// step goes over the 64 bytes at a place. It returns the bytes that mean something, and the odd
// bytes, of which only the first counts.
func (s *jsonPlaces) step(buf []byte, at int, m *[nestedWords]uint64) (structural, odd uint64) {
	quotes := m[nestedQuote]
	if backslashes := m[nestedBackslash]; backslashes|s.escaped != 0 {
		quotes, s.escaped = unescapedQuotes(quotes, backslashes, s.escaped)
	}
	// strings including their first quote, without their last
	inside := prefixXor(quotes) ^ s.inside
	closing := quotes &^ inside
	opens, newlines := m[nestedOpen]&^inside, m[nestedNewline]&^inside
	ends := (m[nestedSeparator] | m[nestedClose] | newlines) &^ inside
	var deep uint64
	if brackets := opens | m[nestedClose]&^inside | newlines; brackets != 0 {
		deep, odd = s.nest(buf, at, brackets, opens, newlines)
	} else if s.deepAt != 0 {
		deep = ^uint64(0)
	}
	odd |= m[nestedNever] | m[nestedBreak]&inside | m[nestedBackslash]&^inside
	odd |= (closing<<1 | s.closed) &^ (ends | deep)
	s.inside, s.closed = uint64(int64(inside)>>63), closing>>63
	return (ends | opens) &^ deep, odd
}

// nest goes over the brackets and newlines of 64 bytes. It returns the bytes that are passed over,
// with the brackets around them, and the first bracket or newline that does not fit.
func (s *jsonPlaces) nest(buf []byte, at int, brackets, opens, newlines uint64) (deep, odd uint64) {
	start := 0 // where the bytes that are passed over begin
	for ; brackets != 0 && odd == 0; brackets &= brackets - 1 {
		i, bit := bits.TrailingZeros64(brackets), brackets&-brackets
		object := uint64(buf[at+i] >> 5 & 1) // of the brackets, the braces have this bit
		switch {
		case newlines&bit != 0:
			if s.depth != 0 {
				odd = bit
			}
		case opens&bit != 0:
			if s.depth == maxPlacesDepth {
				odd = bit
				break
			}
			s.depth++
			s.kinds = s.kinds<<1 | object
			if s.deepAt == 0 && (s.depth > s.shallow || object == 0 || buf[at+i+1] == '}') {
				s.deepAt, start = s.depth, i
			}
		case s.depth == 0 || s.kinds&1 != object:
			odd = bit
		default:
			if s.depth == s.deepAt {
				deep |= (2<<i - 1) &^ (1<<start - 1)
				s.deepAt = 0
			}
			s.depth--
			s.kinds >>= 1
		}
	}
	if s.deepAt != 0 {
		deep |= ^uint64(0) << start
	}
	return deep, odd
}

// unescapedQuotes returns the quotes that no backslash escapes, and whether the byte after these 64
// is escaped.
func unescapedQuotes(quotes, backslashes, escaped uint64) (unescaped, after uint64) {
	// A backslash escapes the byte after it, unless it is escaped itself. A subtraction tells apart
	// the runs that begin at even and at odd places, as in simdjson.
	const oddBits = 0xaaaaaaaaaaaaaaaa
	potential := backslashes &^ escaped
	code := ((potential<<1 | oddBits) - potential) ^ oddBits
	return quotes &^ (code ^ (backslashes | escaped)), (code & backslashes) >> 63
}

// findNestedMasksGo is the twin of the assembly. It fills in the masks of buf[from:from+n]. n is at
// most structuralChunk, and pad bytes after from+n can be read.
func findNestedMasksGo(out *nestedMasks, buf []byte, from, n int) {
	_ = buf[from+n+pad-1]
	base := unsafe.Pointer(unsafe.SliceData(buf))
	for i := 0; i < n; i += 64 {
		m := (*[nestedWords]uint64)(out[i/64*nestedWords:])
		*m = [nestedWords]uint64{}
		for j := 0; j < 64; j += 8 {
			w := word(unsafe.Add(base, from+i+j))
			newline := zeroBytes(w ^ '\n'*ones)
			breaks := newline | zeroBytes(w^'\r'*ones)
			lower := w | 0x20*ones // [ becomes {, and ] becomes }
			m[nestedQuote] |= byteMask(zeroBytes(w^'"'*ones)) << j
			m[nestedNever] |= byteMask(zeroBytes(w&(0xe0*ones))&^breaks) << j
			m[nestedBreak] |= byteMask(breaks) << j
			m[nestedNewline] |= byteMask(newline) << j
			m[nestedSeparator] |= byteMask(zeroBytes(w^','*ones)|zeroBytes(w^':'*ones)) << j
			m[nestedOpen] |= byteMask(zeroBytes(lower^'{'*ones)) << j
			m[nestedClose] |= byteMask(zeroBytes(lower^'}'*ones)) << j
			m[nestedBackslash] |= byteMask(zeroBytes(w^'\\'*ones)) << j
		}
		if left := n - i; left < 64 {
			for k := range m {
				m[k] &= 1<<left - 1
			}
		}
	}
}
