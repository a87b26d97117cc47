package main

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/velo-engine/velo/internal/invariants"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *market {
	t.Helper()
	m, err := newMarket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.eng.Close() })
	return m
}

// path makes an order path that accepts a tenth of the volume.
func path(t *testing.T, m *market, symbol string) *orderPath {
	t.Helper()
	p, err := m.orderPath(symbol, 10)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Goal: an order is measured by the volume of its symbol and no other. Method: goroutines that send a known volume, Sync, then orders on both sides of
// the limit.
func TestOrders(t *testing.T) {
	m := start(t)
	nvda, none := path(t, m, "NVDA"), path(t, m, "NONE")
	if ok, volume := nvda.allow(1); ok || volume != 0 {
		t.Errorf("before the first trade: %v, volume %d", ok, volume)
	}
	const traders, trades, size = 4, 5000, 10
	var all sync.WaitGroup
	for range traders {
		all.Go(func() {
			lane, err := m.feed.Lane()
			if err != nil {
				t.Error(err)
				return
			}
			defer lane.Close()
			for range trades {
				for _, symbol := range []string{"AAPL", "NVDA"} {
					if err := lane.Send(t.Context(), trade{symbol, size}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var last int64
	for range 100 { // beside them
		_, volume := nvda.allow(1)
		if volume < last || volume%size != 0 {
			t.Errorf("volume %d after %d", volume, last)
		}
		last = volume
	}
	all.Wait()
	if err := m.eng.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	const total = traders * trades * size
	for _, c := range []struct {
		path   *orderPath
		size   int64
		ok     bool
		volume int64
	}{
		{nvda, total / 10, true, total},
		{nvda, total/10 + 1, false, total},
		{none, 1, false, 0},
	} {
		if ok, volume := c.path.allow(c.size); ok != c.ok || volume != c.volume {
			t.Errorf("order of %d: %v, volume %d; expected %v, %d", c.size, ok, volume, c.ok, c.volume)
		}
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
}

// Goal: the order path allocates nothing, while trades come.
func TestOrderAllocations(t *testing.T) {
	if invariants.Enabled {
		t.Skip("snapshots are watched")
	}
	m := start(t)
	lane, err := m.feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	nvda := path(t, m, "NVDA")
	if n := testing.AllocsPerRun(1000, func() {
		if err := lane.Send(t.Context(), trade{"NVDA", 100}); err != nil {
			t.Fatal(err)
		}
		nvda.allow(100)
	}); n != 0 {
		t.Errorf("%v allocations for a trade and an order", n)
	}
	lane.Close()
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if _, volume := nvda.allow(1); volume != 1001*100 {
		t.Errorf("volume %d, expected %d", volume, 1001*100) // AllocsPerRun runs once more to warm up
	}
}

// Goal: the program trades until it is told to stop, and ends without an error.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, 2, time.Millisecond, w)
		w.Close()
		ended <- err
	}()
	var text strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(text.String(), "accepted true") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("%v after:\n%s", err, text.String())
		}
		text.Write(buf[:n])
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// BenchmarkOrder is what the order path costs.
func BenchmarkOrder(b *testing.B) {
	m, err := newMarket()
	if err != nil {
		b.Fatal(err)
	}
	defer m.eng.Close()
	p, err := m.orderPath("NVDA", 10)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.allow(1)
	}
}
