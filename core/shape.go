package core

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// An Order says how the rows of a result are ordered.
type Order struct {
	Column     string     // a column of the result, or of Plan.Inner; empty if Expr is set
	Expr       *expr.Expr // an expression over Plan.Inner
	Desc       bool
	NullsFirst bool
}

// projection is what is done to groups when they are read: SELECT's expressions, HAVING, ORDER BY,
// LIMIT.
type projection struct {
	having  *expr.Expr
	columns []projected // the columns of the result
	order   []orderBy
	offset  uint64
	limit   uint64
	limited bool
}

// projected is a column of the result: an inner column, or an expression over inner columns.
type projected struct {
	inner int // -1 if it is an expression
	expr  *expr.Expr
}

type orderBy struct {
	projected
	typ              record.Type
	desc, nullsFirst bool
}

// compileProjection makes the shape of a plan and its result. The shape is nil if groups are read
// as they are.
func (l *layout) compileProjection() error {
	p := l.plan
	l.inner = l.result
	if p.Select == nil && p.Having == nil && p.OrderBy == nil && p.Limit == nil && p.Offset == 0 {
		return nil
	}
	s := &projection{having: p.Having, offset: p.Offset}
	if p.Limit != nil {
		s.limit, s.limited = *p.Limit, true
	}
	var faults []error
	if p.Having != nil && p.Having.Type() != record.Bool {
		faults = append(faults, fmt.Errorf("having %v: it is %v, expected boolean", p.Having, p.Having.Type()))
	}
	over := func(e *expr.Expr) projected {
		if _, err := expr.Compile(l.inner, nil, []expr.Output{{Name: "c", Expr: e}}); err != nil {
			faults = append(faults, err)
		}
		if i, ok := e.IsColumn(); ok {
			return projected{i, e}
		}
		return projected{-1, e}
	}
	if p.Select != nil {
		var fields []record.Field
		for _, o := range p.Select {
			s.columns = append(s.columns, over(o.Expr))
			// A value that cannot be computed reads NULL.
			_, plain := o.Expr.IsColumn()
			fields = append(fields, record.Field{Name: o.Name, Type: o.Expr.Type(), Nullable: o.Expr.Nullable() ||
				!plain})
		}
		result, err := record.NewSchema(p.name(), fields...)
		if err != nil {
			return fmt.Errorf("core: plan %s: the result: %w", p.name(), err)
		}
		l.result = result
	} else {
		for i := range l.inner.Len() {
			s.columns = append(s.columns, projected{i, expr.Column(l.inner, i)})
		}
	}
	for _, o := range p.OrderBy {
		by := orderBy{desc: o.Desc, nullsFirst: o.NullsFirst}
		if o.Expr != nil {
			by.projected, by.typ = over(o.Expr), o.Expr.Type()
			if o.Column != "" {
				faults = append(faults, fmt.Errorf("order by %q and by %v: expected one of both", o.Column, o.Expr))
			}
		} else if i, ok := l.result.Index(o.Column); ok {
			by.projected, by.typ = s.columns[i], l.result.Field(i).Type
		} else if i, ok := l.inner.Index(o.Column); ok {
			by.projected, by.typ = projected{i, nil}, l.inner.Field(i).Type
		} else {
			faults = append(faults, fmt.Errorf("order by %q: there is no such column in %v", o.Column, l.result))
		}
		s.order = append(s.order, by)
	}
	if len(faults) > 0 {
		return fmt.Errorf("core: plan %s: %w", p.name(), errors.Join(faults...))
	}
	l.projection = s
	return nil
}

// innerValue is the value of a column of the inner result, including texts.
func (g *groups) innerValue(i, column int, t record.Type) expr.Value {
	l := g.layout
	key, states := g.table.Row(i)
	v := l.value(g, key, states, column)
	if v.Null {
		return expr.Value{Null: true, Unfit: v.Overflow}
	}
	if t == record.String {
		return expr.Value{Text: string(l.appendText(nil, g, key, column, v))}
	}
	return expr.Value{Bits: v.Bits}
}

// value is the value of a shaped column for row i. A value that cannot be computed is NULL.
func (c projected) value(g *groups, i int, t record.Type) expr.Value {
	if c.inner >= 0 {
		return g.innerValue(i, c.inner, t)
	}
	unfit := false
	v, err := c.expr.EvalFunc(func(column int, t record.Type) expr.Value {
		v := g.innerValue(i, column, t)
		unfit = unfit || v.Unfit
		return v
	})
	if err != nil {
		return expr.Value{Null: true, Unfit: true}
	}
	v.Unfit = v.Null && unfit
	return v
}

// admits says whether HAVING lets row i through.
func (s *projection) admits(g *groups, i int) bool {
	if s == nil || s.having == nil {
		return true
	}
	v := projected{-1, s.having}.value(g, i, record.Bool)
	return !v.Null && v.Bits != 0
}

// arrange yields those rows of all that HAVING lets through, in order, from the offset up to the
// limit.
func (s *projection) arrange(all iter.Seq[Row]) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		if s.limited && s.limit == 0 {
			return
		}
		if len(s.order) > 0 {
			s.sorted(all)(yield)
			return
		}
		n := uint64(0)
		for row := range all {
			if !s.admits(row.groups, row.index) {
				continue
			}
			n++
			if n <= s.offset {
				continue
			}
			if !yield(row) || s.limited && n-s.offset == s.limit {
				return
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
func (s *projection) sorted(all iter.Seq[Row]) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var rows []keyed
		most := uint64(math.MaxUint64) // the number of rows that matter
		if s.limited && s.limit < math.MaxInt64 && s.offset < math.MaxInt64 {
			most = s.offset + s.limit
		}
		// Rows were left out: the last row that matters then is rows[most-1].
		cut := false
		keys := make([]expr.Value, len(s.order))
		for row := range all {
			if !s.admits(row.groups, row.index) {
				continue
			}
			for i, o := range s.order {
				keys[i] = o.value(row.groups, row.index, o.typ)
			}
			if cut && s.compare(keys, rows[most-1].keys) >= 0 {
				continue // it came later than that row, so it is not before it if they tie
			}
			rows = append(rows, keyed{row, keys})
			keys = make([]expr.Value, len(s.order))
			if n := uint64(len(rows)); n/2 >= most && n-most > minTop {
				s.sort(rows)
				rows, cut = rows[:most], true
			}
		}
		s.sort(rows)
		rows = rows[min(s.offset, uint64(len(rows))):]
		if s.limited {
			rows = rows[:min(s.limit, uint64(len(rows)))]
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
func (s *projection) sort(rows []keyed) {
	slices.SortStableFunc(rows, func(a, b keyed) int { return s.compare(a.keys, b.keys) })
}

func (s *projection) compare(a, b []expr.Value) int {
	for i, o := range s.order {
		if c := o.compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func (o orderBy) compare(a, b expr.Value) int {
	switch {
	case a.Null && b.Null:
		return 0
	case a.Null || b.Null:
		if a.Null == o.nullsFirst {
			return -1
		}
		return 1
	}
	c := expr.Compare(o.typ, a, b)
	if o.desc {
		return -c
	}
	return c
}

// tailString is the shape as SQL would say it, after GROUP BY.
func (p *Plan) tailString() string {
	var b strings.Builder
	if p.Having != nil {
		fmt.Fprintf(&b, " HAVING %v", p.Having)
	}
	sep := " ORDER BY "
	for _, o := range p.OrderBy {
		b.WriteString(sep + o.Column)
		if o.Expr != nil {
			b.WriteString(o.Expr.String())
		}
		sep = ", "
		if o.Desc {
			b.WriteString(" DESC")
		}
		if o.NullsFirst != o.Desc {
			b.WriteString(map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[o.NullsFirst])
		}
	}
	if p.Limit != nil {
		fmt.Fprintf(&b, " LIMIT %d", *p.Limit)
	}
	if p.Offset > 0 {
		fmt.Fprintf(&b, " OFFSET %d", p.Offset)
	}
	return b.String()
}

// batchesOf yields the rows in batches of the result's schema with up to rows rows. A batch is
// valid until the next.
func (l *layout) batchesOf(all iter.Seq[Row], rows int) iter.Seq[*record.Batch] {
	return l.batchesInto(record.NewBatch(l.result, rows), all)
}

// batchesInto is batchesOf with a batch that is used again and again.
func (l *layout) batchesInto(b *record.Batch, all iter.Seq[Row]) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		b.Reset()
		values := make([]expr.Value, l.result.Len())
		for row := range all {
			for c := range values {
				values[c] = l.resultValue(row, c)
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
		case b.Schema().Field(c).Type == record.String:
			b.SetString(c, v.Text)
		default:
			b.Column(c).Words()[b.Len()-1] = v.Bits
		}
	}
	return true
}

// resultValue is the value of a column of the result.
func (l *layout) resultValue(row Row, column int) expr.Value {
	t := l.result.Field(column).Type
	if l.projection == nil {
		return row.groups.innerValue(row.index, column, t)
	}
	return l.projection.columns[column].value(row.groups, row.index, t)
}
