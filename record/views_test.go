package record

import (
	"math/rand/v2"
	"testing"
)

// Goal: the end of the last view is found wherever it is, and is not cut at 32 bits. Method: views
// of any size, one of them the last.
func TestLastEnd(t *testing.T) {
	defer func(have bool) { haveViews512 = have }(haveViews512)
	for _, vectors := range []bool{false, haveViews512} {
		haveViews512 = vectors
		rng := rand.New(rand.NewPCG(1, 6))
		for n := range 40 {
			for last := range n {
				views := make([]View, n)
				for i := range views {
					views[i] = View{rng.Uint32N(1000), rng.Uint32N(1000)}
				}
				views[last] = View{1<<32 - 1 - rng.Uint32N(9), 1<<31 + rng.Uint32N(1<<31)}
				if end := lastEnd(views); end != uint64(views[last].Off)+uint64(views[last].Len) {
					t.Fatalf("%d, expected that of %+v", end, views[last])
				}
			}
		}
		if end := lastEnd(nil); end != 0 {
			t.Fatalf("%d of no views", end)
		}
	}
}
