package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A ledger is what transactions have left: it outlives the writers.
type ledger struct {
	mu       sync.Mutex
	lines    []string
	number   uint64
	complete bool
	commits  int
	job      string
}

// A ledgerWriter writes into a ledger. Each call may fail in one of the ways of faults, by chance.
type ledgerWriter struct {
	*ledger
	rng    *rand.Rand
	faults []string
	closed bool
}

var (
	errLedger    = errors.New("the ledger is on fire")
	ledgerFaults = []string{
		"transient before", "lost answer", "fails before", "fails after", "panics before", "panics after",
	}
)

func (w *ledgerWriter) fault(when string) (err error) {
	if len(w.faults) == 0 || w.rng.IntN(3) > 0 {
		return nil
	}
	switch f := w.faults[w.rng.IntN(len(w.faults))]; {
	case f == "transient before" && when == "before", f == "lost answer" && when == "after":
		return record.Transient(errLedger)
	case f == "fails "+when:
		return errLedger
	case f == "panics "+when:
		panic(errLedger)
	}
	return nil
}

func (w *ledgerWriter) RecoverOutput(_ context.Context, job string) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.job != "" && w.job != job {
		return 0, errors.New("another job")
	}
	w.job = job
	return w.number, nil
}

func (w *ledgerWriter) Commit(_ context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("committed after Close")
	}
	if err := w.fault("before"); err != nil {
		return err
	}
	if number <= w.number {
		if number < w.number {
			return fmt.Errorf("transaction %d after %d", number, w.number)
		}
		return nil
	}
	var lines []string
	for b := range rows {
		lines = append(lines, linesOf(b)...)
	}
	if w.complete && len(lines) > 0 {
		return errors.New("rows after the last")
	}
	w.lines, w.number, w.complete = append(w.lines, lines...), number, complete
	w.commits++
	return w.fault("after")
}

func (w *ledgerWriter) Write(context.Context, *record.Batch) error {
	return errors.New("a writer with transactions was given rows outside of one")
}

func (w *ledgerWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

// outboxPlans are plans whose rows nothing tells apart.
var outboxPlans = map[string]string{
	"passes through": `SELECT k, host, v, note FROM log WHERE v > 0`,
	"passes all":     `SELECT at, w FROM log`,
	"changes":        `SELECT k, host, count(*) AS n FROM log GROUP BY k, host EMIT CHANGES`,
	"changes having": `SELECT k, count(*) AS n FROM log GROUP BY k HAVING sum(v) > 0 EMIT CHANGES`,
	"idle sessions":  `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, session(at, INTERVAL '100 ms')`,
	"by clock":       `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, tumble(INTERVAL '3 ms')`,
}

func outboxPlan(t *testing.T, name string) *plan.Plan {
	t.Helper()
	p := keptPlan(t, outboxText(name))
	alterOutboxPlan(name, p)
	return p
}

// outboxText is one of the plans in SQL, as far as that can say it.
func outboxText(name string) string {
	if name == "by clock" {
		return strings.Replace(outboxPlans[name], "tumble(", "tumble(at, ", 1)
	}
	return outboxPlans[name]
}

// alterOutboxPlan does the rest.
func alterOutboxPlan(name string, p *plan.Plan) {
	switch name {
	case "idle sessions":
		p.Window.OutOfOrder, p.Window.Idle = 20*time.Millisecond, time.Millisecond
	case "by clock":
		p.Window.Column, p.Window.OutOfOrder, p.Window.ProcessingTime = "", 0, true
	}
}

// checkLedger says what is wrong with what was written in all lives together.
func checkLedger(name string, got, want []string, late uint64, records int, final []string) error {
	switch {
	case strings.HasPrefix(name, "passes"):
		got = slices.Clone(got)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d rows, expected %d:\n%s", len(got), len(want), difference(got, want))
		}
	case strings.HasPrefix(name, "changes"):
		// A group that is written twice in the same state was written once too often.
		now := map[string]string{}
		for _, line := range got {
			fields := strings.Fields(line)
			key := strings.Join(fields[1:len(fields)-1], " ")
			n, _ := strconv.Atoi(fields[len(fields)-1])
			old, ok := now[key]
			m, _ := strconv.Atoi(old)
			switch {
			case fields[0] == "delete" && !ok:
				return fmt.Errorf("%s, and the group was not there", line)
			case fields[0] == "delete":
				delete(now, key)
				continue
			case ok && m >= n:
				return fmt.Errorf("%s after %d", line, m)
			}
			now[key] = fields[len(fields)-1]
		}
		var last []string
		for key, n := range now {
			last = append(last, key+" "+n)
		}
		slices.Sort(last)
		if !slices.Equal(last, final) {
			return fmt.Errorf("the last states differ:\n%s", difference(last, final))
		}
	default:
		sum := 0
		for _, line := range got {
			fields := strings.Fields(line)
			n, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return err
			}
			sum += n
		}
		if sum+int(late) != records {
			return fmt.Errorf("%d records are in windows and %d were late, expected %d together", sum, late, records)
		}
	}
	return nil
}

// Goal: what is no window by event time is written exactly once, too, by a writer with
// transactions, whatever the moment at which a life ends, and whatever the writer does: it fails
// before or after it has taken a transaction, its answer is lost, it panics. Method: lives that end
// by Close, or because the writer has failed, each with other readers, partitions and seeds.
func TestOutbox(t *testing.T) {
	const splits, rows = 3, 1200
	for name := range outboxPlans {
		for _, hostile := range []bool{false, true} {
			for seed := range testgen.Seeds(3) {
				t.Run(fmt.Sprintf("%s/hostile=%v/seed=%d", name, hostile, seed), func(t *testing.T) {
					outboxLives(t, []string{name}, hostile, rand.New(rand.NewPCG(seed, 8)), splits, rows)
				})
			}
		}
	}
}

// passedRows are the rows of an engine without a state, sorted.
func passedRows(t *testing.T, name string, splits, rows int) []string {
	t.Helper()
	out := &windowLog{}
	l := &splitLog{splits: splits, rows: rows}
	l.until.Store(int64(rows))
	e := start(t, engine.Config{
		Plan: outboxPlan(t, name), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true,
		Writer: out.writer(),
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out.lines)
	return out.lines
}

// Goal: as TestOutbox, for several plans in one engine, each with a writer of its own: every
// generation has what each of them was given.
func TestOutboxOfSeveralPlans(t *testing.T) {
	const splits, rows = 3, 1200
	for _, names := range [][]string{
		{"changes", "passes through"},
		{"passes all", "changes having", "by clock"},
		{"idle sessions", "changes", "passes through", "passes all", "changes having"},
	} {
		for _, hostile := range []bool{false, true} {
			for seed := range testgen.Seeds(3) {
				t.Run(fmt.Sprintf("%s/hostile=%v/seed=%d", strings.Join(names, "+"), hostile, seed), func(t *testing.T) {
					outboxLives(t, names, hostile, rand.New(rand.NewPCG(seed, 9)), splits, rows)
				})
			}
		}
	}
}

// An outboxOf is the outbox of a plan over all lives.
type outboxOf struct {
	name   string
	want   []string // of a plan that passes records through
	ledger ledger
}

// outboxConfigs are the plans of a life, with their writers.
func outboxConfigs(t *testing.T, all []*outboxOf, faults []string, rng *rand.Rand) (plans []engine.PlanConfig) {
	for _, o := range all {
		w := &ledgerWriter{ledger: &o.ledger, rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), faults: faults}
		p := outboxPlan(t, o.name)
		p.Name = o.name
		plans = append(plans, engine.PlanConfig{Plan: p, Writer: w})
	}
	return plans
}

func outboxLives(t *testing.T, names []string, hostile bool, rng *rand.Rand, splits, rows int) {
	var all []*outboxOf
	for _, name := range names {
		o := &outboxOf{name: name}
		if strings.HasPrefix(name, "passes") {
			o.want = passedRows(t, name, splits, rows)
		}
		all = append(all, o)
	}
	dir := t.TempDir()
	for life := 0; ; life++ {
		defer groupkey.Reseed()()
		last := life == 12
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows * min(life+1, 8) / 8))
		var faults []string
		if hostile && !last {
			faults = ledgerFaults
		}
		n := 1 + rng.IntN(3)
		plans := outboxConfigs(t, all, faults, rng)
		rng.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
		cfg := engine.Config{
			Plans: plans, Partitions: 1 + rng.IntN(3), Cores: 2, NoPin: true, State: engine.Dir(dir),
			EpochInterval: time.Millisecond, RetryMin: time.Microsecond, BatchRows: 50,
		}
		cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, time.Duration(1+rng.IntN(10))*time.Millisecond, 1
		for i := range n {
			cfg.Readers = append(cfg.Readers, l.reader(i, n))
		}
		e, err := engine.Start(t.Context(), cfg)
		if hostile && !last && err != nil && strings.Contains(err.Error(), errLedger.Error()) {
			continue // it could not take what it lacked
		}
		if err != nil {
			t.Fatal(err)
		}
		if !last && (life < 8 || rng.IntN(2) == 0) {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			if rng.IntN(3) == 0 {
				_ = e.Checkpoint(t.Context()) // it may fail with the writer
			}
			_ = e.Close()
			continue
		}
		err = e.Wait()
		if hostile && !last && err != nil {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			if err := o.check(t, e, splits*rows); err != nil {
				t.Fatalf("life %d, %s, %d transactions: %v", life, o.name, o.ledger.commits, err)
			}
		}
		if last {
			return
		}
	}
}

// check says what is wrong with what was written in all lives, after an engine has come to its end.
func (o *outboxOf) check(t *testing.T, e *engine.Engine, records int) error {
	i := slices.IndexFunc(e.Plans(), func(p *plan.Plan) bool { return p.Name == o.name })
	s := e.Snapshot()
	defer s.Close()
	one := s.Of(e.Plans()[i])
	late := uint64(0)
	for _, c := range one.Counters() {
		late += c.Late
	}
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	err := checkLedger(o.name, o.ledger.lines, o.want, late, records, lines(t, one))
	if err == nil && !o.ledger.complete {
		err = errors.New("the writer was not told that the input has come to its end")
	}
	return err
}

// outboxLife sends the numbers of a lane through an engine that passes them to a writer, with a
// checkpoint after each group of them.
func outboxLife(t *testing.T, st *engine.State, w record.Writer, groups ...[]int64) error {
	t.Helper()
	return outboxLifeOf(t, st, []record.Writer{w}, groups...)
}

// outboxLifeOf is outboxLife with a plan for each of several writers, a, b and so on.
func outboxLifeOf(t *testing.T, st *engine.State, writers []record.Writer, groups ...[]int64) error {
	t.Helper()
	f, err := readers.NewFeed[numbered](nil, readers.FeedConfig{Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	var plans []engine.PlanConfig
	for i, w := range writers {
		p, err := query.Compile(`SELECT number FROM feed`, f.Schema())
		if err != nil {
			t.Fatal(err)
		}
		p.Name = string(rune('a' + i))
		plans = append(plans, engine.PlanConfig{Plan: p, Writer: w})
	}
	st.Interval, st.NoSync = time.Hour, true
	e, err := engine.Start(t.Context(), engine.Config{
		Plans: plans, Readers: []record.Reader{f}, Partitions: 1, Cores: 1, NoPin: true, State: st,
		EpochInterval: time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer e.Close()
	lane, _, err := f.Resume("lane")
	if err != nil {
		t.Fatal(err)
	}
	for _, numbers := range groups {
		for _, n := range numbers {
			if err := lane.SendAt(t.Context(), uint64(n), numbered{1, n}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// Goal: a state and a writer that were put back apart are refused, with what to do; a writer that
// lacks what the kept generations have gets it; each choice has the consequence that is said.
func TestOutboxApart(t *testing.T) {
	groups := [][]int64{{1, 2}, {3}, {4, 5}, {6}}
	all := []string{"1", "2", "3", "4", "5", "6"}
	for _, c := range []struct {
		name   string
		sink   int // how many transactions are taken from the ledger
		state  int // after how many of the groups the state is that is put back; 0 is all of them
		choose func(*engine.State, *ledger)
		want   []string // what the ledger has in the end; nil if the state is refused
		says   string
	}{
		{name: "nothing is apart", want: append(slices.Clone(all), "7")},
		{name: "the writer lacks one", sink: 1, want: append(slices.Clone(all), "7")},
		{name: "the writer lacks two", sink: 2, want: append(slices.Clone(all), "7")},
		{name: "the writer lacks three", sink: 3, says: "those up to 3 are nowhere else"},
		{
			name: "and goes on", sink: 3, want: []string{"1", "2", "4", "5", "6", "7"},
			choose: func(s *engine.State, _ *ledger) { s.SkipOutputTo = 3 },
		},
		{
			name: "with another number", sink: 3, says: "skip the output to 3",
			choose: func(s *engine.State, _ *ledger) { s.SkipOutputTo = 4 },
		},
		{name: "the state is old", state: 2, says: "the writer has transactions up to 5, and the state goes on after 3"},
		{
			name: "and repeats", state: 2, want: append(slices.Clone(all), "4", "5", "6", "7"),
			choose: func(s *engine.State, _ *ledger) { s.RepeatOutput = true },
		},
		{
			name: "and skips", state: 2, want: all,
			choose: func(s *engine.State, l *ledger) { s.SkipOutputTo = l.number },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, old := t.TempDir(), t.TempDir()+"/old"
			l := &ledger{}
			var lines [][]string
			var numbers []uint64
			for i := range groups {
				if err := outboxLife(t, engine.Dir(dir), &ledgerWriter{ledger: l}, groups[i]); err != nil {
					t.Fatal(err)
				}
				lines, numbers = append(lines, slices.Clone(l.lines)), append(numbers, l.number)
				if i+1 == c.state {
					if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
				}
			}
			st := engine.Dir(dir)
			if c.state > 0 {
				st = engine.Dir(old)
				st.Takeover = true
			}
			if c.sink > 0 {
				l.lines, l.number = lines[3-c.sink], numbers[3-c.sink]
			}
			if c.choose != nil {
				c.choose(st, l)
			}
			send := []int64{7}
			if c.state > 0 {
				send = []int64{4, 5, 6, 7}
			}
			err := outboxLife(t, st, &ledgerWriter{ledger: l}, send)
			if c.want == nil {
				if !errors.Is(err, engine.ErrOutput) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, expected %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(l.lines, c.want) {
				t.Errorf("written are %q, expected %q", l.lines, c.want)
			}
			// The choice is for one start: the next has none.
			if c.state > 0 {
				return
			}
			if err := outboxLife(t, engine.Dir(dir), &ledgerWriter{ledger: l}, []int64{8}); err != nil {
				t.Fatal(err)
			}
			if want := append(slices.Clone(c.want), "8"); !slices.Equal(l.lines, want) {
				t.Errorf("written are %q, expected %q", l.lines, want)
			}
		})
	}
}

// Goal: a choice for the writer of one plan is none for another, whose writer has lost the same
// transactions.
func TestOutboxApartOfSeveralPlans(t *testing.T) {
	for _, c := range []struct {
		name   string
		old    bool // the state is put back, and not the writers
		choose func(s *engine.State, number uint64)
		says   []string // what the error says; none if the engine goes on
	}{
		{"no choice", false, func(*engine.State, uint64) {}, []string{"nowhere else", "of plan 0 (a)"}},
		{
			"the first", false, func(s *engine.State, n uint64) { s.SkipOutputs = map[string]uint64{"a": n} },
			[]string{"nowhere else", "of plan 1 (b)"},
		},
		{
			"another", false, func(s *engine.State, n uint64) { s.SkipOutputs = map[string]uint64{"a": n, "b": n + 1} },
			[]string{"nowhere else", "of plan 1 (b)"},
		},
		{
			"both", false, func(s *engine.State, n uint64) { s.SkipOutputs = map[string]uint64{"a": n, "b": n} },
			nil,
		},
		{
			"one to repeat", true, func(s *engine.State, _ uint64) { s.RepeatOutputs = []string{"a"} },
			[]string{"the writer has transactions up to", "of plan 1 (b)"},
		},
		{"both to repeat", true, func(s *engine.State, _ uint64) { s.RepeatOutputs = []string{"a", "b"} }, nil},
		{"for one plan", true, func(s *engine.State, _ uint64) { s.RepeatOutput = true }, []string{"RepeatOutputs"}},
		{"number for one plan", false, func(s *engine.State, n uint64) { s.SkipOutputTo = n }, []string{"SkipOutputs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, old := t.TempDir(), t.TempDir()+"/old"
			ledgers := [2]*ledger{{}, {}}
			writers := func() []record.Writer {
				return []record.Writer{&ledgerWriter{ledger: ledgers[0]}, &ledgerWriter{ledger: ledgers[1]}}
			}
			var numbers []uint64
			for i := range int64(4) {
				if err := outboxLifeOf(t, engine.Dir(dir), writers(), []int64{i + 1}); err != nil {
					t.Fatal(err)
				}
				numbers = append(numbers, ledgers[0].number)
				if i == 1 {
					if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
				}
			}
			st := engine.Dir(dir)
			if c.old {
				st = engine.Dir(old)
				st.Takeover = true
			} else {
				for _, l := range ledgers {
					l.lines, l.number = l.lines[:1], numbers[0]
				}
			}
			// the kept generations have the last two
			c.choose(st, numbers[1])
			err := outboxLifeOf(t, st, writers())
			if (err == nil) != (c.says == nil) {
				t.Fatalf("%v, expected %q", err, c.says)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v, expected %q", err, says)
				}
			}
		})
	}
}

// Goal: rows that a generation has for a writer with transactions are not lost because the next
// writer has none, nor are they for a query with other columns.
func TestOutboxOtherWriter(t *testing.T) {
	dir, l := t.TempDir(), &ledger{}
	failing := &ledgerWriter{ledger: l, rng: rand.New(rand.NewPCG(1, 1)), faults: []string{"fails before"}}
	for range 20 {
		if outboxLife(t, engine.Dir(dir), failing, []int64{int64(l.commits) + 1}) != nil {
			break
		}
	}
	out := &windowLog{}
	err := outboxLife(t, engine.Dir(dir), out.writer())
	if !errors.Is(err, engine.ErrOutput) || !strings.Contains(err.Error(), "1 rows for a writer with transactions") {
		t.Fatal(err)
	}
	n := len(l.lines)
	if err := outboxLife(t, engine.Dir(dir), &ledgerWriter{ledger: l}); err != nil || len(l.lines) != n+1 {
		t.Errorf("%v; the writer of before has %d rows, expected %d", err, len(l.lines), n+1)
	}
}

// Goal: a full outbox has a generation made ahead of its time; while the writer does not take it,
// or nothing can be saved, nothing more is taken, and nothing is lost.
func TestOutboxIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"passes through": `SELECT k, v, note FROM log`,
		"changes":        `SELECT v, note, count(*) AS n FROM log GROUP BY v, note EMIT CHANGES`,
	} {
		t.Run(name, func(t *testing.T) {
			const rows, splits = 4000, 2
			l := &splitLog{splits: splits, rows: rows}
			to := &ledger{}
			gate := &gatedWriter{ledgerWriter: ledgerWriter{ledger: to}, open: make(chan struct{})}
			st := engine.Dir(t.TempDir())
			st.Interval, st.NoSync, st.Share = time.Hour, true, 1
			cfg := engine.Config{
				Plan: keptPlan(t, text), Partitions: 2, Cores: 1, NoPin: true, State: st, Writer: gate,
				EpochInterval: time.Millisecond, BatchRows: 20,
			}
			for i := range 2 {
				cfg.Readers = append(cfg.Readers, l.reader(i, 2))
			}
			st.BoundOutbox(2 << 10)
			e := start(t, cfg)
			// The first half comes, and then nothing, so no epoch is raised that could bring the
			// next cut. The rest comes while the first transaction is under way.
			l.until.Store(rows / 2)
			eventually(t, "a commit ahead of its time", gate.isCalled)
			l.until.Store(rows)
			time.Sleep(50 * time.Millisecond)
			if n := e.OutboxBytes(); n > 4<<20 {
				t.Errorf("%d bytes wait", n)
			}
			close(gate.open)
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			if to.commits < 2 {
				t.Errorf("%d transactions, expected 2 or more", to.commits)
			}
			if name == "passes through" && len(to.lines) != rows*splits {
				t.Errorf("%d rows, expected %d", len(to.lines), rows*splits)
			}
		})
	}
}

// Goal: an outbox that one cut has filled is saved, although no other cut comes. Method: epochs that
// only Sync raises.
func TestFullOutboxNeedsNoCut(t *testing.T) {
	l := &splitLog{splits: 1, rows: 4000}
	st := engine.Dir(t.TempDir())
	st.Interval, st.NoSync, st.Share = time.Hour, true, 1
	st.BoundOutbox(1)
	to := &gatedWriter{ledgerWriter: ledgerWriter{ledger: &ledger{}}, open: make(chan struct{})}
	close(to.open)
	e := start(t, engine.Config{
		Plan: outboxPlan(t, "changes"), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true,
		State: st, Writer: to, EpochInterval: time.Hour, BatchRows: 20,
	})
	l.until.Store(20)
	await(t, "20 records", func() bool { return e.Stats().Counters().In == 20 })
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "a transaction", to.isCalled)
}

// Goal: a full outbox is saved at once, also if nothing comes after that. Such saves have a gap,
// also if they fail, so that a disk that fails does not keep a core busy.
func TestOutboxHastensWithGaps(t *testing.T) {
	disk, dir := &faults{}, t.TempDir()
	l := &splitLog{splits: 1, rows: 4000}
	st := engine.Dir(dir)
	st.Interval, st.NoSync, st.Share = time.Hour, true, 1
	st.BoundOutbox(1)
	st.OpenBy(disk.open(dir))
	begin := time.Now()
	e := start(t, engine.Config{
		Plan: outboxPlan(t, "changes"), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true,
		State: st, Writer: &ledgerWriter{ledger: &ledger{}}, EpochInterval: time.Millisecond, BatchRows: 20,
	})
	l.until.Store(20) // one batch, so one cut has it
	await(t, "a generation", func() bool { return e.Stats().State.Saves > 1 })
	disk.set("create segment", syscall.EIO)
	l.until.Store(1000)
	await(t, "saves fail", func() bool { return e.Stats().State.Failures > 3 })
	if n, most := e.Stats().State.Failed, time.Since(begin)/(100*time.Millisecond)+1; n > uint64(most) {
		t.Errorf("%d saves have failed, expected at most %d", n, most)
	}
	disk.set("", nil)
	l.until.Store(4000)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if n, most := e.Stats().State.Saves, time.Since(begin)/(10*time.Millisecond)+3; n > uint64(most) {
		t.Errorf("%d saves, expected at most %d", n, most)
	}
}

// A gatedWriter takes nothing until open is closed.
type gatedWriter struct {
	ledgerWriter
	open  chan struct{}
	once  sync.Once
	first chan struct{}
	mu    sync.Mutex
}

func (g *gatedWriter) called() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.first == nil {
		g.first = make(chan struct{})
	}
	return g.first
}

func (g *gatedWriter) isCalled() bool {
	select {
	case <-g.called():
		return true
	default:
		return false
	}
}

func (g *gatedWriter) Commit(ctx context.Context, number uint64, rows iter.Seq[*record.Batch], complete bool) error {
	first := g.called()
	g.once.Do(func() { close(first) })
	select {
	case <-g.open:
	case <-ctx.Done():
		return ctx.Err()
	}
	return g.ledgerWriter.Commit(ctx, number, rows, complete)
}

// Goal: while nothing can be saved, what waits for the writer does not grow without bound, and
// nothing is lost or written twice when the disk works again. Method: the disk fails at each point
// for a while, with an outbox that is full at once; half of the lives end in between.
func TestOutboxOnBadDisk(t *testing.T) {
	for _, point := range []string{"create segment", "sync segment", "sync manifest", "sync folder", "rename manifest"} {
		for _, name := range []string{"passes through", "changes", "idle sessions"} {
			t.Run(point+"/"+name, func(t *testing.T) {
				const rows, splits = 2000, 2
				dir, to, disk := t.TempDir(), &ledger{}, &faults{}
				life := func(until int64, do func(e *engine.Engine, l *splitLog)) *engine.Engine {
					l := &splitLog{splits: splits, rows: rows}
					l.until.Store(until)
					st := engine.Dir(dir)
					st.Interval, st.NoSync, st.Share = 2*time.Millisecond, true, 1
					st.BoundOutbox(1 << 10)
					st.OpenBy(disk.open(dir))
					e := start(t, engine.Config{
						Plan: outboxPlan(t, name), Readers: []record.Reader{l.reader(0, 2), l.reader(1, 2)}, Partitions: 2, Cores: 2,
						NoPin: true, State: st, Writer: &ledgerWriter{ledger: to}, EpochInterval: time.Millisecond, BatchRows: 20,
					})
					do(e, l)
					return e
				}
				life(500, func(e *engine.Engine, l *splitLog) {
					_ = e.Checkpoint(t.Context())
					disk.set(point, syscall.EIO)
					l.until.Store(1500)
					await(t, "saves fail", func() bool { return e.Stats().State.Failures > 5 })
					if n := e.OutboxBytes(); n > 1<<20 {
						t.Errorf("%d bytes wait", n)
					}
					_ = e.Close()
				})
				disk.set("", nil)
				e := life(rows, func(*engine.Engine, *splitLog) {
					disk.set(point, syscall.EIO)
					time.Sleep(20 * time.Millisecond)
					disk.set("", nil)
				})
				if err := e.Wait(); errors.Is(err, syscall.EIO) { // the last save has failed
					e = life(rows, func(*engine.Engine, *splitLog) {})
				} else if err != nil {
					t.Fatal(err)
				}
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				s := e.Snapshot()
				defer s.Close()
				if name == "passes through" {
					if want := passedRows(t, name, splits, rows); checkLedger(name, to.lines, want, 0, 0, nil) != nil {
						t.Error(checkLedger(name, to.lines, want, 0, 0, nil))
					}
					return
				}
				err := checkLedger(name, to.lines, nil, e.Stats().Counters().Late, splits*rows, lines(t, s))
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}
