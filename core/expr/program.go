package expr

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/velo-engine/velo/record"
)

// An Output is a column that a program computes.
type Output struct {
	Name string
	Expr *Expr
}

// A Program is a filter and some outputs over the batches of one schema. It does not change and may be shared.
type Program struct {
	source  *record.Schema
	result  *record.Schema
	where   int // node, -1 where there is no filter
	outputs []int
	nodes   []node // each behind its arguments
	texts   []string
}

// node is an operation of a program.
type node struct {
	*Expr
	args []int
}

// Compile makes a program of a filter, nil for none, and outputs. The error lists what is wrong: a filter that is no boolean, no outputs, names used
// twice, expressions of other schemas, too many operations.
func Compile(source *record.Schema, where *Expr, outputs []Output) (*Program, error) {
	p := &Program{source: source, where: -1}
	c := compiler{Program: p, ids: map[string]int{}}
	var faults []error
	if where != nil {
		if where.typ != record.Bool {
			faults = append(faults, fmt.Errorf("expr: the filter %v is %v, expected boolean", where, where.typ))
		}
		p.where = c.add(where)
		p.texts = append(p.texts, "WHERE "+where.String())
	}
	var fields []record.Field
	for _, o := range outputs {
		p.outputs = append(p.outputs, c.add(o.Expr))
		fields = append(fields, record.Field{Name: o.Name, Type: o.Expr.typ, Nullable: o.Expr.nullable})
		p.texts = append(p.texts, o.Expr.String()+" AS "+o.Name)
	}
	if len(p.nodes) > MaxNodes {
		faults = append(faults, fmt.Errorf("expr: %d operations, at most %d are allowed", len(p.nodes), MaxNodes))
	}
	var err error
	if p.result, err = record.NewSchema(source.Name(), fields...); err != nil {
		faults = append(faults, err)
	}
	faults = append(faults, c.faults...)
	return p, errors.Join(faults...)
}

type compiler struct {
	*Program
	ids    map[string]int
	faults []error
}

// add gives an expression its node; equal ones share it.
func (c *compiler) add(e *Expr) int {
	var key strings.Builder
	fmt.Fprintf(&key, "%d %d %d %s", e.op, e.typ, e.column, e.name)
	if e.op == opConst {
		fmt.Fprintf(&key, " %v %d %q", e.value.Null, e.value.Bits, e.value.Text)
	}
	if l, ok := e.aux.(*likePattern); ok {
		fmt.Fprintf(&key, " %v", l.pieces)
	}
	if e.op == opColumn && (e.column >= c.source.Len() || c.source.Field(e.column).Type != e.typ) {
		c.faults = append(c.faults, fmt.Errorf("expr: column %d, %q, is not one of %v", e.column, e.name, c.source))
	}
	var args []int
	for _, a := range e.args {
		id := c.add(a)
		args = append(args, id)
		fmt.Fprintf(&key, " %d", id)
	}
	if id, ok := c.ids[key.String()]; ok {
		return id
	}
	c.nodes = append(c.nodes, node{e, args})
	c.ids[key.String()] = len(c.nodes) - 1
	return len(c.nodes) - 1
}

// Schema is the schema of the outputs.
func (p *Program) Schema() *record.Schema { return p.result }

// Columns are the columns of the source that are read.
func (p *Program) Columns() (columns []int) {
	for _, n := range p.nodes {
		if n.op == opColumn {
			columns = append(columns, n.column)
		}
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

// String is the filter and the outputs as SQL would say them.
func (p *Program) String() string { return strings.Join(p.texts, ", ") }

// A Failure is a row that could not be computed.
type Failure struct {
	Row int // of the batch
	Err error
}

// A Result is what a machine made of a batch. It is valid until the next Run, and the batch must not change until then.
type Result struct {
	Batch    *record.Batch // of Program.Schema: the rows that passed, some columns of which may be lent by the batch
	Rows     []int32       // the row of the batch that each is; nil where all have passed
	Filtered int           // rows that the filter did not let pass
	Failed   []Failure     // rows that are in neither
}

// A Machine runs a program on one thread.
type Machine struct {
	p     *Program
	regs  []register
	in    *record.Batch
	from  int // of the stripe
	n     int // rows of it
	limit int

	keep    []uint64 // rows that pass, of the whole batch
	failed  []uint64 // and that failed
	kept    []int32
	columns []computed // by output
	result  Result
	args    []*vec
	values  []Value // scratch of one row
}

// computed is an output that is not a column of the batch, over the whole of it.
type computed struct {
	words []uint64
	views []record.View
	bytes []byte
	valid []uint64
	some  bool // some are NULL

	// What passes, brought together.
	packed      []uint64
	packedViews []record.View
	packedValid []uint64
}

// New makes a machine for batches of up to so many rows.
func (p *Program) New(rows int) *Machine {
	m := &Machine{p: p, regs: make([]register, len(p.nodes)), keep: make([]uint64, words(rows)), failed: make([]uint64, words(rows)), limit: rows}
	for i := range m.regs {
		m.regs[i].init(&p.nodes[i])
	}
	m.columns = make([]computed, len(p.outputs))
	for i := range m.columns {
		c := &m.columns[i]
		c.valid, c.packedValid = make([]uint64, words(rows)), make([]uint64, words(rows))
		if p.result.Field(i).Type == record.String {
			c.packedViews = make([]record.View, rows)
		} else {
			c.packed = make([]uint64, rows)
		}
		if _, plain := p.nodes[p.outputs[i]].IsColumn(); plain {
			continue
		}
		if c.packedViews != nil {
			c.views = make([]record.View, rows)
		} else {
			c.words = make([]uint64, rows)
		}
	}
	m.result.Batch = record.NewBatch(p.result, rows)
	m.kept = make([]int32, rows+64)
	return m
}

// Rows is how many rows a batch may have.
func (m *Machine) Rows() int { return m.limit }

// words is how many words have a bit for each of n rows.
func words(n int) int { return (n + 63) / 64 }

// Run computes a batch. The result is the machine's own.
func (m *Machine) Run(in *record.Batch) *Result {
	n := in.Len()
	if n > m.limit {
		panic(fmt.Sprintf("expr: a batch of %d rows for a machine of %d", n, m.limit))
	}
	m.in = in
	for i := range m.columns {
		m.columns[i].bytes, m.columns[i].some = m.columns[i].bytes[:0], false
	}
	filtered, kept := 0, 0
	anyFailed := false
	for m.from = 0; m.from < n; m.from += stripeRows {
		m.n = min(stripeRows, n-m.from)
		for i := range m.p.nodes {
			m.step(i)
		}
		keep, failed := m.keep[m.from/64:][:words(m.n)], m.failed[m.from/64:][:words(m.n)]
		fill(keep, m.n)
		clear(failed)
		if m.p.where >= 0 {
			v := &m.regs[m.p.where].vec
			and(keep, v.bits)
			and(keep, v.valid)
			orInto(failed, v.errs)
			andNot(keep, failed)
			passed := count(keep)
			filtered += m.n - passed - count(failed)
		}
		for i, id := range m.p.outputs {
			v := &m.regs[id].vec
			if v.errs != nil {
				for w := range failed {
					failed[w] |= v.errs[w] & keep[w]
				}
			}
			if m.p.nodes[id].op != opColumn {
				m.columns[i].take(m.from, m.n, m.p.nodes[id].typ, v)
			}
		}
		andNot(keep, failed)
		kept += count(keep)
		anyFailed = anyFailed || slices.ContainsFunc(failed, func(w uint64) bool { return w != 0 })
	}
	r := &m.result
	r.Filtered, r.Failed = filtered, r.Failed[:0]
	if anyFailed {
		m.explain(n)
	}
	b := r.Batch
	b.Reset()
	r.Rows = nil
	if kept < n {
		r.Rows = m.rows(n, kept)
	}
	for i, id := range m.p.outputs {
		m.lend(b.Column(i), &m.columns[i], &m.p.nodes[id], n, kept)
	}
	b.SetLen(kept)
	return r
}

// rows are the rows that passed.
func (m *Machine) rows(n, kept int) []int32 {
	rows := m.kept[:m.limit+64]
	k := 0
	for w, word := range m.keep[:words(n)] {
		// Every row is stored, and stays where its bit is set: no branch to guess.
		out := rows[k : k+64]
		at := uint(0)
		for i := range uint(64) {
			out[at&63] = int32(64*uint(w) + i)
			at += uint(word >> i & 1)
		}
		k += bits.OnesCount64(word)
	}
	return rows[:kept]
}

// explain finds out why rows failed.
func (m *Machine) explain(n int) {
	for w, word := range m.failed[:words(n)] {
		for ; word != 0; word &= word - 1 {
			row := 64*w + bits.TrailingZeros64(word)
			err := m.why(row)
			if err == nil {
				err = errors.New("expr: cannot be computed")
			}
			m.result.Failed = append(m.result.Failed, Failure{row, err})
		}
	}
}

// why is the error of a row, of the filter or the first output that has one.
func (m *Machine) why(row int) error {
	ids := m.p.outputs
	if m.p.where >= 0 {
		ids = append([]int{m.p.where}, ids...)
	}
	for _, id := range ids {
		if _, err := m.p.nodes[id].Eval(m.in, row); err != nil {
			return fmt.Errorf("expr: %w", err)
		}
	}
	return nil
}

// take keeps a stripe of an output.
func (c *computed) take(from, n int, t record.Type, v *vec) {
	switch {
	case t == record.String:
		at := uint32(len(c.bytes))
		c.bytes = append(c.bytes, v.bytes...)
		for i, view := range v.views[:n] {
			c.views[from+i] = record.View{Off: at + view.Off, Len: view.Len}
		}
	case t == record.Bool:
		for i := range n {
			c.words[from+i] = v.bits[i>>6] >> (i & 63) & 1
		}
	default:
		copy(c.words[from:from+n], v.words)
	}
	valid := c.valid[from/64:][:words(n)]
	if v.valid == nil {
		fill(valid, n)
	} else {
		copy(valid, v.valid[:words(n)])
		c.some = true
	}
}

// lend gives a column of the result what passed of it.
func (m *Machine) lend(to *record.Column, c *computed, e *node, n, kept int) {
	var from record.Column
	if e.op == opColumn {
		from = *m.in.Column(e.column)
	} else {
		from = record.Column{Views: c.views, Bytes: c.bytes}
		if c.some {
			from.Valid = c.valid
		}
		if e.typ == record.Float64 {
			from.Float64s = floats(c.words)
		} else if e.typ != record.String {
			from.Int64s = ints(c.words)
		}
	}
	if kept == n {
		*to = from
		return
	}
	keep := m.keep[:words(n)]
	valid := from.Valid
	if valid != nil {
		packBits(c.packedValid, valid, keep)
		valid = c.packedValid
	}
	if e.typ == record.String {
		pack(c.packedViews, from.Views, m.result.Rows)
		*to = record.Column{Views: c.packedViews, Bytes: from.Bytes, Valid: valid}
		return
	}
	pack(c.packed, from.Words(), m.result.Rows)
	*to = record.Column{Valid: valid}
	if e.typ == record.Float64 {
		to.Float64s = floats(c.packed)
	} else {
		to.Int64s = ints(c.packed)
	}
}

// pack brings some rows together.
func pack[T any](to, from []T, rows []int32) {
	to = to[:len(rows)]
	for i, row := range rows {
		to[i] = from[row]
	}
}

// packBits is pack for bits.
func packBits(to, from, keep []uint64) {
	n := 0
	clear(to)
	for w, word := range keep {
		for ; word != 0; word &= word - 1 {
			to[n>>6] |= from[w] >> bits.TrailingZeros64(word) & 1 << (n & 63)
			n++
		}
	}
}
