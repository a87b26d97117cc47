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

// chunksPerStep bounds the chunks that a partition applies in one Step: a few times 64 KiB, which
// takes well under a millisecond.
const chunksPerStep = 4

// copyPerStep bounds the bytes that a partition copies in one Step to catch up with its image. That
// takes some hundred microseconds. Copies of a mebibyte bypass the caches, see runtime.memmove.
const copyPerStep = 1 << 20

// A Partition keeps the groups of its shards. It is an Agent.
//
// # At an epoch
//
// The partition drains the rings of the readers whose mark it lacks and holds the others: their
// marks stay in their rings. When it has all the marks it publishes the tables of its panes, takes
// tables that no goroutine reads any more as its live ones, and lets those catch up, a piece at a
// time. Then it takes the marks out of the rings and goes on. Until then the rings are not empty,
// so no router applies anything in place.
//
// The marks carry the readers' watermarks, so all partitions close the same windows in an epoch.
type Partition struct {
	id   PartitionID
	cuts *Cuts
	// in has the ring of each reader.
	in []*ring.Consumer[Chunk]
	// bells has the bell of each reader.
	bells []Bell
	// turn is the index of the ring that the next Step looks at first.
	turn int
	kernel
	// states has the columns of the partial states that are being merged.
	states [][]uint64

	// merger merges sessions; it is nil if the plan has none.
	merger *merger
	// outlet takes the records of a plan that passes records through; it is nil for other plans.
	outlet Outlet
	// blocked says that the outlet had no batch in the last Step.
	blocked bool
	// first is the owners of the shards before any shard moved.
	first *Owners
	// panes are the panes that the newest epoch shows or that have come since. They are in order of
	// time, except those that have come since the last epoch. A plan without windows has one.
	panes []*pane
	// sealed is the number of closed panes; they are the first in panes.
	sealed int
	// byID finds the panes that are in panes.
	byID map[window.Pane]*pane
	// last is the pane that was looked up last.
	last *pane
	// changed are the panes that have changed since store last looked at them.
	changed []*pane
	// gone are the panes that older epochs show and the newest does not.
	gone []*pane
	// unused are the panes that no epoch shows; they are kept for reuse.
	unused []*pane
	// lagging are the panes whose live table had to catch up after the last epoch.
	lagging []*pane
	// behind says that some of the lagging panes have not caught up yet.
	behind bool

	// caughtUp is the number of lagging panes that have caught up; they are the first in lagging.
	caughtUp int
	// lent is the image of an epoch without a cut while it has a live table, which the new owner of
	// a shard reads. It is nil otherwise.
	lent *Image

	// tables and full are tableOf and added as function values, made once.
	tables func(id window.Pane, n int) *table.Table
	full   func(*table.Table)

	// lacking are the tables that lack memory for the next addition.
	lacking lacking
	// starved says that the last Step had no work because some tables lack memory.
	starved bool
	// now is the time of the last Step.
	now Nanos

	// ended says of each reader whether its last mark has come.
	ended []bool
	// held says of each reader whether its ring is held at the mark of the next epoch.
	held []bool
	// left is the number of readers that have not ended.
	left int
	// missing is how many of those are not held.
	missing int
	// counters are the counters of each reader as of its last mark.
	counters []Counters
	// watermarks are the watermarks of the readers as of their last marks.
	watermarks []int64
	// closed is the end of the last closed window: windows that end at it or before are closed.
	closed int64
	// oldest is the end of the oldest window that is kept.
	oldest int64
	// epoch is the last epoch that was answered.
	epoch uint64
	// done says that this epoch was the last of all.
	done bool

	// handover is the work left for a shard that moves; it is nil if there is none.
	handover *handover
	// given are the shards that have gone to other partitions.
	given *given

	// state bounds the memory of the groups.
	state *State
	// reader is the reader whose records are being applied.
	reader ReaderID
	// shed counts the records of each reader that found no room.
	shed []uint64
	// tooOld counts the records of each reader that came for a closed window.
	tooOld []uint64
	// err is why the plan must end; it is nil if the plan goes on.
	err error

	// These are for other goroutines. The partition alone stores them, once per Step.
	rows, partials, groups, bytes, sheds, late, copied, live, memoryWaits atomic.Uint64
	// The partition's own counts, which store publishes.
	rowCount, partialCount, shedCount, lateCount, copyCount uint64
	// sums are the totals over all panes.
	sums paneSums
}

const (
	// unusedPanes is how many panes that no epoch shows are kept, with their memory, for the next
	// ones. Of small panes, which have up to smallPane bytes, unusedSmall are kept.
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
		return nil, fmt.Errorf("core: plan %s: %v keeps state beside the rows of groups, and if that has no room it is not known which records to drop: "+
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
	p.stamp = 1 // records before the first epoch are part of it
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
		for slot := range ownTables - 1 { // the cut of epoch 0 has the table of slot 0
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

// Join adds the ring of one more reader, which has the next id, and returns the epoch that the
// partition has answered. It is called between two Steps. The partition answers no further epoch
// without the mark of that reader; see Router.Join.
func (p *Partition) Join(in *ring.Consumer[Chunk], bell Bell) (answered uint64) {
	p.in, p.bells = append(p.in, in), append(p.bells, bell)
	p.ended, p.held = append(p.ended, false), append(p.held, false)
	p.counters, p.shed = append(p.counters, Counters{}), append(p.shed, 0)
	p.watermarks, p.tooOld = append(p.watermarks, watermarkNone), append(p.tooOld, 0)
	p.left++
	p.missing++
	return p.epoch
}

// newPane makes a pane with a live table and adds it to the panes.
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

// manyWindows is the end of groups that belong to several windows, or to sessions.
const manyWindows = math.MinInt64

// tableOf is the live table for n records of a pane. It is nil if they are dropped, which it
// counts.
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

// pane is the pane with this id. It is nil if all windows of the pane are closed, or if there is no
// room for it, which ends the plan.
func (p *Partition) pane(id window.Pane) *pane {
	if w := p.layout.window; w != nil {
		// Some or all of its windows closed while the reader was idle, or before it joined.
		if first, _ := w.clock.Ends(id); min(first, w.clock.Shut(id)) <= p.closed {
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
	// Rows is the number of records applied.
	Rows uint64
	// Partials is the number of partial states merged.
	Partials uint64
	// Groups is the number of groups in all its panes.
	Groups uint64
	// Panes is the number of pieces of time that it has groups of; it is one without windows.
	Panes uint64
	// Bytes is the memory of the groups, including the memory of their images.
	Bytes uint64
	// Shed is the number of records that found no room.
	Shed uint64
	// Late is the number of records that came for a window which had closed while their reader was
	// idle, or before it joined.
	Late uint64
	// Copied is the number of bytes of groups that were copied for images.
	Copied uint64

	// MemoryWaits is how many times a chunk had to wait for memory that had not been made ready.
	MemoryWaits uint64
}

// Stats are the partition's counters as of its last Step. Any goroutine may call it.
func (p *Partition) Stats() PartitionStats {
	return PartitionStats{
		Rows: p.rows.Load(), Partials: p.partials.Load(), Groups: p.groups.Load(), Panes: p.live.Load(), Bytes: p.bytes.Load(),
		Shed: p.sheds.Load(), Late: p.late.Load(), Copied: p.copied.Load(), MemoryWaits: p.memoryWaits.Load(),
	}
}

// store publishes the counters. It only looks at the panes that have changed: there may be many.
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

// paneSums are the totals of one pane, or of all panes of a partition.
type paneSums struct{ groups, bytes, waits int }

func (s *paneSums) add(to, from paneSums) {
	s.groups += to.groups - from.groups
	s.bytes += to.bytes - from.bytes
	s.waits += to.waits - from.waits
}

// count brings the sums up to date with a pane, and has its twins made ready to follow its live
// one.
func (p *Partition) count(x *pane) {
	var now paneSums
	for _, g := range x.tables {
		now.bytes += g.table.Bytes()
	}
	if p.byID[x.id] == x { // otherwise the newest epoch does not show the pane
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

// uncount takes the groups of a pane that the newest epoch does not show out of the sums. The bytes
// stay in the sums until the memory is freed.
func (p *Partition) uncount(x *pane) {
	p.sums.add(paneSums{bytes: x.counted.bytes}, x.counted)
	x.counted = paneSums{bytes: x.counted.bytes}
}

// Done says whether every reader has ended and everything they sent is in the last image.
func (p *Partition) Done() bool { return p.done }

// Wake is when the partition is worth another Step even if no bell rings: after memoryWait if it
// lacks memory, and at once if its tables have to catch up. Otherwise it is Never: readers give a
// partition work and ring its bell, and so does the goroutine that raises an epoch.
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

// Err says that there was no room for a group, if that ends the plan.
func (p *Partition) Err() error { return p.err }

// Step applies some chunks, fairly: it begins at the ring after the one at which the last one
// ended.
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
		// All marks are there, or all readers have ended. In the second case there may be nothing
		// to answer yet, so it is the epoch that decides.
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
				break // the first mark of a reader that joined after this partition had answered
			}
			p.held[r] = true
			p.missing--
			p.counters[r], p.watermarks[r] = c.counters, c.watermark
			return chunks // resume takes the mark out
		case chunkEnd:
			p.ended[r] = true
			p.left--
			p.missing--
			p.counters[r], p.watermarks[r] = c.counters, c.watermark
			p.release(r)
			p.in[r] = nil // so that the memory of the ring can be freed
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

// chunkRows is the largest number of groups that one chunk may bring.
func (p *Partition) chunkRows() int { return max(p.layout.rows, p.layout.partialRows) }

// release takes a chunk out of the ring of a reader.
func (p *Partition) release(r int) {
	p.in[r].Release(1)
	p.bells[r].Ring()
}

// publish answers an epoch: the live tables become what the partition shows in the epoch's slot,
// and other tables take their places. If there is no memory for that, the partition goes on as
// before and the epoch has no cut.
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
			p.sealed++ // the panes before this one are sealed, too
		} else if err := x.publish(p, slot); err != nil {
			if h := p.handover; h != nil && h.move.from == p.id {
				// The new owner takes the shard's groups from this image, and routers have already
				// been told of the move. So the image shows the live table, which does not change
				// until the new owner has read it.
				m.panes = append(m.panes, paneImage{x.id, x.last, x.live})
				p.lent = m
			}
			p.noteLagging()
			p.cuts.Answer(false)
			if p.behind = true; p.lent == nil {
				p.catchUp() // the panes that have published
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
	// No epoch takes the tables of this image before the live tables have caught up with them. The
	// epoch after the next is the first that can, and this partition has to answer the next one
	// before that.
	p.cuts.Answer(true)
}

// maxUnwritten is how many closed panes may wait to be written before a partition takes no more
// records. Then its rings fill up and the readers wait. For small panes the bound is
// unwrittenSmall.
const (
	maxUnwritten   = 256
	unwrittenSmall = 1 << 13
)

// unwritten says whether more closed panes than that wait to be written. The goroutine that writes
// them can go on: what it needs is in the current cut.
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

// sortPanes puts the panes that have come since the last epoch in their places.
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

// watermark is the least watermark of all readers that hold windows back. Every partition computes
// the same one, because it has got the same marks.
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
		return watermarkNone // no reader says anything: they are idle or have ended
	}
	return least
}

// awaited is the watermark of the reader that is furthest behind, if that reader can still go on.
// If it has ended, no reader waits for it, and awaited is watermarkEnd.
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

// dropOld takes out the panes that are not kept any more, gives up what the slot showed of panes
// that were taken out, and keeps some of the panes that no slot shows any more.
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
			// A table of the pane may be in it; the others will be noted again.
			p.lacking = p.lacking[:0]
		}
		return true
	})
}

// takeBack goes on with a table that was lent to a shard's new owner, once that has read it.
func (p *Partition) takeBack() (work int) {
	if p.cuts.handed.Load() < p.handover.epoch {
		return 0
	}
	p.lent.panes = p.lent.panes[:0]
	p.lent = nil
	return p.catchUp()
}

// catchUp copies a piece of what the live tables lack. When they lack nothing the partition goes
// on.
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

// applyStripe adds the records of a stripe, which are in p.words and p.args, to the groups of their
// panes. If the plan has windows, panes has a word for each record, which is its pane, or a single
// word for all of them.
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

// added looks at a table after an addition. It notes whether the table lacks memory for the next
// addition, and counts the records that have found no room in it.
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

// A router whose runner also steps the partition may apply its records in place, with direct and
// directStripe. They are not called while the ring from that router has chunks.

// direct adds the records of a chunk that is in no ring.
func (p *Partition) direct(c *Chunk) {
	p.checkLive()
	p.applyChunk(c)
	p.store()
}

// directStripe adds records that do not lie in a chunk but in p.words and p.args, see applyStripe.
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
		// The first line of the heap is block 1: there is no block 0.
		p.lentBlocks = agg.Lent(unsafe.Pointer(&c.data[l.heapAt-agg.LineBytes/8]))
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
	p.added(p.table) // a lack of room ends the plan: a plan that sheds never folds
}
