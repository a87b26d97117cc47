package readers

import (
	"math/bits"
	"unsafe"
)

// The ends of the fields of JSON lines are found 64 bytes at a time, as simdjson does, for the
// usual lines: objects without values in values. Outside of strings there must be a colon, then a
// comma or a closing brace, in turn, and a string must be followed by one of these. The first byte
// that does not fit is called odd: its line is read byte by byte (see jsonLine).

// jsonMasks are what jsonStep needs of structuralChunk bytes: seven words for each 64 bytes.
type jsonMasks [jsonMaskWords * structuralChunk / 64]uint64

// The words for 64 bytes.
const (
	maskQuote   = iota
	maskNever   // bytes below a space, except line ends
	maskBreak   // LF, CR
	maskNewline // LF
	maskEnd     // comma and closing brace
	maskColon
	maskBackslash
	jsonMaskWords
)

// jsonIndex has the places of the newlines and of the bytes that end a field of an ordinary line.
// They are found chunk by chunk.
type jsonIndex struct {
	// at has the places. at[from:to] have not been used yet; at[from-1] was used last.
	at       []uint32
	from, to int
	// scanned is how far the buffer was scanned: all places before it are in at, or were used.
	scanned int
	// odd says that the byte at scanned is odd: scanning goes on after its line.
	odd bool
	// state is what is known after the bytes before scanned.
	state jsonState
	// masks is scratch of a scan.
	masks jsonMasks
}

// jsonState is what is known after the previous bytes. Its words have all bits set or none, except
// closed and escaped, which use the lowest bit. The assembly knows its layout.
type jsonState struct {
	inside  uint64 // inside of a string
	colon   uint64 // after a colon
	closed  uint64 // right after a string
	escaped uint64 // right after a backslash that is not escaped itself
	escapes int    // there is no backslash from this place on, as far as scanned
}

// reset begins at place pos of a buffer, where a line begins. least is how many more places there
// must always be room for.
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

// more makes at least n places available, if there are that many before end and before an odd byte.
// It returns how many there are. pad bytes after end can be read.
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

// findGo is the twin of the assembly. It writes the places in buf[from:from+n] to out, in order. It
// returns how many there are, and how many bytes come before the first odd one. out has room for n
// and structuralSlack more, and pad bytes after from+n can be read.
func (s *jsonIndex) findGo(out []uint32, buf []byte, from, n int) (found, scanned int) {
	findJSONMasks(&s.masks, buf, from, n)
	state := s.state
	for i := 0; i < n; i += 64 {
		m := (*[jsonMaskWords]uint64)(s.masks[i/64*jsonMaskWords:])
		structural, odd := jsonStep(m, &state)
		if m[maskBackslash] != 0 {
			s.state.escapes = from + i + 64
		}
		if odd != 0 {
			structural &= odd&-odd - 1
		}
		for ; structural != 0; structural &= structural - 1 {
			out[found] = uint32(from + i + bits.TrailingZeros64(structural))
			found++
		}
		if odd != 0 {
			// state does not matter: scanning goes on with another line
			return found, i + bits.TrailingZeros64(odd)
		}
	}
	state.escapes = s.state.escapes
	s.state = state
	return found, n
}

// jsonStep goes over 64 bytes. It returns the bytes that end a field or a line, and the odd bytes,
// of which only the first counts.
func jsonStep(m *[jsonMaskWords]uint64, s *jsonState) (structural, odd uint64) {
	quotes := m[maskQuote]
	if backslashes := m[maskBackslash]; backslashes|s.escaped != 0 {
		quotes, s.escaped = unescapedQuotes(quotes, backslashes, s.escaped)
	}
	// strings including their first quote, without their last
	inside := prefixXor(quotes) ^ s.inside
	closing := quotes &^ inside
	ends, colons := m[maskEnd]&^inside, m[maskColon]&^inside
	colon := prefixXor(ends|colons) ^ s.colon // from a colon up to the next end
	odd = m[maskNever] | m[maskBreak]&inside | m[maskBackslash]&^inside
	odd |= (closing<<1 | s.closed) &^ (ends | colons)
	odd |= colons&^colon | (ends|m[maskNewline])&colon
	s.inside, s.colon, s.closed = uint64(int64(inside)>>63), uint64(int64(colon)>>63), closing>>63
	return ends | m[maskNewline]&^inside, odd
}

// findJSONMasksGo is the twin of the assembly. It fills in the masks of buf[from:from+n]. n is at
// most structuralChunk, and pad bytes after from+n can be read.
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
			m[maskNever] |= byteMask(control&^breaks) << j
			m[maskBackslash] |= byteMask(zeroBytes(w^'\\'*ones)) << j
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
