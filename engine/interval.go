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

	// growthCost is how long it takes to make a kilobyte of memory present and to copy into it what
	// is new in the groups: an epoch does that after tables have grown.
	growthCost = 200*time.Nanosecond + copyCost

	// foreseenMost bounds how many times its shortest length an interval becomes because of what
	// the next epoch will do. While a table is built, epochs would take more than their share
	// however long the interval is.
	foreseenMost = 10
)

// An interval raises epochs by time: the runner that finds an epoch due raises it. The interval
// grows so that the cost of epochs stays under a share of the time.
type interval struct {
	every time.Duration // less than 0 means never
	share float64       // share of a core; 1 or more means no limit

	// due is when the next epoch is due, in Nanos. The runner whose CAS moves it on raises the
	// epoch. No other goroutine writes the other fields until the next epoch is due.
	due     atomic.Int64  // Nanos
	current atomic.Int64  // how far due was moved on the last time
	raised  atomic.Int64  // when the last epoch was raised, in Nanos
	seen    atomic.Uint64 // news at the last epoch
}

func newInterval(every time.Duration, share float64) *interval {
	i := &interval{every: every, share: share}
	if every < 0 {
		every = time.Duration(core.Never)
	}
	i.due.Store(int64(every))
	i.current.Store(int64(every))
	return i
}

// tick raises an epoch if one is due and there is something new, or if windows may close because
// time goes by (by the clock, or because a reader becomes idle). If there is nothing new, the epoch
// stays due, so that the first record after a pause is seen at once.
func (e *Engine) tick(now core.Nanos) {
	i := e.interval
	due := i.due.Load()
	if int64(now) < due || !e.needsEpoch() {
		return
	}
	if later := i.raised.Load() + int64(e.foreseen()); later > int64(now) {
		if i.due.CompareAndSwap(due, later) {
			e.expect(core.Nanos(later))
		}
		return
	}
	next := max(i.every, e.epochCost())
	if !i.due.CompareAndSwap(due, int64(now)+int64(next)) {
		return // another runner raises it
	}
	i.raised.Store(int64(now))
	i.current.Store(int64(next))
	e.expect(now + core.Nanos(next))
	i.seen.Store(e.news())
	e.epochs.Want()
	if e.rebalancing != nil {
		e.rebalancing.due.wake()
	}
}

// needsEpoch says whether an epoch would show something new: records have come since the last one,
// or windows may close because a reader has ended or time goes by. If it is false no runner needs
// to wake for the next epoch. A runner whose router has taken a record, or has ended, finds it
// true, because it looks after that.
func (e *Engine) needsEpoch() bool {
	for _, b := range e.branches() {
		if w := b.cfg.Plan.Window; w != nil && (w.ProcessingTime || w.Idle > 0) {
			return true
		}
	}
	return e.interval.seen.Load() != e.news()
}

// news is the number of records that all readers have brought, and of ends of readers for which
// windows do not wait any more.
func (e *Engine) news() (n uint64) {
	n = e.recordsIn()
	for _, in := range e.inlets.all() {
		for _, f := range in.flows() {
			at, _ := f.router.Watermark()
			if at == core.WatermarkEnd {
				n++
			}
		}
	}
	return n
}

// expect tells the partitions when the next epoch is due.
func (e *Engine) expect(due core.Nanos) {
	for _, b := range e.branches() {
		b.cuts.Expect(due)
	}
}

// recordsIn is the number of records that all readers have brought to some plan that the engine
// runs. It may be less after a plan was removed.
func (e *Engine) recordsIn() (n uint64) {
	for _, in := range e.inlets.all() {
		n += in.recordsIn()
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
	for p := range e.partitionOn {
		cost := time.Duration(0) // of the partitions of this number, which share a runner
		for _, b := range e.branches() {
			st := b.partitions[p].Stats()
			copied := st.Copied
			b.held[p].Store(st.Bytes)
			cost += time.Duration(copied-b.copied[p].Swap(copied)) * copyCost >> 10
		}
		most = max(most, cost)
	}
	for _, in := range e.inlets.all() {
		partials := uint64(0)
		for _, f := range in.flows() {
			partials += f.router.Counters().Partials
		}
		most = max(most, time.Duration(partials-in.partials.Swap(partials))*partialCost)
	}
	return time.Duration(float64(most) / i.share)
}

// foreseen returns how long the interval since the last epoch must be because of what the next
// epoch will have to do for tables that have grown. So a table that is being built is seen a few
// times meanwhile, and not copied again and again.
func (e *Engine) foreseen() time.Duration {
	i := e.interval
	most := uint64(0)
	for p := range e.partitionOn {
		grown := uint64(0)
		for _, b := range e.branches() {
			held, before := b.partitions[p].Stats().Bytes, b.held[p].Load()
			if held > before {
				grown += held - before
			}
		}
		most = max(most, grown)
	}
	return i.after(most)
}

// after returns how long an interval must be at the end of which a partition has grown by that many
// bytes.
func (i *interval) after(grown uint64) time.Duration {
	if i.share >= 1 {
		return 0
	}
	cost := time.Duration(grown>>10) * growthCost
	return min(time.Duration(float64(cost)/i.share), foreseenMost*i.every)
}
