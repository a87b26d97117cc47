package bench

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// each are the workloads that the benchmarks go through.
var each = []string{"u_10", "u_1k", "u_100k", "u_1M", "z_100k", "z_1M", "seed"}

// Goal: an engine that runs a workload can be measured, settles, and counts what it was given.
func TestMeasure(t *testing.T) {
	w := Workload{Groups: 100, Prepare: 10_000}
	e, err := w.Start(2, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	Settle(e)
	f, err := Measure(e, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f.Records == 0 || f.Elapsed < 50*time.Millisecond || f.PerSecond() <= 0 {
		t.Fatalf("%+v", f)
	}
	if st := e.Stats(); st.Groups() != 100 || st.Counters().In < f.Records {
		t.Fatal(st)
	}
}

// The engine on records that lie in memory as batches, groups already there. The time for one op means nothing: read the metrics.
func BenchmarkEngine(b *testing.B) {
	for _, name := range each {
		for _, cores := range []int{1, 2} {
			b.Run(fmt.Sprintf("workload=%s/cores=%d", name, cores), func(b *testing.B) {
				e, err := Workloads[name].Start(cores, cores, cores)
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close()
				Settle(e)
				var total Figure
				b.ResetTimer()
				for b.Loop() {
					f, err := Measure(e, 250*time.Millisecond)
					if err != nil {
						b.Fatal(err)
					}
					total.Records += f.Records
					total.Elapsed += f.Elapsed
					total.CPUTime += f.CPUTime
				}
				b.ReportMetric(total.PerSecond()/1e6, "M/s")
				b.ReportMetric(total.CPUNanos(), "cpu-ns/record")
			})
		}
	}
}

// The loop that a Go engineer would write first: a map from the key to its state, on the same batches.
func BenchmarkGoMap(b *testing.B) {
	type state struct{ n, sum, min, max int64 }
	for _, name := range each {
		b.Run("workload="+name, func(b *testing.B) {
			rs, err := Workloads[name].Readers(1)
			if err != nil {
				b.Fatal(err)
			}
			batch := record.NewBatch(Workloads[name].Plan().Source, record.DefaultRows)
			groups := map[int64]*state{}
			pass := func() (rows int) {
				batch.Reset()
				if err := rs[0].Read(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
				keys, values := batch.Column(0).Int64s[:batch.Len()], batch.Column(1).Int64s[:batch.Len()]
				for i, k := range keys {
					v := values[i]
					s := groups[k]
					if s == nil {
						s = &state{min: v, max: v}
						groups[k] = s
					}
					s.n++
					s.sum += v
					s.min = min(s.min, v)
					s.max = max(s.max, v)
				}
				return len(keys)
			}
			for done := 0; done < Workloads[name].Prepare; {
				done += pass()
			}
			rows := 0
			for b.Loop() {
				rows += pass()
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "M/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "cpu-ns/record")
		})
	}
}

// Goal: every workload comes out as a Go map has it, in every exchange; and one that does not is found out. Method: few records, two readers; then a
// reference that has read one batch more.
func TestRun(t *testing.T) {
	for _, w := range []Workload{
		{Groups: 100, Prepare: 1 << 14},
		{Groups: 5000, Prepare: 1 << 14, Text: true},
		{Groups: 10, Prepare: 10_000, BatchRows: 1000, Aggregates: []plan.AggregateKind{plan.Sum}},
	} {
		for x := plan.ExchangeAuto; x <= plan.ExchangeRoute; x++ {
			w.Exchange = x
			r, err := w.Run(2, 2, 1, 20*time.Millisecond, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Groups == 0 || r.Records == 0 || r.Build <= 0 {
				t.Fatalf("%v: %+v", x, r)
			}
			batches, err := w.Batches(2)
			if err != nil {
				t.Fatal(err)
			}
			reads := []uint64{r.Stats.Readers[0].In, r.Stats.Readers[1].In}
			if groups, sum := w.Reference(batches, reads); groups != r.Groups || sum != r.Sum {
				t.Fatalf("%v: %d groups, %x, expected %d, %x", x, r.Groups, r.Sum, groups, sum)
			}
			reads[1] += uint64(batches[1][0].Len())
			if _, sum := w.Reference(batches, reads); sum == r.Sum {
				t.Fatal("the checksum is the same for a batch more")
			}
		}
	}
}

// Goal: the other ways to read what is being written have all records of all groups in a snapshot.
func TestSnapshotRivals(t *testing.T) {
	w := Workload{Groups: 100, Prepare: 1 << 12}
	batches, err := w.Batches(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, impl := range sharedImpls {
		m := impl.make()
		var want int64
		for _, b := range batches[0] {
			m.apply(b)
			want += int64(b.Len())
		}
		if c, ok := m.(*copiedMap); ok { // its writer copies, with the next batch
			c.wanted.Store(true)
			empty := record.NewBatch(batches[0][0].Schema(), 1)
			c.apply(empty)
		}
		groups, records := 0, int64(0)
		if c, ok := m.(*copiedMap); ok {
			groups, records = count(maps.Values(*c.published.Load()))
		} else {
			groups, records = m.snapshot()
		}
		if groups != 100 || records != want || !m.get(batches[0][0].Column(0).Int64s[0]) || m.get(-12345) {
			t.Errorf("%s: %d groups, %d records of %d", impl.name, groups, records, want)
		}
	}
	if err := SnapshotRivals(w, time.Millisecond, 50*time.Millisecond, func(s SharedState) {
		if s.T <= 0 || s.Snapshot <= 0 || s.GetNs <= 0 {
			t.Errorf("%+v", s)
		}
	}); err != nil {
		t.Error(err)
	}
}

// Goal: the rivals count what the reference counts.
func TestRivals(t *testing.T) {
	for _, text := range []bool{false, true} {
		w := Workload{Groups: 100, Prepare: 1 << 12, Text: text}
		batches, err := w.Batches(1)
		if err != nil {
			t.Fatal(err)
		}
		for name, rival := range Rivals {
			if ns := rival(w, batches[0]); ns <= 0 {
				t.Errorf("%s: %v ns", name, ns)
			}
		}
	}
}
