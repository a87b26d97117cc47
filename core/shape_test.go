package core

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// Goal: with a limit the rows are the first ones of those without, ties included, whatever is left out on the way. Method: groups in many orders with few or many different values to be ordered by; the
// same rows in the same order, with and without the limit.
func TestTop(t *testing.T) {
	for seed := range testgen.Seeds(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		limit := 1 + rng.Uint64N(1<<rng.IntN(10))
		p := &Plan{
			Source: timedSchema, Keys: []string{"key"}, Aggregates: []Aggregate{{Name: "n", Func: Count}, {Name: "most", Func: Max, Column: "v"}},
			OrderBy: []Order{{Column: "most", Desc: rng.IntN(2) == 0}, {Column: "n", Desc: rng.IntN(2) == 0}}[:1+rng.IntN(2)],
			Limit:   &limit, Offset: rng.Uint64N(3) * rng.Uint64N(1<<rng.IntN(8)),
		}
		var rows []timedRow
		values := int64(1) << rng.IntN(14)
		for range 1 + rng.IntN(5000) {
			rows = append(rows, timedRow{0, rng.Int64N(3000), rng.Int64N(values)})
		}
		if rng.IntN(3) == 0 {
			slices.SortFunc(rows, func(a, b timedRow) int { return int(a.v - b.v) }) // each that comes may be in front of all others
		}
		_, images, _ := runRoute(t, p, []Source{&timedSource{rows: rows, batch: record.NewBatch(timedSchema, 100)}}, Route{}, Fold{}, 1, 4, seed)
		s := *images[0].layout.projection
		got := slices.Collect(s.arrange(images[0].rows()))
		offset := s.offset
		s.limited, s.offset = false, 0
		want := slices.Collect(s.arrange(images[0].rows()))
		want = want[min(offset, uint64(len(want))):]
		want = want[:min(limit, uint64(len(want)))]
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: limit %d, offset %d: %d rows, expected the first %d of all: %v, expected %v", seed, limit, offset, len(got), len(want), got, want)
		}
	}
}
