package pick

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Goal: what is picked is what the bitmap has, in order, with the vectors and without. Method: columns of all lengths that end where their slices do, bitmaps that have few bits, half or all, against the plain loop.
func TestPick(t *testing.T) {
	was512, wasBMI2 := Have512, haveBMI2
	defer func() { Have512, haveBMI2 = was512, wasBMI2 }()
	for seed := range uint64(4000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := rng.IntN(300)
		from, mask, flags := make([]uint64, n), make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)
		for i := range from {
			from[i] = rng.Uint64()
		}
		for w := range mask {
			flags[w] = rng.Uint64()
			mask[w] = []uint64{
				0, rng.Uint64() & rng.Uint64() & rng.Uint64(), rng.Uint64(), rng.Uint64() | rng.Uint64(),
				^uint64(0),
			}[rng.IntN(5)]
			if left := n - 64*w; left < 64 {
				mask[w] &= 1<<left - 1
			}
		}
		var want []uint64
		wantBits := make([]uint64, len(mask)+1)
		for i, v := range from {
			if mask[i/64]>>(i%64)&1 != 0 {
				wantBits[len(want)/64] |= flags[i/64] >> (i % 64) & 1 << (len(want) % 64)
				want = append(want, v)
			}
		}
		for _, Have512 = range []bool{false, was512} {
			haveBMI2 = Have512 && wasBMI2
			if got := Words(make([]uint64, n), from, mask); !slices.Equal(got, want) {
				t.Fatalf("seed %d, vectors %v: %d of %d words: %x, expected %x", seed, Have512, len(got), n, got, want)
			}
			got := make([]uint64, len(mask))
			Bits(got, flags, mask)
			if words := (len(want) + 63) / 64; !slices.Equal(got[:words], wantBits[:words]) {
				t.Fatalf("seed %d, vectors %v: bits %x, expected %x", seed, Have512, got, wantBits)
			}
		}
	}
}
