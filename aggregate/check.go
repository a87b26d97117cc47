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
// adding all values to one state. If there is AddAll, it adds some of the values. It reports the
// first difference. value makes a random value.
//
// Floats may differ by one part in a billion, because sums of floats depend on the order.
func Check[S any, V Input, R Outcome](t Tester, s Spec[S, V, R], value func(*rand.Rand) V) {
	t.Helper()
	check(t, s, checker[S, V, R]{
		name: s.Name, init: s.Init, add: s.Add, addAll: s.AddAll, merge: s.Merge, result: s.Result, value: value,
	})
}

// Check2 is Check for a function of two arguments.
func Check2[S any, V, W Input, R Outcome](t Tester, s Spec2[S, V, W, R], value func(*rand.Rand) (V, W)) {
	t.Helper()
	type pair struct {
		v V
		w W
	}
	c := checker[S, pair, R]{
		name: s.Name, init: s.Init, merge: s.Merge, result: s.Result,
		add: func(state *S, p pair) { s.Add(state, p.v, p.w) },
		value: func(rng *rand.Rand) pair {
			v, w := value(rng)
			return pair{v, w}
		},
	}
	if s.AddAll != nil {
		c.addAll = func(state *S, pairs []pair) {
			v, w := make([]V, len(pairs)), make([]W, len(pairs))
			for i, p := range pairs {
				v[i], w[i] = p.v, p.w
			}
			s.AddAll(state, v, w)
		}
	}
	check(t, s, c)
}

func check[S, X any, R Outcome](t Tester, d Definition, c checker[S, X, R]) {
	t.Helper()
	_, err := New(d)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	for seed := range uint64(checks) {
		c.rng = rand.New(rand.NewPCG(seed, 1))
		err := c.try()
		if err != nil {
			t.Errorf("aggregate: %s: %v (seed %d)", c.name, err, seed)
			return
		}
	}
}

// A checker tries functions over values of type X.
type checker[S, X any, R Outcome] struct {
	name   string
	init   func(*S)
	add    func(*S, X)
	addAll func(*S, []X)
	merge  func(into, from *S)
	result func(S) (R, bool)
	value  func(*rand.Rand) X
	rng    *rand.Rand
}

// state makes a state of no records.
func (c *checker[S, X, R]) state() *S {
	s := new(S)
	if c.init != nil {
		c.init(s)
	}
	return s
}

// addTo adds values to random states, and moves some of these. If there is AddAll, it adds runs of
// values.
func (c *checker[S, X, R]) addTo(parts []*S, values []X) {
	for len(values) > 0 {
		i, n := c.rng.IntN(len(parts)), 1
		if c.addAll != nil && c.rng.IntN(3) > 0 {
			n = 1 + c.rng.IntN(len(values))
			c.addAll(parts[i], values[:n:n])
		} else {
			c.add(parts[i], values[0])
		}
		values = values[n:]
		if c.rng.IntN(4) == 0 {
			parts[i] = moved(parts[i])
		}
	}
}

// try compares one state that gets all values with what other ways make of them.
func (c *checker[S, X, R]) try() error {
	values := make([]X, c.rng.IntN(mostValues))
	for i := range values {
		values[i] = c.value(c.rng)
	}
	whole := c.state()
	for _, v := range values {
		c.add(whole, v)
	}
	want, some := c.result(*whole)
	for range 4 {
		c.rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		parts := make([]*S, 1+c.rng.IntN(5))
		for i := range parts {
			parts[i] = c.state()
		}
		c.addTo(parts, values)
		for len(parts) > 1 {
			i := c.rng.IntN(len(parts))
			from := parts[i]
			parts = append(parts[:i], parts[i+1:]...)
			before := bytesOf(from)
			into := c.rng.IntN(len(parts))
			c.merge(parts[into], from)
			if bytesOf(from) != before {
				return errors.New("the state that is merged from is changed by Merge")
			}
			clear(unsafe.Slice((*byte)(unsafe.Pointer(from)), unsafe.Sizeof(*from))) // nobody may have kept it
			parts[into] = moved(parts[into])
		}
		got, ok := c.result(*parts[0])
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
