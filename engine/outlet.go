package engine

import (
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// outletBatches is how many batches a partition and the writer have between them: one is being written, one filled, the others even out who is slower for a while.
const outletBatches = 4

// An outlet carries the records of one partition to the writer, of a plan that passes them through, and the empty batches back: an output ring.
type outlet struct {
	giveIn, freeIn   *ring.Producer[*core.Passed]
	giveOut, freeOut *ring.Consumer[*core.Passed]
	writer           wakeup
	bell             *bell // of the partition's runner
}

func newOutlet(plan *core.Plan, writer wakeup, partition *bell) (*outlet, error) {
	o := &outlet{writer: writer, bell: partition}
	o.giveIn, o.giveOut = ring.New[*core.Passed](outletBatches) // neither is ever full: there are as many slots as batches
	o.freeIn, o.freeOut = ring.New[*core.Passed](outletBatches)
	for range outletBatches {
		b, err := core.NewPassed(plan)
		if err != nil {
			return nil, err
		}
		o.freeIn.PushN([]*core.Passed{b})
	}
	return o, nil
}

// Take is a batch that nobody uses. The partition's runner calls it.
func (o *outlet) Take() *core.Passed {
	var b [1]*core.Passed
	o.freeOut.PopN(b[:])
	return b[0]
}

// Give hands a batch to the writer. The partition's runner calls it.
func (o *outlet) Give(b *core.Passed) {
	o.giveIn.PushN([]*core.Passed{b})
	o.writer.ring()
}

// write writes a batch that is there. The writer's goroutine calls it.
func (o *outlet) write(do func(*record.Batch) error) (some bool, err error) {
	var b [1]*core.Passed
	if o.giveOut.PopN(b[:]) == 0 {
		return false, nil
	}
	err = do(b[0].Batch)
	o.freeIn.PushN(b[:])
	o.bell.Ring()
	return true, err
}

// writePassed writes the records that pass through, as they come, until everything has been written or the engine has ended without a last epoch. When the plan's limit has been
// reached the readers are stopped. If the plan has an order they are kept instead, and written at the end.
func (o *output) writePassed() error {
	e := o.engine
	if len(e.cfg.Plan.OrderBy) > 0 {
		sorter, err := core.NewSorter(e.cfg.Plan, e.cfg.StateBytes)
		if err != nil {
			return err
		}
		if n := e.cfg.Plan.Limit; n != nil && *n == 0 {
			e.stopReaders()
		}
		complete, err := o.passed(sorter.Add)
		if err != nil || !complete {
			return err
		}
		return o.batches(sorter.Batches(record.DefaultRows))
	}
	limit := e.cfg.Plan.Limit
	left := uint64(0)
	if limit != nil {
		left = *limit
	}
	if limit != nil && left == 0 {
		e.stopReaders()
	}
	_, err := o.passed(func(b *record.Batch) error {
		if limit != nil {
			b.SetLen(int(min(uint64(b.Len()), left)))
			left -= uint64(b.Len())
			if left == 0 {
				e.stopReaders()
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

// passed calls do for all that passes through. It says whether that is everything: not if the engine has ended without a last epoch.
func (o *output) passed(do func(*record.Batch) error) (complete bool, err error) {
	e := o.engine
	for {
		// Partitions give everything away before they answer the last epoch, so what there is behind a look that has found it ended is all.
		next := e.cuts.Next()
		ended := e.cuts.Ended()
		some := false
		for _, out := range o.outlets {
			wrote, err := out.write(do)
			if err != nil {
				return false, err
			}
			some = some || wrote
		}
		if some {
			continue
		}
		if ended {
			return true, nil
		}
		o.given.announce()
		if !o.anyGiven() {
			select {
			case <-o.given.c:
			case <-next:
			case <-e.stopped:
				if !e.cuts.Ended() {
					return false, nil
				}
			case <-o.ctx.Done():
				return false, o.ctx.Err()
			}
		}
		o.given.over()
	}
}

func (o *output) anyGiven() bool {
	for _, out := range o.outlets {
		if !out.giveOut.Empty() {
			return true
		}
	}
	return false
}
