package bench

import (
	"runtime"
	"slices"
	"testing"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/scalar"
)

// besides measures plans beside the first: CPU time of a record, in turns; medians.
func besides(b *testing.B, plans ...*plan.Plan) {
	batches := sqlBatches(1 << 18)
	var pipes []*pipe
	for _, p := range plans {
		x, err := newPipe(p, batches)
		if err != nil {
			b.Fatal(err)
		}
		x.run(1 << 18)
		pipes = append(pipes, x)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := make([][]float64, len(pipes))
	for b.Loop() {
		for i, p := range pipes {
			took[i] = append(took[i], p.run(1<<20))
		}
	}
	b.ReportMetric(0, "ns/op")
	var first float64
	for i, name := range []string{"built-in", "own", "fast"}[:len(pipes)] {
		slices.Sort(took[i])
		median := took[i][len(took[i])/2]
		b.ReportMetric(median, name+"-ns/record")
		if i == 0 {
			first = median
			continue
		}
		b.ReportMetric(median/first, name+"-x")
	}
}

// BenchmarkUserAggregate is the sum of a column as a user writes it, with Add and with AddAll, beside
// the one that is built in: 1,000 groups, and one.
func BenchmarkUserAggregate(b *testing.B) {
	type state struct{ sum, n int64 }
	spec := aggregate.Spec[state, int64, int64]{
		Name:   "bench_sum",
		Add:    func(s *state, v int64) { s.sum += v; s.n++ },
		Merge:  func(into, from *state) { into.sum += from.sum; into.n += from.n },
		Result: func(s state) (int64, bool) { return s.sum, s.n > 0 },
	}
	fast := spec
	fast.AddAll = func(s *state, values []int64) {
		sum := int64(0)
		for _, v := range values {
			sum += v
		}
		s.sum += sum
		s.n += int64(len(values))
	}
	for name, keys := range map[string][]string{"groups=1000": {"key"}, "groups=1": nil} {
		b.Run(name, func(b *testing.B) {
			var plans []*plan.Plan
			for _, a := range []plan.Aggregate{
				{Name: "s", Func: plan.Sum, Column: "value"},
				{Name: "s", User: aggregate.Must(spec), Column: "value"},
				{Name: "s", User: aggregate.Must(fast), Column: "value"},
			} {
				plans = append(plans, &plan.Plan{Source: sqlSchema, Keys: keys, Aggregates: []plan.Aggregate{a}})
			}
			besides(b, plans...)
		})
	}
}

// BenchmarkUserScalar is a product as a user writes it, with Row and with Block, beside the one that
// is built in.
func BenchmarkUserScalar(b *testing.B) {
	i, _ := sqlSchema.Index("value")
	value := expr.Column(sqlSchema, i)
	call := func(f *scalar.Func) *expr.Expr {
		e, err := expr.Call(f, value)
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	built, err := expr.New(expr.Mul, value, expr.Int(value.Type(), 3))
	if err != nil {
		b.Fatal(err)
	}
	var plans []*plan.Plan
	for _, e := range []*expr.Expr{
		built,
		call(scalar.Must(scalar.Spec[int64, int64]{
			Name: "thrice", NotNull: true, Row: func(v int64) (int64, error) { return 3 * v, nil },
		})),
		call(scalar.Must(scalar.Spec[int64, int64]{
			Name: "thrice", NotNull: true, Block: func(_ *scalar.Block, v, to []int64) {
				for i := range v {
					to[i] = 3 * v[i]
				}
			},
		})),
	} {
		plans = append(plans, &plan.Plan{
			Source: sqlSchema, Keys: []string{"key"}, Computed: []plan.Output{{Name: "x", Expr: e}},
			Aggregates: []plan.Aggregate{{Name: "s", Func: plan.Sum, Column: "x"}},
		})
	}
	besides(b, plans...)
}
