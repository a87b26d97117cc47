package core

import (
	"github.com/velo-engine/velo/core/window"
)

// sessions have what is special if the windows of a plan are sessions; see package window,
// Sessions. Each group of a pane has the least and the greatest time of its records. When a pane is
// shut, its partition merges into it those groups of the pane before whose sessions go on in it. So
// a shut pane has everything that its sessions have had so far, however long ago they began, and
// the panes before can go. For panes that have not been shut, the goroutine that reads them puts
// the sessions together.
type sessions struct {
	gap         int64 // a session ends when no record comes for longer than this
	first, last int   // words of a group's states: the least and the greatest time
}

// bounds are the begin and the end of a session.
func (s *sessions) bounds(states []uint64) (begin, end int64) {
	return int64(states[s.first]), int64(states[s.last]) + s.gap
}

// goesOn says whether a session goes on in the next pane. next are the states that its key has
// there; they are nil if the key is not there.
func (s *sessions) goesOn(states, next []uint64) bool {
	return next != nil && int64(next[s.first])-int64(states[s.last]) <= s.gap
}

// find returns the states of a key's group; they are nil if there is no such group.
func (s *sessions) find(g *groups, hash uint64, key []uint64, heap []byte) []uint64 {
	if g == nil {
		return nil
	}
	i, ok := g.table.Get(hash, key, heap)
	if !ok {
		return nil
	}
	_, states := g.table.Row(i)
	return states
}

// carrySessions carries the sessions that go on into each pane that is shut now, in the order of
// time.
func (p *Partition) carrySessions() {
	gap := p.layout.window.session.gap
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
	s := p.layout.window.session
	p.touch(to)
	p.merger.add(to.live, old, func(hash uint64, key, states []uint64) bool {
		return s.goesOn(states, s.find(to.live, hash, key, old.table.Heap()))
	})
	// A lack of room for blocks ends the plan, because such a plan cannot shed.
	p.noteAdded(to.live.table)
}

// sessionsOf are the sessions whose last records, as far as the image knows, are in its pane i.
// Each has all records that it has had.
func (m *Image) sessionsOf(i int) (*groups, error) {
	s := m.layout.window.session
	x := m.panes[i]
	neighbour := func(i int, id window.Pane) *groups {
		if i < 0 || i >= len(m.panes) || m.panes[i].pane != id {
			return nil
		}
		return m.panes[i].groups
	}
	sum, err := newMerged(m.layout, x.groups)
	if err != nil {
		return nil, err
	}
	merge := newMerger(m.layout, m.layout)
	next := neighbour(i+1, x.pane+window.Pane(s.gap))
	merge.add(sum, x.groups, func(hash uint64, key, states []uint64) bool {
		return !s.goesOn(states, s.find(next, hash, key, x.table.Heap()))
	})
	// Go back to a pane that has been shut: that pane has what came before.
	for ; m.layout.window.clock.Shut(m.panes[i].pane) > m.clock; i-- {
		before := neighbour(i-1, m.panes[i].pane-window.Pane(s.gap))
		if before == nil {
			break
		}
		merge.add(sum, before, func(hash uint64, key, states []uint64) bool {
			return s.goesOn(states, s.find(sum, hash, key, before.table.Heap()))
		})
	}
	return sum.checkComplete()
}
