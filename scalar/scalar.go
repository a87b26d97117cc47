package scalar

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// A Func is a scalar function for query.RegisterFunction and expr.Call.
type Func = expr.User

// An Input is a type of arguments: int64 is bigint, float64 double precision, bool boolean, string
// text, time.Time timestamp, record.Decimal any decimal.
type Input = expr.Input

// An Outcome is a type of results: int64, float64, bool, string, time.Time or record.Decimal.
type Outcome = expr.Outcome

// A Block is the rows that a function is called for; see Spec.Block.
type Block = expr.Block

// Null is returned for a row whose value is NULL.
var Null = expr.ErrNull

// A Spec is a function of one argument. A is the type of the argument, R the type of the result.
// Row, Optional, Append and Block are four ways to write it, of which it has one.
type Spec[A Input, R Outcome] struct {
	// Name is the name in SQL: small letters, digits and _.
	Name string

	// Version is part of what a saved state must match. Raise it when the function gives other
	// values.
	Version uint32

	// NotNull promises that the result is never NULL, except for an argument that is. A group by
	// the result then takes less memory, and a row for which the promise is broken fails.
	NotNull bool

	// Scale is the number of digits after the point of a result that is a decimal: its type is
	// decimal(18, Scale). A row whose value has more digits than that cannot be computed.
	Scale int

	// Row returns the value of a row. The error Null stands for NULL; any other says that the
	// record cannot be computed. It is not called for NULL, whose value is NULL.
	Row func(a A) (R, error)

	// Optional is like Row, and is called for NULL too: a is nil then.
	Optional func(a *A) (R, error)

	// Append is like Row for a result that is a text: it appends the text to to, which is empty,
	// and returns that.
	Append func(to []byte, a A) ([]byte, error)

	// Block computes many rows at once: it sets to[i] to the value for a[i], or calls b.SetNull(i)
	// or b.Fail(i, err). The rows with a NULL are left out, unless Nulls is set; then b.IsNull says
	// which they are.
	Block func(b *Block, a []A, to []R)
	Nulls bool
}

// A Spec2 is a function of two arguments. See Spec.
type Spec2[A, B Input, R Outcome] struct {
	Name     string
	Version  uint32
	NotNull  bool
	Scale    int
	Row      func(a A, b B) (R, error)
	Optional func(a *A, b *B) (R, error)
	Append   func(to []byte, a A, b B) ([]byte, error)
	Block    func(block *Block, a []A, b []B, to []R)
	Nulls    bool
}

// A Spec3 is a function of three arguments. See Spec.
type Spec3[A, B, C Input, R Outcome] struct {
	Name     string
	Version  uint32
	NotNull  bool
	Scale    int
	Row      func(a A, b B, c C) (R, error)
	Optional func(a *A, b *B, c *C) (R, error)
	Append   func(to []byte, a A, b B, c C) ([]byte, error)
	Block    func(block *Block, a []A, b []B, c []C, to []R)
	Nulls    bool
}

// A Definition is a Spec, a Spec2 or a Spec3.
type Definition interface {
	// form says what the definition has, and function makes the function of it.
	form() form
	function(expr.UserSpec) *Func
}

// A form is what the three kinds of Spec have in common.
type form struct {
	name                         string
	version                      uint32
	row, optional, append, block bool // which ways are there
	nulls, notNull               bool
	result                       record.Type
	scale                        int
}

// name is what a name may be.
var name = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// New makes a function. The error says everything that is wrong with the definition.
func New(d Definition) (*Func, error) {
	f := d.form()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("scalar: "+format, args...)) }
	if !name.MatchString(f.name) {
		fault("the name %q: expected small letters, digits and _", f.name)
	}
	ways := 0
	for _, way := range []bool{f.row, f.optional, f.append, f.block} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		fault("%q has %d of Row, Optional, Append and Block, expected one", f.name, ways)
	}
	if f.append && f.result != record.String {
		fault("%q has Append, which is for results that are texts", f.name)
	}
	if f.nulls && !f.block {
		fault("%q has Nulls, which is for Block; Optional sees NULLs too", f.name)
	}
	switch {
	case f.scale != 0 && !f.result.IsDecimal():
		fault("%q has the Scale %d, which is for results that are decimals, and its results are %v", f.name, f.scale,
			f.result)
	case f.scale < 0 || f.scale > record.MaxPrecision:
		fault("%q has the Scale %d, expected 0 to %d", f.name, f.scale, record.MaxPrecision)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return d.function(expr.UserSpec{
		Name: f.name, Version: f.version, Nulls: f.nulls || f.optional, NotNull: f.notNull, Scale: uint8(f.scale),
	}), nil
}

// Must is New for variables of packages: it panics if there is an error.
func Must(d Definition) *Func {
	f, err := New(d)
	if err != nil {
		panic(err)
	}
	return f
}

func (s Spec[A, R]) form() form {
	return form{
		s.Name, s.Version, s.Row != nil, s.Optional != nil, s.Append != nil, s.Block != nil, s.Nulls, s.NotNull,
		usercode.TypeOf[R](), s.Scale,
	}
}

func (s Spec2[A, B, R]) form() form {
	return form{
		s.Name, s.Version, s.Row != nil, s.Optional != nil, s.Append != nil, s.Block != nil, s.Nulls, s.NotNull,
		usercode.TypeOf[R](), s.Scale,
	}
}

func (s Spec3[A, B, C, R]) form() form {
	return form{
		s.Name, s.Version, s.Row != nil, s.Optional != nil, s.Append != nil, s.Block != nil, s.Nulls, s.NotNull,
		usercode.TypeOf[R](), s.Scale,
	}
}
