package velocli

import (
	"context"
	"slices"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// combines says whether one of the statements combines results.
func (f *files) combines() bool {
	return slices.ContainsFunc(f.statements, func(s *query.Statement) bool { return s.Combined() })
}

// combinations are the statements of a query, by the number of each of their plans.
type combinations []combination

// combination is what becomes of the result of a plan: nothing if its statement has no other.
type combination struct {
	statement *query.Statement
	part      int // number of the plan in its statement
	combiner  *result.Combiner
	to        record.Writer // of the combined rows
}

// combine makes the combinations of statements. Those that combine results may take about limit
// bytes each, or a quarter of the memory if limit is 0, and get a writer.
func combine(statements []*query.Statement, limit int, writer func() record.Writer) (all combinations, err error) {
	if limit == 0 {
		limit = affinity.Memory() / 4 / len(statements)
	}
	for _, s := range statements {
		one := combination{statement: s}
		if s.Combined() {
			one.combiner, err = s.Combiner(limit)
			if err != nil {
				return nil, err
			}
			one.to = writer()
		}
		for i := range s.Plans {
			one.part = i
			all = append(all, one)
		}
	}
	return all, nil
}

// begins says whether the plan is the first of its statement.
func (all combinations) begins(i int) bool { return all[i].part == 0 }

// writer is where the result of a plan is kept to be combined; nil if it is not.
func (all combinations) writer(i int) record.Writer {
	if all[i].combiner == nil {
		return nil
	}
	return &partWriter{all[i].combiner, all[i].part}
}

// finish writes the combined rows after the last plan of a statement has been finished. kept counts
// the values that do not fit.
func (all combinations) finish(i int, k *kept) error {
	c := all[i]
	if c.combiner == nil || c.part < len(c.statement.Plans)-1 {
		return nil
	}
	some := false
	for b, err := range c.combiner.Batches(record.DefaultRows) {
		if err == nil {
			some = true
			k.unfit += uint64(b.Unfit())
			err = c.to.Write(context.Background(), b)
		}
		if err != nil {
			return err
		}
	}
	if !some { // the names of the columns
		schema, err := c.statement.Result()
		if err == nil {
			err = c.to.Write(context.Background(), record.NewBatch(schema, 1))
		}
		if err != nil {
			return err
		}
	}
	return c.to.Close()
}

// partWriter keeps the result of a plan.
type partWriter struct {
	to   *result.Combiner
	part int
}

func (w *partWriter) Write(_ context.Context, b *record.Batch) error { return w.to.Add(w.part, b) }
func (*partWriter) Close() error                                     { return nil }
