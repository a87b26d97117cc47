package engine

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// timedReader brings a record each time that it is told to.
type timedReader struct {
	at  chan time.Time
	lag []record.Lag
}

func (r *timedReader) Read(ctx context.Context, b *record.Batch) error {
	select {
	case at, ok := <-r.at:
		if !ok {
			return io.EOF
		}
		b.SetLen(1)
		b.SetTime(0, at)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (*timedReader) Close() error { return nil }

func (r *timedReader) Lag() []record.Lag {
	if r.lag == nil {
		panic("no lag")
	}
	return r.lag
}

// Goal: Stats says how far each reader has come in event time, which of them holds windows back,
// what has closed, and what waits to be read; a Lag that panics ends nothing. Method: two readers
// that bring records on demand, with a watermark of two seconds.
func TestWatermarks(t *testing.T) {
	schema, err := record.NewSchema("ticks", record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	a := &timedReader{at: make(chan time.Time), lag: []record.Lag{{Split: "ticks/0", Records: 7}}}
	b := &timedReader{at: make(chan time.Time)}
	e, err := Start(t.Context(), Config{
		Plan: &plan.Plan{
			Source: schema, Aggregates: []plan.Aggregate{{Func: plan.Count, Name: "n"}},
			Window: &plan.Window{
				Windows: plan.Windows{Kind: plan.Tumbling, Size: 10 * time.Second}, Column: "at",
				OutOfOrder: 2 * time.Second,
			},
		},
		Partitions: 1, Cores: 1, NoPin: true, Readers: []record.Reader{a, b}, EpochInterval: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := e.Stats()
	if !s.Windowed || !s.Readers[0].Watermark.At.IsZero() || !s.Closed.IsZero() {
		t.Errorf("at the beginning: %+v, closed %v", s.Readers[0].Watermark, s.Closed)
	}
	if s.StateLimit < MinStateBytes || s.Of(0).StateLimit != s.StateLimit {
		t.Errorf("%d bytes at most", s.StateLimit)
	}
	if len(s.Readers[0].Lag) != 1 || s.Readers[0].Lag[0].Records != 7 || s.Readers[1].Lag != nil {
		t.Errorf("lag %v and %v", s.Readers[0].Lag, s.Readers[1].Lag)
	}
	begin := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	a.at <- begin.Add(30 * time.Second)
	b.at <- begin.Add(15 * time.Second)
	eventuallyHolds(t, e, func(s Stats) bool {
		holds, ok := s.HoldsWindows()
		return s.Readers[0].Watermark.At.Equal(begin.Add(28*time.Second)) &&
			s.Readers[1].Watermark.At.Equal(begin.Add(13*time.Second)) && ok && holds == 1 &&
			s.Closed.Equal(begin.Add(10*time.Second)) && s.Plans[0].Watermarks[1] == s.Readers[1].Watermark
	})
	close(b.at)
	eventuallyHolds(t, e, func(s Stats) bool { return s.Readers[1].State == Ended })
	eventuallyHolds(t, e, func(s Stats) bool { // without another record
		holds, ok := s.HoldsWindows()
		return s.Readers[1].Watermark.At.IsZero() && ok && holds == 0 && s.Closed.Equal(begin.Add(20*time.Second))
	})
	close(a.at)
	if err := e.Wait(); err == nil {
		t.Error("nobody says that Lag has panicked")
	}
	s = e.Stats()
	holds, ok := s.HoldsWindows()
	if ok || !s.Closed.IsZero() {
		t.Errorf("at the end: reader %d holds windows, closed up to %v", holds, s.Closed)
	}
}

// eventuallyHolds waits until the counters are so.
func eventuallyHolds(t *testing.T, e *Engine, so func(Stats) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(e.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s := e.Stats()
			t.Fatalf("%+v\nclosed %v", s.Readers, s.Closed)
		}
	}
}
