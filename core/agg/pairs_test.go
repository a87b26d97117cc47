package agg

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: the functions of pairs are what their definitions say, whichever way the records are spread
// over states. Method: random pairs with NULLs, against sums over all of them; constants, a single
// pair and none; an infinity.
func TestPairs(t *testing.T) {
	result := func(k Kind, state []uint64) float64 {
		f, err := Bind(k, Arg{record.Float64, true}, Arg{record.Float64, true})
		if err != nil {
			t.Fatal(err)
		}
		v := f.Result(state, nil)
		switch {
		case v.Null:
			return math.Inf(-1)
		case f.Type() == record.Int64:
			return float64(int64(v.Bits))
		}
		return math.Float64frombits(v.Bits)
	}
	null := math.Inf(-1)
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		f := pairs{Corr}
		states := make([][]uint64, 1+rng.IntN(3))
		for i := range states {
			states[i] = make([]uint64, 6)
			f.Init(states[i])
		}
		constant := rng.IntN(4) == 0
		var xs, ys []float64
		for _, s := range states {
			var y, x, nulls []uint64
			for range rng.IntN(40) {
				a, b := rng.NormFloat64()*10+5, rng.NormFloat64()
				if constant {
					b = 0.1
				}
				y, x = append(y, math.Float64bits(a)), append(x, math.Float64bits(b))
				bits := uint64(rng.IntN(4)&rng.IntN(4)) << 5
				if nulls = append(nulls, bits); bits == 0 {
					ys, xs = append(ys, a), append(xs, b)
				}
			}
			copy(s, apply(f, rng, y, nulls, x...))
		}
		all := make([]uint64, 6)
		f.Init(all)
		for _, s := range states {
			f.Merge(all, s, nil, nil)
		}
		n := float64(len(xs))
		var sx, sy, sxx, syy, sxy float64
		for i := range xs {
			sx, sy = sx+xs[i], sy+ys[i]
		}
		for i := range xs {
			dx, dy := xs[i]-sx/n, ys[i]-sy/n
			sxx, syy, sxy = sxx+dx*dx, syy+dy*dy, sxy+dx*dy
		}
		want := map[Kind]float64{
			RegrCount: n, CovarPop: sxy / n, CovarSamp: sxy / (n - 1), RegrAvgX: sx / n, RegrAvgY: sy / n, RegrSXX: sxx,
			RegrSYY: syy, RegrSXY: sxy, Corr: sxy / math.Sqrt(sxx*syy), RegrSlope: sxy / sxx,
			RegrIntercept: sy/n - sxy/sxx*sx/n, RegrR2: sxy * sxy / (sxx * syy),
		}
		for k := range want {
			switch line := k == Corr || k == RegrSlope || k == RegrIntercept || k == RegrR2; {
			case k == RegrCount:
			case n == 0 || k == CovarSamp && n < 2 || line && (constant || n < 2):
				want[k] = null
			}
		}
		for k, w := range want {
			if v := result(k, all); v != w && !(math.Abs(v-w) <= 1e-9*math.Max(1, math.Abs(w))) {
				t.Fatalf("seed %d: %v of %v pairs is %v, expected %v", seed, k, n, v, w)
			}
		}
	}
	s := make([]uint64, 6)
	addPair((*[6]uint64)(s), 1, math.Inf(1))
	addPair((*[6]uint64)(s), 2, 3)
	if v := result(Corr, s); v == v {
		t.Errorf("the correlation with an infinity is %v, expected NaN", v)
	}
}

// Goal: the bits of values are joined. Method: a few, with NULL, and none.
func TestBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for k, want := range map[Kind]uint64{BitAnd: 4, BitOr: 15, BitXor: 12 ^ 6 ^ 13} {
		f := bind(t, k, record.Int64, true)
		v := f.Result(apply(f, rng, []uint64{12, 1, 6, 13}, []uint64{0, 1 << 5, 0, 0}), nil)
		if v.Null || v.Bits != want {
			t.Errorf("%v is %v, expected %d", k, v, want)
		}
		if v := f.Result(apply(f, rng, nil, nil), nil); !v.Null {
			t.Errorf("%v of nothing is %v, expected NULL", k, v)
		}
	}
}
