package core

import (
	"iter"

	"github.com/velo-engine/velo/core/table"
)

// An Image is what one partition published: its groups at one cut through all readers. It does not change, so any number of goroutines
// may read it.
type Image struct {
	layout   *layout
	table    *table.Table
	counters []Counters // of each reader at the cut
}

// Len is the number of groups.
func (m *Image) Len() int { return m.table.Len() }

// Counters are those of each reader at the cut.
func (m *Image) Counters() []Counters { return m.counters }

// Get finds the group of a key of the same plan.
func (m *Image) Get(k Key) (Row, bool) {
	i, ok := m.table.Get(k.hash, k.words, k.heap)
	return Row{m, i}, ok
}

// All yields every group, in no order that means anything.
func (m *Image) All() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for i := range m.table.Len() {
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

// EmptyImages are the images of partitions before any record: no groups, but for the one of a plan without keys.
func EmptyImages(plan *Plan, owners *Owners, partitions int) ([]*Image, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	images := make([]*Image, partitions)
	for p := range images {
		images[p] = &Image{layout: l, table: newTable(l, owners, PartitionID(p))}
	}
	return images, nil
}

// newTable makes the table of a partition. The one group of a plan without keys is there before any record.
func newTable(l *layout, owners *Owners, id PartitionID) *table.Table {
	t := table.New(l.keys, l.init)
	if l.keys.Columns() == 0 && owners.Of(Key{}) == id {
		t.FindOrCreate([]uint64{0}, nil, nil, make([]uint64, 1))
	}
	return t
}
