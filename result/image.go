package result

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
)

// Groups are some groups in one table: the groups of a pane in a partition, the groups of a window,
// or all groups of a partition if the plan has no windows. They do not change while a cut that
// shows them is pinned.
type Groups struct {
	Layout *layout.Layout
	Table  *table.Table
	// Away are the shards that other partitions have now; it is nil if there are none.
	Away *AwayShards
	// End is the end of the window, if the groups belong to one pane that is a window or have been
	// merged to a window.
	End int64
	// Epoch is the epoch that first showed the groups.
	Epoch uint64

	// Slots is how many slots of cuts show the groups. Only the partition uses it.
	Slots int

	// side has the texts of states that were collected, see set.
	side []byte

	// Gone says that the memory of the table has been given back: a row of it that is used now is
	// used after Close of its snapshot. With invariants gone is also set when the partition writes
	// to the table again. The goroutine that gives the memory back stores it. A reader that is an
	// instant ahead of that store is not found: it uses a row while another goroutine closes the
	// snapshot.
	Gone atomic.Bool
}

// Free gives the memory back. No goroutine reads the groups any more.
func (g *Groups) Free() {
	g.Gone.Store(true)
	g.Table.Free()
}

// len is the number of groups.
func (g *Groups) len() int {
	if g.Away != nil {
		return g.Table.Len() - g.Away.All
	}
	return g.Table.Len()
}

// isAway says whether row i is in a shard that another partition has now.
func (g *Groups) isAway(i int) bool {
	key, _ := g.Table.Row(i)
	return g.Away.is[layout.ShardOf(g.Layout.Keys.HashKey(key))]
}

// get finds the group of a key.
func (g *Groups) get(k layout.EncodedKey) (Row, bool) {
	i, ok := g.Table.Get(k.Hash, k.Words, k.Heap)
	return Row{groups: g, index: i}, ok
}

// all yields every group.
func (g *Groups) all(yield func(Row) bool) bool {
	for i := range g.Table.Len() {
		if g.Gone.Load() {
			panic(usedAfterClose)
		}
		if g.Away != nil && g.isAway(i) {
			continue
		}
		if !yield(Row{groups: g, index: i}) {
			return false
		}
	}
	return true
}

// An Image is what one partition published: its groups at one cut through all readers. It does not
// change while its cut is pinned, so any number of goroutines may read it.
type Image struct {
	Layout *layout.Layout
	// Panes are its panes in order of time; there is one if the plan has no windows.
	Panes []PaneImage
	// pairs are there instead of panes if groups are made of the pairs of other images.
	pairs []*Image
	// Readers has what the partition knew of each reader at the cut; nil before the first epoch.
	Readers []ReaderImage
	// Clock is the end of the last closed window: windows that end at it or before are closed.
	Clock int64
	// Oldest is the end of the oldest window that is kept. Some panes of windows that end before
	// may have gone.
	Oldest int64

	// merged are the windows that consist of several panes and that some goroutine has read. A
	// goroutine that misses a window puts it in front, by a compare-and-swap.
	merged atomic.Pointer[mergedWindow]
}

// ReaderImage is what an image says of a reader.
type ReaderImage struct {
	Counters Counters // what the reader had routed
	Shed     uint64   // records of it that found no room in the partition
	Late     uint64   // records of it that came for a window that was closed in the partition
}

// PaneImage is a pane in an image.
type PaneImage struct {
	Pane window.Pane
	Last int64 // the end of the last window that the pane is part of; 0 if the plan has no windows
	*Groups
}

// lastEnd is the end of the last window that has a pane.
func lastEnd(l *layout.Layout, id window.Pane) (last int64) {
	if l.Window != nil {
		_, last = l.Window.Clock.Ends(id)
	}
	return last
}

// mergedWindow is a window that consists of several panes. The first goroutine that reads it merges
// them.
type mergedWindow struct {
	end    int64
	next   *mergedWindow
	lazy   lazy
	groups *Groups
}

// lazy makes something for its readers at most once, and remembers why that failed. If making it
// failed or panicked, every later call panics as well, so no reader goes on with something half
// made.
type lazy struct {
	once sync.Once
	err  error
}

// do calls construct the first time, and panics if that call failed.
func (m *lazy) do(construct func() error) {
	m.once.Do(func() {
		m.err = errors.New("merging the groups of the partitions has panicked")
		m.err = construct()
	})
	if m.err != nil {
		// The system has no memory at all. The built-in make does not return then either.
		panic(fmt.Sprintf("result: %v", m.err))
	}
}

// free gives back the memory of an image that was made of others.
func (m *Image) free() {
	for _, x := range m.Panes {
		x.Free()
	}
	m.Forget()
}

// Forget lets go of the windows that were merged.
func (m *Image) Forget() {
	for w := m.merged.Swap(nil); w != nil; w = w.next {
		if w.groups != nil { // it is nil if making it failed
			w.groups.Free()
		}
	}
}

// mergedWindow is the entry of a window.
func (m *Image) mergedWindow(end int64) *mergedWindow {
	for {
		first := m.merged.Load()
		for w := first; w != nil; w = w.next {
			if w.end == end {
				return w
			}
		}
		w := &mergedWindow{end: end, next: first}
		if m.merged.CompareAndSwap(first, w) {
			return w
		}
	}
}

// Len is the number of groups; for a plan with windows, the number in all of them.
func (m *Image) Len() (n int) {
	for _, g := range m.sets() {
		n += g.len()
	}
	return n
}

// All yields every group that passes the plan's Having, window by window. The order within a window
// means nothing.
func (m *Image) All() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for row := range m.rows() {
			if admits(m.Layout.Projection, row) && !yield(row) {
				return
			}
		}
	}
}

// rows yields every group.
func (m *Image) rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for _, g := range m.sets() {
			if !g.all(yield) {
				return
			}
		}
	}
}

// Get finds the group of a key of the same plan, unless the group does not pass Having.
func (m *Image) Get(k plan.Key) (Row, bool) {
	e := k.Encoded()
	end, w := e.Window, m.Layout.Window
	if w != nil && w.Session != nil {
		end = w.Clock.SessionEnd(end)
	}
	g := m.set(end)
	if g == nil {
		return Row{}, false
	}
	row, ok := g.get(e)
	if ok && w != nil && w.Session != nil {
		_, states := g.Table.Row(row.index)
		_, ends := w.Session.Bounds(states)
		ok = ends == e.Window
	}
	if ok && !admits(m.Layout.Projection, row) {
		return Row{}, false
	}
	return row, ok
}

// sets are the groups of the image: all in one, or the groups of each window, in the order of the
// windows.
func (m *Image) sets() []*Groups {
	w := m.Layout.Window
	if w == nil {
		return []*Groups{m.set(0)}
	}
	var sets []*Groups
	for _, end := range m.ends() {
		sets = append(sets, m.set(end))
	}
	return sets
}

// ends are the ends of the windows that have groups, as far as they are kept.
func (m *Image) ends() (ends []int64) { return m.endsFrom(m.Oldest) }

// endsFrom are the ends of the windows that have groups and end at oldest or later.
func (m *Image) endsFrom(oldest int64) (ends []int64) {
	c := &m.Layout.Window.Clock
	for _, p := range m.pairs {
		ends = append(ends, p.endsFrom(oldest)...)
	}
	for _, p := range m.Panes[m.firstOf(oldest):] {
		first, last := c.Ends(p.Pane)
		for end := first; end <= last; end = c.NextEnd(end) {
			if end >= oldest {
				ends = append(ends, end)
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// firstOf is the index of the first pane that is part of a window which ends at end or later. Panes
// are in order of time, and so are the last windows that they are part of.
func (m *Image) firstOf(end int64) int {
	return sort.Search(len(m.Panes), func(i int) bool { return m.Panes[i].Last >= end })
}

// panesOf are the begin and the end of a range of panes. It has all panes of the window that ends
// at end, and may have others.
func (m *Image) panesOf(end int64) (from, to int) {
	c := &m.Layout.Window.Clock
	from = m.firstOf(end)
	for to = from; to < len(m.Panes) && c.FirstEnd(c.PaneBegin(m.Panes[to].Pane)) <= end; {
		to++
	}
	return from, to
}

// set is the groups of the window with this end, or all groups if the plan has no windows. It is
// nil if there are none.
func (m *Image) set(end int64) *Groups {
	w := m.Layout.Window
	switch {
	case w == nil && m.pairs != nil:
		return m.ofPairs(0)
	case w == nil:
		return m.Panes[0].Groups
	}
	if end < m.Oldest {
		return nil
	}
	return m.anySet(end)
}

// anySet is like set, and also finds windows that are only kept until they are written.
func (m *Image) anySet(end int64) *Groups {
	if m.pairs != nil {
		return m.ofPairs(end)
	}
	w := m.Layout.Window
	in := func(p PaneImage) bool {
		first, last := w.Clock.Ends(p.Pane)
		return first <= end && end <= last
	}
	n, last := 0, 0
	from, to := m.panesOf(end)
	for i, p := range m.Panes[from:to] {
		if in(p) {
			n, last = n+1, from+i
		}
	}
	switch {
	case n == 0:
		return nil
	case n == 1 && m.Panes[last].End == end:
		return m.Panes[last].Groups
	}
	return m.mergedWindow(end).make(func() (*Groups, error) {
		if w.Session != nil {
			return m.sessionsOf(last)
		}
		panes := make([]*Groups, 0, n)
		for _, p := range m.Panes[from:to] {
			if in(p) {
				panes = append(panes, p.Groups)
			}
		}
		return mergeGroups(m.Layout, m.Layout, panes)
	})
}

// make makes the groups of the window, once.
func (x *mergedWindow) make(merge func() (*Groups, error)) *Groups {
	x.lazy.do(func() (err error) {
		x.groups, err = merge()
		if err == nil {
			x.groups.End = x.end
		}
		return err
	})
	return x.groups
}

// countersOf are the counters of each reader at the cut, from the images of all partitions. They
// say what a reader had routed, corrected for the records that the partitions had no room for or
// found late.
func countersOf(images []*Image) []Counters {
	// Every partition has got the same marks, except the marks of a reader that has only just
	// joined. Those say nothing yet.
	var counters []Counters
	for _, m := range images {
		if len(m.Readers) > len(counters) {
			counters = make([]Counters, len(m.Readers))
			for r := range m.Readers {
				counters[r] = m.Readers[r].Counters
			}
		}
	}
	for _, m := range images {
		for r, x := range m.Readers {
			counters[r].Shed += x.Shed
			counters[r].Late += x.Late
			counters[r].Counted -= x.Shed + x.Late
		}
	}
	return counters
}

// A Row is one group of a result. It is valid as long as the snapshot that it comes from. After
// Close of the snapshot the values that are read from it are not defined, and reading it panics if
// the memory has been given back. A Column reads its columns, see ColumnOf.
type Row struct {
	groups *Groups
	index  int
	// over has what was computed over all rows; nil if nothing was.
	over *overRow
}

// usedAfterClose is the message of a panic whose cause is a row of a snapshot that has been closed.
const usedAfterClose = "result: a row was used after Close of its snapshot"

// newMerged makes a table for the groups of some sets. The error says that the system has no memory
// for it.
func newMerged(l *layout.Layout, sets ...*Groups) (*Groups, error) {
	each := max(1, len(l.Sets))          // sets of keys that a group may be merged to
	memory := table.Memory{Groups: each} // room for the groups that are there before any record
	for _, g := range sets {
		memory.Groups += each * g.len()
		memory.Heap += each * len(g.Table.Heap())
	}
	t, err := table.New(l.Keys, l.Init, l.Memory(memory))
	if err != nil {
		return nil, fmt.Errorf("plan %s: cannot merge groups: %w", l.Name, err)
	}
	return &Groups{Layout: l, Table: t}, nil
}

// checkComplete returns the groups if all that were added have found room. Otherwise the error says
// why they have not.
func (g *Groups) checkComplete() (*Groups, error) {
	if shed, err := g.Table.Shed(); shed > 0 {
		g.Free()
		return nil, fmt.Errorf("plan %s: cannot merge groups: %w", g.Layout.Name, err)
	}
	return g, nil
}

// mergeGroups makes one set of groups of several, which do not change. They have layout from. to is
// the same layout, or the layout of what is read of it. The error says that the system has no
// memory for it.
func mergeGroups(from, to *layout.Layout, sets []*Groups) (*Groups, error) {
	merged, err := newMerged(to, sets...)
	if err != nil {
		return nil, err
	}
	if from != to && to.Keys.Columns() == 0 && to.Window == nil {
		// The one group is there before any pair.
		merged.Table.FindOrCreate([]uint64{0}, nil, nil, make([]uint64, 1))
	}
	m := NewMerger(from, to)
	if from != to && to.Window == nil {
		m.emptySets(merged)
	}
	for _, g := range sets {
		m.Add(merged, g, nil)
	}
	m.collect(merged)
	return merged.checkComplete()
}

// MergeImages makes one image of the images of all partitions, for a route that scatters groups.
// The images do not change. The error says that the system has no memory for it.
func MergeImages(images []*Image) (*Image, error) {
	merged := &Image{
		Layout: images[0].Layout, Clock: images[0].Clock,
		Oldest: images[0].Oldest,
	}
	byPane := map[window.Pane][]*Groups{}
	for _, m := range images {
		for _, x := range m.Panes {
			byPane[x.Pane] = append(byPane[x.Pane], x.Groups)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byPane)) {
		g, err := mergeGroups(merged.Layout, merged.Layout, byPane[id])
		if err != nil {
			merged.free()
			return nil, err
		}
		g.End = byPane[id][0].End
		merged.Panes = append(merged.Panes, PaneImage{id, lastEnd(merged.Layout, id), g})
	}
	return merged, nil
}
