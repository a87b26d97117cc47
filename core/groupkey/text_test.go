package groupkey

import (
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// eachVariant runs a test with and without assembly.
func eachVariant(t *testing.T, test func(t *testing.T)) {
	t.Run("go", func(t *testing.T) {
		defer func(was bool) { have512 = was }(have512)
		have512 = false
		test(t)
	})
	t.Run("assembly", func(t *testing.T) {
		if !have512 {
			t.Skip("no AVX-512")
		}
		test(t)
	})
}

// Goal: the words of a string are what packString says, whatever lies around it; what packShort
// leaves is long, near the end, or no string of the column at all. Method: random views, some of
// them rubbish, into columns of every length; in the memory of eachText, which ends where the
// column does.
func TestPackShort(t *testing.T) { eachVariant(t, func(t *testing.T) { eachText(t, testPackShort) }) }

func testPackShort(t *testing.T, text []byte) {
	rng := rand.New(rand.NewPCG(uint64(len(text)), 3))
	const most = 40
	var w0, w1, w2 [most]uint64
	for range 20 {
		n := rng.IntN(most + 1)
		views := make([]record.View, n)
		rubbish := rng.IntN(3) == 0
		for i := range views {
			v := record.View{Off: uint32(rng.IntN(len(text) + 1)), Len: uint32(rng.IntN(30))}
			if int(v.Off)+int(v.Len) > len(text) {
				v.Len = uint32(len(text)) - v.Off
			}
			if rubbish && rng.IntN(4) == 0 {
				v = record.View{Off: rng.Uint32() >> rng.IntN(32), Len: rng.Uint32() >> rng.IntN(32)}
			}
			views[i] = v
		}
		others := make([]uint32, n+vectorKeys)
		left := map[int]bool{}
		last := -1
		for _, i := range others[:packShort(views, text, w0[:n], w1[:n], w2[:n], others)] {
			if int(i) <= last {
				t.Fatalf("row %d after %d", i, last)
			}
			last = int(i)
			left[last] = true
		}
		for i, v := range views {
			end := uint64(v.Off) + uint64(v.Len)
			if left[i] {
				if v.Len <= shortString && uint64(v.Off)+vectorBytes <= uint64(len(text)) {
					t.Fatalf("%d bytes: %+v was left", len(text), v)
				}
				continue
			}
			if v.Len > shortString || end > uint64(len(text)) {
				t.Fatalf("%d bytes: %+v was taken", len(text), v)
			}
			a, b, c := packString(text[v.Off:end], uint64(v.Off), &hashSeeds)
			if w0[i] != a || w1[i] != b || w2[i] != c {
				t.Fatalf("%d bytes: %+v: %x %x %x, expected %x %x %x", len(text), v, w0[i], w1[i], w2[i], a, b, c)
			}
		}
	}
}
