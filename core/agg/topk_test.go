package agg

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// twinTopK counts every value, and gives them as approx_top_k gives the exact result.
func twinTopK(typ record.Type, s some, k int) (all map[string]int, most []string) {
	all = map[string]int{}
	for i, w := range s.Words {
		if s.Nulls[i] == 1 {
			continue
		}
		var text []byte
		if typ == record.String {
			text = s.text(i)
		} else if typ == record.Float64 {
			w = Unordered(Ordered(w))
		}
		all[string(appendJSON(nil, typ, w, text))]++
	}
	for v := range all {
		most = append(most, v)
	}
	slices.SortFunc(most, func(a, b string) int { return cmp.Compare(all[b], all[a]) })
	return all, most[:min(k, len(most))]
}

// Goal: approx_top_k is exact while there is room for all values. Beyond that no value has more
// records than it says, none has fewer than that less the error, the error is within its bound, and
// no value that is left out has more records than one that is there. All blocks are given back.
// Method: values of every type, skewed, few and many, in one state, and in parts that are merged in
// memory and as bytes.
func TestTopK(t *testing.T) {
	inexact := 0
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 6))
		for _, typ := range []record.Type{
			record.String, record.Int64, record.Float64, record.DecimalOf(9, 2), record.Timestamp, record.Bool,
		} {
			n, domain := rng.IntN(1<<(1+rng.IntN(14))), 1<<rng.IntN(14)
			s := skewed(rng, typ, n, domain)
			k := 1 + rng.IntN(MaxTopK)
			f, err := WithK(mustBind(t, ApproxTopK, typ), k)
			if err != nil {
				t.Fatal(err)
			}
			all, most := twinTopK(typ, s, k)
			m := newMemory()
			merged, other := s.state(f, m), newMemory()
			if seed%2 == 1 {
				a, rest := s.part(rng)
				b, c := rest.part(rng)
				m = newMemory()
				merged = a.state(f, m)
				f.Merge(merged, b.state(f, other), &m.Blocks, &other.Blocks)
				wire := AppendPartial(f, nil, c.state(f, other), &other.Blocks)
				if _, err := MergePartial(f, merged, &m.Blocks, wire); err != nil {
					t.Fatal(err)
				}
			}
			what := fmt.Sprintf("seed %d: %d of %d values of %v, %d different", seed, k, n, typ, len(all))
			inexact += checkTop(t, what, result(f, merged, m), typ, all, most)
			Drop(f, merged, &m.Blocks)
			if free := m.freeLines(); free != m.Lines() {
				t.Fatalf("%s: %d of %d lines are free when all blocks were given back", what, free, m.Lines())
			}
		}
	}
	if inexact < 50 {
		t.Errorf("only %d results were not exact", inexact)
	}
}

// skewed makes values whose frequencies fall off, some of them NULL.
func skewed(rng *rand.Rand, typ record.Type, n, domain int) (s some) {
	s.Nulls = make([]uint64, n)
	var texts []string
	for i := range n {
		v := int(float64(domain) * math.Pow(rng.Float64(), 4))
		switch typ {
		case record.String:
			texts = append(texts, fmt.Sprintf("%0*d", 1+v%40, v))
		case record.Float64:
			s.Words = append(s.Words, math.Float64bits(float64(v)/4))
		case record.Bool:
			s.Words = append(s.Words, uint64(v&1))
		default:
			s.Words = append(s.Words, uint64(v))
		}
		s.Nulls[i] = uint64(rng.IntN(9)) / 8
	}
	if typ == record.String {
		nulls := s.Nulls
		s = textsOf(texts...)
		s.Nulls = nulls
	}
	s.n = n
	return s
}

// checkTop compares a result with the exact one, and returns 1 if it was not exact.
func checkTop(t *testing.T, what, got string, typ record.Type, all map[string]int, most []string) int {
	t.Helper()
	if len(all) == 0 {
		if got != "NULL" {
			t.Fatalf("%s: %s, expected NULL", what, got)
		}
		return 0
	}
	var found []struct {
		Value json.RawMessage
		Count int
		Error int
	}
	if err := json.Unmarshal([]byte(got), &found); err != nil {
		t.Fatalf("%s: %v in %s", what, err, got)
	}
	total, there := 0, map[string]bool{}
	for _, n := range all {
		total += n
	}
	counters := MaxCounters
	if typ == record.String {
		counters = MaxTextCounters
	}
	for i, x := range found {
		n := all[string(x.Value)]
		there[string(x.Value)] = true
		if n > x.Count || n < x.Count-x.Error || x.Error > total*4/3/counters {
			t.Fatalf("%s: %s has %d records, not %d less up to %d", what, x.Value, n, x.Count, x.Error)
		}
		if x.Error == 0 && n != all[most[i]] {
			t.Fatalf("%s: place %d is %s with %d records, expected %d", what, i, x.Value, n, all[most[i]])
		}
	}
	least, approx := 0, 0
	if len(found) > 0 {
		least = found[len(found)-1].Count
		approx = min(found[0].Error, 1)
	}
	if len(all) <= counters && (approx > 0 || len(found) != len(most)) {
		t.Fatalf("%s: not exact, or %d values instead of %d: %s", what, len(found), len(most), got)
	}
	for v, n := range all {
		if !there[v] && n > least {
			t.Fatalf("%s: %s with %d records is left out, the last that is not has at most %d", what, v, n, least)
		}
	}
	return approx
}

// Goal: each set of records is equally likely to be the sample, also if it is merged of states of
// several tables. Method: six records with different values in four tables, one of which is folded
// and begun anew for each record; how often each of the 15 pairs comes, by a chi-squared test whose
// limit chance exceeds once in a million times.
func TestSampleUniform(t *testing.T) {
	f, err := WithK(mustBind(t, ReservoirSample, record.Int64), 2)
	if err != nil {
		t.Fatal(err)
	}
	var tables []*memory
	for i := range 4 {
		tables = append(tables, newMemory())
		tables[i].SetNumber(uint64(i))
	}
	const rounds = 30_000
	pairs := map[string]int{}
	for range rounds {
		state := make([]uint64, f.Words())
		f.Init(state)
		into := tables[0]
		add := func(state []uint64, m *memory, words ...uint64) {
			f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: make([]uint64, len(words)), Blocks: &m.Blocks}, 0,
				Args{Words: words})
		}
		fold := func(m *memory, words ...uint64) {
			from := make([]uint64, f.Words())
			f.Init(from)
			add(from, m, words...)
			f.Merge(state, from, &into.Blocks, &m.Blocks)
			m.Reset() // as a router does after it has sent its table
		}
		// The values are told apart only by the sample; to the ranks they are the same or not.
		add(state, into, 0)
		fold(tables[1], 1)
		fold(tables[1], 2)
		fold(tables[2], 3, 4)
		fold(tables[3], 5)
		text := result(f, state, into)
		var got []int
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 2 {
			t.Fatal(err, text)
		}
		slices.Sort(got)
		pairs[fmt.Sprint(got)]++
		Drop(f, state, &into.Blocks)
	}
	want, chi := float64(rounds)/15, 0.0
	for _, n := range pairs {
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	if chi > 56.5 || len(pairs) != 15 { // 14 degrees of freedom
		t.Errorf("chi-squared is %.1f: %v", chi, pairs)
	}
}

// Goal: a sample has as many values as it should, only values that came, each at most as often as
// it came, and all of them if there are fewer than k; the greatest texts that are allowed fit. All
// blocks are given back. Method: random values in parts, merged in memory and as bytes.
func TestSampleOf(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 8))
		k := 1 + rng.IntN(MaxSample)
		for _, typ := range []record.Type{record.String, record.Int64, record.Float64, record.Bool} {
			s := skewed(rng, typ, rng.IntN(1<<(1+rng.IntN(10))), 1<<rng.IntN(10))
			if typ == record.String && seed%3 == 0 {
				long := make([]string, 200)
				for i := range long {
					long[i] = fmt.Sprintf("%0*d", MaxSampleText(k), i)
				}
				s = textsOf(long...)
			}
			f, err := WithK(mustBind(t, ReservoirSample, typ), k)
			if err != nil {
				t.Fatal(err)
			}
			all, _ := twinTopK(typ, s, k)
			total := 0
			for _, n := range all {
				total += n
			}
			m, other := newMemory(), newMemory()
			m.SetNumber(seed)
			other.SetNumber(seed + 1000)
			a, rest := s.part(rng)
			b, c := rest.part(rng)
			state := a.state(f, m)
			f.Merge(state, b.state(f, other), &m.Blocks, &other.Blocks)
			wire := AppendPartial(f, nil, c.state(f, other), &other.Blocks)
			if _, err := MergePartial(f, state, &m.Blocks, wire); err != nil {
				t.Fatal(err)
			}
			text := result(f, state, m)
			var got []json.RawMessage
			if err := json.Unmarshal([]byte(text), &got); text != "NULL" && err != nil {
				t.Fatal(err, text)
			}
			for _, v := range got {
				all[string(v)]--
				if all[string(v)] < 0 {
					t.Fatalf("seed %d: %s came less often than it is in %s", seed, v, text)
				}
			}
			if len(got) != min(k, total) || (total == 0) != (text == "NULL") {
				t.Fatalf("seed %d: %d values of %d, expected %d: %s", seed, len(got), total, min(k, total), text)
			}
			Drop(f, state, &m.Blocks)
			if free := m.freeLines(); free != m.Lines() {
				t.Fatalf("%d of %d lines are free when all blocks were given back", free, m.Lines())
			}
		}
	}
}
