package core

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/ring"
)

// chunksPerStep bounds what a partition does in one Step: a few times 64 KiB, well under a millisecond.
const chunksPerStep = 4

// copyPerStep bounds the bytes that a partition copies in one Step to catch up with its image: some hundred microseconds. Copies of a mebibyte pass by
// the caches, see runtime.memmove.
const copyPerStep = 1 << 20

// A Partition keeps the groups of its shards. It is an Agent.
//
// # At an epoch
//
// It drains the rings of the readers whose mark it lacks and holds the others: their marks stay in their rings. When it has them all it publishes
// the tables of its panes, takes others that nobody reads any more as its live ones, and lets those catch up, a piece at a time. Then it takes the marks
// out and goes on. Until then the rings are not empty, so no router applies anything in place.
//
// The marks carry the watermarks of the readers, so all partitions close the same windows in the same epoch.
type Partition struct {
	id    PartitionID
	cuts  *Cuts
	in    []*ring.Consumer[Chunk] // one for each reader
	bells []Bell                  // of the readers
	turn  int                     // the ring to look at first in the next Step
	kernel
	states [][]uint64 // of partial states

	merger  *merger // of sessions; nil where there are none
	outlet  Outlet  // of a plan that passes records through; nil else
	blocked bool    // it had no batch
	first   *Owners // before any shard moved
	panes   []*pane // in their order, but for those since the last epoch; one if the plan has no windows
	sealed  int     // the first so many are closed
	byID    map[window.Pane]*pane
	last    *pane   // that was looked up last
	changed []*pane // since store looked at them
	gone    []*pane // that the newest epoch does not show, and older ones do
	unused  []*pane // that nobody shows
	lagging []*pane // that have to catch up
	behind  bool    // some have yet to

	caughtUp int    // of lagging, the first so many have
	lent     *Image // of an epoch without a cut: it has a live table, for the new owner of a shard to read; nil else

	tables func(id window.Pane, n int) *table.Table // tableOf and added, made once
	full   func(*table.Table)

	lacking lacking
	starved bool  // the last Step had no work because of them
	now     Nanos // of the last Step

	// The readers whose last mark has come, those held at the mark of the next epoch, and the counters and watermark of each as of its last mark.
	ended      []bool
	held       []bool
	left       int // readers that have not ended
	missing    int // of those, the ones that are not held
	counters   []Counters
	watermarks []int64
	closed     int64  // windows that end up to here are
	oldest     int64  // windows that end before are not kept
	epoch      uint64 // answered
	done       bool   // the last of them

	handover *handover // what is to be done for a shard that moves, nil where there is nothing
	given    *given    // shards that have gone to other partitions

	state  *State
	reader ReaderID // whose records are being applied
	shed   []uint64 // records of each reader that found no room
	tooOld []uint64 // and that came for a closed window
	err    error    // why the plan must end, nil where it need not

	// For other goroutines; single writer, stored once per Step.
	rows, partials, groups, bytes, sheds, late, copied, live, memoryWaits atomic.Uint64
	rowCount, partialCount, shedCount, lateCount, copyCount               uint64
	sums                                                                  paneSums
}

const (
	// unusedPanes is how many panes that nobody shows are kept for the next ones, with their memory; of small ones, which have up
	// to smallPane bytes, unusedSmall.
	unusedPanes = 4
	unusedSmall = 1 << 12
	smallPane   = 16 << 10
)

// NewPartition makes a partition without groups. in and bells have an entry for each reader.
func NewPartition(id PartitionID, plan *Plan, in []*ring.Consumer[Chunk], bells []Bell, state *State, cuts *Cuts) (*Partition, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	if len(l.sided) > 0 && state.sheds() {
		return nil, fmt.Errorf("core: plan %s: %v keeps state beside the rows of groups, and where that has no room no record can be told to be dropped: "+
			"such plans stop when their memory is used up, StateShed is not for them", plan.name(), l.sided[0].kind)
	}
	p := &Partition{
		id: id, cuts: cuts, in: slices.Clone(in), bells: slices.Clone(bells), states: make([][]uint64, len(l.init)), first: cuts.owners,
		ended: make([]bool, len(in)), held: make([]bool, len(in)), left: len(in), missing: len(in),
		counters: make([]Counters, len(in)), watermarks: make([]int64, len(in)), state: state, shed: make([]uint64, len(in)), tooOld: make([]uint64, len(in)),
		closed: -window.MaxTime, oldest: -window.MaxTime, byID: map[window.Pane]*pane{},
	}
	for r := range in {
		p.watermarks[r] = watermarkNone
	}
	p.kernel = newKernel(l, nil)
	p.stamp = 1 // what comes before the first epoch is part of that
	p.tables, p.full = p.tableOf, p.added
	if l.window != nil && l.window.session != nil {
		p.merger = newMerger(l, l)
	}
	for _, c := range cuts.cuts {
		c.images[id] = &Image{layout: l, clock: p.closed, oldest: p.oldest}
	}
	if l.window == nil {
		x, err := p.newPane(0)
		if err != nil {
			return nil, err
		}
		for slot := range ownTables - 1 { // that of slot 0 is the cut of epoch 0
			g, err := x.spare(p)
			if err != nil {
				return nil, err
			}
			x.show(slot, g)
			cuts.cuts[slot].images[id].panes = []paneImage{{x.id, x.last, g}}
		}
		x.live.table.Live()
	}
	p.store()
	return p, nil
}

// Join adds the ring of one more reader, which has the next id, and returns the epoch that the partition has answered. It is called between
// two Steps. The partition answers no further epoch without the reader's mark; see Router.Join.
func (p *Partition) Join(in *ring.Consumer[Chunk], bell Bell) (answered uint64) {
	p.in, p.bells = append(p.in, in), append(p.bells, bell)
	p.ended, p.held = append(p.ended, false), append(p.held, false)
	p.counters, p.shed = append(p.counters, Counters{}), append(p.shed, 0)
	p.watermarks, p.tooOld = append(p.watermarks, watermarkNone), append(p.tooOld, 0)
	p.left++
	p.missing++
	return p.epoch
}

// newPane makes a pane with a live table, and puts it in its place.
func (p *Partition) newPane(id window.Pane) (x *pane, err error) {
	if n := len(p.unused); n > 0 {
		x, p.unused = p.unused[n-1], p.unused[:n-1]
		x.reuse()
	} else {
		x = &pane{memory: p.state.memory(), bySlot: make([]*groups, len(p.cuts.cuts))}
		x.memory.Twins, x.memory.Bytes = p.state.twins(), p.cuts.bytes
		if p.layout.window != nil {
			x.memory.Groups = MaxPaneGroups
		}
		if x.live, err = x.newGroups(p); err != nil {
			return nil, err
		}
	}
	x.id = id
	if w := p.layout.window; w != nil {
		x.first, x.last = w.clock.Ends(id)
		x.shut = w.clock.Shut(id)
		if x.end = x.first; x.first != x.last || w.session != nil {
			x.end = manyWindows
		}
		for _, g := range x.tables {
			g.end = x.end
		}
	}
	p.panes = append(p.panes, x)
	p.byID[id] = x
	x.live.table.Live()
	p.touch(x)
	return x, nil
}

// manyWindows is the end of groups that are in several windows, or in sessions.
const manyWindows = math.MinInt64

// tableOf is the live table for n records of a pane; nil where they are dropped, counted.
func (p *Partition) tableOf(id window.Pane, n int) *table.Table {
	x := p.last
	if x == nil || x.id != id || x.live == nil {
		if x = p.pane(id); x == nil {
			p.tooOld[p.reader] += uint64(n)
			p.lateCount += uint64(n)
			return nil
		}
		p.last = x
	}
	p.touch(x)
	return x.live.table
}

// touch notes that the groups of a pane change.
func (p *Partition) touch(x *pane) {
	x.touched = true
	p.note(x)
}

// note has store look at a pane.
func (p *Partition) note(x *pane) {
	if !x.noted {
		x.noted = true
		p.changed = append(p.changed, x)
	}
}

// pane is the pane with this id; nil where all its windows are closed, or there is no room, which ends the plan.
func (p *Partition) pane(id window.Pane) *pane {
	if w := p.layout.window; w != nil {
		if first, _ := w.clock.Ends(id); min(first, w.clock.Shut(id)) <= p.closed { // closed while the reader was idle, or before it joined: some of its windows, or all
			var late bool
			if id, late = w.clock.PaneOf(w.clock.PaneBegin(id), p.closed); late {
				return nil
			}
		}
	}
	if x := p.byID[id]; x != nil {
		return x
	}
	if len(p.panes) >= MaxPanes {
		p.fail(fmt.Errorf("core: plan %s: more than %d panes of time are open at once: windows are short for records that are so far out of order (Window.OutOfOrder, Window.Lateness)",
			p.layout.plan.name(), MaxPanes))
		return nil
	}
	x, err := p.newPane(id)
	if err != nil {
		p.fail(p.state.full(p.layout.plan.name(), 0, err))
		return nil
	}
	return x
}

func (p *Partition) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// PartitionStats are the counters of a partition.
type PartitionStats struct {
	Rows     uint64 // records applied
	Partials uint64 // partial states merged
	Groups   uint64
	Panes    uint64 // pieces of time that it has groups of, one where the plan has no windows
	Bytes    uint64 // memory of the groups, that of their images included
	Shed     uint64 // records that found no room
	Late     uint64 // records that came for a window which had closed while their reader was idle, or before it joined
	Copied   uint64 // bytes of groups that were copied for images

	MemoryWaits uint64 // times that a chunk had to wait for memory that had not been made ready
}

// Stats are the partition's counters as of its last Step. Any goroutine may call it.
func (p *Partition) Stats() PartitionStats {
	return PartitionStats{
		Rows: p.rows.Load(), Partials: p.partials.Load(), Groups: p.groups.Load(), Panes: p.live.Load(), Bytes: p.bytes.Load(),
		Shed: p.sheds.Load(), Late: p.late.Load(), Copied: p.copied.Load(), MemoryWaits: p.memoryWaits.Load(),
	}
}

// store publishes the counters. It looks at the panes that have changed: there may be many others.
func (p *Partition) store() {
	for _, x := range p.changed {
		x.noted = false
		p.count(x)
	}
	p.changed = p.changed[:0]
	p.rows.Store(p.rowCount)
	p.partials.Store(p.partialCount)
	p.groups.Store(uint64(p.sums.groups))
	p.live.Store(uint64(len(p.panes)))
	p.bytes.Store(uint64(p.sums.bytes))
	p.sheds.Store(p.shedCount)
	p.late.Store(p.lateCount)
	p.memoryWaits.Store(uint64(p.sums.waits))
	p.copied.Store(p.copyCount)
}

// paneSums are what the panes of a partition have together, or one of them.
type paneSums struct{ groups, bytes, waits int }

func (s *paneSums) add(to, from paneSums) {
	s.groups += to.groups - from.groups
	s.bytes += to.bytes - from.bytes
	s.waits += to.waits - from.waits
}

// count brings the sums up to date with a pane, and has its twins made ready to follow it.
func (p *Partition) count(x *pane) {
	var now paneSums
	for _, g := range x.tables {
		now.bytes += g.table.Bytes()
	}
	if p.byID[x.id] == x { // else the newest epoch does not show it
		live := x.live
		if live == nil {
			live = x.shown
		}
		now.groups, now.waits = live.table.Len(), live.table.Late()
		for i, g := range x.tables {
			if i < ownTables && g != live {
				g.table.Prepare(live.table)
			}
		}
	}
	p.sums.add(now, x.counted)
	x.counted = now
}

// uncount takes the groups of a pane out of the sums that the newest epoch does not show. Its memory is there until it is freed.
func (p *Partition) uncount(x *pane) {
	p.sums.add(paneSums{bytes: x.counted.bytes}, x.counted)
	x.counted = paneSums{bytes: x.counted.bytes}
}

// Done says whether every reader has ended and everything they sent is in the last image.
func (p *Partition) Done() bool { return p.done }

// Wake is never: readers give a partition work, and they ring; so does whoever raises an epoch.
func (p *Partition) Wake() Nanos {
	switch {
	case p.starved:
		return p.now + memoryWait
	case p.behind && p.lent == nil:
		return 0
	}
	return Never
}

// Stall is why the last Step had no work.
func (p *Partition) Stall() Stall {
	if p.unwritten() || p.blocked {
		return StallOutput
	}
	if p.starved {
		return StallMemory
	}
	if p.missing < p.left {
		return StallMark
	}
	return StallInput
}

// Err is that there was no room for a group, where that ends the plan.
func (p *Partition) Err() error { return p.err }

// Step applies some chunks, fairly: it begins at the ring behind the one that the last Step ended with.
func (p *Partition) Step(now Nanos) (work int) {
	p.now, p.blocked, p.starved = now, false, false
	if p.done {
		return 0
	}
	if p.lent != nil {
		return p.takeBack()
	}
	if p.unwritten() {
		return 0
	}
	if p.behind {
		return p.catchUp()
	}
	for range p.in {
		r := p.turn
		if p.turn++; p.turn == len(p.in) {
			p.turn = 0
		}
		if p.ended[r] || p.held[r] {
			continue
		}
		work += p.drain(r, chunksPerStep-work)
		if work >= chunksPerStep {
			break
		}
	}
	if p.handover != nil {
		work += p.handOver()
	}
	if p.missing == 0 && p.handover == nil {
		// All marks are there, or all readers have ended: then it is the epoch that says so.
		if number, slot := p.cuts.Raised(); number > p.epoch {
			p.publish(number, slot)
			work++
		}
	}
	if work > 0 {
		p.store()
	}
	return work
}

// drain applies up to most chunks of one ring.
func (p *Partition) drain(r, most int) (chunks int) {
	for chunks < most {
		s := p.in[r].Peek(1)
		if len(s) == 0 {
			return chunks
		}
		c := &s[0]
		if invariants.Enabled && c.reader != ReaderID(r) {
			panic("core: a chunk of another reader in the ring")
		}
		chunks++
		switch c.kind {
		case chunkMark:
			if invariants.Enabled && c.epoch != p.epoch+1 && (c.epoch != p.epoch || c.counters.In > 0) {
				panic("core: a mark of another epoch")
			}
			if c.epoch == p.epoch {
				break // the first of a reader that joined when this partition had answered already
			}
			p.held[r] = true
			p.missing--
			p.counters[r], p.watermarks[r] = c.counters, c.watermark
			return chunks // release takes it out
		case chunkEnd:
			p.ended[r] = true
			p.left--
			p.missing--
			p.counters[r], p.watermarks[r] = c.counters, c.watermark
			p.release(r)
			p.in[r] = nil // its memory can go
			return chunks
		case chunkPartials:
			if p.lacks() {
				return chunks - 1
			}
			p.mergeChunk(c)
		default:
			if p.layout.passes {
				if !p.pass(c) {
					return chunks - 1
				}
				break
			}
			if p.lacks() {
				return chunks - 1
			}
			p.applyChunk(c)
		}
		p.release(r)
	}
	return chunks
}

// lacks says whether a chunk has to wait for memory.
func (p *Partition) lacks() bool {
	p.starved = !p.ready()
	return p.starved
}

// chunkRows is the most groups that a chunk may bring.
func (p *Partition) chunkRows() int { return max(p.layout.rows, p.layout.partialRows) }

// release takes a chunk out of the ring of a reader.
func (p *Partition) release(r int) {
	p.in[r].Release(1)
	p.bells[r].Ring()
}

// publish answers an epoch: the live tables become what the partition shows in the epoch's slot, and others take their places. Where
// there is no memory for that the partition goes on as it was, and the epoch has no cut.
func (p *Partition) publish(number uint64, slot int) {
	if invariants.Enabled && number != p.epoch+1 {
		panic("core: an epoch was passed over")
	}
	p.epoch, p.stamp = number, number+1
	if m := p.cuts.move; m.epoch == number && m.from != m.to && (m.from == p.id || m.to == p.id) {
		p.handover = &handover{move: m, slot: slot}
	}
	isLast := p.cuts.IsLast(slot)
	if w := p.layout.window; w != nil {
		p.closed = max(p.closed, w.closed(p.watermark()))
		p.oldest = max(p.oldest, w.oldest(p.closed))
		p.sortPanes()
		if w.session != nil {
			p.carryAll()
		}
		p.dropOld(slot)
	}
	m := p.cuts.cuts[slot].images[p.id]
	m.forget()
	m.panes = m.panes[:0]
	p.sealed = 0
	for _, x := range p.panes {
		if x.live != nil {
			x.live.given = p.given
		}
		if isLast || p.layout.window != nil && x.shut <= p.closed {
			x.seal(p.epoch, slot)
			p.sealed++ // the ones before it are, too
		} else if err := x.publish(p, slot); err != nil {
			if h := p.handover; h != nil && h.move.from == p.id {
				// The new owner takes the shard's groups from this image, and routers have been told. So it gets the live table, which does not
				// change until it has.
				m.panes = append(m.panes, paneImage{x.id, x.last, x.live})
				p.lent = m
			}
			p.noteLagging()
			p.cuts.Answer(false)
			if p.behind = true; p.lent == nil {
				p.catchUp() // those that have published
			}
			return
		}
		m.panes = append(m.panes, paneImage{x.id, x.last, x.bySlot[slot]})
	}
	m.counters = append(m.counters[:0], p.counters...)
	m.shed = append(m.shed[:0], p.shed...)
	m.late = append(m.late[:0], p.tooOld...)
	m.clock, m.oldest = p.closed, p.oldest
	p.noteLagging()
	p.cuts.noteWindows(p.id, len(p.panes)-p.sealed, p.awaited())
	p.done = isLast
	p.behind = !isLast
	// Nobody takes an image before its table has caught up with it: the epoch after the next can be the first to, and this
	// partition has to answer the next before.
	p.cuts.Answer(true)
}

// maxUnwritten is how many closed panes may wait to be written before a partition takes no more records: its rings fill, and the
// readers wait. Of small panes it is unwrittenSmall.
const (
	maxUnwritten   = 256
	unwrittenSmall = 1 << 13
)

// unwritten says whether that many do. What whoever writes needs is in the cut that there is.
func (p *Partition) unwritten() bool {
	most := maxUnwritten
	if p.sums.bytes <= len(p.panes)*smallPane/4 {
		most = unwrittenSmall
	}
	if p.sealed <= most {
		return false
	}
	return p.panes[p.sealed-1-most].last > p.cuts.written.Load() // later panes end no earlier
}

// sortPanes puts those that have come since the last epoch in their place.
func (p *Partition) sortPanes() {
	byTime := func(a, b *pane) int { return cmp.Compare(a.id, b.id) }
	if !slices.IsSortedFunc(p.panes, byTime) {
		slices.SortFunc(p.panes, byTime)
	}
}

// noteLagging notes the panes whose live tables have to catch up.
func (p *Partition) noteLagging() {
	p.lagging, p.caughtUp = p.lagging[:0], 0
	for _, x := range p.panes {
		if x.behind {
			p.lagging = append(p.lagging, x)
			p.note(x) // it may have one more table
		}
	}
}

// watermark is the least of all readers that hold windows back. Every partition has got the same from the same marks.
func (p *Partition) watermark() int64 {
	least, idle := int64(watermarkEnd), false
	for _, w := range p.watermarks {
		if w == watermarkIdle {
			idle = true
			continue
		}
		least = min(least, w)
	}
	if least == watermarkEnd && idle {
		return watermarkNone // nobody says anything
	}
	return least
}

// awaited is how far the reader is that is the furthest behind, if it can still go on; else nobody waits for it.
func (p *Partition) awaited() int64 {
	least, live := int64(watermarkEnd), true
	for r, w := range p.watermarks {
		if w != watermarkIdle && w < least {
			least, live = w, !p.ended[r]
		}
	}
	if !live {
		return watermarkEnd
	}
	return least
}

// dropOld takes the panes that are not kept any more out, gives what the slot showed of them back, and keeps some of those that nobody shows.
func (p *Partition) dropOld(slot int) {
	written := p.cuts.written.Load()
	n := 0
	for n < len(p.panes) && p.panes[n].last < p.oldest && p.panes[n].last <= written && p.panes[n].live == nil {
		n++
	}
	for _, x := range p.panes[:n] {
		delete(p.byID, x.id)
		p.uncount(x)
	}
	p.gone = append(p.gone, p.panes[:n]...)
	p.panes = slices.Delete(p.panes, 0, n)
	p.last = nil
	p.gone = slices.DeleteFunc(p.gone, func(x *pane) bool {
		x.show(slot, nil)
		if x.shows() {
			return false
		}
		if n := len(p.unused); n < unusedPanes || n < unusedSmall && x.counted.bytes <= smallPane {
			p.unused = append(p.unused, x)
		} else {
			x.free()
			p.sums.add(paneSums{}, x.counted)
			x.counted = paneSums{}
			p.lacking = p.lacking[:0] // it may be one of them; those that are left are noted again
		}
		return true
	})
}

// takeBack goes on with a table that was lent to the new owner of a shard, when that has read it.
func (p *Partition) takeBack() (work int) {
	if p.cuts.handed.Load() < p.handover.epoch {
		return 0
	}
	p.lent.panes = p.lent.panes[:0]
	p.lent = nil
	return p.catchUp()
}

// catchUp copies a piece of what the live tables lack, and goes on where they lack nothing.
func (p *Partition) catchUp() (work int) {
	left := copyPerStep
	p.behind = false
	for p.caughtUp < len(p.lagging) && !p.behind {
		x := p.lagging[p.caughtUp]
		if left <= 0 {
			p.behind = true
			break
		}
		copied, done, err := x.live.table.CatchUp(x.shown.table, left)
		p.copyCount += uint64(copied)
		left -= copied
		switch {
		case err != nil:
			p.fail(p.state.full(p.layout.plan.name(), x.live.table.Len(), err))
			p.behind = true
		case done:
			x.live.table.Live()
			x.behind = false
			p.caughtUp++
			p.lacking.note(x.live.table, p.chunkRows())
		default:
			p.behind = true
		}
		work += copied
	}
	p.store()
	if p.behind {
		p.starved = work == 0
		return work
	}
	if !p.done {
		p.resume()
	}
	return work + 1
}

// resume takes the marks out of the rings that were held.
func (p *Partition) resume() {
	for r := range p.held {
		if p.held[r] {
			p.held[r] = false
			p.missing++
			p.release(r)
		}
	}
}

// applyChunk adds the records of a chunk to their groups.
func (p *Partition) applyChunk(c *Chunk) {
	l := p.layout
	n := int(c.rows)
	heap := c.heap(l)[:c.heapBytes]
	for from := 0; from < n; from += stripeRows {
		to := min(from+stripeRows, n)
		for w := range p.words {
			p.words[w] = c.column(l, 1+w, n)[from:to]
		}
		for i := range l.args {
			if column := l.args[i].column; column >= 0 {
				p.args[i], p.texts[i] = c.column(l, column, n)[from:to], heap
			}
		}
		var nulls, panes []uint64
		if l.hasNulls {
			nulls = c.column(l, l.nulls, n)[from:to]
		}
		if l.window != nil {
			panes = c.column(l, l.window.chunk, n)[from:to]
		}
		p.applyStripe(c.reader, c.column(l, 0, n)[from:to], heap, nulls, panes)
	}
}

// applyStripe adds the records of a stripe, those of p.words and p.args, to the groups of their panes, of which panes has a word each where
// the plan has windows.
func (p *Partition) applyStripe(reader ReaderID, hashes []uint64, heap []byte, nulls, panes []uint64) {
	p.reader = reader
	old := p.tooOld[reader]
	if panes == nil {
		x := p.panes[0]
		p.touch(x)
		p.table = x.live.table
		p.apply(hashes, heap, nulls)
		p.added(p.table)
	} else {
		p.applyPanes(panes, hashes, heap, nulls, p.tables, p.full)
	}
	p.rowCount += uint64(len(hashes)) - (p.tooOld[reader] - old)
}

// added looks at a table behind an addition: whether it lacks memory for the next, and how many records have found no room in it, which are counted.
func (p *Partition) added(t *table.Table) {
	p.lacking.note(t, p.chunkRows())
	records, cause := t.TakeShed()
	if records == 0 {
		return
	}
	p.shedCount += records
	p.rowCount -= records
	p.shed[p.reader] += records
	if !p.state.sheds() {
		p.fail(p.state.full(p.layout.plan.name(), t.Len(), cause))
	}
}

// A router whose runner steps the partition too may apply its records in place, with these two. They are not called while the ring
// from that router has chunks.

// direct adds the records of a chunk that is in no ring.
func (p *Partition) direct(c *Chunk) {
	p.checkLive()
	p.applyChunk(c)
	p.store()
}

// directStripe adds records that lie elsewhere: those of p.words and p.args, see applyStripe.
func (p *Partition) directStripe(reader ReaderID, hashes []uint64, heap []byte, nulls, panes []uint64) {
	p.checkLive()
	p.applyStripe(reader, hashes, heap, nulls, panes)
	p.store()
}

// takes says whether records may be applied in place at all.
func (p *Partition) takes() bool { return !p.behind && !p.unwritten() && p.ready() }

// ready says whether there is memory for records that are applied in place.
func (p *Partition) ready() bool { return !p.lacking.waits(p.chunkRows()) }

func (p *Partition) checkLive() {
	if invariants.Enabled && p.behind {
		panic("core: records are applied to a table that has not caught up")
	}
}

// mergeChunk adds the partial states of a chunk to their groups.
func (p *Partition) mergeChunk(c *Chunk) {
	l := p.layout
	n := int(c.rows)
	p.partialCount += uint64(n)
	p.reader = c.reader
	records := n
	if l.rowsWord >= 0 {
		records = 0
		for _, of := range c.partialColumn(l, 1+len(p.words)+l.rowsWord, n) {
			records += int(of)
		}
	}
	if p.table = p.tableOf(window.Pane(c.epoch), records); p.table == nil {
		return
	}
	heap := c.heap(l)[:c.heapBytes]
	if len(l.sided) > 0 {
		p.lentBlocks = agg.Lent(unsafe.Pointer(&c.data[l.heapAt-agg.LineBytes/8])) // the first line of the heap is block 1: there is no block 0
	}
	for from := 0; from < n; from += stripeRows {
		to := min(from+stripeRows, n)
		for w := range p.words {
			p.words[w] = c.partialColumn(l, 1+w, n)[from:to]
		}
		for w := range p.states {
			p.states[w] = c.partialColumn(l, 1+len(p.words)+w, n)[from:to]
		}
		p.merge(c.partialColumn(l, 0, n)[from:to], heap, p.states, &p.lentBlocks)
	}
	p.added(p.table) // ends the plan: one that sheds never folds
}
