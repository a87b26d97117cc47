package core

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
)

// groups are some groups in one table: the groups of a pane in a partition, the groups of a window,
// or all groups of a partition if the plan has no windows. They do not change while a cut that
// shows them is pinned.
type groups struct {
	layout *layout
	table  *table.Table
	// away are the shards that other partitions have now; it is nil if there are none.
	away *awayShards
	// end is the end of the window, if the groups belong to one pane that is a window or have been
	// merged to a window.
	end int64
	// epoch is the epoch that first showed the groups.
	epoch uint64

	// slots is how many slots of cuts show the groups. Only the partition uses it.
	slots int

	// gone says that the memory of the table has been given back: a row of it that is used now is
	// used after Close of its snapshot. With invariants gone is also set when the partition writes
	// to the table again. The goroutine that gives the memory back stores it. A reader that is an
	// instant ahead of that store is not found: it uses a row while another goroutine closes the
	// snapshot.
	gone atomic.Bool
}

// free gives the memory back. No goroutine reads the groups any more.
func (g *groups) free() {
	g.gone.Store(true)
	g.table.Free()
}

// len is the number of groups.
func (g *groups) len() int {
	if g.away != nil {
		return g.table.Len() - g.away.all
	}
	return g.table.Len()
}

// isAway says whether row i is in a shard that another partition has now.
func (g *groups) isAway(i int) bool {
	key, _ := g.table.Row(i)
	return g.away.is[shardOf(g.layout.keys.HashKey(key))]
}

// get finds the group of a key.
func (g *groups) get(k Key) (Row, bool) {
	i, ok := g.table.Get(k.hash, k.words, k.heap)
	return Row{g, i}, ok
}

// all yields every group.
func (g *groups) all(yield func(Row) bool) bool {
	for i := range g.table.Len() {
		if g.gone.Load() {
			panic(usedAfterClose)
		}
		if g.away != nil && g.isAway(i) {
			continue
		}
		if !yield(Row{g, i}) {
			return false
		}
	}
	return true
}

// An Image is what one partition published: its groups at one cut through all readers. It does not
// change while its cut is pinned, so any number of goroutines may read it.
type Image struct {
	layout *layout
	// panes are its panes in order of time; there is one if the plan has no windows.
	panes []paneImage
	// pairs are there instead of panes if groups are made of the pairs of other images.
	pairs []*Image
	// readers has what the partition knew of each reader at the cut; nil before the first epoch.
	readers []readerImage
	// clock is the end of the last closed window: windows that end at it or before are closed.
	clock int64
	// oldest is the end of the oldest window that is kept. Some panes of windows that end before
	// may have gone.
	oldest int64

	// merged are the windows that consist of several panes and that some goroutine has read. A
	// goroutine that misses a window puts it in front, by a compare-and-swap.
	merged atomic.Pointer[mergedWindow]
}

// readerImage is what an image says of a reader.
type readerImage struct {
	counters Counters // what the reader had routed
	shed     uint64   // records of it that found no room in the partition
	late     uint64   // records of it that came for a window that was closed in the partition
}

// paneImage is a pane in an image.
type paneImage struct {
	pane window.Pane
	last int64 // the end of the last window that the pane is part of; 0 if the plan has no windows
	*groups
}

// lastEnd is the end of the last window that has a pane.
func lastEnd(l *layout, id window.Pane) (last int64) {
	if l.window != nil {
		_, last = l.window.clock.Ends(id)
	}
	return last
}

// mergedWindow is a window that consists of several panes. The first goroutine that reads it merges
// them.
type mergedWindow struct {
	end    int64
	next   *mergedWindow
	lazy   lazy
	groups *groups
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
		panic(fmt.Sprintf("core: %v", m.err))
	}
}

// free gives back the memory of an image that was made of others.
func (m *Image) free() {
	for _, x := range m.panes {
		x.free()
	}
	m.forget()
}

// forget lets go of the windows that were merged.
func (m *Image) forget() {
	for w := m.merged.Swap(nil); w != nil; w = w.next {
		if w.groups != nil { // it is nil if making it failed
			w.groups.free()
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
			if m.layout.projection.admits(row.groups, row.index) && !yield(row) {
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
func (m *Image) Get(k Key) (Row, bool) {
	end, w := k.window, m.layout.window
	if w != nil && w.session != nil {
		end = w.clock.SessionEnd(end)
	}
	g := m.set(end)
	if g == nil {
		return Row{}, false
	}
	row, ok := g.get(k)
	if ok && w != nil && w.session != nil {
		_, states := g.table.Row(row.index)
		_, ends := w.session.bounds(states)
		ok = ends == k.window
	}
	if ok && !m.layout.projection.admits(g, row.index) {
		return Row{}, false
	}
	return row, ok
}

// sets are the groups of the image: all in one, or the groups of each window, in the order of the
// windows.
func (m *Image) sets() []*groups {
	w := m.layout.window
	if w == nil {
		return []*groups{m.set(0)}
	}
	var sets []*groups
	for _, end := range m.ends() {
		sets = append(sets, m.set(end))
	}
	return sets
}

// ends are the ends of the windows that have groups, as far as they are kept.
func (m *Image) ends() (ends []int64) { return m.endsFrom(m.oldest) }

// endsFrom are the ends of the windows that have groups and end at oldest or later.
func (m *Image) endsFrom(oldest int64) (ends []int64) {
	c := &m.layout.window.clock
	for _, p := range m.pairs {
		ends = append(ends, p.endsFrom(oldest)...)
	}
	for _, p := range m.panes[m.firstOf(oldest):] {
		first, last := c.Ends(p.pane)
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
	return sort.Search(len(m.panes), func(i int) bool { return m.panes[i].last >= end })
}

// panesOf are the begin and the end of a range of panes. It has all panes of the window that ends
// at end, and may have others.
func (m *Image) panesOf(end int64) (from, to int) {
	c := &m.layout.window.clock
	from = m.firstOf(end)
	for to = from; to < len(m.panes) && c.FirstEnd(c.PaneBegin(m.panes[to].pane)) <= end; {
		to++
	}
	return from, to
}

// set is the groups of the window with this end, or all groups if the plan has no windows. It is
// nil if there are none.
func (m *Image) set(end int64) *groups {
	w := m.layout.window
	switch {
	case w == nil && m.pairs != nil:
		return m.ofPairs(0)
	case w == nil:
		return m.panes[0].groups
	}
	if end < m.oldest {
		return nil
	}
	return m.anySet(end)
}

// anySet is like set, and also finds windows that are only kept until they are written.
func (m *Image) anySet(end int64) *groups {
	if m.pairs != nil {
		return m.ofPairs(end)
	}
	w := m.layout.window
	in := func(p paneImage) bool {
		first, last := w.clock.Ends(p.pane)
		return first <= end && end <= last
	}
	n, last := 0, 0
	from, to := m.panesOf(end)
	for i, p := range m.panes[from:to] {
		if in(p) {
			n, last = n+1, from+i
		}
	}
	switch {
	case n == 0:
		return nil
	case n == 1 && m.panes[last].end == end:
		return m.panes[last].groups
	}
	return m.mergedWindow(end).make(func() (*groups, error) {
		if w.session != nil {
			return m.sessionsOf(last)
		}
		panes := make([]*groups, 0, n)
		for _, p := range m.panes[from:to] {
			if in(p) {
				panes = append(panes, p.groups)
			}
		}
		return mergeGroups(m.layout, m.layout, panes)
	})
}

// make makes the groups of the window, once.
func (x *mergedWindow) make(merge func() (*groups, error)) *groups {
	x.lazy.do(func() (err error) {
		x.groups, err = merge()
		if err == nil {
			x.groups.end = x.end
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
		if len(m.readers) > len(counters) {
			counters = make([]Counters, len(m.readers))
			for r := range m.readers {
				counters[r] = m.readers[r].counters
			}
		}
	}
	for _, m := range images {
		for r, x := range m.readers {
			counters[r].Shed += x.shed
			counters[r].Late += x.late
			counters[r].Counted -= x.shed + x.late
		}
	}
	return counters
}

// A Row is one group of a result. It is valid as long as the snapshot that it comes from. After
// Close of the snapshot the values that are read from it are not defined, and reading it panics if
// the memory has been given back. A Column reads its columns, see ColumnOf.
type Row struct {
	groups *groups
	index  int
}

// usedAfterClose is the message of a panic whose cause is a row of a snapshot that has been closed.
const usedAfterClose = "core: a row was used after Close of its snapshot"

// newMerged makes a table for the groups of some sets. The error says that the system has no memory
// for it.
func newMerged(l *layout, sets ...*groups) (*groups, error) {
	memory := table.Memory{Groups: 1} // room for the one group of a plan without keys
	for _, g := range sets {
		memory.Groups += g.len()
		memory.Heap += len(g.table.Heap())
	}
	t, err := table.New(l.keys, l.init, l.memory(memory))
	if err != nil {
		return nil, fmt.Errorf("core: plan %s: cannot merge groups: %w", l.plan.name(), err)
	}
	return &groups{layout: l, table: t}, nil
}

// checkComplete returns the groups if all that were added have found room. Otherwise the error says
// why they have not.
func (g *groups) checkComplete() (*groups, error) {
	if shed, err := g.table.Shed(); shed > 0 {
		g.free()
		return nil, fmt.Errorf("core: plan %s: cannot merge groups: %w", g.layout.plan.name(), err)
	}
	return g, nil
}

// mergeGroups makes one set of groups of several, which do not change. They have layout from. to is
// the same layout, or the layout of what is read of it. The error says that the system has no
// memory for it.
func mergeGroups(from, to *layout, sets []*groups) (*groups, error) {
	merged, err := newMerged(to, sets...)
	if err != nil {
		return nil, err
	}
	if from != to && to.keys.Columns() == 0 && to.window == nil {
		// The one group is there before any pair.
		merged.table.FindOrCreate([]uint64{0}, nil, nil, make([]uint64, 1))
	}
	m := newMerger(from, to)
	for _, g := range sets {
		m.add(merged, g, nil)
	}
	return merged.checkComplete()
}

// mergeImages makes one image of the images of all partitions, for a route that scatters groups.
// The images do not change. The error says that the system has no memory for it.
func mergeImages(images []*Image) (*Image, error) {
	merged := &Image{
		layout: images[0].layout, clock: images[0].clock,
		oldest: images[0].oldest,
	}
	byPane := map[window.Pane][]*groups{}
	for _, m := range images {
		for _, x := range m.panes {
			byPane[x.pane] = append(byPane[x.pane], x.groups)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byPane)) {
		g, err := mergeGroups(merged.layout, merged.layout, byPane[id])
		if err != nil {
			merged.free()
			return nil, err
		}
		g.end = byPane[id][0].end
		merged.panes = append(merged.panes, paneImage{id, lastEnd(merged.layout, id), g})
	}
	return merged, nil
}
