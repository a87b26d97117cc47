package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: plans of every kind can be removed. Their writers get what the last epoch has and are
// closed, snapshots of before stay valid, later ones do not have the plan, and the others go on.
func TestRemovePlanKinds(t *testing.T) {
	feed, compile := ticks(t)
	table := pages(t, 5, nil)
	windows, passed, changes, final := &kept{}, &kept{}, &kept{}, &kept{}
	first := compile(`SELECT key, count(*) AS n FROM ticks WHERE value % 2 = 0 GROUP BY key`)
	joined := compile(`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id WHERE value % 2 = 0`, table)
	configs := []engine.PlanConfig{
		{Plan: first},
		{Plan: joined},
		{
			Plan:   compile(`SELECT window_end, count(*) AS n FROM ticks GROUP BY tumble(at, INTERVAL '10 s')`),
			Writer: windows,
		},
		{Plan: compile(`SELECT key, value FROM ticks WHERE key < 3`), Writer: passed},
		{Plan: compile(`SELECT key, max(value) AS m FROM ticks GROUP BY key EMIT CHANGES`), Writer: changes},
		{Plan: compile(`SELECT max(value) AS m FROM ticks WHERE value % 2 = 0`), Writer: final},
	}
	e := start(t, engine.Config{
		Plans: configs, Readers: []record.Reader{feed}, Partitions: 2, NoPin: true, EpochInterval: -1,
		StateBytes: 64 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	send(t, lane, 0, 100)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := e.Snapshot()
	defer old.Close()
	of, has := old.Of(joined), engine.HasOf(e, 1)
	for i, c := range configs[1:] {
		if err := e.RemovePlan(t.Context(), c.Plan); err != nil {
			t.Fatalf("plan %d: %v", i+1, err)
		}
		if w, ok := c.Writer.(*kept); ok && !w.closed.Load() {
			t.Errorf("plan %d: its writer was not closed", i+1)
		}
		if got := len(e.Stats().Plans); got != len(configs)-1-i {
			t.Errorf("%d plans in the stats after plan %d has gone", got, i+1)
		}
		send(t, lane, 100+20*i, 120+20*i)
	}
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if old.Has(joined) || s.Has(joined) || !s.Has(first) {
		t.Error("a snapshot has a plan that was removed, or lacks one that was not")
	}
	if !has(old) || has(s) {
		t.Error("a slot of a removed plan is taken for a picture of it, or a picture is not")
	}
	if got := sumOfN(t, of, joined); got != 30 { // keys 0, 2, 4
		t.Errorf("the picture of before has %d records of the removed plan, expected 30", got)
	}
	if got := sumOfN(t, s, first); got != 100 {
		t.Errorf("the first plan has %d records, expected 100", got)
	}
	if windows.rows.Load() != 9+2 || passed.rows.Load() < 3*10 || changes.rows.Load() < 10 || final.rows.Load() != 0 {
		t.Errorf("%d windows, %d records passed, %d changes, %d of the end: expected 11, 30 or more, 10 or "+
			"more and none",
			windows.rows.Load(), passed.rows.Load(), changes.rows.Load(), final.rows.Load())
	}
	if st := e.Stats(); len(st.Tables) != 0 || len(st.Rings) != 2 || st.Plans[0].Readers[0].In != 200 {
		t.Errorf("%d tables, %d rings, %+v", len(st.Tables), len(st.Rings), st.Plans[0].Readers)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sumOfN is the sum of the column n of a plan.
func sumOfN(t testing.TB, s *engine.Snapshot, p *plan.Plan) (sum int64) {
	n, err := result.ColumnOf[int64](p, "n")
	if err != nil {
		t.Error(err)
		return 0
	}
	for row := range s.All() {
		sum += n.Of(row)
	}
	return sum
}

// Goal: a plan that is added again begins anew, under a new number, and an engine can add and remove
// any number of plans without growing.
func TestRemovePlanAgain(t *testing.T) {
	feed, compile := ticks(t)
	e := start(t, engine.Config{
		Plan: compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`), Readers: []record.Reader{feed},
		Partitions: 2, NoPin: true, StateBytes: 16 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	p := compile(`SELECT key, sum(value) AS n FROM ticks GROUP BY key`)
	freed := make(chan struct{}, 1)
	for round := range engine.MaxPlans + 10 {
		if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: p}); err != nil {
			t.Fatal(err)
		}
		send(t, lane, 0, 10)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if got := s.Of(p).Len(); got != 10 {
			t.Fatalf("round %d: %d groups", round, got)
		}
		if round == engine.MaxPlans+9 {
			// An object of the plan alone, which goes when nothing has the plan any more.
			runtime.AddCleanup(engine.CutOf(s.Of(p)), func(struct{}) { freed <- struct{}{} }, struct{}{})
		}
		s.Close()
		st := e.Stats()
		if got := st.Plans[1].Number; got != round+1 || st.Of(got).Plan != st.Plans[1].Plan {
			t.Fatalf("the plan has the number %d", got)
		}
		if err := e.RemovePlan(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if st := e.Stats(); len(st.Agents) > 1+2*2 || len(st.Plans) != 1 {
		t.Errorf("%d agents, %d plans", len(st.Agents), len(st.Plans))
	}
	for deadline := time.Now().Add(time.Minute); ; {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the memory of a plan that was removed is still in use")
		}
	}
}

// Goal: plans come and go while readers, snapshots and writers are busy, and rings are full; the
// others count every record, and snapshots of a plan agree with themselves. Method: in several
// shapes, several goroutines add plans and remove them again, some of them with a writer that takes
// its time, while others look.
func TestRemovePlanConcurrently(t *testing.T) {
	for _, cores := range []int{1, 3} {
		t.Run(fmt.Sprint(cores, " cores"), func(t *testing.T) { removeConcurrently(t, cores) })
	}
}

func removeConcurrently(t *testing.T, cores int) {
	_, compile := ticks(t)
	var end atomic.Bool
	first := compile(`SELECT key, count(*) AS n, max(value + 1) AS m FROM ticks WHERE value > 0 GROUP BY key`)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{endless{&end}, endless{&end}}, Partitions: 2, Cores: cores, NoPin: true,
		EpochInterval: 200 * time.Microsecond, StateBytes: 16 << 20, RingSlots: 2,
	})
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for round := range 15 {
				p := compile(fmt.Sprintf(`SELECT count(*) AS n FROM ticks WHERE value > %d`, i%2))
				config := engine.PlanConfig{Plan: p}
				if i == 2 {
					config.Plan = compile(`SELECT key, value + 1 AS v FROM ticks WHERE value > 0`)
					config.Writer = &slow{}
				}
				if _, err := e.AddPlan(t.Context(), config); err != nil {
					t.Error(err)
					return
				}
				for range round {
					s := e.Snapshot()
					if !s.Has(config.Plan) {
						t.Error("a plan that was added is not there")
					} else if i != 2 {
						n := sumOfN(t, s.Of(p), p)
						if c := s.Of(p).Counters(); uint64(n) != c[0].Counted+c[1].Counted {
							t.Errorf("%d records are in the group, %+v", n, c)
						}
					}
					s.Close()
				}
				if err := e.RemovePlan(t.Context(), config.Plan); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	end.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if n := sumOfN(t, s, first); uint64(n) != s.Records() || len(e.Plans()) != 1 {
		t.Errorf("%d of %d records were counted; %d plans", n, s.Records(), len(e.Plans()))
	}
}

// slow is a writer that takes its time.
type slow struct{}

func (*slow) Write(context.Context, *record.Batch) error {
	time.Sleep(100 * time.Microsecond)
	return nil
}
func (*slow) Close() error { return nil }

// Goal: what cannot be removed is refused with the reason; a writer that fails at the end, and one
// that does not return, are told to the caller; the engine ends in order while plans are removed.
func TestRemovePlanFaults(t *testing.T) {
	feed, compile := ticks(t)
	first := compile(`SELECT count(*) AS n FROM ticks`)
	stuck := &held{in: make(chan struct{}, 1), out: make(chan struct{})}
	passes, fails := compile(`SELECT key FROM ticks`),
		compile(`SELECT key, max(value) AS m FROM ticks GROUP BY key EMIT CHANGES`)
	w := &kept{}
	e := start(t, engine.Config{
		Plans:   []engine.PlanConfig{{Plan: first}, {Plan: passes, Writer: stuck}, {Plan: fails, Writer: w}},
		Readers: []record.Reader{feed}, Partitions: 2, NoPin: true, EpochInterval: -1, StateBytes: 32 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]*plan.Plan{
		"does not run it": compile(`SELECT count(*) AS n FROM ticks`), "not run": nil,
	} {
		if err := e.RemovePlan(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	send(t, lane, 0, 10)
	<-stuck.in // the writer has a batch
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.RemovePlan(ctx, passes); !errors.Is(err, engine.ErrRemoving) ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a writer that does not return: %v", err)
	}
	if err := e.RemovePlan(t.Context(), passes); err == nil {
		t.Error("a plan was removed twice")
	}
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(stuck.out)
	w.fail.Store(true)
	send(t, lane, 10, 20)
	err = e.RemovePlan(t.Context(), fails)
	var alone *engine.PlanError
	if err != nil && (!errors.As(err, &alone) || alone.Number != 2) {
		t.Errorf("a writer that fails: %v", err)
	}
	if err := e.Shutdown(t.Context()); err != nil && !errors.As(err, &alone) {
		t.Fatal(err)
	}
	if err := e.RemovePlan(t.Context(), first); !errors.Is(err, engine.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// Goal: a plan whose writer hangs holds up the whole engine, and can be removed; the others go on.
func TestRemovePlanHung(t *testing.T) {
	_, compile := ticks(t)
	var end atomic.Bool
	stuck := &held{in: make(chan struct{}, 1), out: make(chan struct{})}
	p := compile(`SELECT key FROM ticks`)
	e := start(t, engine.Config{
		Plans: []engine.PlanConfig{
			{Plan: compile(`SELECT count(*) AS n FROM ticks`)}, {Plan: p, Writer: stuck},
		},
		Readers: []record.Reader{endless{&end}}, Partitions: 2, NoPin: true, StateBytes: 32 << 20, RingSlots: 2,
	})
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	<-stuck.in // from now on the writer hangs, so only a Sync that a stall ends proves less than it should
	for deadline := time.Now().Add(time.Minute); e.Sync(short()) == nil; {
		if time.Now().After(deadline) {
			t.Fatal("a writer that hangs holds nothing up")
		}
	}
	if err := e.RemovePlan(short(), p); !errors.Is(err, engine.ErrRemoving) {
		t.Fatal(err)
	}
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(stuck.out)
	end.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
}

// held is a writer that does not return before it is told to.
type held struct{ in, out chan struct{} }

func (w *held) Write(context.Context, *record.Batch) error {
	select {
	case w.in <- struct{}{}:
	default:
	}
	<-w.out
	return nil
}
func (*held) Close() error { return nil }

// Goal: Close while plans are removed ends everything and closes their writers.
func TestRemovePlanWhileClosing(t *testing.T) {
	for round := range 30 {
		feed, compile := ticks(t)
		w := &kept{}
		p := compile(`SELECT key, value FROM ticks`)
		e := start(t, engine.Config{
			Plans:   []engine.PlanConfig{{Plan: compile(`SELECT count(*) AS n FROM ticks`)}, {Plan: p, Writer: w}},
			Readers: []record.Reader{feed}, Partitions: 2, NoPin: true, StateBytes: 32 << 20,
		})
		removed := make(chan error, 1)
		go func() { removed <- e.RemovePlan(t.Context(), p) }()
		time.Sleep(time.Duration(round*10) * time.Microsecond)
		if err := e.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Fatal(err)
		}
		if err := <-removed; err != nil && !errors.Is(err, engine.ErrEnded) {
			t.Error(err)
		}
		if !w.closed.Load() {
			t.Error("the writer was not closed")
		}
	}
}
