package engine

import (
	"sync/atomic"
	"time"
)

const (
	awake  = 0
	parked = 1
)

// A bell is the doorbell of one runner. There is one for everything that the runner may wait for,
// and not one for each ring.
//
// The protocol, which loses no wake-up:
//
//	runner                               publisher
//	------                               ---------
//	state.Store(parked)   [announce]     tail.Store, head.Store, stop.Store ...
//	step all agents once more            state.Load() == parked?  [Ring]
//	no work: sleep while state is parked    yes: state.CAS(parked, awake), wake
//
// On both sides the store and the load that follows it are sequentially consistent. If the
// publisher's load does not see parked, it came before the announcement. Then the publication did
// too, and the step after the announcement finds it.
type bell struct {
	_ [128]byte // other threads poll state, so it has its cache lines to itself

	// state is written by its runner (announce, retract) and by the goroutine that wakes it (CAS
	// from parked). It is the futex word.
	state atomic.Uint32
	_     [124]byte

	// wake carries the wake-up of a runner that is an ordinary goroutine. If it is nil the runner
	// sleeps on the futex.
	wake  chan struct{}
	timer *time.Timer
}

func newBell(locked bool) *bell {
	b := &bell{}
	if !locked || !haveFutex {
		b.wake = make(chan struct{}, 1)
		b.timer = time.NewTimer(time.Hour)
		b.timer.Stop()
	}
	return b
}

// Wake wakes the runner if it is parked or about to park. It costs one load of a cache line that is
// not written while all runners are awake. Any goroutine may call it, after it has published.
//
//gcassert:inline
func (b *bell) Wake() {
	if b.state.Load() == parked {
		b.rouse()
	}
}

// rouse wakes the runner. If several goroutines call it at once, one of them does it.
//
//go:noinline
func (b *bell) rouse() {
	if !b.state.CompareAndSwap(parked, awake) {
		return
	}
	if b.wake == nil {
		futexWake(&b.state)
		return
	}
	select {
	case b.wake <- struct{}{}:
	default: // an earlier wake-up that was not needed is still there and serves
	}
}

// announce says that the runner is about to sleep. Before it sleeps, the runner must look once more
// at everything it waits for.
func (b *bell) announce() { b.state.Store(parked) }

// retract takes the announcement back.
func (b *bell) retract() { b.state.Store(awake) }

// sleep returns when the bell has been rung since announce, after d, or for no reason. It retracts
// the announcement before it returns.
func (b *bell) sleep(d time.Duration) {
	if b.wake == nil {
		futexWait(&b.state, parked, d)
	} else {
		b.timer.Reset(d)
		select {
		case <-b.wake:
		case <-b.timer.C:
		}
		b.timer.Stop()
	}
	b.retract()
}
