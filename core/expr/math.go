package expr

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/velo-engine/velo/record"
)

// A mathFunc is a function of one float.
type mathFunc struct {
	f func(float64) float64
	// from and to are the least and the greatest argument; another one fails. NaN always passes.
	from, to float64
	// bounded says that the function of an infinity fails.
	bounded bool
	// overflows says that an infinite result of a finite argument fails.
	overflows bool
}

var (
	inf       = math.Inf(1)
	mathFuncs = map[string]*mathFunc{
		"sin":  {f: math.Sin, from: -inf, to: inf, bounded: true},
		"cos":  {f: math.Cos, from: -inf, to: inf, bounded: true},
		"tan":  {f: math.Tan, from: -inf, to: inf, bounded: true},
		"cot":  {f: func(x float64) float64 { return 1 / math.Tan(x) }, from: -inf, to: inf, bounded: true},
		"asin": {f: math.Asin, from: -1, to: 1}, "acos": {f: math.Acos, from: -1, to: 1},
		"atan": {f: math.Atan, from: -inf, to: inf},
		"sinh": {f: math.Sinh, from: -inf, to: inf}, "cosh": {f: math.Cosh, from: -inf, to: inf},
		"tanh": {f: math.Tanh, from: -inf, to: inf}, "asinh": {f: math.Asinh, from: -inf, to: inf},
		"acosh": {f: math.Acosh, from: 1, to: inf}, "atanh": {f: math.Atanh, from: -1, to: 1},
		"cbrt": {f: math.Cbrt, from: -inf, to: inf},
		"degrees": {
			f: func(x float64) float64 { return x / (math.Pi / 180) }, from: -inf, to: inf, overflows: true,
		},
		"radians": {f: func(x float64) float64 { return x * (math.Pi / 180) }, from: -inf, to: inf},
		"log2":    {f: math.Log2, from: math.SmallestNonzeroFloat64, to: inf},
	}
)

// Math is a function of one float by its name in SQL: sin, log2, degrees and others. The error says
// that there is no such function, or that x is no float.
func Math(name string, x *Expr) (*Expr, error) {
	f, ok := mathFuncs[name]
	if !ok {
		return nil, fmt.Errorf("expr: there is no function %s of a float", name)
	}
	return build(&Expr{op: opMath, name: name, args: []*Expr{x}, aux: f})
}

// IsMath says whether Math knows a function.
func IsMath(name string) bool { return mathFuncs[name] != nil }

// of computes the function.
func (m *mathFunc) of(x float64) (float64, error) {
	if x < m.from || x > m.to || m.bounded && math.IsInf(x, 0) {
		return 0, errRange
	}
	v := m.f(x)
	if m.overflows && math.IsInf(v, 0) && !math.IsInf(x, 0) {
		return 0, errRange
	}
	return v, nil
}

func evalMath(e *Expr, a []Value) (Value, error) {
	v, err := e.aux.(*mathFunc).of(math.Float64frombits(a[0].Bits))
	return Value{Bits: math.Float64bits(v)}, err
}

func vectorMath(m *Machine, e *node, a []*vec) bool {
	f, r := e.aux.(*mathFunc), registerOf(a[1])
	return m.eachFloat(r, a[0], f.of)
}

// eachFloat computes a function of one float for all rows that are not NULL.
func (m *Machine) eachFloat(r *register, x *vec, f func(float64) (float64, error)) bool {
	r.words = r.ownWords[:m.n]
	for i, w := range x.words[:m.n] {
		if !r.isValid(i) {
			r.words[i] = 0
			continue
		}
		v, err := f(math.Float64frombits(w))
		if err != nil {
			r.fail(i)
		}
		r.words[i] = math.Float64bits(v)
	}
	return true
}

// vectorFloat is the loop of Sqrt, Ln, Log10 and Exp.
func vectorFloat(m *Machine, e *node, a []*vec) bool {
	op := e.op
	return m.eachFloat(registerOf(a[1]), a[0], func(x float64) (float64, error) { return floatFunc(op, x) })
}

func evalAtan2(_ *Expr, a []Value) (Value, error) {
	return Value{Bits: math.Float64bits(math.Atan2(math.Float64frombits(a[0].Bits), math.Float64frombits(a[1].Bits)))},
		nil
}

// evalInts are functions of whole numbers.
func evalInts(e *Expr, a []Value) (Value, error) {
	x := int64(a[0].Bits)
	switch e.op {
	case Factorial:
		if x < 0 {
			return Value{}, errors.New("the factorial of a negative number")
		}
		v := int64(1)
		for n := int64(2); n <= x; n++ {
			next, err := intOf(Mul, v, n)
			if err != nil {
				return Value{}, err
			}
			v = next
		}
		return Value{Bits: uint64(v)}, nil
	case BitCount:
		return Value{Bits: uint64(bits.OnesCount64(uint64(x)))}, nil
	}
	y := int64(a[1].Bits)
	p, q := magnitude(x), magnitude(y)
	for q != 0 {
		p, q = q, p%q
	}
	if e.op == GCD {
		if p > math.MaxInt64 {
			return Value{}, errRange
		}
		return Value{Bits: p}, nil
	}
	if p == 0 {
		return Value{}, nil
	}
	high, low := bits.Mul64(magnitude(x)/p, magnitude(y))
	if high != 0 || low > math.MaxInt64 {
		return Value{}, errRange
	}
	return Value{Bits: low}, nil
}

func magnitude(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}

// evalWidthBucket says in which of n buckets of equal width between two bounds a number is: 0
// before the first, n+1 after the last. The bounds may be in descending order.
func evalWidthBucket(_ *Expr, a []Value) (Value, error) {
	x, low, high := math.Float64frombits(a[0].Bits), math.Float64frombits(a[1].Bits), math.Float64frombits(a[2].Bits)
	n := int64(a[3].Bits)
	switch {
	case n <= 0 || n > math.MaxInt32:
		return Value{}, errors.New("the number of buckets is not from 1 to 2147483647")
	case x != x || low != low || high != high:
		return Value{}, errors.New("a bucket of NaN")
	case math.IsInf(low, 0) || math.IsInf(high, 0) || low == high:
		return Value{}, errors.New("the bounds of the buckets must be finite and differ")
	}
	if low > high {
		x, low, high = -x, -low, -high
	}
	switch {
	case x < low:
		return Value{}, nil
	case x >= high:
		return Value{Bits: uint64(n + 1)}, nil
	}
	place := float64(n) * (x - low) / (high - low)
	if !(place <= float64(n)) { // the difference has overflowed
		place = float64(n - 1)
	}
	return Value{Bits: uint64(int64(place) + 1)}, nil
}

// The bit operators take whole numbers. A shift by less than 0 or more than 63 bits fails.

func evalBits(e *Expr, a []Value) (Value, error) {
	if e.op == BitNot {
		return Value{Bits: ^a[0].Bits}, nil
	}
	v, ok := bitsOf(e.op, a[0].Bits, a[1].Bits)
	if !ok {
		return Value{}, errors.New("a shift by less than 0 or more than 63 bits")
	}
	return Value{Bits: v}, nil
}

// bitsOf is one bit operation; ok is false if it fails.
func bitsOf(op Op, x, y uint64) (v uint64, ok bool) {
	switch op {
	case BitAnd:
		return x & y, true
	case BitOr:
		return x | y, true
	case BitXor:
		return x ^ y, true
	case ShiftLeft:
		return x << (y & 63), y < 64
	}
	return uint64(int64(x) >> (y & 63)), y < 64
}

func vectorBits(m *Machine, e *node, a []*vec) bool {
	r, x := registerOf(a[len(a)-1]), a[0].words[:m.n]
	r.words = r.ownWords[:m.n]
	to := r.words
	if e.op == BitNot {
		for i, v := range x {
			to[i] = ^v
		}
		return true
	}
	y := a[1].words[:m.n]
	switch e.op {
	case BitAnd:
		for i, v := range x {
			to[i] = v & y[i]
		}
	case BitOr:
		for i, v := range x {
			to[i] = v | y[i]
		}
	case BitXor:
		for i, v := range x {
			to[i] = v ^ y[i]
		}
	default:
		for i, v := range x {
			w, ok := bitsOf(e.op, v, y[i])
			to[i] = w
			if !ok && r.isValid(i) {
				r.fail(i)
			}
		}
	}
	return true
}

// A places is how many digits after the point a number is rounded or cut to; negative numbers count
// digits before the point.
type places struct {
	digits int
	cut    bool
}

// RoundTo rounds a number to that many digits after the point, away from 0 at the half, or cuts it.
// Digits may be negative: RoundTo(x, -2, false) rounds to hundreds. A float is rounded by the 15
// digits that PostgreSQL makes a numeric of.
func RoundTo(x *Expr, digits int, cut bool) (*Expr, error) {
	if digits > most(x.typ) || digits < -400 {
		return nil, fmt.Errorf("expr: %d digits after the point, expected at most %d", digits, most(x.typ))
	}
	if !cut && x.isQuotient() && digits >= 0 {
		return RoundQuotient(x, digits), nil
	}
	name := fmt.Sprintf("round %d", digits)
	if cut {
		name = fmt.Sprintf("trunc %d", digits)
	}
	return build(&Expr{op: roundTo, name: name, args: []*Expr{x}, aux: places{digits, cut}})
}

func roundToTypes(e *Expr) error {
	if err := oneNumber(e); err != nil {
		return err
	}
	if p := e.aux.(places); isAnyDecimal(e.typ) && p.digits < e.typ.Scale() {
		scale := max(p.digits, 0)
		e.typ = decimalLike(e.typ, e.typ.Precision()-e.typ.Scale()+scale+1, scale)
	}
	return nil
}

func evalRoundTo(e *Expr, a []Value) (Value, error) {
	if e.typ.IsWide() {
		return evalMade(e, a)
	}
	p, from := e.aux.(places), e.args[0].typ
	if from == record.Float64 {
		f, err := p.float(math.Float64frombits(a[0].Bits))
		return Value{Bits: math.Float64bits(f)}, err
	}
	drop := from.Scale() - p.digits
	if drop <= 0 {
		return a[0], nil
	}
	v := int64(a[0].Bits)
	if drop > record.MaxPrecision {
		return Value{}, nil
	}
	unit := record.Pow10[drop]
	whole, rest := v/unit, v%unit
	if !p.cut && rest >= unit-rest {
		whole++
	} else if !p.cut && -rest >= unit+rest {
		whole--
	}
	// Digits before the point stay as zeros.
	v, err := intOf(Mul, whole, record.Pow10[max(0, -p.digits)])
	if err == nil && !fits(e.typ, v) {
		err = errRange
	}
	return Value{Bits: uint64(v)}, err
}

// float rounds or cuts a float by its first 15 digits.
func (p places) float(f float64) (float64, error) {
	switch {
	case f == 0:
		return 0, nil
	case f != f || math.IsInf(f, 0):
		return f, nil
	}
	if v, ok := p.fastFloat(f); ok {
		return v, nil
	}
	text := strconv.AppendFloat(nil, math.Abs(f), 'e', 14, 64) // d.dddddddddddddde±dd
	exponent, err := strconv.Atoi(string(text[17:]))
	if err != nil {
		return 0, err
	}
	digits := append([]byte{text[0]}, text[2:16]...)
	keep := exponent + 1 + p.digits
	if keep < 0 {
		return 0, nil
	}
	keep = min(keep, len(digits))
	up := !p.cut && keep < len(digits) && digits[keep] >= '5'
	digits = digits[:keep]
	for i := keep - 1; up && i >= 0; i-- {
		up = digits[i] == '9'
		if up {
			digits[i] = '0'
		} else {
			digits[i]++
		}
	}
	if up {
		digits = append([]byte{'1'}, digits...)
	}
	if len(digits) == 0 {
		return 0, nil
	}
	v, err := strconv.ParseFloat(string(digits)+"e"+strconv.Itoa(exponent+1-keep), 64)
	if err != nil {
		return 0, errRange
	}
	return signed(v, f), nil
}

// signed gives a rounded number the sign of f; 0 has none, as a numeric.
func signed(v, f float64) float64 {
	if v == 0 {
		return 0
	}
	return math.Copysign(v, f)
}

func vectorRoundTo(m *Machine, e *node, a []*vec) bool {
	if e.Expr.args[0].typ != record.Float64 {
		return false
	}
	return m.eachFloat(registerOf(a[1]), a[0], e.aux.(places).float)
}
