package engine

import (
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/core"
)

const (
	// copyCost is what it takes to copy a kilobyte of groups for an image: about 8 ns for a row of 64 bytes.
	copyCost = 125 * time.Nanosecond

	// partialCost is what a partial state takes to be sent and merged, for the reader and the partition together.
	partialCost = 30 * time.Nanosecond
)

// An interval raises epochs by time: whichever runner finds that one is due raises it. It stretches so that what epochs cost stays under a share
// of the time.
type interval struct {
	every time.Duration // less than 0: never
	share float64       // of a core; 1 or more: no matter

	// due is when the next is. The runner whose CAS moves it on raises, and nobody else writes the rest until the next is due.
	due     atomic.Int64 // Nanos
	current atomic.Int64 // the distance that it was moved on by
	records atomic.Uint64
	copied  []atomic.Uint64 // bytes by each partition, as it was
}

func newInterval(every time.Duration, share float64, partitions int) *interval {
	i := &interval{every: every, share: share, copied: make([]atomic.Uint64, partitions)}
	if every < 0 {
		every = time.Duration(core.Never)
	}
	i.due.Store(int64(every))
	i.current.Store(int64(every))
	return i
}

// tick raises an epoch if one is due and there is anything new, or windows may close as time goes by: by the clock, or because a reader becomes idle.
func (e *Engine) tick(now core.Nanos) {
	i := e.interval
	due := i.due.Load()
	if int64(now) < due {
		return
	}
	next := max(i.every, e.epochCost())
	if !i.due.CompareAndSwap(due, int64(now)+int64(next)) {
		return // somebody else does
	}
	i.current.Store(int64(next))
	records := uint64(0)
	for _, in := range e.inlets.all() {
		records += in.router.Counters().In
	}
	w := e.cfg.Plan.Window
	if i.records.Swap(records) != records || w != nil && (w.ProcessingTime || w.Idle > 0) {
		e.cuts.Want()
	}
}

// epochCost is how long an interval must be so that the work that was done for epochs in the last one is the configured share of it: that of
// the busiest agent.
func (e *Engine) epochCost() time.Duration {
	i := e.interval
	if i.share >= 1 {
		return 0
	}
	most := time.Duration(0)
	for k, p := range e.partitions {
		copied := p.Stats().Copied
		most = max(most, time.Duration(copied-i.copied[k].Swap(copied))*copyCost>>10)
	}
	for _, in := range e.inlets.all() {
		partials := in.router.Counters().Partials
		most = max(most, time.Duration(partials-in.partials.Swap(partials))*partialCost)
	}
	return time.Duration(float64(most) / i.share)
}
