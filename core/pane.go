package core

import (
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/result"
)

// A pane has the tables of one piece of time in one partition. A plan without windows has one pane
// for all time.
//
// Records go to the live table. At an epoch the live table becomes what the epoch's slot shows, and
// another table, which no slot shows any more, takes its place: see package table, Twins. A pane
// that has not changed since the last epoch is shown as it was.
type pane struct {
	id window.Pane
	// first and last are the ends of the first and the last window that the pane is part of.
	first, last int64
	// end is the end of the window that its groups belong to; it is manyWindows if they do not
	// belong to a single one.
	end int64
	// When windows that end at shut or before are closed, no more records come to the pane.
	shut   int64
	memory table.Memory

	// tables are all its tables.
	tables []*result.Groups
	// live is the table that records go to; it is nil when the pane is closed.
	live *result.Groups
	// shown is what the newest epoch shows; it is nil before the first epoch that shows the pane.
	shown *result.Groups
	// bySlot has what each slot shows, nil for a slot that does not know the pane.
	bySlot []*result.Groups
	// lagging says that live has yet to catch up with shown.
	lagging bool
	// touched says that live has changed since the pane was last published.
	touched bool
	// noted says that the pane is in Partition.changed.
	noted bool
	// counted is what the pane adds to Partition.sums.
	counted paneSums
	// carried says that the pane has the sessions that go on from the pane before: see
	// Partition.carry.
	carried bool
}

// newGroups makes another table.
func (x *pane) newGroups(p *Partition) (*result.Groups, error) {
	memory := x.memory
	memory.Extra = len(x.tables) >= p.budget.Tables()
	t, err := newTable(p.layout, p.initialOwners, p.id, memory)
	if err != nil {
		return nil, err
	}
	g := &result.Groups{Layout: p.layout, Table: t, End: x.end}
	x.tables = append(x.tables, g)
	return g, nil
}

// spare is a table that no slot shows and that is not live. It makes another table if there is
// none.
func (x *pane) spare(p *Partition) (*result.Groups, error) {
	for i, g := range x.tables {
		if g.Slots > 0 || g == x.live {
			continue
		}
		if g != x.shown {
			x.renew(i)
		}
		return x.tables[i], nil
	}
	return x.newGroups(p)
}

// nextLive is the table of the partition's own that most likely becomes live at the next epoch. It
// is nil if there is none, or if the pane is closed.
func (x *pane) nextLive() *result.Groups {
	shown := x.shown
	if shown == nil {
		shown = x.bySlot[0] // what the cut shows that is there from the beginning
	}
	for _, g := range x.tables[:min(len(x.tables), ownTables)] {
		if x.live != nil && g != x.live && g != shown {
			return g
		}
	}
	return nil
}

// renew makes every later use of a row of a table panic, because the partition is about to write
// there. It costs an allocation, so it is done only with invariants.
func (x *pane) renew(i int) {
	if invariants.Enabled {
		old := x.tables[i]
		x.tables[i] = &result.Groups{Layout: old.Layout, Table: old.Table, End: old.End}
		old.Gone.Store(true)
	}
}

// show has a slot show groups instead of what it showed; nil stands for none.
func (x *pane) show(slot int, g *result.Groups) {
	if old := x.bySlot[slot]; old != nil {
		old.Slots--
	}
	x.bySlot[slot] = g
	if g != nil {
		g.Slots++
	}
}

// publish has a slot show the live table, and begins with another. The error says that there is no
// memory for that; the pane is as it was then.
func (x *pane) publish(p *Partition, slot int) error {
	if x.live == nil || !x.touched && x.shown != nil {
		x.show(slot, x.shown)
		return nil
	}
	old := x.bySlot[slot]
	x.show(slot, nil) // what the slot showed may be the next live table
	next, err := x.spare(p)
	if err == nil {
		err = next.Table.Follow(x.live.Table)
	}
	if err != nil {
		x.show(slot, old)
		return err
	}
	for _, g := range x.tables {
		if g != x.live {
			x.live.Table.Tell(g.Table)
		}
	}
	x.live.Table.Freeze()
	x.show(slot, x.live)
	x.live.Epoch = p.epoch
	x.shown, x.live, x.touched, x.lagging = x.live, next, false, true
	return nil
}

// seal has a slot show the live table for good: the pane is closed, or the epoch is the last.
func (x *pane) seal(epoch uint64, slot int) {
	if x.live != nil && (x.touched || x.shown == nil) {
		x.shown = x.live
		x.shown.Epoch = epoch
	}
	x.live, x.lagging = nil, false
	x.show(slot, x.shown)
}

// shows says whether any slot shows the pane.
func (x *pane) shows() bool {
	for _, g := range x.tables {
		if g.Slots > 0 {
			return true
		}
	}
	return false
}

// reuse prepares the pane, which no slot shows, for another piece of time.
func (x *pane) reuse() {
	for i, g := range x.tables {
		x.renew(i)
		g.Table.Reset()
	}
	x.shown, x.lagging, x.touched, x.carried = nil, false, false, false
	x.live = x.tables[0]
}

// free gives the memory of the pane back.
func (x *pane) free() {
	for _, g := range x.tables {
		g.Free()
	}
	x.tables = nil
}
