package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/record"
)

// castTypes says which casts exist: from and to text for all types, between numbers, and between
// booleans and integers.
func castTypes(e *Expr) error {
	from, to := e.args[0].typ, e.typ
	switch {
	case from == record.String || to == record.String:
	case logicalCast(from, to):
	case isNumber(from) && isNumber(to):
	case from == record.Bool && to == record.Int64, from == record.Int64 && to == record.Bool:
	default:
		return fmt.Errorf("expr: cannot cast %v to %v", from, to)
	}
	return nil
}

func evalCast(e *Expr, a []Value) (Value, error) {
	from, to, v := e.args[0].typ, e.typ, a[0]
	switch {
	case to == record.String || to.IsWide():
		return evalMade(e, a)
	case from.IsWide():
		w, err := ofWide(v, from, to)
		return Value{Bits: w}, err
	case from.IsLogical() || to.IsLogical():
		return evalLogicalCast(v, from, to)
	case from == record.String:
		return parse(v.Text, to)
	case to == record.Bool:
		return Value{Bits: word(v.Bits != 0)}, nil
	case from == record.Bool:
		return v, nil
	}
	w, err := convert(v.Bits, from, to)
	return Value{Bits: w}, err
}

// appendCast appends the text that a cast makes.
func appendCast(e *Expr, to []byte, a []Value) ([]byte, error) {
	v := a[0]
	switch from := e.args[0].typ; {
	case e.typ.IsWide():
		return appendWideCast(to, v, from, e.typ)
	case e.typ != record.String: // a uuid or a bytea
		made, err := evalLogicalCast(v, from, e.typ)
		return append(to, made.Text...), err
	case from.IsLogical():
		return appendLogical(to, from, v), nil
	case from == record.String:
		return append(to, v.Text...), nil
	case from == record.Bool:
		return strconv.AppendBool(to, v.Bits != 0), nil
	case from == record.Timestamp:
		return appendTime(to, int64(v.Bits)), nil
	default:
		return appendNumber(to, from, v.Bits), nil
	}
}

// convert converts a number to another type.
func convert(w uint64, from, to record.Type) (uint64, error) {
	switch {
	case from == record.Float64:
		f := math.Float64frombits(w)
		if to.IsDecimal() {
			// Like PostgreSQL, this takes the 15 digits that every decimal keeps in a float.
			v, err := parseDecimal(strconv.FormatFloat(f, 'e', 14, 64), to)
			return uint64(v), err
		}
		f = math.RoundToEven(f)
		if !(f >= -1<<63 && f < 1<<63) {
			return 0, errRange
		}
		return uint64(int64(f)), nil
	case to == record.Float64:
		return math.Float64bits(record.Decimal{Unscaled: int64(w), Scale: uint8(from.Scale())}.Float64()), nil
	}
	v, err := rescale(int64(w), from.Scale(), to.Scale())
	if err == nil && !fits(to, v) {
		err = errRange
	}
	return uint64(v), err
}

// rescale moves the decimal point. If digits are lost it rounds away from 0 at the half.
func rescale(v int64, from, to int) (int64, error) {
	if to >= from {
		return intOf(Mul, v, record.Pow10[to-from])
	}
	unit := record.Pow10[from-to]
	whole, rest := v/unit, v%unit
	if rest >= unit-rest {
		whole++
	} else if -rest >= unit+rest {
		whole--
	}
	return whole, nil
}

// spaces are the characters that may surround a value in a text. They are PostgreSQL's, which are
// the white space of ASCII.
const spaces = " \t\n\v\f\r"

func trimSpaces(s string) string { return strings.Trim(s, spaces) }

// parse reads a value of a type from a text.
func parse(s string, t record.Type) (Value, error) {
	s = trimSpaces(s)
	bad := func() (Value, error) { return Value{}, fmt.Errorf("%q is no %v", s, t) }
	switch {
	case t == record.Int64:
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
				return Value{}, errRange
			}
			return bad()
		}
		return Value{Bits: uint64(v)}, nil
	case t == record.Float64:
		if strings.ContainsAny(s, "xX_pP") {
			return bad()
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
				return Value{}, errRange
			}
			return bad()
		}
		if v == 0 && strings.ContainsAny(mantissa(s), "123456789") {
			return Value{}, errRange // too small
		}
		return Value{Bits: math.Float64bits(v)}, nil
	case t.IsDecimal():
		v, err := parseDecimal(s, t)
		return Value{Bits: uint64(v)}, err
	case t == record.Bool:
		v, ok := parseBool(s)
		if !ok {
			return bad()
		}
		return Value{Bits: word(v)}, nil
	case t == record.Timestamp:
		v, err := record.ParseTime(s, nil)
		return Value{Bits: uint64(v)}, err
	}
	return bad()
}

// mantissa returns a number without its exponent.
func mantissa(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i]
	}
	return s
}

// parseDecimal rounds what comes after the last digit of the type, away from 0 at the half.
func parseDecimal(s string, t record.Type) (int64, error) {
	digits, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		v, err := strconv.Atoi(s[i+1:])
		if err != nil || v > 1000 || v < -1000 {
			return 0, fmt.Errorf("%q is no %v", s, t)
		}
		digits, exponent = s[:i], v
	}
	digits, negative := strings.CutPrefix(digits, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	all := whole + fraction
	if all == "" || strings.Trim(all, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no %v", s, t)
	}
	// keep is the number of digits up to the last one of the type.
	keep := len(whole) + exponent + t.Scale()
	var v int64
	for i := range max(keep, 0) {
		d := int64(0)
		if i < len(all) {
			d = int64(all[i] - '0')
		}
		if v > (math.MaxInt64-d)/10 {
			return 0, errRange
		}
		v = 10*v + d
	}
	if keep >= 0 && keep < len(all) && all[keep] >= '5' {
		v++
	}
	if !fits(t, v) {
		return 0, errRange
	}
	if negative {
		v = -v
	}
	return v, nil
}

func parseBool(s string) (v, ok bool) {
	switch strings.ToLower(s) {
	case "t", "tr", "tru", "true", "y", "ye", "yes", "on", "1":
		return true, true
	case "f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0":
		return false, true
	}
	return false, false
}
