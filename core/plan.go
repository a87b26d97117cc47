package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/record"
)

// An AggregateKind is an aggregate function by name.
type AggregateKind = agg.Kind

// The aggregate functions.
const (
	Count = agg.Count // the rows, or the values of a column that are not NULL
	Sum   = agg.Sum   // exact for bigint and decimal; NULL if the result does not fit
	Min   = agg.Min
	Max   = agg.Max
	Avg   = agg.Avg // double precision, from the exact sum

	// The variance and its square root, in double precision: exact and rounded once for bigint and
	// decimal. The variance of a sample is NULL for fewer than two values.
	VarPop     = agg.VarPop
	VarSamp    = agg.VarSamp
	StddevPop  = agg.StddevPop
	StddevSamp = agg.StddevSamp

	// The value of Column in the row in which By is least or greatest. Rows whose By is NULL do not
	// count; the value may be NULL. Among rows that tie, MinBy takes the least value and MaxBy the
	// greatest, and NULL only if there is no other: it does not matter which row came first.
	MinBy = agg.MinBy
	MaxBy = agg.MaxBy

	// MinBy and MaxBy under the names that are usual if By is a time.
	First = agg.First
	Last  = agg.Last

	BoolAnd = agg.BoolAnd // whether every value is true
	BoolOr  = agg.BoolOr  // whether any value is true

	// About the number of distinct values: exact up to 384 of them, then with a standard error of
	// 1.6 %. It depends neither on the order of the records nor on how they were spread.
	ApproxCountDistinct = agg.ApproxCountDistinct

	// About the least value such that Fraction of all values are not greater, which is what
	// percentile_disc gives: double precision, within 1/128 of it.
	ApproxPercentile = agg.ApproxPercentile
)

// An Aggregate is one computed column of the result.
type Aggregate struct {
	// Name is the name of the result's column.
	Name string
	// Func is the function.
	Func AggregateKind
	// Column is the column that it is computed of; empty is count(*).
	Column string
	// By is the column that MinBy, MaxBy, First and Last choose by. It is empty for other
	// functions.
	By string

	// Distinct has Count count the distinct values of Column, exactly. A plan can do that for one
	// column. It then keeps a group for each value, within StateBytes, and the first reader of a
	// snapshot merges them to one.
	Distinct bool

	// Fraction is the argument of ApproxPercentile, 0 to 1. It is 0 for other functions.
	Fraction float64
}

// A Plan is a continuous query: it groups the records of a source by some of their columns and
// keeps aggregates of each group. A plan without keys and aggregates passes records through; see
// PassesThrough.
//
// A Plan is written as a literal or comes from a query. It must not be changed once it has been
// used; then any number of engines and goroutines may share it.
type Plan struct {
	// Name stands for the plan in messages and statistics. If it is empty, the name of the source
	// does.
	Name string

	// Source is the schema of the records.
	Source *record.Schema

	// Where is an expression over Source. Only records for which it is true pass; nil lets all
	// pass. A record goes to quarantine if Where or a computed column cannot be computed for it (a
	// division by zero, a number that is out of range).
	Where *expr.Expr

	// Computed are columns that are computed from the columns of Source, for the records that pass.
	// Keys, Aggregates and Window may name them like columns of Source.
	Computed []expr.Output

	// Keys are the columns to group by. If there are none but there are aggregates, all records
	// make one group, which is there even before the first record.
	Keys []string

	// Aggregates are the computed columns, after the keys in the result.
	Aggregates []Aggregate

	// Window divides the groups by event time; nil does not divide them.
	Window *Window

	// Emit is what a writer gets. The zero value gives each window when it has closed, or
	// everything at the end.
	Emit Emission

	// Select are the columns of the result: expressions over Inner, or over Source if records pass
	// through. Nil selects the columns of Inner as they are. A value that cannot be computed reads
	// NULL.
	Select []expr.Output
	// Having is an expression; the result has only the groups for which it is true.
	Having *expr.Expr
	// OrderBy, Limit and Offset shape All and Batches of a snapshot as a whole; Get takes notice of
	// Having only. Records that pass through are written at the end if there is an OrderBy, see
	// Sorter. Without OrderBy, Limit ends a plan that passes records through, and it has no Offset.
	OrderBy []Order
	// Limit is how many rows the result has at most; nil sets no limit.
	Limit *uint64
	// Offset is how many rows are left out before the first.
	Offset uint64

	// bare says that this is the plan of the pairs of a plan without keys; see distinct.go.
	bare bool

	once   sync.Once
	layout *layout
	err    error
}

const (
	// MaxAggregates bounds the aggregates of a plan.
	MaxAggregates = 256

	// maxArguments bounds the columns that the aggregates read: the NULL bits of a record are one
	// word.
	maxArguments = 64
)

// Validate reports every fault of the plan at once: no source, columns that do not exist, names
// used twice, functions that are not defined for their column, a row too wide for a chunk.
func (p *Plan) Validate() error {
	_, err := p.compile()
	return err
}

// String is the plan as SQL would say it. What Select computes of groups is a query over the query
// that makes the groups.
func (p *Plan) String() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	sep := ""
	if p.PassesThrough() {
		for _, o := range p.Select {
			fmt.Fprintf(&b, "%s%v AS %s", sep, o.Expr, o.Name)
			sep = ", "
		}
	}
	if p.Window != nil {
		b.WriteString(WindowStart + ", " + WindowEnd)
		sep = ", "
	}
	for _, k := range p.Keys {
		b.WriteString(sep + k)
		sep = ", "
	}
	for _, a := range p.Aggregates {
		arg := a.Column
		if arg == "" {
			arg = "*"
		}
		if a.By != "" {
			arg += ", " + a.By
		}
		if a.Func == ApproxPercentile {
			arg += fmt.Sprintf(", %v", a.Fraction)
		}
		if a.Distinct {
			arg = "DISTINCT " + arg
		}
		fmt.Fprintf(&b, "%s%v(%s) AS %s", sep, a.Func, arg, a.Name)
		sep = ", "
	}
	if p.Source != nil {
		b.WriteString(" FROM " + p.Source.Name())
	}
	if p.Where != nil {
		fmt.Fprintf(&b, " WHERE %v", p.Where)
	}
	by := p.Keys
	if p.Window != nil {
		on := p.Window.Column
		if p.Window.ProcessingTime {
			on = "proctime()"
		}
		by = append(slices.Clone(by), fmt.Sprintf("%v on %s", p.Window.Windows, on))
	}
	if len(by) > 0 {
		b.WriteString(" GROUP BY " + strings.Join(by, ", "))
	}
	if p.Select != nil && !p.PassesThrough() { // expressions over the groups
		inner := b.String()
		b.Reset()
		for i, o := range p.Select {
			b.WriteString([]string{"SELECT ", ", "}[min(i, 1)])
			if b.WriteString(o.Expr.String()); o.Expr.String() != o.Name {
				b.WriteString(" AS " + o.Name)
			}
		}
		b.WriteString(" FROM (" + inner + ")")
	}
	b.WriteString(p.tailString())
	if p.Emit == EmitChanges {
		b.WriteString(" EMIT CHANGES")
	}
	return b.String()
}

// Result is the schema of the result: the columns of Select, or Inner if Select is nil.
func (p *Plan) Result() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	return l.result, nil
}

// Written is the schema of what a writer gets. It is Result, with ChangeColumn in front if the plan
// emits changes.
func (p *Plan) Written() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	if l.change != nil {
		return l.change, nil
	}
	return l.result, nil
}

// Streams says whether a writer gets rows before the end of the input whatever the window is:
// records that pass through, or changes.
func (p *Plan) Streams() bool { return p.PassesThrough() || p.Emit == EmitChanges }

// Inner is the schema of the groups before Select: the bounds of the window if there are windows,
// the keys, the aggregates.
func (p *Plan) Inner() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	return l.inner, nil
}

// A Key is the key of one group. It is encoded and hashed once, to look the group up in any number
// of snapshots of the plan.
type Key struct {
	hash   uint64
	words  []uint64
	heap   []byte
	window int64 // the end of the window
}

// Key encodes a key from a value for each key column, in their order; nil is NULL. If the plan has
// windows, the end of the window comes first, a time.Time. Integers of any Go type, bool, float64,
// string, []byte, time.Time and record.Decimal fit their columns; the error names the value that
// does not fit. Key allocates: make a Key once and use it often.
func (p *Plan) Key(values ...any) (Key, error) {
	l, err := p.read()
	if err != nil {
		return Key{}, err
	}
	var end int64
	if l.window != nil {
		var at any
		if len(values) > 0 {
			at = values[0]
			values = values[1:]
		}
		t, ok := at.(time.Time)
		if !ok {
			return Key{}, fmt.Errorf("core: plan %s: the first value of the key is %T, expected the window's end, a "+
				"time.Time", p.name(), at)
		}
		end = t.UnixNano()
	}
	words, heap, err := l.keys.EncodeValues(values...)
	if err != nil {
		return Key{}, fmt.Errorf("core: plan %s: %w", p.name(), err)
	}
	return Key{l.keys.HashKey(words), words, heap, end}, nil
}

func (p *Plan) name() string {
	if p.Name == "" && p.Source != nil {
		return p.Source.Name()
	}
	return p.Name
}

// compile returns the layout of what is kept; read returns the layout of what is read of that.
func (p *Plan) compile() (*layout, error) {
	p.once.Do(func() { p.layout, p.err = compile(p) })
	return p.layout, p.err
}

func (p *Plan) read() (*layout, error) {
	l, err := p.compile()
	if err != nil {
		return nil, err
	}
	return l.reading, nil
}

// A layout is a compiled plan: where everything lies, in chunks and in the rows of a table.
type layout struct {
	plan *Plan
	// reading is the layout of what is read. It is this layout itself, except for pairs.
	reading *layout
	// valueKey is the key column that has the value, in a layout of pairs.
	valueKey int
	// source is the schema of the records that are grouped or passed through.
	source *record.Schema
	// inner is the schema of the groups.
	inner *record.Schema
	// change is the schema of what is written of a plan that emits changes; it is nil for other
	// plans.
	change *record.Schema
	// result is the schema of what is read of the groups.
	result *record.Schema
	// projection makes the result of the groups; it is nil if they are the same.
	projection *projection
	// keys is the layout of keys.
	keys *record.KeyLayout
	// stage makes records of source out of records of the plan's Source; it is nil if they are the
	// same.
	stage *expr.Program
	// window is nil if the plan has no windows.
	window *windowing
	// front is the number of columns of the result before the keys.
	front int
	// passThrough says that the plan passes records through: there are neither keys nor states.
	passThrough bool
	// order is the order of records that pass through; its inner columns are columns of source.
	order []orderBy

	// A chunk has these columns: the hash, the key words, the args whose values are needed, and, if
	// hasNulls, the NULL bits of the args. args are the columns that the aggregates read.
	args []argument
	// hasNulls says that some of the args may be NULL.
	hasNulls bool
	// nulls is the column of the NULL bits.
	nulls int
	// columns is the number of columns.
	columns int
	// rows is the number of rows that fit a chunk.
	rows int
	// partialRows is the number of groups that fit a chunk of partial states.
	partialRows int
	// rowsWord is the word, among the states of a group, of the state that counts its records; it
	// is -1 if there is none.
	rowsWord int
	// stampWord is the word, among the states of a group, that has the epoch in which the group
	// changed last; it is -1 if there is none.
	stampWord int
	// heapAt is the word of a chunk's data at which the heap begins; it is len(data) if there is no
	// heap.
	heapAt int
	// sided are the states that have blocks.
	sided []aggState
	// textArgs are the indexes of the args that are texts and whose values are needed.
	textArgs []int

	// A row of a table has the key words, then the states.
	states []aggState
	// init has the words of the states of a new group.
	init []uint64
	// fused are the loops that update several states at once.
	fused []agg.Fused
	// single are the states that have a loop of their own.
	single []agg.Placed

	// outputs are the columns of the result after the keys.
	outputs []output
}

// argument is a column of the source that some aggregate reads; its position among the arguments is
// its NULL bit.
type argument struct {
	source int
	typ    record.Type
	column int // column of a chunk, -1 if only the NULLs are counted
}

// aggState is one state in a row. Aggregates that can share a state do.
type aggState struct {
	kind AggregateKind
	fn   agg.Func
	word int // counted from the end of the key words
	arg  int // in layout.args, -1 for count(*)
	by   int // the second argument, -1 for none

	distinct bool // the state counts pairs
}

// output is an aggregate of the result: how to read which state.
type output struct {
	fn   agg.Func
	word int
	// values is the word that counts the values, for a function whose state does not say that there
	// are none; it is -1 for other functions.
	values int
}

// value reads the states of a group.
func (o *output) value(states []uint64, blocks *agg.Blocks) agg.Value {
	if o.values >= 0 && states[o.values] == 0 {
		return agg.Value{Null: true}
	}
	return o.fn.Result(states[o.word:], blocks)
}

func compile(p *Plan) (*layout, error) {
	if p.Source == nil {
		return nil, errors.New("core: plan: no source schema")
	}
	distinct, err := p.distinctColumn()
	if err != nil {
		return nil, err
	}
	l, err := compileLayout(p)
	if err == nil && distinct != "" {
		return compilePairs(p, l, distinct)
	}
	return l, err
}

func compileLayout(p *Plan) (*layout, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("core: plan %s: "+format, append([]any{p.name()}, args...)...))
	}
	l := &layout{plan: p, source: p.Source, rowsWord: -1, stampWord: -1, passThrough: p.PassesThrough()}
	l.reading = l
	if l.passThrough {
		if err := l.compilePass(); err != nil {
			return nil, fmt.Errorf("core: plan %s: %w", p.name(), err)
		}
		return l, l.divide()
	}
	if p.Where != nil || len(p.Computed) > 0 || p.windowMayBeNull() {
		if err := l.compileStage(); err != nil {
			return nil, fmt.Errorf("core: plan %s: %w", p.name(), err)
		}
	}
	column := func(of, name string) (int, bool) {
		i, ok := l.source.Index(name)
		if !ok {
			fault("%s: there is no column %q in %v", of, name, p.Source)
		}
		return i, ok
	}
	var keys []int
	var fields []record.Field
	if p.Window != nil {
		w, err := compileWindow(p.Window, l.source)
		if err != nil {
			fault("%w", err)
		}
		l.window, l.front = w, 2
		fields = append(fields, record.Field{Name: WindowStart, Type: record.Timestamp},
			record.Field{Name: WindowEnd, Type: record.Timestamp})
	}
	for _, name := range p.Keys {
		if i, ok := column("key", name); ok {
			keys = append(keys, i)
			fields = append(fields, l.source.Field(i))
		}
	}
	if len(p.Aggregates) > MaxAggregates {
		fault("%d aggregates, at most %d are allowed", len(p.Aggregates), MaxAggregates)
	}
	var bound []boundAggregate
	for _, a := range p.Aggregates {
		if b, ok := l.bind(a, column, fault); ok {
			bound = append(bound, b)
			fields = append(fields, record.Field{Name: a.Name, Type: b.fn.Type(), Nullable: a.Func != Count &&
				a.Func != ApproxCountDistinct})
		}
	}
	var hidden []Aggregate
	if l.window != nil {
		// A partial state may come too late, from a reader that was idle or has joined. It has to
		// say how many records it stands for.
		hidden = append(hidden, Aggregate{Func: Count})
		if l.window.session != nil {
			hidden = append(hidden, Aggregate{Func: Min, Column: p.Window.Column},
				Aggregate{Func: Max, Column: p.Window.Column})
		}
		for _, a := range hidden {
			if b, ok := l.bind(a, column, fault); ok {
				bound = append(bound, b)
			}
		}
	}
	for _, err := range p.Emit.validate(p) {
		fault("%w", err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(l.args) > maxArguments {
		return nil, fmt.Errorf("core: plan %s: aggregates of %d columns, at most %d are allowed", p.name(), len(l.args),
			maxArguments)
	}
	l.place(bound)
	if l.window != nil {
		of := l.outputs[len(l.outputs)-len(hidden):]
		l.outputs = l.outputs[:len(l.outputs)-len(hidden)]
		l.rowsWord = of[0].word
		if s := l.window.session; s != nil {
			s.first, s.last = of[1].word, of[2].word
		}
	}
	if p.Emit == EmitChanges {
		l.stampWord = len(l.init)
		l.init = append(l.init, 0)
	}
	placed := make([]agg.Placed, len(l.states))
	for i, s := range l.states {
		placed[i] = agg.Placed{Func: s.fn, Arg: s.arg, By: s.by, Word: s.word}
	}
	l.fused, l.single = agg.Fuse(placed)

	var err error
	l.keys, err = record.NewKeyLayout(l.source, keys)
	if err != nil {
		return nil, fmt.Errorf("core: plan %s: %w", p.name(), err)
	}
	for i := range l.fused {
		l.fused[i].Bind(l.keys.Words(), table.RowWords(l.keys.Words()+len(l.init)))
	}
	l.result, err = record.NewSchema(p.name(), fields...)
	if err != nil {
		return nil, fmt.Errorf("core: plan %s: the result: %w", p.name(), err)
	}
	if err := l.compileProjection(); err != nil {
		return nil, err
	}
	if err := l.compileEmission(); err != nil {
		return nil, err
	}
	return l, l.divide()
}

// divide lays out the columns of a chunk. The error says that not even one record or group fits.
func (l *layout) divide() error {
	l.columns = 1 + l.keys.Words()
	for i := range l.args {
		if a := &l.args[i]; a.column >= 0 {
			a.column = l.columns
			l.columns++
		}
	}
	if l.hasNulls {
		l.nulls = l.columns
		l.columns++
	}
	if l.window != nil {
		l.window.chunk = l.columns
		l.columns++
	}
	for _, s := range l.states {
		if _, ok := s.fn.(agg.Sided); ok {
			l.sided = append(l.sided, s)
		}
	}
	for i, a := range l.args {
		if a.typ == record.String && a.column >= 0 {
			l.textArgs = append(l.textArgs, i)
		}
	}
	// If keys may be long, or arguments are texts, half of the chunk is for their bytes. If states
	// have blocks, it is for these too.
	l.heapAt = chunkWords
	if len(l.keys.Strings())+len(l.textArgs)+len(l.sided) > 0 {
		l.heapAt = chunkWords / 2
	}
	l.rows = min(l.heapAt/l.columns, maxChunkRows)
	l.partialRows = min(l.heapAt/(1+l.keys.Words()+len(l.init)), maxChunkRows)
	if l.partialRows < 1 {
		return fmt.Errorf("core: plan %s: a group needs %d bytes, a chunk has %d", l.plan.name(),
			8*(1+l.keys.Words()+len(l.init)), 8*l.heapAt)
	}
	if l.rows < 1 {
		return fmt.Errorf("core: plan %s: a record needs %d bytes, a chunk has %d", l.plan.name(), 8*l.columns,
			8*l.heapAt)
	}
	return nil
}

// compileStage makes the program that filters and computes. Its outputs are the columns that the
// plan names.
func (l *layout) compileStage() error {
	p := l.plan
	computed := map[string]*expr.Expr{}
	for _, o := range p.Computed {
		_, twice := computed[o.Name]
		if _, ok := p.Source.Index(o.Name); ok || twice {
			return fmt.Errorf("computed column %q: there is another of that name", o.Name)
		}
		computed[o.Name] = o.Expr
	}
	var outputs []expr.Output
	taken := map[string]bool{}
	need := func(name string) {
		if name == "" || taken[name] {
			return
		}
		taken[name] = true
		if e := computed[name]; e != nil {
			outputs = append(outputs, expr.Output{Name: name, Expr: e})
		} else if i, ok := p.Source.Index(name); ok {
			outputs = append(outputs, expr.Output{Name: name, Expr: expr.Column(p.Source, i)})
		} // otherwise the code that looks for it reports that it is missing
	}
	if p.Window != nil {
		need(p.Window.Column)
		if len(outputs) > 0 { // a record without a time is in no window, so it goes to quarantine
			at := &outputs[0]
			var err error
			at.Expr, err = expr.Require(fmt.Sprintf("the time of the window, %v,", at.Expr), at.Expr)
			if err != nil {
				return err
			}
		}
	}
	for _, name := range p.Keys {
		need(name)
	}
	for _, a := range p.Aggregates {
		need(a.Column)
		need(a.By)
	}
	if len(outputs) == 0 { // count(*) without keys: even so a record has to be something
		outputs = []expr.Output{{Name: "record", Expr: expr.Bool(true)}}
	}
	var err error
	l.stage, err = expr.Compile(p.Source, p.Where, outputs)
	if err == nil {
		l.source = l.stage.Schema()
	}
	return err
}

// windowMayBeNull says whether the time of the window is a column of the source that may be NULL.
func (p *Plan) windowMayBeNull() bool {
	if p.Window == nil {
		return false
	}
	i, ok := p.Source.Index(p.Window.Column)
	return ok && p.Source.Field(i).Nullable
}

type boundAggregate struct {
	kind     AggregateKind
	fn       agg.Func
	arg, by  int // in layout.args, -1 for none
	distinct bool
}

// bind finds the arguments of an aggregate and binds its function.
func (l *layout) bind(a Aggregate, column func(of, name string) (int, bool),
	fault func(string, ...any),
) (b boundAggregate, ok bool) {
	b = boundAggregate{kind: a.Func, arg: -1, by: -1}
	of := fmt.Sprintf("aggregate %q", a.Name)
	var args []agg.Arg
	var sources []int
	ok = true
	for i, name := range []string{a.Column, a.By} {
		if name == "" {
			if i == 0 && a.By != "" {
				fault("%s: a column to choose by, %q, but none to choose from", of, a.By)
				return b, false
			}
			continue
		}
		source, found := column(of, name)
		ok = ok && found
		if !ok {
			continue
		}
		f := l.source.Field(source)
		// The one group of a plan without keys is there before any record, so its states must be
		// able to say NULL.
		args = append(args, agg.Arg{Type: f.Type, Nullable: f.Nullable || len(l.plan.Keys) == 0 || l.plan.bare})
		sources = append(sources, source)
	}
	if !ok {
		return b, false
	}
	fn, err := agg.Bind(a.Func, args...)
	if err == nil {
		fn, err = agg.WithFraction(fn, a.Fraction)
	}
	if err != nil {
		fault("%s: %w", of, err)
		return b, false
	}
	b.fn, b.distinct = fn, a.Distinct
	if len(sources) == 0 || a.Distinct {
		return b, true
	}
	f := l.source.Field(sources[0])
	if a.Func == Count && !f.Nullable {
		return b, true // the same as count(*): the values are not needed
	}
	b.arg = l.argument(sources[0], f, a.Func != Count)
	if len(sources) == 2 {
		b.by = l.argument(sources[1], l.source.Field(sources[1]), true)
	}
	return b, true
}

// argument is the position of a source column among the arguments.
func (l *layout) argument(source int, f record.Field, values bool) int {
	l.hasNulls = l.hasNulls || f.Nullable
	i := slices.IndexFunc(l.args, func(a argument) bool { return a.source == source })
	if i < 0 {
		i = len(l.args)
		l.args = append(l.args, argument{source, f.Type, -1})
	}
	if values {
		l.args[i].column = 0 // divide numbers the columns when all are known
	}
	return i
}

// place gives each aggregate a state. The same state of the same arguments is kept once. A sum is
// read from the state of the average of the same argument, which is the same and has a count in
// addition. The values of an argument that may be NULL are counted in one state; a count, a minimum
// or a maximum of that argument looks there.
func (l *layout) place(bound []boundAggregate) {
	type slot struct {
		kind     AggregateKind
		arg, by  int
		distinct bool
	}
	hasAvg := map[int]bool{}
	for _, b := range bound {
		if b.kind == Avg {
			hasAvg[b.arg] = true
		}
	}
	slotOf := func(b boundAggregate) slot {
		if b.kind == Sum && hasAvg[b.arg] {
			return slot{Avg, b.arg, -1, false}
		}
		return slot{b.kind.State(), b.arg, b.by, b.distinct}
	}
	// States that are placed first are found by the others: averages by sums, and the states that
	// count the values of an argument by its extremes and by count itself.
	turn := func(b boundAggregate) int {
		switch {
		case b.kind == Avg:
			return 0
		case b.kind == Sum:
			return 1
		case b.kind == Count:
			return 2
		}
		return 3
	}
	at := map[slot]output{}
	counters := map[int]int{} // for an argument, the word that counts its values
	for pass := range 4 {
		for _, b := range bound {
			s := slotOf(b)
			if _, ok := at[s]; ok || turn(b) != pass {
				continue
			}
			counter, counted := counters[b.arg]
			if counted && b.kind == Count && !b.distinct {
				at[s] = output{word: counter, values: -1}
				continue
			}
			o := output{word: len(l.init), values: -1}
			if counted {
				if fn := agg.Uncounted(b.fn); fn != b.fn {
					b.fn, o.values = fn, counter
				}
			}
			// The state that counts pairs has no argument.
			if word := agg.Counter(b.fn); word >= 0 && !counted && b.arg >= 0 {
				counters[b.arg] = o.word + word
			}
			at[s] = o
			l.init = append(l.init, make([]uint64, b.fn.Words())...)
			b.fn.Init(l.init[o.word:])
			l.states = append(l.states, aggState{b.kind, b.fn, o.word, b.arg, b.by, b.distinct})
		}
	}
	for _, b := range bound {
		o := at[slotOf(b)]
		o.fn = b.fn
		if o.values >= 0 {
			o.fn = agg.Uncounted(b.fn)
		}
		l.outputs = append(l.outputs, o)
	}
}

// heapSize is how many bytes of strings and blocks fit a chunk.
func (l *layout) heapSize() int { return 8 * (chunkWords - l.heapAt) }

// maxText is how many bytes of strings a record may have together, as far as the plan reads them.
// If states have blocks, it leaves room in a chunk for any block beside the key.
func (l *layout) maxText() int {
	if len(l.sided) > 0 {
		return l.heapSize() - agg.MaxBlockBytes - agg.LineBytes
	}
	return l.heapSize()
}

// memory is m for tables of this layout.
func (l *layout) memory(m table.Memory) table.Memory {
	m.Blocks = len(l.sided) > 0
	return m
}

// blockBytes bounds the bytes of blocks that n records take whose texts have textBytes bytes
// together.
func (l *layout) blockBytes(n, textBytes int) (bytes int) {
	for _, s := range l.sided {
		if f, ok := s.fn.(agg.Sided); ok {
			bytes += f.Need(n, textBytes)
		}
	}
	return bytes
}
