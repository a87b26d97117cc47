// Package int128 computes with whole numbers of 128 bits, two's complement. They are the values of
// wide decimals: numbers of up to 38 digits, counted in units of the last one. Nothing is
// allocated.
package int128

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unsafe"
)

// Digits is how many digits an Int can always hold.
const Digits = 38

// Size is the number of bytes of Bytes.
const Size = 16

// An Int is a number in two's complement: Hi has the sign.
type Int struct{ Hi, Lo uint64 }

// Pow10 has the powers of ten that an Int holds.
var Pow10 = func() (p [Digits + 1]Int) {
	p[0] = Int{Lo: 1}
	for i := 1; i < len(p); i++ {
		high, low := bits.Mul64(p[i-1].Lo, 10)
		p[i] = Int{p[i-1].Hi*10 + high, low}
	}
	return p
}()

// Of is an int64.
func Of(v int64) Int { return Int{uint64(v >> 63), uint64(v)} }

// Int64 is x as an int64; ok is false if it does not fit.
func (x Int) Int64() (v int64, ok bool) { return int64(x.Lo), x.Hi == uint64(int64(x.Lo)>>63) }

// Negative says whether x < 0.
func (x Int) Negative() bool { return int64(x.Hi) < 0 }

// Zero says whether x is 0.
func (x Int) Zero() bool { return x.Hi|x.Lo == 0 }

// Neg is -x. The least Int is its own negative.
func (x Int) Neg() Int {
	low, borrow := bits.Sub64(0, x.Lo, 0)
	high, _ := bits.Sub64(0, x.Hi, borrow)
	return Int{high, low}
}

// Abs is the magnitude of x, without a sign.
func (x Int) Abs() Int {
	if x.Negative() {
		return x.Neg()
	}
	return x
}

// signed is a magnitude with a sign.
func (x Int) signed(negative bool) Int {
	if negative {
		return x.Neg()
	}
	return x
}

// Cmp is -1, 0 or 1, as x is less than, equal to or greater than y.
func (x Int) Cmp(y Int) int {
	const sign = 1 << 63
	return cmp(Int{x.Hi ^ sign, x.Lo}, Int{y.Hi ^ sign, y.Lo})
}

// cmp is Cmp of numbers without a sign.
func cmp(x, y Int) int {
	switch {
	case x == y:
		return 0
	case x.Hi < y.Hi || x.Hi == y.Hi && x.Lo < y.Lo:
		return -1
	}
	return 1
}

// Fits says whether x has at most that many digits.
func (x Int) Fits(digits int) bool { return cmp(x.Abs(), Pow10[digits]) < 0 }

// Add is x+y; ok is false if it does not fit.
func (x Int) Add(y Int) (sum Int, ok bool) {
	var carry uint64
	sum.Lo, carry = bits.Add64(x.Lo, y.Lo, 0)
	sum.Hi, _ = bits.Add64(x.Hi, y.Hi, carry)
	return sum, int64((x.Hi^sum.Hi)&(y.Hi^sum.Hi)) >= 0
}

// Mul is x*y; ok is false if it does not fit.
func (x Int) Mul(y Int) (product Int, ok bool) {
	negative := x.Negative() != y.Negative()
	x, y = x.Abs(), y.Abs()
	if x.Hi != 0 && y.Hi != 0 {
		return Int{}, false
	}
	high, low := bits.Mul64(x.Lo, y.Lo)
	over1, cross1 := bits.Mul64(x.Hi, y.Lo)
	over2, cross2 := bits.Mul64(x.Lo, y.Hi)
	high, carry1 := bits.Add64(high, cross1, 0)
	high, carry2 := bits.Add64(high, cross2, 0)
	if over1|over2|carry1|carry2 != 0 || int64(high) < 0 {
		return Int{}, false
	}
	return Int{high, low}.signed(negative), true
}

// DivMod is x/y, cut towards 0, and the rest, which has the sign of x. y is not 0.
func (x Int) DivMod(y Int) (quotient, rest Int) {
	quotient, rest = divMod(x.Abs(), y.Abs())
	return quotient.signed(x.Negative() != y.Negative()), rest.signed(x.Negative())
}

// divMod is DivMod of numbers without a sign. If the divisor has more than 64 bits, the quotient is
// estimated by its upper 64 bits, and is then at most one too large (Warren, Hacker's Delight,
// 9-5).
func divMod(x, y Int) (quotient, rest Int) {
	if y.Hi == 0 {
		quotient.Hi = x.Hi / y.Lo
		quotient.Lo, rest.Lo = bits.Div64(x.Hi%y.Lo, x.Lo, y.Lo)
		return quotient, rest
	}
	shift := uint(bits.LeadingZeros64(y.Hi))
	top := y.Hi<<shift | y.Lo>>1>>(63-shift)
	estimate, _ := bits.Div64(x.Hi>>1, x.Hi<<63|x.Lo>>1, top)
	estimate >>= 63 - shift
	if estimate > 0 {
		estimate-- // now at most one too small
	}
	quotient.Lo = estimate
	high, low := bits.Mul64(estimate, y.Lo)
	var borrow uint64
	rest.Lo, borrow = bits.Sub64(x.Lo, low, 0)
	rest.Hi, _ = bits.Sub64(x.Hi, high+estimate*y.Hi, borrow)
	if cmp(rest, y) >= 0 {
		quotient.Lo++
		rest.Lo, borrow = bits.Sub64(rest.Lo, y.Lo, 0)
		rest.Hi, _ = bits.Sub64(rest.Hi, y.Hi, borrow)
	}
	return quotient, rest
}

// A Mode says what becomes of digits after the last one that is kept.
type Mode uint8

// The modes.
const (
	HalfAway Mode = iota // rounds to the nearest, at the half away from 0
	Cut                  // towards 0
	Floor                // towards -infinity
	Ceil                 // towards infinity
	Exact                // there must be none but zeros
)

// Rescale moves the decimal point from from digits after it to to digits. ok is false if the result
// does not fit 38 digits, or if the mode is Exact and digits would be lost.
func (x Int) Rescale(from, to int, mode Mode) (v Int, ok bool) {
	if to >= from {
		if x.Zero() {
			return x, true
		}
		if to-from > Digits {
			return Int{}, false
		}
		v, ok = x.Mul(Pow10[to-from])
		return v, ok && v.Fits(Digits)
	}
	unit, rest := Int{}, x
	if from-to <= Digits {
		unit = Pow10[from-to]
		v, rest = x.DivMod(unit)
	}
	away := false
	switch mode {
	case HalfAway:
		// Twice a rest fits 128 bits without a sign. There is no unit if x is less than its half.
		twice := rest.Abs()
		twice = Int{twice.Hi<<1 | twice.Lo>>63, twice.Lo << 1}
		away = !unit.Zero() && cmp(twice, unit) >= 0
	case Floor:
		away = rest.Negative()
	case Ceil:
		away = !rest.Negative() && !rest.Zero()
	case Exact:
		if !rest.Zero() {
			return Int{}, false
		}
	}
	if away {
		v, _ = v.Add(Of(1 - 2*int64(x.Hi>>63)))
	}
	return v, true
}

// AppendBytes appends 16 bytes, whose order is the order of the numbers: the sign is turned over,
// and the highest byte comes first.
func (x Int) AppendBytes(to []byte) []byte {
	to = binary.BigEndian.AppendUint64(to, x.Hi^1<<63)
	return binary.BigEndian.AppendUint64(to, x.Lo)
}

// FromBytes is the number of AppendBytes. b has Size bytes.
func FromBytes[T string | []byte](b T) (x Int) {
	_ = b[Size-1]
	for i := range 8 {
		x.Hi = x.Hi<<8 | uint64(b[i])
		x.Lo = x.Lo<<8 | uint64(b[8+i])
	}
	x.Hi ^= 1 << 63
	return x
}

// Append appends x as a number with scale digits after the point.
func (x Int) Append(to []byte, scale int) []byte {
	var room [2*Digits + 4]byte
	at := len(room)
	rest := x.Abs()
	for n := 0; n <= scale || !rest.Zero(); {
		// 19 digits at a time. The last group has only the zeros before it that the scale needs.
		quotient, part := divMod(rest, Int{Lo: 1e19})
		rest = quotient
		for k := 0; k < 19 && (n <= scale || part.Lo > 0 || !rest.Zero()); k++ {
			if n == scale && scale > 0 {
				at--
				room[at] = '.'
			}
			at--
			room[at] = '0' + byte(part.Lo%10)
			part.Lo /= 10
			n++
		}
	}
	if x.Negative() {
		at--
		room[at] = '-'
	}
	return append(to, room[at:]...)
}

// Float64 is the float64 nearest to x * 10^-scale.
func (x Int) Float64(scale int) float64 {
	var room [Digits + 16]byte
	text := strconv.AppendInt(append(x.Append(room[:0], 0), 'e'), int64(-scale), 10)
	// ParseFloat keeps its argument only in an error, which there is none of.
	f, _ := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
	return f
}

// What Parse may say. The caller knows the type.
var (
	ErrNumber = errors.New("is not a number")
	ErrRange  = errors.New("is out of range")
	ErrDigits = errors.New("has more digits after the point")
)

// maxExponent bounds the exponent of a number in a text. With more, every number but 0 is out of
// range, or 0.
const maxExponent = 1000

// Parse reads a number with an optional sign, point and exponent, as a value with scale digits
// after the point and precision digits. Digits after those are dropped as mode says.
func Parse(s string, precision, scale int, mode Mode) (x Int, err error) {
	digits, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exponent, err = strconv.Atoi(s[i+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return x, ErrNumber
		}
		digits = s[:i]
	}
	negative := strings.HasPrefix(digits, "-")
	if negative || strings.HasPrefix(digits, "+") {
		digits = digits[1:]
	}
	point := strings.IndexByte(digits, '.')
	whole := len(digits)
	if point >= 0 {
		whole = point
	}
	if len(digits) == 0 || len(digits) == 1 && point == 0 {
		return x, ErrNumber
	}
	keep := whole + exponent + scale // number of digits up to the last one that is kept
	up, lost, n := false, false, 0
	for i := range len(digits) {
		d := digits[i] - '0'
		switch {
		case i == point:
			continue
		case d > 9:
			return x, ErrNumber
		case n < keep:
			if x.Hi >= 1<<60 { // more than 38 digits
				return x, ErrRange
			}
			x = x.timesTen(uint64(d))
		case n == keep && d >= 5:
			up, lost = true, true
		case d > 0:
			lost = true
		}
		n++
	}
	for ; n < keep && !x.Zero(); n++ {
		if x.Hi >= 1<<60 {
			return x, ErrRange
		}
		x = x.timesTen(0)
	}
	switch {
	case lost && mode == Exact:
		return x, ErrDigits
	case up && mode == HalfAway && keep >= 0:
		x, _ = x.Add(Of(1))
	}
	if !x.Fits(precision) {
		return x, ErrRange
	}
	return x.signed(negative), nil
}

// timesTen is 10*x + d of a number that is not negative and has at most 124 bits.
func (x Int) timesTen(d uint64) Int {
	high, low := bits.Mul64(x.Lo, 10)
	low, carry := bits.Add64(low, d, 0)
	return Int{10*x.Hi + high + carry, low}
}

// Explain says what Parse has found wrong with a text, for a type by its name.
func Explain(text, typ string, scale int, err error) error {
	switch {
	case errors.Is(err, ErrDigits):
		return fmt.Errorf("%.60q has more than %d digits after the point", text, scale)
	case errors.Is(err, ErrRange):
		return fmt.Errorf("%.60q does not fit %s", text, typ)
	}
	return fmt.Errorf("%.60q is not a %s", text, typ)
}
