package agg

import (
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// collected is a function of all values of a group at once: a percentile, the most frequent value,
// a list. Nothing is updated and merged: the values are kept as groups of their own (see the top of
// result/merge.go), and the reader puts the result into the state with SetCollected.
type collected struct {
	kind Kind
	typ  record.Type
}

// The second word of a collected state.
const (
	collectedNull = iota
	collectedValue
	collectedUnfit
)

// Collects says whether a function is of all values of a group at once.
func (k Kind) Collects() bool { return k >= PercentileCont && k <= ArrayAgg }

// bindCollected binds a function of all values of a group at once.
func bindCollected(k Kind, arg record.Type) (Func, error) {
	f := collected{k, arg}
	switch k {
	case PercentileCont:
		if arg != record.Int64 && arg != record.Float64 && !arg.IsDecimal() {
			return nil, bindError(k, arg, "bigint, double precision or decimal; percentile_disc takes any type")
		}
		f.typ = record.Float64
	case StringAgg, ArrayAgg:
		if arg != record.String {
			return nil, bindError(k, arg, "text")
		}
	}
	return f, nil
}

func (c collected) Type() record.Type { return c.typ }
func (collected) Words() int          { return 2 }

func (collected) Init(state []uint64) { state[0], state[1] = 0, collectedNull }

func (collected) Update(Rows, uintptr, Args) { panic("agg: a collected function is updated") }

func (collected) Merge([]uint64, []uint64, *Blocks, *Blocks) {
	panic("agg: a collected function is merged")
}

func (collected) Result(state []uint64, _ *Blocks) Value {
	return Value{Bits: state[0], Null: state[1] != collectedValue, Overflow: state[1] == collectedUnfit}
}

// SetCollected puts the result of a function that collects into its state. A text is its place in
// the memory of the reader.
func SetCollected(state []uint64, v Value) {
	state[0], state[1] = v.Bits, collectedValue
	switch {
	case v.Overflow:
		state[1] = collectedUnfit
	case v.Null:
		state[1] = collectedNull
	}
}

// addRows is how many values AddAll adds at a time.
const addRows = 64

// AddAll adds values to one state of a function that has no block.
func AddAll(f Func, state, values []uint64) {
	var off [addRows]uint64
	for len(values) > 0 {
		n := min(addRows, len(values))
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: off[:n]}, 0, Args{Words: values[:n]})
		values = values[n:]
	}
}

// AddTexts is AddAll for texts.
func AddTexts(f Func, state []uint64, values []string) {
	for _, v := range values {
		a := Args{Words: []uint64{groupkey.PlaceLong(0, uint64(len(v)))}, Text: []byte(v)}
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: []uint64{0}}, 0, a)
	}
}
