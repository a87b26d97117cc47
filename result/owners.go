package result

import (
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
)

// Owners says which partition owns each shard. Nothing else decides where a key goes: routers look
// here once per stripe, and so does a lookup of a single group. An Owners does not change once it
// is made.
type Owners struct{ of [plan.Shards]plan.PartitionID }

// NewOwners deals the shards to the partitions in runs of equal length, give or take one.
func NewOwners(partitions int) *Owners {
	o := &Owners{}
	for shard := range o.of {
		o.of[shard] = plan.PartitionID(shard * partitions / plan.Shards)
	}
	return o
}

// Of is the partition that owns the shard of a key.
func (o *Owners) Of(k plan.Key) plan.PartitionID { return o.of[k.Shard()] }

// A ShardSet says of each shard whether it is in the set.
type ShardSet [plan.Shards]bool

// With is o after shards have gone to another partition.
func (o *Owners) With(shards *ShardSet, to plan.PartitionID) *Owners {
	next := *o
	for shard, moved := range shards {
		if moved {
			next.of[shard] = to
		}
	}
	return &next
}

// OfShard is the partition that owns a shard.
//
//gcassert:inline
func (o *Owners) OfShard(shard uint8) plan.PartitionID { return o.of[shard] }

// OfHash is the partition that owns the shard of a hash.
//
//gcassert:inline
func (o *Owners) OfHash(hash uint64) plan.PartitionID { return o.of[layout.ShardOf(hash)] }

// AwayShards are the shards that a partition has given away, with the number of rows that they left
// behind in its table. It does not change once an image has it.
type AwayShards struct {
	is   ShardSet         // is[s] says that shard s has been given away
	Rows [plan.Shards]int // the rows that each shard left
	All  int              // the rows that all of them left
}

// With is g after shards have been given away or have come back. rows is the number of rows that
// each shard left; it has no meaning for other shards.
func (g *AwayShards) With(shards *ShardSet, away bool, rows *[plan.Shards]int) *AwayShards {
	next := &AwayShards{}
	if g != nil {
		*next = *g
	}
	for shard, moved := range shards {
		if !moved {
			continue
		}
		next.All += rows[shard] - next.Rows[shard]
		next.is[shard], next.Rows[shard] = away, rows[shard]
	}
	if next.is == (ShardSet{}) {
		return nil
	}
	return next
}
