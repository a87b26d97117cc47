package readers

import (
	"math/bits"
	"unsafe"
)

// Where the fields of JSON lines end is found 64 bytes at a time, as simdjson does, for lines as most are: objects without escapes and
// without values in values. What is outside of strings must alternate: a colon, then a comma or a brace that closes, and a string must be followed by one of them.
// The first byte that is otherwise is odd: its line is read byte by byte (see jsonLine).

// jsonMasks are what jsonStep needs of structuralChunk bytes: six words for each 64 of them.
type jsonMasks [jsonMaskWords * structuralChunk / 64]uint64

// The words of 64 bytes.
const (
	maskQuote   = iota
	maskNever   // a backslash, or below a space and no end of a line
	maskBreak   // LF, CR
	maskNewline // LF
	maskEnd     // a comma, a brace that closes
	maskColon
	jsonMaskWords
)

// jsonIndex has the places of the bytes that end a field of an ordinary line, and of the newlines, found chunk by chunk.
type jsonIndex struct {
	at       []uint32 // at[from:to] are not used yet; at[from-1] is the last one that was
	from, to int
	scanned  int  // everything before is in at, or was used
	odd      bool // the byte at scanned is odd: go on behind its line
	state    jsonState
	masks    jsonMasks
}

// jsonState is what the bytes before leave: all bits set or none, but for closed, which has the lowest one.
type jsonState struct {
	inside uint64 // of a string
	colon  uint64 // behind a colon
	closed uint64 // right behind a string
}

// reset begins at place pos of a buffer, where a line begins. least is how many places more must always find room.
func (s *jsonIndex) reset(pos, least int) {
	if n := 1 + least + structuralChunk + structuralSlack; len(s.at) < n {
		s.at = make([]uint32, n)
	}
	s.from, s.to, s.scanned = 1, 1, pos
	s.odd, s.state = false, jsonState{}
	s.at[0] = uint32(pos - 1)
}

// skip goes to pos, where a line begins.
func (s *jsonIndex) skip(pos int) {
	for s.from < s.to && int(s.at[s.from]) < pos {
		s.from++
	}
	if s.from == s.to {
		s.from, s.to = 1, 1
		if s.scanned < pos {
			s.scanned, s.odd, s.state = pos, false, jsonState{}
		}
	}
	s.at[s.from-1] = uint32(pos - 1)
}

// more makes at least n places available, if so many are left before end and before an odd byte. It returns how many there are.
// pad bytes behind end can be read.
func (s *jsonIndex) more(buf []byte, end, n int) int {
	if s.to-s.from < n && s.scanned < end && !s.odd {
		s.to = copy(s.at, s.at[s.from-1:s.to])
		s.from = 1
		if least := s.to + structuralChunk + structuralSlack + n; len(s.at) < least {
			s.at = append(s.at, make([]uint32, least-len(s.at))...)
		}
		for s.to-s.from < n && s.scanned < end && !s.odd {
			chunk := min(structuralChunk, end-s.scanned)
			found, scanned := s.find(s.at[s.to:], buf, s.scanned, chunk)
			s.to += found
			s.scanned += scanned
			s.odd = scanned < chunk
		}
	}
	return s.to - s.from
}

// findGo is the twin of the assembly. It writes the places in buf[from:from+n] to out, in order, and returns how many, and how many bytes
// come before the first odd one. out has room for n and structuralSlack more, and pad bytes behind from+n can be read.
func (s *jsonIndex) findGo(out []uint32, buf []byte, from, n int) (found, scanned int) {
	findJSONMasks(&s.masks, buf, from, n)
	state := s.state
	for i := 0; i < n; i += 64 {
		structural, odd := jsonStep((*[jsonMaskWords]uint64)(s.masks[i/64*jsonMaskWords:]), &state)
		if odd != 0 {
			structural &= odd&-odd - 1
		}
		for ; structural != 0; structural &= structural - 1 {
			out[found] = uint32(from + i + bits.TrailingZeros64(structural))
			found++
		}
		if odd != 0 {
			return found, i + bits.TrailingZeros64(odd) // state does not matter: what comes next is another line
		}
	}
	s.state = state
	return found, n
}

// jsonStep goes over 64 bytes. It returns the bytes that end a field or a line and those that are odd, of which only the first counts.
func jsonStep(m *[jsonMaskWords]uint64, s *jsonState) (structural, odd uint64) {
	inside := prefixXor(m[maskQuote]) ^ s.inside // strings with their first quote and without their last
	closing := m[maskQuote] &^ inside
	ends, colons := m[maskEnd]&^inside, m[maskColon]&^inside
	colon := prefixXor(ends|colons) ^ s.colon // from a colon up to what comes next
	odd = m[maskNever] | m[maskBreak]&inside
	odd |= (closing<<1 | s.closed) &^ (ends | colons)
	odd |= colons&^colon | (ends|m[maskNewline])&colon
	s.inside, s.colon, s.closed = uint64(int64(inside)>>63), uint64(int64(colon)>>63), closing>>63
	return ends | m[maskNewline]&^inside, odd
}

// findJSONMasksGo is the twin of the assembly. It fills in the masks of buf[from:from+n]; n is at most structuralChunk, and pad bytes behind
// from+n can be read.
func findJSONMasksGo(out *jsonMasks, buf []byte, from, n int) {
	_ = buf[from+n+pad-1]
	base := unsafe.Pointer(unsafe.SliceData(buf))
	for i := 0; i < n; i += 64 {
		m := (*[jsonMaskWords]uint64)(out[i/64*jsonMaskWords:])
		*m = [jsonMaskWords]uint64{}
		for j := 0; j < 64; j += 8 {
			w := word(unsafe.Add(base, from+i+j))
			newline := zeroBytes(w ^ '\n'*ones)
			breaks := newline | zeroBytes(w^'\r'*ones)
			control := zeroBytes(w & (0xe0 * ones))
			m[maskQuote] |= byteMask(zeroBytes(w^'"'*ones)) << j
			m[maskNever] |= byteMask(zeroBytes(w^'\\'*ones)|control&^breaks) << j
			m[maskBreak] |= byteMask(breaks) << j
			m[maskNewline] |= byteMask(newline) << j
			m[maskEnd] |= byteMask(zeroBytes(w^','*ones)|zeroBytes(w^'}'*ones)) << j
			m[maskColon] |= byteMask(zeroBytes(w^':'*ones)) << j
		}
		if left := n - i; left < 64 {
			for k := range m {
				m[k] &= 1<<left - 1
			}
		}
	}
}
