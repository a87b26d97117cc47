package core

import (
	"fmt"

	"github.com/velo-engine/velo/plan"
)

// assignPartitions finds out where the rows of the stripe go. It sets r.dest, r.counts and r.bytes,
// and also r.only if one partition gets all rows.
func (r *Router) assignPartitions() {
	dest := r.dest[:r.to-r.from]
	clear(r.counts)
	clear(r.bytes)
	r.single = -1
	switch {
	case len(r.targets) == 1:
		r.single = 0
	case r.route.Routing == plan.RouteAligned:
		r.single = int(r.id) % len(r.targets)
	case r.route.Routing == plan.RouteRoundRobin:
		r.single = r.nextPartition
	case r.route.Routing == plan.RouteCustom:
		c := &r.context
		c.Batch, c.First, c.Hashes, c.Partition = r.batch, r.from, r.keys.Hashes, dest
		r.route.Func(c)
		c.Batch = nil
		for _, p := range dest {
			if p >= uint32(len(r.targets)) {
				panic(fmt.Sprintf("core: the route function sent a record to partition %d, there are %d", p,
					len(r.targets)))
			}
			r.counts[p]++
		}
	default:
		for i, h := range r.keys.Hashes {
			p := r.owners.OfHash(h)
			dest[i] = uint32(p)
			r.counts[p]++
		}
		if r.sampler != nil {
			r.sampler.sample(r.keys.Hashes)
		}
	}
	if r.single >= 0 {
		r.counts[r.single] = len(dest)
		if r.keys.Long > 0 {
			for _, bytes := range r.keys.LongBytes[:len(dest)] {
				r.bytes[r.single] += int(bytes)
			}
		}
	} else if r.keys.Long > 0 {
		for i, bytes := range r.keys.LongBytes[:len(dest)] {
			r.bytes[dest[i]] += int(bytes)
		}
	}
	r.assigned = true
}

// advance goes on to the next destination: the stripe has been copied, or has to go to another
// partition.
func (r *Router) advance() {
	r.assigned = false
	r.nextPartition++
	if r.nextPartition == len(r.targets) {
		r.nextPartition = 0
	}
}
