package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A Snapshot is a consistent picture of all groups: it has everything that every reader had routed
// at one epoch, and nothing else. It is the only way to read results. Any number of goroutines may
// read it, without a lock and without slowing the engine. It stays valid after Wait, Shutdown and
// Close of the engine, until its own Close.
//
// An open snapshot holds memory, because the engine goes on in other tables. Config.HeldSnapshots
// bounds how many epochs snapshots may hold.
//
// If the engine has several plans, the methods show the groups of the one that it had run the
// longest at the time, and Of gives the snapshot of another at the same epoch.
type Snapshot struct {
	branch *branch
	cut    *result.Cut // nil after Close
	slot   int
	// lent says that another Snapshot holds the slot, and closes it.
	lent bool
}

// Snapshot returns the newest picture: the empty one before the first epoch, and the final one
// after Wait. Together with its Close it takes two atomic additions. It waits for nothing, and it
// allocates nothing if the caller does not let the snapshot escape.
func (e *Engine) Snapshot() *Snapshot {
	s := &Snapshot{}
	s.pin(e)
	return s
}

//go:noinline
func (s *Snapshot) pin(e *Engine) {
	s.slot = e.epochs.Pin()
	// If no plan is in the cut, because it was added and another was removed before the first epoch
	// of the new one, the cut is the empty one that the plan began with.
	list := e.branches()
	s.branch = list[0]
	for _, b := range list {
		if b.in(s.slot, e.epochs.Number(s.slot)) {
			s.branch = b
			break
		}
	}
	s.cut = s.branch.cuts.At(s.slot)
	if invariants.Enabled && !e.epochs.IsLast(s.slot) {
		watchLeak(s)
	}
}

// Of returns the picture of another plan of the engine at the same epoch: both have the same
// records. It is valid until s is closed; its own Close does nothing to s. It allocates nothing if
// the caller does not let it escape. Of panics if the engine does not run the plan, or if the
// snapshot is older than the plan: see Has.
func (s *Snapshot) Of(p *plan.Plan) *Snapshot {
	v := &Snapshot{slot: s.slot, lent: true}
	v.lend(s, p)
	return v
}

//go:noinline
func (v *Snapshot) lend(s *Snapshot, p *plan.Plan) {
	s.use()
	for _, b := range s.branch.engine.branches() {
		if b.cfg.Plan == p {
			if !s.has(b) {
				panic(fmt.Sprintf("engine: Snapshot.Of: the snapshot of epoch %d does not have the plan %v, which "+
					"begins with epoch %d or has just been removed", s.cut.Epoch(), p, b.begins))
			}
			v.branch, v.cut = b, b.cuts.At(s.slot)
			return
		}
	}
	panic(fmt.Sprintf("engine: Snapshot.Of: the engine does not run the plan %v", p))
}

// has says whether the snapshot has a picture of a plan.
func (s *Snapshot) has(b *branch) bool { return b.in(s.slot, b.engine.epochs.Number(s.slot)) }

// in says whether the cut of an epoch has the plan. Its slot is pinned, so nobody puts another cut
// there; what is there is an older one if the plan has been removed before the epoch.
func (b *branch) in(slot int, epoch uint64) bool {
	return epoch >= b.begins && b.cuts.At(slot).Epoch() == epoch
}

// Has says whether Of has a picture of a plan: the engine runs it, and did so at the epoch of the
// snapshot (see Engine.AddPlan and RemovePlan).
func (s *Snapshot) Has(p *plan.Plan) bool {
	s.use()
	for _, b := range s.branch.engine.branches() {
		if b.cfg.Plan == p {
			return s.has(b)
		}
	}
	return false
}

// Err returns why the plan has ended although other plans of the engine go on. The groups are then
// those that each partition has shown last, and not all of them are of the same epoch. Or it
// returns the panic of a function of yours while a result of the plan was read: the value of that
// row was NULL. It is nil if the plan goes on, or has ended together with the engine.
func (s *Snapshot) Err() error {
	s.use()
	err := s.branch.failure()
	if err != nil {
		return err
	}
	return s.branch.panicked()
}

// watchLeak panics if a snapshot is garbage-collected before it was closed, because its tables
// would be lost to the engine.
func watchLeak(s *Snapshot) {
	runtime.SetFinalizer(s, func(s *Snapshot) {
		if s.cut != nil {
			panic(fmt.Sprintf("engine: the snapshot of epoch %d was never closed", s.cut.Epoch()))
		}
	})
}

// use returns the cut of an open snapshot.
func (s *Snapshot) use() *result.Cut {
	if s.cut == nil {
		panic("engine: a snapshot was used after Close")
	}
	return s.cut
}

// Epoch returns the number of the epoch. 0 is the empty snapshot before the first epoch.
func (s *Snapshot) Epoch() uint64 { return s.use().Epoch() }

// Len returns the number of groups.
func (s *Snapshot) Len() (n int) { return s.use().Len() }

// Bytes returns about the memory that the groups need in one table of each partition. The engine
// has three or more tables for each partition.
func (s *Snapshot) Bytes() int { return s.use().Bytes() }

// Get finds the group of a key that was made by the plan's Key. It returns false if there is none.
// It allocates nothing.
func (s *Snapshot) Get(k plan.Key) (result.Row, bool) { return s.use().Get(k) }

// All yields every group, in no particular order.
func (s *Snapshot) All() iter.Seq[result.Row] { return s.use().All() }

// Batches yields all groups in batches of the result's schema, each of up to the given number of
// rows. It is for callers that take groups away in bulk. A batch is valid until the next one.
func (s *Snapshot) Batches(rows int) iter.Seq[*record.Batch] { return s.use().Batches(rows) }

// BatchesOf is Batches for a caller that reads only some columns of the result: those with true in
// read (see ColumnsRead). The others may be zero or the empty text.
func (s *Snapshot) BatchesOf(rows int, read []bool) iter.Seq[*record.Batch] {
	return s.use().BatchesOf(rows, read)
}

// Partitions returns the number of partitions.
func (s *Snapshot) Partitions() int { return s.use().Partitions() }

// Partition yields the groups of one partition, so that several goroutines can share the work of
// going through all groups. If the route scatters groups (see plan.Route), parts of the same group
// may be in other partitions.
func (s *Snapshot) Partition(i int) iter.Seq[result.Row] { return s.use().Partition(i).All() }

// Closed returns the end of the last window that had closed. The groups of windows that end at that
// time or earlier do not change any more. It returns false if the plan has no windows or if none
// had closed. At the end of all input the time is later than any window.
func (s *Snapshot) Closed() (end time.Time, ok bool) {
	nanos, ok := s.use().Closed()
	return time.Unix(0, nanos).UTC(), ok
}

// OpenWindows returns the number of windows that have records and had not closed, so that their
// groups may still change. It looks at all windows that are kept.
func (s *Snapshot) OpenWindows() int { return s.use().OpenWindows() }

// Counters say what had become of each reader's records at the epoch. They are nil before the first
// epoch.
func (s *Snapshot) Counters() []result.Counters { return s.use().Counters() }

// Positions returns the number of records that had been taken from each reader at the epoch.
// Exactly these records are in the snapshot, or in its counters of what could not be counted. It is
// nil before the first epoch.
func (s *Snapshot) Positions() []uint64 {
	var positions []uint64
	for _, c := range s.use().Counters() {
		positions = append(positions, c.In)
	}
	return positions
}

// Records returns the sum of Positions. It allocates nothing.
func (s *Snapshot) Records() uint64 { return s.use().Records() }

// Close ends the use of the snapshot and of its rows. Closing it again does nothing.
func (s *Snapshot) Close() error {
	if s.cut != nil {
		s.cut = nil
		if !s.lent {
			s.branch.cuts.Unpin(s.slot)
		}
	}
	return nil
}

// ErrNoImage says that no snapshot can be made because there is no memory for it. See
// Config.StateBytes.
var ErrNoImage = errors.New("no memory for the images of the partitions")

// Sync returns when a snapshot sees everything that the caller handed to a reader before the call.
// It asks for an epoch and waits for it, so a goroutine can read what it has written. The error
// says that the engine has ended first (ErrEnded), that there was no memory (ErrNoImage), why ctx
// was done, or that Sync was called within a callback of the engine other than Read and would have
// to wait (ErrCallback). After ErrEnded from an engine that was shut down, the final snapshot has
// everything that a Feed has taken. After Close it need not have it.
func (e *Engine) Sync(ctx context.Context) error {
	if e.feeder != nil {
		if err := e.feeder.Sync(ctx); err != nil {
			return err
		}
	}
	number := e.epochs.Want()
	for begin := time.Now(); !e.epochs.Passed(number) && !e.epochs.Ended() && time.Since(begin) < syncSpin; {
		runtime.Gosched()
	}
	if !e.epochs.Passed(number) {
		// The caller is about to sleep. A runner would sleep for good, and so may a callback that
		// makes room for others.
		if err := e.callback(callerRunner, callerOutput, callerReject); err != nil {
			return fmt.Errorf("engine: sync: %w", err)
		}
	}
	if err := e.wait(ctx, number); err != nil {
		return fmt.Errorf("engine: sync: %w", err)
	}
	return nil
}

// syncSpin is how long Sync looks again and again before it sleeps. An epoch usually takes less,
// and being woken takes about as long.
const syncSpin = 100 * time.Microsecond

// wait waits until the epoch with this number or a later one is visible.
func (e *Engine) wait(ctx context.Context, number uint64) error {
	for {
		// next is taken before the look, so that an epoch that finishes after the look is not
		// missed.
		next := e.epochs.Next()
		stopped := e.hasStopped()
		// A cut becomes visible before its epoch has finished, and the last cut becomes visible
		// before the engine has ended. So the check for a cut comes last.
		ended, passed := e.epochs.Ended(), e.epochs.Passed(number)
		switch {
		case e.epochs.HasCut(number):
			return nil
		case passed:
			return ErrNoImage
		case ended, stopped:
			return e.over()
		}
		select {
		case <-next:
		case <-e.stopped:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hasStopped says whether nothing runs any more.
func (e *Engine) hasStopped() bool {
	select {
	case <-e.stopped:
		return true
	default:
		return false
	}
}

// MoveShard gives one of the plan.Shards shards to another partition while records come. The groups
// of the shard move at one of the next epochs, and no snapshot sees anything of it. MoveShard
// returns when they have moved. If the engine has several plans, it moves a shard of Engine.Plan.
// The error says that it cannot be done (see core.Cuts.RequestMove), that the plan or the engine
// has ended, or why ctx was done. In the last case the shard may be moved all the same.
func (e *Engine) MoveShard(ctx context.Context, shard, partition int) error {
	return e.moveShard(ctx, e.branches()[0], shard, partition)
}

// MoveShardOf is MoveShard for one of several plans. Each plan has owners of its own for its
// shards, and shards of several plans may be moved at the same time.
func (e *Engine) MoveShardOf(ctx context.Context, p *plan.Plan, shard, partition int) error {
	for _, b := range e.branches() {
		if b.cfg.Plan == p {
			return e.moveShard(ctx, b, shard, partition)
		}
	}
	return fmt.Errorf("engine: moving shard %d: the engine does not run the plan %v", shard, p)
}

func (e *Engine) moveShard(ctx context.Context, b *branch, shard, partition int) error {
	if partition < 0 || partition >= len(b.partitions) {
		return fmt.Errorf("engine: no partition %d, there are %d", partition, len(b.partitions))
	}
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: moving shard %d: %w", shard, err)
	}
	return e.moveShards(ctx, b, partition, shard)
}

// moveShards moves shards of one partition of a plan to another and returns when they have moved.
func (e *Engine) moveShards(ctx context.Context, b *branch, to int, shards ...int) error {
	m, err := b.cuts.RequestMove(plan.PartitionID(to), shards...)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	for !m.Done() {
		if err := e.wait(ctx, e.epochs.Want()); err != nil && !errors.Is(err, ErrNoImage) {
			return fmt.Errorf("engine: moving shard %d: %w", shards[0], err)
		}
		switch {
		case m.Done():
		case isDone(b.removed):
			return fmt.Errorf("engine: moving shard %d: the plan%s was removed", shards[0], b.ofPlan())
		case e.epochs.Ended():
			return fmt.Errorf("engine: moving shard %d: %w", shards[0], e.over())
		}
	}
	switch {
	case b.failure() != nil:
		return fmt.Errorf("engine: moving shard %d: %w", shards[0], b.failure())
	case b.ended.Load() && !b.alone():
		return fmt.Errorf("engine: moving shard %d: the plan%s has ended, or was removed", shards[0], b.ofPlan())
	}
	return nil
}

// Updates yields a snapshot for each new epoch until ctx is done or the engine has ended. If the
// engine has ended, the last snapshot is the final one. A snapshot is valid only in the loop body.
// A slow loop sees the newest snapshot and misses some.
func (e *Engine) Updates(ctx context.Context) iter.Seq[*Snapshot] {
	return func(yield func(*Snapshot) bool) {
		for next := uint64(1); ; {
			if err := e.wait(ctx, next); errors.Is(err, ErrNoImage) {
				next++
				continue
			} else if err != nil {
				return
			}
			s := e.Snapshot()
			last, isNew := e.epochs.IsLast(s.slot), s.Epoch() >= next
			next = max(next, e.epochs.Number(s.slot)+1)
			more := !isNew || yield(s)
			if s.Close(); last || !more {
				return
			}
		}
	}
}
