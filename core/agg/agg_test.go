package agg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// bind is Bind for arguments that are right.
func bind(t testing.TB, k Kind, arg record.Type, nullable bool) Func {
	t.Helper()
	f, err := Bind(k, true, arg, nullable)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// apply updates one state with some values, in stripes of random length; NaN bits in nulls say which are NULL.
func apply(f Func, rng *rand.Rand, words, nulls []uint64) []uint64 {
	state := make([]uint64, f.Words()+1)
	state[0] = 42 // a neighbour that must not be touched
	f.Init(state[1:])
	for from := 0; from < len(words); {
		to := min(len(words), from+1+rng.IntN(100))
		a := Args{Words: words[from:to], NullBit: 5}
		if nulls != nil {
			a.Nulls = nulls[from:to]
		}
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: make([]uint64, to-from)}, 8, a)
		from = to
	}
	if state[0] != 42 {
		panic("the word before the state was written")
	}
	return state[1:]
}

// Goal: merging the states of parts, in words or as bytes, in any order, is the state of the whole; for every function, type
// and nullability. Method: random values cut into random parts. Integers and decimals bit for bit, floats within 1e-13.
func TestMerge(t *testing.T) {
	for _, typ := range []record.Type{record.Int64, record.Float64, record.DecimalOf(18, 4), record.Timestamp} {
		for _, k := range []Kind{Count, Sum, Min, Max, Avg} {
			if typ == record.Timestamp && (k == Sum || k == Avg) {
				continue
			}
			for _, nullable := range []bool{false, true} {
				for seed := range uint64(20) {
					rng := rand.New(rand.NewPCG(seed, 9))
					f := bind(t, k, typ, nullable)
					n := 1 + rng.IntN(500)
					words, nulls := make([]uint64, n), make([]uint64, n)
					for i := range words {
						words[i] = uint64(rng.Int64() >> rng.IntN(64))
						if typ == record.Float64 {
							words[i] = math.Float64bits(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(6))))
						}
						nulls[i] = ^uint64(1 << 5)
						if nullable && rng.IntN(3) == 0 {
							nulls[i] = 1 << 5
						}
					}
					whole := f.Result(apply(f, rng, words, nulls))
					merged := make([]uint64, f.Words())
					f.Init(merged)
					asBytes := make([]uint64, f.Words())
					f.Init(asBytes)
					var parts [][]uint64
					for from := 0; from < n; {
						to := min(n, from+1+rng.IntN(200))
						parts = append(parts, apply(f, rng, words[from:to], nulls[from:to]))
						from = to
					}
					rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
					var wire []byte
					for _, p := range parts {
						f.Merge(merged, p)
						wire = AppendPartial(f, wire, p)
					}
					var err error
					for range parts {
						if wire, err = MergePartial(f, asBytes, wire); err != nil {
							t.Fatal(err)
						}
					}
					if len(wire) > 0 {
						t.Fatalf("%d bytes left", len(wire))
					}
					for how, got := range map[string]Value{"words": f.Result(merged), "bytes": f.Result(asBytes)} {
						if !close(f.Type(), got, whole) {
							t.Fatalf("%v(%v) nullable %v seed %d: merged as %s %+v, at once %+v", k, typ, nullable, seed, how, got, whole)
						}
					}
				}
			}
		}
	}
}

func close(typ record.Type, a, b Value) bool {
	if typ != record.Float64 || a.Null || b.Null {
		return a == b
	}
	x, y := math.Float64frombits(a.Bits), math.Float64frombits(b.Bits)
	return x == y || math.Abs(x-y) <= 1e-13*max(math.Abs(x), math.Abs(y))
}

// Goal: sums that leave 64 bits on the way come back exactly; one that ends outside says so.
func TestSumOverflow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := bind(t, Sum, record.Int64, false)
	big := uint64(math.MaxInt64)
	if v := f.Result(apply(f, rng, []uint64{big, big, -big, 5, -big}, nil)); v.Null || v.Bits != 5 {
		t.Errorf("%+v, expected 5", v)
	}
	if v := f.Result(apply(f, rng, []uint64{big, 1}, nil)); !v.Null || !v.Overflow {
		t.Errorf("%+v, expected an overflow", v)
	}
	least := uint64(1) << 63
	if v := f.Result(apply(f, rng, []uint64{least}, nil)); v.Null || v.Bits != least {
		t.Errorf("%+v, expected the least bigint", v)
	}
	d := bind(t, Sum, record.DecimalOf(18, 2), false)
	if v := d.Result(apply(d, rng, []uint64{1e18 - 1, 1}, nil)); !v.Overflow {
		t.Errorf("%+v, expected an overflow: 19 digits", v)
	}
	a := bind(t, Avg, record.Int64, false)
	if v := a.Result(apply(a, rng, []uint64{big, big, big}, nil)); math.Float64frombits(v.Bits) != math.MaxInt64 {
		t.Errorf("the average is %v", math.Float64frombits(v.Bits))
	}
}

// Goal: compensation keeps what plain addition loses.
func TestFloatSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := bind(t, Sum, record.Float64, false)
	var words []uint64
	for range 1000 {
		words = append(words, math.Float64bits(1e16), math.Float64bits(1), math.Float64bits(-1e16))
	}
	if v := math.Float64frombits(f.Result(apply(f, rng, words, nil)).Bits); v != 1000 {
		t.Errorf("%v, expected 1000", v)
	}
	for _, c := range []struct{ in, want float64 }{{math.Inf(1), math.Inf(1)}, {math.NaN(), math.NaN()}} {
		v := math.Float64frombits(f.Result(apply(f, rng, []uint64{math.Float64bits(c.in), math.Float64bits(1)}, nil)).Bits)
		if fmt.Sprint(v) != fmt.Sprint(c.want) {
			t.Errorf("%v and 1 is %v, expected %v", c.in, v, c.want)
		}
	}
}

// Goal: floats order as in PostgreSQL. Method: each pair, as minimum and maximum.
func TestFloatOrder(t *testing.T) {
	ascending := []float64{math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1), math.NaN()}
	for i, x := range ascending {
		if got := math.Float64frombits(unordered(ordered(math.Float64bits(x)))); fmt.Sprint(got) != fmt.Sprint(x) {
			t.Errorf("%v came back as %v", x, got)
		}
		for _, y := range ascending[i+1:] {
			if ordered(math.Float64bits(x)) >= ordered(math.Float64bits(y)) {
				t.Errorf("%v is not less than %v", x, y)
			}
		}
	}
	if ordered(math.Float64bits(math.Copysign(0, -1))) != ordered(0) {
		t.Error("-0 is not 0")
	}
}

// Goal: NULLs do not count, and no value at all is NULL, or 0 for count.
func TestNulls(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	words, nulls := []uint64{7, 9, 11}, []uint64{1 << 5, 0, 1 << 5}
	for k, want := range map[Kind]uint64{Count: 1, Sum: 9, Min: 9, Max: 9, Avg: math.Float64bits(9)} {
		f := bind(t, k, record.Int64, true)
		if v := f.Result(apply(f, rng, words, nulls)); v.Null || v.Bits != want {
			t.Errorf("%v: %+v, expected %d", k, v, want)
		}
		if v := f.Result(apply(f, rng, words[:1], nulls)); v.Null != (k != Count) || v.Bits != 0 {
			t.Errorf("%v of NULLs: %+v", k, v)
		}
		if v := f.Result(apply(f, rng, words, nil)); v.Null {
			t.Errorf("%v of a batch without NULLs: %+v", k, v)
		}
	}
}

// Goal: what a function does not take is refused with what it takes.
func TestBindFaults(t *testing.T) {
	for _, c := range []struct {
		k      Kind
		hasArg bool
		arg    record.Type
	}{{Sum, false, 0}, {Sum, true, record.String}, {Avg, true, record.Timestamp}, {Min, true, record.Bool}, {Max, true, record.String}, {0, true, record.Int64}, {99, true, record.Int64}} {
		if _, err := Bind(c.k, c.hasArg, c.arg, false); err == nil || !strings.HasPrefix(err.Error(), "agg: ") {
			t.Errorf("%v(%v): %v", c.k, c.arg, err)
		}
	}
}

// Goal: a partial state that is cut off, of another version or function, is refused and changes nothing.
func TestPartialFaults(t *testing.T) {
	f := bind(t, Avg, record.Int64, false)
	good := AppendPartial(f, nil, []uint64{1, 0, 1})
	other := AppendPartial(bind(t, Sum, record.Int64, false), nil, []uint64{1, 0})
	bad := [][]byte{other, append([]byte{99}, good[1:]...)}
	for i := range good {
		bad = append(bad, good[:i])
	}
	for _, b := range bad {
		state := []uint64{5, 0, 2}
		if _, err := MergePartial(f, state, b); err == nil || state[0] != 5 || state[2] != 2 {
			t.Errorf("%x: %v, state %v", b, err, state)
		}
	}
}
