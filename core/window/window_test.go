package window

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// ends are the ends of all windows that have a time, by the definition of each kind.
func ends(w Windows, t int64) (all []int64) {
	size, step, offset := int64(w.Size), int64(w.step()), int64(w.Offset)
	// Windows begin at begins; those within reach of t.
	unit := step
	if w.Kind == Cumulating {
		unit = size
	}
	first := offset
	for first > t-2*size {
		first -= unit
	}
	for first < t-3*size {
		first += unit
	}
	for begin := first; begin <= t; begin += unit {
		lengths := []int64{size}
		if w.Kind == Cumulating {
			lengths = nil
			for n := step; n <= size; n += step {
				lengths = append(lengths, n)
			}
		}
		for _, n := range lengths {
			if t >= begin && t < begin+n {
				all = append(all, begin+n)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Goal: a record is in exactly the windows that the definitions say, less those that are closed, and each of them begins where it should. Method: random
// windows, times before and after 1970, and closed ends, against a list of all windows around.
func TestPanes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		unit := time.Duration(1+rng.IntN(50)) * 100 * time.Microsecond
		w := Windows{Kind: Kind(1 + rng.IntN(3)), Size: unit * time.Duration(1+rng.IntN(20))}
		switch w.Kind {
		case Hopping:
			w.Slide = min(w.Size, unit*time.Duration(1+rng.IntN(20)))
		case Cumulating:
			w.Slide = w.Size / time.Duration(1+rng.IntN(5))
			w.Size = w.Slide * (w.Size / w.Slide)
		}
		w.Offset = time.Duration(rng.Int64N(2*int64(w.Size)-1)) - w.Size + 1
		if err := w.Validate(); err != nil {
			if w.paneSize() < MinPane {
				continue // the test does not mind
			}
			t.Fatal(err)
		}
		c := NewClock(w)
		at := rng.Int64N(int64(20*w.Size)) - int64(10*w.Size)
		closed := c.EndAtMost(at + rng.Int64N(int64(4*w.Size)) - int64(2*w.Size))
		if closed > at+int64(2*w.Size) || c.NextEnd(closed) <= closed {
			t.Fatalf("%+v: EndAtMost is %d", w, closed)
		}
		var want []int64
		for _, end := range ends(w, at) {
			if end > closed {
				want = append(want, end)
			}
		}
		p, late := c.PaneOf(at, closed)
		if late != (len(want) == 0) {
			t.Fatalf("%+v at %d, closed %d: late %v, windows %v", w, at, closed, late, want)
		}
		if late {
			continue
		}
		var got []int64
		first, last := c.Ends(p)
		for end := first; end <= last; end = c.NextEnd(end) {
			got = append(got, end)
			if at < c.Begin(end) || at >= end {
				t.Fatalf("%+v at %d: the window %d to %d does not have it", w, at, c.Begin(end), end)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v at %d, closed %d: windows %v, expected %v", w, at, closed, got, want)
		}
		if begin := c.PaneBegin(p); at < begin || at >= begin+c.PaneSize() {
			t.Fatalf("%+v at %d: pane from %d", w, at, begin)
		}
	}
}

// Goal: Floors is Floor. Method: times at the bounds of panes and around, near and far.
func TestFloors(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	for range 2000 {
		c := NewClock(Windows{Kind: Tumbling, Size: time.Duration(4096 + rng.Int64N(int64(time.Hour)>>rng.IntN(28)))})
		base := rng.Int64N(MaxTime) - MaxTime/2
		var times []int64
		for range 40 {
			k := rng.Int64N(1<<rng.IntN(20) + 1)
			if at := c.floor(base+k*c.pane%(MaxTime/4), c.pane) +
				[]int64{0, 1, -1, c.pane - 1, rng.Int64N(c.pane)}[rng.IntN(5)]; at >= c.floor(base, c.pane) {
				times = append(times, at)
			}
		}
		panes := make([]uint64, len(times))
		c.Floors(panes, times, c.floor(base, c.pane))
		for i, at := range times {
			if int64(panes[i]) != c.Floor(at) {
				t.Fatalf("%d: %d, expected %d, panes of %d", at, int64(panes[i]), c.Floor(at), c.pane)
			}
		}
	}
}

// Goal: every fault of windows is named.
func TestValidate(t *testing.T) {
	for _, w := range []Windows{
		{},
		{Kind: Tumbling},
		{Kind: Tumbling, Size: -1},
		{Kind: Tumbling, Size: MaxSize + 1},
		{Kind: Tumbling, Size: time.Second, Slide: time.Minute},
		{Kind: Tumbling, Size: time.Second, Offset: time.Second},
		{Kind: Tumbling, Size: time.Microsecond},
		{Kind: Hopping, Size: time.Second},
		{Kind: Hopping, Size: time.Second, Slide: time.Minute},
		{Kind: Hopping, Size: time.Hour, Slide: 7 * time.Millisecond},
		{Kind: Cumulating, Size: time.Second, Slide: 300 * time.Millisecond},
		{Kind: Hopping, Months: 2, Slide: time.Hour},
		{Kind: Hopping, Size: 48 * time.Hour, Slide: 24 * time.Hour, Zone: time.UTC},
		{Kind: Tumbling, Months: -1},
		{Kind: Tumbling, Months: MaxMonths + 1},
		{Kind: Tumbling, Months: 1, Size: time.Hour},
		{Kind: Tumbling, Months: 1, Offset: time.Hour},
		{Kind: Tumbling, Size: time.Hour, Zone: time.UTC},
	} {
		if err := w.Validate(); err == nil {
			t.Errorf("%+v was taken", w)
		} else {
			t.Log(err)
		}
	}
}

func BenchmarkPaneOf(b *testing.B) {
	c := NewClock(Windows{Kind: Tumbling, Size: time.Second})
	var sum Pane
	for i := range b.N {
		p, _ := c.PaneOf(int64(i)*1000, -1)
		sum += p
	}
	_ = sum
}
