package aggregate

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/velo-engine/velo/core/agg"
)

// MaxBytes bounds the size of a state.
const MaxBytes = agg.MaxUserBytes

// A Func is an aggregate function for plan.Aggregate.User and query.RegisterAggregate.
type Func = agg.User

// An Input is a type of values: int64 is bigint, float64 double precision, bool boolean, string
// text, time.Time timestamp, record.Decimal any decimal.
type Input = agg.Input

// An Outcome is a type of results: int64, float64, bool, string or time.Time.
type Outcome = agg.Outcome

// A Spec is what a function of your own is made of. S is the state of a group, V the type of the
// values, R the type of the result.
type Spec[S any, V Input, R Outcome] struct {
	// Name is the name in SQL: small letters, digits and _.
	Name string

	// Version is part of what a saved state must match. Raise it when a state means something else.
	Version uint32

	// Init makes the state of no records of the zero S. It may be nil.
	Init func(*S)

	// Add adds a value that is not NULL.
	Add func(s *S, v V)

	// AddAll does what Add does for several values, at least one. It may be nil. If it is there, it
	// is called with the values of records of one group that follow each other, where many do; Add
	// is called otherwise. So it pays if there are few groups, or if records come in their order.
	AddAll func(s *S, values []V)

	// Merge adds the state from to the state into. It must not change from.
	Merge func(into, from *S)

	// Result returns the value of a state; false stands for NULL. It gets a copy. A time before
	// 1678 or after 2262 is NULL, and counted as a value that does not fit.
	Result func(S) (r R, ok bool)
}

// A Spec2 is a function of two arguments, of types V and W. A record with a NULL for one of them is
// not added. See Spec.
type Spec2[S any, V, W Input, R Outcome] struct {
	Name    string
	Version uint32
	Init    func(*S)
	Add     func(s *S, v V, w W)
	AddAll  func(s *S, v []V, w []W)
	Merge   func(into, from *S)
	Result  func(S) (r R, ok bool)
}

// A Definition is a Spec or a Spec2.
type Definition interface {
	// missing says which functions are not there.
	missing() (name string, functions []string)
	function() (*Func, error)
}

// name is what a name may be.
var name = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// New makes a function. The error says everything that is wrong with the definition.
func New(d Definition) (*Func, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("aggregate: "+format, args...)) }
	called, missing := d.missing()
	if !name.MatchString(called) {
		fault("the name %q: expected small letters, digits and _", called)
	}
	for _, what := range missing {
		fault("%q has no %s", called, what)
	}
	f, err := d.function()
	if err != nil {
		fault("%w", err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return f, nil
}

// Must is New for variables of packages: it panics if there is an error.
func Must(d Definition) *Func {
	f, err := New(d)
	if err != nil {
		panic(err)
	}
	return f
}

func (s Spec[S, V, R]) missing() (string, []string) {
	return s.Name, missing(s.Add == nil, s.Merge == nil, s.Result == nil)
}

func (s Spec2[S, V, W, R]) missing() (string, []string) {
	return s.Name, missing(s.Add == nil, s.Merge == nil, s.Result == nil)
}

func missing(add, merge, result bool) (functions []string) {
	if add {
		functions = append(functions, "Add")
	}
	if merge {
		functions = append(functions, "Merge")
	}
	if result {
		functions = append(functions, "Result")
	}
	return functions
}

func (s Spec[S, V, R]) function() (*Func, error) {
	of := agg.UserSpec[S, R]{Name: s.Name, Version: s.Version, Init: s.Init, Merge: s.Merge, Result: s.Result}
	return agg.NewUser(of, s.Add, s.AddAll)
}

func (s Spec2[S, V, W, R]) function() (*Func, error) {
	of := agg.UserSpec[S, R]{Name: s.Name, Version: s.Version, Init: s.Init, Merge: s.Merge, Result: s.Result}
	return agg.NewUser2(of, s.Add, s.AddAll)
}
