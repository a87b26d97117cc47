package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/ring"
)

// chunksPerStep bounds what a partition does in one Step: a few times 64 KiB, well under a millisecond.
const chunksPerStep = 4

// A Partition keeps the groups of its shards. It is an Agent.
type Partition struct {
	id    PartitionID
	in    []*ring.Consumer[Chunk] // one for each reader
	bells []Bell                  // of the readers
	turn  int                     // the ring to look at first in the next Step
	kernel
	states [][]uint64 // of partial states

	// The readers whose last mark has come, and their counters.
	ended    []bool
	left     int
	counters []Counters
	image    *Image

	state *State
	shed  []uint64 // records of each reader that found no room
	err   error    // and why, where that ends the plan

	// For other goroutines; single writer, stored once per Step.
	rows, partials, groups, bytes, sheds, late atomic.Uint64
	rowCount, partialCount, shedCount          uint64
}

// NewPartition makes a partition without groups. in and bells have an entry for each reader.
func NewPartition(id PartitionID, plan *Plan, owners *Owners, in []*ring.Consumer[Chunk], bells []Bell, state *State) (*Partition, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	t, err := newTable(l, owners, id, state.memory())
	if err != nil {
		return nil, err
	}
	p := &Partition{
		id: id, in: in, bells: bells, kernel: newKernel(l, t), states: make([][]uint64, len(l.init)),
		ended: make([]bool, len(in)), left: len(in), counters: make([]Counters, len(in)), state: state, shed: make([]uint64, len(in)),
	}
	p.store()
	return p, nil
}

// PartitionStats are the counters of a partition.
type PartitionStats struct {
	Rows     uint64 // records applied
	Partials uint64 // partial states merged
	Groups   uint64
	Bytes    uint64 // memory of the groups
	Shed     uint64 // records that found no room
	Late     uint64 // times that memory was used before it had been made present
}

// Stats are the partition's counters as of its last Step. Any goroutine may call it.
func (p *Partition) Stats() PartitionStats {
	return PartitionStats{p.rows.Load(), p.partials.Load(), p.groups.Load(), p.bytes.Load(), p.sheds.Load(), p.late.Load()}
}

func (p *Partition) store() {
	p.rows.Store(p.rowCount)
	p.partials.Store(p.partialCount)
	p.groups.Store(uint64(p.table.Len()))
	p.bytes.Store(uint64(p.table.Bytes()))
	p.sheds.Store(p.shedCount)
	p.late.Store(uint64(p.table.Late()))
}

// Done says whether every reader has ended and everything they sent is in the image.
func (p *Partition) Done() bool { return p.image != nil }

// Image is what the partition has published, nil before that.
func (p *Partition) Image() *Image { return p.image }

// Wake is never: only readers give a partition work, and they ring.
func (p *Partition) Wake() Nanos { return Never }

// Stall is why the last Step had no work.
func (p *Partition) Stall() Stall { return StallInput }

// Err is that there was no room for a group, where that ends the plan.
func (p *Partition) Err() error { return p.err }

// Step applies some chunks, fairly: it begins at the ring behind the one that the last Step ended with.
func (p *Partition) Step(Nanos) (work int) {
	if p.Done() {
		return 0
	}
	for range p.in {
		r := p.turn
		if p.turn++; p.turn == len(p.in) {
			p.turn = 0
		}
		if p.ended[r] {
			continue
		}
		work += p.drain(r, chunksPerStep-work)
		if work >= chunksPerStep {
			break
		}
	}
	if work > 0 {
		if p.left == 0 {
			p.image = &Image{p.layout, p.table, p.counters, p.shed}
		}
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
		end := c.kind == chunkEnd
		switch c.kind {
		case chunkEnd:
			p.ended[r] = true
			p.left--
			p.counters[r] = c.counters
		case chunkPartials:
			p.mergeChunk(c)
		default:
			p.applyChunk(c)
		}
		p.in[r].Release(1)
		p.bells[r].Ring()
		chunks++
		if end {
			return chunks
		}
	}
	return chunks
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
	p.applyChunk(c)
	p.store()
}

// directStripe adds records that lie elsewhere: those of p.words and p.args, see kernel.apply.
func (p *Partition) directStripe(reader ReaderID, hashes []uint64, heap []byte, nulls []uint64) {
	p.apply(hashes, heap, nulls)
	p.applied(reader, len(hashes))
	p.store()
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
