package engine_test

import (
	"context"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: a query without epochs makes no memory ready for the tables that epochs would need.
// Method: the memory that is held at the end, beside what the groups take.
func TestFirstPassMemory(t *testing.T) {
	const groups = 300_000
	g, err := readers.NewGenerator(readers.GeneratorConfig{Seed: 1, Groups: groups, Readers: 1, Records: 4 * groups})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: readers.GeneratorSchema, Keys: []string{"key"}}
	for _, kind := range []plan.AggregateKind{plan.Sum, plan.Min, plan.Max} {
		p.Aggregates = append(p.Aggregates, plan.Aggregate{Name: kind.String(), Func: kind, Column: "value"})
	}
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{g}, Partitions: 1, Cores: 1, EpochInterval: -1, StateBytes: 1 << 30,
	})
	defer e.Close()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	// A row takes a cache line, and the index up to as much for each five groups. A huge page or an
	// eighth is made ready ahead. The two other tables have their first page.
	const rows = groups * 64
	const most = rows + rows/8 + rows/2 + 10<<20
	if n := e.Stats().Partitions[0].Bytes; s.Len() < groups*9/10 || n > most {
		t.Errorf("%d groups take %d bytes, expected at most %d", s.Len(), n, most)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}
