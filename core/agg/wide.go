package agg

import (
	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// wideSum is the sum or average of wide decimals, whose values are texts of 16 bytes. The state has
// the sum in 192 bits, two's complement, the lowest word first, and then the number of values if it
// is needed. No number of records that can be counted makes 192 bits wrap.
type wideSum struct{ sums }

func (s wideSum) Type() record.Type {
	if s.avg {
		return record.DecimalOf(record.MaxDigits, s.places())
	}
	return record.DecimalOf(record.MaxDigits, s.arg.Scale())
}

// places is how many digits an average has after the point.
func (s wideSum) places() int { return max(record.QuotientPlaces, s.arg.Scale()) }

func (s wideSum) Words() int {
	if s.counted() {
		return 4
	}
	return 3
}

func (s wideSum) Init(state []uint64) { clear(state[:s.Words()]) }

func (s wideSum) Update(rows Rows, at uintptr, args Args) {
	for i := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		text := args.text(i)
		if len(text) != int128.Size {
			continue // damaged: no reader makes such a value
		}
		v := int128.FromBytes(text)
		p := rows.words3(i, at)
		add192(p, v.Lo, v.Hi, uint64(int64(v.Hi)>>63))
		if s.counted() {
			rows.words4(i, at)[3]++
		}
	}
}

func (s wideSum) Merge(state, from []uint64, _, _ *Blocks) {
	add192((*[3]uint64)(state), from[0], from[1], from[2])
	if s.counted() {
		state[3] += from[3]
	}
}

// Result only says whether the sum or average is NULL; AppendText has the number.
func (s wideSum) Result(state []uint64, _ *Blocks) Value {
	if s.counted() && state[3] == 0 {
		return Value{Null: true}
	}
	fits := state[2] == uint64(int64(state[1])>>63) && int128.Int{Hi: state[1], Lo: state[0]}.Fits(record.MaxDigits)
	if s.avg {
		_, fits = s.average(state)
	}
	return Value{Null: !fits, Overflow: !fits}
}

// AppendText appends the bytes of a sum or average that is not NULL.
func (s wideSum) AppendText(to []byte, state []uint64, _ *Blocks) []byte {
	if s.avg {
		mean, _ := s.average(state)
		return mean.AppendBytes(to)
	}
	return int128.Int{Hi: state[1], Lo: state[0]}.AppendBytes(to)
}

// average is the sum divided by the number of values, which is not 0, rounded once. ok is false if
// it has more than 38 digits.
func (s wideSum) average(state []uint64) (mean int128.Int, ok bool) {
	return int128.Mean([3]uint64(state), state[3], s.places()-s.arg.Scale())
}

// widened is the sum of integers or decimals of one word as a wide decimal. Its state is an
// intSum's: 128 bits hold the sum of any number of records that can be counted.
type widened struct{ intSum }

func (s widened) Type() record.Type { return record.DecimalOf(record.MaxDigits, s.arg.Scale()) }

// Result only says whether the sum is NULL; AppendText has the number. A sum of more than 38 digits
// takes 10^19 records.
func (s widened) Result(state []uint64, _ *Blocks) Value {
	if s.counted() && state[2] == 0 {
		return Value{Null: true}
	}
	fits := int128.Int{Hi: state[1], Lo: state[0]}.Fits(record.MaxDigits)
	return Value{Null: !fits, Overflow: !fits}
}

// AppendText appends the bytes of a sum that is not NULL.
func (s widened) AppendText(to []byte, state []uint64, _ *Blocks) []byte {
	return int128.Int{Hi: state[1], Lo: state[0]}.AppendBytes(to)
}
