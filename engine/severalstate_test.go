package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// namedPlan is a plan of SQL with a name, for an engine of several.
func namedPlan(t *testing.T, name, text string) *plan.Plan {
	t.Helper()
	p := keptPlan(t, text)
	p.Name = name
	return p
}

// Goal: as TestStateSurvives, for plans of every kind in one engine, in another order in each life:
// each goes on with its own groups, windows and counters, at the same records.
func TestStateOfSeveralPlans(t *testing.T) {
	const splits, rows = 5, 1500
	names := slices.Sorted(maps.Keys(keptPlans))
	want, windows, out := map[string][]string{}, map[string][]string{}, map[string]*windowLog{}
	for _, name := range names {
		want[name], windows[name] = undisturbed(t, keptPlans[name], splits, rows)
		out[name] = &windowLog{}
	}
	rng := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	shapes := [][2]int{{1, 1}, {3, 2}, {2, 3}, {1, 5}, {5, 1}}
	for life, shape := range shapes {
		defer groupkey.Reseed()()
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows * (2*life + 1) / (2*len(shapes) - 1)))
		cfg := engine.Config{
			Partitions: shape[1], Cores: 2, NoPin: true, State: engine.Dir(dir), EpochInterval: time.Millisecond,
		}
		cfg.State.NoSync = true
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for i, name := range names {
			p := engine.PlanConfig{Plan: namedPlan(t, name, keptPlans[name]), Exchange: plan.Exchange((life + i) % 4)}
			if p.Plan.Window != nil {
				p.Writer, p.Plan.Window.Retain = out[name].writer(), 1000
			}
			cfg.Plans = append(cfg.Plans, p)
		}
		for i := range shape[0] {
			cfg.Readers = append(cfg.Readers, l.reader(i, shape[0]))
		}
		e := start(t, cfg)
		first := e.Snapshot()
		for _, p := range e.Plans() {
			one := first.Of(p)
			if n, m := one.Records(), first.Records(); n != m || (n == 0) != (life == 0) {
				t.Fatalf("life %d: plan %s begins with %d records, the first plan with %d", life, p.Name, n, m)
			}
		}
		first.Close()
		if life == len(shapes)-1 {
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			defer s.Close()
			for _, p := range e.Plans() {
				one := s.Of(p)
				if got := lines(t, one); !slices.Equal(got, want[p.Name]) {
					t.Errorf("%s: %d rows, expected %d:\n%s", p.Name, len(got), len(want[p.Name]), difference(got, want[p.Name]))
				}
				if n := one.Records(); n != splits*rows {
					t.Errorf("%s: the snapshot says %d records, expected %d", p.Name, n, splits*rows)
				}
			}
			break
		}
		waitRecords(t, e, uint64(splits)*uint64(l.until.Load()))
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		// More comes, and is lost with this life.
		more := int64(rows * (2*life + 2) / (2*len(shapes) - 1))
		l.until.Store(more)
		waitRecords(t, e, uint64(splits)*uint64(more))
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		slices.Sort(out[name].lines)
		if got := slices.Compact(out[name].lines); !slices.Equal(got, windows[name]) {
			t.Errorf("%s: written: %s", name, difference(got, windows[name]))
		}
	}
}

// A plansLife is a life of an engine of several plans, and what is said of its start.
type plansLife struct {
	plans map[string]string
	state func(*engine.State)
	until int64
	fails []string          // the error has these words; it starts if there are none
	has   map[string]uint64 // how many records the plans have at the end of the life
}

// Goal: plans that are not those of the state are refused, with what to do, and each choice has the
// consequence that is said.
func TestStateOfOtherPlans(t *testing.T) {
	const a, b, c = `SELECT k, count(*) AS n FROM log GROUP BY k`, `SELECT host, sum(v) AS s FROM log GROUP BY host`,
		`SELECT window_end, count(*) AS n FROM log GROUP BY tumble(at, INTERVAL '1 s')`
	dir := t.TempDir()
	for i, life := range []plansLife{
		{plans: map[string]string{"a": a, "b": b}, until: 100, has: map[string]uint64{"a": 200, "b": 200}},
		{
			plans: map[string]string{"a": a},
			fails: []string{"it has plan b, which the engine does not run", "DroppedPlans", "fresh"},
		},
		{
			plans: map[string]string{"a": a, "b": b, "c": c},
			fails: []string{"plan c is not in it", "without history", "NewPlans", "fresh"},
		},
		{plans: map[string]string{"a": b, "b": a}, fails: []string{"plan 0 (a)", "plan 1 (b)", "now: key 1 is host"}},
		{
			plans: map[string]string{"a": a, "b": b, "c": c}, until: 150,
			state: func(s *engine.State) { s.NewPlans = []string{"c"} },
			has:   map[string]uint64{"a": 300, "b": 300, "c": 100},
		},
		{plans: map[string]string{"a": a, "b": b, "c": c}, until: 200, has: map[string]uint64{"a": 400, "b": 400, "c": 200}},
		{
			plans: map[string]string{"a": a, "b": c, "c": c}, until: 250,
			state: func(s *engine.State) { s.NewPlans, s.DroppedPlans = []string{"b"}, []string{"b"} },
			has:   map[string]uint64{"a": 500, "b": 100, "c": 300},
		},
		{
			plans: map[string]string{"c": c}, until: 300,
			state: func(s *engine.State) { s.DroppedPlans = []string{"a", "b"} },
			has:   map[string]uint64{"c": 400},
		},
		// A single plan is the single one of before, whatever its name is.
		{plans: map[string]string{"other": c}, until: 300, has: map[string]uint64{"other": 400}},
	} {
		l := &splitLog{splits: 2, rows: 400}
		l.until.Store(life.until)
		cfg := engine.Config{
			Readers: []record.Reader{l.reader(0, 1)}, Partitions: 2, Cores: 1, NoPin: true, State: engine.Dir(dir),
			EpochInterval: time.Millisecond,
		}
		cfg.State.NoSync, cfg.State.Interval = true, time.Hour
		if life.state != nil {
			life.state(cfg.State)
		}
		for _, name := range slices.Sorted(maps.Keys(life.plans)) {
			cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: namedPlan(t, name, life.plans[name])})
		}
		e, err := engine.Start(t.Context(), cfg)
		if len(life.fails) > 0 {
			for _, words := range life.fails {
				if err == nil || !errors.Is(err, engine.ErrOtherPlan) || !strings.Contains(err.Error(), words) {
					t.Errorf("life %d: %v, expected %q", i, err, words)
				}
			}
			continue
		}
		if err != nil {
			t.Fatalf("life %d: %v", i, err)
		}
		waitRecords(t, e, life.has[e.Plan().Name])
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		for _, p := range e.Plans() {
			if n := s.Of(p).Records(); n != life.has[p.Name] {
				t.Errorf("life %d: plan %s has %d records, expected %d", i, p.Name, n, life.has[p.Name])
			}
		}
		s.Close()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := engine.ReadState(dir, namedPlan(t, "any", c)); err != nil {
		t.Error(err)
	}
}

// Goal: a generation of several plans is read by their names, and plans with one name are refused.
func TestReadStateOfSeveralPlans(t *testing.T) {
	dir := t.TempDir()
	l := &splitLog{splits: 2, rows: 300}
	l.until.Store(100)
	cfg := engine.Config{
		Plans: []engine.PlanConfig{
			{Plan: namedPlan(t, "one", keptPlans["integers"])}, {Plan: namedPlan(t, "two", keptPlans["filter"])},
		},
		Readers: []record.Reader{l.reader(0, 1)}, Partitions: 3, Cores: 1, NoPin: true, State: engine.Dir(dir),
	}
	e := start(t, cfg)
	waitRecords(t, e, 200)
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	for i, p := range e.Plans() {
		saved, err := engine.ReadState(dir, p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for b := range saved.Batches(100) {
			got = append(got, linesOf(b)...)
		}
		slices.Sort(got)
		if want := lines(t, s.Of(p)); !slices.Equal(got, want) || len(got) == 0 || saved.Records() != 200 {
			t.Errorf("plan %d: %d records, %s", i, saved.Records(), difference(got, want))
		}
	}
	_, err := engine.ReadState(dir, namedPlan(t, "three", keptPlans["filter"]))
	if err == nil || !strings.Contains(err.Error(), "has the plans one, two, and none named three") {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Plans[1].Plan.Name = "one"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "plans 0 and 1 are both named one") {
		t.Error(err)
	}
}

// Goal: a reader that brings nothing after a restart holds the windows of a plan back as far as it
// had come, and not for good, though another plan has no watermark at all. Method: one reader is
// far ahead when the state is saved, and quiet from then on; the other goes on.
func TestStateOfQuietReader(t *testing.T) {
	dir := t.TempDir()
	var before time.Time
	for life, until := range []int64{100, 250} {
		ahead, going := &splitLog{splits: 2, rows: 400}, &splitLog{splits: 2, rows: 400}
		ahead.until.Store(300)
		going.until.Store(until)
		windows := namedPlan(t, "windows", keptPlans["tumble"])
		windows.Window.OutOfOrder = 0
		e := start(t, engine.Config{
			Plans:   []engine.PlanConfig{{Plan: namedPlan(t, "groups", keptPlans["integers"])}, {Plan: windows}},
			Readers: []record.Reader{ahead.reader(0, 2), going.reader(1, 2)}, Partitions: 2, Cores: 1, NoPin: true,
			State: engine.Dir(dir), EpochInterval: time.Millisecond,
		})
		waitRecords(t, e, uint64(300+until))
		closed := func() time.Time {
			s := e.Snapshot()
			defer s.Close()
			at, _ := s.Of(windows).Closed()
			return at
		}
		deadline := time.Now().Add(time.Minute)
		for life == 1 && !closed().After(before) {
			if time.Now().After(deadline) {
				t.Fatalf("no window after %v has closed", before)
			}
			time.Sleep(time.Millisecond)
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		before = closed()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: with a State a plan that fails ends the engine, and after a restart all plans have the same
// records. Method: the writer of one plan fails after some windows.
func TestStateOfFailingPlan(t *testing.T) {
	dir := t.TempDir()
	boom := errors.New("the disk of the writer is full")
	for life := range 2 {
		l := &splitLog{splits: 2, rows: 400}
		l.until.Store(400)
		written := 0
		w := writers.Func(func(context.Context, *record.Batch) error {
			written++
			if life == 0 && written == 2 {
				return boom
			}
			return nil
		})
		e := start(t, engine.Config{
			Plans: []engine.PlanConfig{
				{Plan: namedPlan(t, "groups", keptPlans["integers"])},
				{Plan: namedPlan(t, "windows", keptPlans["tumble"]), Writer: w},
			},
			Readers: []record.Reader{l.reader(0, 2), l.reader(1, 2)}, Partitions: 2, Cores: 1, NoPin: true,
			State: engine.Dir(dir), EpochInterval: time.Millisecond,
		})
		err := e.Wait()
		var failed *engine.PlanError
		if life == 0 {
			if !errors.Is(err, boom) || !errors.As(err, &failed) || failed.Number != 1 {
				t.Fatalf("%v, expected a PlanError of plan 1", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		for _, p := range e.Plans() {
			if n := s.Of(p).Records(); n != 800 {
				t.Errorf("plan %s has %d records, expected 800", p.Name, n)
			}
		}
	}
}

// A comer is a plan that comes and goes, and what its writer has had since it came last.
type comer struct {
	outboxOf
	plan *plan.Plan // nil if the engine does not run it
}

// come makes the plan anew.
func (c *comer) come(t *testing.T, rng *rand.Rand) engine.PlanConfig {
	cfg := outboxConfigs(t, []*outboxOf{&c.outboxOf}, nil, rng)[0]
	c.plan = cfg.Plan
	return cfg
}

// check says what is wrong with what the writer has had since the plan came.
func (c *comer) check(t *testing.T, s *engine.Snapshot) error {
	one := s.Of(c.plan)
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	if strings.HasPrefix(c.name, "passes") {
		if n := uint64(len(c.ledger.lines)); n != one.Records() {
			return fmt.Errorf("%d rows of %d records", n, one.Records())
		}
		return nil
	}
	return checkLedger(c.name, c.ledger.lines, nil, 0, 0, lines(t, one))
}

// Goal: plans are added and removed while an engine keeps its state, and killed at any moment:
// after AddPlan and RemovePlan have returned, the state has the plan, or has it not, and what each
// writer got since its plan came is exactly what the groups are of. Method: lives that end by
// Close; the plans that came and went in each are started again in the next.
func TestStateOfPlansThatComeAndGo(t *testing.T) {
	for seed := range testgen.Seeds(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { comeAndGo(t, rand.New(rand.NewPCG(seed, 10))) })
	}
}

func comeAndGo(t *testing.T, rng *rand.Rand) {
	const splits, rows, lives = 3, 4000, 10
	var comers []*comer
	for _, name := range []string{"changes", "passes all", "changes having"} {
		comers = append(comers, &comer{outboxOf: outboxOf{name: name}})
	}
	dir := t.TempDir()
	for life := range lives {
		defer groupkey.Reseed()()
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows * (life + 1) / (lives + 1)))
		cfg := engine.Config{
			Plans: []engine.PlanConfig{{Plan: namedPlan(t, "base", keptPlans["integers"])}}, Partitions: 1 + rng.IntN(3),
			Cores: 2, NoPin: true, State: engine.Dir(dir), EpochInterval: time.Millisecond, BatchRows: 50,
			RetryMin: time.Microsecond,
			Columns:  []string{"k", "host", "v", "w", "at", "note"},
		}
		st := cfg.State
		st.NoSync, st.Interval, st.Share = true, time.Duration(1+rng.IntN(10))*time.Millisecond, 1
		for _, c := range comers {
			if c.plan != nil {
				cfg.Plans = append(cfg.Plans, c.come(t, rng))
			}
		}
		n := 1 + rng.IntN(3)
		for i := range n {
			cfg.Readers = append(cfg.Readers, l.reader(i, n))
		}
		e, err := engine.Start(t.Context(), cfg)
		if err != nil {
			t.Fatalf("life %d: %v", life, err)
		}
		for range 4 {
			c := comers[rng.IntN(len(comers))]
			if c.plan == nil {
				c.ledger.lines = nil
				if _, err := e.AddPlan(t.Context(), c.come(t, rng)); err != nil {
					t.Fatalf("life %d: %s: %v", life, c.name, err)
				}
				continue
			}
			if rng.IntN(2) == 0 {
				continue
			}
			if err := e.RemovePlan(t.Context(), c.plan); err != nil {
				t.Fatalf("life %d: %s: %v", life, c.name, err)
			}
			c.plan = nil
		}
		waitRecords(t, e, uint64(splits)*uint64(l.until.Load()))
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if n := s.Records(); n != uint64(splits)*uint64(l.until.Load()) {
			t.Errorf("life %d: %d records", life, n)
		}
		for _, c := range comers {
			if c.plan == nil {
				continue
			}
			if err := c.check(t, s); err != nil {
				t.Fatalf("life %d: %s: %v", life, c.name, err)
			}
		}
		s.Close()
		l.until.Add(50) // it is read, and lost with this life
		time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a plan that is added to an engine with a State is refused for what the state could not
// keep.
func TestAddPlanToStateRefused(t *testing.T) {
	l := &splitLog{splits: 1, rows: 100}
	e := start(t, engine.Config{
		Plan: namedPlan(t, "a", keptPlans["integers"]), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, NoPin: true,
		State: engine.Dir(t.TempDir()),
	})
	shed := engine.PlanConfig{Plan: namedPlan(t, "b", keptPlans["integers"]), StatePolicy: plan.StateShed}
	for _, c := range []struct {
		cfg  engine.PlanConfig
		says string
	}{
		{engine.PlanConfig{Plan: namedPlan(t, "a", keptPlans["filter"])}, "a plan named a runs already"},
		{shed, "a plan that sheds"},
	} {
		_, err := e.AddPlan(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, expected %q", err, c.says)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// Goal: AddPlan and RemovePlan keep what they promise about the state: when AddPlan has returned, a
// restart has the plan; when RemovePlan has, the writer has everything that came before the call,
// and a restart needs no word about the plan.
func TestStateHasAddedPlans(t *testing.T) {
	const splits, rows = 2, 400
	dir := t.TempDir()
	c := &comer{outboxOf: outboxOf{name: "passes all"}}
	rng := rand.New(rand.NewPCG(1, 1))
	life := func(until int64, with bool) *engine.Engine {
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(until)
		cfg := engine.Config{
			Plans: []engine.PlanConfig{{Plan: namedPlan(t, "base", keptPlans["integers"])}}, Partitions: 2, Cores: 1,
			NoPin: true, State: engine.Dir(dir), EpochInterval: time.Millisecond, Columns: []string{"at", "w"},
			Readers: []record.Reader{l.reader(0, 1)},
		}
		cfg.State.Interval, cfg.State.NoSync = time.Hour, true
		if with {
			cfg.Plans = append(cfg.Plans, c.come(t, rng))
		}
		e := start(t, cfg)
		waitRecords(t, e, splits*uint64(until))
		return e
	}
	e := life(100, false)
	if _, err := e.AddPlan(t.Context(), c.come(t, rng)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = life(200, true)
	if err := e.RemovePlan(t.Context(), c.plan); err != nil {
		t.Fatal(err)
	}
	if n := len(c.ledger.lines); n != splits*100 {
		t.Errorf("the writer has %d rows, expected %d", n, splits*100)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := life(300, false).Close(); err != nil {
		t.Fatal(err)
	}
}

// Goal: after the end of all input the state has what every writer got, also one that was slower
// than another whose last rows had everything saved: a restart writes nothing again.
func TestStateAtEndOfSeveralPlans(t *testing.T) {
	dir := t.TempDir()
	changes, windows := &outboxOf{name: "changes"}, 0
	for life := range 2 {
		l := &splitLog{splits: 2, rows: 300}
		l.until.Store(300)
		slow := writers.Func(func(context.Context, *record.Batch) error {
			windows++
			time.Sleep(5 * time.Millisecond)
			return nil
		})
		cfg := engine.Config{
			Plans: append(outboxConfigs(t, []*outboxOf{changes}, nil, rand.New(rand.NewPCG(1, 1))),
				engine.PlanConfig{Plan: namedPlan(t, "windows", keptPlans["tumble"]), Writer: slow}),
			Readers: []record.Reader{l.reader(0, 1)}, Partitions: 2, Cores: 1, NoPin: true, State: engine.Dir(dir),
		}
		cfg.State.NoSync = true
		if err := start(t, cfg).Wait(); err != nil {
			t.Fatal(err)
		}
		if windows == 0 {
			t.Fatal("no window was written")
		}
		if life == 0 {
			changes.ledger.mu.Lock()
			if len(changes.ledger.lines) == 0 || !changes.ledger.complete {
				t.Error("the changes are not complete")
			}
			changes.ledger.mu.Unlock()
			windows = 1 // and none in the second life
		}
	}
	if windows != 1 {
		t.Errorf("%d windows were written again", windows-1)
	}
}

// Goal: readers join while generations of several plans are made, and every generation has the same
// readers for all plans. Method: many plans and partitions, so that an epoch is often answered by
// some of them before a reader has joined, and by others after.
func TestStateWhileReadersJoin(t *testing.T) {
	const joining = 60
	l := &splitLog{splits: joining, rows: 2000}
	l.until.Store(1000)
	cfg := engine.Config{
		Readers: []record.Reader{l.reader(0, joining)}, Partitions: 8, Cores: 2, NoPin: true,
		State: engine.Dir(t.TempDir()), EpochInterval: 10 * time.Microsecond, EpochShare: 1, RingSlots: 2,
	}
	cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, time.Microsecond, 1
	for i := range 6 {
		text := keptPlans["one group"]
		if i == 0 {
			text = keptPlans["sketches"] // it comes last to each epoch
		}
		p := namedPlan(t, fmt.Sprint("plan ", i), text)
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: p})
	}
	e := start(t, cfg)
	for i := 1; i < joining; i++ {
		if _, err := e.AddReader(t.Context(), l.reader(i, joining)); err != nil {
			t.Fatal(err)
		}
	}
	waitRecords(t, e, joining*1000)
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
