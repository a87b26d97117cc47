package perfstat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

// Goal: intervals of the median are those of the tables of order statistics. Method: the ranks that tables of the sign test give for
// 95 %, and their exact probabilities.
func TestMedianRank(t *testing.T) {
	for n, want := range map[int]struct {
		d          int
		confidence float64
	}{
		1: {0, 0}, 2: {0, 0.5}, 3: {0, 0.75}, 4: {0, 0.875}, 5: {0, 0.9375}, 6: {0, 0.96875}, 8: {0, 0.9921875},
		9:  {1, 0.9609375},
		10: {1, 0.978515625}, 12: {2, 0.96142578125}, 15: {3, 0.96484375}, 20: {5, 0.958610534667969},
	} {
		if d, c := medianRank(n); d != want.d || !near(c, want.confidence, 1e-9) {
			t.Errorf("%d values: %d left out, %v, expected %+v", n, d, c, want)
		}
	}
	if d, c := medianRank(100); d != 39 || !near(c, 0.9648, 1e-3) { // the table says ranks 40 and 61
		t.Errorf("100 values: %d, %v", d, c)
	}
}

// Goal: a summary says what it should of odd, even, single and no values, whatever their order.
func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Summary
	}{
		{nil, Summary{}},
		{[]float64{7}, Summary{1, 7, 7, 7, 7, 7, 0}},
		{[]float64{5, 1, 3, 2, 4}, Summary{5, 3, 1, 5, 1, 5, 0.9375}},
		{[]float64{4, 1, 3, 2}, Summary{4, 2.5, 1, 4, 1, 4, 0.875}},
		{[]float64{9, 1, 8, 2, 7, 3, 6, 4, 5}, Summary{9, 5, 1, 9, 2, 8, 0.9609375}},
	} {
		before := slices.Clone(c.values)
		got := Summarize(c.values)
		if !near(got.Confidence, c.want.Confidence, 1e-9) {
			t.Errorf("%v: %+v", c.values, got)
		}
		got.Confidence = c.want.Confidence
		if got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("%v: %+v, expected %+v", c.values, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing")
	}
}

// Goal: the U test gives what published examples and tables give.
func TestMannWhitney(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []float64
		p    float64
	}{
		// Hollander and Wolfe, table 4.1: W = 35, one-sided 0.1272.
		"permeability": {
			[]float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46},
			[]float64{1.15, 0.88, 0.90, 0.74, 1.21},
			0.254412,
		},
		"five of five":                    {[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		"the critical value of 5 and 5":   {[]float64{1, 2, 3, 4, 7}, []float64{5, 6, 8, 9, 10}, 8.0 / 252}, // U = 2
		"above the critical value, U = 3": {[]float64{1, 2, 3, 4, 8}, []float64{5, 6, 7, 9, 10}, 14.0 / 252},
		"four of four":                    {[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		"three of three":                  {[]float64{1, 2, 3}, []float64{4, 5, 6}, 0.1},
		"all equal":                       {[]float64{1, 1, 1}, []float64{1, 1}, 1},
		"none":                            {nil, []float64{1}, 1},
	} {
		if p := MannWhitney(c.a, c.b); !near(p, c.p, 1e-6) {
			t.Errorf("%s: p = %v, expected %v", name, p, c.p)
		}
		if p := MannWhitney(c.b, c.a); !near(p, c.p, 1e-6) {
			t.Errorf("%s, the other way round: p = %v, expected %v", name, p, c.p)
		}
	}
}

// byPermutation is the slow twin of MannWhitney: it counts over all ways to deal the values.
func byPermutation(a, b []float64) float64 {
	all := slices.Concat(a, b)
	mean := float64(len(a)*len(b)) / 2
	u, _ := statistic(a, b)
	as, total := 0, 0
	for mask := range 1 << len(all) {
		var x, y []float64
		for i, v := range all {
			if mask>>i&1 == 1 {
				x = append(x, v)
			} else {
				y = append(y, v)
			}
		}
		if len(x) != len(a) {
			continue
		}
		total++
		if v, _ := statistic(x, y); math.Abs(v-mean) >= math.Abs(u-mean) {
			as++
		}
	}
	return float64(as) / float64(total)
}

// Goal: the exact test is the count over all ways to deal the values; with ties the approximation is near it.
func TestAgainstPermutations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, values *rapid.Generator[int]) (xs []float64) {
			for _, v := range rapid.SliceOfNDistinct(values, 1, 5, rapid.ID).Draw(t, name) {
				xs = append(xs, float64(v))
			}
			return xs
		}
		a, b := draw("a", rapid.IntRange(0, 50)), draw("b", rapid.IntRange(51, 60))
		for i := range b { // mixed with a, and not equal to any
			b[i] = math.Mod(b[i]*7.3, 50) + 0.01
		}
		if _, ties := statistic(a, b); ties {
			t.Skip()
		}
		if got, want := MannWhitney(a, b), byPermutation(a, b); !near(got, want, 1e-9) {
			t.Fatalf("%v, %v: %v, expected %v", a, b, got, want)
		}
	})
	for _, c := range [][2][]float64{
		{{1, 2, 2, 3, 4, 5, 6, 7}, {2, 3, 8, 9, 9, 10, 11, 12}},
		{{1, 1, 2, 2, 3, 3, 4, 4}, {1, 2, 3, 4, 1, 2, 3, 5}},
	} {
		if got, want := MannWhitney(c[0], c[1]), byPermutation(c[0], c[1]); !near(got, want, 0.03) {
			t.Errorf("%v: %v, near %v expected", c, got, want)
		}
	}
}

// Goal: the interval of a ratio has what it should, and agrees with the test: it leaves out 1 if and only if the test rejects.
func TestCompare(t *testing.T) {
	r, ok := Compare([]float64{10, 11, 12, 13, 14}, []float64{20, 22, 24, 26, 28})
	if !ok || r.Ratio != 2 || r.Low <= 1 || r.High <= r.Ratio || !near(r.P, 2.0/252, 1e-9) ||
		!near(r.Confidence, 1-2*4.0/252, 1e-9) {
		t.Errorf("%+v %v", r, ok)
	}
	for _, bad := range [][]float64{{}, {0, 1}, {-1}, {math.Inf(1)}, {math.NaN()}} {
		if _, ok := Compare(bad, []float64{1}); ok {
			t.Errorf("%v was compared", bad)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	covered, rejected := 0, 0
	const rounds = 2000
	for range rounds {
		var a, b []float64
		for range 6 {
			a = append(a, math.Exp(rng.NormFloat64()))
			b = append(b, 1.5*math.Exp(rng.NormFloat64()))
		}
		r, ok := Compare(a, b)
		if !ok || r.Low > r.Ratio || r.Ratio > r.High {
			t.Fatalf("%+v", r)
		}
		if (r.Low > 1 || r.High < 1) != (r.P < 1-Level) {
			t.Fatalf("the interval and the test do not agree: %+v", r)
		}
		if r.Low <= 1.5 && 1.5 <= r.High {
			covered++
		}
		if MannWhitney(a, a) < 0.05 {
			rejected++
		}
	}
	if share := float64(covered) / rounds; share < 0.93 || rejected > 0 {
		t.Errorf("the interval has the ratio in %.3f of all cases, %d rejected", share, rejected)
	}
	if d, c := pairRank(100, 100); d < 4190 || d > 4200 || c != Level {
		t.Errorf("100 and 100: %d, %v", d, c)
	}
}

// Goal: it is known how many runs a comparison needs.
func TestEnough(t *testing.T) {
	for _, c := range []struct {
		n, m int
		want bool
	}{
		{0, 5, false},
		{1, 30, false},
		{3, 3, false},
		{4, 4, true},
		{3, 5, true},
		{2, 5, false},
		{5, 5, true},
		{100, 100, true},
	} {
		if Enough(c.n, c.m) != c.want || Enough(c.m, c.n) != c.want {
			t.Errorf("%d and %d: not %v", c.n, c.m, c.want)
		}
	}
}
