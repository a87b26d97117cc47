package engine

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/internal/fence"
)

const (
	// spinFor is how long a locked runner spins with PAUSE before it begins to yield. A round trip
	// to another core takes 0.15 us, so most waits end within it.
	spinFor = 5 * time.Microsecond

	// pauses is the number of PAUSE instructions between two looks. They take about 0.3 us.
	pauses = 8

	// sampleEvery is how often a busy runner publishes its counters.
	sampleEvery = 10 * time.Millisecond

	// longestSleep bounds a park without a deadline, so that a lost wake-up would be a delay and
	// not the end. No wake-up is lost: see bell.
	longestSleep = time.Second
)

// A stepper is an agent with its name and what the runner knows of it.
type stepper struct {
	core.Agent
	name  string // such as reader/0 or partition/3
	label context.Context
	done  bool
	inlet *inlet // the inlet whose routers these are; nil for a partition
	// branch is the branch whose partition this is; nil for routers.
	branch *branch

	tally agentTally

	// end is when the last step that had work ended, or when the present stall began.
	end core.Nanos

	stalled bool // true if the last step had no work, for the reason cause, since end
	cause   core.Stall

	// kept is the longest step of another agent of the runner since end, and keptBy says which
	// agent that was. kept is 0 if no step was longer than LongStep.
	kept   time.Duration
	keptBy int
}

// A runner steps some agents on one thread. It is the only place in which a goroutine locks its
// thread, pins it, spins and sleeps.
type runner struct {
	engine *Engine
	id     int
	agents []stepper

	// named points to the names of agents, for other goroutines. The slice is replaced when an
	// agent is added. A goroutine that loads the pointer sees the names that were written before it
	// was stored.
	named   atomic.Pointer[[]string]
	live    int
	bell    *bell
	mailbox mailbox
	ended   chan struct{} // closed when the loop has ended
	locked  bool
	cpu     int // the CPU to pin to; less than 0 if the runner is not to be pinned

	current *stepper // the agent that is being stepped, for the report of a panic
	again   bool     // true if the goroutine ends and another is to go on

	pacer     pacer // says when to park
	tally     runnerTally
	start     time.Duration // CPU time that the thread had used before the loop
	published publishedTally
	pinned    atomic.Bool            // written by the runner, for Stats
	pinError  atomic.Pointer[string] // written by the runner, for Stats
}

// names returns the names of the agents.
func (r *runner) names() []string {
	if p := r.named.Load(); p != nil {
		return *p
	}
	return nil
}

func (r *runner) String() string { return strings.Join(r.names(), "+") }

// add adds an agent, in the place of one that is done if there is any. in and b are the inlet of
// routers and the branch of a partition. It is called by the runner, or before the runner runs.
func (r *runner) add(a core.Agent, name string, in *inlet, b *branch) (place int) {
	label := pprof.WithLabels(context.Background(), pprof.Labels("velo", name))
	s := stepper{Agent: a, name: name, label: label, inlet: in, branch: b}
	names := slices.Clone(r.names())
	place = slices.IndexFunc(r.agents, func(a stepper) bool { return a.done })
	if place >= 0 {
		r.agents[place], names[place] = s, name
	} else {
		place = len(r.agents)
		r.agents, names = append(r.agents, s), append(names, name)
	}
	r.named.Store(&names)
	r.live++
	return place
}

// addPartition adds a partition of a branch, as add does.
func (r *runner) addPartition(b *branch, p int) {
	place := r.add(b.partitions[p], b.agentName("partition", p), nil, b)
	b.places[p].Store(int32(place) + 1)
}

// begin runs the runner on a goroutine of its own, and on another one if user code has ended the
// first.
func (r *runner) begin() {
	returned := false
	defer func() {
		if !returned && r.again {
			r.again = false
			// The new goroutine is added before this one is done, so that running never reads zero
			// in between.
			r.engine.running.Go(r.begin)
		}
	}()
	pprof.Do(context.Background(), pprof.Labels("velo", r.String()), func(context.Context) {
		r.engine.as(callerRunner, r.run)
	})
	returned = true
}

// run steps the agents until all are done or the engine closes.
func (r *runner) run() {
	if r.locked {
		runtime.LockOSThread()
		if r.pin() {
			// A thread whose mask could not be restored is not given back: it ends with this
			// goroutine.
			runtime.UnlockOSThread()
		}
		return
	}
	r.loop()
}

// pin runs the loop on the runner's CPU and says whether the thread's mask is as it was before.
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

// loop steps the agents and waits when there is nothing to do. A panic in an agent ends the plan
// and not the process. If a reader has called runtime.Goexit, the goroutine ends inside this
// function: the reader has failed, and the loop goes on in another goroutine.
func (r *runner) loop() {
	r.start = threadTime(r.locked) - r.tally.cpu
	for i := range r.agents { // records of before a restart do not arrive now
		a := &r.agents[i]
		if a.inlet != nil {
			a.tally.read = a.inlet.recordsIn()
		}
	}
	returned := false
	defer func() {
		name := "runner"
		if r.current != nil {
			name = r.current.name
		}
		if v := recover(); v != nil {
			r.engine.fail(fmt.Errorf("engine: panic in %s: %v\n%s", name, v, debug.Stack()))
		} else if !returned && r.current != nil && r.current.inlet != nil && r.current.inlet.source.base().exited {
			r.again = true
			return
		} else if !returned {
			r.engine.fail(fmt.Errorf("engine: %s: %w\n%s", name, errGoexit, debug.Stack()))
		}
		r.publish(true)
		pprof.SetGoroutineLabels(context.Background())
		close(r.ended)
		r.mailbox.box.Dispose()
	}()
	var idleSince, sampled core.Nanos // idleSince is 0 while there is work
	for r.live > 0 && !r.engine.closing.Load() {
		now := r.engine.now()
		if now-sampled > core.Nanos(sampleEvery) {
			sampled = now
			r.publish(false)
		}
		r.engine.tick(now)
		if r.turn(now) > 0 {
			if idleSince > 0 && r.engine.paced {
				r.pacer.waited(now, time.Duration(now-idleSince))
			}
			idleSince = 0
			continue
		}
		if idleSince == 0 {
			idleSince = now
		}
		idle := time.Duration(now - idleSince)
		switch wait := r.engine.cfg.Wait; {
		case wait == WaitPark && idle >= r.pacer.after:
			r.park()
		case !r.locked:
			runtime.Gosched()
		case wait == WaitSpin || idle < spinFor:
			pause(pauses)
		default:
			osYield()
		}
	}
	returned = true
}

// turn does the commands in the mailbox and steps every agent once.
func (r *runner) turn(now core.Nanos) (work int) {
	if r.mailbox.box.Len() > 0 {
		work = r.mailbox.receive()
	}
	for i := range r.agents {
		a := &r.agents[i]
		if a.done {
			continue
		}
		r.current = a
		if len(r.agents) > 1 {
			pprof.SetGoroutineLabels(a.label)
		}
		if n := a.Step(now); n > 0 {
			work += n
			end := r.engine.now()
			r.worked(i, now, end)
			now = end
		} else {
			a.idle(now)
		}
		if err := a.Err(); err != nil {
			if r.failed(a, err); r.engine.closing.Load() {
				return work
			}
		}
		if a.Done() {
			a.done = true
			a.settle(now)
			r.live--
			a.Agent = nil // its memory is not needed any more
			if a.inlet != nil {
				a.inlet.agent = nil
				close(a.inlet.gone)
			}
		}
	}
	r.current = nil
	r.tally.turns++
	if work > 0 {
		r.tally.busy++
	}
	return work
}

// failed ends the plan that an agent cannot go on with. A reader may have several plans, each with
// a router of its own.
func (r *runner) failed(a *stepper, err error) {
	if a.inlet == nil {
		if !a.branch.ended.Load() {
			a.branch.fail(err)
		}
		return
	}
	for _, f := range a.inlet.flows() {
		err := f.router.Err()
		if err != nil && !f.branch.ended.Load() {
			f.branch.fail(fmt.Errorf("engine: %s: %w", a.name, err))
		}
	}
}

// park sleeps until the bell is rung or an agent wants to be stepped. See bell for why no wake-up
// is lost.
func (r *runner) park() {
	r.bell.announce()
	r.fence(r.engine.now())
	now := r.engine.now()
	// closing is one of the things that are published before a ring, so it is looked at after the
	// announcement too. The turn looks at the mailbox.
	if r.turn(now) > 0 || r.live == 0 || r.engine.closing.Load() {
		r.bell.retract()
		return
	}
	wake := now + core.Nanos(longestSleep)
	if r.engine.needsEpoch() {
		wake = min(wake, core.Nanos(r.engine.interval.due.Load()))
	}
	for i := range r.agents {
		if a := &r.agents[i]; !a.done {
			wake = min(wake, a.Wake())
		}
	}
	if wake <= now {
		r.bell.retract()
		return
	}
	r.tally.parks++
	r.publish(false)
	r.bell.sleep(time.Duration(wake - now))
}

// fence has all threads of the process pass a fence if readers have had nothing for a while that
// goroutines feed. It comes after the announcement and before the last look. A goroutine that feeds
// a reader publishes a record by a release store and then loads the state of the bell, see
// readers.Lane. If its store comes before the fence, the look finds the record. Otherwise its load
// comes after the fence, so it finds that the runner is parked. The fence is a system call of some
// microseconds that interrupts other threads, so it is not for readers that had something just now,
// nor for each park.
func (r *runner) fence(now core.Nanos) {
	var order fence.Asymmetric
	some := false
	for i := range r.agents {
		a := &r.agents[i]
		if a.done || a.inlet == nil {
			continue
		}
		if s, ok := a.inlet.source.(*pollSource); ok && s.wantsFence(now) {
			s.fenced, s.fencedAt = true, now
			order, some = s.order, true
		}
	}
	if some {
		order.All() // one is for all
	}
}

// threadTime returns the CPU time of this thread, or 0 if the goroutine may move to other threads.
func threadTime(locked bool) time.Duration {
	if !locked {
		return 0
	}
	d, _ := affinity.ThreadCPUTime()
	return d
}
