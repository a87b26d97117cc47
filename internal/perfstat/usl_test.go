package perfstat

import (
	"math"
	"testing"
)

// Goal: the law is found again in what it makes, and in a published benchmark.
func TestFitUSL(t *testing.T) {
	for _, want := range []USL{{100, 0.05, 0.001, 5}, {7, 0, 0.01, 5}, {3, 0.2, 0, 5}, {1e8, 0, 0, 5}} {
		var n, x []float64
		for _, cores := range []float64{1, 2, 4, 8, 16} {
			n, x = append(n, cores), append(x, want.At(cores))
		}
		u, ok := FitUSL(n, x)
		if !ok || !near(u.Lambda/want.Lambda, 1, 1e-6) || !near(u.Sigma, want.Sigma, 1e-6) ||
			!near(u.Kappa, want.Kappa, 1e-6) || u.Points != 5 {
			t.Errorf("%+v %v, expected %+v", u, ok, want)
		}
	}
	// The ray tracer in Gunther, Guerrilla Capacity Planning: sigma is about 0.05, kappa about 0.
	u, ok := FitUSL([]float64{1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64},
		[]float64{20, 78, 130, 170, 190, 200, 210, 230, 260, 280, 310})
	if !ok || u.Sigma < 0.03 || u.Sigma > 0.07 || u.Kappa > 1e-3 {
		t.Errorf("%+v", u)
	}
	u, ok = FitUSL([]float64{1, 2, 2}, []float64{100, 160, 160})
	if !ok || u.Kappa != 0 || !near(u.At(2), 160, 1e-9) || !math.IsInf(u.Knee(), 1) || u.Points != 2 {
		t.Errorf("two numbers of cores: %+v %v", u, ok)
	}
	if k := (USL{1, 0.19, 0.01, 3}).Knee(); !near(k, 9, 1e-9) {
		t.Errorf("the knee is at %v", k)
	}
	for _, bad := range [][2][]float64{
		{{1}, {1}},
		{{1, 1}, {1, 2}},
		{{1, 2}, {0, 1}},
		{nil, nil},
		{{1, 2}, {1, math.NaN()}},
	} {
		if u, ok := FitUSL(bad[0], bad[1]); ok {
			t.Errorf("%v: %+v", bad, u)
		}
	}
	// Throughput that rises faster than the cores: no term goes below 0.
	if u, ok := FitUSL([]float64{1, 2, 4}, []float64{1, 2.5, 6}); !ok || u.Sigma != 0 || u.Kappa != 0 {
		t.Errorf("%+v %v", u, ok)
	}
}
