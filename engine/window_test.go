package engine_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/writers"
)

var timedSchema = testgen.TimedSchema("value")

// timed gives prepared records whose times go on from one round to the next, a second each million records, out of order by up to disorder.
type timed struct {
	keys, values, jitter []int64
	at                   []int64
	next, most           int64
}

func newTimed(groups int64, disorder time.Duration, most int64) *timed {
	const n = 1 << 20
	rng := rand.New(rand.NewPCG(1, 1))
	r := &timed{
		keys: make([]int64, n), values: make([]int64, n), jitter: make([]int64, n),
		at: make([]int64, record.DefaultRows), most: most,
	}
	for i := range n {
		r.keys[i], r.values[i] = rng.Int64N(groups)*0x9e3779b9, rng.Int64N(1000)
		if disorder > 0 {
			r.jitter[i] = rng.Int64N(int64(disorder))
		}
	}
	return r
}

func (r *timed) Poll(b *record.Batch) error {
	at := int(r.next) & (len(r.keys) - 1)
	n := min(int64(b.Cap()), r.most-r.next, int64(len(r.keys)-at))
	for i := range n {
		r.at[i] = (r.next+i)*int64(time.Microsecond) - r.jitter[at+int(i)]
	}
	b.Column(0).Int64s, b.Column(1).Int64s, b.Column(2).Int64s = r.at[:n], r.keys[at:at+int(n)], r.values[at:at+int(n)]
	b.SetLen(int(n))
	if r.next += n; r.next == r.most {
		return io.EOF
	}
	return nil
}
func (r *timed) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }
func (r *timed) Close() error                                  { return nil }

func windowPlan(t testing.TB, kind string) *plan.Plan {
	by := map[string]string{
		"none": "key", "tumble": "key, tumble(at, INTERVAL '1 s')",
		"hop 1:60": "key, hop(at, INTERVAL '1 s', INTERVAL '60 s')", "tumble 60": "key, tumble(at, INTERVAL '60 s')",
	}[kind]
	p, err := query.Compile(`SELECT key, count(*) AS n, sum(value) AS sum, min(value) AS low, max(value) AS high FROM timed GROUP BY `+by, timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	if p.Window != nil {
		p.Window.OutOfOrder = 500 * time.Millisecond
	}
	return p
}

// Goal: every late record is given to OnLate, as its reader brought it, and no other; a callback that is slow loses none. Method: records more out of order than the plan allows, some of which WHERE filters,
// against the watermark in Go.
func TestOnLate(t *testing.T) {
	p, err := query.Compile("SELECT key, count(*) AS n FROM timed WHERE value % 2 = 0 GROUP BY key, tumble(at, "+
		"INTERVAL '1 ms')", timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	p.Window.OutOfOrder, p.Window.Lateness = 200*time.Microsecond, 100*time.Microsecond
	const most = 200_000
	all := []*timed{newTimed(100, 3*time.Millisecond, most), newTimed(100, time.Millisecond, most)}
	want := make([][]string, len(all))
	c := window.NewClock(p.Window.Windows)
	for r, reader := range all {
		watermark := int64(-1 << 62)
		at, key, value := timedRows(reader)
		for i := range at {
			if value[i]%2 != 0 {
				continue
			}
			if end := c.LastEnd(c.Floor(at[i])); end+100_000 <= watermark {
				want[r] = append(want[r], fmt.Sprint(at[i], key[i], value[i]))
			}
			watermark = max(watermark, at[i]-200_000)
		}
	}
	got := make([][]string, len(all))
	calls := 0
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{all[0], testgen.OnlyRead(all[1])}, Partitions: 2, Cores: 2, NoPin: true,
		BatchRows: 500,
		OnLate: func(reader int, b *record.Batch) {
			if calls++; calls%100 == 0 {
				time.Sleep(time.Millisecond)
			}
			for i := range b.Len() {
				got[reader] = append(got[reader],
					fmt.Sprint(b.Column(0).Int64s[i], b.Column(1).Int64s[i], b.Column(2).Int64s[i]))
			}
		},
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	for r := range want {
		if !slices.Equal(got[r], want[r]) {
			t.Errorf("reader %d: %d late records, expected %d", r, len(got[r]), len(want[r]))
		}
	}
	if late := e.Stats().Counters().Late; int(late) != len(want[0])+len(want[1]) || late == 0 {
		t.Errorf("%d late records are counted, expected %d", late, len(want[0])+len(want[1]))
	}
}

// Goal: windows by processing time close by the clock, when nothing comes any more, and are written. Method: a feed that is sent three records and stays open.
func TestProcessingTime(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{})
	pl, err := query.Compile(`SELECT key, count(*) AS n FROM "`+p.Source.Name()+
		`" GROUP BY key, tumble(proctime(), INTERVAL '5 ms')`, p.Source)
	if err != nil {
		t.Fatal(err)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	rows := make(chan int64)
	e := start(t, engine.Config{
		Plan: pl, Readers: []record.Reader{f}, Partitions: 1, Cores: 1, NoPin: true, EpochInterval: time.Millisecond,
		Writer: writers.Func(func(ctx context.Context, b *record.Batch) error {
			for _, n := range b.Column(1).Int64s[:b.Len()] {
				select {
				case rows <- n:
				case <-ctx.Done():
				}
			}
			return nil
		}),
	})
	for range 3 {
		if err := lane.Send(t.Context(), hit{Key: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for left := int64(3); left > 0; {
		left -= <-rows
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Goal: windows close while records come, and every record is counted or late. Method: an engine of three readers, one of which is idle for the most part; the others go on until enough closings have been seen.
func TestWindowsClose(t *testing.T) {
	p := windowPlan(t, "tumble")
	p.Window.Idle = 20 * time.Millisecond
	p.Window.Retain = 3
	var enough atomic.Bool
	sorted, shuffled := &until{newTimed(1000, 0, 1), &enough}, &until{newTimed(1000, 400*time.Millisecond, 1), &enough}
	e := start(t, engine.Config{
		Plan: p, Partitions: 2, Cores: 2, NoPin: true, EpochInterval: time.Millisecond, EpochShare: 1,
		Readers: []record.Reader{sorted, shuffled, &trickle{newTimed(1000, 0, 1000)}},
	})
	var last time.Time
	closed := 0
	for s := range e.Updates(t.Context()) {
		if at, ok := s.Closed(); ok {
			if at.Before(last) {
				t.Fatalf("windows up to %v were closed, now up to %v", last, at)
			}
			if at.After(last) {
				closed++
			}
			enough.Store(closed >= 3)
			last = at
		}
		var c result.Counters
		for _, r := range s.Counters() {
			c.Add(r)
		}
		if c.In != c.Counted+c.Late+c.Filtered+c.Quarantined+c.Shed {
			t.Fatalf("the counters do not add up: %+v", c)
		}
	}
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	st := e.Stats()
	if in := st.Counters().In; closed < 3 || in != uint64(sorted.next+shuffled.next+1000) {
		t.Errorf("%d closings, %d records, expected %d", closed, in, sorted.next+shuffled.next+1000)
	}
	for _, part := range st.Partitions {
		if part.Panes > 64 {
			t.Errorf("%d panes at the end", part.Panes)
		}
	}
}

// until goes on until there is enough, within bounds.
type until struct {
	*timed
	enough *atomic.Bool
}

func (r *until) Poll(b *record.Batch) error {
	const step, bound = 1_000_000, 1_000_000_000
	if r.most-r.next <= int64(b.Cap()) && r.most < bound && !r.enough.Load() {
		r.most += step
	}
	return r.timed.Poll(b)
}
func (r *until) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// trickle gives one record now and then.
type trickle struct{ *timed }

func (r *trickle) Poll(b *record.Batch) error {
	if r.next == r.most {
		return io.EOF
	}
	if rand.IntN(200) > 0 {
		return nil
	}
	one := record.NewBatch(timedSchema, 100)
	err := r.timed.Poll(one)
	for i := range one.Len() {
		b.Add(0)
		for c := range 3 {
			b.SetInt64(c, one.Column(c).Int64s[i])
		}
	}
	return err
}
func (r *trickle) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// BenchmarkWindow is what windows cost: on one core, records of a million a second of event time, in order and out of it by up to 500 ms.
func BenchmarkWindow(b *testing.B) {
	for _, groups := range []int64{1000, 100_000} {
		for _, kind := range []string{"none", "tumble", "tumble 60", "hop 1:60"} {
			for _, disorder := range []time.Duration{0, 500 * time.Millisecond} {
				if kind == "none" && disorder > 0 {
					continue
				}
				b.Run(fmt.Sprintf("groups=%d/window=%s/disorder=%v", groups, kind, disorder), func(b *testing.B) {
					e, err := engine.Start(b.Context(), engine.Config{
						Plan: windowPlan(b, kind), Readers: []record.Reader{newTimed(groups, disorder, int64(b.N))},
						Partitions: 1, Cores: 1,
					})
					if err != nil {
						b.Fatal(err)
					}
					defer e.Close()
					if err := e.Wait(); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(e.Stats().CPUTime())/float64(b.N), "cpu-ns/record")
					if late := e.Stats().Counters().Late; late > 0 {
						b.Fatalf("%d records were late", late)
					}
				})
			}
		}
	}
}

// Goal: a reader that joins after the end of a window brings records for it that are all counted as late, also where they have been folded to one partial state. Method: one
// reader closes the window, the other joins and sends a thousand records of one group.
func TestLateAfterJoin(t *testing.T) {
	type event struct {
		Key int64
		At  time.Time
	}
	for _, x := range []plan.Exchange{plan.ExchangeFold, plan.ExchangeRoute, plan.ExchangeDirect} {
		var feeds [2]*readers.Feed[event]
		for i := range feeds {
			var schema *record.Schema
			if i > 0 {
				schema = feeds[0].Schema()
			}
			var err error
			if feeds[i], err = readers.NewFeed[event](schema, readers.FeedConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		p := &plan.Plan{
			Source: feeds[0].Schema(), Keys: []string{"key"},
			Aggregates: []plan.Aggregate{{Name: "most", Func: plan.Max, Column: "key"}},
			Window:     &plan.Window{Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: 10 * time.Second}},
		}
		e, err := engine.Start(t.Context(),
			engine.Config{Plan: p, Readers: []record.Reader{feeds[0]}, Cores: 1, Exchange: x, EpochInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		send := func(f *readers.Feed[event], n int, at int64) {
			a, err := f.Appender()
			if err != nil {
				t.Fatal(err)
			}
			for range n {
				if err := a.Send(t.Context(), event{7, time.Unix(at, 0)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		send(feeds[0], 1, 1000)
		if _, err := e.AddReader(t.Context(), feeds[1]); err != nil {
			t.Fatal(err)
		}
		send(feeds[1], 1000, 5)
		s := e.Snapshot()
		if c := s.Counters()[1]; c.Late != 1000 || c.Counted != 0 {
			t.Errorf("%v: %d late, %d counted, expected 1000 and none", x, c.Late, c.Counted)
		}
		s.Close()
		e.Close()
	}
}
