package result

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/layout"
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

	// The rest is scratch of a stripe of groups that are added: their hashes, the places of their
	// rows in the table, their key words, their rows in the table that they come from, and the key
	// of one of them.
	hashes []uint64
	places []uint64
	words  [][]uint64
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
		from: from, to: to, hashes: make([]uint64, 0, mergeRows), places: make([]uint64, mergeRows),
		words: make([][]uint64, to.Keys.Words()),
	}
	for w := range m.words {
		m.words[w] = make([]uint64, mergeRows)
	}
	for _, s := range to.States {
		if from != to && (s.Distinct || s.Collect != nil) {
			m.collects = m.collects || s.Collect != nil
			continue // it is only in the layout that is read
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
	m.key = m.from.Keys.AppendPrefix(m.key[:0], key, m.to.Keys)
	return m.key
}

// Add adds the groups of g for which keep is true; a nil keep takes all.
func (m *Merger) Add(sum *Groups, g *Groups, keep func(hash uint64, key, states []uint64) bool) {
	to := sum.Table
	sum.Epoch = max(sum.Epoch, g.Epoch)
	sets := 1
	if m.from != m.to {
		sets = max(1, len(m.to.Sets))
	}
	if m.collects {
		m.members = append(m.members, members{g, make([]member, 0, sets*g.Table.Len())})
	}
	for from := 0; from < g.Table.Len(); {
		m.hashes = m.hashes[:0]
		for ; from < g.Table.Len() && len(m.hashes)+sets <= mergeRows; from++ {
			if g.Away != nil && g.isAway(from) {
				continue
			}
			row, states := g.Table.Row(from)
			for set := range sets {
				key := m.keyOf(row, set)
				hash := m.to.Keys.HashKey(key)
				if keep != nil && !keep(hash, key, states) {
					continue
				}
				m.rows[len(m.hashes)] = from
				for w := range m.words {
					m.words[w][len(m.hashes)] = key[w]
				}
				m.hashes = append(m.hashes, hash)
			}
		}
		rows := to.FindOrCreate(m.hashes, m.words, g.Table.Heap(), m.places)
		for i := range m.hashes {
			key, states := g.Table.Row(m.rows[i])
			_, sums := to.Row(to.RowAt(rows.Off[i]))
			for _, s := range m.states {
				n := s.fn.Words()
				into, from := sums[s.to:s.to+n], states[s.from:s.from+n]
				if s.user {
					m.mergeUser(s.fn, into, from)
					continue
				}
				s.fn.Merge(into, from, to.Blocks(), g.Table.Blocks())
			}
			if m.collects {
				of := &m.members[len(m.members)-1]
				of.rows = append(of.rows, member{m.rows[i], to.RowAt(rows.Off[i])})
			}
			if m.from != m.to && m.from.ValueKey >= 0 && !m.from.Keys.IsNull(key, m.from.ValueKey) {
				for _, s := range m.to.States {
					if s.Distinct {
						sums[s.Word]++
					}
				}
			}
			if w := m.to.StampWord; w >= 0 {
				sums[w] = max(sums[w], states[m.from.StampWord])
			}
		}
	}
	runtime.KeepAlive(g) // the collector does not own what its rows point to
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
		for w := range m.words {
			m.words[w][0] = key[w]
		}
		sum.Table.FindOrCreate([]uint64{m.to.Keys.HashKey(key)}, m.words, nil, m.places)
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
