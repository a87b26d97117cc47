package record

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/dgryski/go-metro"
)

// seeds are what nobody outside knows.
type seeds struct {
	start uint64    // begins every hash
	words [2]uint64 // of the first two words of a string
	mul   uint64    // the factor of mix
}

// hashSeeds are drawn anew in every process, so that nobody outside can choose keys that collide.
var hashSeeds = drawSeeds(func() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
})

func drawSeeds(draw func() uint64) seeds {
	return seeds{start: draw(), words: [2]uint64{draw(), draw()}, mul: factors[draw()%uint64(len(factors))]}
}

// factors are what mix may multiply by. Which one, nobody outside knows: small numbers that collide with one factor do so whatever the start
// is, to a good part, but not with another. They are the first 64 of 174 random odd numbers whose multiples spread evenly: of 65,536 numbers in
// a row, in steps of many sizes, as integers, floats, and digits, from 24 starts, no 256th part of the shards, slots, or tags gets under 110 or
// over 410 (TestHashSpreads looks at some; the golden ratio is not that good). Any odd number for a factor would leave one process in a hundred
// with shards five times as large as others.
var factors = [64]uint64{
	0xcff946a1aca982e3, 0x33c122d5cf3241e7, 0x7c156c7ba086ccdd, 0xf7d7f2468f9623bd,
	0xc77373966c6c9819, 0x58c96b227d345b53, 0xb659f7ea79aaa167, 0x4f7a91a75365ed35,
	0x3d7fba1e6accd2ef, 0xdaf9e7f3378c60ef, 0x5451f4e1736752b7, 0xbfd300fcd2668db1,
	0x26a56720b0f51a81, 0x3d7620581adb2015, 0x2c66f22efd10db3f, 0xb9ac47581d3e0139,
	0x4f024b932e3d40c7, 0xa528e5253fbe8aa7, 0x0b40b08aac4c2b23, 0x196a86da1576c2ad,
	0x14557a4be66af75d, 0x4920307762906ed5, 0xdbd36a508e25ad09, 0xc42693b1c68c71f7,
	0x41a0c3e6c168e3cd, 0x8cd41a22a739b27b, 0xd02455b8bc44a867, 0xbb82136c484bf735,
	0xa50f0ba44fa6ea7b, 0xa1408720dbdca0ab, 0xea741165505e37bb, 0x5d368f6b3f6d34b1,
	0x577a32c77dd19b65, 0xf7303f0356089fb3, 0x806b542d56b3c87d, 0xd97f7423c86f9645,
	0x622168a624f21d1d, 0x51c77294f342cb47, 0x80a56d50d7ddda87, 0xc0f7b36e5df4b1f5,
	0xa667631d6d10b2e3, 0xebc5a5d9f0ca1feb, 0xce0d014301afb97f, 0xa8ac39c74e037d31,
	0x4a1b75653e790e9f, 0xbf7f3d8a33a69b75, 0x07d3b804c356de9b, 0xca6da94cd6854c7d,
	0xfc2a0a3f8680706d, 0x9c213392a6a14e6f, 0x8eba218965734403, 0x2953dfb80a26d1f3,
	0x6b05e5b71d8f7da7, 0x26a1b1e3831ab37b, 0xe213c82427f85f5b, 0xaf5d76488a91870f,
	0x0bb9686690dce9fb, 0xf4dfb4faa3c7d893, 0x3a10fbd022aaecaf, 0x3fc04372b4282909,
	0xde5bf91457fdad19, 0x20871e9c25b07267, 0x11c56ae053bc7a1f, 0x8c31176a81ff07d7,
}

// vectorKeys is how many keys the assembly looks at together.
const vectorKeys = 8

// fold is the high and the low half of a 128-bit product, xored (the mum of wyhash).
//
//gcassert:inline
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix folds one more word into a hash. 0.6-1.0 ns for a word; a call of go-metro costs 2.7.
//
//gcassert:inline
func mix(h, word, mul uint64) uint64 { return fold(h^word, mul) }

// hashWords folds a column of words into hashes, which begin with it where it is the first of the key. h and words have as many.
func hashWords(h []uint64, first bool, words []uint64, s *seeds) {
	words = words[:len(h)]
	done := 0
	if have512 {
		if done = len(h) &^ (vectorKeys - 1); done > 0 {
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

// hashStrings does the same with three columns that are the words of strings.
func hashStrings(h []uint64, first bool, w0, w1, w2 []uint64, s *seeds) {
	n := len(h)
	w0, w1, w2 = w0[:n], w1[:n], w2[:n]
	done := 0
	if have512 {
		if done = n &^ (vectorKeys - 1); done > 0 {
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

// hashing is what hashWords512 and hashStrings512 work on. The assembly knows its layout.
type hashing struct {
	hashes     *uint64
	w0, w1, w2 *uint64
	n          int    // a multiple of vectorKeys, not 0
	begin      uint64 // all ones where the hashes begin with start, 0 where they go on
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

// mixString folds the three words of a string into a hash, by two multiplications: the first two words by each other, each behind a seed of
// its own, then the result and the third. Without the seeds nobody can say for which texts the first product is what; where a text has
// no second word, its seed is the factor. Word 1 of a long string is a place, not a value, and is left out.
func mixString(h, w0, w1, w2 uint64, s *seeds) uint64 {
	if w2>>56 == stringLong {
		w1 = 0
	}
	return mix(h^fold(w0^s.words[0], w1^s.words[1]), w2, s.mul)
}

// hashLong is the hash of a string too long to lie in the words of a key.
func hashLong(b []byte, s *seeds) uint64 { return metro.Hash64(b, s.start) }
