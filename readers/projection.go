package readers

import (
	"errors"
	"fmt"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/record"
)

// A projection says which columns of a schema are read. A column that nobody reads is not
// converted. In a batch it is NULL, or zero or the empty text if it is not nullable, in every row,
// so that no value of an earlier batch can be taken for one of this.
type projection struct {
	// unread has a column's entry set if nobody reads it; nil if all columns are read.
	unread []bool
	// The following fields are lent to batches for the columns that are not read. Nothing is ever
	// written to them.
	ints   []int64
	floats []float64
	views  []record.View
	valid  []uint64
}

// project says which columns are read.
func (p *projection) project(read []bool) {
	p.unread = nil
	unread := make([]bool, len(read))
	for col, is := range read {
		if !is {
			unread[col], p.unread = true, unread
		}
	}
}

// skips says whether nobody reads a column.
//
//gcassert:inline
func (p *projection) skips(col int) bool { return p.unread != nil && p.unread[col] }

// lend gives a batch its columns that are not read. It is called after everything that writes to
// the batch's columns.
func (p *projection) lend(b *record.Batch) {
	if p.unread == nil {
		return
	}
	s := b.Schema()
	for col, is := range p.unread {
		if !is {
			continue
		}
		var c record.Column
		switch f := s.Field(col); f.Type.Kind() {
		case record.String:
			p.views = atLeast(p.views, b.Cap())
			c.Views = p.views
		case record.Float64:
			p.floats = atLeast(p.floats, b.Cap())
			c.Float64s = p.floats
		default:
			p.ints = atLeast(p.ints, b.Cap())
			c.Int64s = p.ints
		}
		if s.Field(col).Nullable {
			p.valid = atLeast(p.valid, (b.Cap()+63)/64)
			c.Valid = p.valid
		}
		*b.Column(col) = c
	}
	if invariants.Enabled {
		p.check(b)
	}
}

// check panics if somebody has written to a column that is not read.
func (p *projection) check(b *record.Batch) {
	for col, is := range p.unread {
		c := b.Column(col)
		for row := 0; is && row < b.Cap(); row++ {
			wrong := c.Int64s != nil && c.Int64s[row] != 0 || c.Float64s != nil && c.Float64s[row] != 0 ||
				c.Views != nil && c.Views[row] != record.View{} || c.Valid != nil && !c.Null(row)
			if wrong {
				panic(fmt.Sprintf("readers: row %d of column %d, which is not read, has a value", row, col))
			}
		}
	}
}

// atLeast returns s if it has n zeros, or new ones.
func atLeast[T any](s []T, n int) []T {
	if len(s) < n {
		return make([]T, n)
	}
	return s
}

// errNullUnread is what is wrong with a column that nobody reads if its value is NULL.
var errNullUnread = errors.New("null, and not nullable")
