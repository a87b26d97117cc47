package core

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// chunksPerStep bounds the chunks that a partition applies in one Step: a few times 64 KiB, which
// takes well under a millisecond.
const chunksPerStep = 4

// A partitionPhase is what a partition does next.
type partitionPhase uint8

const (
	// draining: it takes chunks out of the rings, and answers an epoch when it has all marks.
	draining partitionPhase = iota
	// lending: the image of an epoch without a cut has a live table. The new owner of a shard reads
	// it, and this partition waits for that.
	lending
	// catchingUp: its live tables get what the tables have that took their places in an image.
	catchingUp
	// discarding: it has been abandoned. It applies nothing, and answers epochs with what it has
	// shown last.
	discarding
	// answeredLast: it has answered the last epoch of all.
	answeredLast
)

// An inputPhase is what a partition does with the ring of a reader.
type inputPhase uint8

const (
	reading inputPhase = iota // it takes chunks out of the ring
	held                      // the mark of the next epoch is the first in the ring, and stays there
	ended                     // the last mark has come: there is nothing more
)

// An input is a reader as one partition sees it.
type input struct {
	// ring is the ring from the reader; it is nil when the reader has ended.
	ring *ring.Consumer[Chunk]
	// bell is the bell of the reader.
	bell  Bell
	phase inputPhase
	// counters are the reader's counters as of its last mark.
	counters result.Counters
	// watermark is the reader's watermark as of its last mark.
	watermark int64
	// shed counts the records of the reader that found no room.
	shed uint64
	// tooOld counts the records of the reader that came for a closed window.
	tooOld uint64
}

// A paneSet is the panes of a partition.
type paneSet struct {
	// panes are the panes that the newest epoch shows or that have come since. They are in order of
	// time, except those that have come since the last epoch. A plan without windows has one.
	panes []*pane
	// sealed is the number of closed panes; they are the first in panes.
	sealed int
	// byID finds the panes that are in panes.
	byID map[window.Pane]*pane
	// lastPane is the pane that was looked up last.
	lastPane *pane
	// changed are the panes that have changed since store last looked at them.
	changed []*pane
	// removed are the panes that older epochs show and the newest does not.
	removed []*pane
	// unused are the panes that no epoch shows; they are kept for reuse.
	unused []*pane
	// lagging are the panes whose live table had to catch up after the last epoch.
	lagging []*pane
	// caughtUp is the number of lagging panes that have caught up; they are the first in lagging.
	caughtUp int
	// sums are the totals over all panes.
	sums paneSums
}

// partitionCounts are the counts of a partition. A partition has one for itself, and publishes them
// once per Step.
type partitionCounts struct {
	rows, partials, shed, late, copied uint64
}

// publishedPartition are the counts of a partition as other goroutines may read them. The partition
// alone stores them, once per Step. Each is right by itself; nothing else is published by them.
type publishedPartition struct {
	rows, partials, groups, bytes, shed, late, copied, panes, memoryWaits atomic.Uint64
}

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
	id    plan.PartitionID
	cuts  *Cuts
	phase partitionPhase
	// stall is why the last Step had no work.
	stall Stall
	// now is the time of the last Step.
	now Nanos
	// err is why the plan must end; it is nil if the plan goes on.
	err error
	// abandoned says that the partition applies nothing more. Any goroutine stores true, and wakes
	// the partition's runner after it; the partition loads it at each Step, and nothing is
	// published by it.
	abandoned atomic.Bool
	// shown is the image that was answered last. While the partition is discarding it is a copy of
	// that image, in no slot.
	shown *result.Image

	// inputs has the readers by their ids.
	inputs []input
	// nextInput is the index of the input that the next Step looks at first.
	nextInput int
	// active is the number of inputs that have not ended, and unmarked is how many of those are
	// not held.
	active, unmarked int
	// reader is the reader whose records are being applied.
	reader plan.ReaderID

	kernel
	// states has the columns of the partial states that are being merged.
	states [][]uint64
	// merger merges sessions; it is nil if the plan has none.
	merger *result.Merger
	// outlet takes the records of a plan that passes records through; it is nil for other plans.
	outlet Outlet

	paneSet
	// tables and afterAdd are tableOf and noteAdded as function values, made once.
	tables   func(id window.Pane, n int) *table.Table
	afterAdd func(*table.Table)
	// budget bounds the memory of the groups.
	budget *MemoryBudget
	// lacking are the tables that lack memory for the next addition.
	lacking lacking

	// epoch is the last epoch that was answered.
	epoch uint64
	// closed is the end of the last closed window: windows that end at it or before are closed.
	closed int64
	// oldest is the end of the oldest window that is kept.
	oldest int64

	// initialOwners is the owners of the shards before any shard moved.
	initialOwners *result.Owners
	// handover is the work left for a shard that moves; it is nil if there is none.
	handover *handover
	// away are the shards that have gone to other partitions.
	away *result.AwayShards
	// lentImage is the image that has a live table, while the partition is lending; it is nil
	// otherwise.
	lentImage *result.Image

	// loading is scratch of Load; it is nil when nothing is loaded.
	loading *loading

	counts    partitionCounts
	published publishedPartition
	// opened is the number of panes that have been opened; it tells their tables apart.
	opened uint64
}

const (
	// unusedPanes is how many panes that no epoch shows are kept, with their memory, for the next
	// ones. Of small panes, which have up to smallPane bytes, unusedSmall are kept.
	unusedPanes = 4
	unusedSmall = 1 << 12
	smallPane   = 16 << 10
)

// NewPartition makes a partition without groups. in and bells have an entry for each reader.
func NewPartition(id plan.PartitionID, pl *plan.Plan, in []*ring.Consumer[Chunk], bells []Bell, budget *MemoryBudget,
	cuts *Cuts,
) (*Partition, error) {
	l, err := pl.Layout()
	if err != nil {
		return nil, err
	}
	if len(l.Sided) > 0 && budget.sheds() {
		return nil, fmt.Errorf("plan %s: %v keeps state beside the rows of groups, and if that has no room it "+
			"is not known which records to drop: "+
			"such plans stop when their memory is used up, StateShed is not for them", l.Name, l.Sided[0].Kind)
	}
	p := &Partition{
		id: id, cuts: cuts, states: make([][]uint64, len(l.Init)), initialOwners: cuts.owners, budget: budget,
		closed: -window.MaxTime, oldest: -window.MaxTime,
		paneSet: paneSet{byID: map[window.Pane]*pane{}},
	}
	for r := range in {
		p.addInput(in[r], bells[r])
	}
	p.kernel = newKernel(l, nil)
	p.stamp = 1 // records before the first epoch are part of it
	p.tables, p.afterAdd = p.tableOf, p.noteAdded
	if l.Window != nil && l.Window.Session != nil {
		p.merger = result.NewMerger(l, l)
	}
	for _, c := range cuts.cuts {
		c.Images[id] = &result.Image{Layout: l, Clock: p.closed, Oldest: p.oldest}
	}
	if l.Window == nil {
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
			cuts.cuts[slot].Images[id].Panes = []result.PaneImage{{Pane: x.id, Last: x.last, Groups: g}}
		}
		x.live.Table.Live()
	}
	p.shown = cuts.cuts[0].Images[id]
	p.store()
	return p, nil
}

// BeginAfter says that the partition begins after an epoch: its plan is added to an engine that
// runs. It is called before the first Step, while the epochs are held.
func (p *Partition) BeginAfter(epoch uint64) { p.epoch, p.stamp = epoch, epoch+1 }

// Join adds the ring of one more reader, which has the next id, and returns the epoch that the
// partition has answered. It is called between two Steps. The partition answers no further epoch
// without the mark of that reader; see Router.Join.
func (p *Partition) Join(in *ring.Consumer[Chunk], bell Bell) (answered uint64) {
	p.addInput(in, bell)
	return p.epoch
}

func (p *Partition) addInput(in *ring.Consumer[Chunk], bell Bell) {
	p.inputs = append(p.inputs, input{ring: in, bell: bell, watermark: watermarkNone})
	p.active++
	p.unmarked++
}

// newPane makes a pane with a live table and adds it to the panes.
func (p *Partition) newPane(id window.Pane) (x *pane, err error) {
	if n := len(p.unused); n > 0 {
		x, p.unused = p.unused[n-1], p.unused[:n-1]
		x.reuse()
	} else {
		x = &pane{memory: p.budget.memory(), bySlot: make([]*result.Groups, len(p.cuts.cuts))}
		x.memory.Twins, x.memory.Bytes = p.budget.twins(), p.cuts.bytes
		if p.layout.Window != nil {
			x.memory.Groups = MaxPaneGroups
		}
		x.live, err = x.newGroups(p)
		if err != nil {
			return nil, err
		}
	}
	x.id = id
	p.opened++
	x.memory.Number = uint64(p.id)<<32 | p.opened
	for _, g := range x.tables {
		g.Table.SetNumber(x.memory.Number)
	}
	if w := p.layout.Window; w != nil {
		x.first, x.last = w.Clock.Ends(id)
		x.shut = w.Clock.Shut(id)
		x.end = x.first
		if x.first != x.last || w.Session != nil {
			x.end = manyWindows
		}
		for _, g := range x.tables {
			g.End = x.end
		}
	}
	p.panes = append(p.panes, x)
	p.byID[id] = x
	x.live.Table.Live()
	p.touch(x)
	return x, nil
}

// manyWindows is the end of groups that belong to several windows, or to sessions.
const manyWindows = math.MinInt64

// tableOf is the live table for n records of a pane. It is nil if they are dropped, which it
// counts.
func (p *Partition) tableOf(id window.Pane, n int) *table.Table {
	x := p.lastPane
	if x == nil || x.id != id || x.live == nil {
		x = p.pane(id)
		if x == nil {
			p.inputs[p.reader].tooOld += uint64(n)
			p.counts.late += uint64(n)
			return nil
		}
		p.lastPane = x
	}
	p.touch(x)
	return x.live.Table
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
	if w := p.layout.Window; w != nil {
		// Some or all of its windows closed while the reader was idle, or before it joined.
		if first, _ := w.Clock.Ends(id); min(first, w.Clock.Shut(id)) <= p.closed {
			var late bool
			id, late = w.Clock.PaneOf(w.Clock.PaneBegin(id), p.closed)
			if late {
				return nil
			}
		}
	}
	if x := p.byID[id]; x != nil {
		return x
	}
	if len(p.panes) >= MaxPanes {
		p.fail(fmt.Errorf("plan %s: more than %d panes of time are open at once: windows are short for "+
			"records that are so far out of order (Window.OutOfOrder, Window.Lateness)",
			p.layout.Name, MaxPanes))
		return nil
	}
	x, err := p.newPane(id)
	if err != nil {
		p.fail(p.budget.outOfRoom(p.layout.Name, 0, err))
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
	c := &p.published
	return PartitionStats{
		Rows: c.rows.Load(), Partials: c.partials.Load(), Groups: c.groups.Load(), Panes: c.panes.Load(),
		Bytes: c.bytes.Load(), Shed: c.shed.Load(), Late: c.late.Load(), Copied: c.copied.Load(),
		MemoryWaits: c.memoryWaits.Load(),
	}
}

// store publishes the counters. It only looks at the panes that have changed: there may be many.
func (p *Partition) store() {
	for _, x := range p.changed {
		x.noted = false
		p.count(x)
	}
	p.changed = p.changed[:0]
	c := &p.published
	c.rows.Store(p.counts.rows)
	c.partials.Store(p.counts.partials)
	c.groups.Store(uint64(p.sums.groups))
	c.panes.Store(uint64(len(p.panes)))
	c.bytes.Store(uint64(p.sums.bytes))
	c.shed.Store(p.counts.shed)
	c.late.Store(p.counts.late)
	c.memoryWaits.Store(uint64(p.sums.waits))
	c.copied.Store(p.counts.copied)
}

// paneSums are the totals of one pane, or of all panes of a partition.
type paneSums struct{ groups, bytes, waits int }

func (s *paneSums) add(to, from paneSums) {
	s.groups += to.groups - from.groups
	s.bytes += to.bytes - from.bytes
	s.waits += to.waits - from.waits
}

// seesEpoch says whether an epoch is coming for which a pane's next live table is worth making
// ready. Until then it has no memory: a query on a file that ends before needs none.
func (p *Partition) seesEpoch(x *pane) bool {
	due := Nanos(p.cuts.expected.Load())
	if due == Never {
		return x.shown != nil // epochs come when somebody asks, and somebody has asked
	}
	// A nanosecond for each byte is what pages take that the system has to find first.
	return p.now+prepareLead+Nanos(x.live.Table.Bytes()) >= due
}

// prepareLead is how long before an epoch the memory for the next live tables is asked for, at
// least.
const prepareLead Nanos = 5_000_000

// count brings the sums up to date with a pane, and has its next live table made ready to follow
// the live one if an epoch is coming.
func (p *Partition) count(x *pane) {
	var now paneSums
	for _, g := range x.tables {
		now.bytes += g.Table.Bytes()
	}
	if p.byID[x.id] == x { // otherwise the newest epoch does not show the pane
		live := x.live
		if live == nil {
			live = x.shown
		}
		now.groups, now.waits = live.Table.Len(), live.Table.MemoryWaits()
		if next := x.nextLive(); next != nil && p.seesEpoch(x) {
			next.Table.Prepare(live.Table)
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
func (p *Partition) Done() bool { return p.phase == answeredLast }

// Wake is when the partition is worth another Step even if no bell rings: after memoryWait if it
// lacks memory, and at once if its tables have to catch up. Otherwise it is Never: readers give a
// partition work and ring its bell, and so does the goroutine that raises an epoch.
func (p *Partition) Wake() Nanos {
	switch {
	case p.stall == StallMemory:
		return p.now + memoryWait
	case p.phase == catchingUp:
		return 0
	}
	return Never
}

// Stall is why the last Step had no work.
func (p *Partition) Stall() Stall { return p.stall }

// Err says that there was no room for a group, or that a user's function has panicked, if that ends
// the plan.
func (p *Partition) Err() error { return p.err }

// Step applies some chunks, fairly: it begins at the ring after the one at which the last one
// ended.
func (p *Partition) Step(now Nanos) (work int) {
	defer usercode.Contain(&p.err)
	p.now, p.stall = now, StallInput
	p.check()
	switch p.phase {
	case answeredLast:
		return 0
	case discarding:
		return p.discard()
	case lending:
		return p.takeBack()
	case catchingUp:
		if !p.isAbandoned() {
			return p.catchUp()
		}
	}
	if p.isAbandoned() {
		p.beginDiscarding()
		return 1
	}
	if p.unwritten() {
		p.stall = StallOutput
		return 0
	}
	for range p.inputs {
		r := p.nextInput
		p.nextInput++
		if p.nextInput == len(p.inputs) {
			p.nextInput = 0
		}
		if p.inputs[r].phase != reading {
			continue
		}
		work += p.drain(r, chunksPerStep-work)
		if work >= chunksPerStep {
			break
		}
	}
	if p.err != nil {
		return work // what has been applied in part is in no image
	}
	if p.handover != nil {
		work += p.handOver()
	}
	if p.unmarked == 0 && p.handover == nil {
		// All marks are there, or all readers have ended. In the second case there may be nothing
		// to answer yet, so it is the epoch that decides.
		if number, slot := p.cuts.Raised(); number > p.epoch {
			p.answer(number, slot)
			work++
		}
	}
	if work > 0 {
		p.store()
	} else if p.stall == StallInput && p.unmarked < p.active {
		p.stall = StallMark
	}
	return work
}

// drain applies up to most chunks of the ring of a reader.
func (p *Partition) drain(r, most int) (chunks int) {
	in := &p.inputs[r]
	for chunks < most {
		s := in.ring.Peek(1)
		if len(s) == 0 {
			return chunks
		}
		c := &s[0]
		if invariants.Enabled && c.reader != plan.ReaderID(r) {
			panic("core: a chunk of another reader in the ring")
		}
		switch c.kind {
		case chunkMark:
			if invariants.Enabled && c.epoch != p.epoch+1 && (c.epoch != p.epoch || c.counters.In > 0) {
				panic("core: a mark of another epoch")
			}
			if c.epoch == p.epoch {
				break // the first mark of a reader that joined after this partition had answered
			}
			p.unmarked--
			in.phase, in.counters, in.watermark = held, c.counters, c.watermark
			return chunks + 1 // resume takes the mark out
		case chunkEnd:
			p.active--
			p.unmarked--
			in.phase, in.counters, in.watermark = ended, c.counters, c.watermark
			p.release(r)
			in.ring = nil // so that the memory of the ring can be freed
			return chunks + 1
		case chunkPartials:
			if p.phase == discarding {
				break
			}
			if p.lacks() {
				return chunks
			}
			p.mergeChunk(c)
		default:
			if p.phase == discarding {
				break
			}
			if p.layout.PassThrough {
				if !p.passThrough(c) {
					return chunks
				}
				break
			}
			if p.lacks() {
				return chunks
			}
			p.applyChunk(c)
		}
		chunks++
		p.release(r)
	}
	return chunks
}

// lacks says whether a chunk has to wait for memory.
func (p *Partition) lacks() bool {
	if p.ready() {
		return false
	}
	p.stall = StallMemory
	return true
}

// maxGroupsPerChunk is the largest number of groups that one chunk may bring.
func (p *Partition) maxGroupsPerChunk() int { return max(p.layout.Rows, p.layout.PartialRows) }

// release takes a chunk out of the ring of a reader.
func (p *Partition) release(r int) {
	p.inputs[r].ring.Release(1)
	p.inputs[r].bell.Wake()
}
