package agg

import (
	"fmt"
	"math"

	"github.com/velo-engine/velo/record"
)

// pairs are the functions of two columns y and x: correlation, covariance and the line that fits
// best. Records in which one of the two is NULL do not count. All read the same state.
//
// The state has the number n of pairs, the sum of x, Sxx (the sum of (x-mean)²), the sum of y, Syy
// and Sxy, all as floats. They are updated and merged by the formulas of Youngs and Cramer, as in
// PostgreSQL (float8_regr_accum). The results of different orders agree to about 13 digits.
type pairs struct{ kind Kind }

// bindPairs binds a function of two columns.
func bindPairs(k Kind, args []Arg) (Func, error) {
	if len(args) == 1 {
		return nil, fmt.Errorf("agg: %v needs a second column: %v(y, x)", k, k)
	}
	if args[0].Type != record.Float64 || args[1].Type != record.Float64 {
		return nil, fmt.Errorf("agg: %v(%v, %v) is not defined, expected double precision", k, args[0].Type,
			args[1].Type)
	}
	return pairs{k}, nil
}

func (p pairs) Type() record.Type {
	if p.kind == RegrCount {
		return record.Int64
	}
	return record.Float64
}

func (pairs) Words() int          { return 6 }
func (pairs) Init(state []uint64) { clear(state[:6]) }

func (pairs) Update(rows Rows, at uintptr, args Args) {
	by := args.By[:len(rows.Off)]
	for i, v := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i)|args.byNull(i) == 1 {
			continue
		}
		addPair(rows.words6(i, at), math.Float64frombits(v), math.Float64frombits(by[i]))
	}
}

// addPair adds one pair to a state.
func addPair(p *[6]uint64, y, x float64) {
	f := func(i int) float64 { return math.Float64frombits(p[i]) }
	n, sx, sy := f(0)+1, f(1)+x, f(3)+y
	sxx, syy, sxy := f(2), f(4), f(5)
	if n > 1 {
		dx, dy, scale := x*n-sx, y*n-sy, 1/(n*(n-1))
		sxx, syy, sxy = sxx+dx*dx*scale, syy+dy*dy*scale, sxy+dx*dy*scale
	} else if x-x != 0 || y-y != 0 { // an infinity or NaN
		if x-x != 0 {
			sxx, sxy = math.NaN(), math.NaN()
		}
		if y-y != 0 {
			syy, sxy = math.NaN(), math.NaN()
		}
	}
	for i, v := range [6]float64{n, sx, sxx, sy, syy, sxy} {
		p[i] = math.Float64bits(v)
	}
}

func (pairs) Merge(state, from []uint64, _, _ *Blocks) {
	f := func(s []uint64, i int) float64 { return math.Float64frombits(s[i]) }
	n, m := f(state, 0), f(from, 0)
	switch {
	case m == 0:
		return
	case n == 0:
		copy(state[:6], from[:6])
		return
	}
	all := n + m
	dx, dy := f(state, 1)/n-f(from, 1)/m, f(state, 3)/n-f(from, 3)/m
	for i, v := range [6]float64{
		all, f(state, 1) + f(from, 1), f(state, 2) + f(from, 2) + n*m*dx*dx/all, f(state, 3) + f(from, 3),
		f(state, 4) + f(from, 4) + n*m*dy*dy/all, f(state, 5) + f(from, 5) + n*m*dx*dy/all,
	} {
		state[i] = math.Float64bits(v)
	}
}

func (p pairs) Result(state []uint64, _ *Blocks) Value {
	f := func(i int) float64 { return math.Float64frombits(state[i]) }
	n, sx, sxx, sy, syy, sxy := f(0), f(1), f(2), f(3), f(4), f(5)
	if p.kind == RegrCount {
		return Value{Bits: uint64(n)}
	}
	if n < 1 || p.kind == CovarSamp && n < 2 {
		return Value{Null: true}
	}
	// None says that all values are the same. What is then left of their deviations is rounding,
	// about 5e-32 of the square of the mean for each record.
	none := func(squares, sum float64) bool { return squares <= 1e-30*sum*sum/n }
	var v float64
	switch p.kind {
	case CovarPop:
		v = sxy / n
	case CovarSamp:
		v = sxy / (n - 1)
	case RegrAvgX:
		v = sx / n
	case RegrAvgY:
		v = sy / n
	case RegrSXX:
		v = sxx
	case RegrSYY:
		v = syy
	case RegrSXY:
		v = sxy
	case Corr:
		if none(sxx, sx) || none(syy, sy) {
			return Value{Null: true}
		}
		v = sxy / math.Sqrt(sxx*syy)
	default: // of the line, which a single x does not say
		if none(sxx, sx) {
			return Value{Null: true}
		}
		switch p.kind {
		case RegrSlope:
			v = sxy / sxx
		case RegrIntercept:
			v = (sy - sx*sxy/sxx) / n
		default: // RegrR2
			v = 1
			if !none(syy, sy) {
				v = sxy * sxy / (sxx * syy)
			}
		}
	}
	return Value{Bits: math.Float64bits(v)}
}
