package bench

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// refreshRows is how many rows the table of BenchmarkLookupRefresh has.
const refreshRows = 1_000_000

// BenchmarkLookupRefresh is what it costs the engine that a table of a million rows is loaded again
// while it is read: CPU time of the engine for a record, on one core, with a load each 10 seconds,
// with one after the other, and with none. The three take turns; medians, and each against none.
func BenchmarkLookupRefresh(b *testing.B) {
	batches := sqlBatches(1 << 18)
	schema, err := record.NewSchema("dim", record.Field{Name: "id", Type: record.Int64},
		record.Field{Name: "weight", Type: record.Int64})
	if err != nil {
		b.Fatal(err)
	}
	var loads atomic.Int64
	load := func(_ context.Context, to *lookup.Builder) error {
		loads.Add(1)
		batch := record.NewBatch(schema, 0)
		for id := range int64(refreshRows) {
			if !batch.Add(0) {
				if err := to.Append(batch); err != nil {
					return err
				}
				batch.Reset()
				batch.Add(0)
			}
			batch.SetInt64(0, id)
			batch.SetInt64(1, id%100)
		}
		return to.Append(batch)
	}
	const sql = `SELECT r.key, count(*) AS n, sum(d.weight) AS weight FROM records AS r
		JOIN dim AS d ON r.size * 1000 + r.value = d.id GROUP BY r.key`
	kinds := []struct {
		name    string
		refresh time.Duration
	}{{"none", 0}, {"each-10s", 10 * time.Second}, {"always", time.Millisecond}}
	took := make([][]float64, len(kinds))
	one := func(i int) {
		table, err := lookup.New(lookup.Config{
			Schema: schema, Key: []string{"id"}, Load: load, Refresh: kinds[i].refresh,
		})
		if err != nil {
			b.Fatal(err)
		}
		p, err := query.Catalog{Sources: []*record.Schema{sqlSchema}, Tables: []*lookup.Table{table}}.Compile(sql)
		if err != nil {
			b.Fatal(err)
		}
		r, err := newMemory(batches, 0)
		if err != nil {
			b.Fatal(err)
		}
		e, err := engine.Start(context.Background(), engine.Config{
			Plan: p, Readers: []record.Reader{r}, Partitions: 1, Cores: 1,
		})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		// The first load and the tables of the engine are not measured.
		for e.Stats().Counters().In < 1<<20 {
			time.Sleep(time.Millisecond)
		}
		begun, cpu := e.Stats().Counters().In, e.Stats().CPUTime()
		time.Sleep(12 * time.Second)
		st := e.Stats()
		took[i] = append(took[i], float64(st.CPUTime()-cpu)/float64(st.Counters().In-begun))
	}
	for b.Loop() {
		for i := range kinds {
			one(i)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(loads.Load()), "loads")
	var none float64
	for i, k := range kinds {
		slices.Sort(took[i])
		m := took[i][len(took[i])/2]
		b.ReportMetric(m, k.name+"-ns/record")
		if i == 0 {
			none = m
			continue
		}
		b.ReportMetric(m/none, "x-"+k.name)
	}
}
