package writers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

func BenchmarkFormats(b *testing.B) {
	s, err := record.NewSchema("t", record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "mean", Type: record.Float64}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		b.Fatal(err)
	}
	const rows = 4096
	batch := record.NewBatch(s, rows)
	for i := range rows {
		batch.Add(20)
		batch.SetString(0, fmt.Sprintf("symbol-%d", i))
		batch.SetInt64(1, int64(i*7919))
		batch.SetFloat64(2, float64(i)/7)
		batch.SetInt64(3, int64(i)*1_000_000_007)
	}
	for name, open := range map[string]func(io.Writer) record.Writer{
		"csv":    func(to io.Writer) record.Writer { return writers.NewCSV(to) },
		"ndjson": func(to io.Writer) record.Writer { return writers.NewNDJSON(to) },
	} {
		b.Run("format="+name, func(b *testing.B) {
			var once bytes.Buffer
			first := open(&once)
			if err := errors.Join(first.Write(context.Background(), batch), first.Close()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(once.Len()))
			w := open(io.Discard)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/record")
		})
	}
}
