package agg

import "math"

// floatVariance is the variance of floats: sums of the deviations from the group's first value and of their squares, each in
// twice the precision of a float64.
//
// State: the number of values, the first value k, the sum of x-k, its compensation, the sum of (x-k)^2, its compensation.
//
// Why that is enough: let m be the mean and M the sum of the squared deviations from it, which is wanted. k is one of the values, so
// (k-m)^2 <= M, and the sum that is kept, M + n(k-m)^2, is at most 1+n times M. Subtracting the second part therefore loses
// log2(1+n) bits, of about 104; the rounding errors of n additions cost as many again. That leaves 52 bits and more after 10^8
// values, wherever the values lie, and so much more than that below as not to show which value came first. Merging moves one of two parts to
// the other's k; both are values of the whole, so their distance is bounded by M in the same way.
// Welford's and Chan's updates keep the mean itself in 53 bits, divide once a record, and their merges round to 53 bits.
//
// An infinity or a NaN among the values makes the variance NaN, as in PostgreSQL; k is NaN then. Deviations beyond 2^511 have squares beyond
// the range of a float64: the variance is then +Inf where it is not NaN (PostgreSQL reports an error). Deviations below 2^-450 lose
// digits of their squares.
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
	// With the distance d of the two first values: x-k = (x-l) + d, and so for its square. A NaN among the two becomes the result's.
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
	// Both scaled by 2^-64, which is exact, so that they stay in range where the squares are.
	const down = 1.0 / (1 << 32)
	n, d := exactly(state[0]).scale(down), exactly(s.divisor(state[0])).scale(down)
	sum = sum.scale(down)
	m := n.scale(down).times(squares).plus(sum.times(sum).negative())
	return s.value(max(0, m.over(n.times(d))))
}
