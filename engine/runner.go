package engine

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
)

const (
	// spinFor is how long a locked runner spins with PAUSE before it begins to yield: a round trip to another core is 0.15 us,
	// so most waits end within it.
	spinFor = 5 * time.Microsecond

	// pauses between two looks: about 0.3 us.
	pauses = 8

	// sampleEvery is how often a busy runner tells its CPU time.
	sampleEvery = 10 * time.Millisecond

	// longestSleep bounds a park without a deadline, so that a lost wake-up would be a delay and not the end. There is
	// none: see bell.
	longestSleep = time.Second
)

// stepper is an agent with its name.
type stepper struct {
	core.Agent
	name  string // reader/0, partition/3
	label context.Context
	done  bool
}

// A runner steps some agents on one thread. It is the only place that starts from a goroutine, locks a thread, pins, spins and
// sleeps.
type runner struct {
	engine *Engine
	id     int
	agents []stepper
	live   int
	bell   *bell
	locked bool
	cpu    int // to pin to; less than 0: not

	current *stepper // the agent that is being stepped, for the report of a panic

	// For Stats: written by the runner, read by anyone.
	cpuNanos, turns, busy, parks atomic.Uint64
	pinned                       atomic.Bool
	pinError                     atomic.Pointer[string]
}

func (r *runner) String() string {
	names := make([]string, len(r.agents))
	for i := range r.agents {
		names[i] = r.agents[i].name
	}
	return strings.Join(names, "+")
}

// run steps the agents until all are done or the engine closes.
func (r *runner) run() {
	if r.locked {
		runtime.LockOSThread()
		if r.pin() {
			// A thread whose mask could not be put back is not given back: it ends with this goroutine.
			runtime.UnlockOSThread()
		}
		return
	}
	r.loop()
}

// pin runs the loop on the runner's CPU and says whether the thread is as it was.
func (r *runner) pin() (restored bool) {
	if r.cpu < 0 {
		r.loop()
		return true
	}
	pinned, err := affinity.Pin(r.cpu)
	if err != nil {
		text := err.Error()
		r.pinError.Store(&text)
		r.loop()
		return true
	}
	r.pinned.Store(true)
	defer func() { restored = pinned.Restore() == nil }()
	r.loop()
	return
}

// loop steps the agents and waits when there is nothing to do. A panic in an agent ends the plan, not the process.
func (r *runner) loop() {
	start := threadTime(r.locked)
	var sampled core.Nanos
	defer func() {
		if v := recover(); v != nil {
			name := "runner"
			if r.current != nil {
				name = r.current.name
			}
			r.engine.fail(fmt.Errorf("engine: panic in %s: %v\n%s", name, v, debug.Stack()))
		}
		r.cpuNanos.Store(uint64(threadTime(r.locked) - start))
		pprof.SetGoroutineLabels(context.Background())
	}()
	var idleSince core.Nanos // 0: not idle
	for r.live > 0 && !r.engine.closing.Load() {
		now := r.engine.now()
		if now-sampled > core.Nanos(sampleEvery) {
			sampled = now
			r.cpuNanos.Store(uint64(threadTime(r.locked) - start))
		}
		if r.turn(now) > 0 {
			idleSince = 0
			continue
		}
		if idleSince == 0 {
			idleSince = now
		}
		switch idle := time.Duration(now - idleSince); {
		case idle >= r.engine.cfg.ParkAfter:
			r.park()
		case !r.locked:
			runtime.Gosched()
		case idle < spinFor:
			pause(pauses)
		default:
			osYield()
		}
	}
}

// turn steps every agent once.
func (r *runner) turn(now core.Nanos) (work int) {
	for i := range r.agents {
		a := &r.agents[i]
		if a.done {
			continue
		}
		r.current = a
		if len(r.agents) > 1 {
			pprof.SetGoroutineLabels(a.label)
		}
		work += a.Step(now)
		if a.Done() {
			a.done = true
			r.live--
			r.engine.agentDone(a.Agent)
		}
	}
	r.current = nil
	r.turns.Store(r.turns.Load() + 1)
	if work > 0 {
		r.busy.Store(r.busy.Load() + 1)
	}
	return work
}

// park sleeps until somebody rings or an agent wants to be stepped. See bell for why no wake-up is lost.
func (r *runner) park() {
	r.bell.announce()
	now := r.engine.now()
	// closing is one of the things that were published before a ring, so it is looked at after the announcement too.
	if r.turn(now) > 0 || r.live == 0 || r.engine.closing.Load() {
		r.bell.retract()
		return
	}
	wake := now + core.Nanos(longestSleep)
	for i := range r.agents {
		if a := &r.agents[i]; !a.done {
			wake = min(wake, a.Wake())
		}
	}
	if wake <= now {
		r.bell.retract()
		return
	}
	r.parks.Store(r.parks.Load() + 1)
	r.bell.sleep(time.Duration(wake - now))
}

// threadTime is the CPU time of this thread; 0 where the goroutine may move to others.
func threadTime(locked bool) time.Duration {
	if !locked {
		return 0
	}
	d, _ := affinity.ThreadCPUTime()
	return d
}
