package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/velo-engine/velo/internal/filegen"
)

// pack packs data at a level.
func pack(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// check unpacks with both, and with this package also from pieces. If nothing is wrong with the
// stream, which may be cut off, an end that comes too soon has to be called so. Otherwise both may
// differ in what they see first, the end or what is wrong before it: package flate waits for as
// many bits as the end of the block has, and needs none where there is no code at all.
func check(t *testing.T, packed []byte, sound bool) {
	t.Helper()
	want, wantErr := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	for name, in := range map[string]io.Reader{
		"whole": bytes.NewReader(packed), "bytes": iotest.OneByteReader(bytes.NewReader(packed)),
		"halves":         iotest.HalfReader(bytes.NewReader(packed)),
		"with the error": iotest.DataErrReader(bytes.NewReader(packed)),
	} {
		r := NewReader(in)
		got, err := io.ReadAll(r)
		cut := errors.Is(wantErr, io.ErrUnexpectedEOF)
		if cut && err != nil && len(got) > len(want) {
			// Package flate waits for as many bits as the end of the block has, even if the code of
			// the next symbol has fewer. With more input it has to give the same bytes.
			more, _ := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(packed),
				strings.NewReader("\x00\x00\x00\x00"))))
			if !bytes.HasPrefix(got, want) || !bytes.HasPrefix(more, got) {
				t.Fatalf("%s: %d bytes that package flate does not give, which gives %d before the end of the input "+
					"and %d with more input", name, len(got), len(want), len(more))
			}
			continue
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes, %d expected, or others; %v, %v expected", name, len(got), len(want), err, wantErr)
		}
		if (err == nil) != (wantErr == nil) || sound && errors.Is(err, io.ErrUnexpectedEOF) != cut {
			t.Fatalf("%s: %v, expected %v", name, err, wantErr)
		}
	}
}

func samples(t testing.TB) map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 1))
	var trades, log bytes.Buffer
	err := errors.Join(filegen.Trades{Rows: 5000, Symbols: 500, QuotedPercent: 10}.Write(&trades, 1),
		filegen.WebLog{Rows: 3000}.Write(&log, 1))
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	near := make([]byte, 0, 300_000)
	for len(near) < cap(near)-400 {
		n := 1 + rng.IntN(40)
		pattern := noise[rng.IntN(1000):][:n]
		for range 1 + rng.IntN(300/n) {
			near = append(near, pattern...)
		}
	}
	skewed := make([]byte, 300_000) // codes of very different lengths
	for i := range skewed {
		skewed[i] = byte(min(255, rng.ExpFloat64()*12))
	}
	return map[string][]byte{
		"empty": nil, "one": {'a'}, "zeros": make([]byte, 400_000), "trades": trades.Bytes(), "log": log.Bytes(),
		"noise": noise, "near": near, "skewed": skewed,
	}
}

// Goal: the bytes are the same as from package compress/flate. Method: data of many kinds, packed
// at every level.
func TestSame(t *testing.T) {
	for name, data := range samples(t) {
		t.Run(name, func(t *testing.T) {
			for _, level := range []int{flate.HuffmanOnly, 0, 1, 5, 6, 9} {
				check(t, pack(t, data, level), true)
			}
		})
	}
}

// Goal: spoiled input gives the same bytes and an error too. Method: input cut off at random
// places, and with changed bits.
func TestSpoiled(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for _, data := range samples(t) {
		packed := pack(t, data[:min(len(data), 100_000)], []int{1, 6, flate.HuffmanOnly}[rng.IntN(3)])
		for i := range 40 {
			bad := bytes.Clone(packed)
			if i%2 == 0 {
				bad = bad[:rng.IntN(len(bad))]
			} else {
				bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
			}
			check(t, bad, i%2 == 0)
		}
	}
}

// Goal: a code without symbols is called corrupt at once, although no input follows. Method: a
// block whose lengths of codes are all 0.
func TestNoCodes(t *testing.T) {
	_, err := io.ReadAll(NewReader(strings.NewReader("%%\x00\x00")))
	var corrupt flate.CorruptInputError
	if !errors.As(err, &corrupt) {
		t.Error(err)
	}
}

func FuzzSame(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(pack(f, data[:min(len(data), 2000)], 6))
		f.Add(pack(f, data[:min(len(data), 2000)], flate.HuffmanOnly))
	}
	f.Fuzz(func(t *testing.T, packed []byte) { check(t, packed, false) })
}

func BenchmarkInflate(b *testing.B) {
	for name, data := range samples(b) {
		if name != "trades" && name != "log" {
			continue
		}
		data = bytes.Repeat(data, 4)
		packed := pack(b, data, 6)
		out := make([]byte, 64<<10)
		run := func(impl string, r io.Reader, reset func(io.Reader)) {
			b.Run("data="+name+"/impl="+impl, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					reset(bytes.NewReader(packed))
					var err error
					for err == nil {
						_, err = r.Read(out)
					}
				}
			})
		}
		z := flate.NewReader(nil)
		run("flate", z, func(in io.Reader) { _ = z.(flate.Resetter).Reset(in, nil) })
		r := NewReader(nil)
		run("velo", r, r.Reset)
	}
}

// Goal: what is unpacked does not wait for more input. Method: whenever a byte of input is asked
// for, everything that package flate makes of the bytes before it has been returned.
func TestNothingWaits(t *testing.T) {
	data := []byte("some text, some text, and some more text that is no longer the same text")
	for _, level := range []int{0, 6, flate.HuffmanOnly} {
		packed := pack(t, data, level)
		at, got := 0, 0
		r := NewReader(readerFunc(func(b []byte) (int, error) {
			before, _ := io.ReadAll(flate.NewReader(bytes.NewReader(packed[:at])))
			if got < len(before) {
				t.Fatalf("level %d: after %d bytes of input: %d bytes, expected %d", level, at, got, len(before))
			}
			if at == len(packed) {
				return 0, io.EOF
			}
			at++
			return copy(b, packed[at-1:at]), nil
		}))
		b := make([]byte, 1000)
		for err := error(nil); err == nil; {
			var n int
			n, err = r.Read(b)
			got += n
		}
		if got != len(data) {
			t.Fatalf("level %d: %d bytes, expected %d", level, got, len(data))
		}
	}
}

type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
