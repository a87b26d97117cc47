package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// edges are words that are near a limit as integers, decimals or floats.
var edges = []uint64{
	0, 1, 1 << 63, 1<<63 - 1, 1<<63 + 1, math.MaxUint64, 1 << 31, 1 << 32, 3037000499, 3037000500, 1<<53 - 1, 1 << 53,
	1<<53 + 1,
	999_999_999_999, 1_000_000_000_000, 1<<64 - 999_999_999_998, 1_000_000_000,
	math.Float64bits(1), math.Float64bits(-1), math.Float64bits(math.MaxFloat64), math.Float64bits(5e-324),
	math.Float64bits(1e-200), math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)),
	math.Float64bits(math.NaN()), math.Float64bits(math.NaN()) | 1<<63, 0x7ff0000000000001, math.Float64bits(1e154),
	math.Float64bits(1.5e154),
}

// column has n words, of which few are other than small so that some stripes have none that is an error.
func column(rng *rand.Rand, n int) []uint64 {
	all := make([]uint64, n)
	odd := rng.IntN(8)
	for i := range all {
		switch {
		case rng.IntN(8) < odd:
			all[i] = edges[rng.IntN(len(edges))]
		case rng.IntN(2) == 0:
			all[i] = uint64(rng.Int64N(7) - 3)
		default:
			all[i] = math.Float64bits(float64(rng.IntN(9)-4) / 2)
		}
	}
	return all
}

// Goal: kernels do what the functions of values do for each row, write nothing after their end, and notice every row that has failed. Method: columns of all lengths with the words at which arithmetic breaks, in each way
// that the processor has; what a loop says has no failure must have none.
func TestKernels(t *testing.T) {
	dec := record.DecimalOf(12, 2)
	for way := range uint64(3) {
		t.Run(fmt.Sprint("vectors=", way), func(t *testing.T) {
			useVectors(t, way)
			for seed := range uint64(3000) {
				rng := rand.New(rand.NewPCG(seed, 9))
				n := 1 + rng.IntN(200)
				x, y := column(rng, n), column(rng, n)
				if rng.IntN(2) == 0 { // one pair of them, and nothing else that could be noticed
					plain := []uint64{3, math.Float64bits(1.5)}[rng.IntN(2)]
					for i := range x {
						x[i], y[i] = plain, plain
					}
					i := rng.IntN(n)
					x[i], y[i] = edges[rng.IntN(len(edges))], edges[rng.IntN(len(edges))]
				}
				for _, op := range []Op{Eq, Ne, Lt, Le, Gt, Ge} {
					for _, typ := range []record.Type{record.Int64, record.Float64} {
						got := make([]uint64, words(n)+1)
						got[words(n)] = 7
						compareWords(got, op, typ == record.Float64, x, y)
						for i := range x {
							if want := word(holds(op, compare(typ, Value{Bits: x[i]}, Value{Bits: y[i]}))); got[i>>6]>>(i&63)&1 != want {
								t.Fatalf("seed %d: %#x %s %#x as %v: not %d", seed, x[i], ops[op].name, y[i], typ, want)
							}
						}
						if got[words(n)] != 7 {
							t.Fatalf("seed %d: %s writes behind its end", seed, ops[op].name)
						}
					}
				}
				to := make([]uint64, n)
				for _, op := range []Op{Add, Sub, Mul, Div, Mod} {
					for _, typ := range []record.Type{record.Int64, dec} {
						if typ == dec && (op == Div || op == Mod) {
							continue // the numbers of a decimal fit, and so do these then
						}
						suspect, failed := intsOf(op, to, x, y, spanOf(typ)), false
						for i := range x {
							v, err := intOf(op, int64(x[i]), int64(y[i]))
							if failed = failed || err != nil || !fits(typ, v); !suspect &&
								(failed || uint64(v) != to[i]) {
								t.Fatalf("seed %d: %d %s %d as %v: %d, expected %d, %v", seed, int64(x[i]),
									ops[op].name, int64(y[i]), typ, int64(to[i]), v, err)
							}
						}
						d := uint64(1 + rng.Int64N(math.MaxInt64)>>rng.IntN(62))
						if divideBy(op, to, x, newDivisor(d)); op == Div || op == Mod {
							for i := range x {
								if v, _ := intOf(op, int64(x[i]), int64(d)); uint64(v) != to[i] {
									t.Fatalf("seed %d: %d %s the constant %d: %d, expected %d", seed, int64(x[i]),
										ops[op].name, d, int64(to[i]), v)
								}
							}
						}
					}
					if op == Mod {
						continue
					}
					odd := floatsOf(op, to, x, y)
					for i := range x {
						v, err := floatOf(op, math.Float64frombits(x[i]), math.Float64frombits(y[i]))
						if !odd && err != nil || err == nil && math.Float64bits(v) != to[i] &&
							(v == v || math.Float64frombits(to[i]) == math.Float64frombits(to[i])) {
							t.Fatalf("seed %d: %v %s %v: %v, expected %v, %v", seed, math.Float64frombits(x[i]),
								ops[op].name, math.Float64frombits(y[i]), math.Float64frombits(to[i]), v, err)
						}
					}
				}
				var take [stripeWords]uint64
				for i := range n {
					take[i>>6] |= rng.Uint64() & 1 << (i & 63)
				}
				copy(to, x)
				merge(to, y, &take)
				for i := range to {
					if want := []uint64{x[i], y[i]}[take[i>>6]>>(i&63)&1]; to[i] != want {
						t.Fatalf("seed %d: row %d of a merge: %#x, expected %#x", seed, i, to[i], want)
					}
				}
			}
		})
	}
}

// Goal: texts are compared right whatever follows them, at the end of their bytes too. Method: short texts of few letters that overlap in bytes that are as long as they need be, constants shorter and longer than what is compared at once.
func TestBeginWith(t *testing.T) {
	for way := range uint64(3) {
		t.Run(fmt.Sprint("vectors=", way), func(t *testing.T) {
			useVectors(t, way)
			for seed := range uint64(4000) {
				rng := rand.New(rand.NewPCG(seed, 11))
				all := make([]byte, rng.IntN(60))
				for i := range all {
					all[i] = "aab"[rng.IntN(3)]
				}
				v := vec{bytes: all}
				m := Machine{n: 1 + rng.IntN(150)}
				if rng.IntN(2) == 0 {
					v.valid = make([]uint64, words(m.n))
				}
				for i := range m.n {
					from := rng.IntN(len(all) + 1)
					view := record.View{Off: uint32(from), Len: uint32(rng.IntN(min(len(all)-from, 15) + 1))}
					if v.valid != nil {
						if rng.IntN(3) == 0 {
							view = record.View{Off: rng.Uint32(), Len: rng.Uint32()} // nothing may look at that
						} else {
							v.valid[i>>6] |= 1 << (i & 63)
						}
					}
					v.views = append(v.views, view)
				}
				want := make([]byte, rng.IntN(12))
				for i := range want {
					want[i] = "aab"[rng.IntN(3)]
				}
				if at := rng.IntN(len(all) + 1); rng.IntN(2) == 0 {
					want = all[at:min(at+len(want), len(all))]
				}
				for _, exactly := range []bool{false, true} {
					got := make([]uint64, words(m.n))
					m.beginWith(got, &v, string(want), exactly)
					for i := range m.n {
						if v.isValid(i) && got[i>>6]>>(i&63)&1 != m.begins(&v, i, string(want), exactly) {
							t.Fatalf("seed %d: %q begins with %q, or is it (%v): %v", seed, v.text(i), want, exactly,
								got[i>>6]>>(i&63)&1 != 0)
						}
					}
				}
			}
		})
	}
}

// Goal: LIKE finds the same with the loops as text by text. Method: patterns and texts of few characters, one of more bytes and one that is none among them.
func TestLikeTwin(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 13))
	some := func(from []string, n int) (text string) {
		for range rng.IntN(n) {
			text += from[rng.IntN(len(from))]
		}
		return text
	}
	b := record.NewBatch(s, 300)
	for range 300 {
		b.Add(64)
		b.SetString(0, some([]string{"a", "b", "é", "\xff", "\xa9", "\ufffd"}, 9))
	}
	for range 2000 {
		pattern := some([]string{"%", ""}, 2) + some([]string{"a", "b", "é", "\xff", "\ufffd"}, 4) +
			some([]string{"%", "_", "a%"}, 2)
		like, err := Like(Column(s, 0), pattern, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(s, nil, []Output{{"like", like}})
		if err != nil {
			t.Fatal(err)
		}
		got := p.New(300).Run(b).Batch.Column(0).Int64s
		for i := range b.Len() {
			if v, _ := like.Eval(b, i); v.Bits != uint64(got[i]) {
				t.Fatalf("%q LIKE %q: %d, expected %d", b.Column(0).View(i), pattern, got[i], v.Bits)
			}
		}
	}
}

// Goal: what is taken from times and what they are cut to is the same with the loops as one by one. Method: all fields and units, times at the edges of units, some hundred days at random, and the first and last that there are.
func TestTimesTwin(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	var outputs []Output
	for name := range fields {
		e, err := Extract(name, Column(s, 0))
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, Output{"extract_" + name, e})
	}
	for _, name := range units {
		e, err := DateTrunc(name, Column(s, 0))
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, Output{"trunc_" + name, e})
	}
	// One program for each: a row that fails is in no output.
	rng := rand.New(rand.NewPCG(3, 15))
	for _, o := range outputs {
		p, err := Compile(s, nil, []Output{o})
		if err != nil {
			t.Fatal(err)
		}
		m := p.New(3000)
		for range 5 {
			b := record.NewBatch(s, 3000)
			for i := range 3000 {
				v := rng.Int64() >> rng.IntN(20)
				switch rng.IntN(4) {
				case 0: // at the edge of a unit
					unit := []int64{1e3, 1e6, 1e9, 60e9, 3600e9, dayNanos, 7 * dayNanos}[rng.IntN(7)]
					v -= v % unit
					v += rng.Int64N(3) - 1
				case 1:
					v = -v
				case 2:
					v = firstTime + rng.Int64N(20*dayNanos) - 10*dayNanos
				}
				if i < 2 {
					v = []int64{math.MinInt64, math.MaxInt64}[i]
				}
				b.Add(0)
				b.SetInt64(0, v)
			}
			sameAsEval(t, o.Expr, m, b)
		}
	}
}

// sameAsEval runs a machine that has one output, and expects the values and failures of the function of values.
func sameAsEval(t *testing.T, e *Expr, m *Machine, b *record.Batch) {
	t.Helper()
	r := m.RunWith(lookup.NewPins(m.p.Tables()...), b)
	failed := map[int]bool{}
	for _, f := range r.Failed {
		failed[f.Row] = true
	}
	at := 0
	for i := range b.Len() {
		v, err := e.Eval(b, i)
		if (err != nil) != failed[i] {
			t.Fatalf("%v of row %d: %v, the machine says %v", e, i, err, failed[i])
		}
		if err != nil {
			continue
		}
		if v.Null && !e.Nullable() {
			t.Fatalf("%v of row %d is NULL, and says that it never is", e, i)
		}
		if got := columnValue(r.Batch.Column(0), e.Type(), at); got != v {
			t.Fatalf("%v of row %d: %v, expected %v", e, i, got.format(e.Type()), v.format(e.Type()))
		}
		at++
	}
}

// Goal: texts that are made are the same with the loops as one by one. Method: batches that are all ASCII, or have one other byte somewhere; NULLs; texts that lie beside each other and, as pieces of others, over each other or far apart.
func TestTextsTwin(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "s", Type: record.String},
		record.Field{Name: "u", Type: record.String, Nullable: true}, record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "f", Type: record.Float64})
	if err != nil {
		t.Fatal(err)
	}
	must := func(op Op, args ...*Expr) *Expr {
		e, err := New(op, args...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	cast := func(x *Expr, to record.Type) *Expr {
		e, err := Cast(x, to)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	x, u, i, f := Column(s, 0), Column(s, 1), Column(s, 2), Column(s, 3)
	part := must(SplitPart, x, Text("z"), i)
	choice, err := Case(must(Lt, i, Int(record.Int64, 2)), u, x)
	if err != nil {
		t.Fatal(err)
	}
	all := []*Expr{
		part, must(SplitPart, x, Text("yz"), Int(record.Int64, -1)), must(Join, x, u), must(Concat, x, u, x),
		must(Replace, x, Text("z"), u), must(Replace, x, u, Text("by")), cast(i, record.String), cast(f, record.String),
	}
	for _, of := range []*Expr{x, u, part, choice, must(Join, x, u), must(Substring, x, i)} {
		all = append(all, must(Lower, of), must(Upper, of), must(Length, of),
			must(Length, must(Upper, must(Lower, of))))
	}
	for n, e := range all {
		p, err := Compile(s, nil, []Output{{"o", e}})
		if err != nil {
			t.Fatal(err)
		}
		m := p.New(2000)
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			b := record.NewBatch(s, 20_000)
			rows := 1 + rng.IntN([]int{3, 70, 2000}[rng.IntN(3)])
			other := rng.IntN(2 * rows) // the row that is not ASCII, if there is one
			text := func(row int) string {
				var t []byte
				for range rng.IntN(20) {
					t = append(t, "abyzAZ@[`{ 09"[rng.IntN(13)])
				}
				if row == other {
					t = append(t, "\xc3\x89\xff"[:1+rng.IntN(3)]...)
				}
				return string(t)
			}
			for row := range rows {
				if !b.Add(64) {
					t.Fatal("no room")
				}
				b.SetString(0, text(row))
				if b.SetString(1, text(row)); rng.IntN(3) == 0 {
					b.SetNull(1)
				}
				b.SetInt64(2, int64(rng.IntN(6)-2))
				b.SetFloat64(3, float64(rng.IntN(100))/8)
			}
			if t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { sameAsEval(t, e, m, b) }); t.Failed() {
				return
			}
		}
	}
}
