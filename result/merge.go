package result

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/usercode"
)

// Aggregates of distinct values
//
// A plan that counts the distinct values of a column keeps its groups as pairs: one for each key
// and value. For everything that writes, it is an ordinary plan with one more key column. So
// routers fold, partitions merge, twins catch up and shards move as in any plan, and the memory of
// the values is bounded like the memory of groups. The first goroutine that reads a cut makes
// groups of the pairs: it merges the states of a group's pairs and counts the pairs whose value is
// not NULL. So such plans cost their writers a key column, and the first reader of a cut a pass
// over all pairs.
//
// Every layout has reading, the layout of what is read. It is the layout itself, except for a
// layout of pairs.

// mergeRows is how many groups a merger adds at a time.
const mergeRows = 512

// A Merger adds groups to the groups of a table. The table may have another layout, which is the
// layout of what is read.
type Merger struct {
	// from is the layout of the groups that are added, and to the layout of the table.
	from, to *layout.Layout
	// states are the states to merge.
	states []mergedState
	// collects says that some states are collected, of members.
	collects bool
	members  []members

	// counted are the words of the states that count the pairs of a group.
	counted []int

	// The rest is scratch of a stripe of groups that are added: their keys, the places of their
	// rows in the table, their rows in the table that they come from, and the key of one of them.
	keys   groupkey.Keys
	places []uint64
	rows   [mergeRows]int
	key    []uint64
}

// mergedState is a state, and where it lies in the rows of both layouts.
type mergedState struct {
	fn       agg.Func
	from, to int
	user     bool // fn is a function of a user
}

// NewMerger makes a merger of groups of one layout into a table of the same layout or of the layout
// of what is read.
func NewMerger(from, to *layout.Layout) *Merger {
	m := &Merger{
		from: from, to: to, places: make([]uint64, mergeRows),
		keys: groupkey.Keys{Words: make([][]uint64, to.Keys.Words()), Hashes: make([]uint64, mergeRows)},
	}
	for w := range m.keys.Words {
		m.keys.Words[w] = make([]uint64, mergeRows)
	}
	for _, s := range to.States {
		if from != to && (s.Distinct || s.Collect != nil) {
			// It is only in the layout that is read.
			m.collects = m.collects || s.Collect != nil
			if s.Distinct && from.ValueKey >= 0 {
				m.counted = append(m.counted, s.Word)
			}
			continue
		}
		i := slices.IndexFunc(from.States, func(o layout.AggState) bool { return sameState(from, &o, to, &s) })
		if invariants.Enabled && !agg.Same(s.Fn, from.States[i].Fn) {
			panic(fmt.Sprintf("result: state %v of groups is made of %v of pairs", s.Kind, from.States[i].Kind))
		}
		m.states = append(m.states, mergedState{s.Fn, from.States[i].Word, s.Word, agg.IsUser(s.Fn)})
	}
	return m
}

// sameState says whether two states of two layouts are of the same function and columns.
func sameState(la *layout.Layout, a *layout.AggState, lb *layout.Layout, b *layout.AggState) bool {
	name := func(l *layout.Layout, arg int) string {
		if arg < 0 {
			return ""
		}
		return l.Source.Field(l.Args[arg].Source).Name
	}
	if a.Kind == 0 && !agg.Same(a.Fn, b.Fn) {
		return false // functions of users have no kind
	}
	return a.Kind.State() == b.Kind.State() && name(la, a.Arg) == name(lb, b.Arg) && name(la, a.By) == name(lb, b.By)
}

// keyOf is the key of the group that a row belongs to, of a set of keys if there are sets.
func (m *Merger) keyOf(key []uint64, set int) []uint64 {
	switch {
	case m.from == m.to:
		return key
	case m.to.Sets != nil:
		s := &m.to.Sets[set]
		m.key = m.to.Keys.AppendMasked(m.key[:0], key, m.from.Keys, s.Keep, s.Mark)
		return m.key
	}
	key, m.key = m.from.Keys.Prefix(m.key, key, m.to.Keys)
	return key
}

// Add adds the groups of g for which keep is true; a nil keep takes all.
func (m *Merger) Add(sum *Groups, g *Groups, keep func(hash uint64, key, states []uint64) bool) {
	sum.Epoch = max(sum.Epoch, g.Epoch)
	if m.collects {
		m.members = append(m.members, members{g, make([]member, 0, m.sets()*g.Table.Len())})
	}
	for from := 0; from < g.Table.Len(); {
		from = m.gather(g, from, keep)
		rows := sum.Table.FindOrCreate(m.keys.Hashes, m.keys.Words, g.Table.Heap(), m.places)
		m.merge(sum.Table, g, rows.Off)
		if m.collects {
			of := &m.members[len(m.members)-1]
			for i, off := range rows.Off {
				of.rows = append(of.rows, member{m.rows[i], sum.Table.RowAt(off)})
			}
		}
	}
	runtime.KeepAlive(g) // the collector does not own what its rows point to
}

// sets is how many groups a row belongs to.
func (m *Merger) sets() int {
	if m.from == m.to {
		return 1
	}
	return max(1, len(m.to.Sets))
}

// gather makes the keys of the next groups, with their hashes, and returns the row to go on with.
func (m *Merger) gather(g *Groups, from int, keep func(hash uint64, key, states []uint64) bool) int {
	n, sets := 0, m.sets()
	for ; from < g.Table.Len() && n+sets <= mergeRows; from++ {
		if g.Away != nil && g.isAway(from) {
			continue
		}
		row, states := g.Table.Row(from)
		for set := range sets {
			key := m.keyOf(row, set)
			if keep != nil && !keep(m.to.Keys.HashKey(key), key, states) {
				continue
			}
			m.rows[n] = from
			for w, word := range key {
				m.keys.Words[w][n] = word
			}
			n++
		}
	}
	m.to.Keys.HashAll(&m.keys, n)
	return from
}

// merge adds the states of the groups that gather has found to the rows of a table at these places.
func (m *Merger) merge(to *table.Table, g *Groups, places []uint64) {
	for i, off := range places {
		key, states := g.Table.Row(m.rows[i])
		sums := to.StatesAt(off)
		for _, s := range m.states {
			n := s.fn.Words()
			into, from := sums[s.to:s.to+n], states[s.from:s.from+n]
			if s.user {
				m.mergeUser(s.fn, into, from)
				continue
			}
			s.fn.Merge(into, from, to.Blocks(), g.Table.Blocks())
		}
		if len(m.counted) > 0 && !m.from.Keys.IsNull(key, m.from.ValueKey) {
			for _, w := range m.counted {
				sums[w]++
			}
		}
		if w := m.to.StampWord; w >= 0 {
			sums[w] = max(sums[w], states[m.from.StampWord])
		}
	}
}

// mergeUser merges states of a function of a user. If it panics, that is noted: the goroutine may
// be anybody's who reads a result.
func (m *Merger) mergeUser(f agg.Func, into, from []uint64) {
	var err error
	defer func() { m.to.Panics.Add(err) }()
	defer usercode.Contain(&err)
	f.Merge(into, from, nil, nil)
}

// emptySets makes the groups of the sets without keys, which are there before any record.
func (m *Merger) emptySets(sum *Groups) {
	none := make([]uint64, m.from.Keys.Words())
	for i, s := range m.to.Sets {
		if slices.Contains(s.Keep, true) {
			continue
		}
		key := m.keyOf(none, i)
		for w := range key {
			m.keys.Words[w][0] = key[w]
		}
		sum.Table.FindOrCreate([]uint64{m.to.Keys.HashKey(key)}, m.keys.Words, nil, m.places)
	}
}

// readable is the image as it is read: the image itself, or one that makes groups of pairs.
func (m *Image) readable(others ...*Image) *Image {
	if m.Layout.Reading == m.Layout {
		return m
	}
	return &Image{
		Layout: m.Layout.Reading, Clock: m.Clock, Oldest: m.Oldest,
		pairs: append([]*Image{m}, others...),
	}
}

// ofPairs are the groups of the window with this end, or all groups if the plan has no windows. It
// is nil if there are none.
func (m *Image) ofPairs(end int64) *Groups {
	if !slices.ContainsFunc(m.pairs, func(p *Image) bool { return p.pairsOf(end) != nil }) {
		return nil
	}
	return m.mergedWindow(end).make(func() (*Groups, error) {
		var sets []*Groups
		for _, p := range m.pairs {
			if g := p.pairsOf(end); g != nil {
				sets = append(sets, g)
			}
		}
		return mergeGroups(sets[0].Layout, m.Layout, sets)
	})
}

// pairsOf are the pairs of the window with this end, or all pairs if the plan has no windows. It is
// nil if there are none.
func (m *Image) pairsOf(end int64) *Groups {
	if m.Layout.Window == nil {
		return m.set(end)
	}
	return m.anySet(end)
}
