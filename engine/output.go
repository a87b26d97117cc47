package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// An output is the goroutine that has results written. It reads snapshots as every reader of
// snapshots does. The partitions only have to keep the windows that have not been written (see
// core.Cuts.Written); that is also the back-pressure.
type output struct {
	engine *Engine
	branch *branch
	writer record.Writer
	ctx    context.Context // of Write; done when the engine is closed or RemovePlan waits no more
	cancel context.CancelFunc
	// Save gets saveCtx. It is called after the output has ended, too.
	saveCtx    context.Context
	cancelSave context.CancelFunc
	finished   chan struct{}
	window     *record.Batch // holds the result of a window; all windows use it in turn

	// These fields are for a plan that passes records through.
	outlets    []*outlet // by the number of the partition
	batchReady wakeup    // rung when an outlet has a batch

	// box has the rows until the writer gets them in a transaction; it is nil if the writer gets
	// them at once. epoch is the first epoch whose cut has the rows that are being written.
	box   *outbox
	epoch uint64
	// written is the epoch up to which everything has been written, or put into the box, if the
	// output is aligned. reached has a value when that is the cut that the keeper is about to save.
	written uint64
	reached chan struct{}
	// through is closed when everything has been written, or put into the box, or nothing more will
	// be.
	through chan struct{}

	// from is the end of the last window that was written before a restart.
	from int64
	// changes are what was written before a restart; nil if there was none.
	changes *result.Changes
	// whole is set when everything has been written, before through is closed. It is false again if
	// the writer could not be given what was in the box, before finished is closed.
	whole atomic.Bool
	// cut is set before finished is closed if Close has ended the writing.
	cut atomic.Bool

	// writing is the call of the writer that the output is in, and keeping the one of the keeper.
	writing, keeping writerCall
	called           sync.Mutex // the keeper holds it while it is in a call, and the output for Close
	// left says that a call of the keeper has not returned after its context was done. The keeper
	// stores it while it holds called.
	left atomic.Bool

	// These counters are for Stats; they order nothing.
	rows, windows, retries, unfit atomic.Uint64
}

// writtenEvery is the longest time between two notices to the partitions that say which windows
// have been written.
const writtenEvery = time.Millisecond

func newOutput(b *branch) *output {
	o := &output{
		engine: b.engine, branch: b, writer: b.cfg.Writer, finished: make(chan struct{}), batchReady: newWakeup(),
		through: make(chan struct{}), reached: make(chan struct{}, 1),
		from: math.MinInt64,
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	o.saveCtx, o.cancelSave = context.WithCancel(context.Background())
	if b.cfg.Plan.Window != nil {
		b.cuts.KeepWindows()
	}
	return o
}

// run writes until the last snapshot has been written, or the engine has ended without one.
func (o *output) run() {
	defer close(o.finished)
	defer o.cancel()
	gone := func(err error) { o.branch.fail(fmt.Errorf("engine: writer: %w", err)) }
	// This is the last call of user code. It also runs while the goroutine ends because Write has
	// called runtime.Goexit.
	defer func() {
		if err := contain("Close", o.closeWriter, gone); err != nil {
			o.engine.report(fmt.Errorf("engine: writer%s: close: %w", o.branch.ofPlan(), err))
		}
	}()
	write := o.write
	if o.branch.cfg.Plan.PassesThrough() {
		write = o.writePassed
	}
	err := o.writeAll(write, gone)
	o.cut.Store(err != nil && o.engine.closing.Load())
	if err != nil && !(o.ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		o.branch.fail(fmt.Errorf("engine: writer: %w", err))
	}
}

// writeAll writes, and has what is in the box given to the writer at the end.
func (o *output) writeAll(write func() error, gone func(error)) (err error) {
	func() {
		defer close(o.through)
		err = contain("Write", write, gone)
		o.whole.Store(err == nil && o.branch.cuts.Ended())
	}()
	if err == nil {
		err = o.flush()
		o.whole.Store(err == nil && o.branch.cuts.Ended())
	}
	return err
}

// write writes what each new snapshot has closed.
func (o *output) write() error {
	e := o.engine
	written := o.from
	changes := o.changes
	if o.branch.cfg.Plan.Emit == plan.EmitChanges && changes == nil {
		var err error
		changes, err = result.NewChanges(o.branch.cfg.Plan)
		if err != nil {
			return err
		}
	}
	for next := uint64(1); ; {
		// If the engine ends without a last snapshot, there is nothing more to write.
		if err := e.wait(context.Background(), next); errors.Is(err, ErrNoImage) {
			next++
			continue
		} else if err != nil {
			return nil
		}
		if err := o.awaitRoom(); err != nil {
			return err
		}
		cut, slot := o.choose()
		if isDone(o.branch.removed) { // the cut may be one that does not have the plan
			o.branch.cuts.Unpin(slot)
			cut = o.branch.last.cut
			if cut == nil || cut.Epoch() < next || o.branch.failure() != nil {
				return nil
			}
			return o.writeOne(cut, false, changes, &written)
		}
		o.epoch = cut.Epoch()
		if o.branch.failure() != nil { // some partitions may show less than others
			o.branch.cuts.Unpin(slot)
			return nil
		}
		last := o.branch.cuts.IsLast(slot)
		o.check(cut.Epoch() >= next, "an epoch that has passed is in the cut that is written")
		err := o.writeOne(cut, last, changes, &written)
		next = max(next, cut.Epoch()) + 1
		if err == nil {
			o.wrote(cut.Epoch())
			o.hasten()
		}
		o.branch.cuts.Unpin(slot)
		if err != nil || last {
			return err
		}
	}
}

// writeOne writes what a cut has that has not been written.
func (o *output) writeOne(cut *result.Cut, last bool, changes *result.Changes, written *int64) error {
	if changes != nil {
		return o.writeChanges(changes, cut)
	}
	return o.writeCut(cut, last, written)
}

// check panics if an invariant of what is written does not hold, if invariants are on.
func (o *output) check(ok bool, formula string) {
	if invariants.Enabled && !ok {
		panic("engine: output: it does not hold that " + formula)
	}
}

// writeCut writes the windows that a cut has closed and that have not been written. If the plan has
// no windows it writes all of the last cut.
func (o *output) writeCut(cut *result.Cut, last bool, written *int64) (err error) {
	if o.branch.cfg.Plan.Window == nil {
		if !last || !o.engine.complete() {
			return nil
		}
		return o.batches(cut.Batches(record.DefaultRows))
	}
	if o.window == nil {
		schema, err := o.branch.cfg.Plan.Result()
		if err != nil {
			return err
		}
		o.window = record.NewBatch(schema, record.DefaultRows)
	}
	said, at := *written, time.Now()
	say := func() { // wakes all runners, so it is not called for each of many small windows
		if said != *written {
			said, at = *written, time.Now()
			o.branch.cuts.Written(said)
		}
	}
	defer say()
	if last && o.engine.complete() {
		defer func() {
			if err == nil {
				err = o.endWindow(math.MaxInt64) // nothing comes any more
			}
		}()
	}
	for _, end := range cut.Windows(*written) {
		o.check(end > *written, "windows are written in the order of their ends, and once")
		if err := o.batches(cut.WindowBatches(end, o.window)); err != nil {
			return err
		}
		if err := o.endWindow(end); err != nil {
			return err
		}
		*written = end
		o.windows.Add(1)
		if time.Since(at) > writtenEvery {
			say()
		}
	}
	return nil
}

// writeChanges writes the groups that have changed since the last cut that was written.
func (o *output) writeChanges(changes *result.Changes, cut *result.Cut) error {
	if err := o.batches(changes.Batches(cut, record.DefaultRows)); err != nil {
		return err
	}
	if end, ok := cut.Closed(); ok {
		o.branch.cuts.Written(end) // closed windows do not change any more
	}
	return nil
}

// resume has the output go on after the cut that a restored engine begins with: the changes in it
// were written before it was saved.
func (o *output) resume() (err error) {
	if o.branch.cfg.Plan.Emit != plan.EmitChanges {
		return nil
	}
	o.changes, err = result.NewChanges(o.branch.cfg.Plan)
	if err != nil {
		return err
	}
	cut, slot := o.branch.cuts.Pin()
	defer o.branch.cuts.Unpin(slot)
	o.changes.Resume(cut, o.box == nil)
	return nil
}

func (o *output) batches(all iter.Seq[*record.Batch]) error {
	for b := range all {
		panicked := o.branch.panicked()
		if panicked != nil { // the batch may have NULL where it should have a value
			return panicked
		}
		if err := o.batch(b); err != nil {
			return err
		}
		o.rows.Add(uint64(b.Len()))
		o.unfit.Add(uint64(b.Unfit()))
	}
	return nil
}

// batch writes one batch.
func (o *output) batch(b *record.Batch) error {
	if o.box != nil {
		o.box.put(o.epoch, b)
		return nil
	}
	return o.retry(&o.writing, "Write", func() error { return o.writer.Write(o.ctx, b) })
}

// endWindow tells a writer that wants to know it that a window has been written.
func (o *output) endWindow(end int64) error {
	c := o.committer()
	if c == nil {
		return nil
	}
	return o.retry(&o.writing, "EndWindow", func() error { return c.EndWindow(o.ctx, end) })
}

// committer is the writer if it goes on after a restart together with the engine; otherwise it is
// nil.
func (o *output) committer() record.Committer {
	p := o.branch.cfg.Plan
	if o.engine.keeper == nil || p.Window == nil || p.Emit == plan.EmitChanges || o.box != nil {
		return nil
	}
	c, _ := o.writer.(record.Committer)
	return c
}

// retry calls the writer, and tries again as long as the error is transient. Meanwhile at has the
// call.
func (o *output) retry(at *writerCall, name string, call func() error) error {
	c := &o.engine.cfg
	at.start(name)
	defer func() { at.end(o.patience()) }()
	for delay := c.RetryMin; ; delay = min(2*delay, c.RetryMax) {
		err := call()
		if err == nil || !errors.Is(err, record.ErrTransient) {
			return err
		}
		o.retries.Add(1)
		at.again(err)
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-o.ctx.Done():
			t.Stop()
			return errors.Join(err, o.ctx.Err())
		}
	}
}
