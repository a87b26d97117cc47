package result

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// SetOp combines the rows of two results.
type SetOp uint8

// The operations. Those with All count equal rows; the others leave one of them.
const (
	Union SetOp = iota
	UnionAll
	Intersect
	IntersectAll
	Except
	ExceptAll
)

// String is the operation in SQL.
func (o SetOp) String() string {
	return [...]string{"UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"}[o]
}

// ErrCombinerFull says that the rows of several results need more memory than they may have.
var ErrCombinerFull = errors.New("the rows that are to be combined need more memory than they may have")

// valueBytes is about what a value of a row takes, without its text.
const valueBytes = 48

// A Combiner keeps the rows of several results and makes one of them, by set operations. INTERSECT
// binds more tightly than the others, which are applied from the left. Rows are equal if their
// values are; NULL is equal to NULL here. All rows are kept in the Go heap.
type Combiner struct {
	schema *record.Schema
	ops    []SetOp
	then   *plan.Plan
	parts  []combined
	bytes  int // each part may take
}

// combined is one of the results.
type combined struct {
	cast    *expr.Program // nil if the columns have the types of the Combiner
	machine *expr.Machine
	rows    [][]expr.Value
	used    int
}

// NewCombiner makes a Combiner of results with the schemas of, one more than there are ops. Their
// columns are converted to the types of schema. then passes the combined rows through, in its order
// and up to its limit; its source is schema. The rows may take about limit bytes.
func NewCombiner(of []*record.Schema, schema *record.Schema, ops []SetOp, then *plan.Plan, limit int) (*Combiner,
	error,
) {
	c := &Combiner{schema: schema, ops: ops, then: then, parts: make([]combined, len(of)), bytes: limit / len(of)}
	for i, s := range of {
		var outputs []expr.Output
		same := true
		for k := range s.Len() {
			want := schema.Field(k)
			e, err := expr.Cast(expr.Column(s, k), want.Type)
			if err == nil && s.Field(k).Type != want.Type {
				e, err = expr.Try(e)
			}
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", want.Name, err)
			}
			same = same && s.Field(k).Type == want.Type
			outputs = append(outputs, expr.Output{Name: want.Name, Expr: e})
		}
		if same {
			continue
		}
		var err error
		c.parts[i].cast, err = expr.Compile(s, nil, outputs)
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Add keeps the rows of a batch of one of the results. Different results may be added by different
// goroutines at the same time. The error is ErrCombinerFull.
func (c *Combiner) Add(part int, b *record.Batch) error {
	p, given := &c.parts[part], b
	if p.cast != nil && b.Len() > 0 {
		if p.machine == nil || p.machine.Rows() < b.Len() {
			p.machine = p.cast.New(b.Len())
		}
		b = p.machine.Run(b).Batch
	}
	n := c.schema.Len()
	for i := range b.Len() {
		row := make([]expr.Value, n)
		p.used += n * valueBytes
		for k := range n {
			col := b.Column(k)
			switch {
			case col.Null(i):
				row[k].Null, row[k].Unfit = true, !given.Column(k).Null(i) // it does not fit the common type
			case c.schema.Field(k).Type == record.String:
				row[k].Text = string(col.View(i))
				p.used += len(row[k].Text)
			default:
				row[k].Bits = col.Words()[i]
			}
		}
		p.rows = append(p.rows, row)
		if p.used > c.bytes {
			return fmt.Errorf("%w: %d rows of one of them", ErrCombinerFull, len(p.rows))
		}
	}
	return nil
}

// combine applies the operations.
func (c *Combiner) combine() [][]expr.Value {
	// The operands of UNION and EXCEPT, which INTERSECT has been applied to.
	terms, ops := [][][]expr.Value{c.parts[0].rows}, []SetOp{}
	for i, op := range c.ops {
		right := c.parts[i+1].rows
		if op == Intersect || op == IntersectAll {
			terms[len(terms)-1] = c.apply(op, terms[len(terms)-1], right)
			continue
		}
		terms, ops = append(terms, right), append(ops, op)
	}
	rows := terms[0]
	for i, op := range ops {
		rows = c.apply(op, rows, terms[i+1])
	}
	return rows
}

// apply applies one operation. The rows come in the order of the left side, and after them come the
// rows of the right side.
func (c *Combiner) apply(op SetOp, left, right [][]expr.Value) (rows [][]expr.Value) {
	if op == UnionAll {
		return append(left[:len(left):len(left)], right...)
	}
	if op == Union {
		left, right = append(left[:len(left):len(left)], right...), nil
	}
	count := make(map[string]int, len(right))
	for _, row := range right {
		count[string(c.identity(row))]++
	}
	seen := map[string]bool{}
	for _, row := range left {
		id := string(c.identity(row))
		n := count[id]
		keep := false
		switch op {
		case IntersectAll:
			keep = n > 0
			count[id] = n - 1
		case ExceptAll:
			keep = n <= 0
			count[id] = n - 1
		default:
			keep = !seen[id] && (op == Union || (n > 0) == (op == Intersect))
			seen[id] = true
		}
		if keep {
			rows = append(rows, row)
		}
	}
	return rows
}

// identity are bytes that are the same for equal rows, and for no others.
func (c *Combiner) identity(row []expr.Value) (id []byte) {
	for i, v := range row {
		id = appendIdentity(id, c.schema.Field(i).Type, v)
	}
	return id
}

// Batches yields the combined rows in batches of the plan that orders them, when all have been
// added. A batch is valid until the next. An error comes instead of the last batch.
func (c *Combiner) Batches(rows int) iter.Seq2[*record.Batch, error] {
	return func(yield func(*record.Batch, error) bool) {
		all := c.batches(c.combine(), rows)
		l, err := c.then.Layout()
		if err != nil {
			yield(nil, err)
			return
		}
		if len(l.Order) == 0 {
			for b := range limited(all, c.then.Limit) {
				if !yield(b, nil) {
					return
				}
			}
			return
		}
		s, err := NewSorter(c.then, math.MaxInt)
		if err != nil {
			yield(nil, err)
			return
		}
		for b := range all {
			if l.Stage != nil {
				b = l.Stage.New(b.Len()).Run(b).Batch
			}
			if err := s.Add(b); err != nil {
				yield(nil, err)
				return
			}
		}
		for b := range s.Batches(rows) {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// limited cuts batches after limit rows; nil is no limit.
func limited(all iter.Seq[*record.Batch], limit *uint64) iter.Seq[*record.Batch] {
	if limit == nil {
		return all
	}
	return func(yield func(*record.Batch) bool) {
		left := *limit
		for b := range all {
			if left == 0 {
				return
			}
			if n := uint64(b.Len()); n > left {
				b.SetLen(int(left))
			}
			left -= uint64(b.Len())
			if !yield(b) {
				return
			}
		}
	}
}

// batches makes batches of rows.
func (c *Combiner) batches(all [][]expr.Value, rows int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		b := record.NewBatch(c.schema, rows)
		for _, row := range all {
			text := 0
			for _, v := range row {
				text += len(v.Text)
			}
			if !b.Add(text) {
				if !yield(b) {
					return
				}
				b.Reset()
				b.Add(text)
			}
			for k, v := range row {
				switch {
				case v.Unfit:
					b.SetUnfit(k)
				case v.Null:
					b.SetNull(k)
				case c.schema.Field(k).Type == record.String:
					b.SetString(k, v.Text)
				default:
					b.Column(k).Words()[b.Len()-1] = v.Bits
				}
			}
		}
		if b.Len() > 0 {
			yield(b)
		}
	}
}
