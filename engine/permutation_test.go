package engine_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

type timedRow struct{ at, key, value int64 }

// orders are ways in which records may come that are sorted by time, none more than d behind a later one.
var orders = map[string]func(rng *rand.Rand, rows []timedRow, d int64){
	"shuffled": func(rng *rand.Rand, rows []timedRow, d int64) {
		due := map[timedRow]int64{}
		for _, r := range rows {
			due[r] = r.at + rng.Int64N(d)
		}
		slices.SortStableFunc(rows, func(a, b timedRow) int { return cmp.Compare(due[a], due[b]) })
	},
	// As a log's partitions come: by a hash of the key, each a piece of time at once.
	"partition by partition": func(_ *rand.Rand, rows []timedRow, d int64) {
		slices.SortStableFunc(rows, func(a, b timedRow) int {
			return cmp.Or(cmp.Compare(a.at/d, b.at/d), cmp.Compare(a.key*7%5, b.key*7%5))
		})
	},
	"pieces backwards": func(_ *rand.Rand, rows []timedRow, d int64) {
		slices.SortStableFunc(rows, func(a, b timedRow) int {
			return cmp.Or(cmp.Compare(a.at/d, b.at/d), cmp.Compare(b.at, a.at))
		})
	},
}

// memories deal rows to readers, in batches of n.
func memories(t *testing.T, rows []timedRow, n, batch int) (rs []record.Reader) {
	t.Helper()
	batches := make([][]*record.Batch, n)
	for i, row := range rows {
		of := &batches[i%n]
		if len(*of) == 0 || !(*of)[len(*of)-1].Add(0) {
			*of = append(*of, record.NewBatch(timedSchema, batch))
			(*of)[len(*of)-1].Add(0)
		}
		b := (*of)[len(*of)-1]
		b.SetInt64(0, row.at)
		b.SetInt64(1, row.key)
		b.SetInt64(2, row.value)
	}
	for _, of := range batches {
		m, err := readers.NewMemory(timedSchema, of, 1)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, m)
	}
	return rs
}

// Goal: what is written does not depend on the order in which records come, as far as the plan allows for it. Method: sorted records through one reader and one partition, in place; then orders at the very
// bound, for any shape, exchange and kind of windows, each window as it closes.
func TestPermutations(t *testing.T) {
	const bound = int64(1500 * time.Millisecond)
	for _, w := range []plan.Windows{
		{Kind: plan.Tumbling, Size: time.Second},
		{Kind: plan.Tumbling, Size: 7 * time.Second, Offset: 3 * time.Second},
		{Kind: plan.Hopping, Size: 3 * time.Second, Slide: time.Second},
		{Kind: plan.Hopping, Size: 2500 * time.Millisecond, Slide: time.Second}, // panes of half a second
		{Kind: plan.Cumulating, Size: 6 * time.Second, Slide: 2 * time.Second},
		{Kind: plan.Session, Size: 150 * time.Millisecond},
		{Kind: plan.Session, Size: 2 * time.Second},
	} {
		for seed := range uint64(2) {
			rng := rand.New(rand.NewPCG(seed, 21))
			p := &plan.Plan{
				Source: timedSchema, Keys: []string{"key"}, Window: &plan.Window{Windows: w, Column: "at"},
				Aggregates: []plan.Aggregate{
					{Name: "n", Func: plan.Count},
					{Name: "sum", Func: plan.Sum, Column: "value"},
					{Name: "low", Func: plan.Min, Column: "value"},
					{Name: "high", Func: plan.Max, Column: "value"},
					{Name: "first", Func: plan.First, Column: "value", By: "at"},
					{Name: "last", Func: plan.Last, Column: "value", By: "at"},
					{Name: "different", Func: plan.ApproxCountDistinct, Column: "value"},
				},
			}
			// How much of the bound is the watermark's, and how much the windows that stay open take: it comes to the same.
			p.Window.Lateness = time.Duration(rng.Int64N(3) * bound / 2)
			p.Window.OutOfOrder = time.Duration(bound) - p.Window.Lateness
			rows := make([]timedRow, sized(20_000))
			keys := int64(1) << (2 + rng.IntN(8))
			for i := range rows {
				rows[i] = timedRow{int64(time.Hour) + rng.Int64N(int64(40*time.Second)), rng.Int64N(keys), int64(i)}
			}
			slices.SortFunc(rows, func(a, b timedRow) int { return cmp.Compare(a.at, b.at) })
			run := func(c engine.Config, what string) []string {
				out := &rowsWriter{}
				c.Plan, c.Writer, c.NoPin, c.Cores, c.EpochShare = p, out, true, 1, 1
				e, err := engine.Start(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				// tables are given back when the collector finds them, and each takes several of the mappings that the system allows
				defer runtime.GC()
				defer e.Close()
				if err := e.Wait(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if n := e.Stats().Counters(); n.Late > 0 || n.Counted != uint64(len(rows)) {
					t.Fatalf("%s: %+v", what, n)
				}
				slices.Sort(out.rows)
				return out.rows
			}
			want := run(engine.Config{
				Readers: memories(t, rows, 1, record.DefaultRows), Partitions: 1,
				Exchange: plan.ExchangeDirect, EpochInterval: -1,
			}, "sorted")
			for name, order := range orders {
				mixed := slices.Clone(rows)
				order(rng, mixed, bound)
				readers, partitions, exchange, batch := 1+rng.IntN(4), 1+rng.IntN(3), plan.Exchange(rng.IntN(4)),
					1+rng.IntN(1000)
				what := fmt.Sprintf("seed %d: %v, %s, lateness %v, %d keys, %d readers, %d partitions, %v, "+
					"batches of %d", seed, w, name, p.Window.Lateness, keys, readers, partitions, exchange, batch)
				got := run(engine.Config{
					Readers: memories(t, mixed, readers, batch), Partitions: partitions, Exchange: exchange,
					FoldBytes: 1 << (14 + rng.IntN(4)), EpochInterval: 100 * time.Microsecond,
				}, what)
				if !slices.Equal(got, want) {
					for i := range min(len(got), len(want)) {
						if got[i] != want[i] {
							t.Fatalf("%s: row %d: %s, sorted it is %s", what, i, got[i], want[i])
						}
					}
					t.Fatalf("%s: %d rows, sorted there are %d", what, len(got), len(want))
				}
			}
		}
	}
}
