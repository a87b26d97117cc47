package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// PassesThrough says whether the plan has neither keys nor aggregates. The records that pass Where
// then go to the writer, with the columns of Select, which are expressions over Source in this
// case. There are no groups, so a snapshot has none, and Window and Having have no meaning. The
// records of a reader stay in their order if the reader is routed to one partition, which is what
// RouteAuto does. If the plan has an OrderBy, whose expressions are over Source too, the records
// are kept and written in that order at the end.
func (p *Plan) PassesThrough() bool { return len(p.Keys)+len(p.Aggregates) == 0 }

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
	// Batch has the columns of the plan's result and, beside them, the columns to order by.
	Batch *record.Batch
	// text has the bytes of the texts.
	text []byte
	// valid has the validity bits of each column; it is nil for a column that cannot be NULL.
	valid [][]uint64
}

// NewPassed makes an empty Passed for an Outlet of a plan that passes records through.
func NewPassed(p *Plan) (*Passed, error) {
	l, err := p.compile()
	if err != nil {
		return nil, err
	}
	if !l.passThrough {
		return nil, fmt.Errorf("core: plan %s passes nothing through: it groups", p.name())
	}
	x := &Passed{
		Batch: record.NewBatch(l.source, l.rows), text: make([]byte, l.heapSize()),
		valid: make([][]uint64, l.source.Len()),
	}
	for i := range x.valid {
		if l.source.Field(i).Nullable {
			x.valid[i] = make([]uint64, (l.rows+63)/64)
		}
	}
	return x, nil
}

// compilePass is compile for a plan that passes records through: each column of the result is an
// argument, and there are no states.
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
		{
			p.Offset > 0 && len(p.OrderBy) == 0,
			"Offset, but neither keys, aggregates nor OrderBy: records that pass through have no order",
		},
		{len(p.Computed) > 0, "Computed, but neither keys nor aggregates: Select has the expressions"},
		{len(p.Select) > maxArguments, fmt.Sprintf("%d columns pass through, at most %d are allowed", len(p.Select),
			maxArguments)},
	} {
		if c.there {
			faults = append(faults, errors.New(c.what))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	columns, err := l.passOrder()
	if err != nil {
		return err
	}
	if len(columns) > maxArguments {
		return fmt.Errorf("%d columns pass through and are ordered by, at most %d are allowed", len(columns),
			maxArguments)
	}
	l.stage, err = expr.Compile(p.Source, p.Where, columns)
	if err != nil {
		return err
	}
	l.source, l.inner = l.stage.Schema(), l.stage.Schema()
	fields := make([]record.Field, l.source.Len())
	for i := range fields {
		fields[i] = l.source.Field(i)
		l.argument(i, fields[i], true)
	}
	l.result, err = record.NewSchema(p.name(), fields[:len(p.Select)]...)
	if err != nil {
		return err
	}
	l.inner = l.result
	l.keys, err = record.NewKeyLayout(l.source, nil)
	return err
}

// passOrder makes the order of records that pass through. It returns the columns of Select and,
// after them, the columns to order by that are not among those.
func (l *layout) passOrder() (columns []expr.Output, err error) {
	p := l.plan
	columns = slices.Clone(p.Select)
	for _, o := range p.OrderBy {
		by := orderBy{projected: projected{inner: -1}, desc: o.Desc, nullsFirst: o.NullsFirst}
		for i, c := range p.Select {
			if o.Expr == nil && c.Name == o.Column {
				by.inner, by.typ = i, c.Expr.Type()
			}
		}
		switch {
		case o.Expr != nil && o.Column != "":
			return nil, fmt.Errorf("order by %q and by %v: expected one of both", o.Column, o.Expr)
		case o.Expr != nil:
			by.inner, by.typ = len(columns), o.Expr.Type()
			columns = append(columns, expr.Output{Name: fmt.Sprintf("order by %v", o.Expr), Expr: o.Expr})
		case by.inner < 0:
			return nil, fmt.Errorf("order by %q: there is no such column in Select", o.Column)
		}
		l.order = append(l.order, by)
	}
	return columns, nil
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
	p.outlet.Give(to)
	p.counts.rows += uint64(n)
	return true
}
