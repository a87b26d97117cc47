package main

import (
	"context"
	"runtime"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// lend reads the batches as they are, without end.
func lend(in input) (record.Reader, error) {
	return readers.NewMemory(readers.GeneratorSchema, in.batches, 0)
}

// encode reads the events without end, and appends them to the engine's batches one by one.
func encode(in input) (record.Reader, error) {
	enc, err := record.EncoderOf[event](readers.GeneratorSchema)
	return &encoder{enc: enc, events: in.events}, err
}

type encoder struct {
	enc    *record.Encoder[event]
	events []event
	next   int
}

func (r *encoder) Poll(b *record.Batch) error {
	for {
		if ok, err := r.enc.Append(b, &r.events[r.next]); !ok || err != nil {
			return err
		}
		r.next++
		if r.next == len(r.events) {
			r.next = 0
		}
	}
}

func (r *encoder) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

func (r *encoder) Close() error { return nil }

// velo is an engine with this many readers, partitions and cores. The readers do not end: what they
// have read when the engine is shut down is checked.
func velo(in input, d time.Duration, threads int, reader func(input) (record.Reader, error)) (o outcome, err error) {
	parts := in.split(threads)
	var rs []record.Reader
	for _, part := range parts {
		r, err := reader(part)
		if err != nil {
			return o, err
		}
		rs = append(rs, r)
	}
	e, err := engine.Start(context.Background(),
		engine.Config{Plan: bench.Workload{}.Plan(), Readers: rs, Partitions: threads, Cores: threads})
	if err != nil {
		return o, err
	}
	defer e.Close()
	for i := 0; i < threads; { // wait for the pass that makes the groups
		if e.Stats().Readers[i].In >= uint64(len(parts[i].events)) {
			i++
			continue
		}
		<-time.After(time.Millisecond)
	}
	bench.Settle(e)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := bench.Measure(e, d)
	if err != nil {
		return o, err
	}
	runtime.ReadMemStats(&after)
	if err := e.Shutdown(context.Background()); err != nil {
		return o, err
	}
	o.timed, o.elapsed, o.allocs = int(f.Records), f.Elapsed, after.Mallocs-before.Mallocs
	for i, r := range e.Stats().Readers {
		o.fed = append(o.fed, stretch{parts[i].events, int(r.In)})
	}
	o.groups, err = groupsOf(e)
	return o, err
}

func groupsOf(e *engine.Engine) (map[int64]state, error) {
	snap := e.Snapshot()
	defer snap.Close()
	var columns [5]result.Column[int64]
	for i, name := range []string{"key", "count", "sum", "min", "max"} {
		var err error
		columns[i], err = result.ColumnOf[int64](e.Plan(), name)
		if err != nil {
			return nil, err
		}
	}
	groups := map[int64]state{}
	for row := range snap.All() {
		groups[columns[0].Of(row)] = state{
			Count: columns[1].Of(row), Sum: columns[2].Of(row), Min: columns[3].Of(row), Max: columns[4].Of(row),
		}
	}
	return groups, nil
}
