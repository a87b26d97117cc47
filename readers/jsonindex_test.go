package readers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// jsonSoup is text of the bytes that matter to the index, with runs that are in order.
func jsonSoup(rng *rand.Rand, n int) []byte {
	var data []byte
	pieces := []string{
		`{"a":1,"b":"x y"}`, "\n", "\r\n", `"`, `\`, `"a\"b\\",`, `\\\"`,
		strings.Repeat(`\`, rng.IntN(70)), `:`, `,`, `}`, `{`, "\t", "\x00", "\x1f", " ", "é", `"key":"value",`,
		`"key":12.5,`, "\x80\xff", `[]`, "\x7f",
	}
	ordered := rng.IntN(2) == 0
	for len(data) < n {
		if p := pieces[rng.IntN(len(pieces))]; ordered && rng.IntN(50) > 0 {
			data = append(data, `{"name":"value","number":123,"n":null}`+"\n"...)
		} else {
			data = append(data, p...)
		}
	}
	return data[:n]
}

// jsonIndexSlow is what jsonIndex.find does, a byte after the other.
func jsonIndexSlow(data []byte) (at []uint32, scanned int) {
	inside, colon, closed, escaped := false, false, false, false
	for i, c := range data {
		if c == '\\' && !inside || c < ' ' && c != '\n' && c != '\r' || inside && (c == '\n' || c == '\r') {
			return at, i
		}
		end := c == ',' || c == '}'
		if closed && (inside || !end && c != ':') {
			return at, i
		}
		closed = false
		was := escaped
		escaped = c == '\\' && !was
		switch {
		case was || c == '\\':
		case c == '"':
			inside, closed = !inside, inside
		case inside:
		case c == ':':
			if colon {
				return at, i
			}
			colon = true
		case end || c == '\n':
			if colon != end {
				return at, i
			}
			colon = false
			at = append(at, uint32(i))
		}
	}
	return at, len(data)
}

// Goal: the places of fields and lines, and of the first byte that is odd, on every processor. Method: random text, in pieces of random
// length, compared with a loop over its bytes; the masks of the assembly with the masks of its twin.
func TestJSONIndex(t *testing.T) { eachVariant(t, testJSONIndex) }

func testJSONIndex(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		data := jsonSoup(rng, 1+rng.IntN(1+rng.IntN(3*structuralChunk)))
		buf := slices.Concat(make([]byte, pad), data, []byte(`"":,}`), make([]byte, pad))
		want, wantScanned := jsonIndexSlow(data)
		var s jsonIndex
		s.reset(pad, 0)
		var got []uint32
		scanned := 0
		out := make([]uint32, structuralChunk+structuralSlack)
		for scanned < len(data) {
			n := min(len(data)-scanned, 64*(1+rng.IntN(structuralChunk/64)))
			found, done := s.find(out, buf, pad+scanned, n)
			got = append(got, out[:found]...)
			scanned += done
			if done < n {
				break
			}
		}
		for i := range got {
			got[i] -= pad
		}
		if scanned != wantScanned || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q\n%v up to %d, expected\n%v up to %d", seed, data, got, scanned, want, wantScanned)
		}
		n := min(len(data), structuralChunk)
		var masks, twin jsonMasks
		findJSONMasks(&masks, buf, pad, n)
		findJSONMasksGo(&twin, buf, pad, n)
		if masks != twin {
			t.Fatalf("seed %d: %q: masks differ", seed, data[:n])
		}
	}
}

// BenchmarkJSONIndex is the first of two looks at a file of JSON lines.
func BenchmarkJSONIndex(b *testing.B) {
	var data []byte
	for i := 0; len(data) < 1<<20; i++ {
		data = fmt.Appendf(data, `{"time":"2024-01-01T00:00:%02dZ","symbol":"S%d","price":%d.5,"size":%d,"ok":true}`+
			"\n", i%60, i%100, i%1000, i%977)
	}
	buf := slices.Concat(make([]byte, pad), data, make([]byte, pad))
	out := make([]uint32, structuralChunk+structuralSlack)
	var s jsonIndex
	s.reset(pad, 0)
	for _, impl := range []string{"vectors", "go"} {
		b.Run("impl="+impl, func(b *testing.B) {
			b.SetBytes(int64(len(data)) / structuralChunk * structuralChunk)
			for b.Loop() {
				for i := 0; i+structuralChunk <= len(data); i += structuralChunk {
					if impl == "go" {
						s.findGo(out, buf, pad+i, structuralChunk)
					} else {
						s.find(out, buf, pad+i, structuralChunk)
					}
				}
			}
		})
	}
}
