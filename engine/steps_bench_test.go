package engine_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A timedAgent notes the CPU time of its thread for each step that has work. The time in which the
// thread does not run is not in it, so a machine that others use does not spoil it.
type timedAgent struct {
	core.Agent
	phase *atomic.Int32 // which of the slices the steps belong to; -1 is none
	took  [2][]int64    // in nanoseconds; the runner's until the engine has ended
}

func (a *timedAgent) Step(now core.Nanos) int {
	begin, _ := affinity.ThreadCPUTime()
	n := a.Agent.Step(now)
	end, _ := affinity.ThreadCPUTime()
	p := a.phase.Load()
	if n > 0 && p >= 0 {
		a.took[p] = append(a.took[p], int64(end-begin))
	}
	return n
}

// BenchmarkStepsWhileSaving is how much CPU time steps take while a million groups are saved each
// 200 ms, and while epochs are raised as often and nothing is saved, in turn. The keeper has
// another CPU. Figures are in microseconds: what the steps of both kinds take that 1 of 2, 100,
// 1,000 and 10,000 steps exceeds.
func BenchmarkStepsWhileSaving(b *testing.B) {
	if _, ok := affinity.ThreadCPUTime(); !ok {
		b.Skip("this system does not say what CPU time a thread has used")
	}
	const groups = 1_000_000
	g, err := readers.NewGenerator(readers.GeneratorConfig{Groups: groups, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	st := engine.Dir(b.TempDir())
	st.Interval, st.NoSync = time.Hour, true
	phase := &atomic.Int32{}
	phase.Store(-1)
	var agents []*timedAgent
	e, err := engine.StartWrapped(b.Context(), engine.Config{
		Plan: &plan.Plan{Source: readers.GeneratorSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count}, {Name: "s", Func: plan.Sum, Column: "value"},
		}},
		Readers: []record.Reader{g}, Partitions: 1, Cores: 1, State: st, EpochInterval: -1,
	}, func(a core.Agent) core.Agent {
		t := &timedAgent{Agent: a, phase: phase}
		for p := range t.took {
			t.took[p] = make([]int64, 0, 1<<22) // no step makes room
		}
		agents = append(agents, t)
		return t
	})
	if err != nil {
		b.Fatal(err)
	}
	fillGroups(b, e, 20*groups)
	for range 2 { // both tables are there
		need(b, e.Sync(b.Context()))
		need(b, e.Checkpoint(b.Context()))
	}
	b.ResetTimer()
	for round := range 2 * b.N {
		phase.Store(int32(round % 2))
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if round%2 == 1 {
				need(b, e.Checkpoint(b.Context()))
			} else {
				need(b, e.Sync(b.Context()))
			}
		}
	}
	b.StopTimer()
	need(b, e.Close())
	for p, name := range []string{"alone", "saving"} {
		var all []int64
		for _, a := range agents {
			all = append(all, a.took[p]...)
		}
		slices.Sort(all)
		for _, of := range []int{2, 100, 1000, 10_000} {
			b.ReportMetric(float64(all[len(all)-1-len(all)/of])/1e3, fmt.Sprintf("us-%s-1/%d", name, of))
		}
		b.ReportMetric(float64(all[len(all)-1])/1e3, "us-"+name+"-longest")
		b.ReportMetric(float64(len(all)), name+"-steps")
	}
}

func need(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
