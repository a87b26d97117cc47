package core

import (
	"errors"
	"fmt"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// PassesThrough says whether the plan has neither keys nor aggregates: records that Where lets pass go to the writer, with the columns of Select, which are
// expressions over Source then. There are no groups, so a snapshot has none, and Window, Having, OrderBy and Offset have no meaning. The records of a reader
// stay in their order where it is routed to one partition, which is what RouteAuto does.
func (p *Plan) PassesThrough() bool { return len(p.Keys)+len(p.Aggregates) == 0 }

// An Outlet takes the records of one partition away, of a plan that passes them through. The partition's runner calls it; neither method waits.
type Outlet interface {
	// Take is a batch that nobody uses, nil where all are with whoever writes: the partition takes no more records then, its rings fill, and the
	// readers wait. Who gives a batch back wakes the partition's runner.
	Take() *Passed

	// Give hands over a batch that Take gave, with records.
	Give(*Passed)
}

// Passed are records that have passed through: at most a chunk of them.
type Passed struct {
	Batch *record.Batch // of the plan's result
	text  []byte
	valid [][]uint64 // by column, nil where it cannot be NULL
}

// NewPassed makes an empty one for an Outlet of a plan that passes records through.
func NewPassed(p *Plan) (*Passed, error) {
	l, err := p.compile()
	if err != nil {
		return nil, err
	}
	if !l.passes {
		return nil, fmt.Errorf("core: plan %s passes nothing through: it groups", p.name())
	}
	x := &Passed{Batch: record.NewBatch(l.result, l.rows), text: make([]byte, l.heapSize()), valid: make([][]uint64, l.result.Len())}
	for i := range x.valid {
		if l.result.Field(i).Nullable {
			x.valid[i] = make([]uint64, (l.rows+63)/64)
		}
	}
	return x, nil
}

// compilePass is compile for a plan that passes records through: each column of the result is an argument, and there are no states.
func (l *layout) compilePass() error {
	p := l.plan
	var faults []error
	for _, c := range []struct {
		there bool
		what  string
	}{
		{len(p.Select) == 0, "neither keys, aggregates nor Select"},
		{p.Window != nil, "a window, but neither keys nor aggregates: windows hold groups"},
		{p.Having != nil, "Having, but neither keys nor aggregates: it is for groups, Where for records"},
		{len(p.OrderBy) > 0, "OrderBy, but neither keys nor aggregates: records that pass through have no end at which they could be sorted"},
		{p.Offset > 0, "Offset, but neither keys nor aggregates: records that pass through have no order"},
		{len(p.Computed) > 0, "Computed, but neither keys nor aggregates: Select has the expressions"},
		{len(p.Select) > maxArguments, fmt.Sprintf("%d columns pass through, at most %d are allowed", len(p.Select), maxArguments)},
	} {
		if c.there {
			faults = append(faults, errors.New(c.what))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	var err error
	if l.stage, err = expr.Compile(p.Source, p.Where, p.Select); err != nil {
		return err
	}
	l.source, l.inner = l.stage.Schema(), l.stage.Schema()
	fields := make([]record.Field, l.source.Len())
	for i := range fields {
		fields[i] = l.source.Field(i)
		l.argument(i, fields[i], true)
	}
	if l.result, err = record.NewSchema(p.name(), fields...); err != nil {
		return err
	}
	l.inner = l.result
	l.keys, err = record.NewKeyLayout(l.source, nil)
	return err
}

// SetOutlet says where the records of a plan that passes them through go. It is called before the first Step.
func (p *Partition) SetOutlet(o Outlet) { p.outlet = o }

// pass gives the records of a chunk away. False says that nobody takes them now.
func (p *Partition) pass(c *Chunk) bool {
	to := p.outlet.Take()
	if p.blocked = to == nil; p.blocked {
		return false
	}
	l, n := p.layout, int(c.rows)
	b := to.Batch
	b.Reset()
	copy(to.text, c.heap(l)[:c.heapBytes])
	var nulls []uint64
	if l.hasNulls {
		nulls = c.column(l, l.nulls, n)
	}
	for i, a := range l.args {
		column, words := b.Column(i), c.column(l, a.column, n)
		if a.typ == record.String {
			column.Bytes = to.text
			for row, place := range words {
				off, size := record.LongPlace(place)
				if size == 0 {
					off = 0 // it was not copied, so its place is in the batch that it came from
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
	p.outlet.Give(to)
	p.rowCount += uint64(n)
	return true
}
