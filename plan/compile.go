package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

const (
	// MaxAggregates bounds the aggregates of a plan.
	MaxAggregates = 256

	// maxArguments bounds the columns that the aggregates read: the NULL bits of a record are one
	// word.
	maxArguments = 64
)

func compile(p *Plan) (*layout.Layout, error) {
	if p.Source == nil {
		return nil, errors.New("plan: no source schema")
	}
	columns, err := p.tuple()
	if err != nil {
		return nil, err
	}
	l, err := compileLayout(p)
	if err == nil && (p.hasTuples() || p.Sets != nil) {
		return compileTuples(p, l, columns)
	}
	return l, err
}

// A compiler makes the layout of a plan. For a plan with groups it binds the columns that the plan
// names, then it places the states, then it makes the schemas.
type compiler struct {
	*layout.Layout
	plan *Plan
	// faults are what is wrong with the plan.
	faults []error
	// keys are the columns of the source that are keys.
	keys []int
	// fields are the columns of the groups.
	fields []record.Field
	// bound are the aggregates of the plan, and after them those that the engine needs itself.
	bound []boundAggregate
}

func compileLayout(p *Plan) (*layout.Layout, error) {
	l := &compiler{plan: p, Layout: &layout.Layout{
		Name: p.name(), Source: p.Source, RowsWord: -1, StampWord: -1, PassThrough: p.PassesThrough(), Offset: p.Offset,
		Panics: &usercode.Note{},
	}}
	l.Reading = l.Layout
	if l.PassThrough {
		if err := l.compilePass(); err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.name(), err)
		}
		return l.Layout, l.divide()
	}
	for _, step := range []func() error{l.bindColumns, l.placeStates, l.makeSchemas, l.divide} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.Layout, nil
}

// fault notes something that is wrong with the plan.
func (l *compiler) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf("plan %s: "+format, append([]any{l.Name}, args...)...))
}

// column is the index of a column of the source. of says what names it.
func (l *compiler) column(of, name string) (int, bool) {
	i, ok := l.Source.Index(name)
	if !ok {
		l.fault("%s: there is no column %q in %v", of, name, l.plan.Source)
	}
	return i, ok
}

// bindColumns finds the columns that the plan names, and the functions of its aggregates. The error
// has all that is wrong with them.
func (l *compiler) bindColumns() error {
	p := l.plan
	if p.Where != nil || len(p.Computed) > 0 || p.windowMayBeNull() || p.checks() {
		if err := l.compileStage(); err != nil {
			return fmt.Errorf("plan %s: %w", l.Name, err)
		}
	}
	if p.Window != nil {
		w, err := compileWindow(p.Window, l.Source)
		if err != nil {
			l.fault("%w", err)
		}
		l.Window, l.Front = w, 2
		l.fields = append(l.fields, record.Field{Name: WindowStart, Type: record.Timestamp},
			record.Field{Name: WindowEnd, Type: record.Timestamp})
	}
	for _, name := range p.Keys {
		if i, ok := l.column("key", name); ok {
			l.keys = append(l.keys, i)
			l.fields = append(l.fields, l.Source.Field(i))
		}
	}
	l.bindSets()
	if len(p.Aggregates) > MaxAggregates {
		l.fault("%d aggregates, at most %d are allowed", len(p.Aggregates), MaxAggregates)
	}
	for _, a := range p.Aggregates {
		if b, ok := l.bind(a); ok {
			l.bound = append(l.bound, b)
			l.fields = append(l.fields, record.Field{Name: a.Name, Type: b.fn.Type(), Nullable: a.mayBeNull()})
		}
	}
	for _, a := range l.hidden() {
		if b, ok := l.bind(a); ok {
			l.bound = append(l.bound, b)
		}
	}
	for _, err := range p.Emit.validate(p) {
		l.fault("%w", err)
	}
	if len(l.faults) == 0 && len(l.Args) > maxArguments {
		l.fault("aggregates of %d columns, at most %d are allowed", len(l.Args), maxArguments)
	}
	return errors.Join(l.faults...)
}

// hidden are the aggregates that the engine needs itself, for a plan with windows. A partial state
// may come too late, from a reader that was idle or has joined, so it has to say how many records
// it stands for. A session has the times of its first and its last record.
func (l *compiler) hidden() []Aggregate {
	switch {
	case l.Window == nil:
		return nil
	case l.Window.Session == nil:
		return []Aggregate{{Func: Count}}
	}
	at := l.plan.Window.Column
	return []Aggregate{{Func: Count}, {Func: Min, Column: at}, {Func: Max, Column: at}}
}

// placeStates places the states of the aggregates in a row and finds the loops that update them.
func (l *compiler) placeStates() error {
	l.place(l.bound)
	if l.Window != nil {
		visible := len(l.plan.Aggregates)
		hidden := l.Outputs[visible:]
		l.Outputs = l.Outputs[:visible]
		l.RowsWord = hidden[0].Word
		if s := l.Window.Session; s != nil {
			s.First, s.Last = hidden[1].Word, hidden[2].Word
		}
	}
	if l.plan.Emit == EmitChanges {
		l.StampWord = len(l.Init)
		l.Init = append(l.Init, 0)
	}
	placed := make([]agg.Placed, 0, len(l.States))
	for _, s := range l.States {
		if s.Collect == nil {
			placed = append(placed, agg.Placed{Func: s.Fn, Arg: s.Arg, By: s.By, Word: s.Word})
		}
	}
	l.Fused, l.Single = agg.Fuse(placed)

	var err error
	l.Keys, err = l.keyLayout()
	if err != nil {
		return fmt.Errorf("plan %s: %w", l.Name, err)
	}
	for i := range l.Fused {
		l.Fused[i].Bind(l.Keys.Words(), table.RowWords(l.Keys.Words()+len(l.Init)))
	}
	return nil
}

// makeSchemas makes the schemas of the groups, of the result and of what is written.
func (l *compiler) makeSchemas() (err error) {
	l.Result, err = record.NewSchema(l.Name, l.fields...)
	if err != nil {
		return fmt.Errorf("plan %s: the result: %w", l.Name, err)
	}
	if err := l.compileProjection(); err != nil {
		return err
	}
	return l.compileEmission()
}

// divide lays out the columns of a chunk. The error says that not even one record or group fits.
func (l *compiler) divide() error {
	l.Columns = 1 + l.Keys.Words()
	for i := range l.Args {
		if a := &l.Args[i]; a.Column >= 0 {
			a.Column = l.Columns
			l.Columns++
		}
	}
	if l.HasNulls {
		l.Nulls = l.Columns
		l.Columns++
	}
	if l.Window != nil {
		l.Window.Chunk = l.Columns
		l.Columns++
	}
	for _, s := range l.States {
		if _, ok := s.Fn.(agg.Sided); ok {
			l.Sided = append(l.Sided, s)
		}
	}
	for i, a := range l.Args {
		if a.Typ.Kind() == record.String && a.Column >= 0 {
			l.TextArgs = append(l.TextArgs, i)
		}
	}
	// If keys may be long, or arguments are texts, half of the chunk is for their bytes. If states
	// have blocks, it is for these too.
	l.HeapAt = layout.ChunkWords
	if len(l.Keys.Strings())+len(l.TextArgs)+len(l.Sided) > 0 {
		l.HeapAt = layout.ChunkWords / 2
	}
	l.Rows = min(l.HeapAt/l.Columns, layout.MaxChunkRows)
	l.PartialRows = min(l.HeapAt/(1+l.Keys.Words()+len(l.Init)), layout.MaxChunkRows)
	if l.PartialRows < 1 {
		return fmt.Errorf("plan %s: a group needs %d bytes, a chunk has %d", l.Name,
			8*(1+l.Keys.Words()+len(l.Init)), 8*l.HeapAt)
	}
	if l.Rows < 1 {
		return fmt.Errorf("plan %s: a record needs %d bytes, a chunk has %d", l.Name, 8*l.Columns,
			8*l.HeapAt)
	}
	return nil
}

// compileStage makes the program that filters and computes. Its outputs are the columns that the
// plan names.
func (l *compiler) compileStage() error {
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
	for i := range p.Aggregates {
		need(p.Aggregates[i].Column)
		need(p.Aggregates[i].By)
		for _, name := range p.Aggregates[i].more() {
			need(name)
		}
	}
	if err := p.addChecks(outputs); err != nil {
		return err
	}
	if len(outputs) == 0 { // count(*) without keys: even so a record has to be something
		outputs = []expr.Output{{Name: "record", Expr: expr.Bool(true)}}
	}
	var err error
	l.Stage, err = expr.Compile(p.Source, p.Where, outputs)
	if err == nil {
		l.Source = l.Stage.Schema()
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
	user     *agg.User
	fn       agg.Func
	arg, by  int // in layout.args, -1 for none
	distinct bool
	size     int // K, if the state depends on it
	// collect is how the state is collected; nil if it is merged, or counts pairs.
	collect *layout.Collect
}

// bind finds the arguments of an aggregate and binds its function.
func (l *compiler) bind(a Aggregate) (b boundAggregate, ok bool) {
	b = boundAggregate{kind: a.Func, user: a.User, arg: -1, by: -1}
	of := fmt.Sprintf("aggregate %q", a.Name)
	var args []agg.Arg
	var sources []int
	ok = true
	for i, name := range []string{a.Column, a.By} {
		if name == "" {
			if i == 0 && a.By != "" {
				l.fault("%s: a column to choose by, %q, but none to choose from", of, a.By)
				return b, false
			}
			continue
		}
		source, found := l.column(of, name)
		ok = ok && found
		if !ok {
			continue
		}
		f := l.Source.Field(source)
		// The one group of a plan without keys is there before any record, so its states must be
		// able to say NULL.
		args = append(args, agg.Arg{Type: f.Type, Nullable: f.Nullable || l.plan.mayBeEmpty()})
		sources = append(sources, source)
	}
	if !ok {
		return b, false
	}
	fn, err := bindFunc(a, args)
	if err != nil {
		l.fault("%s: %w", of, err)
		return b, false
	}
	agg.NoteTo(fn, l.Panics)
	b.fn, b.distinct = fn, a.Distinct
	if a.Func == ReservoirSample {
		b.size = a.K
	}
	if a.collects() && !l.plan.countsOne() {
		b.collect = l.collect(&a, args[0].Type)
		return b, true
	}
	if len(sources) == 0 || a.Distinct {
		return b, true
	}
	f := l.Source.Field(sources[0])
	if a.Func == Count && !f.Nullable {
		return b, true // the same as count(*): the values are not needed
	}
	b.arg = l.argument(sources[0], f, a.Func != Count)
	if len(sources) == 2 {
		b.by = l.argument(sources[1], l.Source.Field(sources[1]), true)
	}
	return b, true
}

// bindFunc binds the function of an aggregate.
func bindFunc(a Aggregate, args []agg.Arg) (agg.Func, error) {
	if a.User == nil {
		fn, err := agg.Bind(a.Func, args...)
		if err != nil {
			return nil, err
		}
		fn, err = agg.WithFraction(fn, a.Fraction)
		if err != nil {
			return nil, err
		}
		return agg.WithK(fn, a.K)
	}
	if a.Func != 0 || a.Distinct || a.Fraction != 0 || a.K != 0 {
		return nil, errors.New("it has a User, so Func, Distinct, Fraction and K are not for it")
	}
	return a.User.Bind(args...)
}

// argument is the position of a source column among the arguments.
func (l *compiler) argument(source int, f record.Field, values bool) int {
	l.HasNulls = l.HasNulls || f.Nullable
	i := slices.IndexFunc(l.Args, func(a layout.Argument) bool { return a.Source == source })
	if i < 0 {
		i = len(l.Args)
		l.Args = append(l.Args, layout.Argument{Source: source, Typ: f.Type, Column: -1})
	}
	if values {
		l.Args[i].Column = 0 // divide numbers the columns when all are known
	}
	return i
}

// turn says when the state of an aggregate is placed. States that are placed first are found by the
// others: averages by sums, and the states that count the values of an argument by its extremes and
// by count itself.
func turn(k AggregateKind) int {
	switch {
	case k == Avg:
		return 0
	case k.State() == Sum:
		return 1
	case k == Count:
		return 2
	}
	return 3
}

// place gives each aggregate a state. The same state of the same arguments is kept once. A sum is
// read from the state of the average of the same argument, which is the same and has a count in
// addition. The values of an argument that may be NULL are counted in one state; a count, a minimum
// or a maximum of that argument looks there.
func (l *compiler) place(bound []boundAggregate) {
	type slot struct {
		kind     AggregateKind
		user     *agg.User
		arg, by  int
		distinct bool
		size     int
		collect  string
	}
	hasAvg := map[int]bool{}
	for _, b := range bound {
		if b.kind == Avg && b.collect == nil {
			hasAvg[b.arg] = true
		}
	}
	slotOf := func(b boundAggregate) slot {
		switch {
		case b.collect != nil:
			return slot{kind: b.kind.State(), arg: -1, by: -1, distinct: true, collect: fmt.Sprintf("%+v", *b.collect)}
		case b.kind.State() == Sum && hasAvg[b.arg]:
			return slot{kind: Avg, arg: b.arg, by: -1}
		}
		return slot{kind: b.kind.State(), user: b.user, arg: b.arg, by: b.by, distinct: b.distinct, size: b.size}
	}
	at := map[slot]layout.Output{}
	counters := map[int]int{} // for an argument, the word that counts its values
	for pass := range 4 {
		for _, b := range bound {
			s := slotOf(b)
			if _, ok := at[s]; ok || turn(b.kind) != pass {
				continue
			}
			b.fn = agg.StateOf(b.fn)
			counter, counted := counters[b.arg]
			if counted && b.kind == Count && !b.distinct {
				at[s] = layout.Output{Word: counter, Values: -1}
				continue
			}
			o := layout.Output{Word: len(l.Init), Values: -1}
			if counted {
				if fn := agg.Uncounted(b.fn); fn != b.fn {
					b.fn, o.Values = fn, counter
				}
			}
			// The state that counts pairs has no argument.
			if word := agg.Counter(b.fn); b.collect == nil && word >= 0 && !counted && b.arg >= 0 {
				counters[b.arg] = o.Word + word
			}
			at[s] = o
			l.Init = append(l.Init, make([]uint64, b.fn.Words())...)
			b.fn.Init(l.Init[o.Word:])
			l.States = append(l.States, layout.AggState{
				Kind: b.kind, Fn: b.fn, Word: o.Word, Arg: b.arg, By: b.by, Distinct: b.distinct && b.collect == nil,
				Collect: b.collect,
			})
		}
	}
	for _, b := range bound {
		o := at[slotOf(b)]
		o.Fn = b.fn
		o.Texts = agg.TexterOf(b.fn)
		o.Side = b.collect != nil && b.fn.Type().Kind() == record.String && o.Texts == nil
		if o.Values >= 0 {
			o.Fn = agg.Uncounted(b.fn)
		}
		l.Outputs = append(l.Outputs, o)
	}
}

// compilePass is compile for a plan that passes records through: each column of the result is an
// argument, and there are no states.
func (l *compiler) compilePass() error {
	p := l.plan
	var faults []error
	for _, c := range []struct {
		there bool
		what  string
	}{
		{len(p.Select) == 0, "neither keys, aggregates nor Select"},
		{p.Window != nil, "a window, but neither keys nor aggregates: windows hold groups"},
		{p.Distinct && len(p.Over) == 0, "Distinct, but neither keys nor aggregates: group by the columns"},
		{p.Qualify != nil && len(p.Over) == 0, "Qualify, but nothing is computed over rows"},
		{
			len(p.Over) > 0 && len(p.OrderBy) == 0,
			"Over, but neither keys, aggregates nor OrderBy: records are kept to the end only to be ordered",
		},
		{p.Copies != nil, "Copies, but neither keys nor aggregates"},
		{p.Having != nil, "Having, but neither keys nor aggregates: it is for groups, Where for records"},
		{
			p.Offset > 0 && len(p.OrderBy) == 0,
			"Offset, but neither keys, aggregates nor OrderBy: records that pass through have no order",
		},
		{len(p.Computed) > 0, "Computed, but neither keys nor aggregates: Select has the expressions"},
		{len(p.Select) > maxArguments, fmt.Sprintf("%d columns pass through, at most %d are allowed", len(p.Select),
			maxArguments)},
	} {
		if c.there {
			faults = append(faults, errors.New(c.what))
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if len(p.Over) > 0 {
		return l.compileArranged()
	}
	columns, err := l.passOrder()
	if err != nil {
		return err
	}
	if len(columns) > maxArguments {
		return fmt.Errorf("%d columns pass through and are ordered by, at most %d are allowed", len(columns),
			maxArguments)
	}
	l.Stage, err = expr.Compile(p.Source, p.Where, columns)
	if err != nil {
		return err
	}
	l.Source, l.Inner = l.Stage.Schema(), l.Stage.Schema()
	fields := make([]record.Field, l.Source.Len())
	for i := range fields {
		fields[i] = l.Source.Field(i)
		l.argument(i, fields[i], true)
	}
	l.Result, err = record.NewSchema(p.name(), fields[:len(p.Select)]...)
	if err != nil {
		return err
	}
	l.Inner = l.Result
	l.Keys, err = groupkey.NewLayout(l.Source, nil)
	return err
}

// passOrder makes the order of records that pass through. It returns the columns of Select and,
// after them, the columns to order by that are not among those.
func (l *compiler) passOrder() (columns []expr.Output, err error) {
	p := l.plan
	columns = slices.Clone(p.Select)
	for _, o := range p.OrderBy {
		by := layout.OrderBy{Projected: layout.Projected{Inner: -1}, Desc: o.Desc, NullsFirst: o.NullsFirst}
		for i, c := range p.Select {
			if o.Expr == nil && c.Name == o.Column {
				by.Inner, by.Typ = i, c.Expr.Type()
			}
		}
		switch {
		case o.Expr != nil && o.Column != "":
			return nil, fmt.Errorf("order by %q and by %v: expected one of both", o.Column, o.Expr)
		case o.Expr != nil:
			by.Inner, by.Typ = len(columns), o.Expr.Type()
			columns = append(columns, expr.Output{Name: fmt.Sprintf("order by %v", o.Expr), Expr: o.Expr})
		case by.Inner < 0:
			return nil, fmt.Errorf("order by %q: there is no such column in Select", o.Column)
		}
		l.Order = append(l.Order, by)
	}
	return columns, nil
}

// compileProjection makes the shape of a plan and its result. The shape is nil if groups are read
// as they are.
func (l *compiler) compileProjection() error {
	p := l.plan
	l.Inner = l.Result
	if p.Select == nil && !p.Distinct && len(p.Over) == 0 && p.Having == nil && p.Copies == nil && p.OrderBy == nil &&
		p.Limit == nil && p.Offset == 0 {
		return nil
	}
	s := &layout.Projection{
		Having: p.Having, Copies: p.Copies, Offset: p.Offset, Distinct: p.Distinct, Qualify: p.Qualify,
	}
	if p.Limit != nil {
		s.Limit, s.Limited = *p.Limit, true
	}
	var faults []error
	if p.Qualify != nil && p.Qualify.Type() != record.Bool {
		faults = append(faults, fmt.Errorf("qualify %v: it is %v, expected boolean", p.Qualify, p.Qualify.Type()))
	}
	if p.Copies != nil && p.Copies.Type() != record.Int64 {
		faults = append(faults, fmt.Errorf("copies %v: it is %v, expected bigint", p.Copies, p.Copies.Type()))
	}
	if p.Having != nil && p.Having.Type() != record.Bool {
		faults = append(faults, fmt.Errorf("having %v: it is %v, expected boolean", p.Having, p.Having.Type()))
	}
	over, ranged, err := p.compileOver(l.Inner)
	if err != nil {
		return fmt.Errorf("plan %s: %w", p.name(), err)
	}
	s.Over = over
	of := func(e *expr.Expr) layout.Projected {
		if _, err := expr.Compile(ranged, nil, []expr.Output{{Name: "c", Expr: e}}); err != nil {
			faults = append(faults, err)
		}
		if i, ok := e.IsColumn(); ok && i < l.Inner.Len() {
			return layout.Projected{Inner: i, Expr: e}
		}
		return layout.Projected{Inner: -1, Expr: e}
	}
	if p.Select != nil {
		var fields []record.Field
		for _, o := range p.Select {
			s.Columns = append(s.Columns, of(o.Expr))
			// A value that cannot be computed reads NULL.
			_, plain := o.Expr.IsColumn()
			fields = append(fields, record.Field{Name: o.Name, Type: o.Expr.Type(), Nullable: o.Expr.Nullable() ||
				!plain})
		}
		result, err := record.NewSchema(p.name(), fields...)
		if err != nil {
			return fmt.Errorf("plan %s: the result: %w", p.name(), err)
		}
		l.Result = result
	} else {
		for i := range l.Inner.Len() {
			s.Columns = append(s.Columns, layout.Projected{Inner: i, Expr: expr.Column(l.Inner, i)})
		}
	}
	for _, o := range p.OrderBy {
		by := layout.OrderBy{Desc: o.Desc, NullsFirst: o.NullsFirst}
		if o.Expr != nil {
			by.Projected, by.Typ = of(o.Expr), o.Expr.Type()
			if o.Column != "" {
				faults = append(faults, fmt.Errorf("order by %q and by %v: expected one of both", o.Column, o.Expr))
			}
		} else if i, ok := l.Result.Index(o.Column); ok {
			by.Projected, by.Typ = s.Columns[i], l.Result.Field(i).Type
		} else if i, ok := l.Inner.Index(o.Column); ok {
			by.Projected, by.Typ = layout.Projected{Inner: i}, l.Inner.Field(i).Type
		} else {
			faults = append(faults, fmt.Errorf("order by %q: there is no such column in %v", o.Column, l.Result))
		}
		s.Order = append(s.Order, by)
	}
	if len(faults) > 0 {
		return fmt.Errorf("plan %s: %w", p.name(), errors.Join(faults...))
	}
	l.Projection = s
	return nil
}

// compileEmission makes the schema of what is written.
func (l *compiler) compileEmission() (err error) {
	if l.plan.Emit != EmitChanges {
		return nil
	}
	fields := []record.Field{{Name: ChangeColumn, Type: record.String}}
	for i := range l.Result.Len() {
		fields = append(fields, l.Result.Field(i))
	}
	l.Change, err = record.NewSchema(l.Name, fields...)
	if err != nil {
		return fmt.Errorf("plan %s: what is written of its changes: %w", l.Name, err)
	}
	return nil
}

func compileWindow(w *Window, source *record.Schema) (*layout.Windowing, error) {
	if err := w.validate(source); err != nil {
		return nil, err
	}
	column := -1
	if !w.ProcessingTime {
		column, _ = source.Index(w.Column)
	}
	retain := w.Retain
	if retain == 0 {
		retain = DefaultRetain
	}
	c := window.NewClock(w.Windows)
	var s *layout.Sessions
	if w.Kind == window.Session {
		s = &layout.Sessions{Gap: int64(w.Size)}
	}
	return &layout.Windowing{
		Session: s, Name: w.Column,
		Clock: c, Column: column, OutOfOrder: int64(w.OutOfOrder), AnyOrder: w.OutOfOrder == AnyOrder,
		Lateness: int64(w.Lateness), Idle: int64(w.Idle),
		Retain: retain - 1,
	}, nil
}
