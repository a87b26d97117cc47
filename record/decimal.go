package record

import (
	"fmt"
	"math"
	"strconv"
)

// A Decimal is a value of a decimal column: Unscaled * 10^-Scale.
type Decimal struct {
	Unscaled int64
	Scale    uint8
}

// Pow10 has the powers of ten that an int64 holds.
var Pow10 = func() (p [MaxPrecision + 1]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// Float64 is the nearest float64.
func (d Decimal) Float64() float64 {
	if d.Unscaled > -1<<53 && d.Unscaled < 1<<53 && d.Scale <= MaxPrecision {
		// both are exact, so the quotient is rounded once
		return float64(d.Unscaled) / float64(Pow10[d.Scale])
	}
	f, err := strconv.ParseFloat(d.String(), 64)
	if err != nil {
		return math.NaN() // cannot happen: String writes a number
	}
	return f
}

// String is the value with Scale digits after the point.
func (d Decimal) String() string { return string(d.Append(nil)) }

// Append appends the value with Scale digits after the point.
func (d Decimal) Append(to []byte) []byte {
	u := uint64(d.Unscaled)
	if d.Unscaled < 0 {
		to = append(to, '-')
		u = -u
	}
	if d.Scale == 0 {
		return strconv.AppendUint(to, u, 10)
	}
	digits := strconv.AppendUint(make([]byte, 0, 20), u, 10)
	point := len(digits) - int(d.Scale)
	if point <= 0 {
		to = append(to, '0', '.')
		for ; point < 0; point++ {
			to = append(to, '0')
		}
		return append(to, digits...)
	}
	to = append(to, digits[:point]...)
	to = append(to, '.')
	return append(to, digits[point:]...)
}

// Rescale is the unscaled value of d as a value of the decimal type t. The error says that digits
// would be lost.
func (d Decimal) Rescale(t Type) (int64, error) {
	v, scale := d.Unscaled, int(d.Scale)
	for ; scale > t.Scale(); scale-- {
		if v%10 != 0 {
			return 0, fmt.Errorf("%v has more than %d digits after the point", d, t.Scale())
		}
		v /= 10
	}
	limit := Pow10[t.Precision()] - 1
	for ; scale < t.Scale(); scale++ {
		if v > limit/10 || v < -limit/10 {
			return 0, fmt.Errorf("%v does not fit %v", d, t)
		}
		v *= 10
	}
	if v > limit || v < -limit {
		return 0, fmt.Errorf("%v does not fit %v", d, t)
	}
	return v, nil
}
