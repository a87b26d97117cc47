package engine

import (
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/core"
)

const (
	// copyCost is how long it takes to copy a kilobyte of groups for an image. A row of 64 bytes
	// takes about 8 ns.
	copyCost = 125 * time.Nanosecond

	// partialCost is how long it takes to send and merge a partial state. It is the sum for the
	// reader and the partition.
	partialCost = 30 * time.Nanosecond
)

// An interval raises epochs by time: the runner that finds an epoch due raises it. The interval
// grows so that the cost of epochs stays under a share of the time.
type interval struct {
	every time.Duration // less than 0 means never
	share float64       // share of a core; 1 or more means no limit

	// due is when the next epoch is due, in Nanos. The runner whose CAS moves it on raises the
	// epoch. No other goroutine writes the other fields until the next epoch is due.
	due     atomic.Int64 // Nanos
	current atomic.Int64 // how far due was moved on the last time
	records atomic.Uint64
	copied  []atomic.Uint64 // bytes that each partition had copied when the last epoch was raised
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

// tick raises an epoch if one is due and there is something new, or if windows may close because
// time goes by (by the clock, or because a reader becomes idle).
func (e *Engine) tick(now core.Nanos) {
	i := e.interval
	due := i.due.Load()
	if int64(now) < due {
		return
	}
	next := max(i.every, e.epochCost())
	if !i.due.CompareAndSwap(due, int64(now)+int64(next)) {
		return // another runner raises it
	}
	i.current.Store(int64(next))
	if e.needsEpoch() {
		i.records.Store(e.recordsIn())
		e.cuts.Want()
		if e.rebalancing != nil {
			e.rebalancing.due.wake()
		}
	}
}

// needsEpoch says whether an epoch would show something new: records have come since the last one,
// or windows may close because time goes by. If it is false no runner needs to wake for the next
// epoch. A runner whose router has taken a record finds it true, because it looks after that.
func (e *Engine) needsEpoch() bool {
	w := e.cfg.Plan.Window
	return w != nil && (w.ProcessingTime || w.Idle > 0) || e.interval.records.Load() != e.recordsIn()
}

// recordsIn is the number of records that all readers have brought.
func (e *Engine) recordsIn() (n uint64) {
	for _, in := range e.inlets.all() {
		n += in.router.Counters().In
	}
	return n
}

// epochCost returns how long the interval must be so that the work for epochs is the configured
// share of it. It takes the work that the busiest agent did for epochs in the last interval.
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
