package record

import (
	"fmt"
	"math/big"

	"github.com/velo-engine/velo/internal/int128"
)

// # Wide decimals
//
// A decimal of 19 to 38 digits lies in memory as a text of 16 bytes: its unscaled value in two's
// complement, with the sign turned over and the highest byte first. So the order of the bytes is
// the order of the numbers, and whatever handles texts (keys, order, least and greatest values,
// sets of different values, state, images) handles wide decimals without knowing them. Only
// arithmetic, sums and the formats know what the bytes mean.

// QuotientPlaces is how many digits a quotient or an average of wide decimals has after the point,
// at least. PostgreSQL shows at least that many significant digits (NUMERIC_MIN_SIG_DIGITS).
const QuotientPlaces = 16

// A Decimal128 is a value of a decimal column of up to 38 digits: (High * 2^64 + Low) * 10^-Scale.
type Decimal128 struct {
	High  int64
	Low   uint64
	Scale uint8
}

// wideOf is a number as a Decimal128.
func wideOf(x int128.Int, scale int) Decimal128 { return Decimal128{int64(x.Hi), x.Lo, uint8(scale)} }

func (d Decimal128) int() int128.Int { return int128.Int{Hi: uint64(d.High), Lo: d.Low} }

// Wide is d as a Decimal128.
func (d Decimal) Wide() Decimal128 { return wideOf(int128.Of(d.Unscaled), int(d.Scale)) }

// Decimal is d as a decimal of one word. ok is false if its unscaled value does not fit an int64.
func (d Decimal128) Decimal() (v Decimal, ok bool) {
	unscaled, ok := d.int().Int64()
	return Decimal{unscaled, d.Scale}, ok
}

// Big is the unscaled value.
func (d Decimal128) Big() *big.Int {
	v := big.NewInt(d.High)
	return v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(d.Low))
}

// Decimal128Of is unscaled * 10^-scale. The error says that it has more than 38 digits.
func Decimal128Of(unscaled *big.Int, scale int) (Decimal128, error) {
	if unscaled.BitLen() > 127 || scale < 0 || scale > MaxDigits {
		return Decimal128{}, fmt.Errorf("record: %v * 10^-%d does not fit %d digits", unscaled, scale, MaxDigits)
	}
	var low big.Int
	high := new(big.Int).Rsh(unscaled, 64).Int64() // cut towards -infinity, as two's complement is
	low.And(unscaled, new(big.Int).SetUint64(1<<64-1))
	d := Decimal128{high, low.Uint64(), uint8(scale)}
	if !d.int().Fits(MaxDigits) {
		return Decimal128{}, fmt.Errorf("record: %v * 10^-%d does not fit %d digits", unscaled, scale, MaxDigits)
	}
	return d, nil
}

// Float64 is the nearest float64.
func (d Decimal128) Float64() float64 { return d.int().Float64(int(d.Scale)) }

// String is the value with Scale digits after the point.
func (d Decimal128) String() string { return string(d.Append(nil)) }

// Append appends the value with Scale digits after the point.
func (d Decimal128) Append(to []byte) []byte { return d.int().Append(to, int(d.Scale)) }

// Rescale is d with the digits of the decimal type t, wide or not. The error says that digits would
// be lost.
func (d Decimal128) Rescale(t Type) (Decimal128, error) {
	x, ok := d.int().Rescale(int(d.Scale), t.Scale(), int128.Exact)
	switch {
	case !ok && t.Scale() < int(d.Scale):
		return Decimal128{}, fmt.Errorf("%v has more than %d digits after the point", d, t.Scale())
	case !ok || !x.Fits(t.Precision()):
		return Decimal128{}, fmt.Errorf("%v does not fit %v", d, t)
	}
	return wideOf(x, t.Scale()), nil
}

// AppendBytes appends the 16 bytes of a wide decimal with the scale of d.
func (d Decimal128) AppendBytes(to []byte) []byte { return d.int().AppendBytes(to) }

// WideDecimal is the value of a wide decimal type by its 16 bytes. It is 0 for any other number of
// bytes, which no column has.
func WideDecimal(t Type, text []byte) Decimal128 {
	if len(text) != int128.Size {
		return Decimal128{Scale: uint8(t.Scale())}
	}
	return wideOf(int128.FromBytes(text), t.Scale())
}

func appendWide(to []byte, t Type, text []byte) []byte {
	if len(text) != int128.Size { // a damaged value: all its bytes are shown
		return fmt.Appendf(to, "%x", text)
	}
	return int128.FromBytes(text).Append(to, t.Scale())
}

// parseWide appends the bytes of a number, of which no digit may be lost.
func parseWide(to []byte, t Type, text string) ([]byte, error) {
	x, err := int128.Parse(text, t.Precision(), t.Scale(), int128.Exact)
	if err != nil {
		return to, int128.Explain(text, t.String(), t.Scale(), err)
	}
	return x.AppendBytes(to), nil
}

func checkWide(t Type, text []byte) error {
	switch {
	case len(text) != int128.Size:
		return fmt.Errorf("%d bytes are no %v, which has %d", len(text), t, int128.Size)
	case !int128.FromBytes(text).Fits(t.Precision()):
		return fmt.Errorf("%s does not fit %v", appendWide(nil, t, text), t)
	}
	return nil
}

// Floor is the greatest number with scale digits after the point that is not greater than d. cut
// says that it is less. d has at least that many digits after the point.
func (d Decimal128) Floor(scale int) (whole Decimal128, cut bool) {
	x, _ := d.int().Rescale(int(d.Scale), scale, int128.Floor) // no number gets more digits
	back, _ := x.Rescale(scale, int(d.Scale), int128.Exact)
	return wideOf(x, scale), back != d.int()
}
