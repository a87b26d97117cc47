package expr

import (
	"math"
	"math/bits"

	"github.com/velo-engine/velo/record"
)

// A span is the range of a type of whole numbers, checked in one comparison: v fits if v+bias, as
// an unsigned number, is not more than most.
type span struct{ bias, most uint64 }

func spanOf(t record.Type) span {
	if !t.IsDecimal() {
		return span{0, math.MaxUint64}
	}
	limit := uint64(record.Pow10[t.Precision()])
	return span{limit - 1, 2*limit - 2}
}

// vectorArithmetic computes all rows without checking which of them fail. If any row may have
// failed, another pass says which.
func vectorArithmetic(m *Machine, e *node, a []*vec) bool {
	if e.typ.IsWide() {
		return false
	}
	r := registerOf(a[len(a)-1])
	to, x, y := r.ownWords[:m.n], a[0].words[:m.n], a[1].words[:m.n]
	r.words = to
	if e.Expr.args[0].typ == record.Float64 {
		if floatsOf(e.op, to, x, y) {
			r.floatsAgain(e.op, x, y)
		}
		return true
	}
	if c, ok := e.Expr.args[1].Const(); ok && int64(c.Bits) > 0 && (e.op == Div || e.op == Mod) {
		divideBy(e.op, to, x, newDivisor(c.Bits))
		return true // the result is not further from 0 than x
	}
	if intsOf(e.op, to, x, y, spanOf(e.typ)) {
		r.intsAgain(e.op, e.typ, x, y)
	}
	return true
}

// floatsOf computes the results and says whether any of them may be an error.
func floatsOf(op Op, to, x, y []uint64) bool {
	var odd uint64
	i := 0
	if blocks := len(to) / kernelRows; have512 && blocks > 0 {
		i = blocks * kernelRows
		switch op {
		case Add:
			odd = addFloats512(&to[0], &x[0], &y[0], blocks)
		case Sub:
			odd = subFloats512(&to[0], &x[0], &y[0], blocks)
		case Mul:
			odd = mulFloats512(&to[0], &x[0], &y[0], blocks)
		default:
			odd = divFloats512(&to[0], &x[0], &y[0], blocks)
		}
	}
	to, x, y = to[i:], x[i:], y[i:]
	x, y = x[:len(to)], y[:len(to)]
	switch op {
	case Add:
		for i := range to {
			to[i] = math.Float64bits(math.Float64frombits(x[i]) + math.Float64frombits(y[i]))
			odd |= isOdd(to[i])
		}
	case Sub:
		for i := range to {
			to[i] = math.Float64bits(math.Float64frombits(x[i]) - math.Float64frombits(y[i]))
			odd |= isOdd(to[i])
		}
	case Mul:
		for i := range to {
			to[i] = math.Float64bits(math.Float64frombits(x[i]) * math.Float64frombits(y[i]))
			odd |= isOdd(to[i]) | isZero(to[i])
		}
	default:
		for i := range to {
			to[i] = math.Float64bits(math.Float64frombits(x[i]) / math.Float64frombits(y[i]))
			odd |= isOdd(to[i]) | isZero(to[i])
		}
	}
	return odd != 0
}

// isOdd is not 0 for an infinity or a NaN, and isZero is not 0 for a zero. The slow pass looks at
// such results.
//
//gcassert:inline
func isOdd(w uint64) uint64 { return (w&0x7ff0000000000000 + 1<<52) & (1 << 63) }

//gcassert:inline
func isZero(w uint64) uint64 { return uint64(int64((w<<1)-1)>>63) &^ uint64(int64(w<<1)>>63) }

// floatsAgain says which rows have failed, if any. A zero, an infinity or a NaN may be the right
// result.
func (r *register) floatsAgain(op Op, x, y []uint64) {
	for i, w := range r.words {
		if isOdd(w)|isZero(w) == 0 || !r.isValid(i) {
			continue
		}
		if _, err := floatOf(op, math.Float64frombits(x[i]), math.Float64frombits(y[i])); err != nil {
			r.fail(i)
		}
	}
}

// intsOf computes the results and says whether any of them may not fit.
func intsOf(op Op, to, x, y []uint64, s span) bool {
	var bad uint64
	i := 0
	if blocks := len(to) / kernelRows; have512 && blocks > 0 {
		i = blocks * kernelRows
		switch op {
		case Add, AddNanos:
			bad = addInts512(&to[0], &x[0], &y[0], blocks, s.bias, s.most)
		case Sub, SubTimes:
			bad = subInts512(&to[0], &x[0], &y[0], blocks, s.bias, s.most)
		case Mul:
			bad = mulInts512(&to[0], &x[0], &y[0], blocks, s.bias, s.most)
		// The quotient and the remainder are not further from 0 than x, which fits.
		case Div:
			if divInts512(&to[0], &x[0], &y[0], blocks) != 0 {
				i = 0
			}
		case Mod:
			if modInts512(&to[0], &x[0], &y[0], blocks) != 0 {
				i = 0
			}
		}
	}
	to, x, y = to[i:], x[i:], y[i:]
	x, y = x[:len(to)], y[:len(to)]
	var trip int64
	switch op {
	case Add, AddNanos:
		for i := range to {
			v := x[i] + y[i]
			to[i] = v
			trip |= int64((x[i] ^ v) & (y[i] ^ v))
		}
	case Sub, SubTimes:
		for i := range to {
			v := x[i] - y[i]
			to[i] = v
			trip |= int64((x[i] ^ y[i]) & (x[i] ^ v))
		}
	case Mul:
		for i := range to {
			high, low := bits.Mul64(x[i], y[i])
			a, b := int64(x[i]), int64(y[i])
			to[i] = low
			// The difference is 0 if the product fits. Otherwise trip becomes negative.
			if int64(high)-(a>>63&b)-(b>>63&a) != int64(low)>>63 {
				trip = -1
			}
		}
	case Div, Mod:
		for i := range to {
			a, b := int64(x[i]), int64(y[i])
			if b == 0 || b == -1 {
				trip = -1
				b = 1
			}
			if op == Div {
				to[i] = uint64(a / b)
			} else {
				to[i] = uint64(a % b)
			}
		}
	}
	if trip >= 0 && s.bias != 0 {
		for _, v := range to {
			if v+s.bias > s.most {
				trip = -1
			}
		}
	}
	return trip < 0 || bad != 0
}

// intsAgain computes a stripe in which some row may have failed, row by row.
func (r *register) intsAgain(op Op, t record.Type, x, y []uint64) {
	for i := range r.words {
		if !r.isValid(i) {
			continue
		}
		v, err := intOf(op, int64(x[i]), int64(y[i]))
		r.words[i] = uint64(v)
		if err != nil || !fits(t, v) {
			r.fail(i)
		}
	}
}

// A divisor divides by multiplying with about 1/unit. The quotient is right or one too small, and
// then it is corrected.
type divisor struct{ unit, inverse uint64 }

func newDivisor(unit uint64) divisor { return divisor{unit, math.MaxUint64 / unit} }

// by returns x/unit and x%unit.
//
//gcassert:inline
func (d divisor) by(x uint64) (whole, rest uint64) {
	whole, _ = bits.Mul64(x, d.inverse)
	rest = x - whole*d.unit
	if rest >= d.unit {
		rest -= d.unit
		whole++
	}
	return whole, rest
}

// signed is by for signed numbers. It cuts towards 0.
//
//gcassert:inline
func (d divisor) signed(v uint64) (whole, rest, sign uint64) {
	sign = uint64(int64(v) >> 63)
	whole, rest = d.by((v ^ sign) - sign)
	return whole, rest, sign
}

// floor is by for signed numbers. It cuts towards -infinity, so the rest is never negative.
//
//gcassert:inline
func (d divisor) floor(v uint64) (whole, rest uint64) {
	sign := uint64(int64(v) >> 63)
	// For a negative number by gets -v-1, which is as far from the other end of its unit.
	whole, rest = d.by(v ^ sign)
	return whole ^ sign, (rest ^ sign) + d.unit&sign
}

// divideBy divides by a constant greater than 0.
func divideBy(op Op, to, x []uint64, d divisor) {
	to = to[:len(x)]
	if op == Div {
		for i, v := range x {
			whole, _, sign := d.signed(v)
			to[i] = (whole ^ sign) - sign
		}
		return
	}
	for i, v := range x {
		_, rest, sign := d.signed(v)
		to[i] = (rest ^ sign) - sign
	}
}

// vectorCast is the cast between numbers, and between times. Other casts go row by row.
func vectorCast(m *Machine, e *node, a []*vec) bool {
	from, to := e.Expr.args[0].typ, e.typ
	r, x := registerOf(a[1]), a[0].words
	switch {
	case from.IsWide() || to.IsWide():
		return false
	case to == record.TimeOfDay && from.IsFixed():
		return vectorClock(m, a)
	case from == record.TimeOfDay && to == record.Interval, from == record.UUID && to == record.Bytes:
		return vectorSame(m, e, a)
	}
	if !isNumber(from) || !isNumber(to) || from == record.Float64 && to.IsDecimal() {
		return false
	}
	x = x[:m.n]
	r.words = r.ownWords[:m.n]
	switch {
	case from == record.Float64:
		for i, w := range x {
			f := math.RoundToEven(math.Float64frombits(w))
			if !(f >= -1<<63 && f < 1<<63) {
				if r.isValid(i) {
					r.fail(i)
				}
				f = 0
			}
			r.words[i] = uint64(int64(f))
		}
	case from == record.Int64 && to == record.Float64:
		for i, v := range x {
			r.words[i] = math.Float64bits(float64(int64(v)))
		}
	case to == record.Float64:
		decimalsToFloats(r.words, x, from.Scale())
	default:
		r.rescale(to, x, from.Scale())
	}
	return true
}

// decimalsToFloats divides if both numbers are exact as floats, so that the quotient is rounded
// only once.
func decimalsToFloats(to, x []uint64, scale int) {
	const exact = 1 << 53
	unit := float64(record.Pow10[scale])
	if blocks := len(x) / kernelRows; have512 && blocks > 0 && decimals512(&to[0], &x[0], blocks, unit) == 0 {
		to, x = to[blocks*kernelRows:], x[blocks*kernelRows:]
	}
	to = to[:len(x)]
	for i, v := range x {
		if v+exact-1 > 2*exact-2 {
			to[i] = math.Float64bits(record.Decimal{Unscaled: int64(v), Scale: uint8(scale)}.Float64())
			continue
		}
		to[i] = math.Float64bits(float64(int64(v)) / unit)
	}
}

// rescale moves the decimal point of whole numbers. If digits are lost it rounds away from 0 at the
// half.
func (r *register) rescale(t record.Type, x []uint64, from int) {
	s, bad := spanOf(t), false
	switch to := t.Scale(); {
	case to > from:
		bad = intsOf(Mul, r.words, x, r.unit, s)
	case to == from:
		for i, v := range x {
			r.words[i] = v
			bad = bad || v+s.bias > s.most
		}
	default:
		d := newDivisor(uint64(record.Pow10[from-to]))
		for i, v := range x {
			whole, rest, sign := d.signed(v)
			if rest >= d.unit-rest {
				whole++
			}
			v = (whole ^ sign) - sign
			r.words[i] = v
			bad = bad || v+s.bias > s.most
		}
	}
	if !bad {
		return
	}
	for i, w := range x {
		if !r.isValid(i) {
			continue
		}
		v, err := rescale(int64(w), from, t.Scale())
		r.words[i] = uint64(v)
		if err != nil || !fits(t, v) {
			r.fail(i)
		}
	}
}

// vectorSign is the negative, the absolute value and the sign of numbers.
func vectorSign(m *Machine, e *node, a []*vec) bool {
	if e.typ.IsWide() {
		return false
	}
	r, x := registerOf(a[1]), a[0].words[:m.n]
	to := r.ownWords[:m.n]
	r.words = to
	const signBit = 1 << 63
	switch float := e.typ == record.Float64; {
	case e.op == Sign && float:
		for i, v := range x {
			o := ordered(v)
			if v&^signBit > 0x7ff0000000000000 { // the sign of NaN is 0
				o = 0
			}
			to[i] = math.Float64bits(float64(o>>63 | int64(uint64(-o)>>63)))
		}
	case e.op == Sign:
		unit := record.Pow10[e.typ.Scale()]
		for i, v := range x {
			to[i] = uint64((int64(v)>>63 | int64(-v>>63)) * unit)
		}
	case float && e.op == Neg:
		for i, v := range x {
			to[i] = v ^ signBit
		}
	case float:
		for i, v := range x {
			to[i] = v &^ signBit
		}
	default:
		for i, v := range x {
			if v == signBit && r.isValid(i) { // there is no such positive number
				r.fail(i)
			}
			if e.op == Neg {
				to[i] = -v
				continue
			}
			sign := uint64(int64(v) >> 63)
			to[i] = (v ^ sign) - sign
		}
	}
	return true
}

// vectorRound rounds numbers to whole numbers.
func vectorRound(m *Machine, e *node, a []*vec) bool {
	if e.typ.IsWide() {
		return false
	}
	r, x := registerOf(a[1]), a[0].words[:m.n]
	to := r.ownWords[:m.n]
	r.words = to
	t := e.Expr.args[0].typ
	switch {
	case t != record.Float64:
		roundInts(e.op, to, x, newDivisor(uint64(record.Pow10[t.Scale()])))
	case e.op == Round:
		for i, w := range x {
			to[i] = math.Float64bits(math.RoundToEven(math.Float64frombits(w)))
		}
	case e.op == Floor:
		for i, w := range x {
			to[i] = math.Float64bits(math.Floor(math.Float64frombits(w)))
		}
	case e.op == Ceil:
		for i, w := range x {
			to[i] = math.Float64bits(math.Ceil(math.Float64frombits(w)))
		}
	default:
		for i, w := range x {
			to[i] = math.Float64bits(math.Trunc(math.Float64frombits(w)))
		}
	}
	return true
}

// roundInts rounds numbers that count parts, of which unit parts are one, to whole numbers.
func roundInts(op Op, to, x []uint64, d divisor) {
	const never = math.MaxUint64
	half := d.unit - d.unit/2
	// least has the least rest that is rounded away from 0, for positive and for negative numbers.
	// A rest of 0 is never rounded.
	var least [2]uint64
	switch op {
	case Round:
		least = [2]uint64{half, half}
	case Floor:
		least = [2]uint64{never, 1}
	case Ceil:
		least = [2]uint64{1, never}
	default:
		least = [2]uint64{never, never}
	}
	to = to[:len(x)]
	for i, v := range x {
		whole, rest, sign := d.signed(v)
		if rest >= least[sign&1] {
			whole++
		}
		to[i] = (whole ^ sign) - sign
	}
}
