package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/writers"
)

// bankPlans are the balance of each account, and the total of all.
func bankPlans(t testing.TB) (balances, total *plan.Plan) {
	schema, err := record.NewSchema("bank", record.Field{Name: "account", Type: record.Int64},
		record.Field{Name: "amount", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	sum := []plan.Aggregate{{Name: "balance", Func: plan.Sum, Column: "amount"}, {Name: "n", Func: plan.Count}}
	return &plan.Plan{Source: schema, Keys: []string{"account"}, Aggregates: sum},
		&plan.Plan{Source: schema, Aggregates: sum}
}

// Goal: two plans in one snapshot have the same records. Method: a bank whose transfers never
// change the total: at each epoch the balances of one plan and the total of the other are 0, and
// both count the same records. Readers join and leave meanwhile.
func TestPlansBank(t *testing.T) {
	balances, total := bankPlans(t)
	columns := func(p *plan.Plan) (b, n result.Column[int64]) {
		b, err1 := result.ColumnOf[int64](p, "balance")
		n, err2 := result.ColumnOf[int64](p, "n")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return b, n
	}
	balance, n := columns(balances)
	all, allN := columns(total)
	for _, exchange := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeFold, plan.ExchangeRoute} {
		var stop atomic.Bool
		cfg := engine.Config{
			Plans:      []engine.PlanConfig{{Plan: balances, Exchange: exchange}, {Plan: total, Exchange: exchange}},
			Partitions: 3, Cores: 2, BatchRows: 512, EpochInterval: 100 * time.Microsecond, EpochShare: 1, NoPin: true,
		}
		newReader := func(i int) record.Reader { return &transfers{rand.New(rand.NewPCG(uint64(i), 2)), &stop} }
		for i := range 3 {
			cfg.Readers = append(cfg.Readers, newReader(i))
		}
		e := start(t, cfg)
		epochs := 0
		for s := range e.Updates(t.Context()) {
			sum, records := int64(0), int64(0)
			for row := range s.All() {
				sum += balance.Of(row)
				records += n.Of(row)
			}
			of := s.Of(total)
			row, ok := of.Get(plan.Key{})
			if !ok {
				t.Fatal("the total is not there")
			}
			if sum != 0 || !all.Null(row) && all.Of(row) != 0 || records != allN.Of(row) ||
				uint64(records) != s.Records() ||
				of.Epoch() != s.Epoch() || of.Records() != s.Records() {
				t.Fatalf("epoch %d: %d of %d records in one plan, %d of %d in the other (epoch %d)", s.Epoch(), sum,
					records, all.Of(row), allN.Of(row), of.Epoch())
			}
			epochs++
			switch epochs {
			case 50, 100:
				if _, err := e.AddReader(t.Context(), newReader(epochs)); err != nil {
					t.Fatal(err)
				}
			case 150:
				go func() { _ = e.RemoveReader(context.Background(), 1) }()
			case 200:
				stop.Store(true)
			}
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if epochs < 200 {
			t.Errorf("%d epochs were seen, expected 200 and the last", epochs)
		}
	}
}

// plansQueries are questions of every kind over timedSchema.
var plansQueries = []string{
	`SELECT key, count(*) AS n, sum(value) AS sum, max(value) AS high FROM timed GROUP BY key`,
	`SELECT key % 7 AS k, count(*) AS n, avg(value) AS mean FROM timed WHERE value % 3 = 1 GROUP BY key % 7`,
	`SELECT window_start, key % 5 AS k, count(*) AS n, min(value) AS low FROM timed GROUP BY key % 5, tumble(at, INTERVAL '1 s')`,
	`SELECT window_end, count(*) AS n FROM timed WHERE value % 3 = 1 GROUP BY hop(at, INTERVAL '1 s', INTERVAL '3 s')`,
	`SELECT key, value, at FROM timed WHERE value % 101 = 7`,
	`SELECT count(*) AS n, count(DISTINCT key) AS keys FROM timed`,
	`SELECT key, count(*) AS n, max(value) AS high FROM timed WHERE value % 3 = 1 GROUP BY key`,
	`SELECT min(value) AS low, max(value) AS high FROM timed WHERE value % 3 = 1`,
	`SELECT key % 7 AS k, max(at) AS last FROM timed WHERE value % 3 = 1 GROUP BY key % 7`,
	`SELECT key, sum(value) AS s FROM timed GROUP BY key HAVING sum(value) % 2 = 0 ORDER BY s DESC, key LIMIT 10`,
}

// collected is a writer that keeps the lines of what it is given.
type collected struct {
	mu    sync.Mutex
	lines []string
	fail  error // what Write returns once it has some
}

func (c *collected) Write(_ context.Context, b *record.Batch) error {
	var text strings.Builder
	w := writers.NewCSV(&text)
	if err := errors.Join(w.Write(context.Background(), b), w.Close()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil && len(c.lines) > 0 {
		return c.fail
	}
	c.lines = append(c.lines, strings.Split(strings.TrimSpace(text.String()), "\n")[1:]...)
	return nil
}

func (c *collected) Close() error { return nil }

func (c *collected) sorted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.lines))
}

// Goal: several plans in one engine write what each writes in an engine of its own, whatever the
// shape. Method: all kinds of plans together, over polled and pumped readers, in several shapes.
func TestPlansTwin(t *testing.T) {
	most := sized(30_000)
	readers := func() []record.Reader {
		return []record.Reader{
			newTimed(100, 100*time.Millisecond, most),
			testgen.OnlyRead(newTimed(100, 100*time.Millisecond, most)),
		}
	}
	compile := func(text string) *plan.Plan {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		if p.Window != nil {
			p.Window.OutOfOrder = 500 * time.Millisecond
		}
		return p
	}
	var want [][]string
	for _, text := range plansQueries {
		var out collected
		e := start(t, engine.Config{Plan: compile(text), Readers: readers(), Writer: &out, Partitions: 1, NoPin: true})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(out.lines) == 0 {
			t.Fatalf("%s: no lines", text)
		}
		want = append(want, out.sorted())
	}
	for _, shape := range []struct {
		partitions, cores, rows int
		exchange                plan.Exchange
	}{
		{1, 1, 0, plan.ExchangeAuto},
		{3, 2, 100, plan.ExchangeRoute},
		{2, 1, 777, plan.ExchangeFold},
		{4, 3, 0, plan.ExchangeDirect},
	} {
		cfg := engine.Config{
			Readers: readers(), Partitions: shape.partitions, Cores: shape.cores, BatchRows: shape.rows,
			EpochInterval: time.Millisecond, NoPin: true,
		}
		outs := make([]collected, len(plansQueries))
		for i, text := range plansQueries {
			cfg.Plans = append(cfg.Plans, engine.PlanConfig{
				Plan: compile(text), Writer: &outs[i], Exchange: shape.exchange,
			})
		}
		e := start(t, cfg)
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		st := e.Stats()
		for i, text := range plansQueries {
			if got := outs[i].sorted(); !slices.Equal(got, want[i]) {
				t.Errorf("%+v: %s: %d lines, expected %d", shape, text, len(got), len(want[i]))
			}
			if c := st.Plans[i].Counters(); c.In != 2*uint64(most) {
				t.Errorf("%+v: plan %d has taken %d records of %d", shape, i, c.In, 2*most)
			}
		}
	}
}

// Goal: a plan that fails ends alone, because it has no memory or because its writer fails; Wait
// says so, the others have everything, and its snapshot says why it stands still.
func TestPlanFailsAlone(t *testing.T) {
	const most = 200_000
	many, err := query.Compile(`SELECT value, key, count(*) AS n FROM timed GROUP BY value, key`, timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	windows := windowPlan(t, "tumble")
	few, err := query.Compile(`SELECT key, count(*) AS n FROM timed GROUP BY key`, timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	n, err := result.ColumnOf[int64](few, "n")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is gone")
	for _, partitions := range []int{1, 3} {
		out := collected{fail: broken}
		e := start(t, engine.Config{
			Plans: []engine.PlanConfig{
				{Plan: many, StateBytes: engine.MinStateBytes}, {Plan: few}, {Plan: windows, Writer: &out},
			},
			Readers:    []record.Reader{newTimed(100_000, 0, most), newTimed(1000, 0, most)},
			Partitions: partitions, Cores: 2, NoPin: true, EpochInterval: time.Millisecond,
		})
		err := e.Wait()
		if err == nil || !strings.Contains(err.Error(), "plan 0 (timed)") ||
			!strings.Contains(err.Error(), "no room") ||
			!errors.Is(err, broken) || !strings.Contains(err.Error(), "plan 2") {
			t.Fatalf("%v", err)
		}
		s := e.Snapshot()
		if why := s.Err(); why == nil || !strings.Contains(why.Error(), "no room") {
			t.Errorf("the snapshot of the plan without memory says %v", why)
		}
		if why := s.Of(windows).Err(); !errors.Is(why, broken) {
			t.Errorf("the snapshot of the plan whose writer failed says %v", why)
		}
		total := int64(0)
		for row := range s.Of(few).All() {
			total += n.Of(row)
		}
		if total != 2*most || s.Of(few).Err() != nil {
			t.Errorf("the plan that goes on has %d records of %d, %v", total, 2*most, s.Of(few).Err())
		}
		s.Close()
		if st := e.Stats(); st.Plans[0].Err == nil || st.Plans[1].Err != nil || st.Plans[2].Err == nil {
			t.Errorf("Stats says %v, %v, %v", st.Plans[0].Err, st.Plans[1].Err, st.Plans[2].Err)
		}
	}
}

// Goal: a plan with a LIMIT that has been reached does not stop the others; when no plan takes
// anything the readers stop.
func TestPlansLimit(t *testing.T) {
	compile := func(text string) *plan.Plan {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var a, b collected
	e := start(t, engine.Config{
		Plans: []engine.PlanConfig{
			{Plan: compile(`SELECT key FROM timed LIMIT 10`), Writer: &a},
			{Plan: compile(`SELECT key, value FROM timed LIMIT 100000`), Writer: &b},
		},
		Readers: []record.Reader{newTimed(10, 0, 1<<40)}, Partitions: 2, NoPin: true,
	})
	if err := e.Wait(); err != nil { // it ends, although the reader does not
		t.Fatal(err)
	}
	if len(a.lines) != 10 || len(b.lines) != 100_000 {
		t.Errorf("%d and %d lines, expected 10 and 100000", len(a.lines), len(b.lines))
	}
}

// Goal: late records of each plan go to its own OnLate, and to no other.
func TestPlansLate(t *testing.T) {
	const most = 50_000
	var late [2]atomic.Int64
	var cfg engine.Config
	for i, lateness := range []time.Duration{0, time.Hour} {
		p := windowPlan(t, "tumble")
		p.Window.OutOfOrder, p.Window.Lateness = 0, lateness
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{
			Plan: p, OnLate: func(_ int, b *record.Batch) { late[i].Add(int64(b.Len())) },
		})
	}
	cfg.Readers, cfg.NoPin = []record.Reader{newTimed(10, 3*time.Second, most)}, true
	e := start(t, cfg)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	st := e.Stats()
	if got := late[0].Load(); got == 0 || uint64(got) != func() uint64 {
		c := st.Plans[0].Counters()
		return c.Late
	}() {
		t.Errorf("%d late records of plan 0", got)
	}
	if got := late[1].Load(); got != 0 {
		t.Errorf("%d late records of plan 1, which waits for an hour", got)
	}
}

// Goal: a configuration of several plans says what is wrong with each.
func TestPlansFaults(t *testing.T) {
	balances, total := bankPlans(t)
	sums := sumPlan()
	reader := []record.Reader{ends(1, 1)}
	for want, cfg := range map[string]engine.Config{
		"only one of the fields": {Plan: total, Plans: []engine.PlanConfig{{Plan: balances}}},
		"are set in Plans": {
			Exchange: plan.ExchangeFold,
			Plans:    []engine.PlanConfig{{Plan: balances}},
		},
		"plan 1: no plan":             {Plans: []engine.PlanConfig{{Plan: balances}, {}}},
		"plans 0 and 1 are the same":  {Plans: []engine.PlanConfig{{Plan: balances}, {Plan: balances}}},
		"different sources: column 0": {Plans: []engine.PlanConfig{{Plan: balances}, {Plan: sums}}},
		"plan 1 (bank): Rebalance needs a plan with keys": {
			Rebalance: true,
			Plans:     []engine.PlanConfig{{Plan: balances}, {Plan: total}},
		},
		"plans 0 and 1 are both named bank": {
			State: engine.Dir(t.TempDir()),
			Plans: []engine.PlanConfig{{Plan: balances}, {Plan: total}},
		},
		"plan 0: 5 bytes":                       {Plans: []engine.PlanConfig{{Plan: balances, StateBytes: 5}}},
		fmt.Sprint(engine.MaxPlans+1, " plans"): {Plans: make([]engine.PlanConfig, engine.MaxPlans+1)},
	} {
		cfg.Readers = reader
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v", want, err)
		}
	}
	e := start(t, engine.Config{Plans: []engine.PlanConfig{{Plan: balances}, {Plan: total}}, Readers: []record.Reader{
		&transfers{rand.New(rand.NewPCG(1, 2)), new(atomic.Bool)},
	}, NoPin: true})
	err := e.MoveShardOf(t.Context(), total, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "does not go by key") {
		t.Errorf("a shard of a plan without keys is moved: %v", err)
	}
	err = e.MoveShardOf(t.Context(), sums, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "does not run the plan") {
		t.Errorf("a shard of a plan of another engine is moved: %v", err)
	}
	s := e.Snapshot()
	defer s.Close()
	func() {
		defer func() {
			if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "does not run the plan") {
				t.Errorf("Of a plan of another engine: %v", v)
			}
		}()
		s.Of(sums)
	}()
}

// Goal: the picture of each plan of a snapshot allocates nothing.
func TestPlansAllocations(t *testing.T) {
	balances, total := bankPlans(t)
	var stop atomic.Bool
	stop.Store(true)
	e := start(t, engine.Config{
		Plans:   []engine.PlanConfig{{Plan: balances}, {Plan: total}},
		Readers: []record.Reader{&transfers{rand.New(rand.NewPCG(1, 2)), &stop}}, NoPin: true,
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if invariants.Enabled {
		t.Skip("snapshots are watched")
	}
	key, err := balances.Key(int64(7))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	if allocs := testing.AllocsPerRun(100, func() {
		s := e.Snapshot()
		_, one := s.Of(balances).Get(key)
		_, all := s.Of(total).Get(plan.Key{})
		if s.Close(); one && all {
			found++
		}
	}); allocs != 0 || found == 0 {
		t.Errorf("%v allocations, found %d times", allocs, found)
	}
}

// Goal: a plan that is added while the engine runs begins at one moment for all readers, and agrees
// with the other plans from then on. Method: the bank; every few epochs a plan is added, of
// balances and of totals in turn, while readers join and leave. In each snapshot the records that a
// plan has counted are the records of the first plan since the plan's beginning, and its sums are
// 0.
func TestAddPlanBank(t *testing.T) {
	for _, exchange := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeFold, plan.ExchangeRoute} {
		balances, _ := bankPlans(t)
		var stop atomic.Bool
		newReader := func(i int) record.Reader { return &transfers{rand.New(rand.NewPCG(uint64(i), 2)), &stop} }
		cfg := engine.Config{
			Plan: balances, Exchange: exchange, Partitions: 3, Cores: 2, BatchRows: 512, NoPin: true,
			EpochInterval: 100 * time.Microsecond, EpochShare: 1, StateBytes: 64 << 20,
		}
		for i := range 3 {
			cfg.Readers = append(cfg.Readers, newReader(i))
		}
		e := start(t, cfg)
		plans := []*plan.Plan{balances}
		before := map[*plan.Plan]uint64{} // records of the first plan when the plan began
		type begun struct {
			epoch uint64
			err   error
		}
		added := make(chan begun, 1)
		begins := map[*plan.Plan]uint64{}
		recordsAt := map[uint64]uint64{} // records of the first plan at each epoch
		add := func() *plan.Plan {
			balances, total := bankPlans(t)
			p := []*plan.Plan{balances, total}[len(plans)%2]
			go func() {
				epoch, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: p, Exchange: exchange})
				added <- begun{epoch, err}
			}()
			return p
		}
		adding := add()
		epochs, last, records := 0, uint64(0), uint64(0)
		for s := range e.Updates(t.Context()) {
			for _, p := range plans[1:] {
				of := s.Of(p)
				balance, err1 := result.ColumnOf[int64](p, "balance")
				n, err2 := result.ColumnOf[int64](p, "n")
				if err := errors.Join(err1, err2); err != nil {
					t.Fatal(err)
				}
				sum, count := int64(0), int64(0)
				for row := range of.All() {
					if !balance.Null(row) {
						sum += balance.Of(row)
					}
					count += n.Of(row)
				}
				if b, ok := before[p]; ok &&
					(sum != 0 || uint64(count) != s.Records()-b || of.Records() != uint64(count)) {
					t.Fatalf("%v: epoch %d: sum %d of %d records (%d), expected 0 of %d", exchange, s.Epoch(), sum,
						count,
						of.Records(), s.Records()-b)
				} else if sum != 0 {
					t.Fatalf("%v: epoch %d: sum %d", exchange, s.Epoch(), sum)
				}
			}
			select {
			case b := <-added:
				if b.err != nil {
					t.Fatal(b.err)
				}
				plans, begins[adding] = append(plans, adding), b.epoch
				adding = nil
			default:
			}
			recordsAt[s.Epoch()] = s.Records()
			for _, p := range plans[1:] {
				if _, ok := before[p]; !ok && s.Has(p) {
					before[p] = s.Records() - s.Of(p).Records()
				}
				// It has the records after the mark of its first epoch, and no others.
				if at, ok := recordsAt[begins[p]]; ok && at != before[p] {
					t.Fatalf("%v: the plan lacks %d records; there were %d at epoch %d, with which it begins", exchange,
						before[p], at, begins[p])
				}
			}
			if s.Epoch() == last+1 && records > s.Records() {
				t.Fatal("records have become fewer")
			}
			last, records = s.Epoch(), s.Records()
			epochs++
			switch {
			case adding == nil && len(plans) < 6:
				adding = add()
			case epochs == 20 || epochs == 60:
				if _, err := e.AddReader(t.Context(), newReader(100+epochs)); err != nil {
					t.Fatal(err)
				}
			case epochs == 40:
				if err := e.RemoveReader(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			if adding == nil && epochs > 80 {
				break
			}
		}
		stop.Store(true)
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		for _, p := range plans[1:] {
			if got := s.Records() - s.Of(p).Records(); got != before[p] {
				t.Errorf("%v: %d records before the plan, %d at first", exchange, got, before[p])
			}
		}
		if len(e.Stats().Plans) != len(plans) || len(e.Plans()) != len(plans) {
			t.Errorf("%d plans of %d", len(e.Stats().Plans), len(plans))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a plan that is added has none of the records before the mark of its first epoch, and all
// after it. Method: busy readers, and no epochs but those that are asked for, so that the snapshot
// after AddPlan is of that epoch.
func TestAddPlanExactly(t *testing.T) {
	balances, _ := bankPlans(t)
	var stop atomic.Bool
	cfg := engine.Config{
		Plan: balances, Partitions: 2, Cores: 2, BatchRows: 256, NoPin: true, EpochInterval: -1, StateBytes: 64 << 20,
	}
	for i := range 3 {
		cfg.Readers = append(cfg.Readers, &transfers{rand.New(rand.NewPCG(uint64(i), 5)), &stop})
	}
	e := start(t, cfg)
	type added struct {
		plan    *plan.Plan
		records uint64 // of the first plan at the epoch
	}
	var all []added
	for range 12 {
		_, total := bankPlans(t)
		epoch, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: total})
		if err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if s.Epoch() != epoch || s.Of(total).Records() != 0 || s.Records() == 0 {
			t.Fatalf("added with epoch %d: the snapshot of epoch %d has %d of %d records", epoch, s.Epoch(),
				s.Of(total).Records(), s.Records())
		}
		all = append(all, added{total, s.Records()})
		s.Close()
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = e.Snapshot()
		for _, a := range all {
			if got := s.Of(a.plan).Records(); got != s.Records()-a.records {
				t.Fatalf("epoch %d: a plan has %d records, expected %d - %d", s.Epoch(), got, s.Records(), a.records)
			}
		}
		s.Close()
	}
	stop.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
}
