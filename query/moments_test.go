package query

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/internal/testgen"
)

// Goal: aggregates in Go may be merged in any way. Method: aggregate.Check.
func TestInGo(t *testing.T) {
	value := func(rng *rand.Rand) float64 { return float64(rng.IntN(9)) + 1 }
	// The sums and not what is made of them: differences of nearly equal numbers have few digits.
	sums := func(m moments) (float64, bool) { return m.M2 + m.M4, m.N > 0 }
	aggregate.Check(t, momentsOf("skewness", sums), value)
	aggregate.Check(t, productOf, func(rng *rand.Rand) float64 { return 1 + rng.Float64() })
}

// Goal: skewness and kurtosis are right to 9 digits, also if the mean is a million times the
// deviation, and if the values are added in pieces. Method: the definitions, in two passes.
func TestMoments(t *testing.T) {
	for seed := range testgen.Seeds(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		mean, n := []float64{0, -3, 1e6}[rng.IntN(3)], 5+rng.IntN(300)
		values := make([]float64, n)
		for i := range values {
			values[i] = mean + rng.ExpFloat64()
		}
		var sum float64
		for _, v := range values {
			sum += (v - mean) / float64(n)
		}
		var m2, m3, m4 float64
		for _, v := range values {
			d := v - mean - sum
			m2, m3, m4 = m2+d*d, m3+d*d*d, m4+d*d*d*d
		}
		pieces := make([]moments, 1+rng.IntN(5))
		for _, v := range values {
			pieces[rng.IntN(len(pieces))].add(v)
		}
		all := pieces[0]
		for _, p := range pieces[1:] {
			all.merge(&p)
		}
		N := float64(n)
		want := map[string]float64{
			"skewness":     math.Sqrt(N*(N-1)) / (N - 2) * (m3 / N) / math.Pow(m2/N, 1.5),
			"kurtosis":     (N - 1) / ((N - 2) * (N - 3)) * ((N+1)*(m4/N/(m2/N)/(m2/N)) - 3*(N-1)),
			"kurtosis_pop": m4/N/(m2/N)/(m2/N) - 3,
		}
		for name, result := range map[string]func() (float64, bool){
			"skewness": all.skewness, "kurtosis": all.kurtosis, "kurtosis_pop": all.kurtosisPop,
		} {
			got, ok := result()
			if !ok || math.Abs(got-want[name]) > 1e-8*math.Max(1, math.Abs(want[name])) {
				t.Errorf("seed %d: %s of %d values around %v: %v, %v, expected %v", seed, name, n, mean, got, ok, want[name])
			}
		}
	}
}
