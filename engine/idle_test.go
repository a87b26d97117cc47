package engine_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: a reader that is idle does not hold windows back; when it comes back the watermark does not go back, what it brings for windows that have closed without it is counted as late by their owner, and counts in those
// that are open; what has closed does not change. Method: two feeds, one of which says nothing for a while, by record, for each exchange; tumbling and hopping windows, of which some are closed and some are not.
func TestRevived(t *testing.T) {
	type event struct {
		Key int64
		At  time.Time
	}
	for _, w := range []plan.Windows{
		{Kind: plan.Tumbling, Size: 10 * time.Second},
		{Kind: plan.Hopping, Size: 40 * time.Second, Slide: 10 * time.Second},
	} {
		for x := plan.ExchangeAuto; x <= plan.ExchangeRoute; x++ {
			what := fmt.Sprintf("%v, %v", w, x)
			busy, err := readers.NewFeed[event](nil, readers.FeedConfig{})
			if err != nil {
				t.Fatal(err)
			}
			idle, err := readers.NewFeed[event](busy.Schema(), readers.FeedConfig{})
			if err != nil {
				t.Fatal(err)
			}
			p := &plan.Plan{
				Source: busy.Schema(), Keys: []string{"key"},
				Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
				Window:     &plan.Window{Column: "at", Windows: w, Idle: time.Millisecond, Retain: 4},
			}
			e := start(t, engine.Config{
				Plan: p, Readers: []record.Reader{busy, idle}, Partitions: 2, Cores: 1,
				NoPin: true, Exchange: x, EpochInterval: -1,
			})
			n, _ := result.ColumnOf[int64](p, "n")
			end, _ := result.ColumnOf[int64](p, plan.WindowEnd)
			var closed time.Time
			look := func() (counts map[int64]int64, c []result.Counters) {
				t.Helper()
				if err := e.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := e.Snapshot()
				defer s.Close()
				if at, ok := s.Closed(); ok {
					if at.Before(closed) {
						t.Fatalf("%s: windows up to %v were closed, now up to %v", what, closed, at)
					}
					closed = at
				}
				counts = map[int64]int64{}
				for row := range s.All() {
					counts[end.Of(row)/int64(time.Second)] += n.Of(row)
				}
				return counts, s.Counters()
			}
			sender := func(f *readers.Feed[event]) func(many int, at int64) {
				a, err := f.Appender()
				if err != nil {
					t.Fatal(err)
				}
				return func(many int, at int64) {
					for range many {
						if err := a.Send(t.Context(), event{7, time.Unix(at, 0)}); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			send, revive := sender(busy), sender(idle)
			// until has windows close up to a time: by the busy reader, which would be idle too if it stopped.
			until := func(at int64) {
				for !closed.Equal(time.Unix(at, 0)) {
					send(1, at)
					look()
				}
			}
			began := time.Now()
			revive(1, 5)
			send(3, 975)
			look()
			// it may have become idle before the look else
			if time.Since(began) < p.Window.Idle && !closed.Before(time.Unix(6, 0)) {
				t.Fatalf("%s: windows up to %v are closed, the second reader is at 5 s", what, closed)
			}
			until(1000)
			before, c := look()
			if c[1].Late != 0 || c[1].Counted != 1 {
				t.Fatalf("%s: %+v", what, c[1])
			}
			// Its own watermark is at 5 s, so its router takes all of these.
			revive(1000, 7)
			revive(100, 985)
			for c[1].In < 1101 {
				_, c = look()
			}
			after, c := look()
			late, open := uint64(1100), int64(0)
			if w.Kind == plan.Hopping { // 985 is in the windows that end at 990, 1000, 1010 and 1020
				late, open = 1000, 100
			}
			if c[1].Late != late || c[1].Counted != 1101-late || c[0].Late != 0 {
				t.Errorf("%s: %d late, %d counted, expected %d and %d", what, c[1].Late, c[1].Counted, late, 1101-late)
			}
			for at := int64(970); at <= 1000; at += 10 {
				if after[at] != before[at] {
					t.Errorf("%s: the window that ends at %d s has changed from %d to %d", what, at, before[at],
						after[at])
				}
			}
			for at := int64(1010); at <= 1020 && open > 0; at += 10 {
				if more := after[at] - before[at]; more != open {
					t.Errorf("%s: the window that ends at %d s has %d more, expected %d", what, at, more, open)
				}
			}
			revive(1, 1500)
			until(1500)
			if _, c = look(); c[0].In+c[1].In != c[0].Counted+c[0].Late+c[1].Counted+c[1].Late {
				t.Errorf("%s: the counters do not add up: %+v", what, c)
			}
			c[0].Add(c[1])
			if s := e.Stats().Counters(); s.Late != c[0].Late || s.Counted != c[0].Counted || s.In != c[0].In {
				t.Errorf("%s: Stats says %+v, the snapshot %+v", what, s, c[0])
			}
			e.Close()
		}
	}
}

// Goal: where readers become idle epochs are raised although nothing comes, or windows that wait for an idle one alone would not close before something does. Method: a feed that nobody sends to.
func TestEpochsWhileIdle(t *testing.T) {
	type event struct {
		Key int64
		At  time.Time
	}
	f, err := readers.NewFeed[event](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{
		Source: f.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		Window: &plan.Window{
			Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Second},
			Idle: time.Minute,
		},
	}
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{f}, Cores: 1, NoPin: true,
		EpochInterval: time.Millisecond,
	})
	for began := time.Now(); e.Stats().Epochs.Raised < 3; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%+v", e.Stats().Epochs)
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// failing is a reader that fails when it is told to.
type failing struct {
	record.Reader
	fails *atomic.Bool
}

func (f failing) Poll(b *record.Batch) error {
	if f.fails.Load() {
		return errors.New("the source is gone")
	}
	return f.Reader.(record.Poller).Poll(b)
}

// Goal: a reader that was removed, or has failed where readers may be idle, does not hold windows back any more; one that has failed elsewhere does, and nothing closes the last windows but their time. Method: two feeds, of
// which one has brought an early record; epochs by Sync.
func TestWindowsGoOnWithoutReader(t *testing.T) {
	type event struct {
		Key int64
		At  time.Time
	}
	for _, c := range []struct {
		what   string
		idle   time.Duration
		fails  bool
		closes bool
	}{{"removed", 0, false, true}, {"failed, idle readers", time.Hour, true, true}, {"failed", 0, true, false}} {
		busy, err := readers.NewFeed[event](nil, readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		other, err := readers.NewFeed[event](busy.Schema(), readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := &plan.Plan{
			Source: busy.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
			Window: &plan.Window{
				Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: 10 * time.Second},
				Idle: c.idle,
			},
		}
		var fails atomic.Bool
		e := start(t, engine.Config{
			Plan: p, Readers: []record.Reader{busy, failing{other, &fails}}, Partitions: 2,
			Cores: 1, NoPin: true, EpochInterval: -1,
		})
		send := func(f *readers.Feed[event], at ...int64) {
			t.Helper()
			l, err := f.Lane()
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for _, s := range at {
				if err := l.Send(t.Context(), event{1, time.Unix(s, 0)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		closed := func() int64 {
			t.Helper()
			s := e.Snapshot()
			defer s.Close()
			at, _ := s.Closed()
			return at.Unix()
		}
		send(other, 1)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for e.Stats().Readers[1].Counters.In == 0 { // Poll of another reader says nothing of epochs
			time.Sleep(time.Millisecond)
		}
		send(busy, 101)
		if err := e.Sync(t.Context()); err != nil || closed() > 0 {
			t.Fatalf("%s: windows are closed up to %d before; %v", c.what, closed(), err)
		}
		if c.fails {
			fails.Store(true)
			for e.Stats().Readers[1].State != engine.Failed {
				time.Sleep(time.Millisecond)
			}
		} else if err := e.RemoveReader(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 3 || c.closes && closed() < 100 && n < 1000; n++ { // its end may be after some
			if err := e.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if at := closed(); (at == 100) != c.closes {
			t.Errorf("%s: windows are closed up to %d after that", c.what, at)
		}
		busy.End()
		if err := e.Wait(); (err != nil) != c.fails {
			t.Error(err)
		}
		if at := closed(); at > 100 {
			t.Errorf("%s: windows are closed up to %d at the end", c.what, at)
		}
	}
}
