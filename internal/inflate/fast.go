package inflate

import (
	"encoding/binary"
	"unsafe"
)

// lengthBits is how many bits a length has at most: the longest code and what is added.
const lengthBits = maxCode + 5

// fast unpacks symbols of a block while there is input for any of them and room for any of them. It
// stops before what it does not know: the end of the block, and what is wrong.
//
// Accesses through pointers are in bounds because of the margins of input and output: a step begins
// at least inputMargin before the end of the input and outputMargin before the end of out, and a
// distance is compared with what is there.
func (r *Reader) fast() {
	if r.end-r.bits.pos < inputMargin || r.to >= r.room() {
		return
	}
	in, out := unsafe.Pointer(&r.in[0]), unsafe.Pointer(&r.out[0])
	lits, dists := &r.codes.lit, &r.codes.dist
	word, count, pos, to := r.bits.word, uint64(r.bits.count), r.bits.pos, r.to
	lastPos, lastTo, begin := r.end-inputMargin, r.room()-1, r.begin
	for pos <= lastPos && to <= lastTo {
		word |= load((*[8]byte)(unsafe.Add(in, pos))) << (count & 63)
		pos += int((63 - count) >> 3)
		count |= 56
		e := lits[word&(1<<litBits-1)]
		for e&notLiteral == 0 && count >= lengthBits+litBits {
			binary.LittleEndian.PutUint16((*[2]byte)(unsafe.Add(out, to))[:], uint16(e>>baseShift))
			to += int(e >> countShift & countMask)
			word >>= e & takeBits
			count -= uint64(e & takeBits)
			e = lits[word&(1<<litBits-1)]
		}
		if e&notLiteral == 0 {
			continue // it is looked up again, with more bits
		}
		at, atCount, atPos := word, count, pos
		if e&special != 0 {
			if e&(endOfBlock|noCode) != 0 {
				break
			}
			word >>= litBits
			count -= litBits
			e = lits[uint64(e>>baseShift)+word&(1<<(e>>codeShift&codeMask)-1)]
			if e&notLiteral == 0 {
				*(*byte)(unsafe.Add(out, to)) = byte(e >> baseShift)
				to++
				word >>= e & takeBits
				count -= uint64(e & takeBits)
				continue
			}
			if e&special != 0 {
				word, count = at, atCount
				break
			}
		}
		length := int(e>>baseShift) + int(word&(1<<(e&takeBits)-1)>>(e>>codeShift&codeMask))
		word >>= e & takeBits
		count -= uint64(e & takeBits)
		word |= load((*[8]byte)(unsafe.Add(in, pos))) << (count & 63)
		pos += int((63 - count) >> 3)
		count |= 56
		e = dists[word&(1<<distBits-1)]
		if e&special != 0 {
			if e&noCode != 0 {
				word, count, pos = at, atCount, atPos
				break
			}
			word >>= distBits
			count -= distBits
			e = dists[uint64(e>>baseShift)+word&(1<<(e>>codeShift&codeMask)-1)]
			if e&special != 0 {
				word, count, pos = at, atCount, atPos
				break
			}
		}
		distance := int(e>>baseShift) + int(word&(1<<(e&takeBits)-1)>>(e>>codeShift&codeMask))
		word >>= e & takeBits
		count -= uint64(e & takeBits)
		if distance > to-begin {
			word, count, pos = at, atCount, atPos
			break
		}
		copyMatch(unsafe.Add(out, to), distance, length)
		to += length
	}
	// The bits above count are read again from pos.
	word &= 1<<(count&63) - 1
	r.bits, r.to = bitReader{word, uint(count), pos}, to
}

// copyMatch copies to dst what lies distance bytes before. It writes at most 31 bytes too much.
func copyMatch(dst unsafe.Pointer, distance, length int) {
	src := unsafe.Add(dst, -distance)
	if distance >= 16 {
		*(*[16]byte)(dst) = *(*[16]byte)(src)
		*(*[16]byte)(unsafe.Add(dst, 16)) = *(*[16]byte)(unsafe.Add(src, 16))
		for i := 32; i < length; i += 16 {
			*(*[16]byte)(unsafe.Add(dst, i)) = *(*[16]byte)(unsafe.Add(src, i))
		}
		return
	}
	if distance >= 8 {
		for i := 0; i < length; i += 8 {
			*(*[8]byte)(unsafe.Add(dst, i)) = *(*[8]byte)(unsafe.Add(src, i))
		}
		return
	}
	// The match repeats itself after distance bytes, and so after any multiple of them. From a
	// multiple of at least eight on, eight bytes can be copied at a time.
	wide := distance * (7/distance + 1)
	for i := range min(wide, length) {
		*(*byte)(unsafe.Add(dst, i)) = *(*byte)(unsafe.Add(src, i))
	}
	for i := wide; i < length; i += 8 {
		*(*[8]byte)(unsafe.Add(dst, i)) = *(*[8]byte)(unsafe.Add(dst, i-wide))
	}
}
