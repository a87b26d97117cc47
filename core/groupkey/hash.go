package groupkey

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/dgryski/go-metro"
)

// seeds are random numbers that nobody outside the process knows.
type seeds struct {
	start uint64    // where every hash begins
	words [2]uint64 // for the first two words of a string
	mul   uint64    // factor of mix, odd
}

// hashSeeds are drawn anew in every process, so that nobody outside can choose keys that collide.
var hashSeeds = drawSeeds(rand64)

func rand64() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func drawSeeds(draw func() uint64) seeds {
	return seeds{start: draw(), words: [2]uint64{draw(), draw()}, mul: draw() | 1}
}

// Reseed is for tests: layouts that are made from now on hash as in another process, until
// the returned function is called. No other goroutine may make a layout meanwhile.
func Reseed() (undo func()) {
	old := hashSeeds
	hashSeeds = drawSeeds(rand64)
	return func() { hashSeeds = old }
}

// vectorKeys is how many keys the assembly handles together.
const vectorKeys = 8

// fold multiplies to 128 bits and xors the high and the low half (the mum of wyhash).
//
//gcassert:inline
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix adds one more word to a hash. It does two rounds of a shift, which brings the upper half to
// the lower one, and a multiplication, which brings everything to the upper bits (as in the
// finalizer of murmur3).
//
// One round, or one 128-bit product whose halves are xored, leaves patterns. For keys that are
// small numbers, or steps of a fixed size, the upper bits are then multiples of a factor modulo a
// power of two. With most factors these crowd together, and from some starts they do with any
// factor. After two rounds the bits are as even as chance, the lowest ten or so a little less
// (TestHashSpreads, TestHashCrowds).
//
// No two words give the same hash. A word takes about half a nanosecond, a third with vectors; a
// call of go-metro takes 2.7.
//
//gcassert:inline
func mix(h, word, mul uint64) uint64 {
	x := h ^ word
	x = (x ^ x>>32) * mul
	return (x ^ x>>29) * mul
}

// hashWords folds a column of words into hashes of the same number. If the column is the first of
// the key, the hashes begin with it.
func hashWords(h []uint64, first bool, words []uint64, s *seeds) {
	words = words[:len(h)]
	done := 0
	if have512 {
		done = len(h) &^ (vectorKeys - 1)
		if done > 0 {
			hashWords512(newHashing(h[:done], first, words, words, words, s))
		}
	}
	if first {
		start, mul := s.start, s.mul
		for i := done; i < len(h); i++ {
			h[i] = mix(start, words[i], mul)
		}
		return
	}
	mul := s.mul
	for i := done; i < len(h); i++ {
		h[i] = mix(h[i], words[i], mul)
	}
}

// hashStrings is hashWords for the three columns of words of strings.
func hashStrings(h []uint64, first bool, w0, w1, w2 []uint64, s *seeds) {
	n := len(h)
	w0, w1, w2 = w0[:n], w1[:n], w2[:n]
	done := 0
	if have512 {
		done = n &^ (vectorKeys - 1)
		if done > 0 {
			hashStrings512(newHashing(h[:done], first, w0, w1, w2, s))
		}
	}
	for i := done; i < n; i++ {
		from := s.start
		if !first {
			from = h[i]
		}
		h[i] = mixString(from, w0[i], w1[i], w2[i], s)
	}
}

// hashing has what hashWords512 and hashStrings512 work on. The assembly knows its layout.
type hashing struct {
	hashes     *uint64
	w0, w1, w2 *uint64
	n          int    // a multiple of vectorKeys, not 0
	begin      uint64 // all ones if the hashes begin with start, 0 if they go on
	seeds      seeds
}

//gcassert:inline
func newHashing(h []uint64, first bool, w0, w1, w2 []uint64, s *seeds) *hashing {
	a := &hashing{unsafe.SliceData(h), unsafe.SliceData(w0), unsafe.SliceData(w1), unsafe.SliceData(w2), len(h), 0, *s}
	if first {
		a.begin--
	}
	return a
}

// mixString adds the three words of a string to a hash. Each of the first two words is xored with a
// seed of its own and the two are multiplied by each other; then the result and the third word are
// mixed. Without the seeds somebody could choose texts with a known first product. If a text has no
// second word, the seed of that word is the factor. Word 1 of a long string is a place, not a
// value, and is left out.
func mixString(h, w0, w1, w2 uint64, s *seeds) uint64 {
	if w2>>56 == stringLong {
		w1 = 0
	}
	return mix(h^fold(w0^s.words[0], w1^s.words[1]), w2, s.mul)
}

// hashLong is the hash of a string too long to lie in the words of a key.
func hashLong(b []byte, s *seeds) uint64 { return metro.Hash64(b, s.start) }
