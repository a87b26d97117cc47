package core

import (
	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/plan"
)

// handoverRows bounds the rows that a partition looks at in one Step to hand a shard over: that
// takes some tens of microseconds.
const handoverRows = 2048

// handover is what a partition has to do for shards that move: see Cuts.RequestMove.
type handover struct {
	move
	// slot is the slot of the move's epoch.
	slot int
	// from is the table that is looked through. The new owner takes the groups of the shards from
	// it. For the old owner it is its own table, whose groups of the shards it resets to nothing.
	from *table.Table
	// row is the row to look at next.
	row int
	// rows is the number of rows of each shard, as far as the table has been looked through.
	rows [plan.Shards]int
	// over says that all rows have been looked at.
	over bool
	// taken are the groups that the new owner has read and not merged yet.
	taken groupBatch
}

// beginHandover notes what the partition has to do for the shards that move at an epoch.
func (p *Partition) beginHandover(number uint64, slot int) {
	m := p.cuts.move
	if m.epoch == number && m.from != m.to && (m.from == p.id || m.to == p.id) {
		p.handover = &handover{move: m, slot: slot}
	}
}

// leaveHandover has a partition that was abandoned take no groups any more. It returns true while
// the new owner of its shards, which may not have been abandoned yet, reads the image: until then
// the partition must not answer the next epoch.
func (p *Partition) leaveHandover() (waits bool) {
	h := p.handover
	switch {
	case h == nil:
		return false
	case h.to == p.id:
		p.cuts.handed.Store(h.epoch) // the old owner waits for it
		p.cuts.wake()
	case p.cuts.handed.Load() < h.epoch:
		p.stall = StallMark
		return true
	}
	p.handover = nil
	return false
}

// groupBatch is some groups of another table, column by column.
type groupBatch struct {
	hashes        []uint64
	words, states [][]uint64
}

func newGroupBatch(l *layout.Layout) (s groupBatch) {
	s.hashes = make([]uint64, 0, stripeRows)
	for range l.Keys.Words() {
		s.words = append(s.words, make([]uint64, 0, stripeRows))
	}
	for range l.Init {
		s.states = append(s.states, make([]uint64, 0, stripeRows))
	}
	return s
}

func (s *groupBatch) add(hash uint64, key, states []uint64) {
	s.hashes = append(s.hashes, hash)
	for w := range s.words {
		s.words[w] = append(s.words[w], key[w])
	}
	for w := range s.states {
		s.states[w] = append(s.states[w], states[w])
	}
}

func (s *groupBatch) reset() {
	s.hashes = s.hashes[:0]
	for w := range s.words {
		s.words[w] = s.words[w][:0]
	}
	for w := range s.states {
		s.states[w] = s.states[w][:0]
	}
}

// handOver does a piece of the work for a move.
func (p *Partition) handOver() (work int) {
	h := p.handover
	switch {
	case h.to == p.id && p.cuts.Finished() < h.epoch:
		return 0 // the old owner may not have put its image there
	case h.from == nil && h.to == p.id:
		// The slot is not used again before this partition and the old owner have answered the next
		// epoch, and both do that after this handover.
		h.from = p.cuts.cuts[h.slot].Images[h.move.from].Panes[0].Table
		h.taken = newGroupBatch(p.layout)
		p.away = p.away.With(&h.set, false, &[plan.Shards]int{})
	case h.from == nil:
		h.from = p.panes[0].live.Table
	}
	p.touch(p.panes[0])

	for last := min(h.row+handoverRows, h.from.Len()); !h.over && h.row < last; h.row++ {
		key, states := h.from.Row(h.row)
		hash := p.layout.Keys.HashKey(key)
		shard := layout.ShardOf(hash)
		if !h.set[shard] {
			continue
		}
		h.rows[shard]++
		if h.to != p.id {
			for _, x := range p.layout.States {
				agg.Drop(x.Fn, states[x.Word:], h.from.Blocks())
			}
			h.from.Clear(h.row)
			continue
		}
		if h.taken.add(hash, key, states); len(h.taken.hashes) == stripeRows {
			p.mergeTaken()
		}
	}
	switch {
	case !h.over && h.row < h.from.Len():
		return 1
	case h.to == p.id:
		p.mergeTaken()
		// The old owner loads handed before it answers the next epoch, so this partition has read
		// the old owner's image before that.
		p.cuts.handed.Store(h.epoch)
		p.cuts.wake()
	case !h.over:
		h.over = true
		p.away = p.away.With(&h.set, true, &h.rows)
		fallthrough
	default:
		if p.cuts.handed.Load() < h.epoch {
			// The new owner still reads the image. If the epoch has no cut, that image is not the
			// current one.
			return 0
		}
	}
	p.handover = nil
	return 1
}

// mergeTaken merges the groups that have been read.
func (p *Partition) mergeTaken() {
	s := &p.handover.taken
	if len(s.hashes) > 0 {
		copy(p.words, s.words)
		p.reader, p.table = 0, p.panes[0].live.Table
		p.merge(s.hashes, p.handover.from.Heap(), s.states, p.handover.from.Blocks())
		p.noteAdded(p.table)
	}
	s.reset()
}
