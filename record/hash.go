package record

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"

	"github.com/dgryski/go-metro"
)

// hashSeed is drawn anew in every process, so that nobody outside can choose keys that collide.
var hashSeed = func() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}()

// hashMul is the odd constant of the multiply-fold: the golden ratio times 2^64.
const hashMul = 0x9E3779B97F4A7C15

// mix folds one more word into a hash: the high and the low half of a 128-bit product, xored (the mum of wyhash).
// 0.6-1.0 ns for a word; a call of go-metro costs 2.7.
//
//gcassert:inline
func mix(h, word uint64) uint64 {
	hi, lo := bits.Mul64(h^word, hashMul)
	return hi ^ lo
}

// hashLong is the hash of a string too long to lie in the words of a key.
func hashLong(s []byte, seed uint64) uint64 { return metro.Hash64(s, seed) }
