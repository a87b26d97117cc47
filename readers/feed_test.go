package readers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// sentRecord says who sent it and as which.
type sentRecord struct {
	Sender, Number int64
	Price          float64
	Symbol         string
}

func newFeed(t testing.TB, cfg readers.FeedConfig) *readers.Feed[sentRecord] {
	f, err := readers.NewFeed[sentRecord](nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newLane(t testing.TB, f *readers.Feed[sentRecord]) *readers.Lane[sentRecord] {
	l, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// drain polls until the end and calls each for every record.
func drain(t testing.TB, f *readers.Feed[sentRecord], rows int, each func(sender, number int64)) {
	b := record.NewBatch(f.Schema(), rows)
	for {
		b.Reset()
		err := f.Poll(b)
		for i := range b.Len() {
			each(b.Column(0).Int64s[i], b.Column(1).Int64s[i])
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// Goal: nothing is lost or comes twice, and each lane keeps its order, while lanes join and leave, small lanes fill, and the feed is ended beside
// Sends: exactly the records whose Send said so are read.
func TestFeed(t *testing.T) {
	for _, shared := range []bool{false, true} {
		f := newFeed(t, readers.FeedConfig{Lanes: 8, LaneSlots: 16})
		var app *readers.Appender[sentRecord]
		if shared {
			var err error
			if app, err = f.Appender(); err != nil {
				t.Fatal(err)
			}
		}
		var taken [6]int64 // records of each sender
		var senders sync.WaitGroup
		for s := range taken {
			senders.Go(func() {
				var lane *readers.Lane[sentRecord]
				for n := int64(1); ; n++ {
					v := sentRecord{Sender: int64(s), Number: n, Symbol: "velo"}
					var err error
					if shared {
						err = app.Send(t.Context(), v)
					} else {
						if n%1000 == 1 { // leave, and come again
							if lane != nil {
								lane.Close()
							}
							for lane, err = f.Lane(); errors.Is(err, readers.ErrNoLane); lane, err = f.Lane() {
								time.Sleep(10 * time.Microsecond) // the one before has not been read to its end
							}
							if err != nil {
								return
							}
						}
						err = lane.Send(t.Context(), v)
					}
					if err != nil {
						if !errors.Is(err, readers.ErrFeedEnded) {
							t.Error(err)
						}
						return
					}
					taken[s] = n
				}
			})
		}
		var got [6]int64             // how many
		last := map[[2]int64]int64{} // of each lane
		var seen [6]map[int64]bool
		for s := range seen {
			seen[s] = map[int64]bool{}
		}
		total := 0
		drain(t, f, 100, func(s, n int64) {
			lane := [2]int64{s, (n - 1) / 1000}
			if !shared && last[lane] > 0 && n != last[lane]+1 || seen[s][n] {
				t.Errorf("record %d of sender %d after %d", n, s, last[lane])
			}
			last[lane] = n
			got[s]++
			seen[s][n] = true
			if total++; total == 50_000 {
				go f.End()
			}
		})
		senders.Wait()
		if total < 50_000 || got != taken {
			t.Errorf("shared %v: %d records; read %v, sent %v", shared, total, got, taken)
		}
		if st := f.Stats(); st.Pending != 0 || st.Sent != uint64(total) || st.Shed != 0 {
			t.Errorf("%+v, expected %d sent", st, total)
		}
		if _, err := f.Lane(); !errors.Is(err, readers.ErrFeedEnded) {
			t.Errorf("a lane after the end: %v", err)
		}
	}
}

// Goal: at a cut everything whose Send had returned before has been given out. Method: senders that say how far they are; the cut is asked as the
// engine does.
func TestFeedCut(t *testing.T) {
	f := newFeed(t, readers.FeedConfig{LaneSlots: 64})
	var sent, got [4]atomic.Int64
	var senders sync.WaitGroup
	for s := range sent {
		lane := newLane(t, f)
		senders.Go(func() {
			for n := int64(1); lane.Send(t.Context(), sentRecord{Sender: int64(s), Number: n}) == nil; n++ {
				sent[s].Store(n)
			}
		})
	}
	b := record.NewBatch(f.Schema(), 50)
	poll := func() error {
		b.Reset()
		err := f.Poll(b)
		for i := range b.Len() {
			got[b.Column(0).Int64s[i]].Store(b.Column(1).Int64s[i])
		}
		return err
	}
	for epoch := uint64(1); epoch <= 500; epoch++ {
		var before [4]int64
		for s := range sent {
			before[s] = sent[s].Load()
		}
		polls := 0
		for !f.Drained(epoch) {
			if polls++; polls > 1000 {
				t.Fatalf("epoch %d: no end after %d polls", epoch, polls)
			}
			if err := poll(); err != nil {
				t.Fatal(err)
			}
		}
		for s := range sent {
			if n := got[s].Load(); n < before[s] {
				t.Fatalf("epoch %d: sender %d had sent %d, given out are %d", epoch, s, before[s], n)
			}
		}
	}
	f.End()
	for poll() == nil {
	}
	senders.Wait()
}

// Goal: a Send that waits for room ends with its context, the end of the feed or its close, and goes on when there is room.
func TestFeedFull(t *testing.T) {
	fill := func(cfg readers.FeedConfig) (*readers.Feed[sentRecord], *readers.Lane[sentRecord]) {
		cfg.LaneSlots = 4
		f := newFeed(t, cfg)
		l := newLane(t, f)
		for i := range 4 {
			if err := l.Send(t.Context(), sentRecord{Number: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if l.TrySend(sentRecord{}) {
			t.Fatal("a full lane took a record")
		}
		return f, l
	}
	for name, end := range map[string]func(f *readers.Feed[sentRecord], cancel func()){
		"context": func(_ *readers.Feed[sentRecord], cancel func()) { cancel() },
		"end":     func(f *readers.Feed[sentRecord], _ func()) { f.End() },
		"close":   func(f *readers.Feed[sentRecord], _ func()) { f.Close() },
		"room":    func(f *readers.Feed[sentRecord], _ func()) { f.Poll(record.NewBatch(f.Schema(), 2)) },
	} {
		f, l := fill(readers.FeedConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Send(ctx, sentRecord{Number: 4}) }()
		for f.Stats().Waits == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Millisecond) // it sleeps by now
		end(f, cancel)
		select {
		case err := <-done:
			want := map[string]error{
				"context": context.Canceled, "end": readers.ErrFeedEnded,
				"close": readers.ErrFeedEnded,
			}[name]
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, expected %v", name, err, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: still waiting", name)
		}
		cancel()
	}
	f, l := fill(readers.FeedConfig{Shed: true})
	for range 7 {
		if err := l.Send(t.Context(), sentRecord{}); !errors.Is(err, readers.ErrFeedFull) {
			t.Fatalf("%v, expected ErrFeedFull", err)
		}
	}
	if st := f.Stats(); st.Shed != 7 || st.Sent != 4 || st.Pending != 4 {
		t.Errorf("%+v", st)
	}
}

// Goal: a record that does not fit its column is rejected alone, and one with more text than a batch has room for is taken.
func TestFeedRejects(t *testing.T) {
	type timed struct {
		At   time.Time
		Text string
	}
	f, err := readers.NewFeed[timed](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	huge := string(make([]byte, 8<<20))
	for _, v := range []timed{
		{At: time.Unix(1, 0)},
		{At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{At: time.Unix(2, 0), Text: huge},
		{At: time.Unix(3, 0)},
	} {
		if err := l.Send(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	f.End()
	b := record.NewBatch(f.Schema(), 10)
	var at []int64
	rejects := 0
	for err := error(nil); err == nil; {
		b.Reset()
		err = f.Poll(b)
		rejects += len(b.Rejects())
		at = append(at, b.Column(0).Int64s[:b.Len()]...)
	}
	if fmt.Sprint(at) != "[1000000000 2000000000 3000000000]" || rejects != 1 {
		t.Errorf("%v, %d rejected", at, rejects)
	}
}

// Goal: joins, sends, polls, cuts, leaves and the end in any order agree with a list. Method: commands in one goroutine.
func TestFeedCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := readers.NewFeed[sentRecord](
			nil, readers.FeedConfig{Lanes: 3, LaneSlots: 1 << rapid.IntRange(0, 4).Draw(t, "slots"), Shed: true})
		if err != nil {
			t.Fatal(err)
		}
		type model struct {
			lane *readers.Lane[sentRecord]
			id   int64
			next int64
		}
		var lanes []*model
		want := map[int64][]int64{} // sent and not read, by lane
		ids, pending, shed, lost := int64(0), 0, uint64(0), 0
		ended := false
		epoch := uint64(0)
		b := record.NewBatch(f.Schema(), rapid.IntRange(1, 40).Draw(t, "rows"))
		poll := func() {
			b.Reset()
			err := f.Poll(b)
			for i := range b.Len() {
				id, n := b.Column(0).Int64s[i], b.Column(1).Int64s[i]
				if len(want[id]) == 0 || want[id][0] != n {
					t.Fatalf("record %d of lane %d, expected %v", n, id, want[id])
				}
				want[id] = want[id][1:]
				pending--
			}
			if (err != nil) != (ended && b.Len() == 0 && pending == 0) {
				t.Fatalf("%v with %d pending", err, pending)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				l, err := f.Lane()
				if err == nil {
					ids++
					lanes = append(lanes, &model{lane: l, id: ids})
				}
				if ended != errors.Is(err, readers.ErrFeedEnded) || !ended && err != nil && len(lanes)+lost < 3 {
					t.Fatalf("%v with %d lanes", err, len(lanes))
				}
			},
			"send": func(t *rapid.T) {
				if len(lanes) == 0 {
					return
				}
				m := rapid.SampledFrom(lanes).Draw(t, "lane")
				m.next++
				err := m.lane.Send(context.Background(), sentRecord{Sender: m.id, Number: m.next})
				switch {
				case err == nil && !ended:
					want[m.id] = append(want[m.id], m.next)
					pending++
				case errors.Is(err, readers.ErrFeedFull) && !ended:
					shed++
				case !errors.Is(err, readers.ErrFeedEnded) || !ended:
					t.Fatal(err)
				}
			},
			"poll": func(*rapid.T) { poll() },
			"cut": func(t *rapid.T) {
				for epoch++; !f.Drained(epoch); {
					poll()
				}
				if pending != 0 {
					t.Fatalf("%d pending behind the cut", pending)
				}
			},
			"leave": func(t *rapid.T) {
				if len(lanes) > 0 {
					i := rapid.IntRange(0, len(lanes)-1).Draw(t, "lane")
					lanes[i].lane.Close()
					lanes = append(lanes[:i], lanes[i+1:]...)
					lost++ // until it has been polled
				}
			},
			"end": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "really") == 0 {
					f.End()
					ended = true
				}
			},
			"": func(t *rapid.T) {
				if st := f.Stats(); st.Pending != uint64(pending) || st.Shed != shed {
					t.Fatalf("%+v, expected %d pending, %d shed", st, pending, shed)
				}
			},
		})
	})
}

// Goal: bad configurations are named.
func TestFeedFaults(t *testing.T) {
	for _, cfg := range []readers.FeedConfig{{Lanes: -1}, {Lanes: 1 << 20}, {LaneSlots: 3}, {LaneSlots: -2}} {
		if _, err := readers.NewFeed[sentRecord](nil, cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	if _, err := readers.NewFeed[func()](nil, readers.FeedConfig{}); err == nil {
		t.Error("a feed of functions")
	}
	other, err := record.NewSchema("other", record.Field{Name: "missing", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readers.NewFeed[sentRecord](other, readers.FeedConfig{}); err == nil {
		t.Error("a schema that the struct does not fit")
	}
}

// Goal: neither Send nor Poll allocates.
func TestFeedAllocations(t *testing.T) {
	f := newFeed(t, readers.FeedConfig{})
	l := newLane(t, f)
	app, err := f.Appender()
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(f.Schema(), 100)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		for i := range int64(20) {
			if l.Send(ctx, sentRecord{Number: i, Symbol: "velo"}) != nil ||
				app.Send(ctx, sentRecord{Number: i}) != nil {
				t.Fatal("not sent")
			}
		}
		b.Reset()
		if err := f.Poll(b); err != nil || b.Len() == 0 {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Goal: a thousand lanes take little memory before anything is sent, and a goroutine that finds no lane is told how many there are.
func TestFeedLanes(t *testing.T) {
	type wide struct {
		A, B, C, D       string
		E, F, G, H, I, J int64
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f, err := readers.NewFeed[wide](nil, readers.FeedConfig{Lanes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := f.Lane(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 64<<20 {
		t.Errorf("1000 lanes take %d MiB", n>>20)
	}
	if _, err := f.Lane(); !errors.Is(err, readers.ErrNoLane) ||
		!strings.Contains(err.Error(), "1000 (FeedConfig.Lanes") {
		t.Errorf("lane 1001: %v", err)
	}
	runtime.KeepAlive(f)
}

// Goal: two goroutines that use one lane are told, and do not wait for each other for good. Method: one sleeps because the lane is full
// when the other comes; and both send at once, when records may be lost but not without an error.
func TestLaneShared(t *testing.T) {
	if invariants.Enabled {
		t.Skip("it is a data race, and a panic with invariants")
	}
	f := newFeed(t, readers.FeedConfig{LaneSlots: 4})
	l := newLane(t, f)
	for range 4 {
		if err := l.Send(t.Context(), sentRecord{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- l.Send(ctx, sentRecord{}) }()
	for f.Stats().Waits == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := l.Send(ctx, sentRecord{}); !errors.Is(err, readers.ErrLaneShared) {
		t.Errorf("a second Send while one waits: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	if err := l.Send(ctx, sentRecord{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a Send after both: %v", err)
	}

	const each = 100_000
	f = newFeed(t, readers.FeedConfig{LaneSlots: 1 << 20})
	l = newLane(t, f)
	var shared, taken atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range each {
				switch err := l.Send(t.Context(), sentRecord{}); {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, readers.ErrLaneShared):
					shared.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	if sent := int64(f.Stats().Sent); sent < taken.Load() && shared.Load() == 0 {
		t.Errorf("%d of %d records are there, and no Send said that the lane is shared", sent, taken.Load())
	}
}

// BenchmarkFeedSend is what a Send costs the sender while another goroutine polls, beside a channel and a lane under a mutex.
func BenchmarkFeedSend(b *testing.B) {
	type four struct {
		Key, Value int64
		Price      float64
		Flag       bool
	}
	polled := func(b *testing.B, f *readers.Feed[four]) {
		batch := record.NewBatch(f.Schema(), record.DefaultRows)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				batch.Reset()
				if f.Poll(batch) != nil {
					return
				}
			}
		}()
		b.Cleanup(func() { f.End(); <-done })
	}
	feed := func(b *testing.B) *readers.Feed[four] {
		f, err := readers.NewFeed[four](nil, readers.FeedConfig{})
		if err != nil {
			b.Fatal(err)
		}
		polled(b, f)
		return f
	}
	ctx := context.Background()
	b.Run("lane", func(b *testing.B) {
		l, err := feed(b).Lane()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := l.Send(ctx, four{int64(i), 1, 2, true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, senders := range []int{1, 2, 8} {
		each := func(b *testing.B, send func(four)) {
			b.ReportAllocs()
			var all sync.WaitGroup
			for range senders {
				all.Go(func() {
					for i := range b.N / senders {
						send(four{int64(i), 1, 2, true})
					}
				})
			}
			all.Wait()
		}
		b.Run(fmt.Sprintf("appender/senders=%d", senders), func(b *testing.B) {
			app, err := feed(b).Appender()
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			each(b, func(v four) {
				if err := app.Send(ctx, v); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run(fmt.Sprintf("mutex/senders=%d", senders), func(b *testing.B) {
			l, err := feed(b).Lane()
			if err != nil {
				b.Fatal(err)
			}
			var mu sync.Mutex
			b.ResetTimer()
			each(b, func(v four) {
				mu.Lock()
				defer mu.Unlock()
				if err := l.Send(ctx, v); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run(fmt.Sprintf("channel/senders=%d", senders), func(b *testing.B) {
			c := make(chan four, readers.DefaultLaneSlots)
			done := make(chan float64)
			go func() {
				sum := 0.0
				for v := range c {
					sum += v.Price
				}
				done <- sum
			}()
			b.ResetTimer()
			each(b, func(v four) { c <- v })
			close(c)
			<-done
		})
	}
}
