package plan

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// PassesThrough says whether the plan has neither keys nor aggregates. The records that pass Where
// then go to the writer, with the columns of Select, which are expressions over Source in this
// case. There are no groups, so a snapshot has none, and Window and Having have no meaning. The
// records of a reader stay in their order if the reader is routed to one partition, which is what
// RouteAuto does. If the plan has an OrderBy, whose expressions are over Source too, the records
// are kept and written in that order at the end.
func (p *Plan) PassesThrough() bool { return len(p.Keys)+len(p.Aggregates) == 0 }

// An Order says how the rows of a result are ordered.
type Order struct {
	Column     string // a column of the result, or of Plan.Inner; empty if Expr is set
	Expr       *Expr  // an expression over Plan.Inner
	Desc       bool
	NullsFirst bool
}

// text is the order as SQL would say it.
func (o Order) text() string {
	text := o.Column
	if o.Expr != nil {
		text += o.Expr.String()
	}
	if o.Desc {
		text += " DESC"
	}
	if o.NullsFirst != o.Desc {
		text += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[o.NullsFirst]
	}
	return text
}

// tailString is the shape as SQL would say it, after GROUP BY.
func (p *Plan) tailString() string {
	var b strings.Builder
	if p.Having != nil {
		fmt.Fprintf(&b, " HAVING %v", p.Having)
	}
	if p.Copies != nil {
		fmt.Fprintf(&b, " COPIES %v", p.Copies)
	}
	if p.Qualify != nil {
		b.WriteString(" QUALIFY " + p.said(p.Qualify))
	}
	sep := " ORDER BY "
	for _, o := range p.OrderBy {
		b.WriteString(sep + o.text())
		sep = ", "
	}
	if p.Limit != nil {
		fmt.Fprintf(&b, " LIMIT %d", *p.Limit)
	}
	if p.Offset > 0 {
		fmt.Fprintf(&b, " OFFSET %d", p.Offset)
	}
	return b.String()
}

// An AggregateKind is an aggregate function by name.
type AggregateKind = agg.Kind

// The aggregate functions.
const (
	Count = agg.Count // the rows, or the values of a column that are not NULL
	Sum   = agg.Sum   // exact for bigint and decimal; NULL if the result does not fit
	Min   = agg.Min
	Max   = agg.Max
	Avg   = agg.Avg // from the exact sum: a double, or a wide decimal of wide decimals

	// SumWide is Sum as a decimal of 38 digits. It is read from the same state.
	SumWide = agg.SumWide

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

	// Of all values of a group at once, exactly; see Aggregate.Distinct.
	PercentileCont = agg.PercentileCont // double precision, between the two values at Fraction
	PercentileDisc = agg.PercentileDisc // the value at Fraction
	Mode           = agg.Mode           // the most frequent value; of several the first in the order
	StringAgg      = agg.StringAgg      // texts with Separator between them
	ArrayAgg       = agg.ArrayAgg       // texts as PostgreSQL writes an array, NULLs among them

	BitAnd = agg.BitAnd // of bigints
	BitOr  = agg.BitOr
	BitXor = agg.BitXor

	// The functions of two columns of double precision: of Column, which is y, and By, which is x.
	// Records in which one of them is NULL do not count.
	Corr          = agg.Corr
	CovarPop      = agg.CovarPop
	CovarSamp     = agg.CovarSamp
	RegrSlope     = agg.RegrSlope
	RegrIntercept = agg.RegrIntercept
	RegrR2        = agg.RegrR2
	RegrCount     = agg.RegrCount
	RegrAvgX      = agg.RegrAvgX
	RegrAvgY      = agg.RegrAvgY
	RegrSXX       = agg.RegrSXX
	RegrSYY       = agg.RegrSYY
	RegrSXY       = agg.RegrSXY

	// About the number of distinct values: exact up to 384 of them, then with a standard error of
	// 1.6 %. It depends neither on the order of the records nor on how they were spread.
	ApproxCountDistinct = agg.ApproxCountDistinct

	// About the least value such that Fraction of all values are not greater, which is what
	// percentile_disc gives: double precision, within 1/128 of it.
	ApproxPercentile = agg.ApproxPercentile

	// The states of these two as texts, to be merged later, and what merges them; see the top of
	// core/agg/statetext.go for the format. A record whose text is no such state is set aside.
	ApproxCountDistinctState      = agg.ApproxCountDistinctState
	ApproxCountDistinctMerge      = agg.ApproxCountDistinctMerge
	ApproxCountDistinctMergeState = agg.ApproxCountDistinctMergeState
	ApproxPercentileState         = agg.ApproxPercentileState
	ApproxPercentileMerge         = agg.ApproxPercentileMerge // at Fraction
	ApproxPercentileMergeState    = agg.ApproxPercentileMergeState

	// The K most frequent values as JSON: [{"value": v, "count": n, "error": e}, ...]. There are at
	// most n of a value, and at least n - e. e is 0 up to 384 different values, or 192 texts of 53
	// bytes. A record with a text of more than 256 bytes is set aside.
	ApproxTopK = agg.ApproxTopK

	// The values of a random sample of K records whose value is not NULL, as an array of JSON. Any
	// K of these records are equally likely. A record with a text of more than 16368 / K bytes is
	// set aside.
	ReservoirSample = agg.ReservoirSample
)

// MaxK is the largest Aggregate.K.
const MaxK = min(agg.MaxTopK, agg.MaxSample)

// A UserAggregate is an aggregate function that is not one of these: package aggregate makes them.
type UserAggregate = agg.User

// An Aggregate is one computed column of the result.
type Aggregate struct {
	// Name is the name of the result's column.
	Name string
	// Func is the function. It is 0 if User is set.
	Func AggregateKind
	// User is a function of your own, instead of Func.
	User *UserAggregate
	// Column is the column that it is computed from; empty is count(*).
	Column string
	// By is the column that MinBy, MaxBy, First and Last choose by, the x of Corr and its
	// relatives, and the second argument of a function of your own. It is empty for other
	// functions.
	By string

	// Distinct takes each value of Column once. The plan then keeps a group for each value, within
	// StateBytes, and the first reader of a snapshot merges them to one. So it does for
	// PercentileCont, PercentileDisc, Mode, StringAgg and ArrayAgg. If several columns are to be
	// kept that way, there is a group for each combination of their values.
	Distinct bool

	// Fraction is the argument of ApproxPercentile, ApproxPercentileMerge, PercentileCont and
	// PercentileDisc, 0 to 1. It is 0 for other functions.
	Fraction float64

	// K is how many values ApproxTopK and ReservoirSample have, 1 to 100. It is 0 for other
	// functions.
	K int

	// OrderBy is the order in which PercentileDisc, Mode, StringAgg and ArrayAgg take the values,
	// by columns of the record; what ties is ordered by its value.
	OrderBy []Order
	// Separator is what StringAgg writes between two texts.
	Separator string
	// Filter is a boolean column of the records that ArrayAgg takes; empty takes all.
	Filter string
}

// FuncName returns the name of the function in SQL.
func (a *Aggregate) FuncName() string {
	if a.User != nil {
		return a.User.Name()
	}
	return a.Func.String()
}

// An Expr is an expression over the columns of a record or of a group. SQL makes them; package
// core/expr has the functions that make them by hand.
type Expr = expr.Expr

// An Output is an expression with the name of the column that it computes.
type Output = expr.Output

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

	// From is the plan whose result the records are, for a question over the answer of another:
	// Source has the columns of its result. It must not emit changes. The readers of an engine
	// bring the records of the innermost plan. It is nil if the readers bring the records of this
	// plan.
	From *Plan

	// FromMore are plans whose results are read too: over the same records as From, and with
	// results of as many columns and the same types, whatever their names. Neither these plans nor
	// From have a From of their own then. The rows of all of them come in no order.
	FromMore []*Plan

	// Given are the records, if the text of the query has them: VALUES, or a SELECT without FROM.
	// The caller has an engine read them, with a readers.Memory. They are not changed. It is nil if
	// the records come from elsewhere.
	Given []*record.Batch

	// Where is an expression over Source. Only records for which it is true pass; nil lets all
	// pass. A record goes to quarantine if Where or a computed column cannot be computed for it (a
	// division by zero, a number that is out of range).
	Where *Expr

	// Computed are columns that are computed from the columns of Source, for the records that pass.
	// Keys, Aggregates and Window may name them like columns of Source.
	Computed []Output

	// Keys are the columns to group by. If there are none but there are aggregates, all records
	// make one group, which is there even before the first record.
	Keys []string

	// Sets are sets of the keys, each by their names: GROUPING SETS. The result then has the groups
	// of each set, with NULL in the place of the other keys, and after the keys a column
	// GroupingColumn that tells the sets apart. A set without keys has one group. The plan keeps
	// the groups of all keys, and the first reader of a snapshot merges them to the groups of the
	// sets. Nil is all keys alone.
	Sets [][]string

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
	Select []Output
	// Over are columns that are computed over all rows of the result, or over all records that pass
	// through; then there must be an OrderBy. They come after the columns of Inner, or of Source,
	// and Select, Qualify and OrderBy may read them; Ranged has all of them. A writer of windows
	// gets them computed over the rows of each window. A row that is read alone, by Get, has NULL
	// there.
	Over []Over
	// Qualify is a condition over Ranged; the result has only the rows for which it is true.
	Qualify *Expr
	// Distinct leaves out rows of the result that are equal to another; of a writer, equal to
	// another of the same window.
	Distinct bool
	// Having is an expression; the result has only the groups for which it is true.
	Having *Expr
	// Copies is how often the row of each group is in All and Batches of a snapshot, and in what is
	// written: a bigint of a group, of which 0 and less leave the row out. Nil is once. Get finds
	// the row once.
	Copies *Expr
	// OrderBy, Limit and Offset shape All and Batches of a snapshot as a whole; Get takes notice of
	// Having only. Records that pass through are written at the end if there is an OrderBy, see
	// result.Sorter. Without OrderBy, Limit ends a plan that passes records through, and it has no
	// Offset.
	OrderBy []Order
	// Limit is how many rows the result has at most; nil sets no limit.
	Limit *uint64
	// Offset is how many rows are left out before the first.
	Offset uint64

	// bare says that this is the plan of the pairs of a plan without keys; see the top of
	// result/merge.go.
	bare bool

	once     sync.Once
	compiled *layout.Layout
	err      error
}

// Validate reports every fault of the plan at once: no source, columns that do not exist, names
// used twice, functions that are not defined for their column, a row too wide for a chunk.
func (p *Plan) Validate() error {
	_, err := p.Layout()
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
			fmt.Fprintf(&b, "%s%s AS %s", sep, p.said(o.Expr), o.Name)
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
		arg = a.arguments(arg)
		fmt.Fprintf(&b, "%s%s(%s) AS %s", sep, a.FuncName(), arg, a.Name)
		sep = ", "
	}
	if p.Source != nil {
		b.WriteString(" FROM ")
		if p.From != nil {
			fmt.Fprintf(&b, "(%v", p.From)
			for _, more := range p.FromMore {
				fmt.Fprintf(&b, " UNION ALL %v", more)
			}
			b.WriteString(") AS ")
		}
		b.WriteString(p.Source.Name())
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
	if p.Sets != nil {
		by = []string{p.setsText()}
	}
	if len(by) > 0 {
		b.WriteString(" GROUP BY " + strings.Join(by, ", "))
	}
	if p.Select != nil && !p.PassesThrough() { // expressions over the groups
		inner := b.String()
		b.Reset()
		for i, o := range p.Select {
			b.WriteString([]string{"SELECT ", ", "}[min(i, 1)])
			if i == 0 && p.Distinct {
				b.WriteString("DISTINCT ")
			}
			if b.WriteString(p.said(o.Expr)); o.Expr.String() != o.Name {
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

// arguments are the arguments of an aggregate as SQL would say them.
func (a *Aggregate) arguments(arg string) string {
	switch a.Func {
	case ApproxPercentile, ApproxPercentileMerge, PercentileCont, PercentileDisc:
		arg += fmt.Sprintf(", %v", a.Fraction)
	case ApproxTopK, ReservoirSample:
		arg += fmt.Sprintf(", %d", a.K)
	}
	if a.Func == StringAgg {
		arg += fmt.Sprintf(", '%s'", strings.ReplaceAll(a.Separator, "'", "''"))
	}
	if a.Distinct {
		arg = "DISTINCT " + arg
	}
	sep := " ORDER BY "
	for _, o := range a.OrderBy {
		arg += sep + o.text()
		sep = ", "
	}
	if a.Filter != "" {
		arg += " WHERE " + a.Filter
	}
	return arg
}

// Result is the schema of the result: the columns of Select, or Inner if Select is nil.
func (p *Plan) Result() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	return l.Result, nil
}

// Written is the schema of what a writer gets. It is Result, with ChangeColumn in front if the plan
// emits changes.
func (p *Plan) Written() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	if l.Change != nil {
		return l.Change, nil
	}
	return l.Result, nil
}

// WrittenKeys are the columns of Written that tell its rows apart: the keys, and a bound of the
// window if there are windows. It is nil if there are no groups, or if one of these columns is not
// selected as it is. The plan must be valid.
func (p *Plan) WrittenKeys() []string {
	l, err := p.read()
	if err != nil || len(p.Keys) == 0 && p.Window == nil {
		return nil
	}
	selected := func(inner string) string {
		if p.Select == nil {
			return inner
		}
		for _, o := range p.Select {
			if i, ok := o.Expr.IsColumn(); ok && l.Inner.Field(i).Name == inner {
				return o.Name
			}
		}
		return ""
	}
	var names []string
	if p.Window != nil {
		bound := selected(WindowEnd)
		if bound == "" && p.Window.Kind != Cumulating {
			bound = selected(WindowStart)
		}
		names = append(names, bound)
	}
	for _, key := range p.Keys {
		names = append(names, selected(key))
	}
	if slices.Contains(names, "") {
		return nil
	}
	return names
}

// Streams says whether a writer gets rows before the end of the input whatever the window is:
// records that pass through, or changes.
func (p *Plan) Streams() bool { return p.PassesThrough() || p.Emit == EmitChanges }

// Innermost is the plan whose records readers bring: the plan itself, or what From leads to.
func (p *Plan) Innermost() *Plan {
	for p.From != nil {
		p = p.From
	}
	return p
}

// Leaves are the plans whose records readers bring: the plan itself, or what From and FromMore lead
// to. The first is Innermost.
func (p *Plan) Leaves() (all []*Plan) {
	if p.From == nil {
		return []*Plan{p}
	}
	all = p.From.Leaves()
	for _, more := range p.FromMore {
		all = append(all, more.Leaves()...)
	}
	return all
}

// Tables are the tables that records are joined with, each once. A plan that is not valid has none.
func (p *Plan) Tables() []*lookup.Table {
	l, err := p.Layout()
	if err != nil || l.Stage == nil {
		return nil
	}
	return l.Stage.Tables()
}

// UserCalls are the calls of scalar functions of users in the plan, those in Where and Computed
// first.
func (p *Plan) UserCalls() (calls []expr.UserCall) {
	calls = p.Where.UserCalls(calls)
	for _, o := range p.Computed {
		calls = o.Expr.UserCalls(calls)
	}
	for _, o := range p.Select {
		calls = o.Expr.UserCalls(calls)
	}
	for i := range p.Over {
		for _, e := range append(slices.Clone(p.Over[i].Args), p.Over[i].PartitionBy...) {
			calls = e.UserCalls(calls)
		}
		for _, o := range p.Over[i].OrderBy {
			calls = o.Expr.UserCalls(calls)
		}
	}
	calls = p.Having.UserCalls(p.Qualify.UserCalls(calls))
	for _, o := range p.OrderBy {
		calls = o.Expr.UserCalls(calls)
	}
	return calls
}

// UserMeters are the functions of users that the engine calls for records, with how long they take.
func (p *Plan) UserMeters() (meters []usercode.Metered) {
	l, err := p.Layout()
	if err != nil {
		return nil
	}
	for _, c := range p.UserCalls() {
		meters = append(meters, usercode.Metered{Name: c.User.Name(), Meter: c.Meter})
	}
	for i := range l.States {
		m, ok := agg.MeterOf(l.States[i].Fn)
		if ok {
			meters = append(meters, m)
		}
	}
	return meters
}

// Panicked returns the last panic of a function of a user that happened while a result was read, or
// nil. The value of the row was NULL. Engines with the same plan share it.
func (p *Plan) Panicked() *usercode.Noted {
	l, err := p.Layout()
	if err != nil {
		return nil
	}
	return l.Panics.Last()
}

// TableColumns are the columns of a table that records get, by their numbers.
func (p *Plan) TableColumns(t *lookup.Table) []int {
	l, err := p.Layout()
	if err != nil || l.Stage == nil {
		return nil
	}
	return l.Stage.TableColumns(t)
}

// Inner is the schema of the groups before Select: the bounds of the window if there are windows,
// the keys, the aggregates.
func (p *Plan) Inner() (*record.Schema, error) {
	l, err := p.read()
	if err != nil {
		return nil, err
	}
	return l.Inner, nil
}

// A Key is the key of one group. It is encoded and hashed once, to look the group up in any number
// of snapshots of the plan.
type Key struct{ encoded layout.EncodedKey }

// Encoded is the key for the engine. Its type is internal.
func (k Key) Encoded() layout.EncodedKey { return k.encoded }

// Shard is the shard that has the key, of all plans of this process with such a key.
func (k Key) Shard() int { return int(layout.ShardOf(k.encoded.Hash)) }

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
	if l.Window != nil {
		var at any
		if len(values) > 0 {
			at = values[0]
			values = values[1:]
		}
		t, ok := at.(time.Time)
		if !ok {
			return Key{}, fmt.Errorf("plan %s: the first value of the key is %T, expected the window's end, a "+
				"time.Time", p.name(), at)
		}
		end = t.UnixNano()
	}
	words, heap, err := l.Keys.EncodeValues(values...)
	if err != nil {
		return Key{}, fmt.Errorf("plan %s: %w", p.name(), err)
	}
	return Key{layout.EncodedKey{Hash: l.Keys.HashKey(words), Words: words, Heap: heap, Window: end}}, nil
}

func (p *Plan) name() string {
	if p.Name == "" && p.Source != nil {
		return p.Source.Name()
	}
	return p.Name
}

// Layout is the compiled plan, for the engine: where everything lies. Its type is internal. The
// error is the error of Validate.
func (p *Plan) Layout() (*layout.Layout, error) {
	p.once.Do(func() { p.compiled, p.err = compile(p) })
	return p.compiled, p.err
}

// read is the layout of what is read.
func (p *Plan) read() (*layout.Layout, error) {
	l, err := p.Layout()
	if err != nil {
		return nil, err
	}
	return l.Reading, nil
}
