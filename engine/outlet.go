package engine

import (
	"math"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// outletBatches is how many batches a partition and the writer have between them. One is being
// written and one is being filled; the others even out short differences in speed.
const outletBatches = 4

// An outlet carries the records of one partition to the writer, and the empty batches back. It is
// for a plan that passes records through.
type outlet struct {
	giveIn, freeIn   *ring.Producer[*core.Passed]
	giveOut, freeOut *ring.Consumer[*core.Passed]
	writer           wakeup
	bell             *bell // the bell of the partition's runner
}

func newOutlet(p *plan.Plan, writer wakeup, partition *bell) (*outlet, error) {
	o := &outlet{writer: writer, bell: partition}
	// Neither ring is ever full: each has as many slots as there are batches.
	o.giveIn, o.giveOut = ring.New[*core.Passed](outletBatches)
	o.freeIn, o.freeOut = ring.New[*core.Passed](outletBatches)
	for range outletBatches {
		b, err := core.NewPassed(p)
		if err != nil {
			return nil, err
		}
		o.freeIn.PushN([]*core.Passed{b})
	}
	return o, nil
}

// Take returns a batch that is not in use, or nil. The partition's runner calls it.
func (o *outlet) Take() *core.Passed {
	var b [1]*core.Passed
	o.freeOut.PopN(b[:])
	return b[0]
}

// Give hands a batch to the writer. The partition's runner calls it.
func (o *outlet) Give(b *core.Passed) {
	o.giveIn.PushN([]*core.Passed{b})
	o.writer.wake()
}

// has says whether there is a batch that is in the cut of an epoch. The writer's goroutine calls
// it.
func (o *outlet) has(epoch uint64) bool {
	next := o.giveOut.Peek(1)
	return len(next) > 0 && next[0].Epoch <= epoch
}

// write writes one batch, if there is one that is in the cut of an epoch. The writer's goroutine
// calls it.
func (o *outlet) write(epoch uint64, do func(*core.Passed) error) (some bool, err error) {
	var b [1]*core.Passed
	if !o.has(epoch) || o.giveOut.PopN(b[:]) == 0 {
		return false, nil
	}
	err = do(b[0])
	o.freeIn.PushN(b[:])
	o.bell.Wake()
	return true, err
}

// writePassed writes the records that pass through as they come, until everything has been written
// or the engine has ended without a last epoch. When the limit of the plan has been reached, the
// readers are stopped. If the plan has an order, the records are kept instead and written at the
// end.
func (o *output) writePassed() error {
	if o.engine.keeper != nil {
		return o.writePassedAligned()
	}
	if len(o.branch.cfg.Plan.OrderBy) > 0 {
		sorter, err := result.NewSorter(o.branch.cfg.Plan, o.branch.cfg.StateBytes)
		if err != nil {
			return err
		}
		if n := o.branch.cfg.Plan.Limit; n != nil && *n == 0 {
			o.branch.end()
		}
		complete, err := o.passed(sorter.Add)
		if err != nil || !complete {
			return err
		}
		return o.batches(sorter.Batches(record.DefaultRows))
	}
	limit := o.branch.cfg.Plan.Limit
	left := uint64(0)
	if limit != nil {
		left = *limit
	}
	if limit != nil && left == 0 {
		o.branch.end()
	}
	_, err := o.passed(func(b *record.Batch) error {
		if limit != nil {
			b.SetLen(int(min(uint64(b.Len()), left)))
			left -= uint64(b.Len())
			if left == 0 {
				o.branch.end()
			}
		}
		if b.Len() == 0 {
			return nil
		}
		o.rows.Add(uint64(b.Len()))
		return o.batch(b)
	})
	return err
}

// passed calls do for everything that passes through. complete says whether that was everything; it
// is false if the engine has ended without a last epoch.
func (o *output) passed(do func(*record.Batch) error) (complete bool, err error) {
	e := o.engine
	for {
		// Partitions give everything away before they answer the last epoch. So if the epochs have
		// ended now, the outlets have everything.
		next := o.branch.cuts.Next()
		ended, removed := o.branch.cuts.Ended(), isDone(o.branch.removed)
		some := false
		for _, out := range o.outlets {
			wrote, err := out.write(math.MaxUint64, func(b *core.Passed) error { return do(b.Batch) })
			if err != nil {
				return false, err
			}
			some = some || wrote
		}
		if some {
			continue
		}
		if ended || removed {
			return ended && !removed, nil
		}
		o.batchReady.announce()
		if !o.anyGiven(math.MaxUint64) {
			select {
			case <-o.batchReady.c:
			case <-next:
			case <-o.branch.removed:
			case <-e.stopped:
				if !o.branch.cuts.Ended() {
					return false, nil
				}
			case <-o.ctx.Done():
				return false, o.ctx.Err()
			}
		}
		o.batchReady.over()
	}
}

// anyGiven says whether an outlet has a batch that is in the cut of an epoch.
func (o *output) anyGiven(epoch uint64) bool {
	for _, out := range o.outlets {
		if out.has(epoch) {
			return true
		}
	}
	return false
}
