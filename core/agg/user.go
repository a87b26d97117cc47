package agg

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// MaxUserBytes bounds the state of a function of a user.
const MaxUserBytes = 8 * MaxWords

// An Input is a Go type of an argument of a user's function: bigint, double precision, boolean,
// text, timestamp, or decimal. A text is valid during the call only.
type Input interface {
	int64 | float64 | bool | string | time.Time | record.Decimal
}

// An Outcome is a Go type of the result of a user's function: bigint, double precision, boolean,
// text or timestamp.
type Outcome interface {
	int64 | float64 | bool | string | time.Time
}

// A User is an aggregate function that a user has written: package aggregate makes them. It does
// not change, and any number of plans may share it.
type User struct {
	name    string
	version uint32
	state   string        // the fields of the state, as the fingerprint of a plan has them
	args    []record.Type // any decimal will do for a decimal
	bind    func(args []Arg) Func
}

// Name returns the name in SQL.
func (u *User) Name() string { return u.name }

// Arguments returns the types of the arguments; any decimal will do for one that is a decimal.
func (u *User) Arguments() []record.Type { return u.args }

// Takes says whether a value of this type will do for argument i.
func (u *User) Takes(i int, t record.Type) bool {
	return t == u.args[i] || u.args[i].IsDecimal() && t.IsDecimal()
}

// String describes the function with its version and the fields of its state: what two processes
// must agree on to use each other's states.
func (u *User) String() string { return fmt.Sprintf("%s version %d of %s", u.name, u.version, u.state) }

// Bind returns the function over arguments of these types.
func (u *User) Bind(args ...Arg) (Func, error) {
	if len(args) != len(u.args) {
		return nil, fmt.Errorf("agg: %s of %d columns, expected %d", u.name, len(args), len(u.args))
	}
	for i, a := range args {
		if !u.Takes(i, a.Type) {
			return nil, fmt.Errorf("agg: %s(%s) is not defined, expected %s", u.name, typesText(argTypes(args)),
				typesText(u.args))
		}
	}
	return u.bind(args), nil
}

func argTypes(args []Arg) (types []record.Type) {
	for _, a := range args {
		types = append(types, a.Type)
	}
	return types
}

func typesText(types []record.Type) string {
	var texts []string
	for _, t := range types {
		texts = append(texts, t.String())
	}
	return strings.Join(texts, ", ")
}

// A UserSpec is a function over states S with results R. S is a struct of at most MaxUserBytes
// without pointers.
type UserSpec[S any, R Outcome] struct {
	Name    string
	Version uint32
	Init    func(*S) // nil if the zero S has no records
	Merge   func(into, from *S)
	Result  func(S) (R, bool)
}

// NewUser makes a function of one argument. addAll, which may be nil, is add for several values.
func NewUser[S any, V Input, R Outcome](s UserSpec[S, R], add func(*S, V), addAll func(*S, []V)) (*User, error) {
	u, err := newUser(s, usercode.TypeOf[V]())
	if err != nil {
		return nil, err
	}
	u.bind = func(args []Arg) Func {
		a := adder[S, V]{value: valueOf[V](args[0].Type, firstText), add: add, addAll: addAll}
		return bindUser(u, s, args, a.update)
	}
	return u, nil
}

// NewUser2 makes a function of two arguments.
func NewUser2[S any, V, W Input, R Outcome](s UserSpec[S, R], add func(*S, V, W), addAll func(*S, []V, []W)) (
	*User, error,
) {
	u, err := newUser(s, usercode.TypeOf[V](), usercode.TypeOf[W]())
	if err != nil {
		return nil, err
	}
	u.bind = func(args []Arg) Func {
		a := adder2[S, V, W]{
			value: valueOf[V](args[0].Type, firstText), by: valueOf[W](args[1].Type, secondText),
			add: add, addAll: addAll,
		}
		return bindUser(u, s, args, a.update)
	}
	return u, nil
}

func newUser[S any, R Outcome](s UserSpec[S, R], args ...record.Type) (u *User, err error) {
	t := reflect.TypeFor[S]()
	fields, err := flat(t)
	if err != nil {
		return nil, fmt.Errorf("agg: the state of %q, %v: %w", s.Name, t, err)
	}
	if t.Size() == 0 || t.Size() > MaxUserBytes {
		return nil, fmt.Errorf("agg: the state of %q, %v, has %d bytes, expected 1..%d", s.Name, t, t.Size(),
			MaxUserBytes)
	}
	if s.Init != nil { // it is called when plans are compiled, and for each group
		defer func() {
			v := recover()
			if v != nil {
				err = fmt.Errorf("agg: Init of %q panics: %v", s.Name, v)
			}
		}()
		s.Init(new(S))
	}
	return &User{name: s.Name, version: s.Version, state: fields, args: args}, nil
}

func bindUser[S any, R Outcome](u *User, s UserSpec[S, R], args []Arg, update func(Rows, uintptr, *Args)) Func {
	same := identity{user: u}
	for i, a := range args {
		same.args[i] = a.Type
	}
	return &user[S, R]{
		UserSpec: s, same: same, words: int(unsafe.Sizeof(*new(S))+7) / 8, typ: usercode.TypeOf[R](), update: update,
		panics: &usercode.Note{},
	}
}

func firstText(a *Args) []byte  { return a.Text }
func secondText(a *Args) []byte { return a.ByText }

// valueOf returns the function that makes a Go value of a word; it is nil if the word is the value.
// texts returns the bytes that the words of texts are places in.
func valueOf[V Input](t record.Type, texts func(*Args) []byte) func(a *Args, word uint64) V {
	var v V
	var read any
	switch any(v).(type) {
	case bool:
		read = func(_ *Args, word uint64) bool { return word != 0 }
	case string:
		read = func(a *Args, word uint64) string {
			off, n := groupkey.LongPlace(word)
			text := texts(a)[off : off+n]
			return unsafe.String(unsafe.SliceData(text), len(text))
		}
	case time.Time:
		read = func(_ *Args, word uint64) time.Time { return time.Unix(0, int64(word)).UTC() }
	case record.Decimal:
		scale := uint8(t.Scale())
		read = func(_ *Args, word uint64) record.Decimal {
			return record.Decimal{Unscaled: int64(word), Scale: scale}
		}
	default:
		return nil
	}
	return read.(func(a *Args, word uint64) V)
}

// values returns a value for each word: the words themselves if they are the values, and otherwise
// values that are made in buffer.
func values[V Input](value func(*Args, uint64) V, a *Args, words []uint64, buffer []V) []V {
	if value == nil { // V is a type of eight bytes
		return unsafe.Slice((*V)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
	}
	buffer = buffer[:len(words)]
	for i, w := range words {
		buffer[i] = value(a, w)
	}
	return buffer
}

const (
	// longestRun is how many values addAll is called with at most.
	longestRun = 256

	// looked is how many records of a stripe are looked at to find out whether there are runs.
	looked = 64
)

// run returns how many of the records from i on are of the same group and have no NULL. Records
// with a NULL make a run of none.
func run(off []uint64, a *Args, null uint64, i int) int {
	end := min(len(off), i+longestRun)
	j := i
	for j < end && off[j] == off[i] && (a.Nulls == nil || a.Nulls[j]&null == 0) {
		j++
	}
	return j - i
}

// An adder adds values to states of functions of one argument.
type adder[S any, V Input] struct {
	value   func(*Args, uint64) V // nil if a word is a value
	add     func(*S, V)
	addAll  func(*S, []V)
	buffers sync.Pool // of *[longestRun]V
}

func (a *adder[S, V]) update(rows Rows, at uintptr, args *Args) {
	words := args.Words[:len(rows.Off)]
	if a.addAll != nil && a.runs(rows, at, args) {
		return
	}
	if a.value == nil && args.Nulls == nil {
		for i, off := range rows.Off {
			a.add((*S)(unsafe.Add(rows.Base, uintptr(off)+at)), *(*V)(unsafe.Pointer(&words[i])))
		}
		return
	}
	for i, off := range rows.Off {
		if args.Nulls != nil && args.null(i) != 0 {
			continue
		}
		// The row is wide enough, see Rows.word.
		s := (*S)(unsafe.Add(rows.Base, uintptr(off)+at))
		if a.value == nil {
			a.add(s, *(*V)(unsafe.Pointer(&words[i])))
		} else {
			a.add(s, a.value(args, words[i]))
		}
	}
}

// runs calls addAll for each run of records of one group. It returns false, and does nothing, if
// there are hardly any runs: then add is faster.
func (a *adder[S, V]) runs(rows Rows, at uintptr, args *Args) bool {
	same := 0
	for i := 1; i < min(len(rows.Off), looked); i++ {
		if rows.Off[i] == rows.Off[i-1] {
			same++
		}
	}
	if 4*same < min(len(rows.Off), looked) {
		return false
	}
	buffer, _ := a.buffers.Get().(*[longestRun]V)
	if buffer == nil {
		buffer = new([longestRun]V)
	}
	for i := 0; i < len(rows.Off); {
		n := run(rows.Off, args, 1<<(args.NullBit&63), i)
		if n > 0 {
			s := (*S)(unsafe.Add(rows.Base, uintptr(rows.Off[i])+at))
			a.addAll(s, values(a.value, args, args.Words[i:i+n], buffer[:]))
		}
		i += max(n, 1)
	}
	clear(buffer[:]) // texts lie in memory that may be given back
	a.buffers.Put(buffer)
	return true
}

// An adder2 adds values to states of functions of two arguments.
type adder2[S any, V, W Input] struct {
	value   func(*Args, uint64) V // nil if a word is a value
	by      func(*Args, uint64) W
	add     func(*S, V, W)
	addAll  func(*S, []V, []W)
	buffers sync.Pool // of *buffer2[V, W]
}

type buffer2[V, W any] struct {
	values [longestRun]V
	by     [longestRun]W
}

// update goes through runs, which may be of one record each.
func (a *adder2[S, V, W]) update(rows Rows, at uintptr, args *Args) {
	buffer, _ := a.buffers.Get().(*buffer2[V, W])
	if buffer == nil {
		buffer = new(buffer2[V, W])
	}
	null := uint64(1)<<(args.NullBit&63) | 1<<(args.ByNullBit&63)
	for i := 0; i < len(rows.Off); {
		n := run(rows.Off, args, null, i)
		if n > 0 {
			s := (*S)(unsafe.Add(rows.Base, uintptr(rows.Off[i])+at))
			v := values(a.value, args, args.Words[i:i+n], buffer.values[:])
			w := values(a.by, args, args.By[i:i+n], buffer.by[:])
			if a.addAll != nil {
				a.addAll(s, v, w)
			} else {
				for k := range v {
					a.add(s, v[k], w[k])
				}
			}
		}
		i += max(n, 1)
	}
	clear(buffer.values[:])
	clear(buffer.by[:])
	a.buffers.Put(buffer)
}

// user is a user's function bound to arguments. The state lies in the row as the user's S; what is
// left of its last word is zero.
type user[S any, R Outcome] struct {
	UserSpec[S, R]
	same   identity
	words  int
	typ    record.Type
	update func(Rows, uintptr, *Args)
	panics *usercode.Note // of Result
	meter  usercode.Meter // of Update
}

// Type returns the type of the result.
func (u *user[S, R]) Type() record.Type { return u.typ }

// Words returns the size of a state.
func (u *user[S, R]) Words() int { return u.words }

// of is the state at a place that has room for it.
func (*user[S, R]) of(state []uint64) *S { return (*S)(unsafe.Pointer(unsafe.SliceData(state))) }

// Init writes the state of no records.
func (u *user[S, R]) Init(state []uint64) {
	clear(state[:u.words])
	if u.UserSpec.Init != nil {
		u.UserSpec.Init(u.of(state))
	}
}

// contain names the function in a panic. It is called by defer.
func (u *user[S, R]) contain() {
	v := recover()
	if v != nil {
		panic(&usercode.Panic{Function: u.Name, Value: v, Stack: debug.Stack()})
	}
}

// Update adds the record to the states, unless an argument is NULL.
func (u *user[S, R]) Update(rows Rows, at uintptr, args Args) {
	defer u.contain()
	watch := usercode.Start()
	u.update(rows, at, &args)
	u.meter.Stop(len(rows.Off), watch)
}

// Merge adds a state to a state.
func (u *user[S, R]) Merge(state, from []uint64, _, _ *Blocks) {
	defer u.contain()
	u.UserSpec.Merge(u.of(state), u.of(from))
}

// result gives the user's function a copy: the state may be part of a snapshot. If the function
// panics, the value is NULL.
func (u *user[S, R]) result(state []uint64) (r R, v Value) {
	defer func() {
		p := recover()
		if p != nil {
			v = Value{Null: true, Overflow: true}
			u.panics.Add(&usercode.Panic{Function: u.Name, Value: p, Stack: debug.Stack()})
		}
	}()
	r, ok := u.UserSpec.Result(*u.of(state))
	return r, Value{Null: !ok}
}

// Result returns the value of a state. For a text it only says whether it is NULL; AppendText has
// the text.
func (u *user[S, R]) Result(state []uint64, _ *Blocks) Value {
	r, v := u.result(state)
	if v.Null {
		return v
	}
	switch r := any(r).(type) {
	case int64:
		v.Bits = uint64(r)
	case float64:
		v.Bits = *(*uint64)(unsafe.Pointer(&r))
	case bool:
		if r {
			v.Bits = 1
		}
	case time.Time:
		nanos, ok := usercode.Nanos(r)
		if !ok {
			return Value{Null: true, Overflow: true}
		}
		v.Bits = uint64(nanos)
	}
	return v
}

// AppendText appends the text that a state gives, nothing if it is NULL.
func (u *user[S, R]) AppendText(to []byte, state []uint64, _ *Blocks) []byte {
	r, v := u.result(state)
	text, _ := any(r).(string)
	if v.Null {
		return to
	}
	return append(to, text...)
}

// A Texter is a function whose results are texts that are made when they are read.
type Texter interface {
	AppendText(to []byte, state []uint64, blocks *Blocks) []byte
}

// TexterOf returns a function as a Texter, or nil if its texts lie in blocks.
func TexterOf(f Func) Texter {
	t, ok := f.(Texter)
	if !ok || f.Type().Kind() != record.String {
		return nil
	}
	return t
}

// An identity says which function of a user it is, and over what.
type identity struct {
	user *User
	args [2]record.Type
}

func (u *user[S, R]) identity() identity { return u.same }

// Same says whether two functions are the same over the same argument.
func Same(a, b Func) bool {
	x, ok := a.(interface{ identity() identity })
	y, also := b.(interface{ identity() identity })
	if ok || also {
		return ok && also && x.identity() == y.identity()
	}
	return a == b
}

// noteTo has the panics of Result noted.
func (u *user[S, R]) noteTo(n *usercode.Note) { u.panics = n }

// metered returns the function with its meter.
func (u *user[S, R]) metered() usercode.Metered {
	return usercode.Metered{Name: u.Name, Meter: &u.meter}
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
