package agg

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/velo-engine/velo/record"
)

// sums is what the sum and the average of one argument share. Both read the same state, so a plan
// with both keeps only one.
type sums struct {
	arg      record.Type
	avg      bool
	nullable bool
}

// counted says whether the state counts values. The average divides by the count, and the sum of no
// values is NULL.
func (s sums) counted() bool { return s.avg || s.nullable }

// intSum is the sum or average of integers or decimals. The state has the low and the high half of
// the sum in 128 bits, two's complement, and then the number of values if it is needed.
type intSum struct{ sums }

func (s intSum) Type() record.Type {
	switch {
	case s.arg == record.Interval:
		return s.arg
	case s.avg:
		return record.Float64
	case s.arg.IsDecimal():
		return record.DecimalOf(record.MaxPrecision, s.arg.Scale())
	}
	return record.Int64
}

func (s intSum) Words() int {
	if s.counted() {
		return 3
	}
	return 2
}

func (s intSum) Init(state []uint64) { clear(state[:s.Words()]) }

func (s intSum) Update(rows Rows, at uintptr, args Args) {
	words := args.Words[:len(rows.Off)]
	if !s.counted() {
		for i, v := range words {
			p := rows.words2(i, at)
			add128(p, v, uint64(int64(v)>>63))
		}
		return
	}
	if args.Nulls == nil {
		for i, v := range words {
			p := rows.words3(i, at)
			add128((*[2]uint64)(p[:]), v, uint64(int64(v)>>63))
			p[2]++
		}
		return
	}
	for i, v := range words {
		p := rows.words3(i, at)
		some := 1 - args.null(i)
		v &= -some
		add128((*[2]uint64)(p[:]), v, uint64(int64(v)>>63))
		p[2] += some
	}
}

//gcassert:inline
func add128(p *[2]uint64, lo, hi uint64) {
	var carry uint64
	p[0], carry = bits.Add64(p[0], lo, 0)
	p[1] += hi + carry
}

func (s intSum) Merge(state, from []uint64, _, _ *Blocks) {
	add128((*[2]uint64)(state), from[0], from[1])
	if s.counted() {
		state[2] += from[2]
	}
}

func (s intSum) Result(state []uint64, _ *Blocks) Value {
	if s.counted() && state[2] == 0 {
		return Value{Null: true}
	}
	lo, hi := state[0], state[1]
	if !s.avg {
		if hi != uint64(int64(lo)>>63) {
			return Value{Null: true, Overflow: true}
		}
		const most = 999_999_999_999_999_999 // the largest number of record.MaxPrecision digits
		if s.arg.IsDecimal() && (int64(lo) > most || int64(lo) < -most) {
			return Value{Null: true, Overflow: true}
		}
		return Value{Bits: lo}
	}
	if s.arg == record.Interval {
		return Value{Bits: uint64(averageInterval(lo, hi, state[2]))}
	}
	return Value{Bits: math.Float64bits(s.average(lo, hi, state[2]))}
}

// averageInterval is sum/n in whole microseconds, as PostgreSQL has it: the half is rounded to the
// even one. It fits, because no interval of the sum is longer than what fits.
func averageInterval(lo, hi, n uint64) int64 {
	sum := new(big.Int).SetInt64(int64(hi))
	sum.Lsh(sum, 64).Add(sum, new(big.Int).SetUint64(lo))
	micro := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(1000))
	rest := new(big.Int)
	whole, _ := new(big.Int).DivMod(sum, micro, rest) // the rest is not negative
	switch c := rest.Lsh(rest, 1).Cmp(micro); {
	case c > 0, c == 0 && whole.Bit(0) == 1:
		whole.Add(whole, big.NewInt(1))
	}
	limit := big.NewInt(math.MaxInt64 / 1000)
	if whole.CmpAbs(limit) > 0 { // rounding has left the range
		if whole.Sign() < 0 {
			limit.Neg(limit)
		}
		whole = limit
	}
	return whole.Int64() * 1000
}

// average returns the float64 nearest to sum / (n * 10^scale), rounded once.
func (s intSum) average(lo, hi, n uint64) float64 {
	const exact = 1 << 53
	sum := int64(lo)
	if scale := uint64(record.Pow10[s.arg.Scale()]); hi == uint64(sum>>63) && sum > -exact && sum < exact &&
		n < exact/scale {
		return float64(sum) / float64(n*scale)
	}
	num := new(big.Int).SetInt64(int64(hi))
	num.Lsh(num, 64).Add(num, new(big.Int).SetUint64(lo))
	den := new(big.Int).SetUint64(n)
	den.Mul(den, big.NewInt(record.Pow10[s.arg.Scale()]))
	f, _ := new(big.Rat).SetFrac(num, den).Float64()
	return f
}

// floatSum is the sum or average of floats. The state has the sum, its compensation (Neumaier's,
// which is what rounding took away), and then the number of values if it is needed.
type floatSum struct{ sums }

func (s floatSum) Type() record.Type { return record.Float64 }

func (s floatSum) Words() int {
	if s.counted() {
		return 3
	}
	return 2
}

func (s floatSum) Init(state []uint64) { clear(state[:s.Words()]) }

func (s floatSum) Update(rows Rows, at uintptr, args Args) {
	words := args.Words[:len(rows.Off)]
	if !s.counted() {
		for i, v := range words {
			addFloat(rows.words2(i, at), math.Float64frombits(v))
		}
		return
	}
	for i, v := range words {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		p := rows.words3(i, at)
		addFloat((*[2]uint64)(p[:]), math.Float64frombits(v))
		p[2]++
	}
}

// addFloat adds x to a sum and keeps what rounding takes away. It replaces the branch of Neumaier's
// first form by Knuth's TwoSum, which needs no branch.
func addFloat(p *[2]uint64, x float64) {
	sum := math.Float64frombits(p[0])
	t := sum + x
	z := t - sum
	lost := (sum - (t - z)) + (x - z)
	p[0] = math.Float64bits(t)
	p[1] = math.Float64bits(math.Float64frombits(p[1]) + lost)
}

func (s floatSum) Merge(state, from []uint64, _, _ *Blocks) {
	p := (*[2]uint64)(state)
	addFloat(p, math.Float64frombits(from[0]))
	p[1] = math.Float64bits(math.Float64frombits(p[1]) + math.Float64frombits(from[1]))
	if s.counted() {
		state[2] += from[2]
	}
}

func (s floatSum) Result(state []uint64, _ *Blocks) Value {
	if s.counted() && state[2] == 0 {
		return Value{Null: true}
	}
	sum := math.Float64frombits(state[0])
	// If the sum is an infinity or a NaN, the compensation has no meaning.
	if !math.IsInf(sum, 0) && sum == sum {
		sum += math.Float64frombits(state[1])
	}
	if s.avg {
		sum /= float64(state[2])
	}
	return Value{Bits: math.Float64bits(sum)}
}
