package int128

import (
	"encoding/binary"
	"math/bits"
)

// FromTwos reads a number of any number of bytes in two's complement, the highest first, as Avro
// and Parquet have decimals. ok is false if it does not fit an Int. No bytes are 0.
func FromTwos(b []byte) (x Int, ok bool) {
	if len(b) == 0 {
		return x, true
	}
	sign := byte(int8(b[0]) >> 7)
	for len(b) > Size {
		if b[0] != sign {
			return Int{}, false
		}
		b = b[1:]
	}
	if byte(int8(b[0])>>7) != sign {
		return Int{}, false
	}
	x = Of(int64(int8(sign)))
	for _, c := range b {
		x = Int{x.Hi<<8 | x.Lo>>56, x.Lo<<8 | uint64(c)}
	}
	return x, true
}

// AppendTwos appends 16 bytes of two's complement, the highest first.
func (x Int) AppendTwos(to []byte) []byte {
	to = binary.BigEndian.AppendUint64(to, x.Hi)
	return binary.BigEndian.AppendUint64(to, x.Lo)
}

// AppendNumeric appends x * 10^-scale as PostgreSQL's binary format has a numeric: the number of
// groups of four digits, the power of 10,000 of the first, the sign, the number of digits after the
// point, and the groups. There are no groups of zeros at the beginning and at the end.
func (x Int) AppendNumeric(to []byte, scale int) []byte {
	sign := uint16(0)
	if x.Negative() {
		sign = 0x4000
	}
	whole, part := divMod(x.Abs(), Pow10[scale])
	const most = (Digits+3)/4 + 1 // groups on either side of the point
	var groups [2 * most]uint16
	first := most
	for !whole.Zero() {
		first--
		whole, groups[first] = group(whole, 10_000, 1)
	}
	end := most + (scale+3)/4
	for i := end - 1; i >= most; i-- {
		unit := uint64(10_000)
		if last := scale % 4; last > 0 && i == end-1 { // it lacks digits on the right
			unit = Pow10[last].Lo
		}
		part, groups[i] = group(part, unit, 10_000/unit)
	}
	for first < end && groups[first] == 0 {
		first++
	}
	for first < end && groups[end-1] == 0 {
		end--
	}
	weight := most - 1 - first
	if first == end {
		weight, sign = 0, 0
	}
	to = binary.BigEndian.AppendUint16(to, uint16(end-first))
	to = binary.BigEndian.AppendUint16(to, uint16(int16(weight)))
	to = binary.BigEndian.AppendUint16(to, sign)
	to = binary.BigEndian.AppendUint16(to, uint16(scale))
	for _, g := range groups[first:end] {
		to = binary.BigEndian.AppendUint16(to, g)
	}
	return to
}

// group divides x by a unit of up to 10,000. It returns the rest times a factor.
func group(x Int, unit, times uint64) (quotient Int, rest uint16) {
	quotient.Hi = x.Hi / unit
	low, left := bits.Div64(x.Hi%unit, x.Lo, unit)
	quotient.Lo = low
	return quotient, uint16(left * times)
}
