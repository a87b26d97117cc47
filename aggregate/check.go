package aggregate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"unsafe"
)

// A Tester is what Check needs of a *testing.T.
type Tester interface {
	Helper()
	Errorf(format string, args ...any)
}

// checks is how many sets of values Check tries, and mostValues how many values a set has at most.
const (
	checks     = 400
	mostValues = 64
)

// Check tries to find values for which the function does not commute: it adds random values in
// random orders to random numbers of states, merges them in random orders, moves states in memory
// as snapshots and files do, merges states that have no records, and compares the results with
// adding all values to one state. It reports the first difference. value makes a random value.
//
// Floats may differ by one part in a billion, because sums of floats depend on the order.
func Check[S any, V Input, R Outcome](t Tester, s Spec[S, V, R], value func(*rand.Rand) V) {
	t.Helper()
	if _, err := New(s); err != nil {
		t.Errorf("%v", err)
		return
	}
	for seed := range uint64(checks) {
		c := checker[S, V, R]{s, rand.New(rand.NewPCG(seed, 1))}
		if err := c.try(value); err != nil {
			t.Errorf("aggregate: %s: %v (seed %d)", s.Name, err, seed)
			return
		}
	}
}

type checker[S any, V Input, R Outcome] struct {
	Spec[S, V, R]
	rng *rand.Rand
}

// state makes a state of no records.
func (c *checker[S, V, R]) state() *S {
	s := new(S)
	if c.Init != nil {
		c.Init(s)
	}
	return s
}

// try compares one state that gets all values with what other ways make of them.
func (c *checker[S, V, R]) try(value func(*rand.Rand) V) error {
	values := make([]V, c.rng.IntN(mostValues))
	for i := range values {
		values[i] = value(c.rng)
	}
	whole := c.state()
	for _, v := range values {
		c.Add(whole, v)
	}
	want, some := c.Result(*whole)
	for range 4 {
		c.rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		parts := make([]*S, 1+c.rng.IntN(5))
		for i := range parts {
			parts[i] = c.state()
		}
		for _, v := range values {
			i := c.rng.IntN(len(parts))
			c.Add(parts[i], v)
			if c.rng.IntN(4) == 0 {
				parts[i] = moved(parts[i])
			}
		}
		for len(parts) > 1 {
			i := c.rng.IntN(len(parts))
			from := parts[i]
			parts = append(parts[:i], parts[i+1:]...)
			before := bytesOf(from)
			into := c.rng.IntN(len(parts))
			c.Merge(parts[into], from)
			if bytesOf(from) != before {
				return errors.New("the state that is merged from is changed by Merge")
			}
			clear(unsafe.Slice((*byte)(unsafe.Pointer(from)), unsafe.Sizeof(*from))) // nobody may have kept it
			parts[into] = moved(parts[into])
		}
		got, ok := c.Result(*parts[0])
		if ok != some || ok && !same(got, want) {
			return fmt.Errorf("%d values give %s in one state, and %s in several that are merged in another order",
				len(values), text(want, some), text(got, ok))
		}
	}
	return nil
}

// moved moves a state to another place, and spoils the first.
func moved[S any](s *S) *S {
	to := new(S)
	*to = *s
	for i := range unsafe.Sizeof(*s) {
		*(*byte)(unsafe.Add(unsafe.Pointer(s), i)) = 0xa5
	}
	return to
}

func bytesOf[S any](s *S) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)))
}

// same says whether two results are equal, up to the rounding of floats.
func same[R Outcome](a, b R) bool {
	x, ok := any(a).(float64)
	if !ok {
		return any(a) == any(b)
	}
	y := any(b).(float64)
	return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= 1e-9*max(math.Abs(x), math.Abs(y))
}

func text[R Outcome](r R, ok bool) string {
	if !ok {
		return "NULL"
	}
	return fmt.Sprint(r)
}
