package agg

import (
	"math"

	"github.com/velo-engine/velo/record"
)

// chosen is the value of the record in which a second column is least or greatest: min_by, max_by,
// first and last. As in Trino and in DuckDB's arg_min_null, records whose second value is NULL do
// not count, and the value itself may be NULL. Among records that tie, the value decides: the least
// value for a least, the greatest for a greatest, and NULL only if there is no other. So the order
// of arrival does not matter.
//
// The state has what was chosen by, a rank (0 is a value, 1 is NULL, 2 is nothing yet), and the
// value. Floats are the integers that ordered returns. For a greatest, both values are
// complemented, which reverses their order. So the state is always the least of all triples,
// compared word by word.
type chosen struct {
	typ, by record.Type
	max     bool
}

const (
	rankValue = iota
	rankNull
	rankNone
)

func (c chosen) Type() record.Type { return c.typ }
func (chosen) Words() int          { return 3 }

func (chosen) Init(state []uint64) {
	state[0], state[1], state[2] = math.MaxInt64, rankNone, 0
}

func (c chosen) Update(rows Rows, at uintptr, args Args) {
	var flip uint64
	if c.max {
		flip = ^flip
	}
	floatBy, floatValue := c.by == record.Float64, c.typ == record.Float64
	by := args.By[:len(rows.Off)]
	nulls := args.Nulls != nil
	for i, v := range args.Words[:len(rows.Off)] {
		b, rank := by[i], uint64(rankValue)
		if nulls {
			if args.byNull(i) == 1 {
				continue
			}
			rank = args.null(i) // rankNull is 1
		}
		if floatBy {
			b = uint64(Ordered(b))
		}
		b ^= flip
		p := rows.words3(i, at)
		if int64(b) > int64(p[0]) {
			continue // most records end here once a group has some; their value is not looked at
		}
		if floatValue {
			v = uint64(Ordered(v))
		}
		least(p, b, rank, v^flip)
	}
}

// least puts a triple into a state if it is less.
func least(p *[3]uint64, by, rank, v uint64) {
	if by == p[0] && (rank > p[1] || rank == p[1] && int64(v) >= int64(p[2])) {
		return
	}
	if int64(by) <= int64(p[0]) {
		p[0], p[1], p[2] = by, rank, v
	}
}

func (chosen) Merge(state, from []uint64, _, _ *Blocks) {
	least((*[3]uint64)(state), from[0], from[1], from[2])
}

func (c chosen) Result(state []uint64, _ *Blocks) Value {
	if state[1] != rankValue {
		return Value{Null: true}
	}
	v := state[2]
	if c.max {
		v = ^v
	}
	if c.typ == record.Float64 {
		v = Unordered(int64(v))
	}
	return Value{Bits: v}
}
