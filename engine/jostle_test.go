package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// few is a reader of some ticks, which may come one by one.
type few struct {
	left  int
	slow  bool
	given *atomic.Uint64 // Statistic: of all such readers
}

func (r *few) Read(ctx context.Context, b *record.Batch) error {
	if r.slow {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Microsecond):
		}
	}
	for n := 0; r.left > 0 && (!r.slow || n < 3) && b.Add(0); n++ {
		b.SetInt64(0, int64(r.left%10))
		b.SetInt64(1, int64(r.left))
		b.SetInt64(2, int64(r.left)*int64(time.Second))
		r.left--
		r.given.Add(1)
	}
	if r.left == 0 {
		return io.EOF
	}
	return nil
}

func (r *few) Close() error { return nil }

// Goal: plans and readers that come and go at once, with contexts that end at any time, snapshots
// and a Close at any time leave an engine that has counted each record once, or that ends. Method:
// some goroutines do all that at random; VELO_SEED=n repeats one case.
func TestJostle(t *testing.T) {
	var one, seeds uint64 = 0, testgen.Seeds(16)
	if s := os.Getenv("VELO_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		one, seeds = n, 1
	}
	for seed := one; seed < one+seeds; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { jostle(t, seed) })
	}
}

func jostle(t *testing.T, seed uint64) {
	feed, compile := ticks(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	closes := rng.IntN(3) == 0
	first := compile(`SELECT key, count(*) AS n FROM ticks GROUP BY key`)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{feed}, Partitions: 1 + rng.IntN(3), Cores: 1 + rng.IntN(3), NoPin: true,
		EpochInterval: time.Duration(1+rng.IntN(5)) * 200 * time.Microsecond, StateBytes: 16 << 20, RingSlots: 2,
	})
	var given, sent atomic.Uint64
	var all sync.WaitGroup
	worker := func(id uint64, rounds int, work func(ctx context.Context, rng *rand.Rand) error) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, id))
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if rng.IntN(4) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rng.IntN(300))*time.Microsecond)
				}
				err := work(ctx, rng)
				late := ctx.Err() != nil
				cancel()
				gaveUp := late && errors.Is(err, context.DeadlineExceeded)
				if err != nil && !gaveUp && !(closes && errors.Is(err, engine.ErrEnded)) {
					t.Errorf("worker %d: %v", id, err)
					return
				}
			}
		})
	}
	texts := []string{
		`SELECT count(*) AS n FROM ticks WHERE value > 5`,
		`SELECT key, value FROM ticks WHERE value > 0`,
		`SELECT key, max(value) AS m FROM ticks GROUP BY key EMIT CHANGES`,
		`SELECT window_end, count(*) AS n FROM ticks GROUP BY tumble(at, INTERVAL '10 s')`,
		`SELECT key, median(value) AS m FROM ticks GROUP BY key`,
	}
	for id := range uint64(3) {
		worker(10+id, 12, func(ctx context.Context, rng *rand.Rand) error {
			i := rng.IntN(len(texts))
			c := engine.PlanConfig{Plan: compile(texts[i])}
			if i > 0 && i < 4 {
				c.Writer = &kept{}
			}
			_, err := e.AddPlan(ctx, c)
			if err != nil && !errors.Is(err, engine.ErrAdding) {
				return err
			}
			time.Sleep(time.Duration(rng.IntN(500)) * time.Microsecond)
			gone := e.RemovePlan(ctx, c.Plan)
			for gone != nil && !errors.Is(gone, engine.ErrRemoving) && !errors.Is(gone, engine.ErrEnded) {
				gone = e.RemovePlan(t.Context(), c.Plan) // it was not there yet, or the context was done
				if t.Context().Err() != nil {
					return gone
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
	}
	worker(20, 15, func(ctx context.Context, rng *rand.Rand) error {
		_, err := e.AddReader(ctx, &few{left: 1 + rng.IntN(3000), slow: rng.IntN(3) == 0, given: &given})
		return err
	})
	worker(30, 40, func(ctx context.Context, rng *rand.Rand) error {
		s := e.Snapshot()
		for _, p := range e.Plans() {
			if s.Has(p) {
				for range s.Of(p).All() {
				}
			}
		}
		s.Close()
		_ = e.Stats().String()
		return e.Sync(ctx)
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() {
		for i := range 5000 {
			if lane.Send(t.Context(), tick{int64(i % 10), int64(i), time.Unix(int64(i), 0)}) != nil {
				return
			}
			sent.Add(1)
		}
	})
	if closes {
		time.Sleep(time.Duration(rng.IntN(20_000)) * time.Microsecond)
		_ = e.Close()
		all.Wait()
		return
	}
	all.Wait()
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if n := sumOfN(t, s, first); uint64(n) != given.Load()+sent.Load() {
		t.Errorf("%d records were counted, %d came from readers and %d were sent", n, given.Load(), sent.Load())
	}
}
