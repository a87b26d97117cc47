package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: an engine whose readers have nothing sleeps: it does not wake for epochs that would show
// nothing, nor many times to look at a feed. Method: a feed and a reader that blocks, and the
// number of parks in a second after a few records. A slow machine has fewer of them.
func TestParkedEngineSleeps(t *testing.T) {
	e, lane := fedEngine(t, engine.Config{
		Readers: []record.Reader{testgen.BlockedReader{}}, Partitions: 1, Cores: 1,
		EpochInterval: 20 * time.Millisecond,
	})
	if err := e.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	parks := func() (n uint64) {
		for _, r := range e.Stats().Runners {
			n += r.Parks
		}
		return n
	}
	time.Sleep(200 * time.Millisecond) // the waits for a feed grow until then
	var fences atomic.Int64
	if invariants.Enabled {
		defer invariants.Hook("fence.All", func(any) { fences.Add(1) })()
	}
	seldom := false
	for range 30 { // a window is longer than a second on a busy host
		before := parks()
		time.Sleep(time.Second)
		seldom = parks()-before <= 40
		if seldom {
			break
		}
	}
	if !seldom {
		t.Error("an engine that has nothing to do never parked at most 40 times in a second, expected about 20")
	}
	if invariants.Enabled && fences.Load() == 0 {
		t.Error("no fence came before the last look at a feed: what is sent meanwhile may wait for 50 ms")
	}
	// What comes then is seen, although nothing but the lane wakes the engine.
	for i := range 50 {
		if err := lane.Send(context.Background(), fedRow{int64(i)}); err != nil {
			t.Fatal(err)
		}
		want := uint64(101 + i)
		eventually(t, "a record that was sent to a parked engine", func() bool {
			return e.Stats().Partitions[0].Rows == want
		})
		time.Sleep(5 * time.Millisecond)
	}
}

// Goal: an engine that nobody feeds looks rarely at a feed without counters, which announces all
// that it has, sees what comes then, and looks more often when there is a counter. Method: the number
// of parks in two seconds; a slow machine has fewer.
func TestAnnouncerSleepsLonger(t *testing.T) {
	schema, err := record.SchemaOf[fedRow]("rows")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := readers.NewFeed[fedRow](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, engine.Config{
		Plan: &plan.Plan{
			Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		},
		Readers: []record.Reader{feed}, Partitions: 1, Cores: 1,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	parks := func() uint64 { return e.Stats().Runners[0].Parks }
	expected := uint64(4)
	if !feed.AnnouncesAll() { // the race detector is on, or the system cannot fence the senders
		expected = 40
	}
	seldom := false
	for range 15 { // the waits grow in the first second, or later on a busy host
		before := parks()
		time.Sleep(2 * time.Second)
		seldom = parks()-before <= 3*expected
		if seldom {
			break
		}
	}
	if !seldom {
		t.Errorf("it never parked at most %d times in two seconds, expected %d", 3*expected, expected)
	}
	for i := range 50 {
		if err := lane.Send(t.Context(), fedRow{int64(i)}); err != nil {
			t.Fatal(err)
		}
		want := uint64(1 + i)
		eventually(t, "a record that was sent to a parked engine", func() bool {
			return e.Stats().Partitions[0].Rows == want
		})
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(time.Second)
	c, err := feed.Counter(fedRow{1000}, func(v *fedRow) *int64 { return &v.Key })
	if err != nil {
		t.Fatal(err)
	}
	before := parks()
	eventually(t, "looks at a counter", func() bool { return parks()-before > 12 })
	c.Add(7)
	eventually(t, "what a counter has", func() bool { return e.Stats().Partitions[0].Rows == 51 })
}

// A failsOnce fails once in a way that is worth another try, and then has nothing.
type failsOnce struct {
	testgen.BlockedReader
	failed bool
}

func (r *failsOnce) Read(ctx context.Context, b *record.Batch) error {
	if !r.failed {
		r.failed = true
		return record.Transient(errors.New("not now"))
	}
	return r.BlockedReader.Read(ctx, b)
}

// Goal: a reader that had a transient error, and that blocks now, lets its runner sleep. Method: a
// runner that looks again and again has no park after the error.
func TestRunnerSleepsAfterAnError(t *testing.T) {
	e, _ := fedEngine(t, engine.Config{
		Readers: []record.Reader{&failsOnce{}}, Partitions: 1, Cores: 1, RetryMin: time.Millisecond,
	})
	eventually(t, "the reader has failed", func() bool { return e.Stats().Readers[1].Retries == 1 })
	before := e.Stats().Runners[0].Parks
	eventually(t, "the runner sleeps", func() bool { return e.Stats().Runners[0].Parks > before+2 })
}
