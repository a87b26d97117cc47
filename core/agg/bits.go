package agg

import "github.com/velo-engine/velo/record"

// bitwise is the AND, OR or XOR of all values. The state has the value and the number of values.
type bitwise struct{ kind Kind }

func (bitwise) Type() record.Type { return record.Int64 }
func (bitwise) Words() int        { return 2 }

func (b bitwise) Init(state []uint64) {
	state[0], state[1] = 0, 0
	if b.kind == BitAnd {
		state[0] = ^uint64(0)
	}
}

func (b bitwise) Update(rows Rows, at uintptr, args Args) {
	for i, v := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		p := rows.words2(i, at)
		p[0] = b.of(p[0], v)
		p[1]++
	}
}

// of adds a value.
func (b bitwise) of(x, y uint64) uint64 {
	switch b.kind {
	case BitAnd:
		return x & y
	case BitOr:
		return x | y
	}
	return x ^ y
}

func (b bitwise) Merge(state, from []uint64, _, _ *Blocks) {
	state[0] = b.of(state[0], from[0])
	state[1] += from[1]
}

func (bitwise) Result(state []uint64, _ *Blocks) Value {
	if state[1] == 0 {
		return Value{Null: true}
	}
	return Value{Bits: state[0]}
}
