package engine_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// Goal: where memory for new groups is not ready nobody touches it: an agent that needs it waits, says why, and goes on when it is there, with nothing lost; for every exchange, on one thread and on several. Method: the housekeeper
// is held until an agent says that it waits for memory.
func TestWaitsForMemory(t *testing.T) {
	if !arena.CanPrepare() {
		t.Skip("this system does not make memory ready ahead")
	}
	const groups = 200_000
	limit := 1 << 30 // another for each engine, so that none gets its memory ready from the one before
	for _, exchange := range []plan.Exchange{plan.ExchangeDirect, plan.ExchangeFold, plan.ExchangeRoute} {
		for _, partitions := range []int{1, 2} {
			name := exchange.String()
			interval := time.Hour // no twin that catches up, so that records are what waits
			if partitions > 1 {
				name += ", 2 partitions and epochs"
				interval = time.Millisecond
			}
			t.Run(name, func(t *testing.T) {
				limit += 64 << 20
				release := arena.Hold()
				defer func() {
					if release != nil {
						release()
					}
				}()
				next := int64(0)
				source := &testgen.ScriptedPoller{Step: func(_ int, b *record.Batch) error {
					for ; next < 2*groups && b.Len() < b.Cap(); next++ {
						add(b, next%groups, 1)
					}
					if next == 2*groups {
						return io.EOF
					}
					return nil
				}}
				p := sumPlan()
				e := start(t, engine.Config{
					Plan: p, Readers: []record.Reader{source}, Partitions: partitions,
					Exchange: exchange, Cores: 1, EpochInterval: interval, StateBytes: limit,
				})
				waits := func() bool {
					s := e.Stats()
					for _, a := range s.Agents {
						if a.Stalls[core.StallMemory].Count > 0 {
							return true
						}
					}
					return false
				}
				for end := time.Now().Add(time.Minute); !waits(); <-time.After(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("nobody waits for memory:\n%v", e.Stats())
					}
				}
				release()
				release = nil
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				got := counts(t, p, e)
				if len(got) != groups {
					t.Fatalf("%d groups, expected %d", len(got), groups)
				}
				for key, n := range got {
					if n != 2 {
						t.Fatalf("key %d has %d records, expected 2", key, n)
					}
				}
			})
		}
	}
}

// Goal: the defaults of a large machine do not reserve more addresses than a process has. Method: the partitions and the memory of such
// a machine, with so many groups that no table lies in Go's heap.
func TestLargeMachine(t *testing.T) {
	const partitions = 191
	groups := sized(1_000_000)
	p := sumPlan()
	for i, f := range []plan.AggregateKind{plan.Sum, plan.Min, plan.Max, plan.VarPop} {
		p.Aggregates = append(p.Aggregates, plan.Aggregate{Name: fmt.Sprint("a", i), Func: f, Column: "value"})
	}
	next := int64(0)
	source := &testgen.ScriptedPoller{Step: func(_ int, b *record.Batch) error {
		for ; next < groups && b.Len() < b.Cap(); next++ {
			add(b, next, 1)
		}
		if next == groups {
			return io.EOF
		}
		return nil
	}}
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{source}, Partitions: partitions, Cores: 1, NoPin: true, StateBytes: 768 << 30,
		HeldSnapshots: 4,
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if s.Len() != int(groups) {
		t.Errorf("%d groups, expected %d", s.Len(), groups)
	}
}
