package result

import (
	"iter"
	"math"
	"runtime"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// innerValue is the value of a column of the inner result, including texts.
func (g *Groups) innerValue(i, column int, t record.Type) expr.Value {
	l := g.Layout
	key, states := g.Table.Row(i)
	v := valueOf(l, g, key, states, column)
	if v.Null {
		return expr.Value{Null: true, Unfit: v.Overflow}
	}
	if t.Kind() == record.String {
		return expr.Value{Text: string(appendText(l, nil, g, key, states, column, v))}
	}
	return expr.Value{Bits: v.Bits}
}

// projectedValue is the value of a shaped column of a row. A value that cannot be computed is NULL.
func projectedValue(c *layout.Projected, row Row, t record.Type) expr.Value {
	g, i := row.groups, row.index
	if c.Inner >= 0 {
		return g.innerValue(i, c.Inner, t)
	}
	unfit := false
	v, err := c.Expr.EvalFunc(func(column int, t record.Type) expr.Value {
		v := row.valueOf(column, t)
		unfit = unfit || v.Unfit
		return v
	})
	if err != nil {
		g.Layout.Panics.Add(err)
		return expr.Value{Null: true, Unfit: true}
	}
	v.Unfit = v.Null && unfit
	return v
}

// valueOf is a column of the groups, or one that was computed over all rows and comes after those.
func (row Row) valueOf(column int, t record.Type) expr.Value {
	n := row.groups.Layout.Inner.Len()
	switch {
	case column < n:
		return row.groups.innerValue(row.index, column, t)
	case row.over == nil: // the row was read alone
		return expr.Value{Null: true, Unfit: true}
	}
	return row.over.values[column-n]
}

// admits says whether HAVING lets a row through.
func admits(s *layout.Projection, row Row) bool {
	if s == nil || s.Having == nil {
		return true
	}
	v := projectedValue(&layout.Projected{Inner: -1, Expr: s.Having}, row, record.Bool)
	return !v.Null && v.Bits != 0
}

// arrange yields those rows of all that HAVING lets through, in order, from the offset up to the
// limit.
func arrange(s *layout.Projection, all iter.Seq[Row]) iter.Seq[Row] {
	if s.Copies != nil {
		return copied(s, all)
	}
	return func(yield func(Row) bool) {
		if s.Limited && s.Limit == 0 {
			return
		}
		if len(s.Over) > 0 {
			all = overRows(s, all)
		}
		if s.Distinct {
			all = distinct(s, all)
		}
		if len(s.Order) > 0 {
			sortedRows(s, all)(yield)
			return
		}
		n := uint64(0)
		for row := range all {
			if !admits(s, row) {
				continue
			}
			n++
			if n <= s.Offset {
				continue
			}
			if !yield(row) || s.Limited && n-s.Offset == s.Limit {
				return
			}
		}
	}
}

// copied is arrange of rows of which there are copies. Copies of a row are next to each other in
// every order, so the rows are arranged first. Each is there at least once, so no more of them
// matter than the offset and the limit say.
func copied(s *layout.Projection, all iter.Seq[Row]) iter.Seq[Row] {
	once := *s
	once.Copies, once.Offset = nil, 0
	once.Limit = s.Offset + s.Limit
	if once.Limit < s.Limit {
		once.Limit = math.MaxUint64
	}
	copies := &layout.Projected{Inner: -1, Expr: s.Copies}
	some := func(yield func(Row) bool) {
		for row := range all {
			v := projectedValue(copies, row, record.Int64)
			if !v.Null && int64(v.Bits) > 0 && !yield(row) {
				return
			}
		}
	}
	return func(yield func(Row) bool) {
		skip, left := s.Offset, s.Limit
		for row := range arrange(&once, some) {
			n := projectedValue(copies, row, record.Int64).Bits
			skipped := min(skip, n)
			skip -= skipped
			for range n - skipped {
				if s.Limited && left == 0 {
					return
				}
				left--
				if !yield(row) {
					return
				}
			}
		}
	}
}

// keyed is a row with the values that it is ordered by.
type keyed struct {
	row  Row
	keys []expr.Value
}

// sorted yields the rows in order. It keeps all rows. With a limit it keeps up to twice as many as
// the limit lets through, and minTop more.
func sortedRows(s *layout.Projection, all iter.Seq[Row]) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var rows []keyed
		most := uint64(math.MaxUint64) // the number of rows that matter
		if s.Limited && s.Limit < math.MaxInt64 && s.Offset < math.MaxInt64 {
			most = s.Offset + s.Limit
		}
		// Rows were left out: the last row that matters then is rows[most-1].
		cut := false
		keys := make([]expr.Value, len(s.Order))
		for row := range all {
			if !admits(s, row) {
				continue
			}
			for i, o := range s.Order {
				keys[i] = projectedValue(&o.Projected, row, o.Typ)
			}
			if cut && compareKeys(s, keys, rows[most-1].keys) >= 0 {
				continue // it came later than that row, so it is not before it if they tie
			}
			rows = append(rows, keyed{row, keys})
			keys = make([]expr.Value, len(s.Order))
			if n := uint64(len(rows)); n/2 >= most && n-most > minTop {
				sortKeyed(s, rows)
				rows, cut = rows[:most], true
			}
		}
		sortKeyed(s, rows)
		rows = rows[min(s.Offset, uint64(len(rows))):]
		if s.Limited {
			rows = rows[:min(s.Limit, uint64(len(rows)))]
		}
		for _, k := range rows {
			if !yield(k.row) {
				return
			}
		}
	}
}

// minTop is the least number of rows beyond the limit that are sorted at once.
const minTop = 64

// sort orders rows. Rows that tie keep their order. So it does not matter whether all rows are
// sorted at once, or some of them first and then what is left of those together with later rows.
func sortKeyed(s *layout.Projection, rows []keyed) {
	slices.SortStableFunc(rows, func(a, b keyed) int { return compareKeys(s, a.keys, b.keys) })
}

func compareKeys(s *layout.Projection, a, b []expr.Value) int {
	for i, o := range s.Order {
		if c := o.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// batchesOf yields the rows in batches of the result's schema with up to rows rows. A batch is
// valid until the next.
func batchesOf(l *layout.Layout, all iter.Seq[Row], rows int) iter.Seq[*record.Batch] {
	return batchesInto(l, record.NewBatch(l.Result, rows), all)
}

// batchesInto is batchesOf with a batch that is used again and again.
func batchesInto(l *layout.Layout, b *record.Batch, all iter.Seq[Row]) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		b.Reset()
		values := make([]expr.Value, l.Result.Len())
		for row := range all {
			for c := range values {
				values[c] = resultValue(l, row, c)
			}
			if !addRow(b, values) {
				if !yield(b) {
					return
				}
				b.Reset()
				addRow(b, values)
			}
			runtime.KeepAlive(row.groups)
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}

// AppendRow adds a row of a snapshot to a batch of the schema of the plan's result. It returns
// false if there is no room.
func AppendRow(b *record.Batch, row Row) bool {
	l := row.groups.Layout
	values := make([]expr.Value, l.Result.Len())
	for c := range values {
		values[c] = resultValue(l, row, c)
	}
	ok := addRow(b, values)
	runtime.KeepAlive(row.groups)
	return ok
}

// addRow adds a row of these values to a batch. It returns false if the row does not fit.
func addRow(b *record.Batch, values []expr.Value) bool {
	text := 0
	for _, v := range values {
		text += len(v.Text)
	}
	if !b.Add(text) {
		return false
	}
	for c, v := range values {
		switch {
		case v.Unfit:
			b.SetUnfit(c)
		case v.Null:
			b.SetNull(c)
		case b.Schema().Field(c).Type.Kind() == record.String:
			b.SetString(c, v.Text)
		default:
			b.Column(c).Words()[b.Len()-1] = v.Bits
		}
	}
	return true
}

// resultValue is the value of a column of the result.
func resultValue(l *layout.Layout, row Row, column int) expr.Value {
	t := l.Result.Field(column).Type
	if l.Projection == nil {
		return row.groups.innerValue(row.index, column, t)
	}
	return projectedValue(&l.Projection.Columns[column], row, t)
}
