package agg

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// A Kind is the name of an aggregate function.
type Kind uint8

// The aggregate functions.
const (
	Count Kind = 1 + iota // the number of rows, or of values that are not NULL
	Sum
	Min
	Max
	Avg
	VarPop // variance of all values: the sum of squared deviations divided by the number of values
	VarSamp
	StddevPop
	StddevSamp
	MinBy   // the value of one column in the row in which a second column is least
	MaxBy   // the value of one column in the row in which a second column is greatest
	First   // MinBy by another name, for a second column that is a time
	Last    // MaxBy by another name, for a second column that is a time
	BoolAnd // whether every value is true
	BoolOr  // whether any value is true

	ApproxCountDistinct // about the number of distinct values, exact up to some hundred
	ApproxPercentile    // about the least value that a given fraction of all values do not exceed

	BitAnd // of the bits of all values
	BitOr
	BitXor

	// The functions of two columns, y and x, which are floats. Records with a NULL do not count.
	Corr
	CovarPop
	CovarSamp
	RegrSlope
	RegrIntercept
	RegrR2
	RegrCount
	RegrAvgX
	RegrAvgY
	RegrSXX
	RegrSYY
	RegrSXY

	// The functions of all values of a group at once.
	PercentileCont // at a fraction, between two values
	PercentileDisc // the value at a fraction
	Mode           // the most frequent value, the first of several in the order
	StringAgg      // a list of texts with a separator
	ArrayAgg       // a list of texts as PostgreSQL writes an array

	// The states of sketches as texts, which are merged later.
	ApproxCountDistinctState      // of values
	ApproxCountDistinctMerge      // of states: the number
	ApproxCountDistinctMergeState // of states: a state
	ApproxPercentileState
	ApproxPercentileMerge
	ApproxPercentileMergeState

	ApproxTopK      // the most frequent values and about how many there are of each
	ReservoirSample // values of a random sample of the records

	SumWide // Sum as a decimal of 38 digits
)

// names are the names in SQL.
var names = [...]string{
	Count: "count", Sum: "sum", Min: "min", Max: "max", Avg: "avg",
	VarPop: "var_pop", VarSamp: "var_samp", StddevPop: "stddev_pop", StddevSamp: "stddev_samp",
	MinBy: "min_by", MaxBy: "max_by", First: "first", Last: "last", BoolAnd: "bool_and", BoolOr: "bool_or",
	ApproxCountDistinct: "approx_count_distinct", ApproxPercentile: "approx_percentile",
	BitAnd: "bit_and", BitOr: "bit_or", BitXor: "bit_xor", Corr: "corr", CovarPop: "covar_pop", CovarSamp: "covar_samp",
	RegrSlope: "regr_slope", RegrIntercept: "regr_intercept", RegrR2: "regr_r2", RegrCount: "regr_count",
	RegrAvgX: "regr_avgx", RegrAvgY: "regr_avgy", RegrSXX: "regr_sxx", RegrSYY: "regr_syy", RegrSXY: "regr_sxy",
	PercentileCont: "percentile_cont", PercentileDisc: "percentile_disc", Mode: "mode", StringAgg: "string_agg",
	ArrayAgg: "array_agg", ApproxCountDistinctState: "approx_count_distinct_state",
	ApproxCountDistinctMerge:      "approx_count_distinct_merge",
	ApproxCountDistinctMergeState: "approx_count_distinct_merge_state",
	ApproxPercentileState:         "approx_percentile_state", ApproxPercentileMerge: "approx_percentile_merge",
	ApproxPercentileMergeState: "approx_percentile_merge_state",
	ApproxTopK:                 "approx_top_k", ReservoirSample: "reservoir_sample", SumWide: "sum",
}

// String returns the name in SQL.
func (k Kind) String() string {
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// State returns the function whose state k reads. Functions of the same arguments with the same
// State can share one state. An average is not among the functions with the state of a sum, because
// only the state of an average of the same argument can also serve a sum.
func (k Kind) State() Kind {
	switch k {
	case SumWide:
		return Sum
	case VarSamp, StddevPop, StddevSamp:
		return VarPop
	case First:
		return MinBy
	case Last:
		return MaxBy
	case ApproxCountDistinctState:
		return ApproxCountDistinct
	case ApproxPercentileState:
		return ApproxPercentile
	case ApproxCountDistinctMergeState:
		return ApproxCountDistinctMerge
	case ApproxPercentileMergeState:
		return ApproxPercentileMerge
	}
	if k.OfPairs() {
		return Corr
	}
	return k
}

// OfPairs says whether a function is one of two columns of floats, y and x.
func (k Kind) OfPairs() bool { return k >= Corr && k <= RegrSXY }

// A Value is a result. It has the bits of a float64, the int64 of every other fixed type, or the
// place of a text (see Blocks.Bytes).
type Value struct {
	Bits uint64
	Null bool

	// Overflow says that the value is NULL because it does not fit the type of the result.
	Overflow bool
}

// Rows are the places of the rows that a stripe of records belongs to. The row of record i lies
// Off[i] bytes after Base. A row may come up many times.
//
// The memory at Base belongs to a table. It does not move while Rows is in use, and it has no Go
// pointers.
type Rows struct {
	Base unsafe.Pointer
	Off  []uint64

	// Blocks are the blocks of the table, for the functions whose states have one.
	Blocks *Blocks
}

// Args are the values of a function's arguments for a stripe of records, one word for each; see
// record.Column.Words. The word of a text is its place in Text; see groupkey.PlaceLong.
type Args struct {
	Words []uint64
	Text  []byte
	By    []uint64 // values of the second argument, for the functions that have one
	// ByText has the texts of By.
	ByText []byte

	// Nulls has a word for each record. Its bit NullBit says that the value is NULL, and its bit
	// ByNullBit says that the value in By is NULL. If Nulls is nil, no value is NULL.
	Nulls     []uint64
	NullBit   uint8
	ByNullBit uint8
}

// null returns 1 if the value of record i is NULL, and 0 otherwise.
func (a *Args) null(i int) uint64 { return a.Nulls[i] >> (a.NullBit & 63) & 1 }

// byNull returns 1 if the second value of record i is NULL, and 0 otherwise.
func (a *Args) byNull(i int) uint64 { return a.Nulls[i] >> (a.ByNullBit & 63) & 1 }

// MaxWords bounds the words of a state. The functions of this package have six at most, which is 48
// bytes, so that a state fits one cache line together with a key. Functions of users may have more.
const MaxWords = 32

// An Arg is the type of an argument, and whether it may be NULL.
type Arg struct {
	Type     record.Type
	Nullable bool
}

// A Func is an aggregate function bound to the types of its arguments. It keeps no data, so any
// number of goroutines may share it. In its methods, at is the offset in bytes of the function's
// state in a row.
type Func interface {
	// Type returns the type of the result.
	Type() record.Type
	// Words returns the size of a state, at most MaxWords.
	Words() int
	// Init writes the state of no records.
	Init(state []uint64)
	// Update adds record i of the stripe to the state in the row at rows.Off[i]. count(*) has no
	// argument and gets no Words.
	Update(rows Rows, at uintptr, args Args)
	// Merge adds the state from to state. The blocks of from are in of, the blocks of state in
	// blocks.
	Merge(state, from []uint64, blocks, of *Blocks)
	// Result returns the value of a state.
	Result(state []uint64, blocks *Blocks) Value
}

// Sided is a function whose states have a block beside the row.
type Sided interface {
	Func
	// Blocks returns the word of a state that has the place of its block, or nil if the state has
	// no block.
	Blocks(state []uint64) *uint64
	// Need returns an upper bound of the bytes of blocks that adding that many records takes, if
	// their texts have textBytes bytes together.
	Need(rows, textBytes int) int
}

// Drop gives the block of a state back. Afterwards only Init may be called on the state.
func Drop(f Func, state []uint64, blocks *Blocks) {
	if place := BlockOf(f, state); place != nil {
		blocks.give(*place)
	}
}

// Counter returns which word of a state of f has the number of the argument's values that are not
// NULL, or -1 if there is no such word.
func Counter(f Func) int {
	switch f := f.(type) {
	case countValues:
		return 0
	case intSum:
		if f.nullable {
			return 2
		}
	case floatSum:
		if f.nullable {
			return 2
		}
	case extreme:
		if f.counted {
			return 1
		}
	}
	return -1
}

// Uncounted returns f without the word that counts its argument's values, for a plan that keeps
// that count in another state. The plan must check that count before it calls Result: with a count
// of zero the result is meaningless. Functions that need the count themselves are returned
// unchanged.
func Uncounted(f Func) Func {
	if e, ok := f.(extreme); ok {
		e.counted = false
		return e
	}
	return f
}

// MergeRows adds partial states to rows. words has the words of the states, column by column, and
// of has their blocks. It calls Merge for each state, which is once for each group and flush and
// not once for each record. from is scratch. A local variable would be allocated, because the
// compiler cannot know that Merge does not keep it.
func MergeRows(f Func, rows Rows, at uintptr, words [][]uint64, of *Blocks, from *[MaxWords]uint64) {
	n := f.Words()
	for i, off := range rows.Off {
		for w := range n {
			from[w] = words[w][i]
		}
		// The slice is in bounds: off is the place of a row, which has n words at at.
		f.Merge(unsafe.Slice((*uint64)(unsafe.Add(rows.Base, uintptr(off)+at)), n), from[:n], rows.Blocks, of)
	}
}

// Bind returns function k over arguments of these types. count(*) has no argument. MinBy, MaxBy,
// First and Last have two: the value, and what it is chosen by. Every other function has one. The
// error says which types the function takes.
func Bind(k Kind, args ...Arg) (Func, error) {
	if int(k) >= len(names) || k == 0 {
		return nil, fmt.Errorf("agg: %v is not an aggregate function", k)
	}
	state := k.State()
	byOrder := state == MinBy || state == MaxBy
	switch {
	case k == Count && len(args) == 0:
		return countRows{}, nil
	case len(args) == 0:
		return nil, fmt.Errorf("agg: %v needs a column", k)
	case byOrder && len(args) == 1:
		return nil, fmt.Errorf("agg: %v needs a second column, to choose the value by", k)
	case k.OfPairs():
		return bindPairs(k, args)
	case !byOrder && len(args) > 1:
		return nil, fmt.Errorf("agg: %v takes one column, it has no use for a second", k)
	}
	return bindSingle(k, args)
}

// bindSingle binds a function of one column, which may have a second one to choose by.
func bindSingle(k Kind, args []Arg) (Func, error) {
	state := k.State()
	byOrder := state == MinBy || state == MaxBy
	arg, nullable := args[0].Type, args[0].Nullable
	isFloat := arg == record.Float64
	isInt := arg == record.Int64 || arg.IsDecimal()
	switch {
	case k == Count && nullable:
		return countValues{}, nil
	case k == Count:
		return countRows{}, nil
	case state == Sum || k == Avg:
		return bindSum(k, args[0])
	case (k == Min || k == Max) && arg.Kind() == record.String:
		return extremeText{typ: arg, max: k == Max}, nil
	case k == Min || k == Max:
		if !ordinal(arg) {
			return nil, bindError(k, arg, "a number, a time, interval, text, uuid or bytea")
		}
		return extreme{typ: arg, max: k == Max, nullable: nullable, counted: nullable}, nil
	case state == VarPop:
		if v := (variance{arg: arg, sample: k == VarSamp || k == StddevSamp, root: k == StddevPop ||
			k == StddevSamp}); isFloat {
			return floatVariance{v}, nil
		} else if isInt {
			return intVariance{v}, nil
		}
		return nil, bindError(k, arg, "bigint, double precision or decimal")
	case byOrder:
		if by := args[1].Type; !ordinal(by) {
			return nil, fmt.Errorf("agg: %v(%v) by %v is not defined, expected bigint, double precision, a decimal "+
				"of up to 18 digits or timestamp to choose by", k, arg, by)
		}
		if arg.Kind() == record.String {
			return chosenText{typ: arg, by: args[1].Type, max: state == MaxBy}, nil
		}
		return chosen{typ: arg, by: args[1].Type, max: state == MaxBy}, nil
	case k.Collects():
		return bindCollected(k, arg)
	case k >= ApproxCountDistinctState:
		return bindSketch(k, arg)
	case k == ApproxCountDistinct:
		return distinct{typ: arg}, nil
	case k == BitAnd || k == BitOr || k == BitXor:
		if arg != record.Int64 {
			return nil, bindError(k, arg, "bigint")
		}
		return bitwise{k}, nil
	case k == ApproxPercentile:
		if !isFloat && !isInt {
			return nil, bindError(k, arg, "bigint, double precision or decimal")
		}
		return percentile{typ: arg}, nil
	default: // BoolAnd, BoolOr
		if arg != record.Bool {
			return nil, bindError(k, arg, "boolean")
		}
		return truth{or: k == BoolOr, nullable: nullable}, nil
	}
}

// bindSum binds Sum, SumWide or Avg.
func bindSum(k Kind, arg Arg) (Func, error) {
	s := sums{arg: arg.Type, avg: k == Avg, nullable: arg.Nullable}
	isInt := arg.Type == record.Int64 || arg.Type.IsDecimal()
	switch {
	case arg.Type.IsWide():
		return wideSum{s}, nil
	case k == SumWide && isInt:
		return widened{intSum{s}}, nil
	case k == SumWide:
		return nil, bindError(k, arg.Type, "bigint or decimal")
	case arg.Type == record.Float64:
		return floatSum{s}, nil
	case isInt || arg.Type == record.Interval:
		return intSum{s}, nil
	}
	return nil, bindError(k, arg.Type, "bigint, double precision, decimal or interval")
}

// StateOf returns the function that keeps the states which f reads: f itself, or one that the
// plan's kernels know.
func StateOf(f Func) Func {
	if w, ok := f.(widened); ok {
		return w.intSum
	}
	return f
}

// ordinal says whether the values of a type are ordered and take one word.
func ordinal(t record.Type) bool {
	return t.Kind() == record.Int64 || t == record.Float64 || t == record.Timestamp || t.IsDecimal()
}

func bindError(k Kind, arg record.Type, want string) error {
	return fmt.Errorf("agg: %v(%v) is not defined, expected %s", k, arg, want)
}

// word returns the word of record i's row that lies at bytes after the beginning of the row. The
// access is in bounds: the table gives out rows that are wide enough for every state of the plan,
// and at comes from the plan.
func (r *Rows) word(i int, at uintptr) *uint64 {
	return (*uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

// words2 returns the 2 words from that place on. words3, words4, words5 and words6 return 3, 4, 5
// and 6 words.
func (r *Rows) words2(i int, at uintptr) *[2]uint64 {
	return (*[2]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

func (r *Rows) words3(i int, at uintptr) *[3]uint64 {
	return (*[3]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

func (r *Rows) words4(i int, at uintptr) *[4]uint64 {
	return (*[4]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

func (r *Rows) words5(i int, at uintptr) *[5]uint64 {
	return (*[5]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

func (r *Rows) words6(i int, at uintptr) *[6]uint64 {
	return (*[6]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

// signed returns word as a signed integer.
func (r *Rows) signed(i int, at uintptr) *int64 { return (*int64)(unsafe.Pointer(r.word(i, at))) }

// Ordered maps the bits of a float64 to an int64 that is ordered as PostgreSQL orders floats: NaN
// is last, and -0 is 0.
func Ordered(bits uint64) int64 {
	if bits<<1 == 0 {
		return 0
	}
	if bits&^(1<<63) > 0x7ff0000000000000 {
		return math.MaxInt64
	}
	// The bits of negative floats have the reverse order.
	return int64(bits ^ uint64(int64(bits)>>63)>>1)
}

// Unordered returns the float of an ordered int64.
func Unordered(v int64) uint64 {
	if v == math.MaxInt64 {
		return math.Float64bits(math.NaN())
	}
	return uint64(v) ^ uint64(v>>63)>>1
}
