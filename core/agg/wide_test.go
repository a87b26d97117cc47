package agg

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// Goal: sums and averages of wide decimals, and wide sums of words, are exact, in one state and in
// merged ones, and one of more than 38 digits is NULL and says so. Method: random values of all
// sizes, beside package big.
func TestWideSums(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	for round := range 300 {
		typ := record.DecimalOf(38, rng.IntN(39))
		words := round%2 == 1
		nullable := rng.IntN(2) == 0
		arg, kind := typ, Sum
		if words {
			arg, kind = record.DecimalOf(18, rng.IntN(19)), SumWide
			typ = record.DecimalOf(38, arg.Scale())
		}
		f, err := Bind(kind, Arg{Type: arg, Nullable: nullable})
		if err != nil || f.Type() != typ {
			t.Fatal(f, err)
		}
		average, err := Bind(Avg, Arg{Type: arg, Nullable: nullable})
		if err != nil {
			t.Fatal(err)
		}
		all := make([][MaxWords]uint64, 3)
		of := StateOf(f)
		sum, n := new(big.Int), 0
		var mean [MaxWords]uint64
		of.Init(all[0][:])
		of.Init(all[1][:])
		average.Init(mean[:])
		for range rng.IntN(40) {
			v := new(big.Int).SetUint64(rng.Uint64())
			v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(rng.Uint64()))
			v.Mod(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(1+rng.IntN(38))), nil))
			if words {
				v.SetInt64(rng.Int64N(1e18))
			}
			if rng.IntN(2) == 0 {
				v.Neg(v)
			}
			null := uint64(0)
			if nullable && rng.IntN(4) == 0 {
				null = 1
			} else {
				sum.Add(sum, v)
				n++
			}
			d, err := record.Decimal128Of(v, 0)
			if err != nil {
				t.Fatal(err)
			}
			a := Args{Words: []uint64{d.Low}, Nulls: []uint64{null}}
			if !words {
				a.Text = d.AppendBytes(nil)
				a.Words[0] = groupkey.PlaceLong(0, uint64(len(a.Text)))
			}
			if !nullable {
				a.Nulls = nil
			}
			of.Update(Rows{Base: unsafe.Pointer(&all[rng.IntN(2)]), Off: []uint64{0}}, 0, a)
			average.Update(Rows{Base: unsafe.Pointer(&mean), Off: []uint64{0}}, 0, a)
		}
		of.Merge(all[0][:of.Words()], all[1][:of.Words()], nil, nil)
		v := f.Result(all[0][:], nil)
		switch {
		case n == 0 && nullable:
			if !v.Null || v.Overflow {
				t.Fatalf("seed %d: the sum of nothing is %+v", seed, v)
			}
			continue
		case sum.CmpAbs(limit) >= 0:
			if !v.Null || !v.Overflow {
				t.Fatalf("seed %d: the sum %v is %+v", seed, sum, v)
			}
		default:
			got := record.WideDecimal(typ, TexterOf(f).AppendText(nil, all[0][:], nil))
			if v.Null || got.Big().Cmp(sum) != 0 {
				t.Fatalf("seed %d: the sum is %v, %+v, expected %v", seed, got.Big(), v, sum)
			}
		}
		if n == 0 {
			continue
		}
		if words {
			unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(arg.Scale())), nil)
			want, _ := new(big.Rat).SetFrac(sum, unit.Mul(unit, big.NewInt(int64(n)))).Float64()
			got := math.Float64frombits(average.Result(mean[:], nil).Bits)
			if got != want {
				t.Fatalf("seed %d: the average is %v, expected %v", seed, got, want)
			}
			continue
		}
		// The average has max(16, scale) digits after the point, and is rounded away from 0.
		shift := max(16, arg.Scale()) - arg.Scale()
		want := new(big.Int).Mul(sum, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(shift)), nil))
		want, rest := want.QuoRem(want, big.NewInt(int64(n)), new(big.Int))
		if rest.Abs(rest).Lsh(rest, 1).Cmp(big.NewInt(int64(n))) >= 0 {
			want.Add(want, big.NewInt(int64(sum.Sign())))
		}
		r := average.Result(mean[:], nil)
		got := record.WideDecimal(average.Type(), TexterOf(average).AppendText(nil, mean[:], nil)).Big()
		fits := want.CmpAbs(limit) < 0
		if r.Overflow == fits || r.Null == fits || fits && got.Cmp(want) != 0 {
			t.Fatalf("seed %d: the average is %v, %+v, expected %v", seed, got, r, want)
		}
	}
}
