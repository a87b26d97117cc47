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

// With is o after a shard has gone to another partition.
func (o *Owners) With(shard uint8, to plan.PartitionID) *Owners {
	next := *o
	next.of[shard] = to
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
	is   [plan.Shards]bool // is[s] says that shard s has been given away
	Rows [plan.Shards]int  // the rows that each shard left
	All  int               // the rows that all of them left
}

// With is given after a shard has been given away or has come back. rows is the number of rows that
// the shard left.
func (g *AwayShards) With(shard uint8, away bool, rows int) *AwayShards {
	next := &AwayShards{}
	if g != nil {
		*next = *g
	}
	next.All += rows - next.Rows[shard]
	next.is[shard], next.Rows[shard] = away, rows
	if next.is == [plan.Shards]bool{} {
		return nil
	}
	return next
}
