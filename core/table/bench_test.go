package table

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// Building a table from nothing, a stripe of new groups at a time: nanoseconds for each, and what a
// stripe takes at most of the thread's CPU time, which is what a Step of a partition takes of it.
// What the thread waits for memory lies between the stripes, as it does between Steps. A machine
// that is busy shows up even in CPU time, so the least of several passes counts; on the clock the
// thread may have been taken away in any stripe.
func BenchmarkBuild(b *testing.B) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64})
	if err != nil {
		b.Fatal(err)
	}
	l, err := groupkey.NewLayout(s, []int{0})
	if err != nil {
		b.Fatal(err)
	}
	for _, groups := range []int{100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			const n = 512
			batch := record.NewBatch(s, n)
			for range n {
				batch.Add(0)
			}
			scratch, off := l.NewKeys(n), make([]uint64, n)
			longest, longestCPU := time.Hour, time.Hour
			var waited time.Duration
			for b.Loop() {
				t := newTable(b, l, make([]uint64, 5))
				var worst, worstCPU time.Duration
				for from := 0; from < groups; from += n {
					for i := range n {
						batch.Column(0).Int64s[i] = int64(from + i)
					}
					l.Encode(batch, 0, n, scratch)
					begin := time.Now()
					for !t.Ready(n) {
						runtime.Gosched()
					}
					waited += time.Since(begin)
					cpu, ok := affinity.ThreadCPUTime()
					if !ok {
						b.Skip("this system does not tell the CPU time of a thread")
					}
					begin = time.Now()
					t.FindOrCreate(scratch.Hashes, scratch.Words, nil, off)
					worst = max(worst, time.Since(begin))
					after, _ := affinity.ThreadCPUTime()
					worstCPU = max(worstCPU, after-cpu)
				}
				longest, longestCPU = min(longest, worst), min(longestCPU, worstCPU)
				t.Free()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(groups), "ns/group")
			b.ReportMetric(float64(longestCPU.Nanoseconds())/1000, "longest-cpu-us")
			b.ReportMetric(float64(longest.Nanoseconds())/1000, "longest-us")
			b.ReportMetric(float64(waited.Microseconds())/1000/float64(b.N), "waited-ms")
		})
	}
}

// Finding the groups of keys that are there: nanoseconds for each, by a number and by a text of 4
// to 20 bytes. The rows have four words of state.
func BenchmarkFind(b *testing.B) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "t", Type: record.String})
	if err != nil {
		b.Fatal(err)
	}
	for column, kind := range []string{"number", "text"} {
		for _, groups := range []int{1000, 100_000, 1_000_000} {
			l, err := groupkey.NewLayout(s, []int{column})
			if err != nil {
				b.Fatal(err)
			}
			const n = 512
			t := newTable(b, l, make([]uint64, 5))
			rng := rand.New(rand.NewPCG(1, 1))
			var stripes []*groupkey.Keys
			for range max(4*groups, 1<<18) / n {
				batch := record.NewBatch(s, n)
				for range n {
					i := rng.IntN(groups)
					text := fmt.Appendf(nil, "%d-and-more-behind-it", i)[:max(4+i%17, len(fmt.Sprint(i)))]
					batch.Add(len(text))
					batch.SetInt64(0, int64(i))
					batch.SetBytes(1, text)
				}
				k := l.NewKeys(n)
				l.Encode(batch, 0, n, k)
				stripes = append(stripes, k)
			}
			off := make([]uint64, n)
			all := func() {
				for _, k := range stripes {
					t.FindOrCreate(k.Hashes, k.Words, nil, off)
				}
			}
			all()
			for _, vectors := range []bool{false, true} {
				if vectors && !have512 {
					continue
				}
				b.Run(fmt.Sprintf("key=%s/groups=%d/avx512=%v", kind, groups, vectors), func(b *testing.B) {
					defer func(was bool) { have512 = was }(have512)
					have512 = vectors
					b.ReportAllocs()
					for b.Loop() {
						all()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n*len(stripes)), "ns/record")
				})
			}
		}
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

// BenchmarkCatchUp is what it takes to bring a twin up to date of which part of the rows have been
// touched, for each of those, through two other tables as a partition does.
func BenchmarkCatchUp(b *testing.B) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		b.Fatal(err)
	}
	l, err := groupkey.NewLayout(schema, []int{0})
	if err != nil {
		b.Fatal(err)
	}
	for _, groups := range []int{1000, 100_000, 1_000_000} {
		for _, part := range []float64{0.01, 0.1, 0.5, 1} {
			b.Run(fmt.Sprintf("groups=%d/touched=%v", groups, part), func(b *testing.B) {
				var tables [3]*Table
				for i := range tables {
					tables[i], err = New(l, make([]uint64, 5), Memory{Twins: NewTwins(nil, 3)}) // rows of one line
					if err != nil {
						b.Fatal(err)
					}
				}
				keys := make([]uint64, 512)
				hashes, off := make([]uint64, 512), make([]uint64, 512)
				for i := 0; i < groups; i += len(keys) {
					for j := range keys {
						keys[j] = uint64(i+j) * 0x9e3779b97f4a7c15
						hashes[j] = l.HashKey(keys[j : j+1])
					}
					tables[0].FindOrCreate(hashes, [][]uint64{keys}, nil, off)
				}
				live := 0
				turn := func() (copied int) {
					image := live
					for i, other := range tables {
						if i != image {
							tables[image].Tell(other)
						}
					}
					tables[image].Freeze()
					live = (live + 1) % len(tables)
					t := tables[live]
					if err := t.Follow(tables[image]); err != nil {
						b.Fatal(err)
					}
					for done := false; !done; {
						var n int
						if n, done, err = t.CatchUp(tables[image], 1<<20); err != nil {
							b.Fatal(err)
						}
						copied += n
					}
					t.Live()
					return copied
				}
				for range 6 {
					turn()
				}
				rng := rand.New(rand.NewPCG(1, 1))
				places := make([]uint64, max(1, int(float64(groups)*part)))
				rows, copied := 0, 0
				b.ResetTimer()
				for b.Loop() {
					b.StopTimer()
					for i := range places {
						places[i] = uint64(1+rng.IntN(groups)) * tables[live].rowBytes
					}
					if part == 1 {
						for i := range places {
							places[i] = uint64(1+i) * tables[live].rowBytes
						}
					}
					if tables[live].tracks {
						tables[live].touch(places)
					}
					b.StartTimer()
					copied += turn()
					rows += len(places)
				}
				b.ReportMetric(float64(b.Elapsed())/float64(rows), "ns/touched")
				b.ReportMetric(float64(b.Elapsed())/float64(copied/lineBytes), "ns/line")
			})
		}
	}
}
