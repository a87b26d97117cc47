package agg

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// Goal: fused functions do to the rows what their own updates do. Method: random sets of functions over two arguments, random stripes.
func TestFuse(t *testing.T) {
	was512, wasWords := have512, haveWords
	defer func() { have512, haveWords = was512, wasWords }()
	for _, way := range []struct {
		name           string
		vectors, words bool
	}{{"go", false, false}, {"words", false, true}, {"vectors", true, false}, {"both", true, true}} {
		t.Run(way.name, func(t *testing.T) {
			if way.vectors && !was512 || way.words && !wasWords {
				t.Skip("this processor, or this build, does not have them")
			}
			have512, haveWords = way.vectors, way.words
			testFuse(t)
		})
	}
}

func testFuse(t *testing.T) {
	kinds := []Kind{Count, Sum, Min, Max, Avg, VarPop, BoolAnd}
	types := []record.Type{record.Int64, record.Float64, record.DecimalOf(9, 2), record.Timestamp, record.Bool}
	fusedOnes, vectors, words, slow := 0, 0, 0, 0
	loops := map[foundLoop]int{}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var placed []Placed
		stateWords := 0
		argTypes := []record.Type{types[rng.IntN(len(types))], types[rng.IntN(len(types))]}
		nullable := []bool{rng.IntN(4) == 0, rng.IntN(4) == 0}
		usual := rng.IntN(3) == 0 // what is asked for most often
		for i := range 4 + rng.IntN(5) {
			k, arg := kinds[rng.IntN(len(kinds))], rng.IntN(2)
			if usual && i < 3 {
				k, arg = []Kind{Sum, Min, Max}[i], 0
			}
			args := []Arg{{argTypes[arg], nullable[arg]}}
			if k == Count && (!nullable[arg] || rng.IntN(2) == 0) {
				args, arg = nil, -1
			}
			f, err := Bind(k, args...)
			if err != nil {
				continue // a sum of timestamps, say
			}
			if rng.IntN(2) == 0 {
				f = Uncounted(f)
			}
			placed = append(placed, Placed{f, arg, -1, stateWords})
			stateWords += f.Words()
		}
		fused, rest := Fuse(placed)
		total := len(rest)
		for i := range fused {
			n := 0
			for _, there := range []bool{fused[i].counts, fused[i].sums, fused[i].mins, fused[i].maxs} {
				if there {
					n++
				}
			}
			for _, p := range placed {
				if _, ok := p.Func.(countValues); ok && p.Arg == fused[i].Arg {
					n++
				}
			}
			if n < 2 && (!fused[i].sums || fused[i].double) {
				t.Fatalf("seed %d: %+v fuses %d functions", seed, fused[i], n)
			}
			total += n
		}
		if total != len(placed) {
			t.Fatalf("seed %d: %d functions, %d of them found again", seed, len(placed), total)
		}
		fusedOnes += len(fused)

		const groups = 7
		keyWords := 1 + rng.IntN(2)
		width := keyWords + stateWords
		if width <= vectorWords {
			width = vectorWords
			vectors++
		}
		paces := make([]Pace, len(fused))
		for i := range fused {
			if fused[i].Bind(keyWords, width); fused[i].asWords {
				words++
			}
		}
		state := make([]uint64, groups*width)
		for g := range groups {
			for _, p := range placed {
				p.Func.Init(state[g*width+keyWords+p.Word:])
			}
		}
		twin := slices.Clone(state)
		for range 6 {
			n := rng.IntN(100)
			off := make([]uint64, n)
			args := [2][]uint64{make([]uint64, n), make([]uint64, n)}
			for i := range n {
				off[i] = uint64(rng.IntN(groups) * width * 8)
				args[0][i], args[1][i] = uint64(rng.Int64()>>rng.IntN(64)), rng.Uint64()>>rng.IntN(64)
			}
			for arg, typ := range argTypes {
				if typ == record.Float64 {
					for i := range n {
						args[arg][i] = someDouble(rng)
					}
				}
			}
			var nulls []uint64
			if rng.IntN(3) > 0 {
				nulls = make([]uint64, n)
				for arg, often := range []int{rng.IntN(5), rng.IntN(5)} {
					for i := range n {
						if nullable[arg] && rng.IntN(4) < often {
							nulls[i] |= 1 << arg
						}
					}
				}
			}
			update := func(state []uint64, ps []Placed) {
				for _, p := range ps {
					var a Args
					if p.Arg >= 0 {
						a = Args{Words: args[p.Arg], Nulls: nulls, NullBit: uint8(p.Arg)}
					}
					p.Func.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: off}, uintptr(8*(keyWords+p.Word)), a)
				}
			}
			update(twin, placed)
			update(state, rest)
			for i := range fused {
				rows, arg := Rows{Base: unsafe.Pointer(&state[0]), Off: off}, fused[i].Arg
				if nulls == nil && keyWords == 1 && fused[i].Finds(&paces[i]) {
					loops[fused[i].loop]++
					findAndUpdate(t, rng, &fused[i], rows, args[arg], &paces[i])
				} else if nulls == nil {
					fused[i].Update(rows, uintptr(8*keyWords), args[arg], &paces[i])
				} else {
					fused[i].UpdateSome(
						rows, uintptr(8*keyWords), Args{Words: args[arg], Nulls: nulls, NullBit: uint8(arg)},
						make([]uint64, 2*n), &paces[i])
				}
			}
		}
		for _, p := range paces {
			if p.changing > 0 {
				slow++
			}
		}
		// Which NaN a sum of two is depends on their order, which the compiler chooses.
		for g := 0; g < len(state); g += width {
			for _, p := range placed {
				if _, ok := p.Func.(floatSum); ok {
					one(state[g+keyWords+p.Word:][:2])
					one(twin[g+keyWords+p.Word:][:2])
				}
			}
		}
		if !slices.Equal(state, twin) {
			t.Fatalf("seed %d: %+v\nfused %+v\ngot      %x\nexpected %x", seed, placed, fused, state, twin)
		}
	}
	if fusedOnes == 0 || vectors == 0 || haveWords && (words == 0 || slow == 0) {
		t.Fatal("nothing was fused")
	}
	if haveWords && len(loops) < 4 {
		t.Fatalf("loops that find rows: %v of 4", loops)
	}
	t.Logf("%d loops, of which %d may go word by word and %d have ceased to", fusedOnes, words, slow)
}

// findAndUpdate is Update in two steps: the rows that have the keys are updated while they are found; those that have others, or are row 0, are reported, and updated after that. Row 0 is taken as well: it has no key.
func findAndUpdate(t *testing.T, rng *rand.Rand, f *Fused, rows Rows, words []uint64, pace *Pace) {
	keys := make([]uint64, len(rows.Off))
	var want []uint32
	for i, off := range rows.Off {
		row := (*uint64)(unsafe.Add(rows.Base, off))
		if *row = off * 3; off == 0 || rng.IntN(4) == 0 {
			want = append(want, uint32(i))
		}
	}
	for i, off := range rows.Off {
		keys[i] = off * 3
		if off != 0 && slices.Contains(want, uint32(i)) {
			keys[i]++
		}
	}
	missed := make([]uint32, len(keys)+1)
	missed = missed[:f.UpdateFound(rows, keys, words, missed, pace)]
	if !slices.Equal(missed, want) {
		t.Fatalf("missed %v, expected %v", missed, want)
	}
	var off, left []uint64
	for _, i := range missed {
		off, left = append(off, rows.Off[i]), append(left, words[i])
	}
	f.Update(Rows{Base: rows.Base, Off: off}, 8, left, pace)
	for _, off := range rows.Off {
		*(*uint64)(unsafe.Add(rows.Base, off)) = 0
	}
}

// one makes one NaN of all.
func one(doubles []uint64) {
	for i, d := range doubles {
		if v := math.Float64frombits(d); v != v {
			doubles[i] = math.Float64bits(math.NaN())
		}
	}
}

// someDouble is a number of any size, or one of those that are ordered or added in a way of their own.
func someDouble(rng *rand.Rand) uint64 {
	switch rng.IntN(8) {
	case 0:
		odd := []float64{
			math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64,
			math.SmallestNonzeroFloat64,
		}
		return math.Float64bits(odd[rng.IntN(len(odd))])
	case 1:
		return rng.Uint64()
	}
	return math.Float64bits(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(20))))
}

// Count, sum, min and max of one argument over 1,000 rows: each in a loop of its own, in one loop, as vectors.
func BenchmarkFused(b *testing.B) {
	for _, typ := range []record.Type{record.Int64, record.Float64} {
		b.Run("type="+strings.ReplaceAll(typ.String(), " ", "_"), func(b *testing.B) { benchmarkFused(b, typ) })
	}
}

func benchmarkFused(b *testing.B, typ record.Type) {
	const groups, keyWords, width, n = 1000, 1, 8, 512
	var placed []Placed
	words := 0
	for _, k := range []Kind{Count, Sum, Min, Max} {
		args, arg := []Arg{{Type: typ}}, 0
		if k == Count {
			args, arg = nil, -1
		}
		f, err := Bind(k, args...)
		if err != nil {
			b.Fatal(err)
		}
		placed = append(placed, Placed{f, arg, -1, words})
		words += f.Words()
	}
	fused, _ := Fuse(placed)
	state := make([]uint64, groups*width+8)
	for uintptr(unsafe.Pointer(&state[0]))%64 != 0 {
		state = state[1:]
	}
	off, args := make([]uint64, n), make([]uint64, n)
	for i := range n {
		off[i] = uint64(rand.IntN(groups) * width * 8)
		if args[i] = rand.Uint64(); typ == record.Float64 {
			args[i] = math.Float64bits(rand.NormFloat64())
		}
	}
	rows := Rows{Base: unsafe.Pointer(&state[0]), Off: off}
	report := func(b *testing.B) { b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record") }
	b.Run("impl=separate", func(b *testing.B) {
		for b.Loop() {
			for _, p := range placed {
				p.Func.Update(rows, uintptr(8*(keyWords+p.Word)), Args{Words: args})
			}
		}
		report(b)
	})
	b.Run("impl=fused", func(b *testing.B) {
		for b.Loop() {
			fused[0].Update(rows, 8*keyWords, args, &Pace{})
		}
		report(b)
	})
	b.Run("impl=vectors", func(b *testing.B) {
		f := fused[0]
		if f.Bind(keyWords, width); !f.asVector {
			b.Skip("no AVX-512 here")
		}
		for b.Loop() {
			f.Update(rows, 8*keyWords, args, &Pace{changing: 2})
		}
		report(b)
	})
	b.Run("impl=words", func(b *testing.B) {
		f := fused[0]
		if f.Bind(keyWords, width); !f.asWords {
			b.Skip("not here")
		}
		for b.Loop() {
			f.Update(rows, 8*keyWords, args, &Pace{})
		}
		report(b)
	})
}
