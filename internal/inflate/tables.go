package inflate

import "math/bits"

// An entry of a table of codes has 32 bits. The lowest six say how many bits of the input it takes.
//
//	one or two literals     0xBBAA: A is the first, B the second
//	    bits 16-23 A, 24-31 B, 15 is 0, 10-13 the length of the code of A, 8-9 how many literals
//	a length or a distance
//	    bits 16-31 its base, 15 is 1, 8-11 the length of its code; the rest of the bits taken are
//	    added to the base
//	what is neither
//	    bits 15 and 14 are 1; 13: end of the block; 12: no code; else a table of longer codes,
//	    which begins at 16-31 and has 8-11 bits
const (
	takeBits   = 1<<6 - 1
	countShift = 8
	countMask  = 3
	firstShift = 10
	codeShift  = 8
	codeMask   = 15
	baseShift  = 16
	noCode     = 1 << 12
	endOfBlock = 1 << 13
	special    = 1 << 14
	notLiteral = 1 << 15
)

const (
	// litBits and distBits are how many bits the first tables look at. In ten bits there are often
	// two literals of usual text. With 11 and 12 bits, making the tables costs more than they save
	// (BenchmarkInflate).
	litBits  = 10
	distBits = 9

	maxCode = 15 // bits of the longest code

	maxLit  = 286 // literals, the end of the block, and lengths
	maxDist = 30

	// litSize and distSize have room for the first table and for all that come after it: there are
	// no more of these than symbols.
	litSize  = 1<<litBits + maxLit<<(maxCode-litBits)
	distSize = 1<<distBits + maxDist<<(maxCode-distBits)
)

// tables are the codes of a block.
type tables struct {
	lit  [litSize]uint32
	dist [distSize]uint32
}

var (
	lengthBase  [29]uint16
	lengthExtra [29]uint8
	distBase    [30]uint16
	distExtra   [30]uint8
	// litSymbols and distSymbols are the entries of each symbol without the length of its code.
	litSymbols  [maxLit + 2]uint32
	distSymbols [maxDist + 2]uint32
	// fixed are the tables of blocks with fixed codes.
	fixed tables
	// codeOrder is the order in which the lengths of the codes of lengths are written.
	codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

func init() {
	base := 3
	for i := range lengthBase {
		if i >= 8 {
			lengthExtra[i] = uint8(i/4 - 1)
		}
		lengthBase[i] = uint16(base)
		base += 1 << lengthExtra[i]
	}
	lengthBase[28], lengthExtra[28] = 258, 0
	base = 1
	for i := range distBase {
		if i >= 4 {
			distExtra[i] = uint8(i/2 - 1)
		}
		distBase[i] = uint16(base)
		base += 1 << distExtra[i]
	}
	for i := range litSymbols {
		switch {
		case i < 256:
			litSymbols[i] = uint32(i)<<baseShift | 1<<countShift
		case i == 256:
			litSymbols[i] = notLiteral | special | endOfBlock
		case i < maxLit:
			litSymbols[i] = uint32(lengthBase[i-257])<<baseShift | notLiteral | uint32(lengthExtra[i-257])
		default:
			litSymbols[i] = notLiteral | special | noCode
		}
	}
	for i := range distSymbols {
		distSymbols[i] = notLiteral | special | noCode
		if i < maxDist {
			distSymbols[i] = uint32(distBase[i])<<baseShift | notLiteral | uint32(distExtra[i])
		}
	}
	var lengths [maxLit + 2 + maxDist + 2]uint8
	for i := range maxLit + 2 {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	for i := range maxDist + 2 {
		lengths[maxLit+2+i] = 5
	}
	if !fixed.build(lengths[:maxLit+2], lengths[maxLit+2:]) {
		panic("inflate: the fixed codes are not complete") // they are constants
	}
}

// build makes the tables of codes with these lengths. It returns false if the codes are not
// complete.
func (t *tables) build(lit, dist []uint8) bool {
	if !fillTable(t.lit[:], litBits, lit, litSymbols[:]) || !fillTable(t.dist[:], distBits, dist, distSymbols[:]) {
		return false
	}
	// If the bits after a literal are the whole code of another, both become one entry. The loop
	// runs downwards because the entry of the bits that follow lies before and must still have one
	// literal.
	for i := 1<<litBits - 1; i >= 0; i-- {
		e := t.lit[i]
		if e&notLiteral != 0 {
			continue
		}
		first := e & takeBits
		next := t.lit[i>>first]
		if next&notLiteral == 0 && first+next&takeBits <= litBits && next>>countShift&countMask == 1 {
			t.lit[i] = e + next&takeBits + 1<<countShift + next>>baseShift&0xff<<24
		}
	}
	return true
}

// fillTable makes the table of codes of these lengths, 0 for a symbol that has none. As in package
// compress/flate, codes must be complete, except that there may be one alone, of one bit, or none.
func fillTable(table []uint32, first uint, lengths []uint8, symbols []uint32) bool {
	var count, next [maxCode + 1]int
	for _, n := range lengths {
		count[n]++
	}
	longest, code := uint(0), 0
	for n := uint(1); n <= maxCode; n++ {
		code <<= 1
		next[n] = code
		code += count[n]
		if count[n] > 0 {
			longest = n
		}
	}
	if longest == 0 || longest == 1 && count[1] == 1 {
		for i := range 1 << first {
			table[i] = notLiteral | special | noCode
		}
	} else if code != 1<<maxCode {
		return false
	}
	var longer [1 << litBits]uint8
	if longest > first {
		longer = longerCodes(first, lengths, next)
	}
	end := 1 << first // where the next table of longer codes begins
	for symbol, length := range lengths {
		n := uint(length)
		if n == 0 {
			continue
		}
		at := reverse(next[n], n)
		next[n]++
		if n <= first {
			e := withCode(symbols[symbol], n)
			for ; at < 1<<first; at += 1 << n {
				table[at] = e
			}
			continue
		}
		i := at & (1<<first - 1)
		if longer[i]&isMade == 0 {
			table[i] = uint32(end)<<baseShift | notLiteral | special | uint32(longer[i])<<codeShift | uint32(first)
			end += 1 << longer[i]
			longer[i] |= isMade
		}
		begin, size := int(table[i]>>baseShift), 1<<(longer[i]&^isMade)
		e := withCode(symbols[symbol], n-first)
		for at >>= first; at < size; at += 1 << (n - first) {
			table[begin+at] = e
		}
	}
	return true
}

// isMade marks the first bits of longer codes whose table has been made.
const isMade = 1 << 7

// longerCodes returns for each entry of a first table how many bits the longest code with these
// first bits has more; next has the first code of each length.
func longerCodes(first uint, lengths []uint8, next [maxCode + 1]int) (longer [1 << litBits]uint8) {
	for _, length := range lengths {
		n := uint(length)
		if n > first {
			i := reverse(next[n], n) & (1<<first - 1)
			longer[i] = max(longer[i], uint8(n-first))
		}
		next[n]++
	}
	return longer
}

// withCode is the entry of a symbol whose code has n bits that are not taken yet.
func withCode(e uint32, n uint) uint32 {
	switch {
	case e&notLiteral == 0:
		return e | uint32(n) | uint32(n)<<firstShift
	case e&special != 0:
		return e | uint32(n)
	}
	return (e + uint32(n)) | uint32(n)<<codeShift
}

// reverse returns the lowest n bits of a code in reversed order, as they are written.
func reverse(code int, n uint) int {
	return int(bits.Reverse16(uint16(code)) >> (16 - n))
}
