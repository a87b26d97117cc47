package core

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/velo-engine/velo/core/epoch"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

const (
	// ownTables is how many tables of its own a partition has memory for: the live table, the table
	// of the current cut, and the table of the cut that is being made. See Cuts.
	ownTables = 3

	// MaxHeld bounds the cuts that snapshots may hold beside the current one. When that many are
	// held, no more are made.
	MaxHeld = epoch.MaxSlots - ownTables - 1

	// rowAddresses bounds the addresses, in bytes, that the rows of all partitions reserve. So it
	// also bounds, about, the addresses of their indexes and of what lies beside the rows. A
	// process has eight times as many.
	rowAddresses = 1 << 44
)

// Cuts are the cuts of one plan and their epochs: what its routers and partitions share. Several
// plans of an engine share the epochs, so cuts in the same slot are of the same moment.
//
// A partition has a table for each slot of the epochs, and a live one. At an epoch it puts the live
// table into the epoch's slot. The table that was in the slot, which no goroutine reads any more,
// becomes the next live one.
type Cuts struct {
	*epoch.Epochs
	// group is the partitions of these cuts, as the epochs know them.
	group *epoch.Group
	// cuts are the cuts by slot.
	cuts   []*result.Cut
	budget *MemoryBudget
	// wake wakes all routers and partitions.
	wake func()

	// windows says that the plan has windows.
	windows bool
	// bytes is how many bytes of addresses the rows of one table may have.
	bytes int

	// open is the number of open panes of each partition as of its last epoch. least is the
	// watermark, at that epoch, of the reader that was furthest behind. Partitions store both at
	// each epoch. Routers look at them to wait for each other, and look again when the next epoch
	// has been raised. These atomics order nothing.
	open  []atomic.Int64
	least atomic.Int64

	// Origin is the time of the clock, in nanoseconds since 1970, at which an agent's time is 0. It
	// is for windows by processing time, and is set before anything runs.
	Origin int64

	// expected is when the next epoch will be raised, in Nanos, if that is known. The engine stores
	// it and partitions make memory ready by it. It is a hint and orders nothing.
	expected atomic.Int64

	// written is the end of the last window that has been taken away; it is everyWindow if windows
	// are not taken away at all. The goroutine that takes them stores it, and wakes the partitions
	// after the store. Partitions look at it, and keep the windows that have not been taken away.
	written atomic.Int64

	// owners says who owns the shards before the marks of the epoch in flight. The last partition
	// to answer an epoch writes owners and move, in done. They are read after the next epoch is
	// raised.
	owners *result.Owners
	// move is the shard that is being moved.
	move move

	// pending is the move that is asked for or under way. A compare-and-swap from nil puts it
	// there, and the last partition to answer takes it away.
	pending atomic.Pointer[Move]
	// handed is the newest epoch whose move the new owner is done with; see Partition.handOver and
	// Partition.takeBack.
	handed atomic.Uint64
}

// NewCuts makes the cuts of that many readers and partitions. Snapshots may hold up to held cuts
// beside the current one. state bounds the memory of the groups. ring wakes all routers and
// partitions.
func NewCuts(p *plan.Plan, route plan.Route, readers, partitions, held int, state *MemoryBudget, wake func()) *Cuts {
	slots := ownTables - 1 + held
	c := newCuts(p, route, partitions, slots+1, state, wake) // one more for the last epoch
	c.Epochs = epoch.New(readers, partitions, slots, wake, c.done)
	c.group = c.First()
	return c
}

// Share makes the cuts of one more plan, with the same epochs, readers and number of partitions. An
// epoch is visible when the partitions of all plans have answered it. It is called before anything
// runs.
func (c *Cuts) Share(p *plan.Plan, route plan.Route, state *MemoryBudget) *Cuts {
	d := c.Beside(p, route, state)
	d.Attach()
	return d
}

// Beside is Share for a plan whose partitions answer epochs only after Attach.
func (c *Cuts) Beside(p *plan.Plan, route plan.Route, state *MemoryBudget) *Cuts {
	d := newCuts(p, route, len(c.open), c.Slots(), state, c.wake)
	d.Epochs = c.Epochs
	return d
}

// Attach has the next epoch wait for the partitions of these cuts, too. It is called before
// anything runs, or while the epochs are held.
func (c *Cuts) Attach() { c.group = c.Extend(len(c.open), c.done) }

// Detach has no later epoch wait for the partitions of these cuts. Cuts of pinned slots stay as
// they are; newer slots have none of this plan. It is called while the epochs are held.
func (c *Cuts) Detach() { c.Shrink(c.group) }

// Divide says that that many plans share the addresses of the process. It is called before any
// partition is made.
func (c *Cuts) Divide(plans int) { c.bytes /= plans }

// newCuts makes cuts that have no epochs yet.
func newCuts(p *plan.Plan, route plan.Route, partitions, slots int, state *MemoryBudget, wake func()) *Cuts {
	c := &Cuts{
		budget: state, wake: wake, owners: result.NewOwners(partitions), windows: p.Window != nil,
		open: make([]atomic.Int64, partitions),
	}
	c.least.Store(watermarkNone)
	c.expected.Store(int64(Never))
	c.bytes = rowAddresses / partitions / slots
	for range slots {
		c.cuts = append(c.cuts, result.NewCut(c.owners, partitions, route.For(p).Scatters() && !p.PassesThrough()))
	}
	c.written.Store(everyWindow)
	return c
}

// done completes a cut that no goroutine sees yet.
func (c *Cuts) done(number uint64, slot int, complete bool) {
	owners := c.owners
	c.advanceMove(number)
	c.cuts[slot].Begin(number, owners, complete)
}

// Pin gives the newest cut and keeps it as it is until Unpin of its slot. No agent waits because of
// it. Any goroutine may call it.
func (c *Cuts) Pin() (cut *result.Cut, slot int) {
	slot = c.Epochs.Pin()
	return c.cuts[slot], slot
}

// At gives the cut in a slot that is pinned, also if it was pinned by the cuts of another plan that
// share the epochs. Any goroutine may call it.
func (c *Cuts) At(slot int) *result.Cut { return c.cuts[slot] }

// Expect says when the next epoch will be raised; Never means when somebody asks for one. Any
// goroutine may call it.
func (c *Cuts) Expect(due Nanos) { c.expected.Store(int64(due)) }

// everyWindow is later than the end of any window.
const everyWindow = math.MaxInt64

// noteWindows notes how many panes of a partition are open, and the watermark of the reader that is
// furthest behind.
func (c *Cuts) noteWindows(p plan.PartitionID, open int, least int64) {
	c.open[p].Store(int64(open))
	c.least.Store(least)
}

// crowded says whether some partition has too many open panes: readers that are ahead of others
// wait for them.
func (c *Cuts) crowded() bool {
	for i := range c.open {
		if c.open[i].Load() > mostOpen {
			return true
		}
	}
	return false
}

// KeepWindows has partitions keep closed windows until Written says that they have been taken away.
// It is called before anything runs.
func (c *Cuts) KeepWindows() { c.written.Store(-window.MaxTime) }

// Written says that the windows that end at end or before have been taken away.
func (c *Cuts) Written(end int64) {
	c.written.Store(end)
	c.wake()
}

// WrittenEnd is the end of the last window that has been taken away; it is later than any window if
// windows are not taken away.
func (c *Cuts) WrittenEnd() int64 { return c.written.Load() }

// newTable makes a table of a partition. The one group of a plan without keys is there before any
// record.
func newTable(l *layout.Layout, owners *result.Owners, id plan.PartitionID, memory table.Memory) (*table.Table, error) {
	t, err := table.New(l.Keys, l.Init, l.Memory(memory))
	if err != nil {
		return nil, fmt.Errorf("plan %s: partition %d: %w", l.Name, id, err)
	}
	if l.Keys.Columns() == 0 && l.Window == nil && !l.PassThrough && owners.Of(plan.Key{}) == id {
		t.FindOrCreate([]uint64{0}, nil, nil, make([]uint64, 1))
	}
	return t, nil
}
