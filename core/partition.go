package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/ring"
)

// chunksPerStep bounds what a partition does in one Step: a few times 64 KiB, well under a millisecond.
const chunksPerStep = 4

// A Partition keeps the groups of its shards. It is an Agent.
type Partition struct {
	id     PartitionID
	layout *layout
	in     []*ring.Consumer[Chunk] // one for each reader
	bells  []Bell                  // of the readers
	turn   int                     // the ring to look at first in the next Step
	table  *table.Table

	// The readers whose last mark has come, and their counters.
	ended    []bool
	left     int
	counters []Counters
	image    *Image

	// Scratch of a stripe.
	off   [stripeRows]uint64
	words [][]uint64

	// For other goroutines; single writer, stored once per Step.
	rows, groups, bytes atomic.Uint64
	rowCount            uint64
}

// NewPartition makes a partition without groups. in and bells have an entry for each reader.
func NewPartition(id PartitionID, plan *Plan, owners *Owners, in []*ring.Consumer[Chunk], bells []Bell) (*Partition, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	p := &Partition{
		id: id, layout: l, in: in, bells: bells, table: newTable(l, owners, id),
		ended: make([]bool, len(in)), left: len(in), counters: make([]Counters, len(in)),
		words: make([][]uint64, l.keys.Words()),
	}
	p.store()
	return p, nil
}

// PartitionStats are the counters of a partition.
type PartitionStats struct {
	Rows   uint64 // records applied
	Groups uint64
	Bytes  uint64 // memory of the groups
}

// Stats are the partition's counters as of its last Step. Any goroutine may call it.
func (p *Partition) Stats() PartitionStats {
	return PartitionStats{p.rows.Load(), p.groups.Load(), p.bytes.Load()}
}

func (p *Partition) store() {
	p.rows.Store(p.rowCount)
	p.groups.Store(uint64(p.table.Len()))
	p.bytes.Store(uint64(p.table.Bytes()))
}

// Done says whether every reader has ended and everything they sent is in the image.
func (p *Partition) Done() bool { return p.image != nil }

// Image is what the partition has published, nil before that.
func (p *Partition) Image() *Image { return p.image }

// Wake is never: only readers give a partition work, and they ring.
func (p *Partition) Wake() Nanos { return Never }

// Stall is why the last Step had no work.
func (p *Partition) Stall() Stall { return StallInput }

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
			p.image = &Image{p.layout, p.table, p.counters}
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
		if end {
			p.ended[r] = true
			p.left--
			p.counters[r] = c.counters
		} else {
			p.apply(c)
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

// apply adds the rows of a chunk to their groups.
func (p *Partition) apply(c *Chunk) {
	l := p.layout
	n := int(c.rows)
	heap := c.heap(l)[:c.heapBytes]
	keyWords := l.keys.Words()
	for from := 0; from < n; from += stripeRows {
		to := min(from+stripeRows, n)
		for w := range p.words {
			p.words[w] = c.column(l, 1+w, n)[from:to]
		}
		rows := p.table.FindOrCreate(c.column(l, 0, n)[from:to], p.words, heap, p.off[:])
		var nulls []uint64
		if l.hasNulls {
			nulls = c.column(l, l.columns-1, n)[from:to]
		}
		for i := range l.states {
			s := &l.states[i]
			var args agg.Args
			if s.arg >= 0 {
				args.Nulls, args.NullBit = nulls, uint8(s.arg)
				if column := l.args[s.arg].column; column >= 0 {
					args.Words = c.column(l, column, n)[from:to]
				}
			}
			s.fn.Update(rows, uintptr(8*(keyWords+s.word)), args)
		}
	}
	p.rowCount += uint64(n)
}
