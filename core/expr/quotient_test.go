package expr

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: a quotient of wide decimals has its digits rounded once, by itself, rounded and cast; what
// has more than 38 digits and a division by 0 fail. Method: package big, random numbers.
func TestQuotients(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	fitted, refused := 0, 0
	for range 5000 {
		a, b := record.DecimalOf(38, rng.IntN(39)), record.DecimalOf(38, rng.IntN(39))
		s, err := record.NewSchema("t", record.Field{Name: "a", Type: a}, record.Field{Name: "b", Type: b})
		if err != nil {
			t.Fatal(err)
		}
		var unscaled [2]*big.Int
		batch := record.NewBatch(s, 1)
		batch.Add(32)
		for i := range unscaled {
			n := big.NewInt(rng.Int64() >> rng.IntN(60))
			n.Mul(n, big.NewInt(1+rng.Int64N(1e18)))
			if rng.IntN(2) == 0 {
				n.Neg(n)
			}
			d, err := record.Decimal128Of(n, s.Field(i).Type.Scale())
			if err != nil {
				t.Fatal(err)
			}
			unscaled[i] = n
			batch.SetBytes(i, d.AppendBytes(nil))
		}
		e, err := New(Div, Column(s, 0), Column(s, 1))
		if err != nil {
			t.Fatal(err)
		}
		scale := max(16, a.Scale(), b.Scale())
		if rng.IntN(2) == 0 {
			scale = rng.IntN(39)
			if rng.IntN(2) == 0 {
				e, err = RoundTo(e, scale, false)
			} else {
				e, err = Cast(e, record.DecimalOf(38, scale))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if e.Type() != record.DecimalOf(38, scale) {
			t.Fatalf("%v is %v, expected %d digits after the point", e, e.Type(), scale)
		}
		v, fault := e.Eval(batch, 0)
		if unscaled[1].Sign() == 0 {
			if !errors.Is(fault, errZero) {
				t.Fatalf("seed %d: %v by 0 is %v", seed, e, fault)
			}
			continue
		}
		// a/b * 10^scale, by the rule that a half goes away from 0
		power := func(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
		over := new(big.Int).Mul(unscaled[0], power(scale+b.Scale()))
		under := new(big.Int).Mul(unscaled[1], power(a.Scale()))
		want, rest := new(big.Int).QuoRem(over, under, new(big.Int))
		if rest.Abs(rest).Lsh(rest, 1).CmpAbs(under) >= 0 {
			want.Add(want, big.NewInt(int64(over.Sign()*under.Sign())))
		}
		if want.CmpAbs(power(38)) >= 0 {
			refused++
			if !errors.Is(fault, errRange) {
				t.Fatalf("seed %d: %v of %v and %v is %v, expected a fault", seed, e, unscaled[0], unscaled[1], fault)
			}
			continue
		}
		fitted++
		got := record.WideDecimal(e.Type(), []byte(v.Text))
		if fault != nil || got.Big().Cmp(want) != 0 {
			t.Fatalf("seed %d: %v of %v and %v is %v, %v, expected %v", seed, e, unscaled[0], unscaled[1], got, fault, want)
		}
	}
	if fitted < 1000 || refused < 100 {
		t.Errorf("%d quotients fitted and %d did not", fitted, refused)
	}
}
