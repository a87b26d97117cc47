package query

import (
	"math"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/plan"
)

// moments are the count, the mean, and the sums of the second to the fourth power of the deviations
// from it. They are merged by the formulas of Pébay (Formulas for robust, one-pass parallel
// computation of covariances and arbitrary-order statistical moments, 2008), which lose no digits
// if the mean is far from 0.
type moments struct{ N, Mean, M2, M3, M4 float64 }

func (m *moments) merge(o *moments) {
	if o.N == 0 {
		return
	}
	if m.N == 0 {
		*m = *o
		return
	}
	n := m.N + o.N
	d := o.Mean - m.Mean
	q := d / n
	ab := m.N * o.N
	m4 := m.M4 + o.M4 + d*q*q*q*ab*(m.N*m.N-ab+o.N*o.N) + 6*q*q*(m.N*m.N*o.M2+o.N*o.N*m.M2) + 4*q*(m.N*o.M3-o.N*m.M3)
	m3 := m.M3 + o.M3 + d*q*q*ab*(m.N-o.N) + 3*q*(m.N*o.M2-o.N*m.M2)
	m.M2 += o.M2 + d*q*ab
	m.Mean += q * o.N
	m.N, m.M3, m.M4 = n, m3, m4
}

func (m *moments) add(v float64) { m.merge(&moments{N: 1, Mean: v}) }

// skewness is DuckDB's: of a sample, NULL for less than three values.
func (m moments) skewness() (float64, bool) {
	if m.N <= 2 {
		return 0, false
	}
	if m.M2 == 0 {
		return math.NaN(), true
	}
	return math.Sqrt(m.N*(m.N-1)) / (m.N - 2) * math.Sqrt(m.N) * m.M3 / math.Pow(m.M2, 1.5), true
}

// kurtosis is the excess kurtosis of a sample, NULL for less than four values.
func (m moments) kurtosis() (float64, bool) {
	if m.N <= 3 || m.M2 == 0 {
		return 0, false
	}
	n := m.N
	return (n - 1) / ((n - 2) * (n - 3)) * ((n+1)*(n*m.M4/(m.M2*m.M2)) - 3*(n-1)), true
}

// kurtosisPop is the excess kurtosis of a population, NULL for less than two values.
func (m moments) kurtosisPop() (float64, bool) {
	if m.N <= 1 || m.M2 == 0 {
		return 0, false
	}
	return m.N*m.M4/(m.M2*m.M2) - 3, true
}

// product is a product of numbers.
type product struct {
	V    float64
	Some bool
}

// momentsOf is a function of moments.
func momentsOf(name string, result func(moments) (float64, bool)) aggregate.Spec[moments, float64, float64] {
	return aggregate.Spec[moments, float64, float64]{
		Name: name, Add: (*moments).add, Merge: (*moments).merge, Result: result,
	}
}

func (p *product) merge(o *product) {
	switch {
	case !o.Some:
	case !p.Some:
		*p = *o
	default:
		p.V *= o.V
	}
}

var productOf = aggregate.Spec[product, float64, float64]{
	Name:   "product",
	Add:    func(p *product, v float64) { p.merge(&product{v, true}) },
	Merge:  (*product).merge,
	Result: func(p product) (float64, bool) { return p.V, p.Some },
}

// inGo are the aggregates that are written in Go, with package aggregate.
var inGo = map[string]*plan.UserAggregate{
	"skewness":     aggregate.Must(momentsOf("skewness", moments.skewness)),
	"kurtosis":     aggregate.Must(momentsOf("kurtosis", moments.kurtosis)),
	"kurtosis_pop": aggregate.Must(momentsOf("kurtosis_pop", moments.kurtosisPop)),
	"product":      aggregate.Must(productOf),
}
