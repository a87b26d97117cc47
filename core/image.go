package core

import (
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/velo-engine/velo/core/table"
)

// An Image is what one partition published: its groups at one cut through all readers. It does not change while its cut is pinned, so any
// number of goroutines may read it.
type Image struct {
	layout   *layout
	table    *table.Table
	counters []Counters // of each reader at the cut; nil before the first
	shed     []uint64   // records of each reader that found no room here
	given    *given     // shards that other partitions have now; nil where there are none
}

// Len is the number of groups.
func (m *Image) Len() int {
	if m.given != nil {
		return m.table.Len() - m.given.all
	}
	return m.table.Len()
}

// isGiven says whether row i is of a shard that another partition has now.
func (m *Image) isGiven(i int) bool {
	key, _ := m.table.Row(i)
	return m.given.is[shardOf(m.layout.keys.HashKey(key))]
}

// countersOf are those of each reader at the cut, of the images of all partitions: what a reader had routed, but for what the partitions had no
// room for.
func countersOf(images []*Image) []Counters {
	// Every partition has got the same marks, but for those of a reader that has only just joined, and those say nothing yet.
	var counters []Counters
	for _, m := range images {
		if len(m.counters) > len(counters) {
			counters = slices.Clone(m.counters)
		}
	}
	for _, m := range images {
		for r, n := range m.shed {
			counters[r].Shed += n
			counters[r].Counted -= n
		}
	}
	return counters
}

// Get finds the group of a key of the same plan.
func (m *Image) Get(k Key) (Row, bool) {
	i, ok := m.table.Get(k.hash, k.words, k.heap)
	return Row{m, i}, ok
}

// All yields every group, in no order that means anything.
func (m *Image) All() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for i := range m.table.Len() {
			if m.given != nil && m.isGiven(i) {
				continue
			}
			if !yield(Row{m, i}) {
				return
			}
		}
	}
}

// A Row is one group of a result. It is valid as long as the snapshot that it comes from. Its columns are read by a Column,
// see ColumnOf.
type Row struct {
	image *Image
	index int
}

// mergeImages makes one image of those of all partitions, for a route that scatters groups. The images do not change.
// The error says that the system has no memory for it.
func mergeImages(images []*Image) (*Image, error) {
	m := images[0]
	l := m.layout
	groups := 0
	for _, m := range images {
		groups += m.Len()
	}
	t, err := table.New(l.keys, l.init, table.Memory{Groups: groups})
	if err != nil {
		return nil, fmt.Errorf("core: plan %s: cannot merge the images of the partitions: %w", l.plan.name(), err)
	}
	merged := &Image{layout: l, table: t, counters: countersOf(images)}
	hashes, places := make([]uint64, 0, stripeRows), make([]uint64, stripeRows)
	words := make([][]uint64, l.keys.Words())
	for w := range words {
		words[w] = make([]uint64, stripeRows)
	}
	for _, m := range images {
		for from := 0; from < m.table.Len(); from += stripeRows {
			to := min(from+stripeRows, m.table.Len())
			hashes = hashes[:0]
			for i := from; i < to; i++ {
				key, _ := m.table.Row(i)
				hashes = append(hashes, l.keys.HashKey(key))
				for w := range words {
					words[w][i-from] = key[w]
				}
			}
			rows := merged.table.FindOrCreate(hashes, words, m.table.Heap(), places)
			for i := from; i < to; i++ {
				_, states := m.table.Row(i)
				_, sum := merged.table.Row(merged.table.RowAt(rows.Off[i-from]))
				for _, s := range l.states {
					n := s.fn.Words()
					s.fn.Merge(sum[s.word:s.word+n], states[s.word:s.word+n])
				}
			}
		}
	}
	runtime.KeepAlive(images)
	if shed, err := t.Shed(); shed > 0 {
		return nil, fmt.Errorf("core: plan %s: cannot merge the images of the partitions: %w", l.plan.name(), err)
	}
	return merged, nil
}
