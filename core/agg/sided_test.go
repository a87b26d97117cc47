package agg

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// memory is blocks in a slice that grows, and moves when it does.
type memory struct {
	Blocks
	words []uint64
	notes []uint64
}

func newMemory() *memory {
	m := &memory{}
	m.Blocks = NewBlocks(func(lines uint32) bool {
		lines += lines / 2
		m.words = append(make([]uint64, 0, lines*8), m.words...)[:lines*8]
		m.notes = append(m.notes, make([]uint64, int(lines)/64+1)...)
		m.SetMemory(unsafe.Pointer(&m.words[0]), lines, unsafe.Pointer(&m.notes[0]))
		return true
	})
	return m
}

// freeLines is the number of lines that belong to no block, line 0 among them.
func (m *memory) freeLines() int {
	free := 1
	for class, line := range m.free {
		for ; line != 0; line = uint32(*(*uint64)(m.at(line))) {
			free += 1 << class
		}
	}
	return free
}

// some are the words and texts of some records, two words each where the function has a second argument.
type some struct {
	Args
	n int
}

func (s some) part(rng *rand.Rand) (a, b some) {
	at := rng.IntN(s.n + 1)
	cut := func(from, to int) some {
		p := some{s.Args, to - from}
		p.Words = s.Words[from:to]
		if s.By != nil {
			p.By = s.By[from:to]
		}
		p.Nulls = s.Nulls[from:to]
		return p
	}
	return cut(0, at), cut(at, s.n)
}

func (s some) state(f Func, m *memory) []uint64 {
	state := make([]uint64, f.Words())
	f.Init(state)
	if s.n > 0 {
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: make([]uint64, s.n), Blocks: &m.Blocks}, 0, s.Args)
	}
	return state
}

// result is the value of a state as text.
func result(f Func, state []uint64, m *memory) string {
	v := f.Result(state, &m.Blocks)
	texts := TexterOf(f)
	switch {
	case v.Null:
		return "NULL"
	case texts != nil:
		return string(texts.AppendText(nil, state, &m.Blocks))
	case f.Type() == record.String:
		return fmt.Sprintf("%q", m.Bytes(v.Bits))
	case f.Type() == record.Float64:
		return fmt.Sprint(math.Float64frombits(v.Bits))
	}
	return fmt.Sprint(v.Bits)
}

// Goal: what functions with blocks compute does not depend on the order of records, nor on how they were cut into partial states, nor on how those travelled; and
// no block is lost. Method: random records, few and many different ones; the same in one piece, and cut in two at random places twice, merged in memory and as
// bytes.
func TestSidedShapes(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := rng.IntN(1 << (1 + rng.IntN(14)))
		domain := 1 + rng.IntN(1<<rng.IntN(20))
		for _, typ := range []record.Type{record.String, record.Int64, record.Float64} {
			s := some{n: n}
			s.Nulls, s.By, s.ByNullBit = make([]uint64, n), make([]uint64, n), 1
			for i := range n {
				v := rng.IntN(domain)
				w := uint64(v * 1000003)
				switch typ {
				case record.String:
					text := bytes.Repeat([]byte{byte('a' + v%3)}, v%7*v%300)
					text = fmt.Appendf(text, "%d", v)
					w = groupkey.PlaceLong(uint64(len(s.Text)), uint64(len(text)))
					s.Text = append(s.Text, text...)
				case record.Float64:
					w = math.Float64bits(math.Exp(float64(v)/float64(domain)*200) * float64(1-2*(v&1)))
				}
				s.Words = append(s.Words, w)
				s.Nulls[i] = rng.Uint64() & rng.Uint64() & 3
				s.By[i] = uint64(rng.IntN(3))
			}
			for _, k := range []Kind{
				Min, Max, MinBy, MaxBy, ApproxCountDistinct, ApproxPercentile, ApproxCountDistinctState,
				ApproxPercentileState,
			} {
				args := []Arg{{typ, true}}
				if k == MinBy || k == MaxBy {
					args = append(args, Arg{record.Int64, true})
				}
				f, err := Bind(k, args...)
				if err != nil {
					continue
				}
				if k == ApproxPercentile {
					if f, err = WithFraction(f, 0.5); err != nil {
						t.Fatal(err)
					}
				}
				if _, ok := f.(Sided); !ok {
					continue
				}
				one, two := newMemory(), newMemory()
				want := result(f, s.state(f, one), one)
				a, rest := s.part(rng)
				b, c := rest.part(rng)
				other := newMemory()
				merged, from := c.state(f, two), a.state(f, other)
				f.Merge(merged, from, &two.Blocks, &other.Blocks)
				wire := AppendPartial(f, nil, b.state(f, other), &other.Blocks)
				if rest, err := MergePartial(f, merged, &two.Blocks, wire); err != nil || len(rest) > 0 {
					t.Fatal(err, rest)
				}
				if got := result(f, merged, two); got != want {
					t.Fatalf("seed %d: %v(%v) of %d: %s in pieces, %s in one", seed, k, typ, n, got, want)
				}
				for i := range wire {
					if _, err := MergePartial(f, slices.Clone(merged), &two.Blocks, wire[:i]); err == nil {
						t.Fatalf("%v: a partial state cut off at %d of %d bytes was taken", k, i, len(wire))
					}
					if i > 100 {
						break
					}
				}
				// Every line that was used is that state's block, or free.
				Drop(f, merged, &two.Blocks)
				if free := two.freeLines(); free != two.Lines() {
					t.Fatalf("%v(%v): %d of %d lines are free when all blocks were given back", k, typ, free,
						two.Lines())
				}
			}
		}
	}
}

// Goal: approx_count_distinct is exact while it keeps hashes, and as near as HyperLogLog promises beyond that. Method: n different numbers, at 5 standard
// errors.
func TestDistinct(t *testing.T) {
	for _, n := range []int{
		0, 1, 2, 6, 7, 100, exactHashes - 1, exactHashes, exactHashes + 1, 1000, 5000, 20_000,
		1_000_000,
	} {
		m := newMemory()
		f, err := Bind(ApproxCountDistinct, Arg{record.Int64, false})
		if err != nil {
			t.Fatal(err)
		}
		state := make([]uint64, 2)
		for from := 0; from < n; from += 1000 {
			var s some
			for v := from; v < min(from+1000, n); v++ {
				s.Words = append(s.Words, uint64(v), uint64(v))
				s.n += 2
			}
			f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: make([]uint64, s.n), Blocks: &m.Blocks}, 0, s.Args)
		}
		got := int(f.Result(state, &m.Blocks).Bits)
		if limit := 5 * 1.04 / 64 * float64(n); n <= exactHashes && got != n || math.Abs(float64(got-n)) > limit {
			t.Errorf("%d different: %d", n, got)
		}
	}
}

// Goal: a percentile is within MaxPercentileError of the value at its rank, while no more buckets are needed than there may be; where more are, the upper ones
// still are. Method: sorting.
func TestPercentile(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		n := 1 + rng.IntN(5000)
		decades := rng.Float64() * 7
		if seed%10 == 9 {
			decades = 300
		}
		var s some
		var values []float64
		for range n {
			v := math.Pow(10, rng.Float64()*decades-decades/2)
			switch rng.IntN(20) {
			case 0:
				v = 0
			case 1:
				v = float64(rng.IntN(100))
			}
			if seed%3 == 0 && decades < 3 && rng.IntN(2) == 0 {
				v = -v
			}
			values = append(values, v)
			s.Words = append(s.Words, math.Float64bits(v))
		}
		s.n = n
		m := newMemory()
		f, err := Bind(ApproxPercentile, Arg{record.Float64, false})
		if err != nil {
			t.Fatal(err)
		}
		state := s.state(f, m)
		slices.Sort(values)
		fractions := []float64{0, 0.01, 0.5, 0.9, 0.999, 1}
		if decades > 100 {
			fractions = fractions[4:]
		}
		for _, p := range fractions {
			g, err := WithFraction(f, p)
			if err != nil {
				t.Fatal(err)
			}
			want := values[max(int(math.Ceil(p*float64(n))), 1)-1]
			got := math.Float64frombits(g.Result(state, &m.Blocks).Bits)
			if got < values[0] || got > values[n-1] {
				t.Errorf("seed %d: %v is %v, outside of %v to %v", seed, p, got, values[0], values[n-1])
			}
			if math.Abs(got-want) > MaxPercentileError*math.Abs(want) {
				t.Errorf("seed %d: %v of %d values over %.1f decades: %v, expected %v", seed, p, n, decades, got, want)
			}
		}
		if state[1] > maxBuckets {
			t.Errorf("seed %d: %d buckets", seed, state[1])
		}
	}
	for _, v := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), 0, math.MaxFloat64, -math.MaxFloat64, 1} {
		f, err := Bind(ApproxPercentile, Arg{record.Float64, false})
		if err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		s := some{Args: Args{Words: []uint64{math.Float64bits(v)}}, n: 1}
		got := math.Float64frombits(f.Result(s.state(f, m), &m.Blocks).Bits)
		if got != v && !(math.IsNaN(v) && math.IsNaN(got)) {
			t.Errorf("the percentile of %v alone is %v", v, got)
		}
	}
	if _, err := WithFraction(percentile{}, 1.5); err == nil {
		t.Error("a fraction of 1.5 was taken")
	}
	if _, err := WithFraction(countRows{}, 0.5); err == nil {
		t.Error("a fraction of a count was taken")
	}
}
