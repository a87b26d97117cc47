package core

import (
	"slices"
	"sync/atomic"

	"github.com/velo-engine/velo/core/table"
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
// its table, takes another that nobody reads any more as its live one, and lets that catch up, a piece at a time. Then it takes the marks
// out and goes on. Until then the rings are not empty, so no router applies anything in place.
type Partition struct {
	id    PartitionID
	cuts  *Cuts
	in    []*ring.Consumer[Chunk] // one for each reader
	bells []Bell                  // of the readers
	turn  int                     // the ring to look at first in the next Step
	kernel
	states [][]uint64 // of partial states

	first  *Owners      // before any shard moved
	memory table.Memory // of its tables
	tables []*Image     // all of them; the live one's image is its table and what it will say
	live   *Image
	behind *Image // what live has to catch up with, nil where it has

	// The readers whose last mark has come, those held at the mark of the next epoch, and the counters of each as of its last mark.
	ended    []bool
	held     []bool
	left     int // readers that have not ended
	missing  int // of those, the ones that are not held
	counters []Counters
	epoch    uint64 // answered
	done     bool   // the last of them

	handover *handover // what is to be done for a shard that moves, nil where there is nothing
	given    *given    // shards that have gone to other partitions

	state *State
	shed  []uint64 // records of each reader that found no room
	err   error    // and why, where that ends the plan

	// For other goroutines; single writer, stored once per Step.
	rows, partials, groups, bytes, sheds, late, copied atomic.Uint64
	rowCount, partialCount, shedCount, copyCount       uint64
}

// NewPartition makes a partition without groups. in and bells have an entry for each reader.
func NewPartition(id PartitionID, plan *Plan, in []*ring.Consumer[Chunk], bells []Bell, state *State, cuts *Cuts) (*Partition, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	p := &Partition{
		id: id, cuts: cuts, in: slices.Clone(in), bells: slices.Clone(bells), states: make([][]uint64, len(l.init)), first: cuts.owners, memory: state.memory(),
		ended: make([]bool, len(in)), held: make([]bool, len(in)), left: len(in), missing: len(in),
		counters: make([]Counters, len(in)), state: state, shed: make([]uint64, len(in)),
	}
	p.memory.Twins = state.twins()
	p.kernel = newKernel(l, nil)
	for range ownTables {
		if p.live, err = p.newImage(); err != nil {
			return nil, err
		}
	}
	for slot, m := range p.tables[:ownTables-1] { // that of slot 0 is the cut of epoch 0
		cuts.cuts[slot].images[id] = m
	}
	p.table = p.live.table
	p.table.Live()
	p.store()
	return p, nil
}

// Join adds the ring of one more reader, which has the next id, and returns the epoch that the partition has answered. It is called between
// two Steps. The partition answers no further epoch without the reader's mark; see Router.Join.
func (p *Partition) Join(in *ring.Consumer[Chunk], bell Bell) (answered uint64) {
	p.in, p.bells = append(p.in, in), append(p.bells, bell)
	p.ended, p.held = append(p.ended, false), append(p.held, false)
	p.counters, p.shed = append(p.counters, Counters{}), append(p.shed, 0)
	p.left++
	p.missing++
	return p.epoch
}

// newImage makes another table, and the image that it will be.
func (p *Partition) newImage() (*Image, error) {
	memory := p.memory
	memory.Extra = len(p.tables) >= ownTables
	t, err := newTable(p.layout, p.first, p.id, memory)
	if err != nil {
		return nil, err
	}
	m := &Image{layout: p.layout, table: t}
	p.tables = append(p.tables, m)
	return m, nil
}

// PartitionStats are the counters of a partition.
type PartitionStats struct {
	Rows     uint64 // records applied
	Partials uint64 // partial states merged
	Groups   uint64
	Bytes    uint64 // memory of the groups, that of their images included
	Shed     uint64 // records that found no room
	Late     uint64 // times that memory was used before it had been made present
	Copied   uint64 // bytes of groups that were copied for images
}

// Stats are the partition's counters as of its last Step. Any goroutine may call it.
func (p *Partition) Stats() PartitionStats {
	return PartitionStats{p.rows.Load(), p.partials.Load(), p.groups.Load(), p.bytes.Load(), p.sheds.Load(), p.late.Load(), p.copied.Load()}
}

func (p *Partition) store() {
	p.rows.Store(p.rowCount)
	p.partials.Store(p.partialCount)
	p.groups.Store(uint64(p.table.Len()))
	bytes := 0
	for i, m := range p.tables {
		bytes += m.table.Bytes()
		if i < ownTables && m != p.live {
			m.table.Prepare(p.table)
		}
	}
	p.bytes.Store(uint64(bytes))
	p.sheds.Store(p.shedCount)
	p.late.Store(uint64(p.table.Late()))
	p.copied.Store(p.copyCount)
}

// Done says whether every reader has ended and everything they sent is in the last image.
func (p *Partition) Done() bool { return p.done }

// Wake is never: readers give a partition work, and they ring; so does whoever raises an epoch.
func (p *Partition) Wake() Nanos {
	if p.behind != nil {
		return 0
	}
	return Never
}

// Stall is why the last Step had no work.
func (p *Partition) Stall() Stall {
	if p.missing < p.left {
		return StallMark
	}
	return StallInput
}

// Err is that there was no room for a group, where that ends the plan.
func (p *Partition) Err() error { return p.err }

// Step applies some chunks, fairly: it begins at the ring behind the one that the last Step ended with.
func (p *Partition) Step(Nanos) (work int) {
	if p.done {
		return 0
	}
	if p.behind != nil {
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
			p.counters[r] = c.counters
			return chunks // release takes it out
		case chunkEnd:
			p.ended[r] = true
			p.left--
			p.missing--
			p.counters[r] = c.counters
			p.release(r)
			p.in[r] = nil // its memory can go
			return chunks
		case chunkPartials:
			p.mergeChunk(c)
		default:
			p.applyChunk(c)
		}
		p.release(r)
	}
	return chunks
}

// release takes a chunk out of the ring of a reader.
func (p *Partition) release(r int) {
	p.in[r].Release(1)
	p.bells[r].Ring()
}

// publish answers an epoch: the table becomes the image of the partition in the epoch's slot, and what was there becomes the live table. Where
// there is no memory for that the partition goes on as it was, and the epoch has no cut.
func (p *Partition) publish(number uint64, slot int) {
	if invariants.Enabled && number != p.epoch+1 {
		panic("core: an epoch was passed over")
	}
	p.epoch = number
	images := p.cuts.cuts[slot].images
	if m := p.cuts.move; m.epoch == number && m.from != m.to && (m.from == p.id || m.to == p.id) {
		p.handover = &handover{move: m, slot: slot}
	}
	p.live.counters = append(p.live.counters[:0], p.counters...)
	p.live.shed = append(p.live.shed[:0], p.shed...)
	p.live.given = p.given
	if p.cuts.IsLast(slot) {
		p.done = true
		images[p.id] = p.live
		p.cuts.Answer(true)
		return
	}
	next := images[p.id]
	var err error
	if next == nil {
		if next, err = p.newImage(); err != nil {
			p.cuts.Answer(false)
			p.resume()
			return
		}
		images[p.id] = next
	}
	if err = next.table.Follow(p.table); err != nil {
		p.cuts.Answer(false)
		p.resume()
		return
	}
	p.table.Freeze(func(yield func(*table.Table) bool) {
		for _, m := range p.tables {
			if m != p.live && !yield(m.table) {
				return
			}
		}
	})
	images[p.id] = p.live
	p.behind, p.live = p.live, next
	p.table = next.table
	// Nobody takes the image before the table has caught up with it: the epoch after the next can be the first to, and this
	// partition has to answer the next before.
	p.cuts.Answer(true)
}

// catchUp copies a piece of what the live table lacks, and goes on where it lacks nothing.
func (p *Partition) catchUp() (work int) {
	copied, done, err := p.table.CatchUp(p.behind.table, copyPerStep)
	p.copyCount += uint64(copied)
	if err == nil && done {
		p.table.Live()
		p.behind = nil
		p.resume()
	}
	if err != nil && p.err == nil {
		p.err = p.state.full(p.layout.plan.name(), p.table.Len(), err)
	}
	p.store()
	return 1
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
				p.args[i] = c.column(l, column, n)[from:to]
			}
		}
		var nulls []uint64
		if l.hasNulls {
			nulls = c.column(l, l.columns-1, n)[from:to]
		}
		p.apply(c.column(l, 0, n)[from:to], heap, nulls)
	}
	p.applied(c.reader, n)
}

// applied counts n records of a reader that have been applied, but for those that found no room.
func (p *Partition) applied(reader ReaderID, n int) {
	p.rowCount += uint64(n) - p.noRoom(reader)
}

// noRoom counts the records of a reader that have found no room since it was last called.
func (p *Partition) noRoom(reader ReaderID) (n uint64) {
	shed, cause := p.table.Shed()
	if n = shed - p.shedCount; n > 0 {
		p.shedCount = shed
		p.shed[reader] += n
		if !p.state.sheds() && p.err == nil {
			p.err = p.state.full(p.layout.plan.name(), p.table.Len(), cause)
		}
	}
	return n
}

// A router whose runner steps the partition too may apply its records in place, with these two. They are not called while the ring
// from that router has chunks.

// direct adds the records of a chunk that is in no ring.
func (p *Partition) direct(c *Chunk) {
	p.checkLive()
	p.applyChunk(c)
	p.store()
}

// directStripe adds records that lie elsewhere: those of p.words and p.args, see kernel.apply.
func (p *Partition) directStripe(reader ReaderID, hashes []uint64, heap []byte, nulls []uint64) {
	p.checkLive()
	p.apply(hashes, heap, nulls)
	p.applied(reader, len(hashes))
	p.store()
}

func (p *Partition) checkLive() {
	if invariants.Enabled && p.behind != nil {
		panic("core: records are applied to a table that has not caught up")
	}
}

// mergeChunk adds the partial states of a chunk to their groups.
func (p *Partition) mergeChunk(c *Chunk) {
	l := p.layout
	n := int(c.rows)
	heap := c.heap(l)[:c.heapBytes]
	for from := 0; from < n; from += stripeRows {
		to := min(from+stripeRows, n)
		for w := range p.words {
			p.words[w] = c.partialColumn(l, 1+w, n)[from:to]
		}
		for w := range p.states {
			p.states[w] = c.partialColumn(l, 1+len(p.words)+w, n)[from:to]
		}
		p.merge(c.partialColumn(l, 0, n)[from:to], heap, p.states)
	}
	p.partialCount += uint64(n)
	p.noRoom(c.reader) // ends the plan: one that sheds never folds
}
