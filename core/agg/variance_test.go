package agg

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// exactVariance is the variance of some numbers by its definition, in fractions.
func exactVariance(xs []*big.Rat, sample bool) *big.Rat {
	n := big.NewRat(int64(len(xs)), 1)
	mean, sum := new(big.Rat), new(big.Rat)
	for _, x := range xs {
		mean.Add(mean, x)
	}
	mean.Quo(mean, n)
	for _, x := range xs {
		d := new(big.Rat).Sub(x, mean)
		sum.Add(sum, d.Mul(d, d))
	}
	if sample {
		n.Sub(n, big.NewRat(1, 1))
	}
	return sum.Quo(sum, n)
}

// Goal: variances of integers and decimals are the nearest float64, at the ends of the range too, in words that are
// full and in those that are nearly empty. Method: math/big.
func TestExactVariance(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		typ := []record.Type{record.Int64, record.DecimalOf(18, 0), record.DecimalOf(18, 1), record.DecimalOf(18, 18)}[rng.IntN(4)]
		shift, offset := rng.IntN(64), int64(0)
		if rng.IntN(2) == 0 {
			offset = rng.Int64() >> 1
		}
		if seed%3 == 0 {
			shift, offset = 34+rng.IntN(10), 0 // about where float64 stops having the numbers exactly
		}
		var words []uint64
		var xs []*big.Rat
		for range 2 + rng.IntN(100) {
			v := int64(rng.Uint64())>>shift + offset // wraps, which is welcome
			if seed%3 > 0 && rng.IntN(10) == 0 {
				v = []int64{math.MinInt64, math.MaxInt64}[rng.IntN(2)]
			}
			words = append(words, uint64(v))
			xs = append(xs, big.NewRat(v, record.Pow10[typ.Scale()]))
		}
		for _, k := range []Kind{VarPop, VarSamp, StddevPop, StddevSamp} {
			want, _ := exactVariance(xs, k == VarSamp || k == StddevSamp).Float64()
			if k == StddevPop || k == StddevSamp {
				want = math.Sqrt(want)
			}
			f := bind(t, k, typ, false)
			if got := math.Float64frombits(f.Result(apply(f, rng, words, nil), nil).Bits); got != want {
				t.Fatalf("seed %d: %v(%v) is %v, expected %v", seed, k, typ, got, want)
			}
		}
	}
}

// Goal: the state of an integer variance has room for the most and the largest values. Method: a state merged with itself
// 62 times stands for 2^62 values of which half are the least integer and half 0.
func TestVarianceRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := bind(t, VarPop, record.Int64, false)
	state := apply(f, rng, []uint64{1 << 63, 0}, nil)
	for range 61 {
		f.Merge(state, append([]uint64(nil), state...), nil, nil)
	}
	if got := math.Float64frombits(f.Result(state, nil).Bits); state[0] != 1<<62 || got != math.Ldexp(1, 124) {
		t.Errorf("%v of %d values, expected 2^124 = %v", got, state[0], math.Ldexp(1, 124))
	}
}

// Goal: variances of floats have 15 right digits wherever the values lie, for every order and cut: far from 0 and close together, with
// an outlier first, of all magnitudes. Method: math/big; parts of random lengths, merged in a random tree.
func TestFloatVariance(t *testing.T) {
	worst := 0.0
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 5))
		mean, scale := 0.0, math.Pow(10, float64(rng.IntN(200)-100))
		switch rng.IntN(4) {
		case 0:
			mean = 1e15 * scale
		case 1:
			mean = -1e7 * scale
		}
		var words []uint64
		var xs []*big.Rat
		for range 2 + rng.IntN(300) {
			x := mean + scale*rng.NormFloat64()
			switch {
			case seed%3 == 0 && (len(xs) == 0 || rng.IntN(100) == 0):
				x *= 1e12
			case seed%5 == 0:
				x *= math.Pow(10, float64(rng.IntN(30)-15))
			}
			words = append(words, math.Float64bits(x))
			xs = append(xs, new(big.Rat).SetFloat64(x))
		}
		f := bind(t, VarSamp, record.Float64, false)
		want, _ := exactVariance(xs, true).Float64()
		for range 3 {
			var parts [][]uint64
			for from := 0; from < len(words); {
				to := min(len(words), from+rng.IntN(len(words)+1))
				parts = append(parts, apply(f, rng, words[from:to], nil))
				from = to
			}
			for len(parts) > 1 {
				i := rng.IntN(len(parts) - 1)
				f.Merge(parts[i], parts[i+1], nil, nil)
				parts = append(parts[:i+1], parts[i+2:]...)
			}
			got := math.Float64frombits(f.Result(parts[0], nil).Bits)
			off := math.Abs(got-want) / want
			if worst = max(worst, off); !(off <= 3e-16) && got != want {
				t.Fatalf("seed %d: %v, expected %v (%.1g)", seed, got, want, off)
			}
			rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		}
	}
	t.Logf("at most %.1g off", worst)
}

// Goal: numbers of two float64s compute with about 104 bits. Method: math/big.
func TestDouble(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	rat := func(a double) *big.Rat {
		return new(big.Rat).Add(new(big.Rat).SetFloat64(a.high), new(big.Rat).SetFloat64(a.low))
	}
	near := func(what string, got double, want *big.Rat, bits int) {
		t.Helper()
		off := new(big.Rat).Sub(rat(got), want)
		if limit := new(big.Rat).Quo(want, new(big.Rat).SetFloat64(math.Ldexp(1, bits))); off.Abs(off).Cmp(limit.Abs(limit)) > 0 {
			t.Fatalf("%s is %v, expected %s", what, got, want.FloatString(40))
		}
	}
	draw := func() double { return normal(rng.NormFloat64(), math.Ldexp(rng.NormFloat64(), -53-rng.IntN(10))) }
	for range 10_000 {
		a, b := draw(), draw()
		near("sum", a.plus(b), new(big.Rat).Add(rat(a), rat(b)), 100)
		near("product", a.times(b), new(big.Rat).Mul(rat(a), rat(b)), 100)
		near("quotient", double{a.over(b), 0}, new(big.Rat).Quo(rat(a), rat(b)), 53)
		n := rng.Uint64() >> (1 + rng.IntN(63))
		near("integer", exactly(n), new(big.Rat).SetInt64(int64(n)), 1000)
	}
}

// Goal: what PostgreSQL says of few, equal, infinite and missing numbers; +Inf where it reports an error. Method: a table, in every
// rotation and every cut.
func TestVarianceSpecials(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	const null = -1
	for _, c := range []struct {
		in        []float64
		pop, samp float64
	}{
		{[]float64{5}, 0, null},
		{[]float64{5, 5}, 0, 0},
		{[]float64{0.1, 0.1, 0.1}, 0, 0},
		{[]float64{1, 3}, 1, 2},
		{[]float64{0, math.Copysign(0, -1)}, 0, 0},
		{[]float64{inf}, nan, null},
		{[]float64{nan}, nan, null},
		{[]float64{inf, 1, 2}, nan, nan},
		{[]float64{-inf, inf}, nan, nan},
		{[]float64{nan, 1, 2}, nan, nan},
		{[]float64{inf, inf}, nan, nan},
		{[]float64{1e200, -1e200, 3}, inf, inf},
		{[]float64{math.MaxFloat64, -math.MaxFloat64, 0}, inf, inf},
		{[]float64{math.MaxFloat64, -math.MaxFloat64, nan}, nan, nan},
		{[]float64{1e300, 1e300}, 0, 0},
		{[]float64{1e150, -1e150}, 1e300, 2e300},
		{[]float64{1e15, 1e15 + 1, 1e15 + 2}, 2.0 / 3, 1},
	} {
		for k, want := range map[Kind]float64{VarPop: c.pop, StddevPop: c.pop, VarSamp: c.samp, StddevSamp: c.samp} {
			if want != null && (k == StddevPop || k == StddevSamp) {
				want = math.Sqrt(want)
			}
			everyCut(bind(t, k, record.Float64, true), c.in, func(got Value, how string) {
				v := math.Float64frombits(got.Bits)
				if got.Null != (want == null) || !got.Null && fmt.Sprint(v) != fmt.Sprint(want) && !(math.Abs(v-want) <= 2e-16*want) {
					t.Errorf("%v of %v %s is %v (NULL %v), expected %v", k, c.in, how, v, got.Null, want)
				}
			})
		}
	}
}
