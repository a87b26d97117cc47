package parquet

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/record"
)

// readAll reads a file whatever it is, and returns the error.
func readAll(path string) error {
	s, err := Open([]string{path})
	if err != nil {
		return err
	}
	fields, _, err := s.Columns()
	if err != nil || len(fields) == 0 || len(fields) > record.MaxFields {
		return err
	}
	schema, err := record.NewSchema("t", fields...)
	if err != nil {
		return err
	}
	if err := s.Bind(schema); err != nil {
		return err
	}
	if s.Rows() > 1<<20 {
		return errors.New("too many rows for a test")
	}
	_, _, err = lines(s.Readers(1)[0], schema, 0)
	return err
}

// allocated is how many bytes have been allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// mostAllocated bounds what reading a damaged file of some kilobytes may allocate.
const mostAllocated = 256 << 20

func damagedFiles(t testing.TB) (texts [][]byte) {
	for _, name := range []string{
		"snappy-dictionary", "zstd-plain-v2", "required-gzip", "delta", "lz4", "brotli", "nested", "duckdb", "int96",
		"none-checksums",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

// Goal: a file that is cut off anywhere is an error, and nothing worse.
func TestTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.parquet")
	for i, name := range []string{"lz4", "int96"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for n := range text {
			if err := os.WriteFile(path, text[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if err := readAll(path); err == nil {
				t.Fatalf("%d: %d of %d bytes are a whole file", i, n, len(text))
			}
		}
	}
}

// Goal: a file with a damaged footer or damaged pages is an error or other values, and never a
// panic or an allocation of more than some megabytes. Method: random bits are flipped, random bytes
// replaced, and footers said to be of another length.
func TestDamaged(t *testing.T) {
	texts := damagedFiles(t)
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	path := filepath.Join(t.TempDir(), "t.parquet")
	wrong := 0
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(3, uint64(round)))
		text := append([]byte(nil), texts[rnd.IntN(len(texts))]...)
		for range 1 + rnd.IntN(4) {
			at := rnd.IntN(len(text))
			if rnd.IntN(3) == 0 { // footers and headers are small, so they are hit seldom
				at = len(text) - 1 - rnd.IntN(min(len(text), 2000))
			}
			switch rnd.IntN(3) {
			case 0:
				text[at] ^= 1 << rnd.IntN(8)
			case 1:
				text[at] = byte(rnd.Uint32())
			case 2:
				text[at] = 0xff
			}
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		if readAll(path) != nil {
			wrong++
		}
		if grown := allocated() - before; grown > mostAllocated {
			t.Fatalf("round %d: %d bytes allocated", round, grown)
		}
	}
	if wrong < rounds/4 {
		t.Errorf("%d of %d damaged files were found to be damaged", wrong, rounds)
	}
}

// FuzzFile reads whatever comes as a file.
func FuzzFile(f *testing.F) {
	for _, text := range damagedFiles(f) {
		if len(text) < 8000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		_ = readAll(path)
		if grown := allocated() - before; grown > mostAllocated {
			t.Fatalf("%d bytes allocated", grown)
		}
	})
}

// FuzzPage has the decoders read whatever comes as the values of a page.
func FuzzPage(f *testing.F) {
	f.Add([]byte{3, 8, 1, 2, 3, 4}, 4)
	f.Add([]byte{0x80, 1, 4, 5, 0, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 5)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 0 || n > 1<<16 || len(data) == 0 {
			return
		}
		padded := append(grow(nil, len(data))[:0], data...)
		var h hybrid
		if h.begin(padded[1:], int(padded[0]%33)) == nil {
			to := make([]int32, n)
			_ = h.next(to[:n/3])
			_, _, _ = h.same(n / 3)
			_ = h.next(to[:n/3])
		}
		_, _, _ = deltas(nil, padded, n)
		p := &page{}
		_ = p.deltaTexts(padded, n)
		_ = p.deltaPrefixes(padded, n, 1<<24)
		_, _ = thriftLength(data)
		_, _ = parsePosition(data)
	})
}

// Goal: what a header says of sizes is not believed, and nothing is allocated for it.
func TestHeader(t *testing.T) {
	var compact thrift.CompactProtocol
	for want, h := range map[string]format.PageHeader{
		"at most 536870912 are read": {UncompressedPageSize: 1<<31 - 1, CompressedPageSize: 3},
		"and 2 are left":             {UncompressedPageSize: 7, CompressedPageSize: 3},
		"it has -1 bytes":            {UncompressedPageSize: -1, CompressedPageSize: 2},
		"its check sum is wrong":     {UncompressedPageSize: 2, CompressedPageSize: 2, CRC: 7},
		"":                           {UncompressedPageSize: 2, CompressedPageSize: 2, CRC: int32(crc32.ChecksumIEEE([]byte("ab")))},
	} {
		text, err := thrift.Marshal(&compact, &h)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, "ab"...)
		var w window
		w.begin(bytes.NewReader(text), 0, int64(len(text)))
		var got format.PageHeader
		before := allocated()
		err = w.header(&got)
		if err == nil {
			_, err = w.body(&got)
		}
		if grown := allocated() - before; grown > 2*windowBytes {
			t.Errorf("%d bytes allocated", grown)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}

// Goal: packed bits that end in the middle of a group have the values that are there, and no
// others.
func TestCutGroup(t *testing.T) {
	var h hybrid
	to := make([]int32, 2)
	data := append(grow(nil, 2)[:0], 1<<1|1, 0xb1) // one group of 8 values of 4 bits, of which two are there
	if err := h.begin(data, 4); err != nil {
		t.Fatal(err)
	}
	if err := h.next(to); err != nil || to[0] != 1 || to[1] != 11 {
		t.Error(to, err)
	}
	if err := h.next(to[:1]); !errors.Is(err, errNoValues) {
		t.Error(to, err)
	}
}
