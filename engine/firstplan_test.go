package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// Goal: the plan that the engine began with can be removed, and the others go on with every record;
// what is of one plan is then of the next; the last one stays. Method: three plans are removed in
// their order, each with a writer or a table, with records between.
func TestRemoveFirstPlan(t *testing.T) {
	feed, compile := ticks(t)
	windows, changes := &kept{}, &kept{}
	configs := []engine.PlanConfig{
		{
			Plan:   compile(`SELECT window_end, count(*) AS n FROM ticks GROUP BY tumble(at, INTERVAL '10 s')`),
			Writer: windows,
		},
		{Plan: compile(`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id`, pages(t, 5, nil))},
		{Plan: compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key EMIT CHANGES`), Writer: changes},
		{Plan: compile(`SELECT key % 2 AS k, count(*) AS n FROM ticks GROUP BY key % 2`)},
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
	last := configs[3].Plan
	for i, c := range configs[:3] {
		if e.Plan() != c.Plan || e.Stats().Plan != c.Plan.String() {
			t.Errorf("before plan %d is removed, the plan of the engine is %v", i, e.Plan())
		}
		if err := e.RemovePlan(t.Context(), c.Plan); err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		s := e.Snapshot()
		if s.Has(c.Plan) || old.Has(c.Plan) {
			t.Errorf("plan %d is still there", i)
		}
		if next := s.Of(configs[i+1].Plan); engine.CutOf(next) != engine.CutOf(s) || s.Epoch() <= old.Epoch() {
			t.Errorf("after plan %d was removed, the snapshot is not of the next plan", i)
		}
		if got, want := sumOfN(t, s.Of(last), last), int64(100+10*i); got != want {
			t.Errorf("after plan %d was removed, the last plan has %d records, expected %d", i, got, want)
		}
		s.Close()
		send(t, lane, 100+10*i, 110+10*i)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !windows.closed.Load() || !changes.closed.Load() || windows.rows.Load() != 9 || changes.rows.Load() < 10 {
		t.Errorf("the writers have %d windows and %d changes", windows.rows.Load(), changes.rows.Load())
	}
	if got := old.Len(); got == 0 || old.Records() != 100 {
		t.Errorf("the picture of before has %d windows of %d records", got, old.Records())
	}
	st := e.Stats()
	if len(st.Plans) != 1 || st.Plans[0].Number != 3 || st.Readers[0].Counters.In != 130 || len(st.Tables) != 0 ||
		!strings.Contains(e.String(), last.String()) {
		t.Errorf("%v: %+v, %d tables", e, st.Plans, len(st.Tables))
	}
	err = e.RemovePlan(t.Context(), last)
	if err == nil || !strings.Contains(err.Error(), "only plan") {
		t.Errorf("the last plan: %v", err)
	}
	// Plans come again, and an earlier one under a new number.
	if _, err := e.AddPlan(t.Context(), configs[1]); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePlan(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	send(t, lane, 0, 20)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if got := sumOfN(t, s, configs[1].Plan); got != 10 || e.Stats().Plans[0].Number != 4 {
		t.Errorf("the plan that came again has %d records, expected 10", got)
	}
}

// brought is a reader that counts what it brings, until it is to end.
type brought struct {
	end *atomic.Bool
	n   *atomic.Int64
}

func (r brought) Read(_ context.Context, b *record.Batch) error {
	if r.end.Load() {
		return io.EOF
	}
	for range 50 {
		n := r.n.Add(1)
		b.Add(0)
		b.SetInt64(0, n%100)
		b.SetInt64(1, n)
		b.SetInt64(2, n*int64(time.Millisecond))
	}
	return nil
}

func (brought) Close() error { return nil }

// rotate adds a plan and removes the oldest, again and again.
func rotate(t *testing.T, e *engine.Engine, rounds int, next func(round int) engine.PlanConfig) {
	for round := range rounds {
		if _, err := e.AddPlan(t.Context(), next(round)); err != nil {
			t.Error(err)
			return
		}
		err := errors.New("")
		for err != nil {
			err = e.RemovePlan(t.Context(), e.Plan())
			if err != nil && !strings.Contains(err.Error(), "does not run it") { // another one was faster
				t.Error(err)
				return
			}
		}
	}
}

// Goal: the oldest plan is removed again and again while readers come and go, snapshots are read,
// epochs are followed and writers write: each picture agrees with its own counters, and at the end
// the plans that are left have every record since they came. Method: plans of several kinds in a
// queue, in several shapes.
func TestRemoveFirstPlanConcurrently(t *testing.T) {
	for _, shape := range []struct{ cores, partitions int }{{1, 1}, {3, 2}} {
		t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) { removeFirst(t, shape.cores, shape.partitions) })
	}
}

func removeFirst(t *testing.T, cores, partitions int) {
	_, compile := ticks(t)
	var end atomic.Bool
	var n atomic.Int64
	table := pages(t, 50, nil)
	next := func(round int) engine.PlanConfig {
		switch round % 4 {
		case 0:
			return engine.PlanConfig{
				Plan:   compile(`SELECT key, count(*) AS n, max(value) AS m FROM ticks GROUP BY key EMIT CHANGES`),
				Writer: &slow{},
			}
		case 1:
			return engine.PlanConfig{
				Plan: compile(`SELECT key, count(*) AS n FROM ticks LEFT JOIN pages AS p ON key = p.id GROUP BY key`,
					table),
				Exchange: plan.ExchangeFold,
			}
		case 2:
			return engine.PlanConfig{
				Plan:   compile(`SELECT window_end, count(*) AS n FROM ticks GROUP BY tumble(at, INTERVAL '10 s')`),
				Writer: &slow{},
			}
		}
		return engine.PlanConfig{Plan: compile(`SELECT key, count(*) AS n FROM ticks WHERE value > 0 GROUP BY key`)}
	}
	e := start(t, engine.Config{
		Plans: []engine.PlanConfig{next(0), next(1)}, Readers: []record.Reader{brought{&end, &n}, brought{&end, &n}},
		Partitions: partitions, Cores: cores, NoPin: true, EpochInterval: 200 * time.Microsecond, StateBytes: 16 << 20,
		RingSlots: 2,
	})
	var rotating, looking sync.WaitGroup
	done := make(chan struct{})
	look := func(f func() error) {
		looking.Go(func() {
			for !isClosed(done) {
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	look(func() error {
		s := e.Snapshot()
		defer s.Close()
		return agrees(s)
	})
	look(func() error {
		for s := range e.Updates(t.Context()) {
			return agrees(s)
		}
		return nil
	})
	look(func() error {
		st := e.Stats()
		if len(st.Plans) == 0 || st.Plan != st.Plans[0].Plan || st.String() == "" || e.String() == "" {
			return fmt.Errorf("%d plans in the stats", len(st.Plans))
		}
		return e.Sync(t.Context())
	})
	look(func() error {
		id, err := e.AddReader(t.Context(), brought{&end, &n})
		if err != nil {
			return err
		}
		return e.RemoveReader(t.Context(), id)
	})
	for i := range 2 {
		rotating.Go(func() {
			rotate(t, e, int(sized(16)), func(round int) engine.PlanConfig { return next(i + round) })
		})
	}
	rotating.Wait()
	close(done)
	looking.Wait()
	end.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	for _, p := range e.Plans() {
		if err := agrees(s.Of(p)); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	if uint64(n.Load()) < s.Records() || s.Records() == 0 {
		t.Errorf("%d of %d records", s.Records(), n.Load())
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// agrees says whether the groups of a picture, which have a column n, have the records that its
// counters say. Of windows, only the last ones are there.
func agrees(s *engine.Snapshot) error {
	sum, counted := int64(0), uint64(0)
	for b := range s.Batches(100) {
		if _, windows := b.Schema().Index("window_end"); windows {
			return nil
		}
		i, ok := b.Schema().Index("n")
		if !ok {
			return fmt.Errorf("no column n in %v", b.Schema())
		}
		for row := range b.Len() {
			sum += b.Column(i).Int64s[row]
		}
	}
	for _, c := range s.Counters() {
		counted += c.Counted
	}
	if uint64(sum) != counted {
		return fmt.Errorf("epoch %d: %d records are in the groups, and %d were counted", s.Epoch(), sum, counted)
	}
	return nil
}

// Goal: a state of which the first plan was removed knows where every reader stands, also of splits
// that have brought nothing since the plan came that is left, and of readers that had ended before.
// Method: a plan is added after some of the input, the first is removed, and the next life brings
// what is new and nothing else.
func TestStateWithoutFirstPlan(t *testing.T) {
	const text = "SELECT count(*) AS n, sum(v) AS s, max(w) AS m FROM log"
	dir := t.TempDir()
	ended, quiet := &splitLog{splits: 2, rows: 100}, &splitLog{rows: 1000}
	busy := &splitLog{rows: 5000}
	ended.until.Store(100)
	quiet.until.Store(50)
	busy.until.Store(300)
	split := func(l *splitLog, number int) *logReader {
		return &logReader{log: l, splits: []*logSplit{{name: fmt.Sprintf("log/%d", number), number: number}}}
	}
	life := func(plans ...*plan.Plan) *engine.Engine {
		cfg := engine.Config{
			Readers:    []record.Reader{ended.reader(0, 1), split(quiet, 10), split(busy, 20)},
			Partitions: 2, Cores: 2, NoPin: true, State: engine.Dir(dir), EpochInterval: time.Millisecond,
			BatchRows: 50, Columns: []string{"k", "host", "v", "w", "at", "note"},
		}
		cfg.State.NoSync = true
		for _, p := range plans {
			cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: p})
		}
		return start(t, cfg)
	}
	base, more := namedPlan(t, "base", keptPlans["integers"]), namedPlan(t, "more", text)
	e := life(base)
	waitRecords(t, e, 200+50+300)
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: more}); err != nil {
		t.Fatal(err)
	}
	busy.until.Store(500)
	waitRecords(t, e, 200+50+500)
	if err := e.RemovePlan(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	if !e.State().CaughtUp {
		t.Error("the readers had caught up, and it is forgotten")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	more = namedPlan(t, "more", text)
	e = life(more)
	busy.until.Store(700)
	waitRecords(t, e, 200+200)
	time.Sleep(20 * time.Millisecond) // what must not come would come at once
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	if got := sumOfN(t, s, more); got != 400 || s.Records() != 400 {
		t.Errorf("the plan that is left has %d records, expected 400", got)
	}
	s.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Goal: epochs by time go on although the first plan has ended alone. Method: its writer fails;
// the other plan is seen to grow, and nobody asks for epochs.
func TestFirstPlanEndedEpochsGoOn(t *testing.T) {
	feed, compile := ticks(t)
	first, second := compile(`SELECT key FROM ticks`), compile(`SELECT count(*) AS n FROM ticks`)
	w := &kept{}
	w.fail.Store(true)
	e := start(t, engine.Config{
		Plans: []engine.PlanConfig{{Plan: first, Writer: w}, {Plan: second}}, Readers: []record.Reader{feed},
		Partitions: 2, NoPin: true, EpochInterval: time.Millisecond, StateBytes: 32 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for sent, deadline := 0, time.Now().Add(time.Minute); ; {
		send(t, lane, sent, sent+10)
		sent += 10
		s := e.Snapshot()
		failed, has := s.Err() != nil, sumOfN(t, s.Of(second), second)
		s.Close()
		if failed && has >= 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("failed %v, the other plan has %d of %d records", failed, has, sent)
		}
		time.Sleep(time.Millisecond)
	}
	var alone *engine.PlanError
	if err := e.Shutdown(t.Context()); !errors.As(err, &alone) || alone.Number != 0 {
		t.Error(err)
	}
}

// askingReader has to ask for its records: it does not know what waits before it is answered.
type askingReader struct {
	*logReader
	answered atomic.Bool
}

func (r *askingReader) Lag() []record.Lag {
	return []record.Lag{{Split: "known"}, {Split: "asked", Unknown: !r.answered.Load()}}
}

// Goal: a reader that has nothing to give before it is answered has not caught up. Method: one that
// says so, for longer than it takes to look at it.
func TestUnansweredIsNotCaughtUp(t *testing.T) {
	log := &splitLog{splits: 1, rows: 100}
	r := &askingReader{logReader: log.reader(0, 1)}
	cfg := engine.Config{
		Plan: namedPlan(t, "base", keptPlans["integers"]), Readers: []record.Reader{r}, Partitions: 1, Cores: 1,
		NoPin: true, State: engine.Dir(t.TempDir()), EpochInterval: time.Millisecond,
	}
	cfg.State.NoSync = true
	e := start(t, cfg)
	log.until.Store(10)
	waitRecords(t, e, 10)
	time.Sleep(50 * time.Millisecond)
	if s := e.Stats(); e.State().CaughtUp || !s.Readers[0].Lag[1].Unknown {
		t.Errorf("it has caught up before it was answered: %+v", s.Readers[0])
	}
	r.answered.Store(true)
	eventually(t, "it has caught up", func() bool { return e.State().CaughtUp })
}
