package core

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/ring"
)

// Goal: a window closes when the watermark, less the lateness, has come to its end, and not a nanosecond before.
func TestClosedAtTheEnd(t *testing.T) {
	const end = int64(1_000 * time.Second)
	for _, lateness := range []time.Duration{0, time.Second} {
		w := &plan.Window{
			Column: "at", Lateness: lateness,
			Windows: window.Windows{Kind: window.Tumbling, Size: 10 * time.Second},
		}
		c := planLayout(t, &plan.Plan{
			Source: timedSchema, Keys: []string{"key"}, Window: w,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}).Window
		for after, want := range map[int64]int64{
			-1: end - int64(10*time.Second), 0: end, 1: end,
			int64(10*time.Second) - 1: end, int64(10 * time.Second): end + int64(10*time.Second),
		} {
			if got := c.Closed(end + int64(lateness) + after); got != want {
				t.Errorf("lateness %v, %d ns behind the end: closed to %d, expected %d", lateness, after, got, want)
			}
		}
	}
}

// Goal: a reader is idle when its source has had nothing for Window.Idle, to the nanosecond, and only for time in which it was asked.
func TestIdleAtTheLimit(t *testing.T) {
	const idle = Nanos(time.Second)
	w := &layout.Windowing{Idle: int64(idle)}
	for _, c := range []struct {
		from, to Nanos
		arrives  bool
		want     bool
	}{
		{0, idle - 1, false, false},
		{0, idle, false, true},
		{5, idle + 4, false, false},
		{5, idle + 5, false, true},
		{5, 3 * idle, true, false},
	} {
		var x times
		x.sourceEmpty(c.from)
		x.sourceEmpty(c.to)
		if c.arrives {
			x.arrive(0, c.to)
		}
		if x.lookIdle(w); x.idle != c.want {
			t.Errorf("nothing from %d to %d, then a batch: %v: idle is %v, expected %v", c.from, c.to, c.arrives,
				x.idle, c.want)
		}
	}
	var x times
	x.sourceEmpty(0)
	x.sourceEmpty(100 * idle)
	if x.lookIdle(&layout.Windowing{}); x.idle {
		t.Error("idle without Window.Idle")
	}
}

// Goal: records that come for a window that has closed are dropped, each counted for its reader, and no others are.
func TestRecordsForClosedWindowsAreCounted(t *testing.T) {
	w := &plan.Window{Column: "at", Windows: window.Windows{Kind: window.Tumbling, Size: 10 * time.Second}}
	pl := &plan.Plan{
		Source: timedSchema, Keys: []string{"key"}, Window: w,
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
	}
	cuts := NewCuts(pl, plan.Route{}, 2, 1, 0, nil, func() {})
	_, a := ring.New[Chunk](2)
	_, b := ring.New[Chunk](2)
	p, err := NewPartition(0, pl, []*ring.Consumer[Chunk]{a, b}, []Bell{noBell{}, noBell{}}, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	const size = int64(10 * time.Second)
	p.closed = 100 * size
	for _, c := range []struct {
		reader plan.ReaderID
		begin  int64
		n      int
		late   bool
	}{{0, 99 * size, 3, true}, {1, 5 * size, 4, true}, {1, 100 * size, 5, false}, {0, 98 * size, 1, true}} {
		p.reader = c.reader
		if x := p.tableOf(window.Pane(c.begin), c.n); (x == nil) != c.late {
			t.Errorf("a pane that begins at %d sizes: late is %v, expected %v", c.begin/size, x == nil, c.late)
		}
	}
	if a, b := p.inputs[0].tooOld, p.inputs[1].tooOld; a != 4 || b != 4 || p.counts.late != 8 {
		t.Errorf("%d and %d were late, %d in total; expected 4 of each reader", a, b, p.counts.late)
	}
}
