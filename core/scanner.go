package core

import (
	"fmt"
	"iter"
	"runtime"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/record"
)

// A Scanner reads whole rows of a result into Go structs. It may be used by any number of goroutines.
type Scanner[T any] struct {
	layout  *layout
	decoder *record.Decoder[T]
}

// ScannerOf is the scanner of T for the plan's result: each field of T is a column of its name (see record.SchemaOf for names, tags and types).
// The error says that the plan is not valid, or lists the fields that have no column or another type.
func ScannerOf[T any](p *Plan) (Scanner[T], error) {
	l, err := p.compile()
	if err != nil {
		return Scanner[T]{}, err
	}
	d, err := record.DecoderOf[T](l.result)
	if err != nil {
		return Scanner[T]{}, fmt.Errorf("core: plan %s: %w", p.name(), err)
	}
	return Scanner[T]{l, d}, nil
}

// Scan sets v from a row. NULL is the zero value, or nil where the field is a pointer. Texts are copied. The error says that a value does not
// fit its field.
func (s Scanner[T]) Scan(row Row, v *T) error {
	s.layout.check(row, s.decoder)
	key, states := row.image.table.Row(row.index)
	var text [64]byte
	for i := range s.decoder.Fields() {
		column := s.decoder.Column(i)
		value := s.layout.value(key, states, column)
		var bytes []byte
		if s.layout.result.Field(column).Type == record.String {
			bytes = s.layout.keys.AppendString(text[:0], key, row.image.table.Heap(), column)
		}
		if err := s.decoder.Set(v, i, value.Bits, bytes, value.Null); err != nil {
			return err
		}
	}
	runtime.KeepAlive(row.image) // what the words point to is not the collector's
	return nil
}

// check panics where a row is of another plan than what reads it.
func (l *layout) check(row Row, reader fmt.Stringer) {
	if row.image.layout != l {
		panic(fmt.Sprintf("core: %v of plan %s used on a row of plan %s", reader, l.plan.name(), row.image.layout.plan.name()))
	}
}

// value is the value of a column of the result, of a text only whether it is NULL.
func (l *layout) value(key, states []uint64, column int) agg.Value {
	if column >= l.keys.Columns() {
		o := &l.outputs[column-l.keys.Columns()]
		return o.fn.Result(states[o.word:])
	}
	switch {
	case l.keys.IsNull(key, column):
		return agg.Value{Null: true}
	case l.result.Field(column).Type == record.String:
		return agg.Value{}
	}
	return agg.Value{Bits: l.keys.Word(key, column)}
}

// Batches yields all groups in batches of the result's schema, of up to so many rows: for who takes them away in bulk. A batch is valid until
// the next.
func (m *Image) Batches(rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		l := m.layout
		b := record.NewBatch(l.result, rows)
		var text []byte
		for i := range m.table.Len() {
			if m.given != nil && m.isGiven(i) {
				continue
			}
			key, states := m.table.Row(i)
			text = text[:0]
			var ends [record.MaxKeyColumns]int // of the text of each key column
			for c := range l.keys.Columns() {
				if l.result.Field(c).Type == record.String {
					text = l.keys.AppendString(text, key, m.table.Heap(), c)
				}
				ends[c] = len(text)
			}
			if !b.Add(len(text)) {
				if !yield(b) {
					return
				}
				b.Reset()
				b.Add(len(text))
			}
			for c := range l.result.Len() {
				v := l.value(key, states, c)
				switch typ := l.result.Field(c).Type; {
				case v.Null:
					b.SetNull(c)
				case typ == record.String:
					begin := 0
					if c > 0 {
						begin = ends[c-1]
					}
					b.SetBytes(c, text[begin:ends[c]])
				default:
					b.Column(c).Words()[b.Len()-1] = v.Bits
				}
			}
		}
		runtime.KeepAlive(m)
		if b.Len() > 0 {
			yield(b)
		}
	}
}

// Batches yields all groups in batches of the result's schema, of up to so many rows. A batch is valid until the next.
func (c *Cut) Batches(rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		images := c.images
		if m := c.whole(); m != nil {
			images = []*Image{m}
		}
		for _, m := range images {
			for b := range m.Batches(rows) {
				if !yield(b) {
					return
				}
			}
		}
	}
}
