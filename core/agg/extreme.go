package agg

import (
	"math"

	"github.com/velo-engine/velo/record"
)

// extreme is the least or the greatest value. The state has the value (a float as the integer that
// ordered returns). If the argument may be NULL it also has the number of values, unless the plan
// counts them elsewhere (Uncounted).
type extreme struct {
	typ      record.Type
	max      bool
	nullable bool
	counted  bool
}

func (e extreme) Type() record.Type { return e.typ }

func (e extreme) Words() int {
	if e.counted {
		return 2
	}
	return 1
}

func (e extreme) Init(state []uint64) {
	clear(state[:e.Words()])
	state[0] = e.none()
}

// none returns the value that any other value replaces.
func (e extreme) none() uint64 {
	if e.max {
		return 1 << 63 // the least int64
	}
	return math.MaxInt64
}

func (e extreme) Update(rows Rows, at uintptr, args Args) {
	switch {
	case e.nullable && args.Nulls != nil:
		e.updateNullable(rows, at, args)
		return
	case e.typ == record.Float64 && e.max:
		for i, w := range args.Words[:len(rows.Off)] {
			p := rows.signed(i, at)
			*p = max(*p, Ordered(w))
		}
	case e.typ == record.Float64:
		for i, w := range args.Words[:len(rows.Off)] {
			p := rows.signed(i, at)
			*p = min(*p, Ordered(w))
		}
	case e.max:
		for i, w := range args.Words[:len(rows.Off)] {
			p := rows.signed(i, at)
			*p = max(*p, int64(w))
		}
	default:
		for i, w := range args.Words[:len(rows.Off)] {
			p := rows.signed(i, at)
			*p = min(*p, int64(w))
		}
	}
	if e.counted {
		countRows{}.Update(rows, at+8, args)
	}
}

func (e extreme) updateNullable(rows Rows, at uintptr, args Args) {
	for i, w := range args.Words[:len(rows.Off)] {
		if args.null(i) == 1 {
			continue
		}
		v := int64(w)
		if e.typ == record.Float64 {
			v = Ordered(w)
		}
		p := rows.word(i, at)
		*p = e.better(*p, uint64(v))
		if e.counted {
			*rows.word(i, at+8)++
		}
	}
}

func (e extreme) better(a, b uint64) uint64 {
	if e.max {
		return uint64(max(int64(a), int64(b)))
	}
	return uint64(min(int64(a), int64(b)))
}

func (e extreme) Merge(state, from []uint64, _, _ *Blocks) {
	state[0] = e.better(state[0], from[0])
	if e.counted {
		state[1] += from[1]
	}
}

func (e extreme) Result(state []uint64, _ *Blocks) Value {
	if e.counted && state[1] == 0 {
		return Value{Null: true}
	}
	if e.typ == record.Float64 {
		return Value{Bits: Unordered(int64(state[0]))}
	}
	return Value{Bits: state[0]}
}
