package parquet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/velo-engine/velo/record"
)

// trade is a record of the benchmarks.
type trade struct {
	Symbol string  `parquet:"symbol,dict"`
	Size   int64   `parquet:"size"`
	Price  float64 `parquet:"price"`
	At     int64   `parquet:"at,timestamp(microsecond)"`
	Buyer  *int64  `parquet:"buyer"`
}

// trades writes a file of trades for benchmarks.
func trades(t testing.TB, rows int, options ...pq.WriterOption) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trades.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pq.NewGenericWriter[trade](f, append(options, pq.MaxRowsPerRowGroup(1<<17))...)
	batch := make([]trade, 4096)
	for from := 0; from < rows; from += len(batch) {
		for i := range batch {
			n := int64(from + i)
			batch[i] = trade{fmt.Sprintf("SYM%03d", n*n%211), n * 7 % 1000, float64(n%10007) / 100, 1.7e15 + n*250, nil}
			if n%8 != 0 {
				id := n % 5003
				batch[i].Buyer = &id
			}
		}
		if _, err := w.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// BenchmarkRead reads files that are in the page cache, with one reader: what a value costs.
func BenchmarkRead(b *testing.B) {
	const rows = 1 << 20
	codecs := map[string]pq.WriterOption{
		"none": pq.Compression(&pq.Uncompressed), "snappy": pq.Compression(&pq.Snappy), "zstd": pq.Compression(&pq.Zstd),
	}
	for _, codec := range []string{"none", "snappy", "zstd"} {
		path := trades(b, rows, codecs[codec])
		for _, columns := range [][]string{
			{"symbol", "size", "price", "at", "buyer"}, {"symbol"}, {"size"}, {"price"}, {"at"}, {"buyer"},
		} {
			name := "all"
			if len(columns) == 1 {
				name = columns[0]
			}
			b.Run(fmt.Sprintf("codec=%s/columns=%s", codec, name), func(b *testing.B) {
				s := open(b, columns, path)
				batch := record.NewBatch(s.schema, 0)
				b.ReportAllocs()
				for b.Loop() {
					r := s.Readers(1)[0]
					got := 0
					for {
						batch.Reset()
						err := r.Read(context.Background(), batch)
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						got += batch.Len()
					}
					if got != rows {
						b.Fatal(got)
					}
				}
				values := float64(b.N) * rows * float64(len(columns))
				b.ReportMetric(values/b.Elapsed().Seconds()/1e6, "Mvalues/s")
				b.ReportMetric(b.Elapsed().Seconds()*1e9/values, "ns/value")
			})
		}
	}
}
