package result

import (
	"fmt"
	"iter"
	"runtime"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A Scanner reads whole rows of a result into Go structs. Any number of goroutines may use it.
type Scanner[T any] struct {
	layout  *layout.Layout
	decoder *record.Decoder[T]
}

// ScannerOf is the scanner of T for the plan's result: each field of T is a column of its name (see
// record.SchemaOf for names, tags and types). The error says that the plan is not valid, or lists
// the fields that have no column or another type.
func ScannerOf[T any](p *plan.Plan) (Scanner[T], error) {
	l, err := readLayout(p)
	if err != nil {
		return Scanner[T]{}, err
	}
	d, err := record.DecoderOf[T](l.Result)
	if err != nil {
		return Scanner[T]{}, fmt.Errorf("plan %s: %w", l.Name, err)
	}
	return Scanner[T]{l, d}, nil
}

// Scan sets v from a row. A field is the zero value if its column is NULL, or nil if the field is a
// pointer. Texts are copied. The error says that a value does not fit its field.
func (s Scanner[T]) Scan(row Row, v *T) error {
	checkRow(s.layout, row, s.decoder)
	var text [64]byte
	for i := range s.decoder.Fields() {
		column := s.decoder.Column(i)
		value, bytes := readColumn(s.layout, row, column, text[:0])
		if err := s.decoder.Set(v, i, value.Bits, bytes, value.Null); err != nil {
			return err
		}
	}
	runtime.KeepAlive(row.groups) // the collector does not own what the words point to
	return nil
}

// read is the value of a column of the result. If the column is a text, its bytes are appended to
// to.
func readColumn(l *layout.Layout, row Row, column int, to []byte) (agg.Value, []byte) {
	isText := l.Result.Field(column).Type.Kind() == record.String
	if l.Projection != nil {
		c := l.Projection.Columns[column]
		column = c.Inner
		if column < 0 {
			v := projectedValue(&c, row, 0)
			return agg.Value{Bits: v.Bits, Null: v.Null}, append(to, v.Text...)
		}
	}
	key, states := row.groups.Table.Row(row.index)
	v := valueOf(l, row.groups, key, states, column)
	if isText {
		to = appendText(l, to, row.groups, key, states, column, v)
	}
	return v, to
}

// appendText appends the text of a column of the groups, whose value is v.
func appendText(l *layout.Layout, to []byte, g *Groups, key, states []uint64, column int, v agg.Value) []byte {
	output := column - l.Front - l.Keys.Columns()
	switch {
	case output < 0:
		return l.Keys.AppendString(to, key, g.Table.Heap(), column-l.Front)
	case v.Null:
		return to
	case l.Outputs[output].Side:
		return append(to, g.sideText(v.Bits)...)
	case l.Outputs[output].Texts != nil:
		return l.Outputs[output].Texts.AppendText(to, states[l.Outputs[output].Word:], g.Table.Blocks())
	}
	return append(to, g.Table.Blocks().Bytes(v.Bits)...)
}

// check panics if a row is of another plan than what reads it, or of a snapshot that is known to be
// closed.
func checkRow(l *layout.Layout, row Row, reader fmt.Stringer) {
	if row.groups.Layout != l {
		panic(fmt.Sprintf("result: %v of plan %s used on a row of plan %s", reader, l.Name,
			row.groups.Layout.Name))
	}
	if row.groups.Gone.Load() {
		panic(usedAfterClose)
	}
}

// value is the value of a column of the result. For a text it only says whether it is NULL.
func valueOf(l *layout.Layout, g *Groups, key, states []uint64, column int) agg.Value {
	if column < l.Front {
		if s := l.Window.Session; s != nil {
			begin, end := s.Bounds(states)
			if column == 0 {
				end = begin
			}
			return agg.Value{Bits: uint64(end)}
		}
		if column == 0 {
			return agg.Value{Bits: uint64(l.Window.Clock.Begin(g.End))}
		}
		return agg.Value{Bits: uint64(g.End)}
	}
	column -= l.Front
	if column >= l.Keys.Columns() {
		return l.Outputs[column-l.Keys.Columns()].Value(states, g.Table.Blocks())
	}
	switch {
	case l.Keys.IsNull(key, column):
		return agg.Value{Null: true}
	case l.Inner.Field(column+l.Front).Type.Kind() == record.String:
		return agg.Value{}
	}
	return agg.Value{Bits: l.Keys.Word(key, column)}
}

// Batches yields what All yields, in batches of the result's schema with up to rows rows. It is for
// callers that take the rows in bulk. A batch is valid until the next.
func (m *Image) Batches(rows int) iter.Seq[*record.Batch] {
	columns, ok := innerColumns(m.Layout, nil)
	if !ok {
		return batchesOf(m.Layout, m.All(), rows)
	}
	return m.batches(rows, columns)
}

// batches yields every group. Columns are the columns of the groups that the columns of the result
// are, -1 for one that is left out.
func (m *Image) batches(rows int, columns []int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		b := record.NewBatch(m.Layout.Result, rows)
		for _, g := range m.sets() {
			if !g.batches(b, columns, yield) {
				return
			}
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}

// innerColumns are the columns of the groups that the columns of the result are, with -1 for those
// that nobody reads; a nil read reads all. It returns false if the result is more than groups with
// other names and in another order of columns.
func innerColumns(l *layout.Layout, read []bool) (columns []int, ok bool) {
	p := l.Projection
	if p != nil && (p.Having != nil || p.Copies != nil || len(p.Over) > 0 || p.Qualify != nil || p.Distinct ||
		len(p.Order) > 0 || p.Offset > 0 || p.Limited) {
		return nil, false
	}
	for i := range l.Result.Len() {
		inner := i
		if p != nil {
			inner = p.Columns[i].Inner
		}
		switch {
		case read != nil && !read[i]:
			inner = -1
		case inner < 0:
			return nil, false
		}
		columns = append(columns, inner)
	}
	return columns, true
}

// batches adds the groups to a batch. Each time that the batch is full it yields and empties it.
func (g *Groups) batches(b *record.Batch, columns []int, yield func(*record.Batch) bool) bool {
	l := g.Layout
	var text []byte
	// Text c of a row, of the texts of all columns, is text[ends[c]:ends[c+1]].
	ends := make([]int, len(columns)+1)
	values := make([]agg.Value, len(columns))
	isText := make([]bool, len(columns))
	for c := range columns {
		isText[c] = l.Result.Field(c).Type.Kind() == record.String
	}
	for i := range g.Table.Len() {
		if g.Away != nil && g.isAway(i) {
			continue
		}
		key, states := g.Table.Row(i)
		text = text[:0]
		for c, inner := range columns {
			if inner >= 0 {
				values[c] = valueOf(l, g, key, states, inner)
				if isText[c] {
					text = appendText(l, text, g, key, states, inner, values[c])
				}
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
			switch {
			case columns[c] < 0: // nobody reads it
			case v.Overflow:
				b.SetUnfit(c)
			case v.Null:
				b.SetNull(c)
			case isText[c]:
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
func (c *Cut) Batches(rows int) iter.Seq[*record.Batch] { return c.BatchesOf(rows, nil) }

// BatchesOf is Batches for a caller that reads only some columns: those with true in read. The
// others may be zero or the empty text instead of what they are. A nil read reads all.
func (c *Cut) BatchesOf(rows int, read []bool) iter.Seq[*record.Batch] {
	columns, ok := innerColumns(c.layout(), read)
	if !ok {
		return batchesOf(c.layout(), c.All(), rows)
	}
	return func(yield func(*record.Batch) bool) {
		for _, m := range c.readable() {
			more := true
			m.batches(rows, columns)(func(b *record.Batch) bool { more = yield(b); return more })
			if !more {
				return
			}
		}
	}
}

// readLayout is the layout of what is read of a plan's groups.
func readLayout(p *plan.Plan) (*layout.Layout, error) {
	l, err := p.Layout()
	if err != nil {
		return nil, err
	}
	return l.Reading, nil
}
