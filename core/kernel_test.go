package core

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// Finding and updating the groups of records that are in memory: count, sum, min and max by a bigint, with the keys encoded and hashed.
// The groups are there already.
func BenchmarkKernel(b *testing.B) {
	for _, groups := range []int{10, 1000, 100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			schema, err := record.NewSchema("s", record.Field{Name: "key", Type: record.Int64},
				record.Field{Name: "value", Type: record.Int64})
			if err != nil {
				b.Fatal(err)
			}
			p := &plan.Plan{
				Source: schema, Keys: []string{"key"},
				Aggregates: []plan.Aggregate{
					{Name: "n", Func: plan.Count},
					{Name: "s", Func: plan.Sum, Column: "value"},
					{Name: "a", Func: plan.Min, Column: "value"},
					{Name: "b", Func: plan.Max, Column: "value"},
				},
			}
			l, err := p.Layout()
			if err != nil {
				b.Fatal(err)
			}
			t, err := table.New(l.Keys, l.Init, table.Memory{})
			if err != nil {
				b.Fatal(err)
			}
			k := newKernel(l, t)
			const rows = 1 << 12
			n := max(1<<20, min(4*groups, 1<<24))
			var batches []*record.Batch
			rng := rand.New(rand.NewPCG(1, 1))
			for from := 0; from < n; from += rows {
				keys, values := make([]int64, rows), make([]int64, rows)
				for i := range rows {
					keys[i] = int64((rng.Uint64N(uint64(groups)) + 1) * 0x9e3779b97f4a7c15)
					values[i] = rng.Int64N(1000)
				}
				batch := record.NewBatch(schema, rows)
				batch.Column(0).Int64s, batch.Column(1).Int64s = keys, values
				batch.SetLen(rows)
				batches = append(batches, batch)
			}
			scratch := l.Keys.NewKeys(stripeRows)
			all := func() {
				for _, batch := range batches {
					for from := 0; from < rows; from += stripeRows {
						l.Keys.Encode(batch, from, from+stripeRows, scratch)
						copy(k.words, scratch.Words)
						k.args[0] = batch.Column(1).Words()[from : from+stripeRows]
						k.apply(scratch.Hashes, nil, nil)
					}
				}
			}
			all()
			b.ResetTimer()
			for b.Loop() {
				all()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
		})
	}
}
