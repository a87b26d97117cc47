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
)

// String is the name in SQL.
func (k Kind) String() string {
	switch k {
	case Count:
		return "count"
	case Sum:
		return "sum"
	case Min:
		return "min"
	case Max:
		return "max"
	case Avg:
		return "avg"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// A Value is a result: the bits of a float64, or the int64 of every other fixed type.
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
}

// Args are the values of one column for a stripe of records, a word each; see record.Column.Words.
type Args struct {
	Words []uint64

	// Nulls has a word per record whose bit NullBit says that the value is NULL. Nil says that none is.
	Nulls   []uint64
	NullBit uint8
}

// null is 1 where the value of record i is NULL.
func (a *Args) null(i int) uint64 { return a.Nulls[i] >> (a.NullBit & 63) & 1 }

// MaxWords bounds the words of a state.
const MaxWords = 4

// A Func is an aggregate function bound to the type of its argument. It keeps nothing, so it may be shared by any number of
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
	// Merge adds the state from to state.
	Merge(state, from []uint64)
	// Result is the value of a state.
	Result(state []uint64) Value
}

// MergeRows adds partial states to rows: words has the words of the states, column-wise. It calls Merge for each, which is once per group
// and flush, not once per record.
// from is scratch: a local would be allocated, because Merge might keep it for all the compiler knows.
func MergeRows(f Func, rows Rows, at uintptr, words [][]uint64, from *[MaxWords]uint64) {
	n := f.Words()
	for i, off := range rows.Off {
		for w := range n {
			from[w] = words[w][i]
		}
		// In bounds: off is a row's place, which has n words at at.
		f.Merge(unsafe.Slice((*uint64)(unsafe.Add(rows.Base, uintptr(off)+at)), n), from[:n])
	}
}

// Bind is function k over an argument of type arg, which may hold NULL if nullable says so. count(*) is Count with
// hasArg false. The error says which types the function takes.
func Bind(k Kind, hasArg bool, arg record.Type, nullable bool) (Func, error) {
	isFloat := arg == record.Float64
	isInt := arg == record.Int64 || arg.IsDecimal()
	switch k {
	case Count:
		if hasArg && nullable {
			return countValues{}, nil
		}
		return countRows{}, nil
	case Sum, Avg:
		if !hasArg || !isInt && !isFloat {
			return nil, bindError(k, hasArg, arg, "bigint, double precision or decimal")
		}
		s := sums{arg: arg, avg: k == Avg, nullable: nullable}
		if isFloat {
			return floatSum{s}, nil
		}
		return intSum{s}, nil
	case Min, Max:
		if !hasArg || !isInt && !isFloat && arg != record.Timestamp {
			return nil, bindError(k, hasArg, arg, "bigint, double precision, decimal or timestamp")
		}
		return extreme{typ: arg, max: k == Max, nullable: nullable}, nil
	}
	return nil, fmt.Errorf("agg: %v is not an aggregate function", k)
}

func bindError(k Kind, hasArg bool, arg record.Type, want string) error {
	if !hasArg {
		return fmt.Errorf("agg: %v needs a column, of type %s", k, want)
	}
	return fmt.Errorf("agg: %v(%v) is not defined, expected %s", k, arg, want)
}

// word is the word at bytes behind the row of record i. In bounds: the table gives out rows that are wide enough for
// every state of the plan, and at comes from the plan.
func (r *Rows) word(i int, at uintptr) *uint64 {
	return (*uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

// words2 and words3 are the 2 and 3 words there.
func (r *Rows) words2(i int, at uintptr) *[2]uint64 {
	return (*[2]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
}

func (r *Rows) words3(i int, at uintptr) *[3]uint64 {
	return (*[3]uint64)(unsafe.Add(r.Base, uintptr(r.Off[i])+at))
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
