package agg

import "github.com/velo-engine/velo/record"

// countRows is count(*), and count over a column that is never NULL. The state has the number.
type countRows struct{}

func (countRows) Type() record.Type                        { return record.Int64 }
func (countRows) Words() int                               { return 1 }
func (countRows) Init(state []uint64)                      { state[0] = 0 }
func (countRows) Merge(state, from []uint64, _, _ *Blocks) { state[0] += from[0] }
func (countRows) Result(state []uint64, _ *Blocks) Value   { return Value{Bits: state[0]} }

func (countRows) Update(rows Rows, at uintptr, _ Args) {
	for i := range rows.Off {
		*rows.word(i, at)++
	}
}

// countValues is count over a column that may be NULL. The state has the number.
type countValues struct{ countRows }

func (countValues) Update(rows Rows, at uintptr, args Args) {
	if args.Nulls == nil {
		countRows{}.Update(rows, at, args)
		return
	}
	for i := range rows.Off {
		*rows.word(i, at) += 1 - args.null(i)
	}
}
