package agg

import "math"

// A double is a number of about 106 bits: the nearest float64, and the difference to it (Dekker
// 1971). The operations are taken from the QD library by Hida, Li and Bailey.
type double struct{ high, low float64 }

// twoSum returns a+b as the nearest float64 and the difference to it (Knuth).
//
//gcassert:inline
func twoSum(a, b float64) (sum, lost float64) {
	sum = a + b
	z := sum - a
	return sum, (a - (sum - z)) + (b - z)
}

// twoProduct returns a*b as the nearest float64 and the difference to it.
//
//gcassert:inline
func twoProduct(a, b float64) (product, lost float64) {
	// The conversion keeps the compiler from fusing the product into a later sum on processors that
	// could do that.
	product = float64(a * b)
	return product, math.FMA(a, b, -product)
}

// add2 adds x+low to a sum and its compensation. The compensation is added to the sum only at the
// end: it is about as small as n roundings.
//
//gcassert:inline
func add2(p *[2]uint64, x, low float64) {
	sum, lost := twoSum(math.Float64frombits(p[0]), x)
	p[0] = math.Float64bits(sum)
	p[1] = math.Float64bits(math.Float64frombits(p[1]) + (lost + low))
}

// doubleAt returns the double of a sum and its compensation.
func doubleAt(p []uint64) double {
	return normal(math.Float64frombits(p[0]), math.Float64frombits(p[1]))
}

// normal returns the sum of two numbers.
func normal(a, b float64) double {
	high, low := twoSum(a, b)
	return double{high, low}
}

// exactly returns n, which must be at most 2^63.
func exactly(n uint64) double {
	high := float64(n)
	return double{high, float64(int64(n - uint64(high)))}
}

func (a double) negative() double { return double{-a.high, -a.low} }

// scale multiplies by a power of two.
func (a double) scale(by float64) double { return double{a.high * by, a.low * by} }

func (a double) plus(b double) double {
	high, lost := twoSum(a.high, b.high)
	low, lost2 := twoSum(a.low, b.low)
	c := normal(high, lost+low)
	return normal(c.high, c.low+lost2)
}

func (a double) times(b double) double {
	high, lost := twoProduct(a.high, b.high)
	return normal(high, lost+(a.high*b.low+a.low*b.high))
}

// over returns a/b as one float64. If a and b are float64s it rounds only once.
func (a double) over(b double) float64 {
	q := a.high / b.high
	rest := a.plus(b.times(double{q, 0}).negative())
	return q + rest.high/b.high
}
