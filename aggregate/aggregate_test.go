package aggregate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/aggregate"
)

type sumState struct {
	sum, n int64
}

var sum = aggregate.Spec[sumState, int64, int64]{
	Name:   "my_sum",
	Add:    func(s *sumState, v int64) { s.sum += v; s.n++ },
	Merge:  func(into, from *sumState) { into.sum += from.sum; into.n += from.n },
	Result: func(s sumState) (int64, bool) { return s.sum, s.n > 0 },
}

// reports collects what Check reports.
type reports []string

func (*reports) Helper()                             {}
func (r *reports) Errorf(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

// Goal: a function that commutes passes Check, and each way not to is found.
func TestCheck(t *testing.T) {
	number := func(rng *rand.Rand) int64 { return rng.Int64N(100) }
	aggregate.Check(t, sum, number)
	floats := aggregate.Spec[[2]float64, float64, float64]{
		Name: "mean", Add: func(s *[2]float64, v float64) { s[0] += v; s[1]++ },
		Merge:  func(into, from *[2]float64) { into[0] += from[0]; into[1] += from[1] },
		Result: func(s [2]float64) (float64, bool) { return s[0] / s[1], s[1] > 0 },
	}
	aggregate.Check(t, floats, func(rng *rand.Rand) float64 { return rng.Float64() })
	type weighted struct{ sum, weight float64 }
	mean := aggregate.Spec2[weighted, float64, int64, float64]{
		Name: "weighted", Add: func(s *weighted, v float64, w int64) { s.sum += v * float64(w); s.weight += float64(w) },
		AddAll: func(s *weighted, v []float64, w []int64) {
			for i := range v {
				s.sum += v[i] * float64(w[i])
				s.weight += float64(w[i])
			}
		},
		Merge:  func(into, from *weighted) { into.sum += from.sum; into.weight += from.weight },
		Result: func(s weighted) (float64, bool) { return s.sum / s.weight, s.weight != 0 },
	}
	two := func(rng *rand.Rand) (float64, int64) { return rng.Float64(), rng.Int64N(5) }
	aggregate.Check2(t, mean, two)
	mean.Add = func(s *weighted, v float64, w int64) { s.sum, s.weight = v, 1 } // the last one
	var last reports
	aggregate.Check2(&last, mean, two)
	if len(last) != 1 || !strings.Contains(last[0], "values give") {
		t.Errorf("the last of two: Check reports %q", last)
	}
	for what, spoil := range map[string]func(*aggregate.Spec[sumState, int64, int64]){
		"values give": func(s *aggregate.Spec[sumState, int64, int64]) { // the last value
			s.Add = func(s *sumState, v int64) { s.sum, s.n = v, 1 }
			s.Merge = func(into, from *sumState) { *into = *from }
		},
		"values give ": func(s *aggregate.Spec[sumState, int64, int64]) { // a state of no records counts
			s.Merge = func(into, from *sumState) { into.sum += from.sum; into.n += max(from.n, 1) }
		},
		"values give  ": func(s *aggregate.Spec[sumState, int64, int64]) { // two means are no mean
			s.Merge = func(into, from *sumState) { into.sum = (into.sum + from.sum) / 2; into.n += from.n }
		},
		"is changed by Merge": func(s *aggregate.Spec[sumState, int64, int64]) {
			merge := s.Merge
			s.Merge = func(into, from *sumState) { merge(into, from); from.n = 0 }
		},
		"values give   ": func(s *aggregate.Spec[sumState, int64, int64]) { // AddAll forgets the first value
			s.AddAll = func(s *sumState, values []int64) {
				for _, v := range values[1:] {
					s.sum += v
				}
				s.n += int64(len(values))
			}
		},
		"has no Add": func(s *aggregate.Spec[sumState, int64, int64]) { s.Add = nil },
	} {
		s := sum
		spoil(&s)
		var r reports
		aggregate.Check(&r, s, number)
		if len(r) != 1 || !strings.Contains(r[0], strings.TrimSpace(what)) {
			t.Errorf("%s: Check reports %q", what, r)
		}
	}
}

// Goal: a Spec that cannot be a function says why, all at once.
func TestNew(t *testing.T) {
	type pointer struct {
		in struct{ text [2]string }
	}
	_ = pointer{}.in
	_, err := aggregate.New(aggregate.Spec[pointer, int64, bool]{Name: "Bad Name"})
	for _, want := range []string{
		`the name "Bad Name"`, "no Add", "no Merge", "no Result",
		"field in: field text: a string",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q in %v", want, err)
		}
	}
	_, err = aggregate.New(aggregate.Spec[[aggregate.MaxBytes + 1]byte, int64, bool]{Name: "large"})
	if err == nil || !strings.Contains(err.Error(), "257 bytes, expected 1..256") {
		t.Errorf("%v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Must does not panic")
			}
		}()
		aggregate.Must(aggregate.Spec[struct{}, int64, bool]{Name: "empty"})
	}()
}
