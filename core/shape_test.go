package core

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: with a limit the rows are the first ones of those without, ties included, whatever is left out on the way. Method: groups in many orders with few or many different values to be ordered by; the
// same rows in the same order, with and without the limit.
func TestTop(t *testing.T) {
	for seed := range testgen.Seeds(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		limit := 1 + rng.Uint64N(1<<rng.IntN(10))
		p := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"},
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "most", Func: plan.Max, Column: "v"}},
			OrderBy: []plan.Order{
				{Column: "most", Desc: rng.IntN(2) == 0},
				{Column: "n", Desc: rng.IntN(2) == 0},
			}[:1+rng.IntN(2)],
			Limit: &limit, Offset: rng.Uint64N(3) * rng.Uint64N(1<<rng.IntN(8)),
		}
		var rows []timedRow
		values := int64(1) << rng.IntN(14)
		for range 1 + rng.IntN(5000) {
			rows = append(rows, timedRow{0, rng.Int64N(3000), rng.Int64N(values)})
		}
		if rng.IntN(3) == 0 {
			// each that comes may be in front of all others
			slices.SortFunc(rows, func(a, b timedRow) int { return int(a.v - b.v) })
		}
		all := &plan.Plan{Source: p.Source, Keys: p.Keys, Aggregates: p.Aggregates, OrderBy: p.OrderBy}
		keysOf := func(p *plan.Plan) (keys []int64) {
			key, err := result.ColumnOf[int64](p, "key")
			if err != nil {
				t.Fatal(err)
			}
			source := &timedSource{rows: rows, batch: record.NewBatch(timedSchema, 100)}
			_, images, _ := runRoute(t, p, []Source{source}, plan.Route{}, Fold{}, 1, 4, seed)
			cut := result.NewCut(result.NewOwners(1), 1, false)
			cut.Images[0] = images[0]
			for row := range cut.All() {
				keys = append(keys, key.Of(row))
			}
			return keys
		}
		got, want, offset := keysOf(p), keysOf(all), p.Offset
		want = want[min(offset, uint64(len(want))):]
		want = want[:min(limit, uint64(len(want)))]
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: limit %d, offset %d: %d rows, expected the first %d of all: %v, expected %v", seed,
				limit, offset, len(got), len(want), got, want)
		}
	}
}
