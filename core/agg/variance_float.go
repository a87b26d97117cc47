package agg

import "math"

// floatVariance is the variance of floats. It keeps the sums of the deviations from the group's
// first value and of their squares, each in twice the precision of a float64.
//
// The state has the number of values, the first value k, the sum of x-k, its compensation, the sum
// of (x-k)^2 and its compensation.
//
// Why that is enough: let m be the mean, and let M be the sum of the squared deviations from m,
// which is wanted. k is one of the values, so (k-m)^2 <= M, and the sum that is kept, M + n(k-m)^2,
// is at most 1+n times M. Subtracting its second part therefore loses log2(1+n) bits of about 104.
// The rounding errors of n additions cost as many bits again. After 10^8 values that leaves 52 bits
// or more, wherever the values lie, and with fewer values so many more that the result does not
// show which value came first. Merging moves one of two parts to the k of the other. Both are
// values of the whole, so M bounds their distance in the same way. The updates of Welford and of
// Chan keep the mean itself in 53 bits, divide once for each record, and round to 53 bits when they
// merge.
//
// An infinity or a NaN among the values makes the variance NaN, as in PostgreSQL; k is NaN then.
// Deviations beyond 2^511 have squares outside the range of a float64. Then the variance is +Inf
// unless it is NaN (PostgreSQL reports an error). Deviations below 2^-450 lose digits of their
// squares.
type floatVariance struct{ variance }

func (s floatVariance) Update(rows Rows, at uintptr, args Args) {
	for i, v := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		p := rows.words6(i, at)
		x := math.Float64frombits(v)
		if p[0] == 0 {
			p[1] = v
		}
		if x-x != 0 {
			p[1] = math.Float64bits(math.NaN())
		}
		p[0]++
		d, dlow := twoSum(x, -math.Float64frombits(p[1]))
		add2((*[2]uint64)(p[2:]), d, dlow)
		square, low := twoProduct(d, d)
		add2((*[2]uint64)(p[4:]), square, low+2*d*dlow)
	}
}

func (s floatVariance) Merge(state, from []uint64, _, _ *Blocks) {
	p, q := (*[6]uint64)(state), (*[6]uint64)(from)
	if p[0] == 0 {
		*p = *q
		return
	}
	// d is the distance of the two first values, so x-k = (x-l) + d, and the squares follow from
	// that. If one of the two is NaN, k of the result becomes NaN.
	k, l := math.Float64frombits(p[1]), math.Float64frombits(q[1])
	if l != l {
		p[1] = q[1]
	}
	high, low := twoSum(l, -k)
	d := double{high, low}
	s1, s2 := doubleAt(q[2:]), doubleAt(q[4:])
	nd := exactly(q[0]).times(d)
	add2((*[2]uint64)(p[4:]), s2.high, s2.low)
	cross := s1.plus(s1).plus(nd).times(d) // d * (2*sum + n*d)
	add2((*[2]uint64)(p[4:]), cross.high, cross.low)
	add2((*[2]uint64)(p[2:]), s1.high, s1.low)
	add2((*[2]uint64)(p[2:]), nd.high, nd.low)
	p[0] += q[0]
}

// Result is (n*squares - sum^2) / (n * divisor).
func (s floatVariance) Result(state []uint64, _ *Blocks) Value {
	if s.none(state) {
		return Value{Null: true}
	}
	if k := math.Float64frombits(state[1]); k != k {
		return s.value(k)
	}
	sum, squares := doubleAt(state[2:]), doubleAt(state[4:])
	if squares.high-squares.high != 0 {
		return s.value(math.Inf(1))
	}
	// The numerator and the denominator are both scaled by 2^-64, which is exact, so that they stay
	// in range as long as the squares do.
	const down = 1.0 / (1 << 32)
	n, d := exactly(state[0]).scale(down), exactly(s.divisor(state[0])).scale(down)
	sum = sum.scale(down)
	m := n.scale(down).times(squares).plus(sum.times(sum).negative())
	return s.value(max(0, m.over(n.times(d))))
}
