package compressed

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// pack packs data in a format; snappy is a name of its own here.
func pack(t testing.TB, format string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case "lz4":
		w = lz4.NewWriter(&out)
	case "s2":
		w = s2.NewWriter(&out)
	case "snappy":
		w = snappy.NewBufferedWriter(&out)
	}
	_, err := w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// lines are some that compress as lines do.
func lines(rng *rand.Rand, n int) []byte {
	var data []byte
	for len(data) < n {
		data = append(data, []string{"the same ", "words ", "again, ", "\n"}[rng.IntN(4)]...)
		data = append(data, byte(rng.IntN(256)))
	}
	return data
}

var formats = []string{"gzip", "zstd", "lz4", "s2", "snappy"}

// Goal: every format is known by its first bytes and unpacked, several members in a row too, and a file in none is read as it is. Method:
// random data, packed by the libraries.
func TestFormats(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	path := filepath.Join(t.TempDir(), "file")
	read := func(data []byte) ([]byte, Format) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		in, format, err := Open(path)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, err := io.ReadAll(in)
		if err = errors.Join(err, in.Close()); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, format, err)
		}
		return got, format
	}
	for _, name := range formats {
		want := Format(strings.Replace(name, "snappy", "s2", 1))
		for _, n := range []int{0, 1, 1000, 1 << 20} {
			data := lines(rng, n)
			packed := pack(t, name, data)
			if len(packed) == 0 {
				continue // nothing is nothing in s2
			}
			if got, format := read(packed); format != want || !bytes.Equal(got, data) {
				t.Errorf("seed %d: %s of %d bytes: %d bytes in %q", seed, name, n, len(got), format)
			}
			if got, _ := read(append(packed[:len(packed):len(packed)], packed...)); len(got) != 2*len(data) {
				t.Errorf("seed %d: %s of two times %d bytes: %d", seed, name, n, len(got))
			}
		}
	}
	for _, plain := range []string{"", "a", "a,b\n1,2\n", "\x1f"} {
		if got, format := read([]byte(plain)); format != None || string(got) != plain {
			t.Errorf("%q: %q, %q", plain, got, format)
		}
	}
	if _, _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// Goal: a file that is cut off or spoiled gives what comes before, or nothing of it, then an error that says where; never a panic, never
// wrong bytes in a format with checksums. Method: each format cut at random places, and with a random byte changed.
func TestSpoiled(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	data := lines(rng, 600_000)
	for _, name := range formats {
		packed := pack(t, name, data)
		for i := range 60 {
			bad := bytes.Clone(packed)
			if i%2 == 0 {
				bad = bad[:MagicBytes+rng.IntN(len(bad)-MagicBytes-1)]
			} else {
				bad[MagicBytes+rng.IntN(len(bad)-MagicBytes)] ^= byte(1 + rng.IntN(255))
			}
			in, _, err := NewReader(bytes.NewReader(bad))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(in)
				in.Close()
			}
			if err == nil && bytes.Equal(got, data) {
				continue // a byte of the header that does not matter
			}
			whole := name == "s2" || name == "snappy"
			if err == nil && i%2 == 0 && whole && bytes.HasPrefix(data, got) {
				continue // cut between two blocks of a format that has no end
			}
			if err == nil {
				t.Fatalf("seed %d: %s: no error, %d bytes of %d", seed, name, len(got), len(data))
			}
			if !strings.Contains(err.Error(), "of the compressed file") && !strings.Contains(err.Error(), "is cut off") {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			if i%2 == 0 && !bytes.HasPrefix(data, got) {
				t.Fatalf("seed %d: %s: %d wrong bytes before %v", seed, name, len(got), err)
			}
		}
	}
}

// Goal: a file may be closed while another goroutine reads it, as a reader is that is shut down. Method: with the race detector, each format.
func TestCloseWhileReading(t *testing.T) {
	data := lines(rand.New(rand.NewPCG(1, 3)), 4<<20)
	for _, name := range formats {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, pack(t, name, data), 0o600); err != nil {
			t.Fatal(err)
		}
		in, _, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		begun, read := make(chan struct{}), make(chan error)
		go func() {
			b := make([]byte, 4096)
			_, err := in.Read(b)
			close(begun)
			for err == nil {
				_, err = in.Read(b)
			}
			read <- err
		}()
		<-begun
		if err := in.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-read; !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if err := in.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s, closed again: %v", name, err)
		}
	}
}

// Goal: an io.Reader with a count that cannot be is an error, whatever unpacks it. Method: each format, of which the
// first bytes come as they are.
func TestBadCounts(t *testing.T) {
	for _, format := range []Format{None, Gzip, Zstd, LZ4, S2} {
		for _, bad := range []int{-1, 1 << 30} {
			head := "plain text, long enough"
			for _, m := range magics {
				if m.format == format {
					head = m.bytes + "0123456789"
				}
			}
			given := false
			in, _, err := NewReader(readerFunc(func(b []byte) (int, error) {
				if !given {
					given = true
					return copy(b, head), nil
				}
				return bad, nil
			}))
			if err == nil {
				_, err = io.Copy(io.Discard, in)
			}
			if err == nil {
				t.Errorf("%q, %d: no error", format, bad)
			}
		}
	}
}

type readerFunc func(b []byte) (int, error)

func (r readerFunc) Read(b []byte) (int, error) { return r(b) }
