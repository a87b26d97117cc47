package core

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
)

// gatherAll is the panes of a stripe in turn, each with its rows of two columns.
func gatherAll(g *gathered, panes, a, b []uint64) (all [][]uint64) {
	g.begin(len(panes))
	for {
		pane, n := g.next(panes)
		if n == 0 {
			return all
		}
		all = append(all, []uint64{pane}, slices.Clone(g.pick(g.words[0], a)), slices.Clone(g.pick(g.words[0], b)))
	}
}

// Goal: each pane has its rows, in their order, with the vectors and without. Method: stripes of all lengths and few or many panes, against the plain loop; columns that end where their slices do.
func TestGather(t *testing.T) {
	was := have512
	defer func() { have512 = was }()
	g := &gathered{words: [][]uint64{make([]uint64, stripeRows)}}
	for seed := range testgen.Seeds(3000) {
		rng := rand.New(rand.NewPCG(seed, 9))
		n := 1 + rng.IntN(stripeRows)
		if seed%10 == 0 {
			n = stripeRows
		}
		panes, a, b := make([]uint64, n), make([]uint64, n), make([]uint64, n)
		many := 1 + rng.Uint64N(1<<rng.IntN(10))
		for i := range panes {
			panes[i], a[i], b[i] = rng.Uint64N(many)<<40, rng.Uint64(), uint64(i)
		}
		var want [][]uint64
		var seen []uint64
		run := false // the row before belongs to the last of want, which is a run
		for at, pane := range panes {
			if i := slices.Index(seen, pane); i >= 0 && i < maxTurns {
				continue
			} else if i < 0 {
				seen = append(seen, pane)
			}
			if last := len(want) - 3; run && want[last][0] == pane {
				want[last+1], want[last+2] = append(want[last+1], a[at]), append(want[last+2], b[at])
				continue
			}
			run = len(seen) > maxTurns
			var of, rows []uint64
			for i := range panes {
				if panes[i] == pane && (!run || i == at) {
					of, rows = append(of, a[i]), append(rows, b[i])
				}
			}
			want = append(want, []uint64{pane}, of, rows)
		}
		if allEqual(panes) != (len(seen) == 1) {
			t.Fatalf("seed %d: %d panes, all equal: %v", seed, len(seen), allEqual(panes))
		}
		for _, have512 = range []bool{false, was} {
			if got := gatherAll(g, panes, a, b); !slices.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("seed %d, vectors %v: %d rows of %d panes: not what they are", seed, have512, n, len(seen))
			}
		}
	}
}

// Goal: bounds are the least and the greatest, wherever they stand.
func TestBounds(t *testing.T) {
	for n := 1; n < 40; n++ {
		for at := range n {
			words := make([]int64, n)
			words[at] = -5
			words[n-1-at] += 7
			least, most := bounds(words)
			if least != slices.Min(words) || most != slices.Max(words) {
				t.Fatalf("%v: %d to %d", words, least, most)
			}
		}
	}
}
