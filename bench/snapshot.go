package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

// A SnapshotCost says what snapshots cost the writers and their readers.
type SnapshotCost struct {
	Profile    string  `json:"profile"`
	Readers    int     `json:"readers"`
	Partitions int     `json:"partitions"`
	Cores      int     `json:"cores"`
	Interval   float64 `json:"interval_ms"`
	Achieved   float64 `json:"interval_achieved_ms"`
	Groups     int     `json:"groups"`
	// StateBytes is the size of all groups in one table: rows, index, long keys.
	StateBytes int     `json:"state_bytes"`
	Baseline   float64 `json:"baseline_records_per_second"`
	T          float64 `json:"records_per_second"`
	// Loss is the part of the throughput that is lost: the median over pairs of slices, one with
	// epochs beside one without.
	Loss      float64 `json:"loss"`
	Snapshots uint64  `json:"snapshots"`

	// GetNs is the time to take a snapshot, find one group and close it, from another core while
	// the writers run.
	GetNs        float64 `json:"get_ns"`
	AllocsPerGet float64 `json:"allocs_per_get"`
	// GetLoss is the part of the throughput that is lost to a million such reads a second.
	GetLoss float64 `json:"gets_1m_loss"`

	SyncP50 float64 `json:"sync_p50_us"` // of Syncs one after the other, under full load
	SyncP99 float64 `json:"sync_p99_us"`
}

const (
	// sliceTime is how long throughput is measured at a time. It is long compared with the 10 ms by
	// which CPU times lag.
	sliceTime = 500 * time.Millisecond

	getsPerSecond = 1_000_000
)

// Snapshots measures what it costs to publish a snapshot of a workload each interval, never
// stretched, and to read it. Slices with and without epochs alternate in one engine, so that
// changes in the speed of the machine affect both alike.
func Snapshots(w Workload, readers, partitions, cores int, interval, d time.Duration) (SnapshotCost, error) {
	c := SnapshotCost{Readers: readers, Partitions: partitions, Cores: cores, Interval: float64(interval) / 1e6}
	w.EpochInterval, w.EpochShare = -1, 1 // epochs come only when this function asks for them
	e, err := w.Start(readers, partitions, cores)
	if err != nil {
		return c, err
	}
	defer e.Close()
	Settle(e)
	ctx := context.Background()
	for range 4 { // after that all tables exist, and the routers have decided how to exchange
		<-time.After(interval)
		if err := e.Sync(ctx); err != nil {
			return c, err
		}
	}

	var losses, with, without []float64
	raised := e.Stats().Epochs.Published
	var on time.Duration
	for begin := time.Now(); len(losses) < 3 || time.Since(begin) < d; {
		base, err := slice(e, func(end time.Time) error { <-time.After(time.Until(end)); return nil })
		if err != nil {
			return c, err
		}
		f, err := slice(e, func(end time.Time) error {
			for next := time.Now(); next.Before(end); {
				if err := e.Sync(ctx); err != nil {
					return err
				}
				next = next.Add(interval)
				<-time.After(time.Until(next))
			}
			return nil
		})
		if err != nil {
			return c, err
		}
		on += f.Elapsed
		without, with = append(without, base.PerSecond()), append(with, f.PerSecond())
		losses = append(losses, 1-base.CPUNanos()/f.CPUNanos())
	}
	c.Snapshots = e.Stats().Epochs.Published - raised
	c.Achieved = float64(on) / 1e6 / float64(c.Snapshots)
	c.Baseline, c.T, c.Loss = median(without), median(with), median(losses)

	c.SyncP50, c.SyncP99, err = syncs(e, d/4)
	if err != nil {
		return c, err
	}
	keys, err := someKeys(e)
	if err != nil {
		return c, err
	}
	c.gets(e, keys, d/4)
	losses = losses[:0]
	for range 4 {
		base, err := slice(e, func(end time.Time) error { <-time.After(time.Until(end)); return nil })
		if err != nil {
			return c, err
		}
		f, err := slice(e, func(end time.Time) error {
			paced(end, func(n int) { get(e, keys[n%len(keys)]) })
			return nil
		})
		if err != nil {
			return c, err
		}
		losses = append(losses, 1-base.CPUNanos()/f.CPUNanos())
	}
	c.GetLoss = median(losses)
	if err := e.Shutdown(ctx); err != nil {
		return c, err
	}
	s := e.Snapshot()
	defer s.Close()
	c.Groups = s.Len()
	c.StateBytes = s.Bytes()
	return c, nil
}

// slice measures an engine while do runs until a time.
func slice(e *engine.Engine, do func(end time.Time) error) (Figure, error) {
	defer observe()()
	before := e.Stats()
	if err := do(time.Now().Add(sliceTime)); err != nil {
		return Figure{}, err
	}
	after := e.Stats()
	return Figure{
		after.Counters().In - before.Counters().In, after.Elapsed - before.Elapsed,
		after.CPUTime() - before.CPUTime(),
	}, nil
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// syncs measures Sync, in microseconds.
func syncs(e *engine.Engine, d time.Duration) (p50, p99 float64, err error) {
	var took []float64
	for begin := time.Now(); len(took) < 100 || time.Since(begin) < d; {
		at := time.Now()
		if err := e.Sync(context.Background()); err != nil {
			return 0, 0, err
		}
		took = append(took, float64(time.Since(at))/1e3)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// someKeys are keys of groups that exist, in a random order. They are few enough that their groups
// stay in the caches.
func someKeys(e *engine.Engine) ([]plan.Key, error) {
	const most = 1 << 10
	s := e.Snapshot()
	defer s.Close()
	text := e.Plan().Source.Field(0).Type.String() == "text"
	var keys []plan.Key
	rng := rand.New(rand.NewPCG(1, 1))
	each := max(1, s.Len()/most)
	number, err := result.ColumnOf[int64](e.Plan(), "key")
	var words result.Column[string]
	if text {
		words, err = result.ColumnOf[string](e.Plan(), "key")
	}
	if err != nil {
		return nil, err
	}
	for row := range s.All() {
		if rng.IntN(each) > 0 {
			continue
		}
		var key plan.Key
		if text {
			key, err = e.Plan().Key(words.Of(row))
		} else {
			key, err = e.Plan().Key(number.Of(row))
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("bench: no groups to get")
	}
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys, nil
}

// gets measures reading one group after the other.
func (c *SnapshotCost) gets(e *engine.Engine, keys []plan.Key, d time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, found := 0, 0
	begin := time.Now()
	for time.Since(begin) < d {
		for _, k := range keys {
			if get(e, k) {
				found++
			}
		}
		n += len(keys)
	}
	c.GetNs = float64(time.Since(begin)) / float64(n)
	runtime.ReadMemStats(&after)
	c.AllocsPerGet = float64(after.Mallocs-before.Mallocs) / float64(n)
	if found != n {
		panic(fmt.Sprintf("bench: %d of %d groups were found", found, n))
	}
}

// get takes a snapshot, looks up one group and closes the snapshot.
func get(e *engine.Engine, k plan.Key) bool {
	s := e.Snapshot()
	_, ok := s.Get(k)
	s.Close()
	return ok
}

// paced does something a million times a second until end.
func paced(end time.Time, do func(n int)) {
	const together = 100
	begin := time.Now()
	for n := 0; ; n += together {
		due := begin.Add(time.Duration(n) * time.Second / getsPerSecond)
		if due.After(end) {
			return
		}
		for time.Now().Before(due) {
			runtime.Gosched()
		}
		for i := range together {
			do(n + i)
		}
	}
}
