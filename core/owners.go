package core

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Owners says which partition owns each shard. Nothing else decides where a key goes: routers look
// here once per stripe, and so does a lookup of a single group. An Owners does not change once it
// is made.
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

// # Moving a shard
//
// A shard changes hands at the mark of an epoch E. After that mark routers send its records to the
// new owner. The old owner's image of E has the groups of the shard as they were. When all
// partitions have answered E, the new owner merges them from there into its own table, a piece at a
// time, while records come. The old owner resets the groups that it has of the shard to nothing,
// since it may own the shard again. Neither answers the next epoch before that is done, so every
// cut has each group in one place.

// A Move is a request to give a shard to another partition.
type Move struct {
	shard uint8
	to    PartitionID
	done  atomic.Bool // set by the last partition to answer the epoch after the move's
}

// Done says whether the shard is where it was to go.
func (m *Move) Done() bool { return m.done.Load() }

// move is a Move at the epoch in which it happens.
type move struct {
	*Move
	epoch  uint64      // 0: there is no move
	from   PartitionID // the owner before the mark
	owners *Owners     // the owners after the mark
}

// ErrMoving says that another shard is being moved.
var ErrMoving = errors.New("another shard is being moved")

// RequestMove asks for a shard to be moved at one of the next epochs. The error says that there is
// no such shard or partition, that groups are not kept by their shards, or that another shard is
// being moved (ErrMoving).
func (c *Cuts) RequestMove(shard int, to PartitionID) (*Move, error) {
	switch {
	case c.cuts[0].scattered:
		return nil, errors.New("core: cannot move a shard: the route does not go by key")
	case c.windows:
		return nil, errors.New("core: cannot move a shard of a plan with windows")
	case c.budget.sheds():
		return nil, errors.New("core: cannot move a shard of a plan that sheds: a group that finds no room " +
			"would be lost")
	case shard < 0 || shard >= Shards || int(to) >= len(c.cuts[0].images):
		return nil, fmt.Errorf("core: cannot move shard %d to partition %d: there are %d shards and %d partitions",
			shard, to, Shards, len(c.cuts[0].images))
	}
	m := &Move{shard: uint8(shard), to: to}
	if !c.pending.CompareAndSwap(nil, m) {
		return nil, fmt.Errorf("core: cannot move shard %d: %w", shard, ErrMoving)
	}
	return m, nil
}

// advanceMove goes on with moves when an epoch has been answered. Only the last partition to answer
// calls it, and no agent looks at a move before the next epoch is raised.
func (c *Cuts) advanceMove(number uint64) {
	if c.move.epoch == number {
		c.owners = c.move.owners
		return
	}
	if c.move.epoch > 0 {
		c.pending.Store(nil)
		c.move.done.Store(true)
		c.move = move{}
	}
	if m := c.pending.Load(); m != nil {
		owners := *c.owners
		owners.of[m.shard] = m.to
		c.move = move{m, number + 1, c.owners.of[m.shard], &owners}
	}
}

// awayShards are the shards that a partition has given away, with the number of rows that they left
// behind in its table. It does not change once an image has it.
type awayShards struct {
	is   [Shards]bool // is[s] says that shard s has been given away
	rows [Shards]int  // the rows that each shard left
	all  int          // the rows that all of them left
}

// with is given after a shard has been given away or has come back. rows is the number of rows that
// the shard left.
func (g *awayShards) with(shard uint8, away bool, rows int) *awayShards {
	next := &awayShards{}
	if g != nil {
		*next = *g
	}
	next.all += rows - next.rows[shard]
	next.is[shard], next.rows[shard] = away, rows
	if next.is == [Shards]bool{} {
		return nil
	}
	return next
}
