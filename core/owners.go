package core

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

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
	to    plan.PartitionID
	done  atomic.Bool // set by the last partition to answer the epoch after the move's
}

// Done says whether the shard is where it was to go.
func (m *Move) Done() bool { return m.done.Load() }

// move is a Move at the epoch in which it happens.
type move struct {
	*Move
	epoch  uint64           // 0: there is no move
	from   plan.PartitionID // the owner before the mark
	owners *result.Owners   // the owners after the mark
}

// ErrMoving says that another shard is being moved.
var ErrMoving = errors.New("another shard is being moved")

// RequestMove asks for a shard to be moved at one of the next epochs. The error says that there is
// no such shard or partition, that groups are not kept by their shards, or that another shard is
// being moved (ErrMoving).
func (c *Cuts) RequestMove(shard int, to plan.PartitionID) (*Move, error) {
	switch {
	case c.cuts[0].Scattered:
		return nil, errors.New("core: cannot move a shard: the route does not go by key")
	case c.windows:
		return nil, errors.New("core: cannot move a shard of a plan with windows")
	case c.budget.sheds():
		return nil, errors.New("core: cannot move a shard of a plan that sheds: a group that finds no room " +
			"would be lost")
	case shard < 0 || shard >= plan.Shards || int(to) >= len(c.cuts[0].Images):
		return nil, fmt.Errorf("core: cannot move shard %d to partition %d: there are %d shards and %d partitions",
			shard, to, plan.Shards, len(c.cuts[0].Images))
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
		c.move = move{m, number + 1, c.owners.OfShard(m.shard), c.owners.With(m.shard, m.to)}
	}
}
