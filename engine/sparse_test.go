package engine_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
)

// sparse is a poller of n records, each in a window of its own: one a step of event time.
type sparse struct {
	next, n int64
	step    time.Duration
}

func (s *sparse) Poll(b *record.Batch) error {
	for ; s.next < s.n && b.Add(0); s.next++ {
		b.SetInt64(0, s.next%3)
		b.SetInt64(1, s.next*int64(s.step))
	}
	if s.next == s.n {
		return io.EOF
	}
	return nil
}
func (s *sparse) Read(_ context.Context, b *record.Batch) error { return s.Poll(b) }
func (s *sparse) Close() error                                  { return nil }

// sparseRows is more windows than may be opened between two epochs, several times.
const sparseRows = 12_000

// counting counts the rows and the batches that it gets, and looks whether windows come in their order.
type counting struct {
	rows, batches int
	last          int64
	disorder      int
}

func (c *counting) Write(_ context.Context, b *record.Batch) error {
	c.batches++
	c.rows += b.Len()
	for _, start := range b.Column(0).Int64s[:b.Len()] {
		if start < c.last {
			c.disorder++
		}
		c.last = start
	}
	return nil
}
func (c *counting) Close() error { return nil }

// Goal: a replay with one record in each window runs through, in bounded memory: the reader has epochs made that close windows,
// instead of opening more and more of them. Method: far more windows than may be open, with one reader and with two that are not
// in step, with and without an epoch by time.
func TestSparseReplay(t *testing.T) {
	for name, c := range map[string]struct {
		readers  []record.Reader
		interval time.Duration
	}{
		"one reader":  {[]record.Reader{&sparse{n: sparseRows, step: time.Second}}, 0},
		"two readers": {[]record.Reader{&sparse{n: 6_000, step: time.Second}, &sparse{n: 2_000, step: 3 * time.Second}}, -1},
	} {
		p, w := timesPlan(), &counting{}
		e := start(t, engine.Config{Plan: p, Readers: c.readers, Writer: w, Partitions: 2, Cores: 1, EpochInterval: c.interval, StateBytes: 64 << 20})
		if err := e.Wait(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := e.Stats().Counters(); n.Late > 0 || n.Counted != n.In {
			t.Errorf("%s: %+v", name, n)
		}
		if want := sparseRows; name == "one reader" && w.rows != want || w.disorder > 0 {
			t.Errorf("%s: %d rows, %d of them before another", name, w.rows, w.disorder)
		}
	}
}

// waits says whether a reader waits for an epoch that snapshots do not let it have.
func waits(e *engine.Engine) bool {
	before := e.Stats()
	time.Sleep(5 * time.Millisecond)
	after := e.Stats()
	if len(after.Agents) == 0 { // the runner has told nothing yet
		return false
	}
	return after.Epochs.Withheld > 0 && after.Agents[0].Stalls[core.StallEpoch].Count > 0 &&
		before.Counters().In == after.Counters().In
}

// Goal: snapshots that hold all tables stop no plan with windows: records wait until one is closed, and Stats says why. Method:
// as many as may be held and one more, while a reader opens window after window.
func TestHeldSnapshotsOfWindows(t *testing.T) {
	e := start(t, engine.Config{Plan: timesPlan(), Readers: []record.Reader{&sparse{n: sparseRows, step: time.Second}}, Writer: &counting{}, Cores: 1, NoPin: true})
	var held []*engine.Snapshot
	for epoch := uint64(1); len(held) < engine.DefaultHeldSnapshots+1; epoch++ {
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		held = append(held, e.Snapshot())
	}
	eventually(t, "the reader waits", func() bool { return waits(e) })
	for _, s := range held {
		s.Close()
	}
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Counters(); n.Counted != sparseRows {
		t.Errorf("%+v", n)
	}
}

// Goal: an engine whose reader waits for an epoch that held snapshots do not let it have is shut down all the same.
func TestShutdownWhileHeld(t *testing.T) {
	e := start(t, engine.Config{Plan: timesPlan(), Readers: []record.Reader{&sparse{n: 1 << 33, step: time.Second}}, Writer: &counting{}, Cores: 1, NoPin: true})
	var held []*engine.Snapshot
	for len(held) < engine.DefaultHeldSnapshots+1 {
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		held = append(held, e.Snapshot())
	}
	eventually(t, "the reader waits", func() bool { return waits(e) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for _, s := range held {
		s.Close()
	}
}

// BenchmarkSparse is a replay of history with one record a minute.
func BenchmarkSparse(b *testing.B) {
	p, w := timesPlan(), &counting{}
	p.Window.OutOfOrder = 5 * time.Second
	e, err := engine.Start(b.Context(), engine.Config{Plan: p, Readers: []record.Reader{&sparse{n: int64(b.N), step: time.Minute}}, Writer: w, Cores: 1, Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mwindows/s")
	if w.rows != b.N {
		b.Fatalf("%d rows of %d", w.rows, b.N)
	}
}
