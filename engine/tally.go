package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
)

// LongStep is how long a step may take before it counts as long. It is ten times what a full batch
// takes, so the cause is usually a reader or a route function that blocks, or the kernel running
// something else on the CPU.
const LongStep = time.Millisecond

// agentTally is what a runner counts of one agent.
type agentTally struct {
	steps   uint64 // number of steps that had work
	busy    time.Duration
	longest time.Duration
	long    uint64 // number of steps longer than LongStep
	stalls  [core.Stalls]StallStats
	starved uint64

	// by is the agent whose step was the longest of the last starvation, as an index into
	// runner.agents. It has no meaning while starved is 0.
	by     int
	waited time.Duration

	// read is the number of records that the reader of a router had brought at the last copy, and
	// arrived is when a copy found more than the one before; 0 if none has.
	read    uint64
	arrived core.Nanos
}

// runnerTally is what a runner counts of itself.
type runnerTally struct {
	cpu                time.Duration
	turns, busy, parks uint64
}

// A publishedTally is a copy of the tallies for Stats, made every 10 ms and before each sleep.
// Counting with atomics in every step would cost as much as routing some records. A runner that
// finds the lock taken goes on and publishes the next time.
type publishedTally struct {
	mu     sync.Mutex
	at     core.Nanos // when the copy was made
	runner runnerTally
	agents []agentTally
}

// publish copies the tallies to where Stats finds them. If wait is false it gives up when a
// goroutine is reading them.
func (r *runner) publish(wait bool) {
	r.tally.cpu = threadTime(r.locked) - r.start
	p := &r.published
	if !p.mu.TryLock() {
		if !wait {
			return
		}
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	p.at, p.runner = r.engine.now(), r.tally
	p.agents = p.agents[:0]
	for i := range r.agents {
		a := &r.agents[i]
		a.look(p.at)
		t := a.tally
		if a.stalled { // the stall goes on, and a long one is what people look for
			t.stalls[a.cause].Time += time.Duration(p.at - a.end)
		}
		p.agents = append(p.agents, t)
	}
}

// look notes whether the reader of a router has brought records.
func (a *stepper) look(now core.Nanos) {
	if a.inlet == nil {
		return
	}
	n := a.inlet.recordsIn()
	if n > a.tally.read {
		a.tally.arrived = now
	}
	a.tally.read = n // it may be less after a plan was removed
}

// busy returns how long each agent had work, as of the newest copy, and when that was made.
func (p *publishedTally) busy(to []time.Duration) (busy []time.Duration, at core.Nanos) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.agents {
		to = append(to, p.agents[i].busy)
	}
	return to, p.at
}

// read returns the newest copy. agents is empty before the first copy.
func (p *publishedTally) read() (runner runnerTally, agents []agentTally) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runner, slices.Clone(p.agents)
}

// worked counts a step of agent i that had work. The agent was starved if it had to wait for a long
// step of another agent: it had work when its turn came, and might have had it before.
func (r *runner) worked(i int, begin, end core.Nanos) {
	a := &r.agents[i]
	t := &a.tally
	took := time.Duration(end - begin)
	t.steps++
	t.busy += took
	t.longest = max(t.longest, took)
	if a.stalled {
		a.stalled = false
		t.stalls[a.cause].Time += time.Duration(begin - a.end)
	}
	if a.kept > 0 {
		t.starved++
		t.by = a.keptBy
		t.waited = max(t.waited, time.Duration(begin-a.end))
		a.kept = 0
	}
	a.end = end
	if took <= LongStep {
		return
	}
	t.long++
	for j := range r.agents {
		if other := &r.agents[j]; j != i && took > other.kept {
			other.kept, other.keptBy = took, i
		}
	}
}

// settle ends the stall of an agent that is done.
func (a *stepper) settle(now core.Nanos) {
	if a.stalled {
		a.stalled = false
		a.tally.stalls[a.cause].Time += time.Duration(now - a.end)
	}
}

// idle counts a step without work. The first of several in a row is a stall.
func (a *stepper) idle(now core.Nanos) {
	a.kept = 0
	if cause := a.Stall(); !a.stalled || cause != a.cause {
		if a.stalled {
			a.tally.stalls[a.cause].Time += time.Duration(now - a.end)
		}
		a.tally.stalls[cause].Count++
		a.stalled, a.cause, a.end = true, cause, now
	}
}
