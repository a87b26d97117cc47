package parquet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// everything has a column of each type, with and without NULL, and names that are hard to write.
func everything(t testing.TB) *record.Schema {
	t.Helper()
	var fields []record.Field
	for i, kind := range []record.Type{
		record.Bool, record.Int64, record.Float64, record.String, record.Timestamp, record.DecimalOf(9, 2),
		record.DecimalOf(18, 6),
	} {
		fields = append(fields, record.Field{Name: fmt.Sprintf("z%d.a", i), Type: kind},
			record.Field{Name: fmt.Sprintf("count(*) %d ü", i), Type: kind, Nullable: true})
	}
	s, err := record.NewSchema("t", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random fills a batch.
func random(rnd *rand.Rand, s *record.Schema, rows int) *record.Batch {
	b := record.NewBatch(s, 1+4*rows) // so that the texts have room
	for range rows {
		b.Add(50)
		for i := range s.Len() {
			f := s.Field(i)
			switch {
			case f.Nullable && rnd.IntN(4) == 0:
				b.SetNull(i)
			case f.Type == record.Bool:
				b.SetBool(i, rnd.IntN(2) == 0)
			case f.Type == record.Float64:
				b.SetFloat64(i, float64(rnd.IntN(1e6))/64)
			case f.Type == record.String:
				b.SetString(i, strings.Repeat("ä", rnd.IntN(9))+fmt.Sprint(rnd.IntN(50)))
			case f.Type.IsDecimal():
				b.SetInt64(i, rnd.Int64N(2e8)-1e8)
			default:
				b.SetInt64(i, rnd.Int64()-1<<62)
			}
		}
	}
	return b
}

// Goal: what is written is read back, by the readers of this package and by other programs.
// Method: random batches in files of all compressions and of small row groups. The Python of
// VELO_PYTHON reads each with pyarrow and with DuckDB and says which rows it has.
func TestWritten(t *testing.T) {
	python := os.Getenv("VELO_PYTHON")
	s := everything(t)
	for round, codec := range []string{"", "zstd", "snappy", "gzip", "lz4", "brotli", "none"} {
		rnd := rand.New(rand.NewPCG(4, uint64(round)))
		var text bytes.Buffer
		e := NewEncoder(&text, EncoderConfig{Compression: codec, GroupRows: 1000})
		var want []string
		for range 1 + rnd.IntN(6) {
			b := random(rnd, s, rnd.IntN(900))
			if err := e.Write(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			for row := range b.Len() {
				want = append(want, line(b, row))
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		src := open(t, nil, path)
		for i := range s.Len() {
			if got := src.schema.Field(i); got.Name != s.Field(i).Name || got.Nullable != s.Field(i).Nullable ||
				got.Type != s.Field(i).Type {
				t.Errorf("column %v, expected %v", got, s.Field(i))
			}
		}
		got, _, err := lines(src.Readers(1)[0], src.schema, 333)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: %v: %s", codec, err, differs(got, want))
		}
		if python == "" {
			continue
		}
		out, err := exec.Command(python, "testdata/rows.py", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for i, rows := range strings.Split(strings.TrimSpace(string(out)), "\n--\n") {
			if got := strings.Split(rows, "\n"); !slices.Equal(got, want) {
				t.Errorf("%q, program %d: %s", codec, i, differs(got, want))
			}
		}
	}
	if python == "" {
		t.Skip("other programs did not read the files: VELO_PYTHON names a Python that has pyarrow and DuckDB")
	}
}

// Goal: a file without rows has its columns, bad texts are refused or replaced, and larger units of
// time cut off.
func TestEncoder(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "s", Type: record.String},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	read := func(cfg EncoderConfig, b *record.Batch) ([]string, error) {
		var text bytes.Buffer
		e := NewEncoder(&text, cfg)
		if err := e.Write(context.Background(), b); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			return nil, err
		}
		src := open(t, nil, path)
		got, _, err := lines(src.Readers(1)[0], src.schema, 10)
		return append([]string{src.schema.String()}, got...), err
	}
	b := record.NewBatch(s, 3)
	got, err := read(EncoderConfig{}, b)
	if err != nil || !slices.Equal(got, []string{"t(s text, at timestamp)"}) {
		t.Error(got, err)
	}
	b.Add(9)
	b.SetString(0, "a\xff")
	b.SetInt64(1, -1_000_001)
	if _, err := read(EncoderConfig{}, b); err == nil || !strings.Contains(err.Error(), `column "s": "a\xff" is not UTF-8`) {
		t.Error(err)
	}
	for unit, want := range map[Unit]string{Nanos: "-1000001", Micros: "-1001000", Millis: "-2000000"} {
		got, err := read(EncoderConfig{BadText: ReplaceText, Unit: unit}, b)
		text, _ := json.Marshal("a\uFFFD")
		if err != nil || got[1] != string(text)+"\t"+want {
			t.Error(unit, got, err)
		}
	}
}

// BenchmarkWrite writes random rows of fourteen columns: what a value costs.
func BenchmarkWrite(b *testing.B) {
	s := everything(b)
	batch := random(rand.New(rand.NewPCG(5, 5)), s, 2048)
	for _, codec := range []string{"zstd", "snappy"} {
		b.Run("codec="+codec, func(b *testing.B) {
			e := NewEncoder(io.Discard, EncoderConfig{Compression: codec})
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Write(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			values := float64(b.N) * 2048 * float64(s.Len())
			b.ReportMetric(b.Elapsed().Seconds()*1e9/values, "ns/value")
		})
	}
}

var _ writers.Encoder = (*Encoder)(nil)
