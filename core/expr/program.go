package expr

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"github.com/velo-engine/velo/internal/pick"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// An Output is a column that a program computes.
type Output struct {
	Name string
	Expr *Expr
}

// A Program is a filter and some outputs over the batches of one schema. It does not change and may
// be shared.
type Program struct {
	source  *record.Schema
	result  *record.Schema
	where   int // the node of the filter; -1 if there is none
	outputs []int
	nodes   []node // each node comes after its arguments
	tables  []*lookup.Table
	texts   []string
}

// A node is an operation of a program.
type node struct {
	*Expr
	id   int
	args []int
	// table is the number of the table that the node looks up.
	table int
}

// Compile makes a program of a filter, nil for none, and outputs. The error lists everything that
// is wrong: a filter that is no boolean, no outputs, names used twice, expressions of other
// schemas, too many operations.
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
	p.result, err = record.NewSchema(source.Name(), fields...)
	if err != nil {
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

// add returns the node of an expression. Equal expressions share one.
func (c *compiler) add(e *Expr) int {
	var key strings.Builder
	fmt.Fprintf(&key, "%d %d %d %q", e.op, e.typ, e.column, e.name)
	if e.op == opConst {
		fmt.Fprintf(&key, " %v %d %q", e.value.Null, e.value.Bits, e.value.Text)
	}
	if l, ok := e.aux.(*likePattern); ok {
		fmt.Fprintf(&key, " %v", l.pieces)
	}
	if j, ok := e.aux.(joined); ok {
		fmt.Fprintf(&key, " %p", j.table)
	}
	if u, ok := e.aux.(*called); ok {
		fmt.Fprintf(&key, " %p", u.User)
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
	n := node{Expr: e, id: len(c.nodes), args: args}
	if j, ok := e.aux.(joined); ok {
		n.table = slices.Index(c.tables, j.table)
		if n.table < 0 {
			n.table = len(c.tables)
			c.tables = append(c.tables, j.table)
		}
	}
	c.nodes = append(c.nodes, n)
	c.ids[key.String()] = len(c.nodes) - 1
	return len(c.nodes) - 1
}

// Schema returns the schema of the outputs.
func (p *Program) Schema() *record.Schema { return p.result }

// Columns returns the columns of the source that are read.
func (p *Program) Columns() (columns []int) {
	for _, n := range p.nodes {
		if n.op == opColumn {
			columns = append(columns, n.column)
		}
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

// RowByRow returns the operations of the program that have no loop over a column, as SQL: they cost
// some tens of nanoseconds for each row.
func (p *Program) RowByRow() (texts []string) {
	for i := range p.nodes {
		switch n := &p.nodes[i]; n.op {
		case opColumn, opConst, opCase, Coalesce:
		case opCast:
			from := n.Expr.args[0].typ
			isText := from.Kind() == record.String || n.typ.Kind() == record.String
			if isText || from == record.Float64 && n.typ.IsDecimal() {
				texts = append(texts, n.String())
			}
		default:
			if ops[n.op].vector == nil || n.typ.IsWide() && ops[n.op].made != nil {
				texts = append(texts, n.String())
			}
		}
	}
	return texts
}

// String writes the filter and the outputs as SQL.
func (p *Program) String() string { return strings.Join(p.texts, ", ") }

// A Failure is a row that could not be computed.
type Failure struct {
	Row int // row of the batch
	Err error
}

// A Result is what a machine made of a batch. It is valid until the next Run, and the batch must
// not change until then.
type Result struct {
	// Batch has the schema Program.Schema and the rows that passed. The batch that was computed may
	// have lent some of its columns.
	Batch *record.Batch

	Filtered int       // number of rows that the filter did not let pass
	Failed   []Failure // rows that neither passed nor were filtered

	keep []uint64 // rows of the batch that are in Batch; nil if all are
}

// AppendRows appends the numbers that rows from to to-1 of the result have in the batch that was
// computed. It goes through the bitmap of the rows that passed, because it is rarely called.
func (r *Result) AppendRows(rows []int32, from, to int) []int32 {
	if r.keep == nil {
		for i := from; i < to; i++ {
			rows = append(rows, int32(i))
		}
		return rows
	}
	at := 0
	for w, word := range r.keep {
		if n := bits.OnesCount64(word); at+n <= from || at >= to {
			at += n
			continue
		}
		for ; word != 0; word &= word - 1 {
			if at >= from && at < to {
				rows = append(rows, int32(64*w+bits.TrailingZeros64(word)))
			}
			at++
		}
	}
	return rows
}

// A Machine runs a program on one thread.
type Machine struct {
	p     *Program
	regs  []register
	in    *record.Batch
	from  int // first row of the stripe
	n     int // number of rows of the stripe
	limit int

	keep    []uint64   // rows of the whole batch that pass
	failed  []uint64   // rows of the whole batch that failed
	columns []computed // by the number of the output
	result  Result
	args    []*vec
	values  []Value // scratch for one row

	versions []*lookup.Version // of the tables of the program
}

// computed is the memory of an output: the values of the rows that pass, brought together. A column
// of the batch uses it only if some rows do not pass.
type computed struct {
	words  []uint64 // values; for texts their views
	bytes  []byte
	shared []byte   // the bytes of texts instead of bytes, if they are shared
	valid  []uint64 // rows that are not NULL, of all rows
	some   bool     // true if some rows are NULL
	picked []uint64 // valid for the rows that pass
}

// New makes a machine for batches of up to the given number of rows.
func (p *Program) New(rows int) *Machine {
	m := &Machine{
		p: p, regs: make([]register, len(p.nodes)), keep: make([]uint64, words(rows)),
		failed: make([]uint64, words(rows)), limit: rows,
	}
	for i := range m.regs {
		m.regs[i].init(&p.nodes[i])
	}
	m.columns = make([]computed, len(p.outputs))
	for i := range m.columns {
		m.columns[i] = computed{
			words: make([]uint64, rows), valid: make([]uint64, words(rows)),
			picked: make([]uint64, words(rows)),
		}
	}
	m.result.Batch = record.NewBatch(p.result, rows)
	m.versions = make([]*lookup.Version, len(p.tables))
	return m
}

// Rows returns how many rows a batch may have.
func (m *Machine) Rows() int { return m.limit }

// words returns how many words have a bit for each of n rows.
func words(n int) int { return (n + 63) / 64 }

// Run is RunWith for a program that looks up no tables.
func (m *Machine) Run(in *record.Batch) *Result { return m.RunWith(nil, in) }

// RunWith computes a batch. The result belongs to the machine. pins has the versions of the tables
// that the program looks up; it may be nil if there are none.
func (m *Machine) RunWith(pins *lookup.Pins, in *record.Batch) *Result {
	n := in.Len()
	if n > m.limit {
		panic(fmt.Sprintf("expr: a batch of %d rows for a machine of %d", n, m.limit))
	}
	m.in = in
	for i, t := range m.p.tables {
		m.versions[i] = pins.Version(t)
	}
	for i := range m.columns {
		c := &m.columns[i]
		c.bytes, c.shared, c.some = c.bytes[:0], nil, false
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
		for _, id := range m.p.outputs {
			if errs := m.regs[id].errs; errs != nil {
				for w := range failed {
					failed[w] |= errs[w] & keep[w]
				}
			}
		}
		andNot(keep, failed)
		n := count(keep)
		for i, id := range m.p.outputs {
			if _, lent := m.p.lent(id); !lent {
				m.columns[i].take(m.from, kept, m.p.nodes[id].typ, &m.regs[id].vec, keep, n, m.n)
			}
		}
		kept += n
		anyFailed = anyFailed || count(failed) > 0
	}
	r := &m.result
	r.Filtered, r.Failed = filtered, r.Failed[:0]
	if anyFailed {
		m.explain(n)
	}
	b := r.Batch
	b.Reset()
	r.keep = nil
	if kept < n {
		r.keep = m.keep[:words(n)]
	}
	for i, id := range m.p.outputs {
		m.lend(b.Column(i), &m.columns[i], id, n, kept)
	}
	b.SetLen(kept)
	return r
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

// why returns the error of a row, from the filter or from the first output that has one.
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

// take keeps the rows of a stripe that pass for an output, after the rows kept from earlier
// stripes. The stripe begins at row from of the batch and has the given number of rows, of which
// some pass.
func (c *computed) take(from, kept int, t record.Type, v *vec, keep []uint64, some, rows int) {
	to := c.words[kept : kept+rows]
	switch {
	case t == record.Bool:
		for i := range to {
			to[i] = v.bits[i>>6] >> (i & 63) & 1
		}
		if some < rows { // pick does not work in place
			at := 0
			for i, w := range to {
				to[at] = w
				at += int(keep[i>>6] >> (i & 63) & 1)
			}
		}
	case t.Kind() == record.String && v.shared:
		c.shared = v.bytes
		pickWords(to, viewWords(v.views[:rows]), keep, some)
	case t.Kind() == record.String:
		// Otherwise a place would not fit 32 bits and would point to another text. The caller of
		// the machine contains the panic.
		if uint64(len(c.bytes))+uint64(len(v.bytes)) > math.MaxUint32 {
			panic(fmt.Sprintf("expr: a batch makes texts of %d bytes and more, at most %d are allowed; smaller "+
				"batches make less", math.MaxUint32, math.MaxUint32))
		}
		at := uint32(len(c.bytes))
		c.bytes = append(c.bytes, v.bytes...)
		views := wordViews(pickWords(to, viewWords(v.views[:rows]), keep, some))
		for i := range views {
			views[i].Off += at
		}
	default:
		pickWords(to, v.words[:rows], keep, some)
	}
	valid := c.valid[from/64:][:words(rows)]
	if v.valid == nil {
		fill(valid, rows)
	} else {
		copy(valid, v.valid[:words(rows)])
		c.some = true
	}
}

// pickWords copies the n words that have a bit in keep.
func pickWords(to, from, keep []uint64, n int) []uint64 {
	if n == len(from) {
		copy(to, from)
		return to[:n]
	}
	return pick.Words(to, from, keep)
}

// lent says whether the values of a node are the values of a column of the batch, and of which
// column.
func (p *Program) lent(id int) (column int, ok bool) {
	n := &p.nodes[id]
	if n.op == opRequire {
		n = &p.nodes[n.args[0]]
	}
	return n.column, n.op == opColumn
}

// lend gives a column of the result the rows that pass.
func (m *Machine) lend(to *record.Column, c *computed, id, n, kept int) {
	e := &m.p.nodes[id]
	var valid []uint64
	*to = record.Column{Bytes: c.bytes}
	if c.shared != nil {
		to.Bytes = c.shared
	}
	if column, ok := m.p.lent(id); ok {
		from := m.in.Column(column)
		if e.nullable { // if the column is required, no row that passes is NULL
			valid = from.Valid
		}
		if kept == n {
			*to = *from
			to.Valid = valid
			return
		}
		if e.typ.Kind() == record.String {
			to.Bytes = from.Bytes
			pick.Words(c.words, viewWords(from.Views[:n]), m.keep)
		} else {
			pick.Words(c.words, from.Words()[:n], m.keep)
		}
	} else if c.some {
		valid = c.valid
	}
	to.Valid = valid
	if valid != nil && kept < n {
		pick.Bits(c.picked, valid[:words(n)], m.keep[:words(n)])
		to.Valid = c.picked
	}
	switch e.typ.Kind() {
	case record.String:
		to.Views = wordViews(c.words)
	case record.Float64:
		to.Float64s = floats(c.words)
	default:
		to.Int64s = ints(c.words)
	}
}

// viewWords and wordViews return the same memory as another type. A view has eight bytes.
func viewWords(v []record.View) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

func wordViews(w []uint64) []record.View {
	return unsafe.Slice((*record.View)(unsafe.Pointer(unsafe.SliceData(w))), len(w))
}
