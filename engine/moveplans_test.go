package engine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// movedQueries are questions whose shards can move.
var movedQueries = []string{
	`SELECT key, count(*) AS n, sum(value) AS sum, max(value) AS high FROM timed GROUP BY key`,
	`SELECT key % 7 AS k, count(*) AS n, avg(value) AS mean FROM timed WHERE value % 3 = 1 GROUP BY key % 7`,
	`SELECT key, count(DISTINCT value % 50) AS d FROM timed GROUP BY key HAVING count(*) % 2 = 0`,
	`SELECT value % 1000 AS v, min(at) AS low, count(*) AS n FROM timed GROUP BY value % 1000`,
}

// slowly is a reader that takes its time, so that there are many epochs.
type slowly struct{ record.Reader }

func (s slowly) Read(ctx context.Context, b *record.Batch) error {
	time.Sleep(500 * time.Microsecond)
	return s.Reader.Read(ctx, b)
}

// Goal: several plans have the same results whether their shards move or not. Method: the plans
// together, with moves at random in all of them while records come, in every exchange, against each
// plan in an engine of its own; meanwhile a plan comes and goes whose shards move, too.
func TestMovesOfPlansTwin(t *testing.T) {
	most := sized(60_000)
	readers := func() []record.Reader {
		return []record.Reader{
			slowly{newTimed(100, time.Millisecond, most)}, slowly{newTimed(100, time.Millisecond, most)},
		}
	}
	compile := func(text string) *plan.Plan {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var want [][]string
	for _, text := range movedQueries {
		var out collected
		e := start(t, engine.Config{Plan: compile(text), Readers: readers(), Writer: &out, Partitions: 1, NoPin: true})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		want = append(want, out.sorted())
	}
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold, plan.ExchangeRoute,
	} {
		cfg := engine.Config{
			Readers: readers(), Partitions: 3, Cores: 2, NoPin: true, BatchRows: 100,
			EpochInterval: 200 * time.Microsecond, EpochShare: 1, Rebalance: true,
		}
		outs := make([]collected, len(movedQueries))
		for i, text := range movedQueries {
			cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: compile(text), Writer: &outs[i], Exchange: exchange})
		}
		e, err := engine.StartMoving(t.Context(), cfg, uint64(exchange)+7)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			p := compile(movedQueries[0])
			_, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: p, Exchange: exchange})
			if err == nil {
				err = e.RemovePlan(t.Context(), p)
			}
			if err != nil && !errors.Is(err, engine.ErrEnded) {
				t.Fatal(err)
			}
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		for i, text := range movedQueries {
			if got := outs[i].sorted(); !slices.Equal(got, want[i]) {
				t.Errorf("%v: %s: %d lines, expected %d", exchange, text, len(got), len(want[i]))
			}
		}
		r := e.Stats().Rebalance
		t.Logf("%v: %d moves", exchange, r.Moves)
		if !slices.ContainsFunc(r.Last, func(m engine.ShardMove) bool { return m.Plan > 0 }) {
			t.Errorf("%v: %d moves, none of a later plan among the last: %+v", exchange, r.Moves, r.Last)
		}
		if text := e.Stats().String(); !strings.Contains(text, "of plan") {
			t.Errorf("no plan is named in\n%s", text)
		}
	}
}

// Goal: a plan that fails while its shards move holds nothing up: the others go on, and what they
// have is whole. Method: a plan without memory, moves at random in both plans, several times.
func TestPlanFailsWhileShardsMove(t *testing.T) {
	const most = 50_000
	for round := range uint64(sized(8)) {
		many, err1 := query.Compile(`SELECT value, key, count(*) AS n FROM timed GROUP BY value, key`, timedSchema)
		few, err2 := query.Compile(`SELECT key, count(*) AS n FROM timed GROUP BY key`, timedSchema)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		e, err := engine.StartMoving(t.Context(), engine.Config{
			Plans:      []engine.PlanConfig{{Plan: many, StateBytes: engine.MinStateBytes}, {Plan: few}},
			Readers:    []record.Reader{newTimed(100_000, 0, most), newTimed(1000, 0, most)},
			Partitions: 3, Cores: 2, NoPin: true, EpochInterval: 200 * time.Microsecond, EpochShare: 1, Rebalance: true,
		}, round)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- e.Wait() }()
		select {
		case err = <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("round %d: the engine does not end\n%v", round, e.Stats())
		}
		var alone *engine.PlanError
		if !errors.As(err, &alone) || alone.Number != 0 {
			t.Fatalf("round %d: %v", round, err)
		}
		s := e.Snapshot()
		if got := sumOfN(t, s.Of(few), few); got != 2*most {
			t.Errorf("round %d: the plan that goes on has %d records of %d", round, got, 2*most)
		}
		s.Close()
	}
}

// Goal: a shard of each plan can be moved by hand, of several plans at the same time, and the moves
// of a plan that is removed end with an error.
func TestMoveShardOf(t *testing.T) {
	_, compile := ticks(t)
	var end atomic.Bool
	var n atomic.Int64
	a, b := compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`),
		compile(`SELECT key % 10 AS k, count(*) AS n FROM ticks GROUP BY key % 10`)
	e := start(t, engine.Config{
		Plans:      []engine.PlanConfig{{Plan: a}, {Plan: b}},
		Readers:    []record.Reader{brought{&end, &n}, brought{&end, &n}},
		Partitions: 3, Cores: 2, NoPin: true, EpochInterval: time.Millisecond, StateBytes: 32 << 20,
	})
	owners := func(p *plan.Plan) []int {
		s := e.Snapshot()
		defer s.Close()
		var all []int
		for shard := range plan.Shards {
			all = append(all, int(engine.CutOf(s.Of(p)).Owners.OfShard(uint8(shard))))
		}
		return all
	}
	was := owners(b)
	for shard := range 20 {
		if err := e.MoveShard(t.Context(), shard, 2-owners(a)[shard]); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(owners(b), was) {
		t.Error("shards of the other plan have moved, too")
	}
	var moving sync.WaitGroup
	for i, p := range []*plan.Plan{a, b} {
		moving.Go(func() {
			for round := range 50 {
				shard := (7*round + i) % plan.Shards
				if err := e.MoveShardOf(t.Context(), p, shard, round%3); err != nil {
					t.Error(err)
				}
				if got := owners(p)[shard]; got != round%3 {
					t.Errorf("shard %d is in partition %d, expected %d", shard, got, round%3)
				}
				s := e.Snapshot()
				if err := agrees(s.Of(p)); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
	moving.Wait()
	left := make(chan error, 1)
	go func() {
		for {
			if err := e.MoveShardOf(t.Context(), a, 3, int(time.Now().UnixNano()%3)); err != nil {
				left <- err
				return
			}
		}
	}()
	if err := e.RemovePlan(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	err := <-left
	if text := err.Error(); !strings.Contains(text, "was removed") && !strings.Contains(text, "does not run") {
		t.Error(err)
	}
	end.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if err := agrees(s); err != nil || s.Records() != uint64(n.Load()) {
		t.Errorf("%v: %d of %d records", err, s.Records(), n.Load())
	}
}
