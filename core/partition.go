package core

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/ring"
)

// chunksPerStep bounds the chunks that a partition applies in one Step: a few times 64 KiB, which
// takes well under a millisecond.
const chunksPerStep = 4

// A Partition keeps the groups of its shards. It is an Agent. Its methods are in partition.go,
// partition_epoch.go, apply.go, session.go, pass.go and handover.go.
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
func NewPartition(id PartitionID, plan *Plan, in []*ring.Consumer[Chunk], bells []Bell, state *State,
	cuts *Cuts,
) (*Partition, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	if len(l.sided) > 0 && state.sheds() {
		return nil, fmt.Errorf("core: plan %s: %v keeps state beside the rows of groups, and if that has no room it "+
			"is not known which records to drop: "+
			"such plans stop when their memory is used up, StateShed is not for them", plan.name(), l.sided[0].kind)
	}
	p := &Partition{
		id: id, cuts: cuts, in: slices.Clone(in), bells: slices.Clone(bells), states: make([][]uint64, len(l.init)),
		first: cuts.owners,
		ended: make([]bool, len(in)), held: make([]bool, len(in)), left: len(in), missing: len(in),
		counters: make([]Counters, len(in)), watermarks: make([]int64, len(in)), state: state,
		shed: make([]uint64, len(in)), tooOld: make([]uint64, len(in)),
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
		x.live, err = x.newGroups(p)
		if err != nil {
			return nil, err
		}
	}
	x.id = id
	if w := p.layout.window; w != nil {
		x.first, x.last = w.clock.Ends(id)
		x.shut = w.clock.Shut(id)
		x.end = x.first
		if x.first != x.last || w.session != nil {
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
		x = p.pane(id)
		if x == nil {
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
			id, late = w.clock.PaneOf(w.clock.PaneBegin(id), p.closed)
			if late {
				return nil
			}
		}
	}
	if x := p.byID[id]; x != nil {
		return x
	}
	if len(p.panes) >= MaxPanes {
		p.fail(fmt.Errorf("core: plan %s: more than %d panes of time are open at once: windows are short for "+
			"records that are so far out of order (Window.OutOfOrder, Window.Lateness)",
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
		Rows: p.rows.Load(), Partials: p.partials.Load(), Groups: p.groups.Load(), Panes: p.live.Load(),
		Bytes: p.bytes.Load(),
		Shed:  p.sheds.Load(), Late: p.late.Load(), Copied: p.copied.Load(), MemoryWaits: p.memoryWaits.Load(),
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
		p.turn++
		if p.turn == len(p.in) {
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
