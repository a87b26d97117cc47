package expr

import (
	"errors"
	"math"
	"strconv"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// Operations over wide decimals, whose values are texts of 16 bytes (see package record).
// Values are compared and chosen as texts are. Arithmetic goes row by row: it costs some tens of
// nanoseconds, and the loops over decimals of one word stay as they are.

// isAnyDecimal says whether a type is a decimal, wide or not.
func isAnyDecimal(t record.Type) bool { return t.IsDecimal() || t.IsWide() }

// wideType is a wide decimal with at least that many digits.
func wideType(precision, scale int) record.Type {
	return record.DecimalOf(min(max(precision, record.MaxPrecision+1), record.MaxDigits), scale)
}

// decimalLike is a decimal that is wide if t is, with that many digits or the most that there may
// be.
func decimalLike(t record.Type, precision, scale int) record.Type {
	if t.IsWide() {
		return wideType(precision, scale)
	}
	return record.DecimalOf(min(record.MaxPrecision, precision), scale)
}

// most is the most digits that a decimal like t may have.
func most(t record.Type) int {
	if t.IsWide() {
		return record.MaxDigits
	}
	return record.MaxPrecision
}

// wideOf is the unscaled value of a wide decimal. A text of another length is damaged, and 0.
func (v Value) wideOf() int128.Int {
	if len(v.Text) != int128.Size {
		return int128.Int{}
	}
	return int128.FromBytes(v.Text)
}

// Wide makes a constant of a wide decimal type.
func Wide(t record.Type, v record.Decimal128) *Expr {
	return constant(t, Value{Text: string(v.AppendBytes(nil))})
}

// WideConst returns the value of a constant of a wide decimal type. ok is false for anything else,
// and for NULL.
func (e *Expr) WideConst() (v record.Decimal128, ok bool) {
	if e.op != opConst || !e.typ.IsWide() || e.value.Null {
		return v, false
	}
	return record.WideDecimal(e.typ, []byte(e.value.Text)), true
}

// appendWide appends the bytes of what an operation makes of wide decimals.
func appendWide(e *Expr, to []byte, a []Value) ([]byte, error) {
	x, scale, ok := a[0].wideOf(), e.args[0].typ.Scale(), true
	switch e.op {
	case Add:
		x, ok = x.Add(a[1].wideOf())
	case Sub:
		x, ok = x.Add(a[1].wideOf().Neg())
	case Mul:
		x, ok = x.Mul(a[1].wideOf())
	case Div:
		y := a[1].wideOf()
		if y.Zero() {
			return to, errZero
		}
		x, ok = x.Quotient(y, e.typ.Scale()-scale+e.args[1].typ.Scale(), int128.HalfAway)
		if !ok {
			return to, errQuotient
		}
	case Mod:
		y := a[1].wideOf()
		if y.Zero() {
			return to, errZero
		}
		_, x = x.DivMod(y)
	case Neg:
		x = x.Neg()
	case Abs:
		x = x.Abs()
	case Sign:
		x = signOf(x, scale)
	case Round:
		x, ok = x.Rescale(scale, 0, int128.HalfAway)
	case Floor:
		x, ok = x.Rescale(scale, 0, int128.Floor)
	case Ceil:
		x, ok = x.Rescale(scale, 0, int128.Ceil)
	case Trunc:
		x, ok = x.Rescale(scale, 0, int128.Cut)
	case roundTo:
		p, mode := e.aux.(places), int128.HalfAway
		if p.cut {
			mode = int128.Cut
		}
		if p.digits < scale {
			x, ok = x.Rescale(scale, p.digits, mode)
		}
		if ok && p.digits < 0 { // digits before the point stay as zeros
			x, ok = x.Rescale(p.digits, 0, mode)
		}
	}
	if !ok || !x.Fits(e.typ.Precision()) {
		return to, errRange
	}
	return x.AppendBytes(to), nil
}

// isQuotient says whether an expression is a quotient of wide decimals that nobody has rounded.
func (e *Expr) isQuotient() bool { return e.op == Div && e.typ.IsWide() && e.aux == nil }

// RoundQuotient returns a quotient of wide decimals with digits digits after the point, rounded
// once; digits is from 0 to record.MaxDigits. It returns any other expression as it is.
func RoundQuotient(e *Expr, digits int) *Expr {
	if !e.isQuotient() {
		return e
	}
	q, err := build(&Expr{op: Div, args: e.args, aux: places{digits: digits}})
	if err != nil {
		return e // cannot happen: the arguments have been divided before
	}
	return q
}

// floatQuotient is a quotient of wide decimals as a double: the quotient of both as doubles, which
// has no limit and keeps the digits of small quotients.
func floatQuotient(e *Expr) (*Expr, error) {
	var args [2]*Expr
	for i, a := range e.args {
		var err error
		args[i], err = Cast(a, record.Float64)
		if err != nil {
			return nil, err
		}
	}
	return New(Div, args[0], args[1])
}

// signOf is -1, 0 or 1 as a decimal with scale digits after the point.
func signOf(x int128.Int, scale int) int128.Int {
	switch {
	case x.Zero():
		return x
	case x.Negative():
		return int128.Pow10[scale].Neg()
	}
	return int128.Pow10[scale]
}

// appendWideCast appends the bytes of a wide decimal made of a number or a text, as casts to
// decimals do: digits that do not fit are rounded, away from 0 at the half.
func appendWideCast(to []byte, v Value, from, t record.Type) ([]byte, error) {
	var x int128.Int
	ok := true
	switch {
	case from == record.String:
		text := trimSpaces(v.Text)
		var err error
		x, err = int128.Parse(text, t.Precision(), t.Scale(), int128.HalfAway)
		if err != nil {
			if errors.Is(err, int128.ErrRange) {
				return to, errRange
			}
			return to, int128.Explain(text, t.String(), t.Scale(), err)
		}
	case from == record.Float64:
		// Like PostgreSQL, this takes the 15 digits that every decimal keeps in a float.
		var room [32]byte
		digits := strconv.AppendFloat(room[:0], math.Float64frombits(v.Bits), 'e', 14, 64)
		var err error
		x, err = int128.Parse(unsafeString(digits), t.Precision(), t.Scale(), int128.HalfAway)
		ok = err == nil
	case from.IsWide():
		x, ok = v.wideOf().Rescale(from.Scale(), t.Scale(), int128.HalfAway)
	default:
		x, ok = int128.Of(int64(v.Bits)).Rescale(from.Scale(), t.Scale(), int128.HalfAway)
	}
	if !ok || !x.Fits(t.Precision()) {
		return to, errRange
	}
	return x.AppendBytes(to), nil
}

// ofWide is a wide decimal as another number, which is not wide.
func ofWide(v Value, from, to record.Type) (uint64, error) {
	if to == record.Float64 {
		return math.Float64bits(v.wideOf().Float64(from.Scale())), nil
	}
	x, ok := v.wideOf().Rescale(from.Scale(), to.Scale(), int128.HalfAway)
	w, fit := x.Int64()
	if !ok || !fit || !fits(to, w) {
		return 0, errRange
	}
	return uint64(w), nil
}

// BeforeWide returns what a cast to a wide decimal was made of, if it is a whole number or a
// decimal of one word with the same digits after the point. Then the cast changes no value.
func (e *Expr) BeforeWide() (x *Expr, ok bool) {
	if e.op != opCast || !e.typ.IsWide() {
		return nil, false
	}
	from := e.args[0].typ
	if from != record.Int64 && !from.IsDecimal() || from.Scale() != e.typ.Scale() {
		return nil, false
	}
	return e.args[0], true
}
