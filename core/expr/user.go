package expr

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// MaxUserArgs bounds the arguments of a user's function.
const MaxUserArgs = 3

// An Input is a Go type of an argument of a user's function: bigint, double precision, boolean,
// text, timestamp, or any decimal. A text is valid during the call only.
type Input interface {
	int64 | float64 | bool | string | time.Time | record.Decimal
}

// An Outcome is a Go type of the result of a user's function: bigint, double precision, boolean,
// text, timestamp, or decimal with UserSpec.Scale.
type Outcome interface {
	int64 | float64 | bool | string | time.Time | record.Decimal
}

// A User is a scalar function that a user has written: package scalar makes them. It does not
// change, and any number of plans may share it.
type User struct {
	UserSpec
	args   []record.Type // any decimal will do for a decimal
	result record.Type
	// caller makes what calls the function for blocks of rows. types are the types of the
	// arguments.
	caller func(types []record.Type, rows int) caller
}

// A UserSpec is what a User says of itself.
type UserSpec struct {
	Name string
	// Version is part of what a saved state must match.
	Version uint32
	// Nulls says that the function is called for rows with a NULL too.
	Nulls bool
	// NotNull says that the result is NULL only if an argument is NULL and Nulls is not set.
	NotNull bool
	// Scale is the number of digits after the point of a result that is a decimal.
	Scale uint8
}

// resultOf is the type of the result.
func resultOf[R Outcome](s UserSpec) record.Type {
	t := usercode.TypeOf[R]()
	if t.IsDecimal() {
		return record.DecimalOf(record.MaxPrecision, int(s.Scale))
	}
	return t
}

// Name returns the name in SQL.
func (u *User) Name() string { return u.UserSpec.Name }

// Arguments returns the types of the arguments; any decimal will do for one that is a decimal.
func (u *User) Arguments() []record.Type { return u.args }

// Takes says whether a value of this type will do for argument i.
func (u *User) Takes(i int, t record.Type) bool {
	return t == u.args[i] || u.args[i].IsDecimal() && t.IsDecimal()
}

// Result returns the type of the result.
func (u *User) Result() record.Type { return u.result }

// String describes the function with its version: what two processes must agree on to go on with
// each other's states.
func (u *User) String() string {
	return fmt.Sprintf("%s version %d of (%s), %v", u.UserSpec.Name, u.Version, u.signature(), u.result)
}

// signature is the types of the arguments as SQL writes them.
func (u *User) signature() string {
	var types []string
	for _, t := range u.args {
		text := t.String()
		if t.IsDecimal() {
			text = "decimal"
		}
		types = append(types, text)
	}
	return strings.Join(types, ", ")
}

// NewUser1 makes a function of one argument. f computes a block of rows: it sets to[i] to the value
// for a[i].
func NewUser1[A Input, R Outcome](s UserSpec, f func(b *Block, a []A, to []R)) *User {
	return &User{
		UserSpec: s, args: []record.Type{usercode.TypeOf[A]()}, result: resultOf[R](s),
		caller: func(types []record.Type, rows int) caller {
			return &call1[A, R]{userResult: userResultOf[R](s, rows), a: userColumnOf[A](types[0], rows), f: f}
		},
	}
}

// NewUser2 makes a function of two arguments.
func NewUser2[A, B Input, R Outcome](s UserSpec, f func(b *Block, x []A, y []B, to []R)) *User {
	return &User{
		UserSpec: s, args: []record.Type{usercode.TypeOf[A](), usercode.TypeOf[B]()}, result: resultOf[R](s),
		caller: func(types []record.Type, rows int) caller {
			return &call2[A, B, R]{
				userResult: userResultOf[R](s, rows), a: userColumnOf[A](types[0], rows),
				b: userColumnOf[B](types[1], rows), f: f,
			}
		},
	}
}

// NewUser3 makes a function of three arguments.
func NewUser3[A, B, C Input, R Outcome](s UserSpec, f func(b *Block, x []A, y []B, z []C, to []R)) *User {
	return &User{
		UserSpec: s, args: []record.Type{usercode.TypeOf[A](), usercode.TypeOf[B](), usercode.TypeOf[C]()},
		result: resultOf[R](s),
		caller: func(types []record.Type, rows int) caller {
			return &call3[A, B, C, R]{
				userResult: userResultOf[R](s, rows), a: userColumnOf[A](types[0], rows),
				b: userColumnOf[B](types[1], rows), c: userColumnOf[C](types[2], rows), f: f,
			}
		},
	}
}

// called is what an expression knows of the function that it calls.
type called struct {
	*User
	types []record.Type // of the arguments
	meter usercode.Meter
	// ones has userRows, for the row evaluator.
	ones sync.Pool
}

// Call is a call of a user's function. The error says that the number or the types of the arguments
// are wrong.
func Call(u *User, args ...*Expr) (*Expr, error) {
	op := opUser
	if u.Nulls {
		op = opUserNulls
	}
	c := &called{User: u}
	for _, a := range args {
		c.types = append(c.types, a.typ)
	}
	c.ones.New = func() any { return newUserRow(c) }
	return build(&Expr{op: op, name: u.UserSpec.Name, args: args, aux: c})
}

func userTypes(e *Expr) error {
	u := e.aux.(*called)
	if len(e.args) != len(u.args) {
		return fmt.Errorf("expr: %s of %d arguments, expected %d", e.name, len(e.args), len(u.args))
	}
	for i, a := range e.args {
		if !u.Takes(i, a.typ) {
			return fmt.Errorf("%w, expected %s(%s)", e.fault(), e.name, u.signature())
		}
	}
	e.typ = u.result
	switch {
	case !u.NotNull:
		e.nullable = true
	case u.Nulls:
		e.nullable = false
	}
	return nil
}

// A UserCall is a call of a user's function in an expression.
type UserCall struct {
	User *User
	// Meter says how long the calls for blocks of records have taken.
	Meter *usercode.Meter
}

// UserCalls appends the calls of users' functions in the expression. The expression may be nil.
func (e *Expr) UserCalls(to []UserCall) []UserCall {
	if e == nil {
		return to
	}
	for _, a := range e.args {
		to = a.UserCalls(to)
	}
	c, ok := e.aux.(*called)
	if ok {
		to = append(to, UserCall{c.User, &c.meter})
	}
	return to
}
