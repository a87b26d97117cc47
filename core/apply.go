package core

import (
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/plan"
)

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
		for i := range l.Args {
			if column := l.Args[i].Column; column >= 0 {
				p.args[i], p.texts[i] = c.column(l, column, n)[from:to], heap
			}
		}
		var nulls, panes []uint64
		if l.HasNulls {
			nulls = c.column(l, l.Nulls, n)[from:to]
		}
		if l.Window != nil {
			panes = c.column(l, l.Window.Chunk, n)[from:to]
		}
		p.applyStripe(c.reader, c.column(l, 0, n)[from:to], heap, nulls, panes)
	}
}

// applyStripe adds the records of a stripe, which are in p.words and p.args, to the groups of their
// panes. If the plan has windows, panes has a word for each record, which is its pane, or a single
// word for all of them.
func (p *Partition) applyStripe(reader plan.ReaderID, hashes []uint64, heap []byte, nulls, panes []uint64) {
	p.reader = reader
	old := p.inputs[reader].tooOld
	if panes == nil {
		x := p.panes[0]
		p.touch(x)
		p.table = x.live.Table
		p.apply(hashes, heap, nulls)
		p.noteAdded(p.table)
	} else {
		p.applyPanes(panes, hashes, heap, nulls, p.tables, p.afterAdd)
	}
	p.counts.rows += uint64(len(hashes)) - (p.inputs[reader].tooOld - old)
}

// noteAdded looks at a table after an addition. It notes whether the table lacks memory for the
// next addition, and counts the records that have found no room in it.
func (p *Partition) noteAdded(t *table.Table) {
	p.lacking.note(t, p.maxGroupsPerChunk())
	records, cause := t.TakeShed()
	if records == 0 {
		return
	}
	p.counts.shed += records
	p.counts.rows -= records
	p.inputs[p.reader].shed += records
	if !p.budget.sheds() {
		p.fail(p.budget.outOfRoom(p.layout.Name, t.Len(), cause))
	}
}

// A router whose runner also steps the partition may apply its records in place, with direct and
// directStripe. They are not called while the ring from that router has chunks.

// applyDirect adds the records of a chunk that is in no ring. A chunk that was open when the plan
// ended alone is dropped. A panic of a user's function is the partition's, as in Step: it may come
// while the router sends the marks of an epoch, which it goes on with.
func (p *Partition) applyDirect(c *Chunk) {
	defer usercode.Contain(&p.err)
	if p.phase == discarding {
		return
	}
	p.checkLive()
	p.applyChunk(c)
	p.store()
}

// applyStripeDirect adds records that do not lie in a chunk but in p.words and p.args, see
// applyStripe.
func (p *Partition) applyStripeDirect(reader plan.ReaderID, hashes []uint64, heap []byte, nulls, panes []uint64) {
	defer usercode.Contain(&p.err)
	if p.phase == discarding {
		return
	}
	p.checkLive()
	p.applyStripe(reader, hashes, heap, nulls, panes)
	p.store()
}

// takes says whether records may be applied in place at all.
func (p *Partition) takes() bool { return p.phase == draining && !p.unwritten() && p.ready() }

// ready says whether there is memory for records that are applied in place.
func (p *Partition) ready() bool { return !p.lacking.waits(p.maxGroupsPerChunk()) }

func (p *Partition) checkLive() {
	if invariants.Enabled && p.phase != draining {
		panic("core: records are applied to a table that has not caught up")
	}
}

// mergeChunk adds the partial states of a chunk to their groups.
func (p *Partition) mergeChunk(c *Chunk) {
	l := p.layout
	n := int(c.rows)
	p.counts.partials += uint64(n)
	p.reader = c.reader
	records := n
	if l.RowsWord >= 0 {
		records = 0
		for _, of := range c.partialColumn(l, 1+len(p.words)+l.RowsWord, n) {
			records += int(of)
		}
	}
	p.table = p.tableOf(window.Pane(c.epoch), records)
	if p.table == nil {
		return
	}
	heap := c.heap(l)[:c.heapBytes]
	if len(l.Sided) > 0 {
		// The first line of the heap is block 1: there is no block 0.
		p.lentBlocks = agg.Lent(unsafe.Pointer(&c.data[l.HeapAt-agg.LineBytes/8]))
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
	p.noteAdded(p.table) // a lack of room ends the plan: a plan that sheds never folds
}
