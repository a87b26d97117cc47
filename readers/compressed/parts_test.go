package compressed

import (
	"bytes"
	"compress/flate"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// smallParts are limits that small files meet.
var smallParts = partLimits{bytes: 2000, most: 20_000, output: 100_000}

// members packs data in members or frames of up to most bytes.
func members(t testing.TB, rng *rand.Rand, format string, data []byte, most int) (packed []byte) {
	for len(data) > 0 {
		n := min(len(data), 1+rng.IntN(most))
		packed = append(packed, pack(t, format, data[:n])...)
		data = data[n:]
	}
	return packed
}

// checkParts unpacks in parts and as one stream.
func checkParts(t *testing.T, packed []byte) (p *parts) {
	t.Helper()
	var want []byte
	in, format, wantErr := NewReader(bytes.NewReader(packed))
	if wantErr == nil {
		want, wantErr = io.ReadAll(in)
	}
	if format != Gzip && format != Zstd {
		return nil // the magic was spoiled
	}
	var got []byte
	p, err := newParts(format, &counter{in: bytes.NewReader(packed)}, 3, smallParts)
	if err == nil {
		got, err = io.ReadAll(p)
	}
	if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("%d bytes, %v, expected %d, %v", len(got), err, len(want), wantErr)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Goal: parts unpack to the same bytes, and the same error, as one stream. Method: members of many
// sizes, whole, cut off, and with changed bytes.
func TestParts(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for _, format := range []string{"gzip", "zstd"} {
		for _, most := range []int{500, 3000, 90_000} {
			data := lines(rng, min(300_000, 100*most))
			packed := members(t, rng, format, data, most)
			p := checkParts(t, packed)
			if most < 10_000 && (p.taken < 10 || p.stream != nil) {
				t.Errorf("%s, members of %d: %d parts, then one stream: %v", format, most, p.taken, p.stream != nil)
			}
			for i := range 10 {
				bad := bytes.Clone(packed)
				if i%2 == 0 {
					bad = bad[:MagicBytes+rng.IntN(len(bad)-MagicBytes)]
				} else {
					bad[rng.IntN(len(bad))] ^= byte(1 + rng.IntN(255))
				}
				checkParts(t, bad)
			}
			checkParts(t, append(packed[:len(packed):len(packed)], "garbage"...))
		}
	}
}

// Goal: a file goes on as one stream from what does not fit into a part. Method: a member that is
// too large, a part that unpacks to too much, and one whose text has what looks like a member.
func TestPartsGoOnAsOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 60_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, format := range []string{"gzip", "zstd"} {
		small := members(t, rng, format, lines(rng, 100_000), 3000)
		for name, middle := range map[string][]byte{
			"large": pack(t, format, noise), "zeros": pack(t, format, make([]byte, 1<<20)),
		} {
			packed := append(append(bytes.Clone(small), middle...), small...)
			if p := checkParts(t, packed); p.stream == nil || p.taken == 0 {
				t.Errorf("%s, %s: %d parts, no stream", format, name, p.taken)
			}
			checkParts(t, append(bytes.Clone(middle), small...))
		}
	}
	var out bytes.Buffer
	w, err := stdgzip.NewWriterLevel(&out, flate.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(append(append(bytes.Clone(noise[:3000]), member(t, "no member", 0)...), noise[:3000]...))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if p := checkParts(t, bytes.Repeat(out.Bytes(), 5)); p.stream == nil {
		t.Error("the text that looks like a member was not met")
	}
}

// Goal: Open unpacks large files in parts, and may be closed at any time. Method: members of more
// than partBytes together.
func TestOpenParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	data := lines(rng, 8<<20)
	for _, format := range []string{"gzip", "zstd"} {
		path := filepath.Join(t.TempDir(), "file")
		packed := members(t, rng, format, data, 200_000)
		if err := os.WriteFile(path, packed, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		in, found, err := openParts(f, 2)
		if err != nil || string(found) != format {
			t.Fatalf("%s: %q, %v", format, found, err)
		}
		got, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(got, data) || in.(*parts).taken < 2 {
			t.Fatalf("%s: %d bytes in %d parts, %v", format, len(got), in.(*parts).taken, err)
		}
		if err := errors.Join(in.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		some, _, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := some.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := some.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
