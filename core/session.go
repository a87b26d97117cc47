package core

import (
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/result"
)

// carrySessions carries the sessions that go on into each pane that is shut now, in the order of
// time.
func (p *Partition) carrySessions() {
	gap := p.layout.Window.Session.Gap
	// The panes before have their sessions already.
	for i := p.sealed; i < len(p.panes) && p.panes[i].shut <= p.closed; i++ {
		x := p.panes[i]
		if i > 0 && !x.carried && p.panes[i-1].id+window.Pane(gap) == x.id {
			p.carry(p.panes[i-1], x)
		}
		x.carried = true
	}
}

// carry merges the groups of pane from whose sessions go on in the next pane, to, into that pane.
func (p *Partition) carry(from, to *pane) {
	old := from.live
	if old == nil {
		old = from.shown
	}
	s := p.layout.Window.Session
	p.touch(to)
	p.merger.Add(to.live, old, func(hash uint64, key, states []uint64) bool {
		return s.GoesOn(states, result.FindStates(to.live, hash, key, old.Table.Heap()))
	})
	// A lack of room for blocks ends the plan, because such a plan cannot shed.
	p.noteAdded(to.live.Table)
}
