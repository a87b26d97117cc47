package core

import (
	"fmt"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// An Outlet takes away the records of one partition of a plan that passes them through. The
// partition's runner calls it. Neither method waits.
type Outlet interface {
	// Take is a batch that is not in use. It is nil if the writer has all of them. Then the
	// partition takes no more records, its rings fill up, and the readers wait. The goroutine that
	// gives a batch back wakes the partition's runner.
	Take() *Passed

	// Give hands over a batch that Take gave, with records in it.
	Give(*Passed)
}

// Passed are records that have passed through: at most as many as fit a chunk.
type Passed struct {
	// Epoch is the first epoch whose cut has the records.
	Epoch uint64
	// Batch has the columns of the plan's result and, beside them, the columns to order by.
	Batch *record.Batch
	// text has the bytes of the texts.
	text []byte
	// valid has the validity bits of each column; it is nil for a column that cannot be NULL.
	valid [][]uint64
}

// NewPassed makes an empty Passed for an Outlet of a plan that passes records through.
func NewPassed(p *plan.Plan) (*Passed, error) {
	l, err := p.Layout()
	if err != nil {
		return nil, err
	}
	if !l.PassThrough {
		return nil, fmt.Errorf("plan %s passes nothing through: it groups", l.Name)
	}
	x := &Passed{
		Batch: record.NewBatch(l.Source, l.Rows), text: make([]byte, l.HeapSize()),
		valid: make([][]uint64, l.Source.Len()),
	}
	for i := range x.valid {
		if l.Source.Field(i).Nullable {
			x.valid[i] = make([]uint64, (l.Rows+63)/64)
		}
	}
	return x, nil
}

// SetOutlet says where the records of a plan that passes them through go. It is called before the
// first Step.
func (p *Partition) SetOutlet(o Outlet) { p.outlet = o }

// passThrough gives away the records of a chunk. It returns false if the outlet takes none now.
func (p *Partition) passThrough(c *Chunk) bool {
	to := p.outlet.Take()
	if to == nil {
		p.stall = StallOutput
		return false
	}
	l, n := p.layout, int(c.rows)
	b := to.Batch
	b.Reset()
	copy(to.text, c.heap(l)[:c.heapBytes])
	var nulls []uint64
	if l.HasNulls {
		nulls = c.column(l, l.Nulls, n)
	}
	for i, a := range l.Args {
		column, words := b.Column(i), c.column(l, a.Column, n)
		if a.Typ.Kind() == record.String {
			column.Bytes = to.text
			for row, place := range words {
				off, size := groupkey.LongPlace(place)
				if size == 0 {
					off = 0 // it was not copied, so off is a place in the batch that it came from
				}
				column.Views[row] = record.View{Off: uint32(off), Len: uint32(size)}
			}
		} else {
			copy(column.Words(), words)
		}
		if valid := to.valid[i]; valid != nil {
			column.Valid = valid
			clear(valid[:(n+63)/64])
			for row, bits := range nulls {
				valid[row>>6] |= (^bits >> i & 1) << (row & 63)
			}
		}
	}
	b.SetLen(n)
	to.Epoch = p.epoch + 1
	p.outlet.Give(to)
	p.counts.rows += uint64(n)
	return true
}
