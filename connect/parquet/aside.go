package parquet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/record"
)

// empty has what is lent for columns that nobody fills: NULL, or zeros in a column that is not
// nullable. Nothing is ever written to it.
type empty struct {
	is     []bool // scratch: which columns those are
	ints   []int64
	floats []float64
	views  []record.View
	valid  []uint64
}

// lend lends columns to a batch.
func (e *empty) lend(b *record.Batch, which []bool) {
	for i, is := range which {
		if !is {
			continue
		}
		var c record.Column
		f := b.Schema().Field(i)
		switch f.Type.Kind() {
		case record.String:
			e.views = zeros(e.views, b.Cap())
			c.Views = e.views
		case record.Float64:
			e.floats = zeros(e.floats, b.Cap())
			c.Float64s = e.floats
		default:
			e.ints = zeros(e.ints, b.Cap())
			c.Int64s = e.ints
		}
		if f.Nullable {
			e.valid = zeros(e.valid, (b.Cap()+63)/64)
			c.Valid = e.valid
		}
		*b.Column(i) = c
	}
}

// zeros returns s if it has n zeros, or new ones.
func zeros[T any](s []T, n int) []T {
	if len(s) < n {
		return make([]T, n)
	}
	return s
}

// missing adds the rows that have no value in a column that is NOT NULL.
func (c *column) missing(to []unfit, col *record.Column, n int) []unfit {
	if c.field.Nullable || col.Valid == nil {
		return to
	}
	for i := range n {
		if col.Valid[i>>6]>>(i&63)&1 == 0 {
			to = append(to, unfit{i, fmt.Errorf("column %q: it is NULL, and the column is NOT NULL", c.field.Name)})
		}
	}
	col.Valid = nil // the rows are set aside
	return to
}

// setAside takes the rows in bad out of a batch. This is rare, and need not be fast.
func (r *Reader) setAside(b *record.Batch) {
	slices.SortStableFunc(r.bad, func(a, b unfit) int { return cmp.Compare(a.row, b.row) })
	r.bad = slices.CompactFunc(r.bad, func(a, b unfit) bool { return a.row == b.row })
	first := int64(0)
	for _, g := range r.files[r.unit.file].meta.RowGroups[:r.unit.group] {
		first += g.NumRows
	}
	for _, u := range r.bad {
		row := first + r.row + int64(u.row)
		reject := record.Reject{
			Offset: row, Reason: fmt.Errorf("%s, row %d: %w", r.files[r.unit.file].path, row, u.reason),
		}
		if !b.Reject(reject) {
			r.rejects = append(r.rejects, reject)
		}
	}
	n := b.Len()
	for _, c := range r.active {
		col := b.Column(c.number)
		to, bad := 0, r.bad
		for row := range n {
			if len(bad) > 0 && bad[0].row == row {
				bad = bad[1:]
				continue
			}
			move(col, to, row)
			to++
		}
	}
	b.SetLen(n - len(r.bad))
}

// move moves the value of a row.
func move(c *record.Column, to, from int) {
	switch {
	case c.Int64s != nil:
		c.Int64s[to] = c.Int64s[from]
	case c.Float64s != nil:
		c.Float64s[to] = c.Float64s[from]
	default:
		c.Views[to] = c.Views[from]
	}
	if c.Valid != nil {
		c.Valid[to>>6] = c.Valid[to>>6]&^(1<<(to&63)) | c.Valid[from>>6]>>(from&63)&1<<(to&63)
	}
}
