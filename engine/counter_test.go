package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// allKeys has a key of each type.
type allKeys struct {
	Text   string
	Other  *string
	Bytes  []byte
	Number int32
	Real   float64
	Maybe  *float64
	Yes    bool
	At     time.Time
	Price  record.Decimal `velo:"price,decimal(12,3)"`
	N      int64
}

var allKeyColumns = []string{"text", "other", "bytes", "number", "real", "maybe", "yes", "at", "price"}

// allKeyRecords are records whose keys are easily taken for others.
func allKeyRecords() []allKeys {
	at := time.Date(2024, 2, 29, 12, 0, 0, 1, time.UTC)
	empty, long, zero, nan := "", strings.Repeat("long ", 40), 0.0, math.NaN()
	base := allKeys{At: at}
	change := func(f func(*allKeys)) allKeys { r := base; f(&r); return r }
	return []allKeys{
		base,
		change(func(r *allKeys) { r.Text = "a" }),
		change(func(r *allKeys) { r.Text = "twenty-three bytes long" }),
		change(func(r *allKeys) { r.Text = "twenty-four bytes long.." }),
		change(func(r *allKeys) { r.Text = long }),
		change(func(r *allKeys) { r.Text = long + "x" }),
		change(func(r *allKeys) { r.Other = &empty }),
		change(func(r *allKeys) { r.Other = &long }),
		change(func(r *allKeys) { r.Bytes = []byte("a\x00b") }),
		change(func(r *allKeys) { r.Number = math.MinInt32 }),
		change(func(r *allKeys) { r.Real = math.Copysign(0, -1) }), // the same group as 0
		change(func(r *allKeys) { r.Real = nan }),
		change(func(r *allKeys) { r.Real = math.Float64frombits(0x7ff8000000000abc) }), // the same NaN
		change(func(r *allKeys) { r.Real = math.Inf(-1) }),
		change(func(r *allKeys) { r.Maybe = &zero }),
		change(func(r *allKeys) { r.Maybe = &nan }),
		change(func(r *allKeys) { r.Yes = true }),
		change(func(r *allKeys) { r.At = at.Add(-time.Nanosecond) }),
		change(func(r *allKeys) { r.Price = record.Decimal{Unscaled: -1, Scale: 3} }),
	}
}

// groupsOf runs a plan over a feed that send fills, and returns its rows as text.
func groupsOf(t *testing.T, send func(*readers.Feed[allKeys])) (rows []string) {
	t.Helper()
	f, err := readers.NewFeed[allKeys](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: f.Schema(), Keys: allKeyColumns, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Sum, Column: "n"},
	}}
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{f}, Partitions: 2, Cores: 1, EpochInterval: -1})
	send(f)
	f.End()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	for b := range s.Batches(100) {
		for i := range b.Len() {
			var row strings.Builder
			for c := range b.Schema().Len() {
				col := b.Column(c)
				switch {
				case col.Null(i):
					row.WriteString("NULL|")
				case col.Views != nil:
					fmt.Fprintf(&row, "%q|", col.View(i))
				case col.Float64s != nil:
					fmt.Fprintf(&row, "%v|", col.Float64s[i])
				default:
					fmt.Fprintf(&row, "%d|", col.Int64s[i])
				}
			}
			rows = append(rows, row.String())
		}
	}
	slices.Sort(rows)
	return rows
}

// Goal: counters make the groups that records make. Method: keys of all types, each counted by two
// counters and sent as records.
func TestCounterTwin(t *testing.T) {
	want := groupsOf(t, func(f *readers.Feed[allKeys]) {
		lane, err := f.Lane()
		if err != nil {
			t.Fatal(err)
		}
		defer lane.Close()
		for i, r := range allKeyRecords() {
			for n := range int64(2 * (i + 1)) {
				r.N = n - 3
				if err := lane.Send(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	got := groupsOf(t, func(f *readers.Feed[allKeys]) {
		for i, r := range allKeyRecords() {
			var cs [2]*readers.Counter
			for k := range cs {
				var err error
				if cs[k], err = f.Counter(r, func(r *allKeys) *int64 { return &r.N }); err != nil {
					t.Fatal(err)
				}
			}
			for n := range int64(2 * (i + 1)) {
				cs[n%2].Add(n - 3)
			}
		}
	})
	if !slices.Equal(got, want) || len(want) != len(allKeyRecords())-2 {
		t.Errorf("counters:\n%s\nrecords:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Goal: a goroutine reads what it has counted: after Sync a snapshot has everything that it added
// before, exactly, while others count too.
func TestReadYourCounts(t *testing.T) {
	for _, exchange := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeFold, plan.ExchangeRoute} {
		f, p := hitFeed(t, readers.FeedConfig{})
		sum, err := result.ColumnOf[int64](p, "sum")
		if err != nil {
			t.Fatal(err)
		}
		e := start(t, engine.Config{
			Plan: p, Readers: []record.Reader{f}, Partitions: 2, Cores: 1, Exchange: exchange, EpochInterval: -1,
		})
		var all sync.WaitGroup
		for g := range int64(4) {
			all.Go(func() {
				key, err := p.Key(g)
				if err != nil {
					t.Error(err)
					return
				}
				c, err := f.Counter(hit{Key: g}, func(h *hit) *int64 { return &h.Value })
				if err != nil {
					t.Error(err)
					return
				}
				added := int64(0)
				for round := range int64(60) {
					for n := range round*g + 1 {
						c.Add(n)
						added += n
					}
					if err := e.Sync(t.Context()); err != nil {
						t.Error(err)
						return
					}
					s := e.Snapshot()
					row, ok := s.Get(key)
					if added != 0 && (!ok || sum.Of(row) != added) {
						t.Errorf("%v: goroutine %d had added %d in round %d, the snapshot has %v", exchange, g, added,
							round, ok)
					}
					s.Close()
				}
			})
		}
		all.Wait()
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: what is counted becomes visible by itself, though no record comes and nobody asks.
func TestCountersShow(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{})
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1, EpochInterval: 10 * time.Millisecond})
	defer e.Close()
	sum, err := result.ColumnOf[int64](p, "sum")
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.Key(int64(1))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Counter(hit{Key: 1}, func(h *hit) *int64 { return &h.Value })
	if err != nil {
		t.Fatal(err)
	}
	for want := int64(1); want < 4; want++ {
		c.Inc()
		eventually(t, "a count", func() bool {
			s := e.Snapshot()
			defer s.Close()
			row, ok := s.Get(key)
			return ok && sum.Of(row) == want
		})
	}
}

// BenchmarkCounter is what an Add costs beside a running engine.
func BenchmarkCounter(b *testing.B) {
	f, p := hitFeed(b, readers.FeedConfig{})
	e, err := engine.Start(context.Background(), engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	c, err := f.Counter(hit{Key: 1}, func(h *hit) *int64 { return &h.Value })
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			c.Inc()
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/100, "ns/add")
}

// BenchmarkSendAll is what a record of a batch costs, of which the engine reads one after the
// other.
func BenchmarkSendAll(b *testing.B) {
	f, p := hitFeed(b, readers.FeedConfig{})
	e, err := engine.Start(context.Background(), engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	lane, err := f.Lane()
	if err != nil {
		b.Fatal(err)
	}
	var vs [256]hit
	for i := range vs {
		vs[i].Key = int64(i)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := sendMeter{e: e, pending: func() int { return int(f.Stats().Pending) }}
	for b.Loop() {
		m.burst(b, func() (err error) {
			for range burstRecords / len(vs) {
				_, err = lane.SendAll(context.Background(), vs[:])
			}
			return err
		})
	}
	m.report(b)
}

// A sendMeter measures what a record takes of the sender and of the engine while neither waits for
// the other: it sends in bursts, and begins the next when the engine has still much to read.
type sendMeter struct {
	e       *engine.Engine
	pending func() int // how many records wait in the lanes
	sent    int
	sender  time.Duration
}

// A burst is a quarter of a lane, and comes when half of the lane is free.
const burstRecords = readers.DefaultLaneSlots / 4

// burst has send send burstRecords records, and counts the CPU time of this thread meanwhile.
func (m *sendMeter) burst(b *testing.B, send func() error) {
	for m.pending() > 2*burstRecords {
		// A sleep takes longer than the engine has records for, and a closer look takes the line
		// from it that says how far it is.
		for began := time.Now(); time.Since(began) < time.Microsecond; {
		}
	}
	before, _ := affinity.ThreadCPUTime()
	err := send()
	after, _ := affinity.ThreadCPUTime()
	if err != nil {
		b.Fatal(err)
	}
	m.sender += after - before
	m.sent += burstRecords
}

// report reports the CPU time of the sender, the CPU time of the engine with its waits, and the
// time in which the engine had work.
func (m *sendMeter) report(b *testing.B) {
	err := m.e.Sync(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	stats := m.e.Stats()
	var busy time.Duration
	for _, a := range stats.Agents {
		busy += a.Busy
	}
	if in := stats.Counters().In; in != uint64(m.sent) {
		b.Fatalf("%d of %d records", in, m.sent)
	}
	n := float64(m.sent)
	b.ReportMetric(float64(b.Elapsed())/n, "ns/record")
	b.ReportMetric(float64(m.sender)/n, "sender-ns/record")
	b.ReportMetric(float64(stats.CPUTime())/n, "engine-ns/record")
	b.ReportMetric(float64(busy)/n, "busy-ns/record")
}

// Goal: symbols make the groups that strings make, in engines one after the other, though the
// second begins with the symbols that the first has used.
func TestSymbolGroups(t *testing.T) {
	texts := []string{"", "a", "twenty-three bytes long", "twenty-four bytes long..", strings.Repeat("long ", 40)}
	var named []namedHit
	var symbolic []symbolHit
	for i := range 3000 {
		n := namedHit{texts[i%5], texts[i/5%5], int64(i)}
		s := symbolHit{Value: n.Value}
		for text, to := range map[string]*record.Symbol{n.Path: &s.Path, n.Status: &s.Status} {
			sym, err := record.NewSymbol(text)
			if err != nil {
				t.Fatal(err)
			}
			*to = sym
			if n.Path == n.Status {
				s.Path, s.Status = sym, sym
			}
		}
		named, symbolic = append(named, n), append(symbolic, s)
	}
	want := hitGroups(t, named)
	for range 2 {
		if got := hitGroups(t, symbolic); !maps.Equal(got, want) || len(want) != 25 {
			t.Errorf("symbols %v\nstrings %v", got, want)
		}
	}
}

// hitGroups is the sum of the values for each path and status.
func hitGroups[T any](t *testing.T, vs []T) map[[2]string]int64 {
	t.Helper()
	f, err := readers.NewFeed[T](nil, readers.FeedConfig{LaneSlots: 64})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: f.Schema(), Keys: []string{"path", "status"}, Aggregates: []plan.Aggregate{
		{Name: "sum", Func: plan.Sum, Column: "value"},
	}}
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{f}, Partitions: 2, Cores: 1})
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(vs); i += 100 {
		if _, err := lane.SendAll(t.Context(), vs[i:i+100]); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	groups := map[[2]string]int64{}
	for b := range s.Batches(100) {
		for i := range b.Len() {
			groups[[2]string{string(b.Column(0).View(i)), string(b.Column(1).View(i))}] = b.Column(2).Int64s[i]
		}
	}
	return groups
}

// namedHit has two texts, and symbolHit the same as symbols.
type namedHit struct {
	Path, Status string
	Value        int64
}

type symbolHit struct {
	Path, Status record.Symbol
	Value        int64
}

// BenchmarkTexts is what a record with two texts takes, and what it takes of the engine, sent one
// by one and in batches of 256, as strings and as symbols.
func BenchmarkTexts(b *testing.B) {
	paths := []string{"/", "/index.html", "/api/v1/orders", "/api/v1/orders/items", "/static/logo.png", "/login"}
	statuses := []string{"200", "304", "404", "internal server error"}
	var named [256]namedHit
	var symbolic [256]symbolHit
	for i := range named {
		named[i] = namedHit{paths[i%len(paths)], statuses[i/7%len(statuses)], int64(i)}
		for text, to := range map[string]*record.Symbol{
			named[i].Path: &symbolic[i].Path, named[i].Status: &symbolic[i].Status,
		} {
			var err error
			if *to, err = record.NewSymbol(text); err != nil {
				b.Fatal(err)
			}
		}
		symbolic[i].Value = int64(i)
	}
	b.Run("strings", func(b *testing.B) { benchmarkTexts(b, named[:]) })
	b.Run("symbols", func(b *testing.B) { benchmarkTexts(b, symbolic[:]) })
}

func benchmarkTexts[T any](b *testing.B, vs []T) {
	ctx := context.Background()
	for _, batches := range []bool{false, true} {
		b.Run(fmt.Sprintf("batches=%v", batches), func(b *testing.B) {
			f, err := readers.NewFeed[T](nil, readers.FeedConfig{})
			if err != nil {
				b.Fatal(err)
			}
			p := &plan.Plan{Source: f.Schema(), Keys: []string{"path", "status"}, Aggregates: []plan.Aggregate{
				{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "value"},
			}}
			e, err := engine.Start(ctx, engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			lane, err := f.Lane()
			if err != nil {
				b.Fatal(err)
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			m := sendMeter{e: e, pending: func() int { return int(f.Stats().Pending) }}
			for b.Loop() {
				m.burst(b, func() (err error) {
					for range burstRecords / len(vs) {
						if batches {
							_, err = lane.SendAll(ctx, vs)
							continue
						}
						for i := range vs {
							err = lane.Send(ctx, vs[i])
						}
					}
					return err
				})
			}
			m.report(b)
		})
	}
}

// A wideHit has texts that a plan over its path and status does not read.
type wideHit struct {
	Path, Status                 string
	Value                        int64
	Host, Agent, Referer, Region string
	Account, Session             string
}

// BenchmarkUnread is what a record costs with and without texts that no plan reads.
func BenchmarkUnread(b *testing.B) {
	var narrow [256]namedHit
	var wide [256]wideHit
	for i := range narrow {
		text := fmt.Sprint("a text of a request ", i)
		narrow[i] = namedHit{"/api/v1/orders", []string{"200", "404"}[i%2], int64(i)}
		wide[i] = wideHit{narrow[i].Path, narrow[i].Status, int64(i), text, text, text, text, text, text}
	}
	b.Run("without", func(b *testing.B) { benchmarkTexts(b, narrow[:]) })
	b.Run("with", func(b *testing.B) { benchmarkTexts(b, wide[:]) })
}
