package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
)

// SampleRate is how many routed records there are for each one in ShardSamples, on average. A
// sample costs about as much as routing a record, so sampling costs less than a hundredth of it.
const SampleRate = 128

// A shardSampler counts the shards of a sample of the records that a router sends to their owners.
// The distance from one sampled record to the next is random, so that a period in the records does
// not hide some of them.
type shardSampler struct {
	// left is the number of records to pass over before the next one that is sampled.
	left int
	// state is the state of a generator of pseudo-random numbers; it is not 0.
	state uint64
	// counts is stored by the router alone. Other goroutines read it; nothing else is published by
	// it. Statistics.
	counts [plan.Shards]atomic.Uint64
}

// sample looks at the hashes of a stripe.
func (s *shardSampler) sample(hashes []uint64) {
	for s.left < len(hashes) {
		count := &s.counts[layout.ShardOf(hashes[s.left])]
		count.Store(count.Load() + 1)
		// xorshift64, by Marsaglia
		s.state ^= s.state << 13
		s.state ^= s.state >> 7
		s.state ^= s.state << 17
		s.left += 1 + int(s.state%(2*SampleRate-1))
	}
	s.left -= len(hashes)
}

// SampleShards has the router count the shards of a sample of the records that it sends to their
// owners. It is called before the first Step.
func (r *Router) SampleShards() { r.sampler = &shardSampler{state: uint64(r.id) + 1} }

// AddShardSamples adds the number of sampled records of each shard since the start, which are one
// of SampleRate. Records that are folded are not routed, so they do not count. Any goroutine may
// call it.
func (r *Router) AddShardSamples(to *[plan.Shards]uint64) {
	if r.sampler == nil {
		return
	}
	for shard := range to {
		to[shard] += r.sampler.counts[shard].Load()
	}
}
