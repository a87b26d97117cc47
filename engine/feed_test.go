package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// hit is a record that a service pushes.
type hit struct {
	Key   int64
	Value int64
	Price float64
	Good  bool
}

func hitFeed(t testing.TB, cfg readers.FeedConfig) (*readers.Feed[hit], *plan.Plan) {
	f, err := readers.NewFeed[hit](nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f, &plan.Plan{Source: f.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "value"},
	}}
}

// Goal: a goroutine reads what it has written: after Sync a snapshot has everything it sent before, in every shape. Method: goroutines that send
// into groups of their own and sync now and then, through lanes and appenders, into one or two feeds.
func TestReadYourWrites(t *testing.T) {
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
		plan.ExchangeRoute,
	} {
		for feeds := 1; feeds <= 2; feeds++ {
			var fs []*readers.Feed[hit]
			var apps []*readers.Appender[hit]
			var pl *plan.Plan
			cfg := engine.Config{Partitions: 3, Cores: feeds, Exchange: exchange}
			for range feeds {
				f, p := hitFeed(t, readers.FeedConfig{LaneSlots: 64})
				app, err := f.Appender()
				if err != nil {
					t.Fatal(err)
				}
				fs, apps, pl = append(fs, f), append(apps, app), p
				cfg.Readers = append(cfg.Readers, f)
			}
			for i := range fs { // one schema for all
				var err error
				if fs[i], err = readers.NewFeed[hit](pl.Source, readers.FeedConfig{LaneSlots: 64}); err != nil {
					t.Fatal(err)
				}
				if apps[i], err = fs[i].Appender(); err != nil {
					t.Fatal(err)
				}
				cfg.Readers[i] = fs[i]
			}
			cfg.Plan = pl
			n, err := result.ColumnOf[int64](pl, "n")
			if err != nil {
				t.Fatal(err)
			}
			e := start(t, cfg)
			var all sync.WaitGroup
			var total atomic.Int64
			for g := range int64(4) {
				all.Go(func() {
					key, err := pl.Key(g)
					if err != nil {
						t.Error(err)
						return
					}
					lane, err := fs[g%int64(feeds)].Lane()
					if err != nil {
						t.Error(err)
						return
					}
					defer lane.Close()
					sent := int64(0)
					for round := range 30 {
						for range 1 + (int(g)+round*7)%300 {
							send := lane.Send
							if sent%3 == 0 {
								send = apps[int(sent)%feeds].Send
							}
							if err := send(t.Context(), hit{Key: g, Value: sent}); err != nil {
								t.Error(err)
								return
							}
							sent++
						}
						if err := e.Sync(t.Context()); err != nil {
							t.Error(err)
							return
						}
						s := e.Snapshot()
						row, ok := s.Get(key)
						if !ok || n.Of(row) != sent {
							t.Errorf("%v, %d feeds: goroutine %d had sent %d, the snapshot has %v", exchange, feeds, g,
								sent, ok)
						}
						s.Close()
					}
					total.Add(sent)
				})
			}
			all.Wait()
			for i := range fs {
				apps[i].Close()
				fs[i].End()
			}
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			if in := e.Stats().Counters().Counted; in != uint64(total.Load()) {
				t.Errorf("%d records counted, %d sent", in, total.Load())
			}
		}
	}
}

// Goal: a Send that waits ends when the engine is closed.
func TestFeedClosed(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{LaneSlots: 2})
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1})
	if err := e.Pause(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(t.Context()); err != nil { // a paused feed answers
		t.Fatal(err)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for {
			if err := lane.Send(context.Background(), hit{}); err != nil {
				done <- err
				return
			}
		}
	}()
	eventually(t, "a Send that waits", func() bool { return f.Stats().Waits > 0 })
	e.Close()
	if err := <-done; !errors.Is(err, readers.ErrFeedEnded) {
		t.Errorf("%v, expected ErrFeedEnded", err)
	}
}

// BenchmarkFeed is what a Send into a running engine costs the sender.
func BenchmarkFeed(b *testing.B) {
	for _, keys := range []int64{1, 1000} {
		b.Run(fmt.Sprintf("groups=%d", keys), func(b *testing.B) {
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
			ctx := context.Background()
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before, _ := affinity.ThreadCPUTime()
			for i := int64(0); b.Loop(); i++ {
				if err := lane.Send(ctx, hit{Key: i % keys, Value: i}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if after, ok := affinity.ThreadCPUTime(); ok {
				b.ReportMetric(float64(after-before)/float64(b.N), "cpu-ns/op")
			}
			if err := e.Sync(ctx); err != nil {
				b.Fatal(err)
			}
			if n := e.Stats().Counters().In; n < uint64(b.N) {
				b.Fatalf("%d of %d records", n, b.N)
			}
			b.ReportMetric(float64(f.Stats().Waits)/float64(b.N), "waits/op")
		})
	}
}

// BenchmarkAppender is what a Send through an Appender costs goroutines that send at the same time,
// elapsed for each record of one of them.
func BenchmarkAppender(b *testing.B) {
	for _, senders := range []int{1, 8} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			f, p := hitFeed(b, readers.FeedConfig{})
			e, err := engine.Start(context.Background(), engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			a, err := f.Appender()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for range senders {
				all.Go(func() {
					for i := range int64(b.N) / int64(senders) {
						if err := a.Send(context.Background(), hit{Key: i % 1000, Value: i}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
