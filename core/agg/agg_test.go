package agg

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// kinds are all functions.
var kinds = []Kind{
	Count, Sum, Min, Max, Avg, VarPop, VarSamp, StddevPop, StddevSamp, MinBy, MaxBy, First, Last,
	BoolAnd, BoolOr, BitAnd, BitOr, BitXor,
}

// takesBy says whether a function has a second argument.
func takesBy(k Kind) bool { return k.State() == MinBy || k.State() == MaxBy }

// bind is Bind for arguments that are right. The second argument, where there is one, is of the same type.
func bind(t testing.TB, k Kind, arg record.Type, nullable bool) Func {
	t.Helper()
	args := []Arg{{arg, nullable}}
	if takesBy(k) {
		args = append(args, args[0])
	}
	f, err := Bind(k, args...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// apply updates one state with some values, in stripes of random length. Bit 5 of nulls says which are NULL, bit 6 which of by.
func apply(f Func, rng *rand.Rand, words, nulls []uint64, by ...uint64) []uint64 {
	state := make([]uint64, f.Words()+1)
	state[0] = 42 // a neighbour that must not be touched
	f.Init(state[1:])
	for from := 0; from < len(words); {
		to := min(len(words), from+1+rng.IntN(100))
		a := Args{Words: words[from:to], NullBit: 5, ByNullBit: 6}
		if nulls != nil {
			a.Nulls = nulls[from:to]
		}
		if len(by) > 0 {
			a.By = by[from:to]
		}
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: make([]uint64, to-from)}, 8, a)
		from = to
	}
	if state[0] != 42 {
		panic("the word before the state was written")
	}
	return state[1:]
}

// draw makes a random word of a type: few different ones where few says so.
func draw(rng *rand.Rand, typ record.Type, few bool) uint64 {
	switch {
	case typ == record.Bool:
		return uint64(rng.IntN(20)+19) / 20 // mostly true
	case few:
		if typ == record.Float64 {
			return math.Float64bits(float64(rng.IntN(3) - 1))
		}
		return uint64(rng.IntN(3) - 1)
	case typ == record.Float64:
		return math.Float64bits(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(6))))
	}
	return uint64(rng.Int64() >> rng.IntN(64))
}

// Goal: merging the states of parts, in words or as bytes, in any order, is the state of the whole; for every function, types
// and nullability. Method: random values cut into random parts, some of them empty. Integers, decimals and choices bit for bit,
// floats within 1e-13.
func TestMerge(t *testing.T) {
	types := []record.Type{record.Bool, record.Int64, record.Float64, record.DecimalOf(18, 4), record.Timestamp}
	bound := map[Kind]int{}
	for _, k := range kinds {
		for _, typ := range types {
			for _, by := range types {
				if !takesBy(k) && by != types[0] {
					continue
				}
				for _, nullable := range []bool{false, true} {
					args := []Arg{{typ, nullable}}
					if takesBy(k) {
						args = append(args, Arg{by, nullable})
					}
					f, err := Bind(k, args...)
					if err != nil {
						continue
					}
					bound[k]++
					for seed := range uint64(20) {
						testMerge(t, fmt.Sprintf("%v(%v) nullable %v seed %d", k, args, nullable, seed), f, seed,
							nullable, typ, by)
					}
				}
			}
		}
	}
	want := map[Kind]int{
		Count: 10, Sum: 6, Min: 8, Max: 8, Avg: 6, VarPop: 6, VarSamp: 6, StddevPop: 6, StddevSamp: 6,
		MinBy: 40, MaxBy: 40, First: 40, Last: 40, BoolAnd: 2, BoolOr: 2, BitAnd: 2, BitOr: 2, BitXor: 2,
	}
	if !maps.Equal(bound, want) {
		t.Errorf("tested %v, expected %v", bound, want)
	}
}

func testMerge(t *testing.T, what string, f Func, seed uint64, nullable bool, typ, by record.Type) {
	rng := rand.New(rand.NewPCG(seed, 9))
	n := 1 + rng.IntN(500)
	words, nulls, bys := make([]uint64, n), make([]uint64, n), make([]uint64, n)
	few, mean := rng.IntN(2) == 0, 0.0
	if rng.IntN(2) == 0 {
		mean = 1e9 * rng.NormFloat64()
	}
	for i := range words {
		words[i], bys[i] = draw(rng, typ, few), draw(rng, by, few)
		_, varies := f.(floatVariance)
		if varies {
			words[i] = math.Float64bits(math.Float64frombits(words[i]) + mean)
		}
		nulls[i] = ^uint64(3 << 5) // the bits of other arguments
		if nullable {
			nulls[i] &= ^uint64(0) >> (rng.IntN(2) * 64)
			nulls[i] |= uint64(rng.IntN(3)/2)<<5 | uint64(rng.IntN(3)/2)<<6
		}
	}
	whole := f.Result(apply(f, rng, words, nulls, bys...), nil)
	merged, asBytes := make([]uint64, f.Words()), make([]uint64, f.Words())
	f.Init(merged)
	f.Init(asBytes)
	var parts [][]uint64
	for from := 0; from < n; {
		to := min(n, from+rng.IntN(200))
		parts = append(parts, apply(f, rng, words[from:to], nulls[from:to], bys[from:to]...))
		from = to
	}
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	var wire []byte
	for _, p := range parts {
		f.Merge(merged, p, nil, nil)
		wire = AppendPartial(f, wire, p, nil)
	}
	var err error
	for range parts {
		if wire, err = MergePartial(f, asBytes, nil, wire); err != nil {
			t.Fatal(err)
		}
	}
	if len(wire) > 0 {
		t.Fatalf("%d bytes left", len(wire))
	}
	for how, got := range map[string]Value{"words": f.Result(merged, nil), "bytes": f.Result(asBytes, nil)} {
		_, exact := f.(intVariance)
		if _, ok := f.(chosen); ok {
			exact = true
		}
		if exact && got != whole || !close(f.Type(), got, whole) {
			t.Fatalf("%s: merged as %s %+v, at once %+v", what, how, got, whole)
		}
	}
}

func close(typ record.Type, a, b Value) bool {
	if typ != record.Float64 || a.Null || b.Null {
		return a == b
	}
	x, y := math.Float64frombits(a.Bits), math.Float64frombits(b.Bits)
	return x == y || x != x && y != y || math.Abs(x-y) <= 1e-13*max(math.Abs(x), math.Abs(y))
}

// Goal: sums that leave 64 bits on the way come back exactly; one that ends outside says so.
func TestSumOverflow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := bind(t, Sum, record.Int64, false)
	big := uint64(math.MaxInt64)
	if v := f.Result(apply(f, rng, []uint64{big, big, -big, 5, -big}, nil), nil); v.Null || v.Bits != 5 {
		t.Errorf("%+v, expected 5", v)
	}
	if v := f.Result(apply(f, rng, []uint64{big, 1}, nil), nil); !v.Null || !v.Overflow {
		t.Errorf("%+v, expected an overflow", v)
	}
	least := uint64(1) << 63
	if v := f.Result(apply(f, rng, []uint64{least}, nil), nil); v.Null || v.Bits != least {
		t.Errorf("%+v, expected the least bigint", v)
	}
	d := bind(t, Sum, record.DecimalOf(18, 2), false)
	if v := d.Result(apply(d, rng, []uint64{1e18 - 1, 1}, nil), nil); !v.Overflow {
		t.Errorf("%+v, expected an overflow: 19 digits", v)
	}
	a := bind(t, Avg, record.Int64, false)
	if v := a.Result(apply(a, rng, []uint64{big, big, big}, nil), nil); math.Float64frombits(v.Bits) != math.MaxInt64 {
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
	if v := math.Float64frombits(f.Result(apply(f, rng, words, nil), nil).Bits); v != 1000 {
		t.Errorf("%v, expected 1000", v)
	}
}

// Goal: infinities and NaN of a sum come out alike in every order and cut. Method: all cuts in two of all rotations, merged either way.
func TestFloatSpecials(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{inf, 1}, inf},
		{[]float64{nan, 1}, nan},
		{[]float64{-inf, 1, 2}, -inf},
		{[]float64{inf, -inf, 1, 2}, nan},
		{[]float64{inf, 1, inf}, inf},
		{[]float64{nan, inf, 1}, nan},
		{[]float64{1e308, 1, -1e308}, 1},
		{[]float64{math.MaxFloat64, -math.MaxFloat64, 3}, 3},
	} {
		for _, k := range []Kind{Sum, Avg} {
			want := c.want
			if k == Avg {
				want /= float64(len(c.in))
			}
			everyCut(bind(t, k, record.Float64, true), c.in, func(got Value, how string) {
				if v := math.Float64frombits(got.Bits); got.Null || fmt.Sprint(v) != fmt.Sprint(want) {
					t.Errorf("%v of %v %s is %v, expected %v", k, c.in, how, v, want)
				}
			})
		}
	}
}

// everyCut gives the result over some floats for every rotation, every cut in two and both orders of merging.
func everyCut(f Func, in []float64, got func(v Value, how string)) {
	rng := rand.New(rand.NewPCG(1, 1))
	for turn := range in {
		var words []uint64
		for i := range in {
			words = append(words, math.Float64bits(in[(i+turn)%len(in)]))
		}
		for cut := range len(words) + 1 {
			a, b := apply(f, rng, words[:cut], nil), apply(f, rng, words[cut:], nil)
			c := slices.Clone(a)
			f.Merge(a, b, nil, nil)
			f.Merge(b, c, nil, nil)
			got(f.Result(a, nil), fmt.Sprintf("turned by %d, cut at %d", turn, cut))
			got(f.Result(b, nil), fmt.Sprintf("turned by %d, cut at %d, the second part first", turn, cut))
		}
	}
}

// Goal: floats order as in PostgreSQL. Method: each pair, as minimum and maximum.
func TestFloatOrder(t *testing.T) {
	ascending := []float64{
		math.Inf(-1), -math.MaxFloat64, -1, -math.SmallestNonzeroFloat64, 0,
		math.SmallestNonzeroFloat64, 1, math.MaxFloat64, math.Inf(1), math.NaN(),
	}
	for i, x := range ascending {
		if got := math.Float64frombits(Unordered(Ordered(math.Float64bits(x)))); fmt.Sprint(got) != fmt.Sprint(x) {
			t.Errorf("%v came back as %v", x, got)
		}
		for _, y := range ascending[i+1:] {
			if Ordered(math.Float64bits(x)) >= Ordered(math.Float64bits(y)) {
				t.Errorf("%v is not less than %v", x, y)
			}
		}
	}
	if Ordered(math.Float64bits(math.Copysign(0, -1))) != Ordered(0) {
		t.Error("-0 is not 0")
	}
}

// Goal: NULLs do not count, and no value at all is NULL, or 0 for count; one value has no sample variance. As in PostgreSQL.
func TestNulls(t *testing.T) {
	testNulls(t, record.Int64, []uint64{7, 9, 11}, 9)
	testNulls(t, record.Float64, []uint64{math.Float64bits(7), math.Float64bits(9), math.Float64bits(11)},
		math.Float64bits(9))
}

func testNulls(t *testing.T, typ record.Type, words []uint64, nine uint64) {
	const null = math.MaxUint64
	rng := rand.New(rand.NewPCG(1, 1))
	nulls := []uint64{1 << 5, 0, 1 << 5}
	for k, want := range map[Kind]uint64{
		Count: 1, Sum: nine, Min: nine, Max: nine, Avg: math.Float64bits(9), VarPop: 0, StddevPop: 0, VarSamp: null,
		StddevSamp: null,
		MinBy:      null, MaxBy: null, First: null, Last: null,
	} {
		f := bind(t, k, typ, true)
		by := []uint64{1, 2, 3}
		if k == MinBy || k == First {
			by[0] = 0
		}
		if v := f.Result(apply(f, rng, words, nulls, by...), nil); v.Null != (want == null) || !v.Null &&
			v.Bits != want {
			t.Errorf("%v: %+v, expected %d", k, v, want)
		}
		if v := f.Result(apply(f, rng, words[:1], nulls, by[0]), nil); v.Null != (k != Count) || v.Bits != 0 {
			t.Errorf("%v of NULLs: %+v", k, v)
		}
		if v := f.Result(apply(f, rng, words, nil, by...), nil); v.Null {
			t.Errorf("%v of a batch without NULLs: %+v", k, v)
		}
		if v := f.Result(apply(f, rng, nil, nil), nil); v.Null != (k != Count) {
			t.Errorf("%v of nothing: %+v", k, v)
		}
	}
}

// Goal: bool_and and bool_or as PostgreSQL's, a table.
func TestBool(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ in, and, or string }{
		{"", "n", "n"},
		{"nN", "n", "n"},
		{"t", "t", "t"},
		{"f", "f", "f"},
		{"tf", "f", "t"},
		{"ft", "f", "t"},
		{"nt", "t", "t"},
		{"fN", "f", "f"},
		{"ntNfn", "f", "t"},
		{"ttt", "t", "t"},
	} {
		var words, nulls []uint64
		for _, r := range c.in {
			word, null := uint64(0), uint64(0)
			switch r {
			case 'n': // NULL, whose word is anything
				null = 1 << 5
			case 'N':
				word, null = 1, 1<<5
			case 't':
				word = 1
			case 'f':
				word = 0
			}
			words, nulls = append(words, word), append(nulls, null)
		}
		for k, want := range map[Kind]string{BoolAnd: c.and, BoolOr: c.or} {
			for _, nullable := range []bool{true, false} {
				if !nullable && (strings.ContainsAny(c.in, "nN") || c.in == "") {
					continue
				}
				f := bind(t, k, record.Bool, nullable)
				got := "n"
				if v := f.Result(apply(f, rng, words, nulls), nil); !v.Null {
					got = "ft"[v.Bits : v.Bits+1]
				}
				if got != want {
					t.Errorf("%v of %q is %s, expected %s", k, c.in, got, want)
				}
			}
		}
	}
}

// Goal: what min_by and max_by choose, a table: NULLs, ties, NaN, the ends of the range. Method: each in every rotation.
func TestChosen(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	type row struct{ x, by any } // int64, float64 or nil
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		rows     []row
		min, max any
	}{
		{[]row{{10, 1}, {20, 2}, {30, 3}}, 10, 30},
		{[]row{{10, nil}, {20, 2}, {30, nil}}, 20, 20},    // rows without By do not count
		{[]row{{10, nil}, {nil, nil}}, nil, nil},          // so there may be none
		{[]row{{nil, 1}, {20, 2}, {nil, 3}}, nil, nil},    // the value may be NULL
		{[]row{{5, 1}, {7, 1}, {6, 1}}, 5, 7},             // ties by value
		{[]row{{nil, 1}, {7, 1}, {8, 1}, {nil, 1}}, 7, 8}, // NULL only where there is no other
		{[]row{{-5, -1}, {7, -1}, {least, -1}, {most, -1}}, least, most},
		{[]row{{3, most}}, 3, 3},
		{[]row{{3, least}}, 3, 3},
		{[]row{{nil, most}}, nil, nil},
		{[]row{{nil, least}}, nil, nil},
		{[]row{{most, most}, {least, most}}, least, most},
		{[]row{{most, least}, {least, least}}, least, most},
		{[]row{{1, 2.5}, {2, math.NaN()}, {3, math.Inf(1)}, {4, math.Inf(-1)}}, 4, 2}, // NaN is greatest
		{[]row{{1, math.Copysign(0, -1)}, {2, 0.0}, {0, 0.0}}, 0, 2},                  // -0 ties with 0
		{[]row{{math.NaN(), 1}, {2.5, 1}, {-2.5, 1}}, -2.5, math.NaN()},
	} {
		for turn := range c.rows {
			var words, nulls, by []uint64
			types := [2]record.Type{record.Int64, record.Int64}
			for i := range c.rows {
				r := c.rows[(i+turn)%len(c.rows)]
				null := uint64(0)
				word := func(i int, v any) uint64 {
					switch v := v.(type) {
					case int:
						return uint64(v)
					case float64:
						types[i] = record.Float64
						return math.Float64bits(v)
					}
					null |= 1 << 5 << i
					return rng.Uint64() // the word of a NULL is anything
				}
				words, by = append(words, word(0, r.x)), append(by, word(1, r.by))
				nulls = append(nulls, null)
			}
			if types[0] == record.Float64 { // 1 among floats
				for i := range by {
					if by[i] == 1 {
						by[i] = math.Float64bits(1)
					}
				}
				types[1] = record.Float64
			}
			for k, want := range map[Kind]any{MinBy: c.min, First: c.min, MaxBy: c.max, Last: c.max} {
				f, err := Bind(k, Arg{types[0], true}, Arg{types[1], true})
				if err != nil {
					t.Fatal(err)
				}
				v := f.Result(apply(f, rng, words, nulls, by...), nil)
				var got any
				switch {
				case v.Null:
				case types[0] == record.Float64:
					got = math.Float64frombits(v.Bits)
				default:
					got = int(v.Bits)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%v of %v turned by %d is %v, expected %v", k, c.rows, turn, got, want)
				}
			}
		}
	}
}

// Goal: what a function does not take is refused with what it takes.
func TestBindFaults(t *testing.T) {
	for _, c := range []struct {
		k    Kind
		args []record.Type
		want string
	}{
		{Sum, nil, "agg: sum needs a column"},
		{Sum, []record.Type{record.String}, "agg: sum(text) is not defined, expected bigint"},
		{Avg, []record.Type{record.Timestamp}, "agg: avg(timestamp) is not defined"},
		{Min, []record.Type{record.Bool}, "agg: min(boolean) is not defined"},
		{Max, []record.Type{record.Int64, record.Int64}, "agg: max takes one column"},
		{Count, []record.Type{record.Int64, record.Int64}, "agg: count takes one column"},
		{StddevPop, []record.Type{record.Timestamp}, "agg: stddev_pop(timestamp) is not defined, expected bigint"},
		{VarSamp, []record.Type{record.Bool}, "agg: var_samp(boolean) is not defined"},
		{BoolAnd, []record.Type{record.Int64}, "agg: bool_and(bigint) is not defined, expected boolean"},
		{BoolOr, nil, "agg: bool_or needs a column"},
		{First, nil, "agg: first needs a column"},
		{MinBy, []record.Type{record.Int64}, "agg: min_by needs a second column"},
		{Last, []record.Type{record.Int64, record.String}, "agg: last(bigint) by text is not defined"},
		{Last, []record.Type{record.Int64, record.Bool}, "agg: last(bigint) by boolean is not defined"},
		{0, []record.Type{record.Int64}, "agg: Kind(0) is not an aggregate function"},
		{99, []record.Type{record.Int64}, "agg: Kind(99) is not an aggregate function"},
	} {
		var args []Arg
		for _, typ := range c.args {
			args = append(args, Arg{Type: typ})
		}
		if _, err := Bind(c.k, args...); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v(%v): %v, expected %s", c.k, c.args, err, c.want)
		}
	}
}

// Goal: a partial state that is cut off, of another version or function, is refused and changes nothing.
func TestPartialFaults(t *testing.T) {
	f := bind(t, Avg, record.Int64, false)
	good := AppendPartial(f, nil, []uint64{1, 0, 1}, nil)
	other := AppendPartial(bind(t, Sum, record.Int64, false), nil, []uint64{1, 0}, nil)
	bad := [][]byte{other, append([]byte{99}, good[1:]...)}
	for i := range good {
		bad = append(bad, good[:i])
	}
	for _, b := range bad {
		state := []uint64{5, 0, 2}
		if _, err := MergePartial(f, state, nil, b); err == nil || state[0] != 5 || state[2] != 2 {
			t.Errorf("%x: %v, state %v", b, err, state)
		}
	}
}
