package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: no record of a feed is late because of the order in which its lanes are read: neither when the engine is held up while
// all lanes go on, nor under load. Method: lanes in lockstep, one record of the same time to each, in seconds of event time and
// windows shorter than what a lane holds; the engine is paused meanwhile, or not; then lanes of goroutines that wait for each
// other after each step, and an appender.
func TestLanesInStep(t *testing.T) {
	feedOf := func(lanes int) (*readers.Feed[timesRecord], *engine.Engine) {
		feed, err := readers.NewFeed[timesRecord](timesSchema, readers.FeedConfig{Lanes: lanes, LaneSlots: 1 << 12})
		if err != nil {
			t.Fatal(err)
		}
		p := &plan.Plan{
			Source: timesSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
			Window: &plan.Window{
				Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: 100 * time.Millisecond},
				OutOfOrder: 20 * time.Millisecond,
			},
		}
		return feed, start(t, engine.Config{
			Plan: p, Readers: []record.Reader{feed}, Cores: 1,
			EpochInterval: time.Millisecond,
		})
	}
	laneOf := func(feed *readers.Feed[timesRecord]) *readers.Lane[timesRecord] {
		l, err := feed.Lane()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	check := func(what string, feed *readers.Feed[timesRecord], e *engine.Engine, sent int) {
		t.Helper()
		feed.End()
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if c := e.Stats().Counters(); c.Late > 0 || c.Counted != uint64(sent) {
			t.Errorf("%s: of %d records %d are late, %d counted", what, sent, c.Late, c.Counted)
		}
	}
	ctx := context.Background()
	at := func(i int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(i) * 2 * time.Millisecond) }
	for _, lanes := range []int{1, 2, 8, 64, 500} {
		for _, paused := range []bool{true, false} {
			feed, e := feedOf(lanes)
			if paused {
				if err := e.Pause(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
			var all []*readers.Lane[timesRecord]
			for range lanes {
				all = append(all, laneOf(feed))
			}
			per := min(3000, 100_000/lanes)
			for i := range per {
				for k, l := range all {
					if err := l.Send(ctx, timesRecord{int64(k), at(i)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if paused {
				if err := e.Resume(ctx, 0); err != nil {
					t.Fatal(err)
				}
			}
			check(fmt.Sprintf("%d lanes, paused %v", lanes, paused), feed, e, lanes*per)
		}
	}

	feed, e := feedOf(8)
	const goroutines, steps = 4, 2000
	var step sync.WaitGroup
	lanes := make([]*readers.Lane[timesRecord], goroutines)
	for g := range lanes {
		lanes[g] = laneOf(feed)
	}
	for i := range steps {
		for g := range lanes {
			step.Go(func() {
				if err := lanes[g].Send(ctx, timesRecord{int64(g), at(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		step.Wait()
	}
	check("goroutines in step", feed, e, goroutines*steps)

	feed, e = feedOf(64)
	a, err := feed.Appender()
	if err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		for range goroutines {
			step.Go(func() {
				if err := a.Send(ctx, timesRecord{1, at(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		step.Wait()
	}
	check("an appender", feed, e, goroutines*steps)
}
