package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/internal/rowbytes"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// # The outbox
//
// Windows by event time are told apart by their ends, so a writer that has stored the end of the
// last one knows what it lacks. Nothing tells apart what else there is: changes, records that pass
// through, windows into which a record need not come again that is read again. If the writer of
// such a plan is a record.Transactional, it gets nothing at once. The rows between two generations
// are part of the second one. When that is durable, the writer gets them in one transaction, which
// carries the number of the generation:
//
//	output                            keeper                              writer
//	puts rows of cuts up to E
//	into the outbox (alignment)  ---> writes the groups of cut E and
//	                                  the rows up to E
//	                                  renames the manifest of
//	                                  generation N
//	                                  gives the rows to the writer -----> rows and N, or neither
//	                                  forgets the rows
//
// After a crash the writer says which number it has. If it has N, it lacks nothing. If it has the
// one before N, it gets the rows of N, which lie in the generation. The next generation is not made
// before the writer has N. So a state and its writer are never further apart than what the kept
// generations have, unless one of them was put back by hand; then nothing is guessed.
//
// The outbox holds MaxOutboxBytes and the rows of one cut. If it is full, the keeper has a cut made
// and a generation ahead of its time, and until the writer has those rows nothing more is taken, so
// the readers wait in the end. Between two such generations there is a gap (earlyGap).

// MaxOutboxBytes is how many bytes of results wait for a generation before one is made ahead of its
// time.
const MaxOutboxBytes = 64 << 20

// ErrOutput says that the state and its writer do not fit together: one of them was put back, or
// used without the other.
var ErrOutput = errors.New("the state and what its writer has do not fit together")

// outbox has the rows that the writer has not got.
type outbox struct {
	to     record.Transactional
	schema *record.Schema
	most   int
	// sent is the number of the last transaction that the writer has. Only the keeper uses it.
	sent uint64
	// completed says that the writer knows that the input has come to its end. Only the keeper uses
	// it.
	completed bool
	// skip says that the rows before the next generation are left out: State.SkipOutputTo, and
	// SkipOutputs.
	skip bool
	// failed is why the writer has not taken the rows of the newest generation. No other generation
	// is made then, because it would not have those rows. Only the keeper uses it.
	failed error

	mu      sync.Mutex // guards parcels and bytes, off the data path
	parcels []parcel
	bytes   int
	// changed tells the output that it may look again whether there is room.
	changed chan struct{}
}

// aligned says whether the output is saved together with the cut that it has just written: what
// comes after a restart follows what was written before.
func (o *output) aligned() bool {
	p := o.branch.cfg.Plan
	return p.Emit == plan.EmitChanges || p.PassesThrough() || o.box != nil
}

// openOutbox has the output keep its rows for transactions, if its plan needs that and its writer
// can do it. most is the number of bytes from which on it is full.
func (o *output) openOutbox(most int) error {
	to, ok := o.writer.(record.Transactional)
	p := o.branch.cfg.Plan
	if !ok || !p.NeedsTransactions() {
		return nil
	}
	schema, err := p.Written()
	if err != nil {
		return err
	}
	o.box = &outbox{to: to, schema: schema, most: most, changed: make(chan struct{}, 1)}
	return nil
}

// put adds rows that are in the cuts from an epoch on.
func (x *outbox) put(epoch uint64, b *record.Batch) {
	bytes := rowbytes.Append(nil, b)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parcels = append(x.parcels, parcel{epoch, b.Len(), bytes})
	x.bytes += len(bytes)
}

// full says whether no more rows should be added before the next generation.
func (x *outbox) full() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes >= x.most
}

// upTo returns the rows that are in the cut of an epoch.
func (x *outbox) upTo(epoch uint64) (parcels []parcel, rows int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.parcels {
		if p.epoch <= epoch {
			parcels = append(parcels, p)
			rows += p.rows
		}
	}
	return parcels, rows
}

// forget removes the rows that are in the cut of an epoch.
func (x *outbox) forget(epoch uint64) {
	x.mu.Lock()
	x.parcels = slices.DeleteFunc(x.parcels, func(p parcel) bool { return p.epoch <= epoch })
	x.bytes = 0
	for _, p := range x.parcels {
		x.bytes += len(p.bytes)
	}
	x.mu.Unlock()
	x.notify()
}

// notify has the output look again.
func (x *outbox) notify() {
	if x == nil {
		return
	}
	select {
	case x.changed <- struct{}{}:
	default: // one is enough
	}
}

// columns describes the rows, so that rows of another query are refused.
func (x *outbox) columns() (columns []string) {
	for i := range x.schema.Len() {
		columns = append(columns, describe(x.schema.Field(i)))
	}
	return columns
}

// hasten has a generation made ahead of its time if the outbox is full. The next cut may be far
// off, because epochs are not raised while no records come.
func (o *output) hasten() {
	if o.box == nil || !o.box.full() {
		return
	}
	select {
	case o.engine.keeper.early <- struct{}{}:
	default: // it is coming
	}
}

// awaitRoom waits while the outbox is full and the keeper wants no cut. It has a generation made
// ahead of its time.
func (o *output) awaitRoom() error {
	k := o.engine.keeper
	for o.box != nil && o.box.full() && k.alignment.target.Load() == 0 {
		o.hasten()
		select {
		case <-o.box.changed:
		case <-o.branch.removed:
			return nil
		case <-o.ctx.Done():
			return o.ctx.Err()
		}
	}
	return nil
}

// flush has the last rows saved, and given to the writer.
func (o *output) flush() error {
	if o.box == nil || !o.engine.epochs.Ended() {
		return nil
	}
	k := o.engine.keeper
	done := make(chan error, 1)
	select {
	case k.requests <- saveRequest{done, false}:
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("the last results are not written, they come after a restart: %w", err)
		}
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// save puts the rows up to an epoch into the plan of a generation. It returns them. finished says
// that the input has come to its end.
func (x *outbox) save(w *state.Writing, p *state.Plan, epoch uint64, finished bool) (parcels []parcel, err error) {
	if x.failed != nil {
		return nil, x.failed
	}
	parcels, rows := x.upTo(epoch)
	if x.skip {
		parcels, rows = nil, 0
	}
	p.Outbox = &state.Outbox{
		After: x.sent, Number: x.sent, Complete: finished, Rows: int64(rows), Columns: x.columns(),
	}
	if rows > 0 || finished && !x.completed {
		p.Outbox.Number = w.Number()
	}
	p.Outbox.Batches, err = w.Part(false, piecesOf(parcels))
	return parcels, err
}

// boxes are the outputs that keep their rows for transactions.
func (k *keeper) boxes() (outs []*output) {
	for _, b := range k.engine.branches() {
		if b.output != nil && b.output.box != nil {
			outs = append(outs, b.output)
		}
	}
	return outs
}

// send gives the writer the rows of a generation that is durable, which are in the plan of it.
func (o *output) send(epoch uint64, p *state.Plan, parcels []parcel) error {
	x, e := o.box, o.engine
	x.skip = false
	x.forget(epoch)
	if p.Outbox.Number == x.sent {
		return nil
	}
	commit := func(call func() error) error {
		return o.retry(&o.keeping, "Commit", func() error { return o.apart("Commit", o.ctx.Done(), call) })
	}
	if err := x.commit(o.ctx, p.Outbox, parcels, commit); err != nil {
		err = fmt.Errorf("engine: writer%s: transaction %d: %w", o.branch.ofPlan(), p.Outbox.Number, err)
		x.failed = err
		// A plan that RemovePlan waits for no longer takes nobody along.
		if !o.branch.leaving.Load() && !(e.closing.Load() && errors.Is(err, context.Canceled)) {
			e.fail(err)
		}
		return err
	}
	return nil
}

// commit has the writer take a transaction. retry makes the call, contains it, and tries again.
func (x *outbox) commit(ctx context.Context, o *state.Outbox, parcels []parcel, retry func(func() error) error) error {
	var unreadable error
	if o.Complete && len(parcels) == 0 {
		parcels = []parcel{{bytes: rowbytes.Append(nil, record.NewBatch(x.schema, 1))}} // it says the columns
	}
	rows := batchesOf(x.schema, parcels, func(err error) { unreadable = err })
	err := retry(func() error {
		unreadable = nil
		err := x.to.Commit(ctx, o.Number, rows, o.Complete)
		return errors.Join(err, unreadable)
	})
	if err == nil {
		x.sent, x.completed = o.Number, o.Complete
	}
	return err
}

// recoverOutbox finds out which transactions the writer has, and gives it those that it lacks. m is
// the generation to go on from, and saved the plan in it; both are nil if there is none. A plan
// that begins without history in a state lacks nothing.
func (k *keeper) recoverOutbox(o *output, m *state.Manifest, saved *state.Plan) error {
	x := o.box
	found := make(chan uint64, 1) // not a variable, because a call may return later
	err := o.goOn("RecoverOutput", func() error {
		sent, err := x.to.RecoverOutput(o.ctx, k.folder.Job)
		found <- sent
		return err
	})
	if err != nil {
		return err
	}
	x.sent = <-found
	k.folder.After(x.sent) // numbers increase
	if m != nil && saved == nil {
		return nil
	}
	box := &state.Outbox{}
	if saved != nil && saved.Outbox != nil {
		box = saved.Outbox
	}
	switch {
	case x.sent == box.Number:
		x.completed = box.Complete
		return nil
	case x.sent > box.Number:
		return k.sinkAhead(o, box)
	}
	return k.resend(o, m, saved)
}

// undelivered refuses a plan whose rows may not have been written, if nobody knows now.
func (k *keeper) undelivered(generation uint64, saved *state.Plan, why string) error {
	box := saved.Outbox
	if box == nil || box.Number == box.After || k.repeats(saved.Name) || k.skips(saved.Name, box.Number) {
		return nil
	}
	return fmt.Errorf("%w: generation %d has %d rows for a writer with transactions, and %s, so nobody knows whether "+
		"it has them: go on with the plan and the writer of before, or leave them out (skip the output of %s to %d)",
		ErrOutput, generation, box.Rows, why, saved.Name, box.Number)
}

// repeats says whether the rows of a plan are to be written once more.
func (k *keeper) repeats(plan string) bool {
	return slices.Contains(k.state.RepeatOutputs, plan) || k.state.RepeatOutput
}

// skips says whether the transactions of a plan up to a number are to be left as they are.
func (k *keeper) skips(plan string, number uint64) bool {
	to, ok := k.state.SkipOutputs[plan]
	if !ok {
		to = k.state.SkipOutputTo
	}
	return number > 0 && to == number
}

// sinkAhead is for a writer that has more than the state.
func (k *keeper) sinkAhead(o *output, saved *state.Outbox) error {
	x, plan := o.box, nameOf(o.branch.cfg.Plan)
	switch {
	case k.repeats(plan):
	case k.skips(plan, x.sent):
		x.skip = true
	default:
		return fmt.Errorf("%w: the writer has transactions up to %d, and the state goes on after %d: put back the "+
			"state that belongs to them, or have the rows since %d written once more (repeat the output), or leave "+
			"out those up to the next generation, of which some were not written (skip the output to %d)",
			ErrOutput, x.sent, saved.Number, saved.Number, x.sent)
	}
	return nil
}

// A lack is a transaction that a writer lacks, in the generation that has it.
type lack struct {
	*state.Outbox
	generation uint64
}

// lacking are the transactions between the one that the writer has and the one of the plan, as far
// as the kept generations have them, the newest first. need is the number that the writer must have
// to go on with the last of them.
func (k *keeper) lacking(x *outbox, saved *state.Plan) (all []lack, need uint64) {
	need = saved.Outbox.Number
	for _, old := range slices.Backward(k.folder.Generations()) {
		p := k.planIn(old, saved)
		if p == nil || p.Outbox == nil || p.Outbox.Number != need || p.Outbox.Number == p.Outbox.After {
			continue
		}
		all = append(all, lack{p.Outbox, old.Generation})
		need = p.Outbox.After
		if need == x.sent {
			break
		}
	}
	return all, need
}

// resend gives the writer the transactions that it lacks, which the kept generations have.
func (k *keeper) resend(o *output, m *state.Manifest, saved *state.Plan) error {
	x := o.box
	all, need := k.lacking(x, saved)
	if need > x.sent {
		if !k.skips(nameOf(o.branch.cfg.Plan), need) {
			return fmt.Errorf("%w: the writer has transactions up to %d, and those up to %d are nowhere else: put "+
				"back what it had, or go on without them (skip the output to %d)", ErrOutput, x.sent, need, need)
		}
	} else if need < x.sent { // an earlier transaction than the oldest that is kept begins with
		return fmt.Errorf("%w: the writer has transaction %d, which this state has not made", ErrOutput, x.sent)
	}
	reading := k.folder.Read(m)
	defer reading.Close()
	for _, l := range slices.Backward(all) {
		if !slices.Equal(l.Columns, x.columns()) {
			return fmt.Errorf("%w: generation %d has %d rows that were not written, with the columns %q; the query "+
				"has %q: start once with the query of before", ErrOtherPlan, l.generation, l.Rows, l.Columns,
				x.columns())
		}
		bytes, err := reading.All(&l.Batches)
		if err != nil {
			return err
		}
		parcels, err := parcelsOf(bytes)
		if err == nil {
			err = x.commit(o.ctx, l.Outbox, parcels, func(call func() error) error {
				call = contained("Commit", call)
				return o.retry(&o.keeping, "Commit", call)
			})
		}
		if err != nil {
			return fmt.Errorf("writer: transaction %d: %w", l.Number, err)
		}
	}
	return nil
}

// writePassedAligned writes the records that pass through, so that they can be saved together with
// a cut: when the keeper is about to save one, the records that are in it are written, and it is
// told so.
func (o *output) writePassedAligned() error {
	cuts := o.branch.cuts
	for {
		// As in passed: if the epochs have ended now, the outlets have everything.
		next, ended, removed := cuts.Next(), cuts.Ended(), isDone(o.branch.removed)
		if err := o.awaitRoom(); err != nil {
			return err
		}
		// Partitions give everything away before they answer an epoch, so the outlets have all
		// records of a cut that can be seen.
		most, stop := o.bounds()
		if ended || removed {
			most = math.MaxUint64 // nothing comes any more that a later cut could have
		}
		some, err := o.drain(most)
		switch {
		case err != nil:
			return err
		case some:
			continue
		case stop > 0:
			o.wrote(stop)
			continue
		case ended || removed:
			return nil
		}
		o.batchReady.announce()
		if now, wanted := o.bounds(); now == most && wanted == 0 && !o.anyGiven(most) {
			select {
			case <-o.batchReady.c:
			case <-next:
			case <-o.branch.removed:
			case <-o.engine.stopped:
				if !cuts.Ended() {
					return nil
				}
			case <-o.ctx.Done():
				return o.ctx.Err()
			}
		}
		o.batchReady.over()
	}
}

// drain writes the batches that are in the outlets and in the cut of an epoch.
func (o *output) drain(epoch uint64) (some bool, err error) {
	for _, out := range o.outlets {
		wrote, err := out.write(epoch, func(b *core.Passed) error {
			o.epoch = b.Epoch
			o.rows.Add(uint64(b.Batch.Len()))
			return o.batch(b.Batch)
		})
		if err != nil {
			return false, err
		}
		some = some || wrote
	}
	return some, nil
}
