package perfstat

import "math"

// USL is the universal scalability law by Gunther: the throughput on n cores is
//
//	X(n) = Lambda n / (1 + Sigma (n-1) + Kappa n (n-1))
type USL struct {
	Lambda float64 `json:"lambda"` // throughput of one core
	Sigma  float64 `json:"sigma"`  // contention: what all take turns at
	Kappa  float64 `json:"kappa"`  // coherency: what each exchanges with each
	Points int     `json:"points"` // how many numbers of cores it was fitted to
}

// FitUSL fits the law to throughputs on some numbers of cores, which are greater than 0. n/X(n) is
// linear in the unknowns, so it is a fit of least squares, of relative errors. No term is below 0.
// ok is false if there are fewer than two numbers of cores. With two, Kappa is 0, because two
// points cannot tell it from Sigma.
func FitUSL(cores, throughput []float64) (u USL, ok bool) {
	distinct := map[float64]bool{}
	for i, n := range cores {
		if !(n > 0 && throughput[i] > 0) {
			return u, false
		}
		distinct[n] = true
	}
	if len(distinct) < 2 {
		return u, false
	}
	// Each way leaves out terms that would be below 0. The first that fits has the least error.
	ways := [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {0}}
	if len(distinct) == 2 {
		ways = [][]int{{0, 1}, {0}}
	}
	best := math.Inf(1)
	for _, terms := range ways {
		x, err, solved := leastSquares(cores, throughput, terms)
		if solved && err < best-1e-12 && x[0] > 0 && x[1] >= 0 && x[2] >= 0 {
			best = err
			u = USL{1 / x[0], x[1] / x[0], x[2] / x[0], len(distinct)}
		}
	}
	return u, !math.IsInf(best, 1)
}

// leastSquares fits n/X(n) = x0 + x1 (n-1) + x2 n(n-1) with some of the terms, and returns the sum
// of the squares of relative errors.
func leastSquares(cores, throughput []float64, terms []int) (x [3]float64, sum float64, ok bool) {
	row := func(n float64) [3]float64 { return [3]float64{1, n - 1, n * (n - 1)} }
	k := len(terms)
	var m [3][4]float64 // the normal equations
	for i, n := range cores {
		y := n / throughput[i]
		f := row(n)
		for a, ta := range terms {
			for b, tb := range terms {
				m[a][b] += f[ta] / y * f[tb] / y
			}
			m[a][3] += f[ta] / y
		}
	}
	for a := range k { // elimination by Gauss and Jordan, with pivots
		pivot := a
		for b := a + 1; b < k; b++ {
			if math.Abs(m[b][a]) > math.Abs(m[pivot][a]) {
				pivot = b
			}
		}
		m[a], m[pivot] = m[pivot], m[a]
		if m[a][a] == 0 {
			return x, 0, false
		}
		for b := range k {
			if b == a {
				continue
			}
			f := m[b][a] / m[a][a]
			for c := range m[b] {
				m[b][c] -= f * m[a][c]
			}
		}
	}
	for a, t := range terms {
		x[t] = m[a][3] / m[a][a]
	}
	for i, n := range cores {
		y, f := n/throughput[i], row(n)
		e := (x[0]*f[0]+x[1]*f[1]+x[2]*f[2])/y - 1
		sum += e * e
	}
	return x, sum, true
}

// At is the throughput on n cores.
func (u USL) At(n float64) float64 { return u.Lambda * n / (1 + u.Sigma*(n-1) + u.Kappa*n*(n-1)) }

// Knee is the number of cores from which on more cores do less. It is infinite without coherency.
func (u USL) Knee() float64 {
	if u.Kappa == 0 {
		return math.Inf(1)
	}
	return math.Sqrt(max(0, 1-u.Sigma) / u.Kappa)
}
