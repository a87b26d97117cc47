package agg

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// A Kind is an aggregate function by name.
type Kind uint8

// The aggregate functions.
const (
	Count Kind = 1 + iota // the number of rows, or of values that are not NULL
	Sum
	Min
	Max
	Avg
	VarPop // the variance of all values, divided by their number
	VarSamp
	StddevPop
	StddevSamp
	MinBy   // the value of one column in the row where a second one is least
	MaxBy   // the same where it is greatest
	First   // MinBy by another name, for a second column that is a time
	Last    // MaxBy, likewise
	BoolAnd // whether every value is true
	BoolOr  // whether any is

	ApproxCountDistinct // about the number of different values, exact up to some hundred
	ApproxPercentile    // about the value that a fraction of all values are not greater than
)

// names are those of SQL.
var names = [...]string{
	Count: "count", Sum: "sum", Min: "min", Max: "max", Avg: "avg",
	VarPop: "var_pop", VarSamp: "var_samp", StddevPop: "stddev_pop", StddevSamp: "stddev_samp",
	MinBy: "min_by", MaxBy: "max_by", First: "first", Last: "last", BoolAnd: "bool_and", BoolOr: "bool_or",
	ApproxCountDistinct: "approx_count_distinct", ApproxPercentile: "approx_percentile",
}

// String is the name in SQL.
func (k Kind) String() string {
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// State is the function whose state k reads: functions of the same arguments with the same State can share one state. Sum is not
// among them, since only the state of an average of the same argument serves it.
func (k Kind) State() Kind {
	switch k {
	case VarSamp, StddevPop, StddevSamp:
		return VarPop
	case First:
		return MinBy
	case Last:
		return MaxBy
	}
	return k
}

// A Value is a result: the bits of a float64, the int64 of every other fixed type, or the place of a text, see Blocks.Bytes.
type Value struct {
	Bits uint64
	Null bool

	// Overflow says that the value is NULL because it does not fit the type of the result.
	Overflow bool
}

// Rows are the places of the rows that a stripe of records belongs to: record i to the row Off[i] bytes behind Base. A
// row may come up many times.
//
// The memory behind Base is owned by a table, does not move while Rows is in use and has no Go pointers in it.
type Rows struct {
	Base unsafe.Pointer
	Off  []uint64

	// Blocks are those of the table, for the functions whose states have one.
	Blocks *Blocks
}

// Args are the values of a function's arguments for a stripe of records, a word each; see record.Column.Words. The word of a text is its place in Text, see
// record.PlaceLong.
type Args struct {
	Words []uint64
	Text  []byte
	By    []uint64 // of the second argument, for the functions that have one

	// Nulls has a word per record whose bit NullBit says that the value is NULL, and bit ByNullBit that the one of By is. Nil says
	// that none is.
	Nulls     []uint64
	NullBit   uint8
	ByNullBit uint8
}

// null is 1 where the value of record i is NULL.
func (a *Args) null(i int) uint64 { return a.Nulls[i] >> (a.NullBit & 63) & 1 }

// byNull is 1 where the second value of record i is NULL.
func (a *Args) byNull(i int) uint64 { return a.Nulls[i] >> (a.ByNullBit & 63) & 1 }

// MaxWords bounds the words of a state: 48 bytes, so that it fits one cache line together with a key.
const MaxWords = 6

// An Arg is the type of an argument, and whether it may be NULL.
type Arg struct {
	Type     record.Type
	Nullable bool
}

// A Func is an aggregate function bound to the types of its arguments. It keeps nothing, so it may be shared by any number of
// goroutines. at is where in a row its state begins, in bytes.
type Func interface {
	// Type is the type of the result.
	Type() record.Type
	// Words is the size of a state, at most MaxWords.
	Words() int
	// Init writes the state of no records.
	Init(state []uint64)
	// Update adds record i of the stripe to the state in row rows.Off[i]. count(*) has no argument and gets no Words.
	Update(rows Rows, at uintptr, args Args)
	// Merge adds the state from, whose blocks are in of, to state, whose are in blocks.
	Merge(state, from []uint64, blocks, of *Blocks)
	// Result is the value of a state.
	Result(state []uint64, blocks *Blocks) Value
}

// Sided are functions whose states have a block beside the row.
type Sided interface {
	Func
	// Blocks is where in a state the place of its block is; nil where it has none.
	Blocks(state []uint64) *uint64
	// Need bounds the bytes of blocks that adding records takes whose texts have so many bytes together.
	Need(rows, textBytes int) int
}

// Drop gives the block of a state back. The state is not to be used any more but by Init.
func Drop(f Func, state []uint64, blocks *Blocks) {
	if place := BlockOf(f, state); place != nil {
		blocks.give(*place)
	}
}

// Counter is which word of a state of f has the number of its argument's values that are not NULL; -1 where none has.
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

// Uncounted is f without a word for the number of its argument's values, for a plan that has it in another state. Its Result is that of a group which has values: the plan asks that state first. Functions
// that need the number are themselves.
func Uncounted(f Func) Func {
	if e, ok := f.(extreme); ok {
		e.counted = false
		return e
	}
	return f
}

// MergeRows adds partial states to rows: words has the words of the states, column-wise. It calls Merge for each, which is once per group
// and flush, not once per record.
// of has their blocks. from is scratch: a local would be allocated, because Merge might keep it for all the compiler knows.
func MergeRows(f Func, rows Rows, at uintptr, words [][]uint64, of *Blocks, from *[MaxWords]uint64) {
	n := f.Words()
	for i, off := range rows.Off {
		for w := range n {
			from[w] = words[w][i]
		}
		// In bounds: off is a row's place, which has n words at at.
		f.Merge(unsafe.Slice((*uint64)(unsafe.Add(rows.Base, uintptr(off)+at)), n), from[:n], rows.Blocks, of)
	}
}

// Bind is function k over arguments of these types: none for count(*), two for MinBy, MaxBy, First and Last (the value, then what it
// is chosen by), one for every other. The error says which types the function takes.
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
	case !byOrder && len(args) > 1:
		return nil, fmt.Errorf("agg: %v takes one column, it has no use for a second", k)
	}
	arg, nullable := args[0].Type, args[0].Nullable
	isFloat := arg == record.Float64
	isInt := arg == record.Int64 || arg.IsDecimal()
	switch {
	case k == Count && nullable:
		return countValues{}, nil
	case k == Count:
		return countRows{}, nil
	case k == Sum || k == Avg:
		if s := (sums{arg: arg, avg: k == Avg, nullable: nullable}); isFloat {
			return floatSum{s}, nil
		} else if isInt {
			return intSum{s}, nil
		}
		return nil, bindError(k, arg, "bigint, double precision or decimal")
	case (k == Min || k == Max) && arg == record.String:
		return extremeText{max: k == Max}, nil
	case k == Min || k == Max:
		if !ordinal(arg) {
			return nil, bindError(k, arg, "bigint, double precision, decimal, timestamp or text")
		}
		return extreme{typ: arg, max: k == Max, nullable: nullable, counted: nullable}, nil
	case state == VarPop:
		if v := (variance{arg: arg, sample: k == VarSamp || k == StddevSamp, root: k == StddevPop || k == StddevSamp}); isFloat {
			return floatVariance{v}, nil
		} else if isInt {
			return intVariance{v}, nil
		}
		return nil, bindError(k, arg, "bigint, double precision or decimal")
	case byOrder:
		if by := args[1].Type; !ordinal(by) {
			return nil, fmt.Errorf("agg: %v(%v) by %v is not defined, expected bigint, double precision, decimal or timestamp to choose by", k, arg, by)
		}
		if arg == record.String {
			return chosenText{by: args[1].Type, max: state == MaxBy}, nil
		}
		return chosen{typ: arg, by: args[1].Type, max: state == MaxBy}, nil
	case k == ApproxCountDistinct:
		return distinct{typ: arg}, nil
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

// ordinal says whether values of a type have an order and one word.
func ordinal(t record.Type) bool {
	return t == record.Int64 || t == record.Float64 || t == record.Timestamp || t.IsDecimal()
}

func bindError(k Kind, arg record.Type, want string) error {
	return fmt.Errorf("agg: %v(%v) is not defined, expected %s", k, arg, want)
}

// word is the word at bytes behind the row of record i. In bounds: the table gives out rows that are wide enough for
// every state of the plan, and at comes from the plan.
func (r *Rows) word(i int, at uintptr) *uint64 {
	return (*uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

// words2 is the 2 words there; words3, words4, words5 and words6 are 3, 4, 5 and 6.
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

// signed is word as a signed integer.
func (r *Rows) signed(i int, at uintptr) *int64 { return (*int64)(unsafe.Pointer(r.word(i, at))) }

// ordered maps the bits of a float64 to an int64 that is ordered as PostgreSQL orders floats: NaN last, -0 as 0.
func ordered(bits uint64) int64 {
	if bits<<1 == 0 {
		return 0
	}
	if bits&^(1<<63) > 0x7ff0000000000000 {
		return math.MaxInt64
	}
	// A negative float has the order of its bits reversed.
	return int64(bits ^ uint64(int64(bits)>>63)>>1)
}

// unordered is the float of an ordered int64.
func unordered(v int64) uint64 {
	if v == math.MaxInt64 {
		return math.Float64bits(math.NaN())
	}
	return uint64(v) ^ uint64(v>>63)>>1
}
