package engine_test

import (
	"fmt"
	"slices"
	"sync"
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

// BenchmarkSendWhileSaving is how long a Send takes, without saves and while a million groups are saved again and
// again, and the longest step of an agent meanwhile.
func BenchmarkSendWhileSaving(b *testing.B) {
	type event struct{ Key, Value int64 }
	const groups = 1_000_000
	for _, saving := range []bool{false, true} {
		b.Run(fmt.Sprintf("saving=%v", saving), func(b *testing.B) {
			f, err := readers.NewFeed[event](nil, readers.FeedConfig{Name: "feed"})
			if err != nil {
				b.Fatal(err)
			}
			st := engine.Dir(b.TempDir())
			st.Interval, st.NoSync = time.Hour, true
			e, err := engine.Start(b.Context(), engine.Config{
				Plan: &plan.Plan{Source: f.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{
					{Name: "n", Func: plan.Count}, {Name: "s", Func: plan.Sum, Column: "value"},
				}},
				Readers: []record.Reader{f}, Partitions: 1, Cores: 1, State: st,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { e.Close() })
			lane, err := f.Lane()
			if err != nil {
				b.Fatal(err)
			}
			key := int64(0)
			send := func() {
				key = (key + 7919) % groups
				if err := lane.Send(b.Context(), event{key, 1}); err != nil {
					b.Fatal(err)
				}
			}
			for range 2 * groups {
				send()
			}
			saves, stop := e.Stats().State.Saves, make(chan struct{})
			var saver sync.WaitGroup
			if saving {
				saver.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							if err := e.Checkpoint(b.Context()); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			var took []time.Duration
			b.ResetTimer()
			for range b.N {
				for end := time.Now().Add(2 * time.Second); ; {
					begin := time.Now()
					if begin.After(end) {
						break
					}
					send()
					took = append(took, time.Since(begin))
					if len(took)%64 == 0 {
						time.Sleep(50 * time.Microsecond) // about a million a second
					}
				}
			}
			b.StopTimer()
			close(stop)
			saver.Wait()
			slices.Sort(took)
			for _, p := range []float64{0.5, 0.99, 0.999, 0.9999} {
				b.ReportMetric(float64(took[int(p*float64(len(took)-1))].Nanoseconds())/1000, fmt.Sprintf("us-p%v", 100*p))
			}
			var longest time.Duration
			s := e.Stats()
			for _, a := range s.Agents {
				longest = max(longest, a.Longest)
			}
			b.ReportMetric(float64(longest.Microseconds()), "us-longest-step")
			b.ReportMetric(float64(s.State.Saves-saves), "saves")
			b.ReportMetric(float64(len(took))/1e6/2/float64(b.N), "M/s")
		})
	}
}
