package result

import (
	"iter"
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// arranged yields the records of a plan that computes columns over all of them: with those columns,
// as far as Qualify lets them through, in their order, from the offset up to the limit.
func (s *Sorter) arranged(rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		a := s.layout.Arranged
		n := len(s.rows)
		over := computeOver(a.Over, n, func(row int, e *expr.Expr) expr.Value { return s.value(e, row, nil) })
		var kept []int
		for i := range n {
			if a.Qualify != nil {
				if v := s.value(a.Qualify, i, over); v.Null || v.Bits == 0 {
					continue
				}
			}
			kept = append(kept, i)
		}
		if a.Distinct {
			kept = s.different(kept, over)
		}
		keys := make([][]expr.Value, n)
		for _, i := range kept {
			for _, o := range a.Order {
				keys[i] = append(keys[i], s.value(o.Expr, i, over))
			}
		}
		slices.SortStableFunc(kept, func(x, y int) int { return compareKeys(a, keys[x], keys[y]) })
		kept = kept[min(a.Offset, uint64(len(kept))):]
		if a.Limited {
			kept = kept[:min(a.Limit, uint64(len(kept)))]
		}
		b := record.NewBatch(s.layout.Result, rows)
		values := make([]expr.Value, len(a.Columns))
		for _, i := range kept {
			for c := range values {
				values[c] = s.value(a.Columns[c].Expr, i, over)
			}
			if !addRow(b, values) {
				if !yield(b) {
					return
				}
				b.Reset()
				addRow(b, values)
			}
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}

// value computes an expression over the columns of the plan's source and the columns over rows.
func (s *Sorter) value(e *expr.Expr, row int, over [][]expr.Value) expr.Value {
	from := s.layout.FromSource
	r := s.stored(s.rows[row])
	v, err := e.EvalFunc(func(column int, _ record.Type) expr.Value {
		if column >= len(from) {
			return over[column-len(from)][row]
		}
		c := s.cell(r, from[column])
		return expr.Value{Null: c.null, Bits: c.bits, Text: string(c.text)}
	})
	if err != nil {
		s.layout.Panics.Add(err)
		return expr.Value{Null: true, Unfit: true}
	}
	return v
}

// different leaves out records whose result is the same as one before.
func (s *Sorter) different(kept []int, over [][]expr.Value) []int {
	seen := map[string]struct{}{}
	var key []byte
	return slices.DeleteFunc(kept, func(i int) bool {
		key = key[:0]
		for c := range s.layout.Arranged.Columns {
			e := s.layout.Arranged.Columns[c].Expr
			key = appendIdentity(key, e.Type(), s.value(e, i, over))
		}
		_, ok := seen[string(key)]
		seen[string(key)] = struct{}{}
		return ok
	})
}
