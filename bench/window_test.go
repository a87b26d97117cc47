package bench

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// warm is how many records come before the timed part: the tables of the first windows have gone to later ones then.
const warm = 5 * streamRate

// BenchmarkWindowCost is what windows cost: records of ten million a second of event time, in order and with half of them or more in another window than the one before, so that there are 10,000 records in a group of a
// window, or 100. Each kind of window takes its turn in each round, so a figure stands beside the others of the same minute: x-... is the time of a record against that without windows, of the hopping windows
// also against tumbling ones of a slide. Where records of two windows mix, both windows' groups are in use, so x-twice has what twice the groups cost without windows. Medians of the rounds. Nothing is written.
func BenchmarkWindowCost(b *testing.B) {
	kinds := []struct {
		name, by string
		disorder time.Duration
		times    uint64 // as many groups
	}{
		{"none", "key", 0, 1},
		{"tumble", "key, tumble(at, INTERVAL '1 s')", 0, 1},
		{"tumble-disorder", "key, tumble(at, INTERVAL '1 s')", 500 * time.Millisecond, 1},
		{"hop60", "key, hop(at, INTERVAL '1 s', INTERVAL '60 s')", 0, 1},
		{"hop60-disorder", "key, hop(at, INTERVAL '1 s', INTERVAL '60 s')", 500 * time.Millisecond, 1},
		{"twice", "key", 0, 2},
	}
	for _, groups := range []uint64{1000, 100_000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			var passes []pass
			var streams []Stream
			for _, k := range kinds {
				s := Streams["s2"]
				s.SQL, s.Disorder, s.groups =
					`SELECT key, count(*) AS n, sum(value) AS sum, min(value) AS low, max(value) AS high FROM records GROUP BY `+k.by, k.disorder, k.times*groups
				p, err := s.prepare(s, 1)
				if err != nil {
					b.Fatal(err)
				}
				passes, streams = append(passes, p), append(streams, s)
			}
			took := make([][]float64, len(kinds))
			for b.Loop() {
				for i, s := range streams {
					var end atomic.Bool
					e, _, err := s.start(passes[i], 1, 1, nil, &end)
					if err != nil {
						b.Fatal(err)
					}
					for e.Stats().Counters().In < warm {
						<-time.After(time.Millisecond)
					}
					f, err := Measure(e, 300*time.Millisecond)
					if err != nil {
						b.Fatal(err)
					}
					if late := e.Stats().Counters().Late; late > 0 {
						b.Fatalf("%d records were late", late)
					}
					took[i] = append(took[i], f.CPUNanos())
					e.Close()
				}
			}
			median := func(i int) float64 {
				slices.Sort(took[i])
				return took[i][len(took[i])/2]
			}
			b.ReportMetric(0, "ns/op") // it would be the time of a round
			for i, k := range kinds {
				b.ReportMetric(median(i), k.name+"-ns/record")
				if i > 0 {
					b.ReportMetric(median(i)/median(0), "x-"+k.name)
				}
			}
			b.ReportMetric(median(3)/median(1), "x-hop60/tumble")
			b.ReportMetric(median(4)/median(2), "x-hop60-disorder/tumble-disorder")
		})
	}
}
