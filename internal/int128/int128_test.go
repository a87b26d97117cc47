package int128

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigOf is x as a big number.
func bigOf(x Int) *big.Int {
	v := new(big.Int).SetInt64(int64(x.Hi))
	return v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(x.Lo))
}

// fromBig is a big number that fits.
func fromBig(v *big.Int) Int {
	low := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64))
	return Int{uint64(new(big.Int).Rsh(v, 64).Int64()), low.Uint64()}
}

// numbers are numbers of all sizes, and those at the ends of words and digits.
func numbers(rng *rand.Rand) Int {
	v := Int{rng.Uint64(), rng.Uint64()}
	switch rng.IntN(6) {
	case 0:
		v = Of(int64(v.Lo) >> rng.IntN(64))
	case 1:
		v = Pow10[rng.IntN(39)]
		v.Lo += uint64(rng.IntN(3)) - 1
	case 2:
		v = Int{1<<63 - 1, math.MaxUint64 - uint64(rng.IntN(2))}
	case 3:
		v = Int{uint64(int64(v.Hi) >> rng.IntN(64)), v.Lo}
	}
	if rng.IntN(2) == 0 {
		v = v.Neg()
	}
	if v == (Int{1 << 63, 0}) {
		return Int{} // no decimal is the least number
	}
	return v
}

// Goal: every operation agrees with package big. Method: random numbers of all sizes; what does not
// fit must be said.
func TestTwin(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	fits := func(v *big.Int) bool { return v.CmpAbs(limit) < 0 }
	for range 50_000 {
		x, y := numbers(rng), numbers(rng)
		a, b := bigOf(x), bigOf(y)
		check := func(op string, got Int, ok bool, want *big.Int) {
			if got == (Int{1 << 63, 0}) {
				return // no decimal is the least number
			}
			if ok != fits(want) || ok && bigOf(got).Cmp(want) != 0 {
				t.Fatalf("seed %d: %v %s %v = %v %v, expected %v", seed, a, op, b, bigOf(got), ok, want)
			}
		}
		if fromBig(a) != x {
			t.Fatalf("seed %d: %v became %v", seed, x, a)
		}
		sum, ok := x.Add(y)
		check("+", sum, ok, new(big.Int).Add(a, b))
		product, ok := x.Mul(y)
		check("*", product, ok, new(big.Int).Mul(a, b))
		if c := x.Cmp(y); c != a.Cmp(b) || c != bytes.Compare(x.AppendBytes(nil), y.AppendBytes(nil)) {
			t.Fatalf("seed %d: %v and %v are ordered as %d", seed, a, b, c)
		}
		if !y.Zero() {
			quotient, rest := x.DivMod(y)
			q, r := new(big.Int).QuoRem(a, b, new(big.Int))
			check("/", quotient, true, q)
			check("%", rest, true, r)
		}
		if back := FromBytes(x.AppendBytes(nil)); back != x || FromBytes(string(x.AppendBytes(nil))) != x {
			t.Fatalf("seed %d: %v became %v", seed, a, bigOf(back))
		}
		scale := rng.IntN(39)
		f, _ := new(big.Rat).SetFrac(a, bigOf(Pow10[scale])).Float64()
		if got := x.Float64(scale); got != f {
			t.Fatalf("seed %d: %v with %d digits is %v, expected %v", seed, a, scale, got, f)
		}
		text := new(big.Rat).SetFrac(a, bigOf(Pow10[scale])).FloatString(scale)
		if a.Sign() < 0 && text[0] != '-' {
			text = "-" + text
		}
		if got := string(x.Append(nil, scale)); got != text {
			t.Fatalf("seed %d: %v with %d digits is %s, expected %s", seed, a, scale, got, text)
		}
		digits := 1 + rng.IntN(38)
		if got := x.Fits(digits); got != (a.CmpAbs(bigOf(Pow10[digits])) < 0) {
			t.Fatalf("seed %d: %v fits %d digits: %v", seed, a, digits, got)
		}
		if x.Fits(38) {
			if back, err := Parse(text, 38, scale, Exact); err != nil || back != x {
				t.Fatalf("seed %d: %s was read as %v, %v", seed, text, bigOf(back), err)
			}
			rescaled(t, seed, x, scale, rng.IntN(39))
		}
	}
}

// rescaled compares Rescale, and Parse with fewer digits, with package big.
func rescaled(t *testing.T, seed uint64, x Int, from, to int) {
	t.Helper()
	for _, mode := range []Mode{HalfAway, Cut, Floor, Ceil, Exact} {
		want := new(big.Int)
		lost := false
		if to >= from {
			want.Mul(bigOf(x), bigOf(Pow10[to-from]))
		} else {
			unit := bigOf(Pow10[from-to])
			floor, rest := new(big.Int).DivMod(bigOf(x), unit, new(big.Int)) // the rest is not negative
			lost = rest.Sign() != 0
			want.Set(floor)
			half := rest.Lsh(rest, 1).Cmp(unit)
			if lost && (mode == Ceil || mode == Cut && x.Negative() ||
				mode == HalfAway && (half > 0 || half == 0 && !x.Negative())) {
				want.Add(floor, big.NewInt(1))
			}
		}
		fits := want.CmpAbs(bigOf(Pow10[38])) < 0 && (mode != Exact || !lost)
		got, ok := x.Rescale(from, to, mode)
		if ok != fits || ok && bigOf(got).Cmp(want) != 0 {
			t.Fatalf("seed %d: %v from %d to %d digits, mode %d: %v %v, expected %v", seed, bigOf(x), from, to, mode,
				bigOf(got), ok, want)
		}
		if mode == Floor || mode == Ceil {
			continue
		}
		read, err := Parse(string(x.Append(nil, from)), 38, to, mode)
		if (err == nil) != fits || err == nil && read != got {
			t.Fatalf("seed %d: %s read with %d digits, mode %d: %v %v, expected %v %v", seed, x.Append(nil, from), to,
				mode, bigOf(read), err, bigOf(got), ok)
		}
	}
}

// Goal: texts with signs, points and exponents are read, and what is no number is refused.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale int
		want  string
		err   error
	}{
		{"1", 2, "1.00", nil},
		{"+.5", 1, "0.5", nil},
		{"-5.", 1, "-5.0", nil},
		{"1e3", 0, "1000", nil},
		{"1.25E-1", 3, "0.125", nil},
		{"0e900", 3, "0.000", nil},
		{"1e900", 3, "", ErrRange},
		{"1e-900", 3, "", ErrDigits},
		{"0.0010", 3, "0.001", nil},
		{"0.0011", 3, "", ErrDigits},
		{"0000000000000000000000000000000000000000000001", 0, "1", nil},
		{"99999999999999999999999999999999999999", 0, "99999999999999999999999999999999999999", nil},
		{"100000000000000000000000000000000000000", 0, "", ErrRange},
		{"340282366920938463463374607431768211457", 0, "", ErrRange},
		{"1e1001", 0, "", ErrNumber},
		{"", 0, "", ErrNumber},
		{".", 0, "", ErrNumber},
		{"-", 0, "", ErrNumber},
		{"+-1", 0, "", ErrNumber},
		{"1.2.3", 1, "", ErrNumber},
		{"1 2", 1, "", ErrNumber},
		{"NaN", 1, "", ErrNumber},
		{"0x1", 1, "", ErrNumber},
	} {
		x, err := Parse(c.text, 38, c.scale, Exact)
		if err != c.err || err == nil && string(x.Append(nil, c.scale)) != c.want {
			t.Errorf("%q is %s, %v, expected %s, %v", c.text, x.Append(nil, c.scale), err, c.want, c.err)
		}
	}
}

// Goal: nothing is allocated.
func TestAllocations(t *testing.T) {
	x, y := Int{12345, 67890}, Int{0, 98765}
	room := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(10, func() {
		p, _ := x.Mul(y)
		q, _ := p.DivMod(Int{1, 5})
		s, _ := q.Add(y)
		room = s.Append(room[:0], 3)
		_ = s.Float64(3)
		_, _ = Parse("12345678901234567890.125", 38, 3, Exact)
	}); n != 0 {
		t.Errorf("%v allocations, expected none", n)
	}
}

// Goal: a quotient is rounded once and exact, and one of more than 38 digits is refused. Method:
// package big, random numbers of all sizes and all shifts; also small whole numbers, so that halves
// and quotients without a rest come up.
func TestQuotient(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	limit := bigOf(Pow10[Digits])
	fitted := 0
	for range 100_000 {
		x, y, shift := numbers(rng), numbers(rng), rng.IntN(3*Digits+1)-Digits
		if rng.IntN(3) == 0 {
			y = Of(2 * rng.Int64N(1000))
			x, shift = Of(rng.Int64()>>rng.IntN(40)), rng.IntN(4)
		}
		mode := []Mode{HalfAway, Cut}[rng.IntN(2)]
		got, ok := x.Quotient(y, shift, mode)
		if y.Zero() {
			if ok {
				t.Fatalf("%v / 0 is %v", x, got)
			}
			continue
		}
		a, b := bigOf(x), bigOf(y)
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(shift, -shift))), nil)
		if shift < 0 {
			b.Mul(b, unit)
		} else {
			a.Mul(a, unit)
		}
		want, rest := new(big.Int).QuoRem(a, b, new(big.Int))
		if mode == HalfAway && rest.Abs(rest).Lsh(rest, 1).CmpAbs(b) >= 0 {
			want.Add(want, big.NewInt(int64(a.Sign()*b.Sign())))
		}
		fits := want.CmpAbs(limit) < 0
		if ok != fits || ok && bigOf(got).Cmp(want) != 0 {
			t.Fatalf("seed %d: %v * 10^%d / %v in mode %d is %v %v, expected %v", seed, bigOf(x), shift, b, mode,
				bigOf(got), ok, want)
		}
		if ok {
			fitted++
		}
	}
	if fitted < 10_000 {
		t.Errorf("only %d quotients fit", fitted)
	}
}
