package core

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

// # Moving shards
//
// A move takes some shards from one partition to another, at the mark of an epoch E. After that
// mark routers send their records to the new owner. The old owner's image of E has the groups of
// the shards as they were. When all partitions have answered E, the new owner merges them from
// there into its own table, a piece at a time, while records come. The old owner resets the groups
// that it has of the shards to nothing, since it may own them again. Neither answers the next epoch
// before that is done, so every cut has each group in one place.

// A Move is a request to give shards of one partition to another.
type Move struct {
	shards []uint8
	to     plan.PartitionID
	done   atomic.Bool // set by the last partition to answer the epoch after the move's
}

// Done says whether the shards are where they were to go.
func (m *Move) Done() bool { return m.done.Load() }

// move is a Move at the epoch in which it happens.
type move struct {
	*Move
	epoch  uint64           // 0: there is no move
	from   plan.PartitionID // the owner before the mark
	set    result.ShardSet  // the shards that move
	owners *result.Owners   // the owners after the mark
}

// ErrMoving says that another shard is being moved.
var ErrMoving = errors.New("another shard is being moved")

// Movable returns why shards cannot be moved at all, or nil if they can.
func (c *Cuts) Movable() error {
	switch {
	case c.cuts[0].Scattered:
		return errors.New("core: cannot move a shard: the route does not go by key")
	case c.windows:
		return errors.New("core: cannot move a shard of a plan with windows")
	case c.budget.sheds():
		return errors.New("core: cannot move a shard of a plan that sheds: a group that finds no room would be lost")
	}
	return nil
}

// RequestMove asks for shards to be moved at one of the next epochs, all of them at the same one.
// The first says which partition they come from; those that another partition owns by then stay
// where they are. The error says that no shard is named, that there is no such shard or partition,
// that groups are not kept by their shards, or that others are being moved (ErrMoving).
func (c *Cuts) RequestMove(to plan.PartitionID, shards ...int) (*Move, error) {
	if err := c.Movable(); err != nil {
		return nil, err
	}
	if len(shards) == 0 {
		return nil, errors.New("core: no shard to move")
	}
	m := &Move{to: to}
	for _, shard := range shards {
		if shard < 0 || shard >= plan.Shards || int(to) >= len(c.cuts[0].Images) {
			return nil, fmt.Errorf("core: cannot move shard %d to partition %d: there are %d shards and %d partitions",
				shard, to, plan.Shards, len(c.cuts[0].Images))
		}
		m.shards = append(m.shards, uint8(shard))
	}
	if !c.pending.CompareAndSwap(nil, m) {
		return nil, fmt.Errorf("core: cannot move shard %d: %w", shards[0], ErrMoving)
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
		next := move{Move: m, epoch: number + 1, from: c.owners.OfShard(m.shards[0])}
		for _, shard := range m.shards {
			next.set[shard] = c.owners.OfShard(shard) == next.from
		}
		next.owners = c.owners.With(&next.set, m.to)
		c.move = next
	}
}
