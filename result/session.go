package result

import "github.com/velo-engine/velo/core/window"

// find returns the states of a key's group; they are nil if there is no such group.
func FindStates(g *Groups, hash uint64, key []uint64, heap []byte) []uint64 {
	if g == nil {
		return nil
	}
	i, ok := g.Table.Get(hash, key, heap)
	if !ok {
		return nil
	}
	_, states := g.Table.Row(i)
	return states
}

// sessionsOf are the sessions whose last records, as far as the image knows, are in its pane i.
// Each has all records that it has had.
func (m *Image) sessionsOf(i int) (*Groups, error) {
	s := m.Layout.Window.Session
	x := m.Panes[i]
	neighbour := func(i int, id window.Pane) *Groups {
		if i < 0 || i >= len(m.Panes) || m.Panes[i].Pane != id {
			return nil
		}
		return m.Panes[i].Groups
	}
	sum, err := newMerged(m.Layout, x.Groups)
	if err != nil {
		return nil, err
	}
	merge := NewMerger(m.Layout, m.Layout)
	next := neighbour(i+1, x.Pane+window.Pane(s.Gap))
	merge.Add(sum, x.Groups, func(hash uint64, key, states []uint64) bool {
		return !s.GoesOn(states, FindStates(next, hash, key, x.Table.Heap()))
	})
	// Go back to a pane that has been shut: that pane has what came before.
	for ; m.Layout.Window.Clock.Shut(m.Panes[i].Pane) > m.Clock; i-- {
		before := neighbour(i-1, m.Panes[i].Pane-window.Pane(s.Gap))
		if before == nil {
			break
		}
		merge.Add(sum, before, func(hash uint64, key, states []uint64) bool {
			return s.GoesOn(states, FindStates(sum, hash, key, before.Table.Heap()))
		})
	}
	return sum.checkComplete()
}
