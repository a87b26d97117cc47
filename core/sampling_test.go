package core

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
)

// Goal: one of SampleRate records is sampled, each shard as often as it comes, whatever the length
// of the stripes and the period of the records. Method: shard 1 has three of four records and shard
// 2 the rest, in turn or at random.
func TestShardSampler(t *testing.T) {
	const records = 1 << 22
	rng := rand.New(rand.NewPCG(1, 2))
	for _, stripe := range []int{1, 7, SampleRate, stripeRows} {
		for _, periodic := range []bool{true, false} {
			r := &Router{}
			r.SampleShards()
			hashes := make([]uint64, stripe)
			n := 0
			for n < records {
				for i := range hashes {
					k := n % 4
					if !periodic {
						k = rng.IntN(4)
					}
					hashes[i] = 1 << 56
					if k == 3 {
						hashes[i] = 2 << 56
					}
					n++
				}
				r.sampler.sample(hashes)
			}
			var got [plan.Shards]uint64
			r.AddShardSamples(&got)
			if got[1]+got[2] < records/SampleRate*95/100 || got[1]+got[2] > records/SampleRate*105/100 {
				t.Errorf("stripes of %d: %d samples, expected %d", stripe, got[1]+got[2], records/SampleRate)
			}
			if share := float64(got[1]) / float64(got[1]+got[2]); share < 0.73 || share > 0.77 {
				t.Errorf("stripes of %d, periodic %v: shard 1 has %.3f of the samples, expected 0.75", stripe, periodic,
					share)
			}
		}
	}
}

// BenchmarkShardSampler says what sampling adds to a routed record.
func BenchmarkShardSampler(b *testing.B) {
	r := &Router{}
	r.SampleShards()
	hashes := make([]uint64, stripeRows)
	for i := range hashes {
		hashes[i] = rand.Uint64()
	}
	begin := time.Now()
	for b.Loop() {
		r.sampler.sample(hashes)
	}
	b.ReportMetric(float64(time.Since(begin))/float64(b.N)/stripeRows, "ns/record")
}
