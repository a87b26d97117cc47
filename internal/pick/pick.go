// Package pick brings chosen words together: it copies the rows of a column that a bitmap has, in
// their order. Bit i%64 of word i/64 of a bitmap is row i. With AVX-512 eight words at a time are
// compressed in a register. The twin in Go stores every word and counts those that stay, so neither
// has a branch to predict.
package pick

import "math/bits"

// rowsAtOnce is how many rows the vectors take at a time. The rows after the last eight are left to
// Go, because memory after a column must not be read.
const rowsAtOnce = 8

// Words copies those words of from that have a bit in mask to the beginning of to, and returns
// them. to has room for all of from and shares no memory with it. The content of to after the
// returned words is undefined.
func Words(to, from, mask []uint64) []uint64 {
	n, whole := 0, 0
	to = to[:len(from)]
	if Have512 {
		whole = len(from) &^ (rowsAtOnce - 1)
		if whole > 0 {
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

// Bits is Words for the bits of a bitmap. from, mask and to are equally long. In the last word of
// the picked bits, the bits after them are 0.
func Bits(to, from, mask []uint64) {
	var word uint64 // bits that have been picked for the next word of to
	k, many := 0, 0 // number of that word, and how many bits it has
	for w, m := range mask {
		picked := extract(from[w], m)
		word |= picked << many
		many += bits.OnesCount64(m)
		if many >= 64 {
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

// extract brings together the bits of a word that have a bit in mask.
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
