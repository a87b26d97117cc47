package agg

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/velo-engine/velo/record"
)

// variance is what the variances and standard deviations of one argument share: they read the same
// state in four ways. The first word of the state is the number of values.
type variance struct {
	arg    record.Type
	sample bool // divide by the number of values less one
	root   bool // return the standard deviation
}

func (variance) Type() record.Type          { return record.Float64 }
func (variance) Words() int                 { return 6 }
func (v variance) Init(state []uint64)      { clear(state[:v.Words()]) }
func (v variance) none(state []uint64) bool { return state[0] == 0 || v.sample && state[0] == 1 }

// divisor returns what the sum of squared deviations is divided by.
func (v variance) divisor(n uint64) uint64 {
	if v.sample {
		return n - 1
	}
	return n
}

// value returns the result for a variance. The root is taken of the rounded variance. That costs at
// most a quarter of a unit in the last place, and it makes the deviation the root of the variance
// as it is shown.
func (v variance) value(variance float64) Value {
	if v.root {
		variance = math.Sqrt(variance)
	}
	return Value{Bits: math.Float64bits(variance)}
}

// intVariance is the variance of integers or decimals. The state has the number of values, their
// sum in 128 bits, two's complement, and the sum of their squares in 192 bits. 2^63 values of 2^63
// have a sum of 2^126 and a sum of squares of 2^189, so neither overflows its words. The state is
// exact and the same for every order and every way to split the records, and raw sums of squares
// lose nothing.
type intVariance struct{ variance }

func (s intVariance) Update(rows Rows, at uintptr, args Args) {
	words := args.Words[:len(rows.Off)]
	if args.Nulls == nil {
		for i, v := range words {
			p := rows.words6(i, at)
			p[0]++
			add128((*[2]uint64)(p[1:]), v, uint64(int64(v)>>63))
			addSquare((*[3]uint64)(p[3:]), v)
		}
		return
	}
	for i, v := range words {
		p := rows.words6(i, at)
		some := 1 - args.null(i)
		v &= -some
		p[0] += some
		add128((*[2]uint64)(p[1:]), v, uint64(int64(v)>>63))
		addSquare((*[3]uint64)(p[3:]), v)
	}
}

// addSquare adds the square of v to 192 bits.
//
//gcassert:inline
func addSquare(p *[3]uint64, v uint64) {
	sign := uint64(int64(v) >> 63)
	// v becomes the magnitude. For the least integer it is 2^63, which is right as an unsigned
	// number.
	v = (v ^ sign) - sign
	hi, lo := bits.Mul64(v, v)
	add192(p, lo, hi, 0)
}

//gcassert:inline
func add192(p *[3]uint64, lo, mid, hi uint64) {
	var carry uint64
	p[0], carry = bits.Add64(p[0], lo, 0)
	p[1], carry = bits.Add64(p[1], mid, carry)
	p[2] += hi + carry
}

func (s intVariance) Merge(state, from []uint64, _, _ *Blocks) {
	p, q := (*[6]uint64)(state), (*[6]uint64)(from)
	p[0] += q[0]
	add128((*[2]uint64)(p[1:]), q[1], q[2])
	add192((*[3]uint64)(p[3:]), q[3], q[4], q[5])
}

// Result returns (n*squares - sum^2) / (n * divisor * 10^(2*scale)), rounded once.
func (s intVariance) Result(state []uint64, _ *Blocks) Value {
	if s.none(state) {
		return Value{Null: true}
	}
	n, scale := state[0], uint64(record.Pow10[s.arg.Scale()])
	if v, ok := s.small(state, scale); ok {
		return s.value(v)
	}
	sum := wide(state[2], state[1])
	if int64(state[2]) < 0 {
		sum.Sub(sum, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	num := wide(state[5], state[4], state[3])
	num.Mul(num, wide(n)).Sub(num, sum.Mul(sum, sum))
	den := wide(scale)
	den.Mul(den, den).Mul(den, wide(n)).Mul(den, wide(s.divisor(n)))
	v, _ := new(big.Rat).SetFrac(num, den).Float64()
	return s.value(v)
}

// small computes the same for numbers that a float64 represents exactly. It allocates no memory,
// and one division does the rounding.
func (s intVariance) small(state []uint64, scale uint64) (v float64, ok bool) {
	const exact = 1 << 53
	n, sum := state[0], int64(state[1])
	if state[2] != uint64(sum>>63) || sum <= -1<<31 || sum >= 1<<31 || state[4]|state[5] != 0 || n >= 1<<26 ||
		scale > 1e8 {
		return 0, false
	}
	hi, squares := bits.Mul64(n, state[3])
	num := squares - uint64(sum*sum) // not negative, by the Cauchy-Schwarz inequality
	over, den := bits.Mul64(n*s.divisor(n), scale*scale)
	if hi != 0 || over != 0 || num > exact || den > exact {
		return 0, false
	}
	return float64(num) / float64(den), true
}

// wide returns the integer that has these words, the highest first.
func wide(words ...uint64) *big.Int {
	x := new(big.Int)
	for _, w := range words {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(w))
	}
	return x
}
