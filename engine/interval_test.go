package engine

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: an interval grows with what the next epoch will have to copy, up to a bound.
func TestForeseen(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		share float64
		grown uint64
		want  time.Duration
	}{
		{100 * time.Millisecond, 0.03, 0, 0},
		{100 * time.Millisecond, 0.5, 1 << 20, 1024 * growthCost * 2},
		{100 * time.Millisecond, 0.03, 1 << 30, time.Second},
		{time.Hour, 0.03, 1 << 20, 1024 * growthCost * 100 / 3},
		{100 * time.Millisecond, 1, 1 << 40, 0},
	} {
		got := newInterval(c.every, c.share).after(c.grown).Round(time.Microsecond)
		if got != c.want.Round(time.Microsecond) {
			t.Errorf("each %v, share %v, %d bytes more: %v, expected %v", c.every, c.share, c.grown, got, c.want)
		}
	}
}

// Goal: an epoch that is due while there is nothing new stays due, and the first record is seen by
// it. Method: the interval is an hour, and the test says how late it is, once before the record and
// once after it.
func TestDueWhileIdle(t *testing.T) {
	type event struct{ Key, Value int64 }
	f, err := readers.NewFeed[event](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: f.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	e, err := Start(t.Context(), Config{
		Plan: p, Readers: []record.Reader{f}, Partitions: 1, Cores: 1, NoPin: true, EpochInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	late := core.Nanos(90 * time.Minute)
	e.tick(late)
	if due := time.Duration(e.interval.due.Load()); due != time.Hour {
		t.Fatalf("the next epoch is due after %v, expected %v", due, time.Hour)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	err = lane.Send(t.Context(), event{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); e.recordsIn() == 0 && time.Since(began) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	e.tick(late)
	records := uint64(0)
	for began := time.Now(); records == 0 && time.Since(began) < time.Minute; {
		s := e.Snapshot()
		records = s.Records()
		s.Close()
		time.Sleep(time.Millisecond)
	}
	if records != 1 {
		t.Fatalf("%d records are seen, expected 1", records)
	}
	if due := time.Duration(e.interval.due.Load()); due != time.Duration(late)+time.Hour {
		t.Errorf("the next epoch is due after %v, expected an hour after the last", due)
	}
}
