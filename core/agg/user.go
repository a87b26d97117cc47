package agg

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// MaxUserBytes bounds the state of a function of a user.
const MaxUserBytes = 8 * MaxWords

// An Input is a Go type of the argument of a user's function: bigint, double precision, boolean,
// text, timestamp, or decimal. A text is valid during the call only.
type Input interface {
	int64 | float64 | bool | string | time.Time | record.Decimal
}

// An Outcome is a Go type of the result of a user's function: bigint, double precision, boolean or
// timestamp.
type Outcome interface {
	int64 | float64 | bool | time.Time
}

// A User is an aggregate function that a user has written: package aggregate makes them. It does
// not change, and any number of plans may share it.
type User struct {
	name    string
	version uint32
	state   string // the fields of the state, as the fingerprint of a plan has them
	arg     record.Type
	decimal bool // any decimal will do for arg
	bind    func(arg Arg) Func
}

// Name returns the name in SQL.
func (u *User) Name() string { return u.name }

// Argument returns the type of the argument; any decimal will do if it is a decimal.
func (u *User) Argument() record.Type { return u.arg }

// Takes says whether an argument of this type will do.
func (u *User) Takes(t record.Type) bool { return t == u.arg || u.decimal && t.IsDecimal() }

// String describes the function with its version and the fields of its state: what two processes
// must agree on to use each other's states.
func (u *User) String() string { return fmt.Sprintf("%s version %d of %s", u.name, u.version, u.state) }

// Bind returns the function over an argument of this type.
func (u *User) Bind(args ...Arg) (Func, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("agg: %s of %d columns, expected one", u.name, len(args))
	}
	if !u.Takes(args[0].Type) {
		return nil, fmt.Errorf("agg: %s(%v) is not defined, expected %v", u.name, args[0].Type, u.arg)
	}
	return u.bind(args[0]), nil
}

// NewUser makes a function of a name, a version and what it does. S is the state of a group: a
// struct of at most MaxUserBytes without pointers. init may be nil: then the zero S has no records.
func NewUser[S any, V Input, R Outcome](name string, version uint32, init func(*S), add func(*S, V),
	merge func(into, from *S), result func(S) (R, bool),
) (*User, error) {
	t := reflect.TypeFor[S]()
	fields, err := flat(t)
	if err != nil {
		return nil, fmt.Errorf("agg: the state of %q, %v: %w", name, t, err)
	}
	if t.Size() == 0 || t.Size() > MaxUserBytes {
		return nil, fmt.Errorf("agg: the state of %q, %v, has %d bytes, expected 1..%d", name, t, t.Size(),
			MaxUserBytes)
	}
	u := &User{name: name, version: version, state: fields, arg: typeOf[V]()}
	u.decimal = u.arg.IsDecimal()
	u.bind = func(arg Arg) Func {
		return &user[S, V, R]{
			same: identity{u, arg.Type}, words: int(t.Size()+7) / 8, typ: typeOf[R](), value: valueOf[V](arg.Type), init: init, add: add,
			merge: merge, result: result, panics: &usercode.Note{},
		}
	}
	return u, nil
}

// typeOf is the type of a column whose values are of a Go type.
func typeOf[V any]() record.Type {
	var v V
	switch any(v).(type) {
	case int64:
		return record.Int64
	case float64:
		return record.Float64
	case bool:
		return record.Bool
	case string:
		return record.String
	case time.Time:
		return record.Timestamp
	default:
		return record.DecimalOf(record.MaxPrecision, 0)
	}
}

// valueOf returns the function that makes a Go value of record i; it is nil if the word of a record
// is the value.
func valueOf[V Input](arg record.Type) func(a *Args, i int) V {
	var v V
	var read any
	switch any(v).(type) {
	case bool:
		read = func(a *Args, i int) bool { return a.Words[i] != 0 }
	case string:
		read = func(a *Args, i int) string {
			text := a.text(i)
			return unsafe.String(unsafe.SliceData(text), len(text))
		}
	case time.Time:
		read = func(a *Args, i int) time.Time { return time.Unix(0, int64(a.Words[i])).UTC() }
	case record.Decimal:
		scale := uint8(arg.Scale())
		read = func(a *Args, i int) record.Decimal {
			return record.Decimal{Unscaled: int64(a.Words[i]), Scale: scale}
		}
	default:
		return nil
	}
	return read.(func(a *Args, i int) V)
}

// user is a user's function bound to an argument. The state lies in the row as the user's S; what
// is left of its last word is zero.
type user[S any, V Input, R Outcome] struct {
	same   identity
	words  int
	typ    record.Type
	value  func(a *Args, i int) V // nil if the word is the value
	init   func(*S)
	add    func(*S, V)
	merge  func(into, from *S)
	result func(S) (R, bool)
	panics *usercode.Note // of result
	meter  usercode.Meter // of Update
}

// Type returns the type of the result.
func (u *user[S, V, R]) Type() record.Type { return u.typ }

// Words returns the size of a state.
func (u *user[S, V, R]) Words() int { return u.words }

// of is the state at a place that has room for it.
func (*user[S, V, R]) of(state []uint64) *S { return (*S)(unsafe.Pointer(unsafe.SliceData(state))) }

// Init writes the state of no records.
func (u *user[S, V, R]) Init(state []uint64) {
	clear(state[:u.words])
	if u.init != nil {
		u.init(u.of(state))
	}
}

// contain names the function in a panic. It is called by defer.
func (u *user[S, V, R]) contain() {
	v := recover()
	if v != nil {
		panic(&usercode.Panic{Function: u.same.user.name, Value: v, Stack: debug.Stack()})
	}
}

// Update adds the record to the states, unless the value is NULL.
func (u *user[S, V, R]) Update(rows Rows, at uintptr, args Args) {
	defer u.contain()
	watch := usercode.Start()
	u.update(rows, at, args)
	u.meter.Stop(len(rows.Off), watch)
}

func (u *user[S, V, R]) update(rows Rows, at uintptr, args Args) {
	words := args.Words[:len(rows.Off)]
	if u.value == nil && args.Nulls == nil {
		for i, off := range rows.Off {
			u.add((*S)(unsafe.Add(rows.Base, uintptr(off)+at)), *(*V)(unsafe.Pointer(&words[i])))
		}
		return
	}
	for i, off := range rows.Off {
		if args.Nulls != nil && args.null(i) != 0 {
			continue
		}
		// The row is wide enough, see Rows.word.
		s := (*S)(unsafe.Add(rows.Base, uintptr(off)+at))
		if u.value == nil {
			u.add(s, *(*V)(unsafe.Pointer(&words[i])))
		} else {
			u.add(s, u.value(&args, i))
		}
	}
}

// Merge adds a state to a state.
func (u *user[S, V, R]) Merge(state, from []uint64, _, _ *Blocks) {
	defer u.contain()
	u.merge(u.of(state), u.of(from))
}

// Result gives the user's function a copy: the state may be part of a snapshot. If the function
// panics, the value is NULL.
func (u *user[S, V, R]) Result(state []uint64, _ *Blocks) (v Value) {
	defer func() {
		p := recover()
		if p != nil {
			v = Value{Null: true, Overflow: true}
			u.panics.Add(&usercode.Panic{Function: u.same.user.name, Value: p, Stack: debug.Stack()})
		}
	}()
	r, ok := u.result(*u.of(state))
	if !ok {
		return Value{Null: true}
	}
	switch r := any(r).(type) {
	case int64:
		return Value{Bits: uint64(r)}
	case float64:
		return Value{Bits: *(*uint64)(unsafe.Pointer(&r))}
	case bool:
		if r {
			return Value{Bits: 1}
		}
		return Value{}
	case time.Time:
		return Value{Bits: uint64(r.UnixNano())}
	}
	panic("agg: a result of another type")
}

// An identity says which function of a user it is, and over what.
type identity struct {
	user *User
	arg  record.Type
}

func (u *user[S, V, R]) identity() identity { return u.same }

// Same says whether two functions are the same over the same argument.
func Same(a, b Func) bool {
	x, ok := a.(interface{ identity() identity })
	y, also := b.(interface{ identity() identity })
	if ok || also {
		return ok && also && x.identity() == y.identity()
	}
	return a == b
}

// noteTo has the panics of result noted.
func (u *user[S, V, R]) noteTo(n *usercode.Note) { u.panics = n }

// metered returns the function with its meter.
func (u *user[S, V, R]) metered() usercode.Metered {
	return usercode.Metered{Name: u.same.user.name, Meter: &u.meter}
}

// MeterOf returns how long the updates of a user's function take. ok is false for other functions.
func MeterOf(f Func) (m usercode.Metered, ok bool) {
	u, ok := f.(interface{ metered() usercode.Metered })
	if ok {
		m = u.metered()
	}
	return m, ok
}

// IsUser says whether a function is a user's.
func IsUser(f Func) bool {
	_, ok := f.(interface{ noteTo(n *usercode.Note) })
	return ok
}

// NoteTo has it noted if the result of a user's function panics. It is called before the function
// is used.
func NoteTo(f Func, n *usercode.Note) {
	u, ok := f.(interface{ noteTo(n *usercode.Note) })
	if ok {
		u.noteTo(n)
	}
}

// flat describes a type that has no pointers, or says why it has some.
func flat(t reflect.Type) (fields string, err error) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64,
		reflect.Complex64, reflect.Complex128:
		return t.Kind().String(), nil
	case reflect.Array:
		of, err := flat(t.Elem())
		return fmt.Sprintf("[%d]%s", t.Len(), of), err
	case reflect.Struct:
		var all []string
		for i := range t.NumField() {
			f := t.Field(i)
			of, err := flat(f.Type)
			if err != nil {
				return "", fmt.Errorf("field %s: %w", f.Name, err)
			}
			all = append(all, f.Name+" "+of)
		}
		return "{" + strings.Join(all, ", ") + "}", nil
	}
	return "", fmt.Errorf("a %v: a state lies outside of Go's heap and must have no pointers, strings, slices, maps, "+
		"channels, functions or interfaces", t.Kind())
}
