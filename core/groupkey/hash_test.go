package groupkey

import (
	"math/rand/v2"
	"testing"
)

// Goal: the hashes of a column are the same as of its words or strings one by one, at the beginning
// of a key and after other columns. Method: random words, such as carry from every half of a
// product into the next; long strings among them.
func TestHashColumns(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 4))
		words := func(n int) []uint64 {
			w := make([]uint64, n)
			for i := range w {
				switch w[i] = rng.Uint64(); rng.IntN(4) {
				case 0:
					w[i] |= 0xffffffff << (32 * rng.IntN(2))
				case 1:
					w[i] = 0
				case 2:
					w[i] = ^uint64(0) >> rng.IntN(64)
				}
			}
			return w
		}
		for range 2000 {
			n := rng.IntN(40)
			w0, w1, w2, h := words(n), words(n), words(n), words(n)
			s := drawSeeds(rng.Uint64)
			for i := range w2 {
				if rng.IntN(4) == 0 {
					w2[i] = stringLong << 56
				}
			}
			first := rng.IntN(2) == 0
			text := rng.IntN(2) == 0
			want := make([]uint64, n)
			for i := range want {
				from := h[i]
				if first {
					from = s.start
				}
				if want[i] = mix(from, w0[i], s.mul); text {
					want[i] = mixString(from, w0[i], w1[i], w2[i], &s)
				}
			}
			if text {
				hashStrings(h, first, w0, w1, w2, &s)
			} else {
				hashWords(h, first, w0, &s)
			}
			for i := range want {
				if h[i] != want[i] {
					t.Fatalf("row %d of %d, first %v, text %v, words %x %x %x: %x, expected %x", i, n, first, text,
						w0[i], w1[i], w2[i], h[i], want[i])
				}
			}
		}
	})
}
