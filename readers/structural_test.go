package readers

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Goal: the assembly, its twin and a loop over the bytes find the same places, nothing outside of the range, and overwrite no more
// than they may. Method: random bytes of several densities, at every alignment and length up to a few vectors.
func TestFindStructurals(t *testing.T) { eachVariant(t, testFindStructurals) }

func testFindStructurals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, density := range []int{0, 1, 10, 50, 100} {
		for n := range 300 {
			from := rng.IntN(80)
			buf := make([]byte, from+n+pad)
			var want []uint32
			for i := range buf {
				buf[i] = byte(rng.IntN(256))
				if rng.IntN(100) < density {
					buf[i] = ";\n"[rng.IntN(2)]
				}
				if i >= from && i < from+n && (buf[i] == ';' || buf[i] == '\n') {
					want = append(want, uint32(i))
				}
			}
			for name, find := range map[string]func([]uint32, []byte, int, int, byte) int{
				"dispatched": findStructurals,
				"go":         findStructuralsGo,
			} {
				out := make([]uint32, n+structuralSlack+8)
				for i := range out {
					out[i] = 7777
				}
				found := find(out[:n+structuralSlack], buf, from, n, ';')
				if !slices.Equal(out[:found], want) && found+len(want) > 0 {
					t.Fatalf("%s, %d bytes from %d, density %d%%: %v, expected %v", name, n, from, density, out[:found],
						want)
				}
				for _, w := range out[n+structuralSlack:] {
					if w != 7777 {
						t.Fatalf("%s overwrote what is behind its room", name)
					}
				}
			}
		}
	}
}

func BenchmarkFindStructurals(b *testing.B) {
	buf := make([]byte, structuralChunk+pad)
	for i := range buf {
		buf[i] = 'x'
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 4 + rng.IntN(12); i+6 < len(buf); i += 9 + rng.IntN(12) {
		buf[i], buf[i+4+rng.IntN(2)] = ';', '\n'
	}
	out := make([]uint32, structuralChunk+structuralSlack)
	defer func(was bool) { haveVBMI2 = was }(haveVBMI2)
	for _, v := range []struct {
		name string
		have bool // what is to be switched on for it
		find func([]uint32, []byte, int, int, byte) int
	}{{"go", false, findStructuralsGo}, {"avx2", false, findStructurals}, {"avx512", haveVBMI2, findStructurals}} {
		haveVBMI2 = v.have
		b.Run("impl="+v.name, func(b *testing.B) {
			b.SetBytes(structuralChunk)
			for b.Loop() {
				v.find(out, buf, 0, structuralChunk, ';')
			}
		})
	}
}

// Goal: flatten writes the places of all bits, in order, whatever the words. Method: random words,
// empty, sparse, dense and full.
func TestFlatten(t *testing.T) { eachVariant(t, testFlatten) }

func testFlatten(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 17))
		words := make([]uint64, rng.IntN(structuralChunk/64+1))
		from := rng.IntN(1000)
		var want []uint32
		for i := range words {
			words[i] = []uint64{0, rng.Uint64() & rng.Uint64() & rng.Uint64(), rng.Uint64(), ^uint64(0)}[rng.IntN(4)]
			for j := range 64 {
				if words[i]>>j&1 != 0 {
					want = append(want, uint32(from+64*i+j))
				}
			}
		}
		out := make([]uint32, 64*len(words))
		if got := out[:flatten(out, words, from)]; !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, expected %v", seed, got, want)
		}
	}
}
