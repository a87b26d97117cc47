package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// generated is an engine over records without end of a million groups, on one core, with the million groups made.
func generated(b *testing.B, st *engine.State, groups, records uint64) *engine.Engine {
	b.Helper()
	g, err := readers.NewGenerator(readers.GeneratorConfig{Groups: groups, Seed: 1, Records: records})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Start(b.Context(), engine.Config{
		Plan: &plan.Plan{Source: readers.GeneratorSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "s", Func: plan.Sum, Column: "value"},
			{Name: "lo", Func: plan.Min, Column: "value"},
			{Name: "hi", Func: plan.Max, Column: "value"},
		}},
		Readers: []record.Reader{g}, Partitions: 1, Cores: 1, State: st,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	return e
}

// fillGroups waits until the engine has had n records.
func fillGroups(b *testing.B, e *engine.Engine, n uint64) {
	b.Helper()
	for {
		s := e.Snapshot()
		have := s.Records()
		s.Close()
		if have >= n {
			return
		}
		if err := e.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckpoint saves a million groups that have all changed, while records come.
func BenchmarkCheckpoint(b *testing.B) {
	for _, sync := range []bool{true, false} {
		b.Run(fmt.Sprintf("sync=%v", sync), func(b *testing.B) {
			st := engine.Dir(b.TempDir())
			st.Interval, st.NoSync = time.Hour, !sync
			e := generated(b, st, 1_000_000, 0)
			fillGroups(b, e, 10_000_000)
			b.ResetTimer()
			busy := time.Duration(0)
			for range b.N {
				if err := e.Checkpoint(b.Context()); err != nil {
					b.Fatal(err)
				}
				s := e.Stats().State
				busy += s.Duration - s.Waited
			}
			b.StopTimer()
			s := e.Stats().State
			b.SetBytes(s.Bytes)
			b.ReportMetric(float64(busy.Milliseconds())/float64(b.N), "ms-without-disk/op")
			b.ReportMetric(float64(s.Bytes)/1e6, "MB")
		})
	}
}

// BenchmarkRestore starts an engine over the state of a million groups, until it has its first snapshot.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	st := engine.Dir(dir)
	st.Interval, st.NoSync = time.Hour, true
	e := generated(b, st, 1_000_000, 20_000_000)
	if err := e.Wait(); err != nil {
		b.Fatal(err)
	}
	size := e.Stats().State.Bytes
	b.SetBytes(size)
	b.ResetTimer()
	for range b.N {
		e := generated(b, st, 1_000_000, 20_000_000)
		s := e.Snapshot()
		if n := s.Len(); n != 1_000_000 {
			b.Fatalf("%d groups", n)
		}
		s.Close()
		b.StopTimer()
		if err := e.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkKept is the throughput without a State, with one that saves nothing meanwhile, and with one that saves each
// second.
func BenchmarkKept(b *testing.B) {
	for name, st := range map[string]*engine.State{
		"memory": nil, "hour": {Interval: time.Hour}, "second": {Interval: time.Second, Share: 1},
	} {
		b.Run(name, func(b *testing.B) {
			if st != nil {
				st.Path = b.TempDir()
			}
			e := generated(b, st, 1_000_000, 0)
			fillGroups(b, e, 10_000_000)
			before, began := e.Stats(), time.Now()
			b.ResetTimer()
			for range b.N {
				time.Sleep(3 * time.Second)
			}
			b.StopTimer()
			after := e.Stats()
			n := after.Counters().In - before.Counters().In
			b.ReportMetric(float64(n)/time.Since(began).Seconds()/1e6, "M/s")
			b.ReportMetric(float64(n)/(after.CPUTime()-before.CPUTime()).Seconds()/1e6, "M/cpu-s")
			b.ReportMetric(float64(after.State.Saves-before.State.Saves), "saves")
			var longest time.Duration
			for _, a := range after.Agents {
				longest = max(longest, a.Longest)
			}
			b.ReportMetric(float64(longest.Microseconds()), "us-longest-step")
		})
	}
}
