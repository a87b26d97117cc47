// Package perfstat has the statistics of repeated measurements.
//
// It assumes nothing about how measurements are distributed: runs of a program are skewed, because
// much can slow a run down and little can speed it up. So there are medians and no means, intervals
// from the order of the values, and the test of Mann and Whitney, which benchstat uses too.
package perfstat

import (
	"math"
	"slices"
)

// Level is the confidence that intervals should have, and 1 - Level the probability below which
// two sets of values are taken to differ.
const Level = 0.95

// A Summary describes the values of one figure over several runs.
type Summary struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Low and High are an interval that has the median of all possible runs with a probability of
	// Confidence. Confidence is less than Level if there are fewer than six values.
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
}

// Summarize describes values. The zero Summary describes none.
func Summarize(values []float64) Summary {
	n := len(values)
	if n == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(values))
	d, confidence := medianRank(n)
	return Summary{n, Median(s), s[0], s[n-1], s[d], s[n-1-d], confidence}
}

// Median is the middle of the values, or the mean of the two in the middle. It is NaN if there are
// none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return s[n/2]
	}
	return s[n/2-1] + (s[n/2]-s[n/2-1])/2
}

// medianRank returns how many of n sorted values may be left out at each end so that the interval
// of the others still has the median with the probability Level, and that probability. The number
// of values below the median has a binomial distribution with p = 1/2.
func medianRank(n int) (d int, confidence float64) {
	at := func(k int) float64 { // P(k of n are below)
		lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
		return math.Exp(lg(n) - lg(k) - lg(n-k) - float64(n)*math.Ln2)
	}
	// Leaving d out fails if at most d values are below the median, or at most d above.
	confidence = 1 - 2*at(0)
	for tail := at(0) + at(1); 2*(d+1) < n && 1-2*tail >= Level; {
		d++
		confidence = 1 - 2*tail
		tail += at(d + 1)
	}
	return d, max(confidence, 0)
}

// MannWhitney returns the probability that two sets of values of the same distribution differ in
// their order at least as much as a and b do: the two-sided U test. It is exact if no values are
// equal and the sets are not large. Otherwise it is the usual approximation by a normal
// distribution, corrected for ties and continuity. It is 1 if a set is empty or all values are
// equal.
func MannWhitney(a, b []float64) (p float64) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	u, ties := statistic(a, b)
	if !ties && n <= exactMost && m <= exactMost {
		tail := 0.0
		for i, ways := range distribution(n, m) {
			if float64(i) <= min(u, float64(n*m)-u) {
				tail += ways
			}
		}
		return min(1, 2*tail)
	}
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	total, correction := float64(n+m), 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		t := float64(j - i)
		correction += t*t*t - t
		i = j
	}
	variance := float64(n*m) / 12 * (total + 1 - correction/(total*(total-1)))
	if variance <= 0 {
		return 1
	}
	z := max(0, math.Abs(u-float64(n*m)/2)-0.5) / math.Sqrt(variance)
	return min(1, math.Erfc(z/math.Sqrt2))
}

// exactMost is the size of a set up to which the distribution of U is counted out.
const exactMost = 30

// statistic returns U of a: in how many pairs the value of a is greater. Half a pair counts for
// equal values.
func statistic(a, b []float64) (u float64, ties bool) {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	for i := 1; i < len(all); i++ {
		ties = ties || all[i] == all[i-1]
	}
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				u++
			case x == y:
				u += 0.5
			}
		}
	}
	return u, ties
}

// distribution returns the probability of each U from 0 to n*m. In a random order the
// greatest value is of the first set, and greater than all m others, with the probability n/(n+m).
// Otherwise it is of the second set. What is left is a random order of one value less.
func distribution(n, m int) []float64 {
	type key struct{ n, m int }
	known := map[key][]float64{}
	var ways func(n, m int) []float64
	ways = func(n, m int) []float64 {
		if w, ok := known[key{n, m}]; ok {
			return w
		}
		w := make([]float64, n*m+1)
		if n == 0 || m == 0 {
			w[0] = 1
		} else {
			pa := float64(n) / float64(n+m)
			for i, p := range ways(n-1, m) {
				w[i+m] += pa * p
			}
			for i, p := range ways(n, m-1) {
				w[i] += (1 - pa) * p
			}
		}
		known[key{n, m}] = w
		return w
	}
	return ways(n, m)
}

// Ratio compares two sets of values, whose values must be greater than 0.
type Ratio struct {
	Ratio float64 `json:"ratio"` // the median of b / a over all pairs
	// Low and High are an interval that has the ratio with the probability Confidence, as in
	// Summary.
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
	P          float64 `json:"p"` // see MannWhitney
}

// Compare compares b with a. The ratio is the estimate by Hodges and Lehmann, for logarithms. Its
// interval is by Moses: the ratios that the U test would not reject. ok is false if a set is empty
// or has a value that is not greater than 0.
func Compare(a, b []float64) (r Ratio, ok bool) {
	var pairs []float64
	for _, x := range a {
		for _, y := range b {
			if !(x > 0 && y > 0) || math.IsInf(x, 0) || math.IsInf(y, 0) {
				return Ratio{}, false
			}
			pairs = append(pairs, y/x)
		}
	}
	if len(pairs) == 0 {
		return Ratio{}, false
	}
	slices.Sort(pairs)
	d, confidence := pairRank(len(a), len(b))
	return Ratio{
		Median(pairs), pairs[d], pairs[len(pairs)-1-d], confidence, MannWhitney(a, b),
	}, true
}

// pairRank is medianRank for the n*m ratios of pairs.
func pairRank(n, m int) (d int, confidence float64) {
	if n > exactMost || m > exactMost { // by the normal approximation
		const z = 1.959964
		c := float64(n*m)/2 - z*math.Sqrt(float64(n*m)*float64(n+m+1)/12)
		return min(max(0, int(c)), (n*m-1)/2), Level
	}
	w := distribution(n, m)
	tail := w[0]
	confidence = 1 - 2*tail
	for 2*(d+1) < n*m && 1-2*(tail+w[d+1]) >= Level {
		d++
		tail += w[d]
		confidence = 1 - 2*tail
	}
	return d, max(confidence, 0)
}

// Enough says whether two sets of n and m values could be told apart at all: whether MannWhitney is
// below 1 - Level if all values of one are greater than all of the other. Four and four are enough,
// and three and three are not.
func Enough(n, m int) bool {
	if n > exactMost || m > exactMost {
		return n > 0 && m > 0
	}
	return n > 0 && m > 0 && 2*distribution(n, m)[0] < 1-Level
}
