package agg

import "github.com/velo-engine/velo/record"

// truth says whether every value is true, or whether any is. The state has 0 or 1, and then the
// number of values if the argument may be NULL.
type truth struct {
	or       bool
	nullable bool
}

func (truth) Type() record.Type { return record.Bool }

func (t truth) Words() int {
	if t.nullable {
		return 2
	}
	return 1
}

func (t truth) Init(state []uint64) {
	clear(state[:t.Words()])
	if !t.or {
		state[0] = 1
	}
}

func (t truth) Update(rows Rows, at uintptr, args Args) {
	words := args.Words[:len(rows.Off)]
	switch {
	case t.nullable && args.Nulls != nil:
		t.updateNullable(rows, at, args)
		return
	case t.or:
		for i, v := range words {
			*rows.word(i, at) |= v
		}
	default:
		for i, v := range words {
			*rows.word(i, at) &= v
		}
	}
	if t.nullable {
		countRows{}.Update(rows, at+8, args)
	}
}

func (t truth) updateNullable(rows Rows, at uintptr, args Args) {
	for i, v := range args.Words[:len(rows.Off)] {
		p := rows.words2(i, at)
		// A NULL leaves the state as it is, whatever its word is.
		null := args.null(i)
		if t.or {
			p[0] |= v &^ null
		} else {
			p[0] &= v | null
		}
		p[1] += 1 - null
	}
}

func (t truth) Merge(state, from []uint64, _, _ *Blocks) {
	if t.or {
		state[0] |= from[0]
	} else {
		state[0] &= from[0]
	}
	if t.nullable {
		state[1] += from[1]
	}
}

func (t truth) Result(state []uint64, _ *Blocks) Value {
	if t.nullable && state[1] == 0 {
		return Value{Null: true}
	}
	return Value{Bits: state[0]}
}
