package scalar_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/scalar"
)

// reports collects what Check reports.
type reports []string

func (*reports) Helper()                             {}
func (r *reports) Errorf(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

func number(rng *rand.Rand) int64     { return rng.Int64N(100) - 50 }
func float(rng *rand.Rand) float64    { return rng.NormFloat64() }
func truth(rng *rand.Rand) bool       { return rng.IntN(2) == 0 }
func moment(rng *rand.Rand) time.Time { return time.Unix(rng.Int64N(1e9), rng.Int64N(1e9)).UTC() }
func cents(rng *rand.Rand) record.Decimal {
	return record.Decimal{Unscaled: rng.Int64N(10_000), Scale: 2}
}

func word(rng *rand.Rand) string {
	return strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(30))
}

// Goal: an Append that cuts off what it was given, that cuts its own text, or that returns bytes
// which it uses again, makes its own text and spoils no other. Method: Check, which compares many
// rows at once with each alone.
func TestCheckAppends(t *testing.T) {
	for name, cut := range map[string]func(to []byte, v string) []byte{
		"begins_anew": func(to []byte, v string) []byte { return append(to[:0], v...) },
		"cuts_front":  func(to []byte, v string) []byte { return append(append(to, "prefix "...), v...)[7:] },
		"cuts_end":    func(to []byte, v string) []byte { to = append(to, v...); return to[:len(to)/2] },
		"long": func(to []byte, v string) []byte {
			for range 300 {
				to = append(to, v...)
			}
			return to
		},
		"own": func() func(to []byte, v string) []byte {
			var own []byte
			return func(_ []byte, v string) []byte { own = append(own[:0], v...); return own }
		}(),
	} {
		scalar.Check(t, scalar.Spec[string, string]{
			Name: name, Append: func(to []byte, v string) ([]byte, error) { return cut(to, v), nil },
		}, word)
	}
}

// Goal: functions of all types and all four ways pass Check.
func TestCheckPasses(t *testing.T) {
	scalar.Check(t, scalar.Spec[int64, int64]{
		Name: "twice", NotNull: true, Row: func(v int64) (int64, error) { return 2 * v, nil },
	}, number)
	scalar.Check(t, scalar.Spec[float64, string]{
		Name: "letters", Append: func(to []byte, v float64) ([]byte, error) {
			if v > 1 {
				return to, scalar.Null
			}
			if v < -1 {
				return to, errors.New("less than -1")
			}
			return fmt.Appendf(to, "%.3f", v), nil
		},
	}, float)
	scalar.Check(t, scalar.Spec[string, string]{
		Name: "first", Row: func(v string) (string, error) { return v[:min(1, len(v))], nil },
	}, word)
	scalar.Check(t, scalar.Spec[bool, bool]{
		Name: "known", NotNull: true, Optional: func(v *bool) (bool, error) { return v != nil && *v, nil },
	}, truth)
	scalar.Check(t, scalar.Spec[time.Time, time.Time]{
		Name: "midnight", Row: func(v time.Time) (time.Time, error) { return v.Truncate(24 * time.Hour), nil },
	}, moment)
	scalar.Check2(t, scalar.Spec2[record.Decimal, int64, float64]{
		Name: "each", Row: func(v record.Decimal, n int64) (float64, error) {
			if n == 0 {
				return 0, scalar.Null
			}
			return float64(v.Unscaled) / 100 / float64(n), nil
		},
	}, cents, number)
	scalar.Check2(t, scalar.Spec2[record.Decimal, int64, record.Decimal]{
		Name: "part", Scale: 4, Row: func(v record.Decimal, n int64) (record.Decimal, error) {
			switch {
			case n == 0:
				return v, scalar.Null
			case n%7 == 0:
				return record.Decimal{Unscaled: 1, Scale: 5}, nil // it has too many digits
			}
			return record.Decimal{Unscaled: v.Unscaled * n % 1000, Scale: 3}, nil
		},
	}, cents, number)
	scalar.Check2(t, scalar.Spec2[string, bool, string]{
		Name: "shout", Block: func(b *scalar.Block, text []string, loud []bool, to []string) {
			for i := range text {
				if loud[i] {
					to[i] = strings.ToUpper(text[i])
				} else {
					b.Take(i, append(b.Buffer(), text[i]...))
				}
			}
		},
	}, word, truth)
	scalar.Check3(t, scalar.Spec3[int64, int64, int64, int64]{
		Name: "middle", Nulls: true, Block: func(b *scalar.Block, x, y, z, to []int64) {
			for i := range to {
				switch {
				case b.IsNull(0, i) || b.IsNull(1, i):
					b.SetNull(i)
				case b.IsNull(2, i):
					b.Fail(i, errors.New("the third is NULL"))
				default:
					to[i] = max(min(x[i], y[i]), min(max(x[i], y[i]), z[i]))
				}
			}
		},
	}, number, number, number)
}

// Goal: Check finds each way not to be a function of the arguments alone.
func TestCheckFinds(t *testing.T) {
	calls := int64(0)
	for want, s := range map[string]scalar.Spec[int64, int64]{
		"of a block of": {Block: func(_ *scalar.Block, v, to []int64) { // depends on the length
			for i := range v {
				to[i] = v[i] + int64(len(v))
			}
		}},
		"gives": {Row: func(v int64) (int64, error) { // depends on the calls before
			calls++
			return calls, nil
		}},
		"alone, and": {Block: func(_ *scalar.Block, v, to []int64) { // a running sum
			sum := int64(0)
			for i := range v {
				sum += v[i]
				to[i] = sum
			}
		}},
		"changes its arguments": {Block: func(_ *scalar.Block, v, to []int64) {
			for i := range v {
				v[i] *= 2
				to[i] = v[i]
			}
		}},
		"it panics for (0)":      {Row: func(v int64) (int64, error) { return 1 / v, nil }},
		"expected one":           {},
		"of Row, Optional":       {Row: func(int64) (int64, error) { return 0, nil }, Block: func(*scalar.Block, []int64, []int64) {}},
		"Nulls, which is":        {Row: func(int64) (int64, error) { return 0, nil }, Nulls: true},
		"results that are texts": {Append: func([]byte, int64) ([]byte, error) { return nil, nil }},
		"results that are decim": {Row: func(int64) (int64, error) { return 0, nil }, Scale: 2},
		"alone, and ":            {Block: func(_ *scalar.Block, _, to []int64) { to[0] = 3 }}, // only the first row
	} {
		s.Name = "spoilt"
		var r reports
		scalar.Check(&r, s, number)
		if len(r) != 1 || !strings.Contains(r[0], want) {
			t.Errorf("expected %q, Check reports %q", want, r)
		}
	}
	_, err := scalar.New(scalar.Spec[int64, record.Decimal]{
		Name: "wide", Scale: 19, Row: func(v int64) (record.Decimal, error) { return record.Decimal{Unscaled: v}, nil },
	})
	if err == nil || !strings.Contains(err.Error(), "expected 0 to 18") {
		t.Error(err)
	}
	var r reports
	scalar.Check(&r, scalar.Spec[int64, int64]{Name: "Bad Name", Row: func(int64) (int64, error) { return 0, nil }}, number)
	if len(r) != 1 || !strings.Contains(r[0], `the name "Bad Name"`) {
		t.Errorf("Check reports %q", r)
	}
}
