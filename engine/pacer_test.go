package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
)

const (
	pacedLeast = 50 * time.Microsecond
	pacedMost  = 250 * time.Microsecond
)

// Goal: the choice catches the waits that it can catch and does not stay awake for those that it
// cannot. Method: waits of one length, or with a mean, on a simulated clock.
func TestPacerChooses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name string
		wait func() time.Duration
		want time.Duration
	}{
		{"full load", func() time.Duration { return 3 * time.Microsecond }, pacedLeast},
		{"at the least", func() time.Duration { return pacedLeast }, pacedLeast},
		{"above it", func() time.Duration { return pacedLeast + 1 }, 2 * pacedLeast},
		{"150 us", func() time.Duration { return 150 * time.Microsecond }, 4 * pacedLeast},
		{"too long", func() time.Duration { return 300 * time.Microsecond }, pacedLeast},
		{"idle", func() time.Duration { return time.Second }, pacedLeast},
		{"at random", func() time.Duration { return time.Duration(rng.ExpFloat64() * 60e3) }, 4 * pacedLeast},
		{"half short, half long", func() time.Duration {
			return []time.Duration{60 * time.Microsecond, time.Millisecond}[rng.IntN(2)]
		}, pacedLeast},
	} {
		p := newPacer(pacedLeast, pacedMost)
		for now := core.Nanos(0); now < core.Nanos(10*time.Second); {
			w := c.wait()
			now += core.Nanos(w + time.Microsecond)
			p.waited(now, w)
		}
		if p.after != c.want || p.after > pacedMost {
			t.Errorf("%s: awake for %v, expected %v", c.name, p.after, c.want)
		}
	}
}

// Goal: a step of the load settles within 100 ms, and there is no going to and fro. Method: a
// square wave of one second each, and a load at the border between two choices.
func TestPacerSettles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	noisy := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.8 + 0.4*rng.Float64())) }
	p := newPacer(pacedLeast, pacedMost)
	var now core.Nanos
	for half := range 20 {
		wait, want := 150*time.Microsecond, 4*pacedLeast
		if half%2 == 1 {
			wait, want = 5*time.Millisecond, pacedLeast
		}
		begin, settled, before := now, now, p.changes
		for now < begin+core.Nanos(time.Second) {
			w := noisy(wait)
			now += core.Nanos(w + time.Microsecond)
			was := p.after
			if p.waited(now, w); p.after != was {
				settled = now
			}
		}
		if took := time.Duration(settled - begin); p.after != want || took > 100*time.Millisecond {
			t.Errorf("half wave %d: awake for %v after %v, expected %v within 100 ms", half, p.after, took, want)
		}
		if n := p.changes - before; n > 2 {
			t.Errorf("half wave %d: %d changes", half, n)
		}
	}
	for _, border := range []time.Duration{50, 100, 200} {
		p := newPacer(pacedLeast, pacedMost)
		for now = 0; now < core.Nanos(10*time.Second); {
			w := noisy(border * time.Microsecond * 85 / 100)
			now += core.Nanos(w)
			p.waited(now, w)
		}
		if p.changes > 4 {
			t.Errorf("waits about %d us: %d changes in 10 s", border, p.changes)
		}
	}
}
