package core

import (
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
)

// A pane has the tables of one piece of time in one partition; of a plan without windows there is one pane for all time.
//
// Records go to the live table. At an epoch that becomes what the epoch's slot shows, and another takes its place that no slot shows any more: see
// package table, Twins. A pane that was not touched since is shown as it was.
type pane struct {
	id          window.Pane
	first, last int64 // the ends of the first and the last window that it is part of
	end         int64 // of its groups: manyWindows where it is not that of one window
	shut        int64 // when windows that end up to there are closed, no record comes any more
	memory      table.Memory

	tables  []*groups // all of them
	live    *groups   // nil when the pane is closed
	shown   *groups   // what the newest epoch shows; nil before the first
	bySlot  []*groups // what each slot shows, nil where it does not know the pane
	behind  bool      // live has yet to catch up with shown
	touched bool      // live has changed since
	noted   bool      // in Partition.changed
	counted paneSums  // in Partition.sums
	carried bool      // it has the sessions that go on from the pane before: see Partition.carry
}

// newGroups makes another table.
func (x *pane) newGroups(p *Partition) (*groups, error) {
	memory := x.memory
	memory.Extra = len(x.tables) >= ownTables
	t, err := newTable(p.layout, p.first, p.id, memory)
	if err != nil {
		return nil, err
	}
	g := &groups{layout: p.layout, table: t, end: x.end}
	x.tables = append(x.tables, g)
	return g, nil
}

// spare is a table that nobody shows and that is not live; another is made where there is none.
func (x *pane) spare(p *Partition) (*groups, error) {
	for i, g := range x.tables {
		if g.slots > 0 || g == x.live {
			continue
		}
		if g != x.shown {
			x.renew(i)
		}
		return x.tables[i], nil
	}
	return x.newGroups(p)
}

// renew has whoever still uses a row of a table panic, because the partition is about to write there. It costs an allocation, so it
// is done with invariants only.
func (x *pane) renew(i int) {
	if invariants.Enabled {
		old := x.tables[i]
		x.tables[i] = &groups{layout: old.layout, table: old.table, end: old.end}
		old.gone.Store(true)
	}
}

// show has a slot show groups, nil for none, instead of what it showed.
func (x *pane) show(slot int, g *groups) {
	if old := x.bySlot[slot]; old != nil {
		old.slots--
	}
	x.bySlot[slot] = g
	if g != nil {
		g.slots++
	}
}

// publish has a slot show the live table, and begins with another. The error says that there is no memory for that; the pane is as it was then.
func (x *pane) publish(p *Partition, slot int) error {
	if x.live == nil || !x.touched && x.shown != nil {
		x.show(slot, x.shown)
		return nil
	}
	old := x.bySlot[slot]
	x.show(slot, nil) // what the slot showed may be what comes next
	next, err := x.spare(p)
	if err == nil {
		err = next.table.Follow(x.live.table)
	}
	if err != nil {
		x.show(slot, old)
		return err
	}
	for _, g := range x.tables {
		if g != x.live {
			x.live.table.Tell(g.table)
		}
	}
	x.live.table.Freeze()
	x.show(slot, x.live)
	x.live.epoch = p.epoch
	x.shown, x.live, x.touched, x.behind = x.live, next, false, true
	return nil
}

// seal has a slot show the live table for good: the pane is closed, or the epoch is the last.
func (x *pane) seal(epoch uint64, slot int) {
	if x.live != nil && (x.touched || x.shown == nil) {
		x.shown = x.live
		x.shown.epoch = epoch
	}
	x.live, x.behind = nil, false
	x.show(slot, x.shown)
}

// shows says whether any slot shows the pane.
func (x *pane) shows() bool {
	for _, g := range x.tables {
		if g.slots > 0 {
			return true
		}
	}
	return false
}

// reuse makes the pane, which nobody shows, that of another piece of time.
func (x *pane) reuse() {
	for i, g := range x.tables {
		x.renew(i)
		g.table.Reset()
	}
	x.shown, x.behind, x.touched, x.carried = nil, false, false, false
	x.live = x.tables[0]
}

// free gives its memory back.
func (x *pane) free() {
	for _, g := range x.tables {
		g.free()
	}
	x.tables = nil
}
