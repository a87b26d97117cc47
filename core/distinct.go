package core

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/invariants"
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

// distinctColumn is the column whose distinct values the plan counts; "" if there is none.
func (p *Plan) distinctColumn() (column string, err error) {
	for _, a := range p.Aggregates {
		switch {
		case !a.Distinct:
		case a.Func != Count || a.Column == "":
			return "", fmt.Errorf("core: plan %s: aggregate %q: %v cannot be DISTINCT, only count of a column can",
				p.name(), a.Name, a.Func)
		case column != "" && a.Column != column:
			return "", fmt.Errorf("core: plan %s: different values of %q and of %q are counted: a plan can have one "+
				"column for that", p.name(), column, a.Column)
		default:
			column = a.Column
		}
	}
	if column != "" && p.hasSessions() {
		return "", fmt.Errorf("core: plan %s: different values cannot be counted in sessions: each value of a key "+
			"would have sessions of its own", p.name())
	}
	return column, nil
}

func (p *Plan) countsDistinct() bool {
	return slices.ContainsFunc(p.Aggregates, func(a Aggregate) bool { return a.Distinct })
}

// compilePairs makes the layout of the pairs from which groups of layout read are made.
func compilePairs(p *Plan, read *layout, column string) (*layout, error) {
	q := &Plan{
		Name: p.name(), Source: p.Source, Where: p.Where, Computed: p.Computed, Keys: slices.Clone(p.Keys),
		Window: p.Window, Emit: p.Emit, bare: len(p.Keys) == 0,
	}
	extra := 0
	if !slices.Contains(q.Keys, column) {
		q.Keys = append(q.Keys, column)
		extra = 1
	}
	for _, a := range p.Aggregates {
		if !a.Distinct {
			q.Aggregates = append(q.Aggregates, a)
		}
	}
	l, err := compileLayout(q)
	if err != nil {
		return nil, err
	}
	l.keys = l.keys.WithExtra(extra)
	l.reading, l.valueKey = read, slices.Index(q.Keys, column)
	return l, nil
}

// A merger adds groups to the groups of a table. The table may have another layout, which is the
// layout of what is read.
type merger struct {
	// from is the layout of the groups that are added, and to the layout of the table.
	from, to *layout
	// states are the states to merge.
	states []mergedState

	// The rest is scratch of a stripe of groups that are added: their hashes, the places of their
	// rows in the table, their key words, their rows in the table that they come from, and the key
	// of one of them.
	hashes []uint64
	places []uint64
	words  [][]uint64
	rows   [stripeRows]int
	key    []uint64
}

// mergedState is a state, and where it lies in the rows of both layouts.
type mergedState struct {
	fn       agg.Func
	from, to int
}

func newMerger(from, to *layout) *merger {
	m := &merger{
		from: from, to: to, hashes: make([]uint64, 0, stripeRows), places: make([]uint64, stripeRows),
		words: make([][]uint64, to.keys.Words()),
	}
	for w := range m.words {
		m.words[w] = make([]uint64, stripeRows)
	}
	// The states of both layouts were placed in the same order. The state that counts pairs is only
	// in the layout that is read.
	i := 0
	for _, s := range to.states {
		if from != to && s.distinct {
			continue
		}
		if invariants.Enabled && s.fn != from.states[i].fn {
			panic(fmt.Sprintf("core: state %v of groups is made of %v of pairs", s.kind, from.states[i].kind))
		}
		m.states = append(m.states, mergedState{s.fn, from.states[i].word, s.word})
		i++
	}
	return m
}

// keyOf is the key of the group that a row belongs to.
func (m *merger) keyOf(key []uint64) []uint64 {
	if m.from == m.to {
		return key
	}
	m.key = m.from.keys.AppendPrefix(m.key[:0], key, m.to.keys)
	return m.key
}

// add adds the groups of g for which keep is true; a nil keep takes all.
func (m *merger) add(sum *groups, g *groups, keep func(hash uint64, key, states []uint64) bool) {
	to := sum.table
	sum.epoch = max(sum.epoch, g.epoch)
	for from := 0; from < g.table.Len(); {
		m.hashes = m.hashes[:0]
		for ; from < g.table.Len() && len(m.hashes) < stripeRows; from++ {
			if g.away != nil && g.isAway(from) {
				continue
			}
			key, states := g.table.Row(from)
			key = m.keyOf(key)
			hash := m.to.keys.HashKey(key)
			if keep != nil && !keep(hash, key, states) {
				continue
			}
			m.rows[len(m.hashes)] = from
			for w := range m.words {
				m.words[w][len(m.hashes)] = key[w]
			}
			m.hashes = append(m.hashes, hash)
		}
		rows := to.FindOrCreate(m.hashes, m.words, g.table.Heap(), m.places)
		for i := range m.hashes {
			key, states := g.table.Row(m.rows[i])
			_, sums := to.Row(to.RowAt(rows.Off[i]))
			for _, s := range m.states {
				n := s.fn.Words()
				s.fn.Merge(sums[s.to:s.to+n], states[s.from:s.from+n], to.Blocks(), g.table.Blocks())
			}
			if m.from != m.to && !m.from.keys.IsNull(key, m.from.valueKey) {
				for _, s := range m.to.states {
					if s.distinct {
						sums[s.word]++
					}
				}
			}
			if w := m.to.stampWord; w >= 0 {
				sums[w] = max(sums[w], states[m.from.stampWord])
			}
		}
	}
	runtime.KeepAlive(g) // the collector does not own what its rows point to
}

// readable is the image as it is read: the image itself, or one that makes groups of pairs.
func (m *Image) readable(others ...*Image) *Image {
	if m.layout.reading == m.layout {
		return m
	}
	return &Image{
		layout: m.layout.reading, clock: m.clock, oldest: m.oldest,
		pairs: append([]*Image{m}, others...),
	}
}

// ofPairs are the groups of the window with this end, or all groups if the plan has no windows. It
// is nil if there are none.
func (m *Image) ofPairs(end int64) *groups {
	if !slices.ContainsFunc(m.pairs, func(p *Image) bool { return p.pairsOf(end) != nil }) {
		return nil
	}
	return m.mergedWindow(end).make(func() (*groups, error) {
		var sets []*groups
		for _, p := range m.pairs {
			if g := p.pairsOf(end); g != nil {
				sets = append(sets, g)
			}
		}
		return mergeGroups(sets[0].layout, m.layout, sets)
	})
}

// pairsOf are the pairs of the window with this end, or all pairs if the plan has no windows. It is
// nil if there are none.
func (m *Image) pairsOf(end int64) *groups {
	if m.layout.window == nil {
		return m.set(end)
	}
	return m.anySet(end)
}
