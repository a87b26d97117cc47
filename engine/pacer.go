package engine

import (
	"math/bits"
	"time"

	"github.com/velo-engine/velo/core"
)

const (
	// pacerEvery is how often a pacer decides. It forgets half of what it has seen each time.
	pacerEvery = 10 * time.Millisecond

	// A pacer stays awake for longer if pacerCatches of the waits end within that time, and goes
	// back if less than pacerKeeps of them do. The distance between the two keeps it from going to
	// and fro.
	pacerCatches = 0.95
	pacerKeeps   = 0.8

	// pacerLeast is how many waits, fading, it takes to decide.
	pacerLeast = 8

	// pacerSteps is the number of times to choose from: each is twice the one before.
	pacerSteps = 8
)

// A pacer chooses how long a runner without work stays awake before it parks. To be woken takes
// some 50 us, so if work comes again and again after a short wait, it pays to wait for it awake; if
// not, that would be CPU time for nothing. A pacer learns from how long the waits are. It reads no
// clock: times are told to it.
type pacer struct {
	least, most time.Duration

	after   time.Duration // the choice
	waits   [pacerSteps + 1]float64
	decided core.Nanos
	changes uint64 // number of times that the choice has changed
}

// newPacer makes a pacer that chooses from least, 2 least, 4 least, ... up to most.
func newPacer(least, most time.Duration) pacer {
	return pacer{least: least, most: max(least, most), after: least}
}

// waited says that work came at a time after a wait.
func (p *pacer) waited(now core.Nanos, wait time.Duration) {
	// Waits up to least are in the first class, up to twice least in the second, and so on.
	class := min(bits.Len64(uint64(max(wait-1, 0)/p.least)), pacerSteps)
	p.waits[class]++
	if now-p.decided >= core.Nanos(pacerEvery) {
		p.decided = now
		p.decide()
	}
}

// decide makes the choice anew.
func (p *pacer) decide() {
	all := 0.0
	for _, n := range p.waits {
		all += n
	}
	if all >= pacerLeast {
		choice, caught := p.least, 0.0
		for class, n := range p.waits[:pacerSteps] {
			caught += n
			d := p.least << class
			if d > p.most {
				break
			}
			share := caught / all
			if share >= pacerCatches || d == p.after && share >= pacerKeeps {
				choice = d
				break
			}
		}
		if choice != p.after {
			p.after = choice
			p.changes++
		}
	}
	for class := range p.waits {
		p.waits[class] /= 2
	}
}
