package table

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Building a table from nothing, a stripe of new groups at a time: nanoseconds for each, and the longest stripe. The median of stripes says what
// the longest is to be held against; a thread that the system takes away shows up in the longest too, so the least of several passes
// counts.
func BenchmarkBuild(b *testing.B) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64})
	if err != nil {
		b.Fatal(err)
	}
	l, err := record.NewKeyLayout(s, []int{0})
	if err != nil {
		b.Fatal(err)
	}
	for _, groups := range []int{100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			const n = 512
			batch := record.NewBatch(s, n)
			for range n {
				batch.Add(0)
			}
			scratch, off := l.NewKeys(n), make([]uint64, n)
			longest, late := time.Hour, 0
			for b.Loop() {
				t := newTable(b, l, make([]uint64, 5))
				var worst time.Duration
				for from := 0; from < groups; from += n {
					for i := range n {
						batch.Column(0).Int64s[i] = int64(from + i)
					}
					l.Encode(batch, 0, n, scratch)
					begin := time.Now()
					t.FindOrCreate(scratch.Hashes, scratch.Words, nil, off)
					worst = max(worst, time.Since(begin))
				}
				longest = min(longest, worst)
				late = t.Late()
				t.Free()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(groups), "ns/group")
			b.ReportMetric(float64(longest.Microseconds()), "longest-us")
			b.ReportMetric(float64(late), "late")
		})
	}
}

// A cycle of the garbage collector beside a table: it must not cost more for the groups.
func BenchmarkGC(b *testing.B) {
	for _, groups := range []int{0, 8_000_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			k := newKeysTable(b, Memory{})
			keys := make([]int64, 512)
			for from := 0; from < groups; from += len(keys) {
				for i := range keys {
					keys[i] = int64(from + i)
				}
				k.add(keys)
				clear(k.want)
			}
			runtime.GC()
			for b.Loop() {
				runtime.GC()
			}
			if k.Len() != groups {
				b.Fatal(k.Len())
			}
		})
	}
}
