package bench

import (
	"runtime"
	"slices"
	"testing"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/plan"
)

// BenchmarkUserAggregate is the sum of a column as a user writes it beside the one that is built in: CPU time of a record, 1,000 groups. They take turns; medians.
func BenchmarkUserAggregate(b *testing.B) {
	type state struct{ sum, n int64 }
	f := aggregate.Must(aggregate.Spec[state, int64, int64]{
		Name:   "bench_sum",
		Add:    func(s *state, v int64) { s.sum += v; s.n++ },
		Merge:  func(into, from *state) { into.sum += from.sum; into.n += from.n },
		Result: func(s state) (int64, bool) { return s.sum, s.n > 0 },
	})
	batches := sqlBatches(1 << 18)
	var pipes []*pipe
	for _, a := range []plan.Aggregate{{Name: "s", Func: plan.Sum, Column: "value"}, {Name: "s", User: f, Column: "value"}} {
		p, err := newPipe(&plan.Plan{Source: sqlSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{a}}, batches)
		if err != nil {
			b.Fatal(err)
		}
		p.run(1 << 18)
		pipes = append(pipes, p)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var took [2][]float64
	for b.Loop() {
		for i, p := range pipes {
			took[i] = append(took[i], p.run(1<<20))
		}
	}
	var median [2]float64
	for i := range took {
		slices.Sort(took[i])
		median[i] = took[i][len(took[i])/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median[0], "built-in-ns/record")
	b.ReportMetric(median[1], "own-ns/record")
	b.ReportMetric(median[1]/median[0], "x")
}
