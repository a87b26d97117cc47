package agg

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// textsOf makes some of texts.
func textsOf(texts ...string) (s some) {
	for _, x := range texts {
		s.Words = append(s.Words, groupkey.PlaceLong(uint64(len(s.Text)), uint64(len(x))))
		s.Text = append(s.Text, x...)
	}
	s.n, s.Nulls = len(texts), make([]uint64, len(texts))
	return s
}

// randomValues makes n values of a type, of which about as many as domain are different. Some are
// NULL.
func randomValues(rng *rand.Rand, typ record.Type, n, domain int) (s some) {
	s.n, s.Nulls = n, make([]uint64, n)
	for i := range n {
		v := rng.IntN(domain)
		w := uint64(v * 1000003)
		switch typ {
		case record.String:
			text := fmt.Sprintf("%d%s", v, strings.Repeat("x", v%20))
			w = groupkey.PlaceLong(uint64(len(s.Text)), uint64(len(text)))
			s.Text = append(s.Text, text...)
		case record.Float64:
			w = sketchValue(rng, typ)
			if domain < 1000 {
				w = math.Float64bits(float64(v) - float64(domain)/2)
			}
		}
		s.Words = append(s.Words, w)
		if rng.IntN(9) == 0 {
			s.Nulls[i] = 1
		}
	}
	return s
}

func mustBind(t testing.TB, k Kind, typ record.Type) Func {
	t.Helper()
	f, err := Bind(k, Arg{typ, true})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Goal: merging the texts of the states of parts is the state of the whole, whatever the parts and
// their order; and all blocks are given back. Method: random values of every type, few and many
// different ones, in random parts; results, and the text of the merged state, are compared.
func TestStateTexts(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		for _, typ := range []record.Type{
			record.String, record.Int64, record.Float64, record.DecimalOf(9, 2), record.Timestamp, record.Bool,
		} {
			s := randomValues(rng, typ, rng.IntN(1<<(1+rng.IntN(13))), 1+rng.IntN(1<<rng.IntN(16)))
			for _, k := range []Kind{ApproxCountDistinct, ApproxPercentile} {
				whole, err := Bind(k, Arg{typ, true})
				if err != nil {
					continue
				}
				stateOf, mergeOf := ApproxCountDistinctState, ApproxCountDistinctMerge
				if k == ApproxPercentile {
					stateOf, mergeOf = ApproxPercentileState, ApproxPercentileMerge
				}
				writes, merges := mustBind(t, stateOf, typ), mustBind(t, mergeOf, record.String)
				if k == ApproxPercentile {
					whole, _ = WithFraction(whole, 0.3)
					merges, err = WithFraction(merges, 0.3)
					if err != nil {
						t.Fatal(err)
					}
				}
				memory := newMemory()
				want := s.state(whole, memory)
				var parts []string
				for rest := s; ; {
					var part some
					part, rest = rest.part(rng)
					text := result(writes, part.state(writes, memory), memory)
					if err := CheckState(mergeOf)(text); err != nil {
						t.Fatalf("seed %d: %v(%v): %v of %q", seed, k, typ, err, text)
					}
					parts = append(parts, text)
					if rest.n == 0 || len(parts) > 8 {
						parts = append(parts, result(writes, rest.state(writes, memory), memory))
						break
					}
				}
				rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
				into := newMemory()
				got := textsOf(parts...).state(merges, into)
				if a, b := result(whole, want, memory), result(merges, got, into); a != b {
					t.Fatalf("seed %d: %v(%v): %s merged of texts, %s at once", seed, k, typ, b, a)
				}
				again := mustBind(t, mergeOf+1, record.String)
				if a, b := result(writes, want, memory), result(again, got, into); a != b {
					t.Fatalf("seed %d: %v(%v): the merged state is %s, the whole %s", seed, k, typ, b, a)
				}
				Drop(merges, got, &into.Blocks)
				if free := into.freeLines(); free != into.Lines() {
					t.Fatalf("%v: %d of %d lines are free when all blocks were given back", k, free, into.Lines())
				}
			}
		}
	}
}

// Goal: a text that is no state of the function is refused with the reason, and adds nothing if it
// is merged nevertheless. Method: every cut and every changed byte of a state, states of the other
// function and of another version, and other texts.
func TestStateRefused(t *testing.T) {
	memory := newMemory()
	writes := mustBind(t, ApproxCountDistinctState, record.Int64)
	other := mustBind(t, ApproxPercentileState, record.Int64)
	s := randomValues(rand.New(rand.NewPCG(1, 1)), record.Int64, 50, 20)
	good := result(writes, s.state(writes, memory), memory)
	check := CheckState(ApproxCountDistinctMerge)
	refused := map[string]string{
		"":     "base64",
		"42":   "base64",
		"💥":    "base64",
		"AAAA": "base64",
		result(other, s.state(other, memory), memory): `kind is 'p', expected 'd'`,
		good + "\n":                         "base64",
		strings.Repeat("A", MaxStateText+4): "at most",
	}
	raw, err := base64.StdEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 4
		refused[base64.StdEncoding.EncodeToString(changed)] = ""
		refused[base64.StdEncoding.EncodeToString(raw[:i])] = ""
	}
	newer := appendState(nil, stateDistinct, func(to []byte) []byte { to[2] = 2; return append(to, formHashes) })
	refused[string(newer)] = "version 2, expected 1"
	merges := mustBind(t, ApproxCountDistinctMerge, record.String)
	for text, why := range refused {
		err := check(text)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: error %v, expected one with %q", text, err, why)
		}
		if got := result(merges, textsOf(text).state(merges, memory), memory); got != "0" {
			t.Errorf("%q: %s after it was merged, expected 0", text, got)
		}
	}
	if err := check(good); err != nil {
		t.Errorf("the state itself: %v", err)
	}
}

// Goal: whatever a text has, it is either refused or is the text of the state that it is merged to.
// Method: bytes with a right head and checksum, and texts as they are.
func FuzzStates(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	memory := newMemory()
	for _, n := range []int{0, 1, 30, 3000} {
		s := randomValues(rng, record.Float64, n, 1<<20)
		for i, k := range []Kind{ApproxCountDistinctState, ApproxPercentileState} {
			fn := mustBind(f, k, record.Float64)
			raw, err := base64.StdEncoding.DecodeString(result(fn, s.state(fn, memory), memory))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(i == 1, raw[stateHead:len(raw)-stateTail])
		}
	}
	f.Fuzz(func(t *testing.T, percent bool, has []byte) {
		kind, k := byte(stateDistinct), ApproxCountDistinctMergeState
		if percent {
			kind, k = statePercent, ApproxPercentileMergeState
		}
		fn := mustBind(t, k, record.String)
		framed := string(appendState(nil, kind, func(to []byte) []byte { return append(to, has...) }))
		for _, text := range []string{framed, string(has)} {
			err := CheckState(k)(text)
			m := newMemory()
			got := result(fn, textsOf(text).state(fn, m), m)
			empty := result(fn, textsOf().state(fn, m), m)
			if err == nil && got != text || err != nil && got != empty {
				t.Errorf("check %v, then %q became %q", err, text, got)
			}
		}
	})
}

// Goal: NaN are values like others, and the last in the order. Method: many of them beside few
// others; they are one bucket.
func TestPercentileNaN(t *testing.T) {
	f := mustBind(t, ApproxPercentile, record.Float64)
	var s some
	for range 3000 {
		s.Words = append(s.Words, math.Float64bits(math.NaN()))
	}
	s.Words = append(s.Words, math.Float64bits(1), math.Float64bits(math.Inf(1)))
	s.n = len(s.Words)
	m := newMemory()
	state := s.state(f, m)
	if state[1] != 3 {
		t.Errorf("%d buckets, expected 3", state[1])
	}
	for fraction, want := range map[float64]string{0: "1.0078125", 0.0005: "+Inf", 0.5: "NaN", 1: "NaN"} {
		g, err := WithFraction(f, fraction)
		if err != nil {
			t.Fatal(err)
		}
		if got := result(g, state, m); got != want {
			t.Errorf("at %v: %s, expected %s", fraction, got, want)
		}
	}
}

// Goal: values are written as JSON that encoding/json reads back.
func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		typ  record.Type
		word uint64
		text string
		want string
	}{
		{record.String, 0, "a\"b\\c\n\r\t\x01é\xff", `"a\"b\\c\n\r\t\u0001é` + "\ufffd" + `"`},
		{record.Int64, ^uint64(0), "", "-1"},
		{record.Bool, 1, "", "true"},
		{record.DecimalOf(9, 2), 105, "", "1.05"},
		{record.Float64, math.Float64bits(1e-7), "", "1e-07"},
		{record.Float64, math.Float64bits(1.5), "", "1.5"},
		{record.Float64, math.Float64bits(math.Inf(-1)), "", `"-Inf"`},
		{record.Timestamp, 1, "", `"1970-01-01T00:00:00.000000001Z"`},
	} {
		got := appendJSON(nil, c.typ, c.word, []byte(c.text))
		if !bytes.Equal(got, []byte(c.want)) {
			t.Errorf("%v %d %q: %s, expected %s", c.typ, c.word, c.text, got, c.want)
		}
	}
}
