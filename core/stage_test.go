package core

import (
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: records are filtered and columns computed before they are grouped, in every shape and exchange; those that cannot be computed go to quarantine, and
// every record is counted once. Method: against a Go map.
func TestStage(t *testing.T) {
	key, v := expr.Column(timedSchema, 1), expr.Column(timedSchema, 2)
	must := func(e *expr.Expr, err error) *expr.Expr {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	i := func(n int64) *expr.Expr { return expr.Int(record.Int64, n) }
	p := &plan.Plan{
		Source: timedSchema, Where: must(expr.New(expr.Gt, v, i(100))), Keys: []string{"bucket"},
		Computed: []expr.Output{
			{Name: "bucket", Expr: must(expr.New(expr.Mod, key, i(5)))},
			// fails for 500
			{Name: "ratio", Expr: must(expr.New(expr.Div, i(1000), must(expr.New(expr.Sub, v, i(500)))))},
		},
		Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "sum", Func: plan.Sum, Column: "ratio"},
			{Name: "v", Func: plan.Max, Column: "v"},
		},
	}
	bucket, _ := result.ColumnOf[int64](p, "bucket")
	n, _ := result.ColumnOf[int64](p, "n")
	sum, _ := result.ColumnOf[int64](p, "sum")
	most, err := result.ColumnOf[int64](p, "v")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range testgen.Seeds(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		want := map[int64][3]int64{}
		var filtered, failed, all uint64
		var sources []Source
		for range 1 + rng.IntN(3) {
			var rows []timedRow
			for range rng.IntN(3000) {
				row := timedRow{0, rng.Int64N(50), rng.Int64N(1000)}
				rows = append(rows, row)
				all++
				switch w := want[row.key%5]; {
				case row.v <= 100:
					filtered++
				case row.v == 500:
					failed++
				default:
					want[row.key%5] = [3]int64{w[0] + 1, w[1] + 1000/(row.v-500), max(w[2], row.v)}
				}
			}
			sources = append(sources, &timedSource{rows: rows, batch: record.NewBatch(timedSchema, 1+rng.IntN(700))})
		}
		_, images, routers := runRoute(t, p, sources, plan.Route{},
			Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << 12}, 1+rng.IntN(3), 4, seed)
		groups := 0
		for _, m := range images {
			for row := range m.All() {
				groups++
				if got := [3]int64{n.Of(row), sum.Of(row), most.Of(row)}; got != want[bucket.Of(row)] {
					t.Fatalf("seed %d: group %d: %v, expected %v", seed, bucket.Of(row), got, want[bucket.Of(row)])
				}
			}
		}
		var c result.Counters
		for _, r := range routers {
			c.Add(r.Counters())
		}
		if groups != len(want) || c.In != all || c.Filtered != filtered || c.Quarantined != failed ||
			c.In != c.Counted+c.Filtered+c.Quarantined {
			t.Fatalf("seed %d: %d groups of %d, %+v, expected %d, %d filtered, %d failed", seed, groups, len(want), c,
				all, filtered, failed)
		}
	}
	bad := &plan.Plan{Source: timedSchema, Computed: []expr.Output{{Name: "key", Expr: v}}, Keys: []string{"key"}}
	if err := bad.Validate(); err == nil {
		t.Error("a computed column has the name of another")
	}
}
