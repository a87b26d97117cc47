package int128

import "math/bits"

// Quotient is x * 10^shift / y, rounded once; shift is from -Digits to 2*Digits. The mode is
// HalfAway or Cut. ok is false if it has more than 38 digits, or if y is 0.
func (x Int) Quotient(y Int, shift int, mode Mode) (q Int, ok bool) {
	if y.Zero() {
		return Int{}, false
	}
	if shift < 0 {
		// Half of a power of ten is whole, so what the first division cuts off decides nothing.
		q, _ = x.DivMod(y)
		return q.Rescale(-shift, 0, mode)
	}
	// The dividend has 38 digits and 76 zeros at most: 379 bits, the lowest word first.
	m := x.Abs()
	dividend := [6]uint64{m.Lo, m.Hi}
	for shift > 0 {
		n := min(shift, 19)
		multiply(&dividend, Pow10[n].Lo)
		shift -= n
	}
	unit, rest := y.Abs(), Int{}
	for i := len(dividend) - 1; i >= 0; i-- {
		if q.Hi != 0 {
			return Int{}, false // the next word would make it more than 128 bits
		}
		var word uint64
		word, rest = divStep(rest, dividend[i], unit)
		q = Int{q.Lo, word}
	}
	twice := Int{rest.Hi<<1 | rest.Lo>>63, rest.Lo << 1} // 128 bits without a sign: rest < 2^127
	if mode == HalfAway && cmp(twice, unit) >= 0 {
		var carry uint64
		q.Lo, carry = bits.Add64(q.Lo, 1, 0)
		q.Hi += carry
	}
	if cmp(q, Pow10[Digits]) >= 0 {
		return Int{}, false
	}
	return q.signed(x.Negative() != y.Negative()), true
}

// multiply is n times a word. The caller knows that the product fits.
func multiply(n *[6]uint64, by uint64) {
	carry := uint64(0)
	for i, w := range n {
		high, low := bits.Mul64(w, by)
		var c uint64
		n[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
}

// divStep divides rest * 2^64 + word by unit, which is greater than rest and not 0: one step of a
// long division by words (Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D).
func divStep(rest Int, word uint64, unit Int) (q uint64, left Int) {
	if unit.Hi == 0 {
		q, left.Lo = bits.Div64(rest.Lo, word, unit.Lo)
		return q, left
	}
	// Both are shifted so that the unit has its highest bit set. Then the quotient by its upper
	// word is at most two too large.
	shift := uint(bits.LeadingZeros64(unit.Hi))
	u1, u0 := unit.Hi<<shift|unit.Lo>>1>>(63-shift), unit.Lo<<shift
	n2 := rest.Hi<<shift | rest.Lo>>1>>(63-shift)
	n1 := rest.Lo<<shift | word>>1>>(63-shift)
	n0 := word << shift
	q = ^uint64(0)
	if n2 < u1 {
		q, _ = bits.Div64(n2, n1, u1)
	}
	high, low := bits.Mul64(q, u0)
	top, middle := bits.Mul64(q, u1)
	var carry, borrow uint64
	middle, carry = bits.Add64(middle, high, 0)
	top += carry
	n0, borrow = bits.Sub64(n0, low, 0)
	n1, borrow = bits.Sub64(n1, middle, borrow)
	n2, borrow = bits.Sub64(n2, top, borrow)
	for borrow != 0 { // the quotient was too large
		q--
		n0, carry = bits.Add64(n0, u0, 0)
		n1, carry = bits.Add64(n1, u1, carry)
		n2, carry = bits.Add64(n2, 0, carry)
		borrow -= carry
	}
	return q, Int{n1 >> shift, n0>>shift | n1<<1<<(63-shift)}
}

// Mean is sum * 10^shift / n, rounded once, at the half away from 0. The sum has 192 bits, two's
// complement, the lowest word first; n is not 0; shift is from 0 to 38. ok is false if the mean has
// more than 38 digits.
func Mean(sum [3]uint64, n uint64, shift int) (mean Int, ok bool) {
	negative := int64(sum[2]) < 0
	if negative {
		borrow := uint64(0)
		for i, w := range sum {
			sum[i], borrow = bits.Sub64(0, w, borrow)
		}
	}
	dividend := [6]uint64{sum[0], sum[1], sum[2]}
	for shift > 0 {
		by := min(shift, 19)
		multiply(&dividend, Pow10[by].Lo)
		shift -= by
	}
	rest := uint64(0)
	for i := len(dividend) - 1; i >= 0; i-- {
		dividend[i], rest = bits.Div64(rest, dividend[i], n)
	}
	mean = Int{dividend[1], dividend[0]}
	if rest >= n-rest {
		var carry uint64
		mean.Lo, carry = bits.Add64(mean.Lo, 1, 0)
		mean.Hi += carry
	}
	if dividend[2]|dividend[3]|dividend[4]|dividend[5] != 0 || cmp(mean, Pow10[Digits]) >= 0 {
		return Int{}, false
	}
	return mean.signed(negative), true
}
