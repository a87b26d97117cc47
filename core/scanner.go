package core

import (
	"fmt"
	"iter"
	"runtime"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/record"
)

// A Scanner reads whole rows of a result into Go structs. Any number of goroutines may use it.
type Scanner[T any] struct {
	layout  *layout
	decoder *record.Decoder[T]
}

// ScannerOf is the scanner of T for the plan's result: each field of T is a column of its name (see
// record.SchemaOf for names, tags and types). The error says that the plan is not valid, or lists
// the fields that have no column or another type.
func ScannerOf[T any](p *Plan) (Scanner[T], error) {
	l, err := p.read()
	if err != nil {
		return Scanner[T]{}, err
	}
	d, err := record.DecoderOf[T](l.result)
	if err != nil {
		return Scanner[T]{}, fmt.Errorf("core: plan %s: %w", p.name(), err)
	}
	return Scanner[T]{l, d}, nil
}

// Scan sets v from a row. A field is the zero value if its column is NULL, or nil if the field is a
// pointer. Texts are copied. The error says that a value does not fit its field.
func (s Scanner[T]) Scan(row Row, v *T) error {
	s.layout.check(row, s.decoder)
	var text [64]byte
	for i := range s.decoder.Fields() {
		column := s.decoder.Column(i)
		value, bytes := s.layout.read(row, column, text[:0])
		if err := s.decoder.Set(v, i, value.Bits, bytes, value.Null); err != nil {
			return err
		}
	}
	runtime.KeepAlive(row.groups) // the collector does not own what the words point to
	return nil
}

// read is the value of a column of the result. If the column is a text, its bytes are appended to
// to.
func (l *layout) read(row Row, column int, to []byte) (agg.Value, []byte) {
	isText := l.result.Field(column).Type == record.String
	if l.projection != nil {
		c := l.projection.columns[column]
		column = c.inner
		if column < 0 {
			v := c.value(row.groups, row.index, 0)
			return agg.Value{Bits: v.Bits, Null: v.Null}, append(to, v.Text...)
		}
	}
	key, states := row.groups.table.Row(row.index)
	v := l.value(row.groups, key, states, column)
	if isText {
		to = l.appendText(to, row.groups, key, column, v)
	}
	return v, to
}

// appendText appends the text of a column of the groups, whose value is v.
func (l *layout) appendText(to []byte, g *groups, key []uint64, column int, v agg.Value) []byte {
	switch {
	case column < l.front+l.keys.Columns():
		return l.keys.AppendString(to, key, g.table.Heap(), column-l.front)
	case v.Null:
		return to
	}
	return append(to, g.table.Blocks().Bytes(v.Bits)...)
}

// check panics if a row is of another plan than what reads it, or of a snapshot that is known to be
// closed.
func (l *layout) check(row Row, reader fmt.Stringer) {
	if row.groups.layout != l {
		panic(fmt.Sprintf("core: %v of plan %s used on a row of plan %s", reader, l.plan.name(),
			row.groups.layout.plan.name()))
	}
	if row.groups.gone.Load() {
		panic(usedAfterClose)
	}
}

// value is the value of a column of the result. For a text it only says whether it is NULL.
func (l *layout) value(g *groups, key, states []uint64, column int) agg.Value {
	if column < l.front {
		if s := l.window.session; s != nil {
			begin, end := s.bounds(states)
			if column == 0 {
				end = begin
			}
			return agg.Value{Bits: uint64(end)}
		}
		if column == 0 {
			return agg.Value{Bits: uint64(l.window.clock.Begin(g.end))}
		}
		return agg.Value{Bits: uint64(g.end)}
	}
	column -= l.front
	if column >= l.keys.Columns() {
		return l.outputs[column-l.keys.Columns()].value(states, g.table.Blocks())
	}
	switch {
	case l.keys.IsNull(key, column):
		return agg.Value{Null: true}
	case l.inner.Field(column+l.front).Type == record.String:
		return agg.Value{}
	}
	return agg.Value{Bits: l.keys.Word(key, column)}
}

// Batches yields what All yields, in batches of the result's schema with up to rows rows. It is for
// callers that take the rows in bulk. A batch is valid until the next.
func (m *Image) Batches(rows int) iter.Seq[*record.Batch] {
	if m.layout.projection != nil {
		return m.layout.batchesOf(m.All(), rows)
	}
	return func(yield func(*record.Batch) bool) {
		b := record.NewBatch(m.layout.result, rows)
		for _, g := range m.sets() {
			if !g.batches(b, yield) {
				return
			}
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}

// batches adds the groups to a batch. Each time that the batch is full it yields and empties it.
func (g *groups) batches(b *record.Batch, yield func(*record.Batch) bool) bool {
	l := g.layout
	var text []byte
	// Text c of a row, of the texts of all columns, is text[ends[c]:ends[c+1]].
	ends := make([]int, l.result.Len()+1)
	values := make([]agg.Value, l.result.Len())
	for i := range g.table.Len() {
		if g.away != nil && g.isAway(i) {
			continue
		}
		key, states := g.table.Row(i)
		text = text[:0]
		for c := range values {
			values[c] = l.value(g, key, states, c)
			if l.result.Field(c).Type == record.String {
				text = l.appendText(text, g, key, c, values[c])
			}
			ends[c+1] = len(text)
		}
		if !b.Add(len(text)) {
			if !yield(b) {
				return false
			}
			b.Reset()
			b.Add(len(text))
		}
		for c, v := range values {
			switch typ := l.result.Field(c).Type; {
			case v.Overflow:
				b.SetUnfit(c)
			case v.Null:
				b.SetNull(c)
			case typ == record.String:
				b.SetBytes(c, text[ends[c]:ends[c+1]])
			default:
				b.Column(c).Words()[b.Len()-1] = v.Bits
			}
		}
	}
	runtime.KeepAlive(g)
	return true
}

// Batches yields all groups in batches of the result's schema with up to rows rows. A batch is
// valid until the next.
func (c *Cut) Batches(rows int) iter.Seq[*record.Batch] {
	if l := c.layout(); l.projection != nil {
		return l.batchesOf(c.All(), rows)
	}
	return func(yield func(*record.Batch) bool) {
		for _, m := range c.readable() {
			more := true
			m.Batches(rows)(func(b *record.Batch) bool { more = yield(b); return more })
			if !more {
				return
			}
		}
	}
}
