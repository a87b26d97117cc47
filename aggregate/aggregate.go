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

// An Outcome is a type of results: int64, float64, bool or time.Time.
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

	// Merge adds the state from to the state into. It must not change from.
	Merge func(into, from *S)

	// Result returns the value of a state; false stands for NULL. It gets a copy.
	Result func(S) (r R, ok bool)
}

// name is what a name may be.
var name = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// New makes a function. The error says everything that is wrong with the Spec.
func New[S any, V Input, R Outcome](s Spec[S, V, R]) (*Func, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("aggregate: "+format, args...)) }
	if !name.MatchString(s.Name) {
		fault("the name %q: expected small letters, digits and _", s.Name)
	}
	for what, missing := range map[string]bool{
		"Add": s.Add == nil, "Merge": s.Merge == nil,
		"Result": s.Result == nil,
	} {
		if missing {
			fault("%q has no %s", s.Name, what)
		}
	}
	f, err := agg.NewUser(s.Name, s.Version, s.Init, s.Add, s.Merge, s.Result)
	if err != nil {
		fault("%w", err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return f, nil
}

// Must is New for variables of packages: it panics if there is an error.
func Must[S any, V Input, R Outcome](s Spec[S, V, R]) *Func {
	f, err := New(s)
	if err != nil {
		panic(err)
	}
	return f
}
