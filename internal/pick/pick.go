// Package pick brings chosen words together: of a column the rows that a bitmap has, in their order. Bit i%64 of word i/64 of a bitmap is row i. With AVX-512 eight words are compressed in a register at a time; the
// twin in Go stores every word and counts those that stay, so that neither has a branch to guess.
package pick

import "math/bits"

// rowsAtOnce is how many rows the vectors take at a time; those behind the last eight are left to Go, as nothing behind a column may be read.
const rowsAtOnce = 8

// Words copies those words of from that have a bit in mask to the beginning of to, which has room for all of from and shares no memory with it, and returns them. What lies behind them in to is anything.
func Words(to, from, mask []uint64) []uint64 {
	n, whole := 0, 0
	to = to[:len(from)]
	if Have512 {
		if whole = len(from) &^ (rowsAtOnce - 1); whole > 0 {
			_ = mask[(whole-1)/64]
			n = compress512(&to[0], &from[0], &mask[0], whole/rowsAtOnce)
		}
	}
	for i := whole; i < len(from); i++ {
		to[n] = from[i] // there is room: n is at most i
		n += int(mask[i/64] >> (i % 64) & 1)
	}
	return to[:n]
}

// Bits is Words for the bits of a bitmap: from and mask are equally long, and to is as long. What lies behind the picked bits in the last of their words is 0.
func Bits(to, from, mask []uint64) {
	var word uint64 // what has been picked for the word that comes next
	k, many := 0, 0 // which word that is, and bits in it
	for w, m := range mask {
		picked := extract(from[w], m)
		word |= picked << many
		if many += bits.OnesCount64(m); many >= 64 {
			to[k] = word
			k++
			many -= 64
			word = picked >> 1 >> (bits.OnesCount64(m) - many - 1)
		}
	}
	if k < len(to) {
		to[k] = word
	}
}

// extract brings the bits of a word that have one in mask together.
func extract(word, mask uint64) (picked uint64) {
	switch {
	case mask == ^uint64(0):
		return word
	case haveBMI2:
		return extractBMI2(word, mask)
	}
	for at := 0; mask != 0; mask &= mask - 1 {
		picked |= word >> bits.TrailingZeros64(mask) & 1 << at
		at++
	}
	return picked
}
