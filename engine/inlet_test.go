package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// pumpedCount is a counted reader that is no Poller: it has a pump.
type pumpedCount struct {
	c      *counted
	closed atomic.Bool
}

func (b *pumpedCount) Read(ctx context.Context, batch *record.Batch) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.c.Poll(batch)
}
func (b *pumpedCount) Close() error { b.closed.Store(true); return nil }

// Goal: readers join and leave while records come, and every snapshot still holds exactly what each had routed at its mark; nothing that a reader
// gave is lost when it leaves. Method: the prefix oracle, over readers of both kinds that are added and removed as fast as it goes, in all exchanges.
func TestReadersComeAndGo(t *testing.T) {
	p := countedPlan(t)
	oracle := newPrefixOracle(t, p)
	const most = 12
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
		plan.ExchangeRoute,
	} {
		for _, partitions := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%v/%d", exchange, partitions), func(t *testing.T) {
				t.Parallel()
				var stop atomic.Bool
				reader := func(id int) *counted {
					return &counted{
						reader: int64(id), groups: 64, most: 1 << 40, slow: 1 + id%3*5,
						rng: rand.New(rand.NewPCG(uint64(id), 1)), stop: &stop,
					}
				}
				e := start(t, engine.Config{
					Plan: p, Partitions: partitions, Cores: 2, Exchange: exchange, NoPin: true, BatchRows: 300,
					Readers:       []record.Reader{reader(0)},
					EpochInterval: 50 * time.Microsecond, EpochShare: 1, RingSlots: 2, FoldBytes: 32 << 10,
				})
				var looking sync.WaitGroup
				for range 2 {
					looking.Go(func() {
						for !stop.Load() {
							s := e.Snapshot()
							if err := oracle.check(s, most); err != nil {
								t.Error(err)
								stop.Store(true)
							}
							s.Close()
							time.Sleep(100 * time.Microsecond)
						}
					})
				}
				var pumped []*pumpedCount
				for id := 1; id < most && !stop.Load(); id++ {
					var r record.Reader = reader(id)
					if id%2 == 0 {
						b := &pumpedCount{c: reader(id)}
						pumped = append(pumped, b)
						r = b
					}
					got, err := e.AddReader(t.Context(), r)
					if err != nil || got != id {
						t.Fatalf("reader %d: added as %d: %v", id, got, err)
					}
					if err := e.Sync(t.Context()); err != nil {
						t.Fatal(err)
					}
					if id%4 == 3 { // two stay, two go, of each kind one
						for _, leaves := range []int{id - 1, id} {
							if err := e.RemoveReader(t.Context(), leaves); err != nil {
								t.Fatal(err)
							}
							if st := e.Stats().Readers[leaves]; st.State != engine.Stopped {
								t.Errorf("reader %d is %v after it was removed", leaves, st.State)
							}
						}
					}
				}
				stop.Store(true)
				looking.Wait()
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				s := e.Snapshot()
				defer s.Close()
				if err := oracle.check(s, most); err != nil {
					t.Error(err)
				}
				st := e.Stats()
				for id, r := range st.Readers {
					if r.In != s.Positions()[id] {
						t.Errorf("reader %d gave %d records, the last snapshot has %d", id, r.In, s.Positions()[id])
					}
				}
				if len(st.Readers) != most || len(st.Rings) != most*partitions {
					t.Errorf("statistics of %d readers and %d rings", len(st.Readers), len(st.Rings))
				}
				for _, b := range pumped {
					if !b.closed.Load() {
						t.Error("a reader was not closed")
					}
				}
			})
		}
	}
}

// Goal: what is sent to a feed is in a snapshot after Sync from the moment on that AddReader has returned.
func TestAddFeed(t *testing.T) {
	type hit struct{ Key int64 }
	schema, err := record.SchemaOf[hit]("hits")
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{
		Source: schema, Keys: []string{schema.Field(0).Name},
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
	}
	n, err := result.ColumnOf[int64](p, "n")
	if err != nil {
		t.Fatal(err)
	}
	feed := func() *readers.Feed[hit] {
		f, err := readers.NewFeed[hit](schema, readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := feed()
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{first}, Partitions: 3, Cores: 2, EpochInterval: -1})
	for i := range int64(40) {
		f := feed()
		id, err := e.AddReader(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		lane, err := f.Lane()
		if err != nil {
			t.Fatal(err)
		}
		for range i {
			if err := lane.Send(t.Context(), hit{i}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		k, err := p.Key(i)
		if err != nil {
			t.Fatal(err)
		}
		if row, ok := s.Get(k); i > 0 && (!ok || n.Of(row) != i) {
			t.Errorf("of %d records some are not in the snapshot", i)
		}
		s.Close()
		lane.Close()
		if err := e.RemoveReader(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(e.Stats().Agents); got > 3+2+1 {
		t.Errorf("%d agents for readers that have all ended", got)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddReader(t.Context(), feed()); !errors.Is(err, engine.ErrEnded) {
		t.Errorf("added after the end: %v", err)
	}
	if err := e.RemoveReader(t.Context(), 41); err == nil {
		t.Error("a reader was removed that never was")
	}
}

// Goal: AddReader while the engine is closed at any moment returns, and every reader is either refused or closed.
func TestAddReaderWhileClosing(t *testing.T) {
	p := countedPlan(t)
	for i := range 60 {
		var stop atomic.Bool
		e := start(t, engine.Config{
			Plan: p, Partitions: 2, Cores: 1 + i%2, NoPin: true,
			Readers: []record.Reader{&counted{
				groups: 8, most: 1 << 40, slow: 1, rng: rand.New(rand.NewPCG(1, 1)),
				stop: &stop,
			}},
		})
		added := make(chan struct{})
		go func() {
			defer close(added)
			for id := 1; ; id++ {
				b := &pumpedCount{c: &counted{
					reader: int64(id), groups: 8, most: 1000, slow: 1,
					rng: rand.New(rand.NewPCG(1, 1)), stop: &stop,
				}}
				if _, err := e.AddReader(context.Background(), b); err != nil {
					if !errors.Is(err, engine.ErrEnded) || b.closed.Load() {
						t.Errorf("refused with %v, closed: %v", err, b.closed.Load())
					}
					return
				}
				defer func() {
					_ = e.Wait()
					if !b.closed.Load() {
						t.Errorf("reader %d was taken and not closed", id)
					}
				}()
			}
		}()
		time.Sleep(time.Duration(i) * 50 * time.Microsecond)
		switch i % 3 {
		case 0:
			e.Close()
		case 1:
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		default:
			stop.Store(true) // all readers end by themselves
		}
		<-added
		if err := e.Wait(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
	}
}

// Goal: the limits of AddReader say what they are, and a nil reader is refused.
func TestAddReaderLimits(t *testing.T) {
	p := countedPlan(t)
	var stop atomic.Bool
	e := start(t, engine.Config{
		// 1 GiB of rings for each reader, if it were touched
		Plan: p, Partitions: 64, Cores: 1, RingSlots: 1 << 8, NoPin: true,
		Readers: []record.Reader{&counted{
			groups: 8, most: 1 << 40, slow: 1, rng: rand.New(rand.NewPCG(1, 1)),
			stop: &stop,
		}},
	})
	defer stop.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.AddReader(ctx, &ended{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
	if _, err := e.AddReader(t.Context(), nil); err == nil {
		t.Error("nil was taken")
	}
	for range 3 {
		if _, err := e.AddReader(t.Context(), &ended{never: &stop}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.AddReader(t.Context(), &ended{}); err == nil {
		t.Error("5 GiB of rings were taken")
	} else {
		t.Log(err)
	}
	// Those that have ended do not count.
	for id := 1; id <= 3; id++ {
		if err := e.RemoveReader(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddReader(t.Context(), &ended{}); err != nil {
		t.Error(err)
	}
}

// ended is a reader that has nothing, and has ended if it has no never.
type ended struct{ never *atomic.Bool }

func (r *ended) Poll(*record.Batch) error {
	if r.never == nil || r.never.Load() {
		return io.EOF
	}
	return nil
}
func (r *ended) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }
func (r *ended) Close() error                                  { return nil }
