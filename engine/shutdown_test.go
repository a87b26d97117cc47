package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Goal: what a Send has taken is in the final snapshot, and what Sync has acknowledged is in a snapshot right after it, in
// whatever way the engine or the reader is told to end meanwhile. Method: a goroutine that sends and syncs, an end at a random
// moment; the final snapshot is compared with the number of Sends that returned nil.
func TestSentIsThere(t *testing.T) {
	ends := map[string]func(e *engine.Engine, f *readers.Feed[hit]) error{
		"Shutdown":     func(e *engine.Engine, _ *readers.Feed[hit]) error { return e.Shutdown(context.Background()) },
		"RemoveReader": func(e *engine.Engine, _ *readers.Feed[hit]) error { return e.RemoveReader(context.Background(), 0) },
		"End":          func(_ *engine.Engine, f *readers.Feed[hit]) error { f.End(); return nil },
		"paused": func(e *engine.Engine, _ *readers.Feed[hit]) error {
			return errors.Join(e.Pause(context.Background(), 0), e.Shutdown(context.Background()))
		},
	}
	for name, end := range ends {
		for round := range 60 {
			feed, plan := hitFeed(t, readers.FeedConfig{LaneSlots: 16})
			other, err := readers.NewFeed[hit](plan.Source, readers.FeedConfig{})
			if err != nil {
				t.Fatal(err)
			}
			e := start(t, engine.Config{Plan: plan, Readers: []record.Reader{feed, other}, Cores: 1 + round%2})
			lane, err := feed.Lane()
			if err != nil {
				t.Fatal(err)
			}
			sent := make(chan uint64)
			go func() {
				n := uint64(0)
				defer func() { sent <- n }()
				for lane.Send(context.Background(), hit{Key: int64(n % 7), Value: 1}) == nil {
					if n++; round%3 == 0 {
						continue // nobody waits: the lane is full most of the time
					}
					if err := e.Sync(context.Background()); err != nil {
						if !errors.Is(err, engine.ErrEnded) {
							t.Errorf("%s: Sync: %v", name, err)
						}
						continue
					}
					s := e.Snapshot()
					if there := s.Positions()[0]; there < n && name != "paused" { // one that is paused is not read
						t.Errorf("%s: Sync has acknowledged %d records, the snapshot has %d", name, n, there)
					}
					s.Close()
				}
			}()
			time.Sleep(time.Duration(100+rand.IntN(1000)) * time.Microsecond)
			if err := end(e, feed); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n := <-sent
			other.End()
			if err := e.Wait(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			s := e.Snapshot()
			if there := s.Positions()[0]; there != n {
				t.Errorf("%s: %d records were sent, the final snapshot has %d", name, n, there)
			}
			s.Close()
			if err := e.Sync(context.Background()); !errors.Is(err, engine.ErrEnded) {
				t.Errorf("%s: Sync after the end: %v, expected ErrEnded", name, err)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Goal: Wait says that something is missing if an engine is closed while its writer still writes, also if all readers had
// ended.
func TestCloseWhileWriting(t *testing.T) {
	writing := make(chan struct{})
	e := start(t, engine.Config{
		Plan: sumPlan(), Readers: []record.Reader{ends(1, 3)}, Partitions: 1, NoPin: true,
		Writer: writers.Func(func(ctx context.Context, _ *record.Batch) error {
			close(writing)
			<-ctx.Done()
			return ctx.Err()
		}),
	})
	<-writing
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Wait(); !errors.Is(err, engine.ErrClosed) {
		t.Fatalf("%v, expected ErrClosed", err)
	}
}
