package core

import (
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
	r.counters, r.resumed = counters, counters
	r.published.store(&r.counters)
}

// A SavedPane is the groups of a pane in one partition as they were saved: see core/table and
// table.RawBlocks. The memory must not change while Load reads it.
type SavedPane struct {
	Pane window.Pane
	// New says that no pane that was loaded before has a row of the same group. Then its rows are
	// taken as they are. Otherwise they are merged, which takes three times as long and gives the
	// same groups.
	New bool
	// Heap has the bytes of long strings.
	Heap []byte
	// Blocks has the lines of the blocks of states, in words. It is nil if there are none.
	Blocks []uint64
}

// Begin says which windows had closed, as result.Image says it. It is called before Load.
func (p *Partition) Begin(closed, oldest int64) { p.closed, p.oldest = closed, oldest }

// Expect makes room for the rows of the saved panes of a time that the partition is likely to own.
// It is called before Load. If there is no memory for them, Load says so.
func (p *Partition) Expect(id window.Pane, rows int) {
	n := rows
	if partitions := len(p.cuts.cuts[0].Images); partitions > 1 {
		n = rows/partitions + rows/partitions/expectMore
	}
	x := p.byID[id]
	if x == nil && n > 0 {
		x, _ = p.newPane(id) // Load tries again
	}
	if x != nil {
		x.live.Table.Room(n, 0, 0)
	}
}

// expectMore is the part of the rows that a partition may have more than its share without having
// to make room again.
const expectMore = 16

// loading is scratch of Load.
type loading struct {
	keys  *groupkey.Keys
	owned [stripeRows]uint32 // the rows of a stripe that the partition owns, by their numbers
	// hashes and states have the rows that are merged, column by column.
	hashes []uint64
	states [][]uint64
}

// newLoading makes scratch for rows of the layout.
func newLoading(l *layout.Layout) *loading {
	x := &loading{keys: l.Keys.NewKeys(stripeRows), hashes: make([]uint64, stripeRows)}
	x.keys.Words = make([][]uint64, l.Keys.Words())
	for w := range x.keys.Words {
		x.keys.Words[w] = make([]uint64, stripeRows)
	}
	for range l.Init {
		x.states = append(x.states, make([]uint64, stripeRows))
	}
	return x
}

// Load takes over the groups that the partition owns out of some saved rows of a pane. The rows lie
// one after the other as in table.RawRows. The error says that there is no memory for them, or that
// the rows are not what they should be.
func (p *Partition) Load(from *SavedPane, rows []byte) error {
	l := p.layout
	size := 8 * table.RowWords(l.Keys.Words()+len(l.Init))
	if len(rows)%size != 0 {
		return fmt.Errorf("core: %d bytes of saved rows, expected a multiple of %d", len(rows), size)
	}
	if p.loading == nil {
		p.loading = newLoading(l)
	}
	p.stamp = 0 // the groups have not changed since the epoch that was saved
	for len(rows) > 0 {
		n := min(len(rows)/size, stripeRows)
		if err := p.loadStripe(from, rows[:n*size], n); err != nil {
			return err
		}
		rows = rows[n*size:]
	}
	return p.err
}

// loadStripe is Load for n rows.
func (p *Partition) loadStripe(from *SavedPane, rows []byte, n int) error {
	l, x := p.layout, p.loading
	owned, err := p.ownedOf(from, rows, n)
	if err != nil || len(owned) == 0 {
		return err
	}
	pane := p.byID[from.Pane]
	if pane == nil {
		pane, err = p.newPane(from.Pane)
		if err != nil {
			return p.budget.outOfRoom(l.Name, 0, err)
		}
	}
	for i := 0; i < len(owned) && len(l.Sided) > 0; i++ {
		row := owned[i]
		if err := checkBlocks(l, savedRow(rows, n, row)[l.Keys.Words():], len(from.Blocks)); err != nil {
			return err
		}
	}
	var blocks agg.Blocks
	if len(from.Blocks) > 0 {
		blocks = agg.Lent(unsafe.Pointer(&from.Blocks[0]))
	}
	p.table = pane.live.Table
	if from.New && l.Keys.Words() > 0 { // without keys the group is there from the beginning
		added := p.table.Append(rows, owned, x.keys.Hashes, x.keys.Words, from.Heap, p.off[:])
		p.stampRows(added)
		for i := range l.Sided {
			s := &l.Sided[i]
			for _, off := range added.Off {
				_, states := p.table.Row(p.table.RowAt(off))
				if !agg.Adopt(s.Fn, states[s.Word:], added.Blocks, &blocks) {
					break
				}
			}
		}
	} else {
		p.mergeOwned(from, rows, n, owned, &blocks)
	}
	p.noteAdded(p.table)
	return nil
}

// mergeOwned merges some rows of a stripe.
func (p *Partition) mergeOwned(from *SavedPane, rows []byte, n int, owned []uint32, blocks *agg.Blocks) {
	x := p.loading
	for i, row := range owned {
		x.hashes[i] = x.keys.Hashes[row]
		for w := range x.keys.Words {
			x.keys.Words[w][i] = x.keys.Words[w][row] // row is not before i
		}
		states := savedRow(rows, n, row)[len(x.keys.Words):]
		for w := range x.states {
			x.states[w][i] = states[w]
		}
	}
	copy(p.words, x.keys.Words)
	p.merge(x.hashes[:len(owned)], from.Heap, x.states, blocks)
}

// ownedOf hashes the keys of n rows and returns which of them the partition owns.
func (p *Partition) ownedOf(from *SavedPane, rows []byte, n int) ([]uint32, error) {
	l, x := p.layout, p.loading
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(rows))), len(rows)/8)
	size := len(words) / n
	for w, column := range x.keys.Words {
		at := w
		for i := range column[:n] {
			column[i] = words[at]
			at += size
		}
	}
	if err := l.Keys.Reseed(x.keys, n, from.Heap); err != nil {
		return nil, err
	}
	l.Keys.HashAll(x.keys, n)
	all := len(p.cuts.cuts[0].Images) == 1
	owned := 0
	for i, hash := range x.keys.Hashes {
		x.owned[owned] = uint32(i)
		if all || p.cuts.owners.OfHash(hash) == p.id {
			owned++
		}
	}
	return x.owned[:owned], nil
}

// savedRow is row i of n.
func savedRow(rows []byte, n int, i uint32) []uint64 {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(rows))), len(rows)/8)
	size := len(words) / n
	return words[int(i)*size:][:size]
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
	p.loading = nil
	p.phase = catchingUp
	p.store()
	return nil
}
