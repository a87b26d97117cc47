package int128

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"
)

// Goal: what PostgreSQL, Avro and Parquet get is the number. Method: random numbers, computed back
// with package big.
func TestWire(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		x, scale := numbers(rng), rng.IntN(39)
		if !x.Fits(Digits) {
			continue
		}
		want := new(big.Rat).SetFrac(bigOf(x), bigOf(Pow10[scale]))
		b := x.AppendNumeric(nil, scale)
		n, weight := int(binary.BigEndian.Uint16(b)), int(int16(binary.BigEndian.Uint16(b[2:])))
		got := new(big.Rat)
		for i := range n {
			g := binary.BigEndian.Uint16(b[8+2*i:])
			if g > 9999 || (i == 0 || i == n-1) && g == 0 {
				t.Fatalf("seed %d: %v/10^%d has the group %d in place %d", seed, bigOf(x), scale, g, i)
			}
			power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10_000),
				big.NewInt(int64(max(weight-i, i-weight))), nil))
			if weight < i {
				power.Inv(power)
			}
			got.Add(got, power.Mul(power, new(big.Rat).SetInt64(int64(g))))
		}
		if binary.BigEndian.Uint16(b[4:]) != 0 {
			got.Neg(got)
		}
		if got.Cmp(want) != 0 || len(b) != 8+2*n || int(binary.BigEndian.Uint16(b[6:])) != scale {
			t.Fatalf("seed %d: %v/10^%d is %v in the binary format: % x", seed, bigOf(x), scale, got, b)
		}
		twos := x.AppendTwos(nil)
		for range rng.IntN(3) { // bytes that only repeat the sign
			twos = append([]byte{byte(int64(x.Hi) >> 63)}, twos...)
		}
		for len(twos) > 1 && rng.IntN(4) > 0 && twos[0] == byte(int8(twos[1])>>7) {
			twos = twos[1:]
		}
		if back, ok := FromTwos(twos); !ok || back != x {
			t.Fatalf("seed %d: % x was read as %v, expected %v", seed, twos, bigOf(back), bigOf(x))
		}
	}
	for _, large := range [][]byte{{0, 0x80, 16: 0}, {1, 17: 0}, {0xff, 0x7f, 16: 0}} {
		if x, ok := FromTwos(large); ok {
			t.Errorf("% x was read as %v, and does not fit", large, bigOf(x))
		}
	}
}
