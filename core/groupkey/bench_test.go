package groupkey

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// The words and the hash of keys that are one text, a stripe at a time, of records that are in the
// second-level cache: nanoseconds for each.
func BenchmarkEncodeText(b *testing.B) {
	for _, shape := range []struct {
		least, most int
		nulls       bool
	}{{4, 20, false}, {4, 20, true}, {4, 40, false}} {
		const rows, stripe = 8192, 512
		s, err := record.NewSchema("s", record.Field{Name: "s", Type: record.String, Nullable: shape.nulls})
		if err != nil {
			b.Fatal(err)
		}
		l, err := NewLayout(s, []int{0})
		if err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		batch := record.NewBatch(s, rows)
		for range rows {
			text := make([]byte, shape.least+rng.IntN(shape.most-shape.least+1))
			for i := range text {
				text[i] = byte('a' + rng.IntN(26))
			}
			if !batch.Add(len(text)) {
				break
			}
			if batch.SetBytes(0, text); shape.nulls && rng.IntN(10) == 0 {
				batch.SetNull(0)
			}
		}
		for _, vectors := range []bool{false, true} {
			if vectors && !have512 {
				continue
			}
			b.Run(fmt.Sprintf("bytes=%d-%d/nulls=%v/avx512=%v", shape.least, shape.most, shape.nulls, vectors),
				func(b *testing.B) {
					defer func(was bool) { have512 = was }(have512)
					have512 = vectors
					k := l.NewKeys(stripe)
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						n = 0
						for from := 0; from+stripe <= batch.Len(); from += stripe {
							l.Encode(batch, from, from+stripe, k)
							n += stripe
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
				})
		}
	}
}
