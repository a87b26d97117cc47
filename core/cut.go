package core

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sync/atomic"

	"github.com/velo-engine/velo/core/epoch"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
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

// A Cut is the images of all partitions at one epoch: a consistent picture of all groups. It does
// not change while it is pinned.
type Cut struct {
	epoch  uint64
	owners *Owners
	images []*Image // by partition

	// scattered says that one group may be in several partitions. If it is so, or if groups are
	// made of pairs, the first goroutine that reads the cut merges the images of the partitions.
	scattered bool
	// lazy says whether that has been done.
	lazy lazy
	// united is the images of all partitions as one, if groups are scattered.
	united *Image
	// merged is the image to read; it is nil if the images of the partitions are read.
	merged *Image
}

// Cuts are the cuts of an engine and their epochs: what its routers and partitions share.
//
// A partition has a table for each slot of the epochs, and a live one. At an epoch it puts the live
// table into the epoch's slot. The table that was in the slot, which no goroutine reads any more,
// becomes the next live one.
type Cuts struct {
	*epoch.Epochs
	// cuts are the cuts by slot.
	cuts   []*Cut
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

	// written is the end of the last window that has been taken away; it is everyWindow if windows
	// are not taken away at all. The goroutine that takes them stores it, and wakes the partitions
	// after the store. Partitions look at it, and keep the windows that have not been taken away.
	written atomic.Int64

	// owners says who owns the shards before the marks of the epoch in flight. The last partition
	// to answer an epoch writes owners and move, in done. They are read after the next epoch is
	// raised.
	owners *Owners
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
func NewCuts(plan *Plan, route Route, readers, partitions, held int, state *MemoryBudget, wake func()) *Cuts {
	c := &Cuts{
		budget: state, wake: wake, owners: NewOwners(partitions), windows: plan.Window != nil,
		open: make([]atomic.Int64, partitions),
	}
	c.least.Store(watermarkNone)
	c.bytes = rowAddresses / partitions / (ownTables + held)
	slots := ownTables - 1 + held
	for range slots + 1 { // one more for the last epoch
		c.cuts = append(c.cuts, &Cut{
			owners: c.owners, images: make([]*Image, partitions),
			scattered: route.For(plan).Scatters() && !plan.PassesThrough(),
		})
	}
	c.written.Store(everyWindow)
	c.Epochs = epoch.New(readers, partitions, slots, wake, c.done)
	return c
}

// done completes a cut that no goroutine sees yet.
func (c *Cuts) done(number uint64, slot int, complete bool) {
	cut := c.cuts[slot]
	cut.epoch, cut.owners = number, c.owners
	c.advanceMove(number)
	if !complete {
		return
	}
	for _, m := range []*Image{cut.merged, cut.united} {
		if m != nil {
			m.free()
		}
	}
	cut.merged, cut.united = nil, nil
	cut.lazy = lazy{}
}

// Pin gives the newest cut and keeps it as it is until Unpin of its slot. No agent waits because of
// it. Any goroutine may call it.
func (c *Cuts) Pin() (cut *Cut, slot int) {
	slot = c.Epochs.Pin()
	return c.cuts[slot], slot
}

// Epoch is the number of the epoch. 0 is the epoch before the first, which has no groups except the
// one of a plan without keys.
func (c *Cut) Epoch() uint64 { return c.epoch }

// Partitions is the number of partitions.
func (c *Cut) Partitions() int { return len(c.images) }

// Partition is what one partition had published: some of the groups. If groups are scattered, or
// made of pairs, other partitions may have parts of the same groups.
func (c *Cut) Partition(i int) *Image { return c.images[i].readable() }

// layout is the layout of what is read.
func (c *Cut) layout() *layout { return c.images[0].layout.reading }

// readable are the images to read. These are the images of the partitions, or a single one of all
// groups if the groups are scattered over the partitions or made of pairs.
func (c *Cut) readable() []*Image {
	if m := c.whole(); m != nil {
		return []*Image{m}
	}
	return c.images
}

// whole is the one image of all groups; it is nil if each partition has its own groups.
func (c *Cut) whole() *Image {
	scattered := c.scattered && len(c.images) > 1
	if !scattered && c.layout() == c.images[0].layout {
		return nil
	}
	c.lazy.do(func() (err error) {
		if !scattered {
			c.merged = c.images[0].readable(c.images[1:]...)
			return nil
		}
		c.united, err = mergeImages(c.images)
		if err != nil {
			return err
		}
		c.merged = c.united.readable()
		if c.merged == c.united {
			c.united = nil
		}
		return nil
	})
	return c.merged
}

// Len is the number of groups.
func (c *Cut) Len() (n int) {
	for _, m := range c.readable() {
		n += m.Len()
	}
	return n
}

// Bytes is about the memory that the groups need: rows, index and long keys of one table for each
// partition.
func (c *Cut) Bytes() (n int) {
	for _, m := range c.images {
		for _, x := range m.panes {
			n += x.table.Used()
		}
	}
	return n
}

// Get finds the group of a key that was made by the plan's Key. It returns false if there is no
// such group. It allocates nothing.
func (c *Cut) Get(k Key) (Row, bool) {
	if m := c.whole(); m != nil {
		return m.Get(k)
	}
	return c.images[c.owners.Of(k)].Get(k)
}

// All yields the result: the groups that pass the plan's Having, in its order, from its Offset up
// to its Limit. Without those it yields every group, and the order means nothing.
func (c *Cut) All() iter.Seq[Row] {
	if s := c.layout().projection; s != nil {
		return s.arrange(c.rows())
	}
	return c.rows()
}

// rows yields every group.
func (c *Cut) rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for _, m := range c.readable() {
			for _, g := range m.sets() {
				if !g.all(yield) {
					return
				}
			}
		}
	}
}

// Records is the number of records that had been taken from all readers.
func (c *Cut) Records() (n uint64) {
	// Every partition has got the same marks, except the marks of a reader that has just joined.
	for _, x := range c.images[0].readers {
		n += x.counters.In
	}
	return n
}

// Closed is the end of the last window that is closed, in nanoseconds since 1970. It returns false
// if the plan has no windows or none has closed. Groups of windows that end at Closed or before do
// not change any more.
func (c *Cut) Closed() (end int64, ok bool) {
	m := c.images[0]
	end = m.clock
	if w := m.layout.window; w != nil && w.session != nil && end < window.MaxTime {
		// Records of the last gap may join a session, and so may a record at the very end of one.
		end -= w.session.gap + 1
	}
	return end, m.layout.window != nil && m.clock > -window.MaxTime
}

// everyWindow is later than the end of any window.
const everyWindow = math.MaxInt64

// noteWindows notes how many panes of a partition are open, and the watermark of the reader that is
// furthest behind.
func (c *Cuts) noteWindows(p PartitionID, open int, least int64) {
	c.open[p].Store(int64(open))
	c.least.Store(least)
}

// crowded says whether some partition has so many open panes that readers which are ahead of others
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

// Windows are the ends of the closed windows that end later than after, in their order.
func (c *Cut) Windows(after int64) (ends []int64) {
	for _, m := range c.images {
		for _, end := range m.endsFrom(after + 1) {
			if end <= m.clock {
				ends = append(ends, end)
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// OpenWindows is the number of windows that have records and are not closed.
func (c *Cut) OpenWindows() int {
	if c.layout().window == nil {
		return 0
	}
	var ends []int64
	for _, m := range c.images {
		ends = append(ends, m.endsFrom(m.clock+1)...)
	}
	slices.Sort(ends)
	return len(slices.Compact(ends))
}

// WindowBatches yields the result of one window in batches. Having, OrderBy, Limit and Offset of
// the plan apply to each window by itself. Every batch is b, which has the schema of the plan's
// result, so a batch is valid until the next one.
func (c *Cut) WindowBatches(end int64, b *record.Batch) iter.Seq[*record.Batch] {
	images, l := c.readable(), c.layout()
	all := func(yield func(Row) bool) {
		for _, m := range images {
			if g := m.anySet(end); g != nil && !g.all(yield) {
				return
			}
		}
	}
	if l.projection != nil {
		return l.batchesInto(b, l.projection.arrange(all))
	}
	return l.batchesInto(b, all)
}

// Counters say what had become of each reader's records at the epoch; they are nil before the first
// epoch.
func (c *Cut) Counters() []Counters { return countersOf(c.images) }

// newTable makes a table of a partition. The one group of a plan without keys is there before any
// record.
func newTable(l *layout, owners *Owners, id PartitionID, memory table.Memory) (*table.Table, error) {
	t, err := table.New(l.keys, l.init, l.memory(memory))
	if err != nil {
		return nil, fmt.Errorf("core: plan %s: partition %d: %w", l.plan.name(), id, err)
	}
	if l.keys.Columns() == 0 && l.window == nil && !l.passThrough && owners.Of(Key{}) == id {
		t.FindOrCreate([]uint64{0}, nil, nil, make([]uint64, 1))
	}
	return t, nil
}
