package core

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/result"
)

// # Going on after a restart
//
// Before anything runs, the cuts begin at the epoch that was saved, each partition loads the groups
// whose shards it owns, out of all saved panes, and shows them as the cut of that epoch. Loading
// merges: a saved row is a partial state like any other. So it does not matter how many partitions
// there were, nor which of them had a row. The hashes of the rows are made anew, because every
// process has seeds of its own.

// Begin makes the cut of an epoch the first one. It is called before the partitions load anything.
func (c *Cuts) Begin(number uint64) {
	c.Epochs.Begin(number)
	c.cuts[0].Begin(number, c.owners, true)
}

// Resume has the router begin with these counters.
func (r *Router) Resume(counters result.Counters) {
	r.counters = counters
	r.published.store(&r.counters)
}

// A SavedPane is the groups of a pane in one partition as they were saved: see core/table and
// table.RawBlocks. The memory must not change while Load reads it.
type SavedPane struct {
	Pane window.Pane
	// Rows is the number of rows.
	Rows int
	// Heap has the bytes of long strings.
	Heap []byte
	// Blocks has the lines of the blocks of states, in words. It is nil if there are none.
	Blocks []uint64
}

// Begin says which windows had closed, as result.Image says it. It is called before Load.
func (p *Partition) Begin(closed, oldest int64) { p.closed, p.oldest = closed, oldest }

// Expect makes room for the rows of a saved pane that the partition is likely to own. It is called
// before Load. If there is no memory for them, Load says so.
func (p *Partition) Expect(from *SavedPane) {
	n := from.Rows / len(p.cuts.cuts[0].Images)
	x := p.byID[from.Pane]
	if x == nil && n > 0 {
		x, _ = p.newPane(from.Pane) // Load tries again
	}
	if x != nil {
		x.live.Table.Room(n+n/expectMore, 0, 0)
	}
}

// expectMore is the part of the rows that a partition may have more than its share without having
// to make room again.
const expectMore = 16

// Load merges the groups that the partition owns out of some saved rows of a pane. The rows lie one
// after the other as in table.RawRows. The error says that there is no memory for them, or that the
// rows are not what they should be.
func (p *Partition) Load(from *SavedPane, rows []byte) error {
	l := p.layout
	size := 8 * table.RowWords(l.Keys.Words()+len(l.Init))
	if len(rows)%size != 0 {
		return fmt.Errorf("core: %d bytes of saved rows, expected a multiple of %d", len(rows), size)
	}
	x := p.byID[from.Pane]
	var batch groupBatch
	var blocks agg.Blocks
	if len(from.Blocks) > 0 {
		blocks = agg.Lent(unsafe.Pointer(&from.Blocks[0]))
	}
	merge := func() {
		copy(p.words, batch.words)
		p.table = x.live.Table
		p.merge(batch.hashes, from.Heap, batch.states, &blocks)
		p.noteAdded(p.table)
		batch.reset()
	}
	p.stamp = 0 // the groups have not changed since the epoch that was saved
	words := make([]uint64, size/8)
	for ; len(rows) > 0; rows = rows[size:] {
		for w := range words {
			words[w] = binary.LittleEndian.Uint64(rows[8*w:])
		}
		key, states := words[:l.Keys.Words()], words[l.Keys.Words():][:len(l.Init)]
		if err := l.Keys.Reseed(key, from.Heap); err != nil {
			return err
		}
		hash := l.Keys.HashKey(key)
		if p.cuts.owners.OfHash(hash) != p.id {
			continue
		}
		if err := checkBlocks(l, states, len(from.Blocks)); err != nil {
			return err
		}
		if x == nil {
			var err error
			x, err = p.newPane(from.Pane)
			if err != nil {
				return p.budget.outOfRoom(l.Name, 0, err)
			}
		}
		if batch.words == nil {
			batch = newGroupBatch(l)
		}
		if batch.add(hash, key, states); len(batch.hashes) == stripeRows {
			merge()
		}
	}
	if len(batch.hashes) > 0 {
		merge()
	}
	return p.err
}

// checkBlocks says whether the blocks of some states lie within the saved lines.
func checkBlocks(l *layout.Layout, states []uint64, words int) error {
	for i := range l.Sided {
		s := &l.Sided[i]
		place := agg.BlockOf(s.Fn, states[s.Word:])
		if place == nil {
			continue
		}
		if line, n := groupkey.LongPlace(*place); n > 0 && (line == 0 || line*agg.LineBytes+n > uint64(8*words)) {
			return fmt.Errorf("core: a saved state has a block of %d bytes in line %d, there are %d lines", n, line,
				8*words/agg.LineBytes)
		}
	}
	return nil
}

// Show makes what was loaded the partition's image in the cut that Cuts.Begin has made. counters
// say what had become of the records of each reader.
func (p *Partition) Show(counters []result.Counters) error {
	p.epoch, p.stamp = p.cuts.Visible(), p.cuts.Visible()+1
	const slot = 0
	p.sortPanes()
	for _, x := range p.panes {
		x.carried = p.isShut(x)
	}
	m := p.cuts.cuts[slot].Images[p.id]
	if err := p.showPanes(m, slot, false); err != nil {
		return p.budget.outOfRoom(p.layout.Name, 0, err)
	}
	m.Readers = m.Readers[:0]
	for _, c := range counters {
		m.Readers = append(m.Readers, result.ReaderImage{Counters: c})
	}
	m.Clock, m.Oldest = p.closed, p.oldest
	p.noteLagging()
	p.phase = catchingUp
	p.store()
	return nil
}
