package core

// Owners says which partition owns each shard. Nobody else decides where a key goes: routers look here once per stripe, and a
// lookup of a single group does.
type Owners struct{ of [Shards]PartitionID }

// NewOwners deals the shards to the partitions in runs of equal length, give or take one.
func NewOwners(partitions int) *Owners {
	o := &Owners{}
	for shard := range o.of {
		o.of[shard] = PartitionID(shard * partitions / Shards)
	}
	return o
}

// Of is the partition that owns the shard of a key.
func (o *Owners) Of(k Key) PartitionID { return o.of[shardOf(k.hash)] }
