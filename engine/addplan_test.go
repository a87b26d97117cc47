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
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

type tick struct {
	Key   int64
	Value int64
	At    time.Time
}

// ticks is a feed of ticks, and compile makes a plan over it.
func ticks(t testing.TB) (*readers.Feed[tick], func(text string, tables ...*lookup.Table) *plan.Plan) {
	t.Helper()
	schema, err := record.SchemaOf[tick]("ticks")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := readers.NewFeed[tick](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return feed, func(text string, tables ...*lookup.Table) *plan.Plan {
		t.Helper()
		p, err := query.Catalog{Sources: []*record.Schema{schema}, Tables: tables}.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// kept is a writer that keeps the number of its rows, and may fail.
type kept struct {
	rows   atomic.Int64
	fail   atomic.Bool
	closed atomic.Bool
}

func (w *kept) Write(_ context.Context, b *record.Batch) error {
	if w.fail.Load() {
		return errors.New("disk full")
	}
	w.rows.Add(int64(b.Len()))
	return nil
}

func (w *kept) Close() error { w.closed.Store(true); return nil }

func send(t *testing.T, lane *readers.Lane[tick], from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := lane.Send(t.Context(), tick{int64(i % 10), int64(i), time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: plans of every kind can be added: groups, windows with a writer, records that pass through,
// changes, joins with a table. Each has the records from its beginning on, and its writer gets its
// whole result.
func TestAddPlanKinds(t *testing.T) {
	feed, compile := ticks(t)
	first := compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{feed}, Partitions: 2, NoPin: true,
		EpochInterval: -1, StateBytes: 64 << 20,
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
	table := pages(t, 5, nil)
	windows, passed, changes := &kept{}, &kept{}, &kept{}
	groups := compile(`SELECT key, count(*) AS n FROM ticks WHERE value % 2 = 0 GROUP BY key`)
	joined := compile(`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id`, table)
	whole := compile(`SELECT count(*) AS n FROM ticks`)
	for i, p := range []engine.PlanConfig{
		{Plan: groups},
		{Plan: joined},
		{Plan: whole},
		{
			Plan:   compile(`SELECT window_end, count(*) AS n FROM ticks GROUP BY tumble(at, INTERVAL '10 s')`),
			Writer: windows,
		},
		{Plan: compile(`SELECT key, value FROM ticks WHERE key < 3`), Writer: passed},
		{Plan: compile(`SELECT key, max(value) AS m FROM ticks GROUP BY key EMIT CHANGES`), Writer: changes},
	} {
		epoch, err := e.AddPlan(t.Context(), p)
		if err != nil {
			t.Fatalf("plan %d: %v", i, err)
		}
		s := e.Snapshot()
		if s.Epoch() < epoch || !s.Has(p.Plan) || s.Of(p.Plan).Records() != 0 {
			t.Errorf("plan %d: added with epoch %d, the snapshot of %d has it: %v", i, epoch, s.Epoch(), s.Has(p.Plan))
		}
		s.Close()
		if old.Has(p.Plan) {
			t.Errorf("plan %d: a snapshot of epoch %d has a plan that began with %d", i, old.Epoch(), epoch)
		}
	}
	func() {
		defer func() {
			if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "does not have the plan") {
				t.Errorf("Of of an old snapshot: %v", v)
			}
		}()
		old.Of(groups)
	}()
	send(t, lane, 100, 300)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	count := func(p *plan.Plan) (sum int64) {
		n, err := result.ColumnOf[int64](p, "n")
		if err != nil {
			t.Fatal(err)
		}
		for row := range s.Of(p).All() {
			sum += n.Of(row)
		}
		return sum
	}
	for _, c := range []struct {
		p    *plan.Plan
		want int64
	}{{first, 300}, {groups, 100}, {joined, 100}, {whole, 200}} {
		if got := count(c.p); got != c.want {
			t.Errorf("%v: %d records, expected %d", c.p, got, c.want)
		}
	}
	s.Close()
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if windows.rows.Load() != 19 || passed.rows.Load() != 60 || changes.rows.Load() < 10 {
		t.Errorf("%d windows, %d records passed, %d changes: expected 19 (the last is open), 60 and 10 or more",
			windows.rows.Load(),
			passed.rows.Load(), changes.rows.Load())
	}
	if !windows.closed.Load() || !passed.closed.Load() || !changes.closed.Load() {
		t.Error("a writer was not closed")
	}
	if st := e.Stats(); len(st.Tables) != 1 || len(st.Plans) != 7 || len(st.Rings) != 14 {
		t.Errorf("%d tables, %d plans, %d rings", len(st.Tables), len(st.Plans), len(st.Rings))
	}
}

// endless is a reader that brings records until it is told to end.
type endless struct{ end *atomic.Bool }

func (r endless) Read(ctx context.Context, b *record.Batch) error {
	if r.end.Load() {
		return io.EOF
	}
	b.Add(0)
	b.SetInt64(0, 1)
	b.SetInt64(1, 1)
	b.SetInt64(2, 0)
	return nil
}

func (endless) Close() error { return nil }

// Goal: readers that have ended before a plan is added, on runners that have ended with them, hold
// nothing up; a plan that is added while the readers end is there or is refused, and the engine
// ends either way.
func TestAddPlanWhileReadersEnd(t *testing.T) {
	for round := range 30 {
		_, compile := ticks(t)
		first := compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`)
		ends := []*atomic.Bool{new(atomic.Bool), new(atomic.Bool), new(atomic.Bool)}
		cfg := engine.Config{
			Plan: first, Partitions: 1, Cores: 4, NoPin: true, EpochInterval: 200 * time.Microsecond,
			StateBytes: 16 << 20,
		}
		for _, end := range ends {
			cfg.Readers = append(cfg.Readers, endless{end})
		}
		e := start(t, cfg)
		ends[0].Store(true)
		if round%2 == 0 { // the reader's runner may have ended, or not yet
			deadline := time.Now().Add(time.Minute)
			for e.Stats().Readers[0].State != engine.Ended && time.Now().Before(deadline) {
				time.Sleep(100 * time.Microsecond)
			}
		}
		second := compile(`SELECT count(*) AS n FROM ticks`)
		if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: second}); err != nil {
			t.Fatal(err)
		}
		hasRecords := func() bool { s := e.Snapshot(); defer s.Close(); return s.Of(second).Records() > 0 }
		for deadline := time.Now().Add(time.Minute); !hasRecords(); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatal("the second plan was added, and no record reached it within a minute")
			}
		}
		third := compile(`SELECT max(value) AS n FROM ticks`)
		added := make(chan error, 1)
		go func() {
			_, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: third})
			added <- err
		}()
		time.Sleep(time.Duration(round) * 20 * time.Microsecond)
		ends[1].Store(true)
		ends[2].Store(true)
		err := <-added
		if err != nil && !errors.Is(err, engine.ErrEnded) {
			t.Fatal(err)
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		n, err2 := result.ColumnOf[int64](second, "n")
		if err2 != nil {
			t.Fatal(err2)
		}
		row, ok := s.Of(second).Get(plan.Key{})
		if !ok || uint64(n.Of(row)) != s.Of(second).Records() || n.Of(row) == 0 {
			t.Errorf("the second plan has %v records of %d", n.Of(row), s.Records())
		}
		if err == nil && !s.Has(third) {
			t.Error("the third plan was added, and is not there")
		}
		s.Close()
		if _, err := e.AddPlan(t.Context(),
			engine.PlanConfig{Plan: compile(`SELECT count(*) AS n FROM ticks`)}); !errors.Is(err, engine.ErrEnded) {
			t.Errorf("a plan was added to an engine that has ended: %v", err)
		}
	}
}

// Goal: Close while plans are added leaves nothing behind and closes their writers.
func TestAddPlanWhileClosing(t *testing.T) {
	for round := range 30 {
		feed, compile := ticks(t)
		e := start(t, engine.Config{
			Plan: compile(`SELECT count(*) AS n FROM ticks`), Readers: []record.Reader{feed},
			Partitions: 2, NoPin: true, StateBytes: 16 << 20,
		})
		w := &kept{}
		added := make(chan error, 1)
		go func() {
			_, err := e.AddPlan(t.Context(),
				engine.PlanConfig{Plan: compile(`SELECT key, value FROM ticks`), Writer: w})
			added <- err
		}()
		time.Sleep(time.Duration(round*10) * time.Microsecond)
		if err := e.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Fatal(err)
		}
		if err := <-added; err == nil && !w.closed.Load() {
			t.Error("the plan was added, and its writer was not closed")
		}
	}
}

// Goal: a plan that is added and fails ends alone, and what cannot be added is refused with the
// reason and changes nothing.
func TestAddPlanFaults(t *testing.T) {
	feed, compile := ticks(t)
	first := compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{feed}, Partitions: 2, NoPin: true,
		StateBytes: 64 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	w := &kept{}
	w.fail.Store(true)
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{
		Plan:   compile(`SELECT key, value FROM ticks`),
		Writer: w,
	}); err != nil {
		t.Fatal(err)
	}
	broken := pages(t, 1, func(c *lookup.Config) {
		c.Load = func(context.Context, *lookup.Builder) error { return errors.New("no connection") }
	})
	other, err := record.NewSchema("other", record.Field{Name: "key", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]engine.PlanConfig{
		"no plan":               {},
		"runs the plan already": {Plan: first},
		"its source is not the source": {Plan: &plan.Plan{
			Source:     other,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}},
		"needs a Writer":    {Plan: compile(`SELECT key FROM ticks`)},
		"is in use already": {Plan: compile(`SELECT key FROM ticks`), Writer: w},
		"no connection": {Plan: compile(
			`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id`, broken)},
		"it has an OnLate": {
			Plan:   compile(`SELECT count(*) AS n FROM ticks`),
			OnLate: func(int, *record.Batch) {},
		},
		"a plan with From": {Plan: compile(
			`SELECT n, count(*) AS m FROM (SELECT key, count(*) AS n FROM ticks GROUP BY key) AS g GROUP BY n`)},
		"bytes for the groups, expected at": {Plan: compile(`SELECT count(*) AS n FROM ticks`), StateBytes: 1},
	} {
		if _, err := e.AddPlan(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	send(t, lane, 0, 100)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: compile(`SELECT count(*) AS n FROM ticks`)}); err !=
		nil {
		t.Fatal(err)
	}
	err = e.Shutdown(t.Context())
	var of *engine.PlanError
	if !errors.As(err, &of) || of.Number != 1 || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("the engine ended with %v", err)
	}
	s := e.Snapshot()
	defer s.Close()
	if s.Records() != 100 || s.Len() != 10 {
		t.Errorf("the first plan has %d records of 100 in %d groups", s.Records(), s.Len())
	}
}

// chosen is a reader that wants to know which columns are read.
type chosen struct {
	endless
	read *[]bool
}

func (c chosen) Columns(read []bool) { *c.read = read }

// Goal: a plan that reads columns which the readers were told not to bring is refused, unless
// Config.Columns names them.
func TestAddPlanColumns(t *testing.T) {
	_, compile := ticks(t)
	for _, columns := range [][]string{nil, {"value"}} {
		var end atomic.Bool
		var read []bool
		e := start(t, engine.Config{
			Plan:       compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`),
			Readers:    []record.Reader{chosen{endless{&end}, &read}},
			Partitions: 1, NoPin: true, Columns: columns, StateBytes: 16 << 20,
		})
		if read[1] != (columns != nil) || !read[0] || read[2] {
			t.Errorf("Columns %v: the reader was told %v", columns, read)
		}
		_, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: compile(`SELECT sum(value) AS s FROM ticks`)})
		if columns == nil && (err == nil || !strings.Contains(err.Error(), "told not to bring value")) ||
			columns != nil && err != nil {
			t.Errorf("Columns %v: %v", columns, err)
		}
		end.Store(true)
		if err := e.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// Goal: a feed brings only what the plans read, and a plan that is added while goroutines send has
// the columns that no plan has read before, in every record that it takes: as many records as the
// sum of a column that is 1 in all of them.
func TestAddPlanWidens(t *testing.T) {
	type event struct {
		Key, One int64
		Note     string
	}
	for _, partitions := range []int{1, 3} {
		feed, err := readers.NewFeed[event](nil, readers.FeedConfig{LaneSlots: 64})
		if err != nil {
			t.Fatal(err)
		}
		compile := func(text string) *plan.Plan {
			p, err := query.Compile(text, feed.Schema())
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		e := start(t, engine.Config{
			Plan: compile(`SELECT key, count(*) AS n FROM feed GROUP BY key`), Readers: []record.Reader{feed},
			Partitions: partitions, NoPin: true, StateBytes: 16 << 20,
		})
		var end atomic.Bool
		var senders sync.WaitGroup
		for range 3 {
			senders.Go(func() {
				lane, err := feed.Lane()
				for i := int64(0); err == nil && !end.Load(); i++ {
					err = lane.Send(t.Context(), event{i % 100, 1, "twelve bytes"})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		for _, text := range []string{
			`SELECT count(*) AS n, sum(one) AS s FROM feed`,
			`SELECT count(*) AS n, sum(length(note)) / 12 AS s FROM feed`,
		} {
			p := compile(text)
			if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: p}); err != nil {
				t.Fatal(err)
			}
			for n := int64(0); n < 1000; {
				if err := e.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := e.Snapshot()
				for b := range s.Of(p).Batches(1) {
					n = b.Column(0).Int64s[0]
					if ones := b.Column(1).Int64s[0]; ones != n {
						t.Fatalf("%s: %d records, %d of them with the column", text, n, ones)
					}
				}
				s.Close()
			}
		}
		end.Store(true)
		senders.Wait()
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a reader that is added after a plan brings what that plan reads. Method: at first a feed,
// which brings what is read; then a plan that reads more; then a reader that asks what is read.
func TestAddReaderAfterPlan(t *testing.T) {
	feed, compile := ticks(t)
	e := start(t, engine.Config{
		Plan: compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`), Readers: []record.Reader{feed},
		Partitions: 1,
		NoPin:      true, StateBytes: 16 << 20,
	})
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: compile(`SELECT sum(value) AS s FROM ticks`)}); err !=
		nil {
		t.Fatal(err)
	}
	var end atomic.Bool
	var read []bool
	if _, err := e.AddReader(t.Context(), chosen{endless{&end}, &read}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(read) != "[true true false]" {
		t.Errorf("the reader was told %v, expected key and value", read)
	}
	// What it was told is what it brings from then on.
	late := compile(`SELECT max(at) AS m FROM ticks`)
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: late}); err == nil ||
		!strings.Contains(err.Error(), "not to bring at") {
		t.Errorf("a plan that reads more than the reader brings: %v", err)
	}
	custom := plan.Route{Routing: plan.RouteCustom, Func: func(c *plan.RouteContext) { clear(c.Partition) }}
	all := engine.PlanConfig{Plan: compile(`SELECT key, count(*) AS m FROM ticks GROUP BY key`), Route: custom}
	if _, err := e.AddPlan(t.Context(), all); err == nil || !strings.Contains(err.Error(), "not to bring at") {
		t.Errorf("a plan whose route may look at every column: %v", err)
	}
	end.Store(true)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Goal: an engine that is closed while the table of a plan that is added is being loaded leaves
// nothing that loads the table again.
func TestAddPlanTableAfterEnd(t *testing.T) {
	feed, compile := ticks(t)
	e := start(t, engine.Config{
		Plan: compile(`SELECT count(*) AS n FROM ticks`), Readers: []record.Reader{feed}, Partitions: 1, NoPin: true,
		StateBytes: 16 << 20,
	})
	var loads atomic.Int64
	begun, letGo := make(chan struct{}), make(chan struct{})
	table := pages(t, 1, func(c *lookup.Config) {
		load := c.Load
		c.Refresh = time.Millisecond
		c.Load = func(ctx context.Context, b *lookup.Builder) error {
			if loads.Add(1) == 1 {
				close(begun)
				<-letGo
			}
			return load(ctx, b)
		}
	})
	added := make(chan error, 1)
	go func() {
		_, err := e.AddPlan(t.Context(),
			engine.PlanConfig{Plan: compile(`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id`,
				table)})
		added <- err
	}()
	<-begun
	if err := e.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
		t.Fatal(err)
	}
	close(letGo)
	if err := <-added; !errors.Is(err, engine.ErrEnded) {
		t.Errorf("a plan added to a closed engine: %v", err)
	}
	before := loads.Load()
	time.Sleep(30 * time.Millisecond)
	if n := loads.Load(); n > before {
		t.Errorf("the table was loaded %d times after the engine had ended", n-before)
	}
}

// stuck is a writer that waits until it is let go.
type stuck struct{ letGo chan struct{} }

func (w stuck) Write(context.Context, *record.Batch) error { <-w.letGo; return nil }
func (w stuck) Close() error                               { return nil }

// Goal: a plan can be added while a reader has ended and its end is still on the way to the
// partitions. Method: a writer that waits holds up the partitions, so that the reader's last marks
// find no room.
func TestAddPlanAtEnd(t *testing.T) {
	_, compile := ticks(t)
	var end atomic.Bool
	w := stuck{make(chan struct{})}
	e := start(t, engine.Config{
		Plan: compile(`SELECT key, value FROM ticks`), Writer: w, Readers: []record.Reader{endless{&end}},
		Partitions: 1, NoPin: true,
		EpochInterval: -1, RingSlots: 4, StateBytes: 16 << 20,
	})
	full := func() bool {
		for _, r := range e.Stats().Rings {
			if r.Depth < r.Slots {
				return false
			}
		}
		return true
	}
	deadline := time.Now().Add(time.Minute)
	for !full() && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	end.Store(true)
	second := compile(`SELECT count(*) AS n FROM ticks`)
	for limit := 300 * time.Millisecond; ; limit *= 2 { // a stall may use up the time before the plan is admitted
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := e.AddPlan(ctx, engine.PlanConfig{Plan: second})
		cancel()
		if err == nil {
			t.Error("the plan was added though no epoch can pass")
			break
		}
		if !strings.Contains(err.Error(), "plan not added") {
			break
		}
		if limit > time.Minute {
			t.Fatal(err)
		}
	}
	close(w.letGo)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if !s.Has(second) {
		t.Error("the plan is not in the last snapshot")
	}
}
