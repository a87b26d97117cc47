package bench

import (
	"context"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A SlowPoint is the throughput of some readers whose sources answer late.
type SlowPoint struct {
	Readers int     `json:"readers"`
	T       float64 `json:"records_per_second"`
	Speedup float64 `json:"speedup"` // compared with one reader
}

// slowReader answers with a batch after a delay, as a database or a broker does.
type slowReader struct {
	g       *readers.Generator
	latency time.Duration
}

func (r *slowReader) Read(ctx context.Context, b *record.Batch) error {
	t := time.NewTimer(r.latency)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return r.g.Poll(b)
}

func (r *slowReader) Close() error { return nil }

// SlowReaders measures 1, 2, 4, ... up to most readers side by side, for d each. Their sources take
// latency for each batch of rows rows: waiting in parallel should not add up.
func SlowReaders(most int, latency time.Duration, rows, cores int, d time.Duration, each func(SlowPoint)) error {
	w := Workload{Groups: 1000}
	var one float64
	for n := 1; n <= most; n *= 2 {
		gs, err := w.generators(n)
		if err != nil {
			return err
		}
		var rs []record.Reader
		for _, g := range gs {
			rs = append(rs, &slowReader{g, latency})
		}
		e, err := engine.Start(context.Background(), engine.Config{
			Plan: w.Plan(), Readers: rs, Partitions: 1, Cores: cores, BatchRows: rows,
		})
		if err != nil {
			return err
		}
		f, err := measureAndStop(e, d)
		if err != nil {
			return err
		}
		if n == 1 {
			one = f.PerSecond()
		}
		each(SlowPoint{n, f.PerSecond(), f.PerSecond() / one})
	}
	return nil
}
