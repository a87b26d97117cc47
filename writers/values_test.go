package writers

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Goal: doubles are written as package strconv does. Method: short numbers, their neighbours,
// random bits, and the ends of all that is decided.
func TestAppendDouble(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	check := func(v float64) {
		format := byte('f')
		if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e15) {
			format = 'e'
		}
		if got, want := string(appendDouble(nil, v)), strconv.FormatFloat(v, format, -1, 64); got != want {
			t.Fatalf("seed %d: %s, expected %s", seed, got, want)
		}
	}
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1e-6, 1e-4, 9.9e-5, 1e9, 1e15, 999999999.999999, 1e8 + 0.1, math.NaN(),
		math.Inf(1), math.MaxFloat64,
	} {
		check(v)
		check(-v)
	}
	for range 200_000 {
		v := float64(rng.Int64N(int64(math.Pow10(1+rng.IntN(17))))) / math.Pow10(rng.IntN(9))
		check(v)
		check(-v)
		check(math.Nextafter(v, 0))
		check(math.Nextafter(v, math.MaxFloat64))
		check(math.Float64frombits(rng.Uint64()))
	}
}

// Goal: times are written as package time does. Method: random times, and the first and last.
func TestAppendTime(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	check := func(n int64) {
		want := time.Unix(0, n).UTC().Format(time.RFC3339Nano)
		if got := string(appendTime([]byte("x"), n)); got != "x"+want {
			t.Fatalf("seed %d: %s, expected %s", seed, got, want)
		}
	}
	for _, n := range []int64{0, -1, 1, math.MinInt64, math.MaxInt64, 951_782_400e9, 951_868_799_999_999_999} {
		check(n)
	}
	for range 100_000 {
		n := int64(rng.Uint64())
		check(n)
		scale := int64(math.Pow10(rng.IntN(12)))
		check(n / scale * scale)
	}
}

// Goal: fields are put in quotes as by the rules of package encoding/csv. Method: those rules, on
// random texts.
func TestNeedsQuotes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	pieces := []string{
		"a", "b", ",", "\"", "\n", "\r", " ", "\u00a0", "\u2003", "\t", "\\", ".", "\xff", "é", "\v", "\u0085",
	}
	for range 10_000 {
		var text []byte
		for range rng.IntN(5) {
			text = append(text, pieces[rng.IntN(len(pieces))]...)
		}
		first, _ := utf8.DecodeRune(text)
		want := len(text) > 0 && (string(text) == `\.` || bytes.ContainsAny(text, ",\"\r\n") || unicode.IsSpace(first))
		if needsQuotes(text) != want {
			t.Fatalf("%q: %v", text, !want)
		}
	}
}
