package result

import (
	"iter"
	"slices"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A Cut is the images of all partitions at one epoch: a consistent picture of all groups. It does
// not change while it is pinned.
type Cut struct {
	epoch  uint64
	Owners *Owners
	Images []*Image // by partition

	// Scattered says that one group may be in several partitions. If it is so, or if groups are
	// made of pairs, the first goroutine that reads the cut merges the images of the partitions.
	Scattered bool
	// lazy says whether that has been done.
	lazy lazy
	// united is the images of all partitions as one, if groups are scattered.
	united *Image
	// merged is the image to read; it is nil if the images of the partitions are read.
	merged *Image
}

// NewCut makes the cut of a slot, which has no images yet.
func NewCut(owners *Owners, partitions int, scattered bool) *Cut {
	return &Cut{Owners: owners, Images: make([]*Image, partitions), Scattered: scattered}
}

// Begin says which epoch the images are of, and who owned the shards then. No goroutine reads the
// cut. complete says that all partitions have put their images there.
func (c *Cut) Begin(number uint64, owners *Owners, complete bool) {
	c.epoch, c.Owners = number, owners
	if !complete {
		return
	}
	for _, m := range []*Image{c.merged, c.united} {
		if m != nil {
			m.free()
		}
	}
	c.merged, c.united = nil, nil
	c.lazy = lazy{}
}

// Epoch is the number of the epoch. 0 is the epoch before the first, which has no groups except the
// one of a plan without keys.
func (c *Cut) Epoch() uint64 { return c.epoch }

// Partitions is the number of partitions.
func (c *Cut) Partitions() int { return len(c.Images) }

// Partition is what one partition had published: some of the groups. If groups are scattered, or
// made of pairs, other partitions may have parts of the same groups.
func (c *Cut) Partition(i int) *Image { return c.Images[i].readable() }

// layout is the layout of what is read.
func (c *Cut) layout() *layout.Layout { return c.Images[0].Layout.Reading }

// readable are the images to read. These are the images of the partitions, or a single one of all
// groups if the groups are scattered over the partitions or made of pairs.
func (c *Cut) readable() []*Image {
	if m := c.whole(); m != nil {
		return []*Image{m}
	}
	return c.Images
}

// whole is the one image of all groups; it is nil if each partition has its own groups.
func (c *Cut) whole() *Image {
	scattered := c.Scattered && len(c.Images) > 1
	if !scattered && c.layout() == c.Images[0].Layout {
		return nil
	}
	c.lazy.do(func() (err error) {
		if !scattered {
			c.merged = c.Images[0].readable(c.Images[1:]...)
			return nil
		}
		c.united, err = MergeImages(c.Images)
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

// Disjoint says that no two images have a row of the same group: groups are not scattered, and no
// shard has moved.
func (c *Cut) Disjoint() bool {
	for _, m := range c.Images {
		for _, x := range m.Panes {
			if x.Away != nil {
				return false
			}
		}
	}
	return !c.Scattered || len(c.Images) == 1
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
	for _, m := range c.Images {
		for _, x := range m.Panes {
			n += x.Table.Used()
		}
	}
	return n
}

// Get finds the group of a key that was made by the plan's Key. It returns false if there is no
// such group. It allocates nothing.
func (c *Cut) Get(k plan.Key) (Row, bool) {
	if m := c.whole(); m != nil {
		return m.Get(k)
	}
	return c.Images[c.Owners.Of(k)].Get(k)
}

// All yields the result: the groups that pass the plan's Having, in its order, from its Offset up
// to its Limit. Without those it yields every group, and the order means nothing.
func (c *Cut) All() iter.Seq[Row] {
	if s := c.layout().Projection; s != nil {
		return arrange(s, c.Rows())
	}
	return c.Rows()
}

// Rows yields every group.
func (c *Cut) Rows() iter.Seq[Row] {
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
	for _, x := range c.Images[0].Readers {
		n += x.Counters.In
	}
	return n
}

// Closed is the end of the last window that is closed, in nanoseconds since 1970. It returns false
// if the plan has no windows or none has closed. Groups of windows that end at Closed or before do
// not change any more.
func (c *Cut) Closed() (end int64, ok bool) {
	m := c.Images[0]
	end = m.Clock
	if w := m.Layout.Window; w != nil && w.Session != nil && end < window.MaxTime {
		// Records of the last gap may join a session, and so may a record at the very end of one.
		end -= w.Session.Gap + 1
	}
	return end, m.Layout.Window != nil && m.Clock > -window.MaxTime
}

// Windows are the ends of the closed windows that end later than after, in their order.
func (c *Cut) Windows(after int64) (ends []int64) {
	for _, m := range c.Images {
		for _, end := range m.endsFrom(after + 1) {
			if end <= m.Clock {
				ends = append(ends, end)
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// OpenWindows is the number of windows that have records and are not closed.
func (c *Cut) OpenWindows() int {
	if c.layout().Window == nil {
		return 0
	}
	var ends []int64
	for _, m := range c.Images {
		ends = append(ends, m.endsFrom(m.Clock+1)...)
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
	if l.Projection != nil {
		return batchesInto(l, b, arrange(l.Projection, all))
	}
	return batchesInto(l, b, all)
}

// Counters say what had become of each reader's records at the epoch; they are nil before the first
// epoch.
func (c *Cut) Counters() []Counters { return countersOf(c.Images) }
