package velocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// flow is one query that runs: one of velo query, or one of a job.
type flow struct {
	*ingest
	// number is the number of the query in its ingest.
	number int
	name   string
	plan   *plan.Plan
	sink   *query.Sink // nil if the result is printed
	writer record.Writer
	kept   *kept // wraps writer for the engine

	// atEnd says that the result is read from the last snapshot, whatever that has.
	atEnd bool
	hints hints
	// view says that the groups are read while the query runs, and that nothing is written.
	view bool

	// written is the plan whose rows are written. It is plan, or the one over it: see overCut. Then
	// over makes a plan over the rows of plan, which may take overBytes of memory.
	written   *plan.Plan
	over      func() (*plan.Plan, error)
	overBytes int
}

// hints are what the user can do about records that are lost, in the words of the command.
type hints struct{ late, open string }

// writerFor is the writer that the engine gets; it is nil if the result is read at the end.
func (f *flow) writerFor() record.Writer {
	if f.atEnd || f.view {
		return nil
	}
	if to, ok := f.writer.(record.Transactional); ok && f.transacts() {
		return &transacted{f.kept, to}
	}
	if to, ok := f.writer.(record.Committer); ok && f.commits() {
		return &committed{f.kept, to}
	}
	return f.kept
}

// transacts says whether the rows of the query are written exactly once by transactions, if the
// sink can do that.
func (f *flow) transacts() bool { return f.state != nil && f.plan.NeedsTransactions() }

// commits says whether the windows of the query are written exactly once, if the sink can do that.
func (f *flow) commits() bool {
	return f.state != nil && !f.atEnd && f.plan.Emit != plan.EmitChanges
}

// finish writes what has to be written at the end, and completes it.
func (f *flow) finish(failed error) error {
	if failed == nil && f.goesOn() {
		return f.leave()
	}
	if failed == nil && f.atEnd {
		failed = f.writeAll()
	}
	if failed == nil {
		failed = f.begin()
	}
	if file, ok := f.writer.(*writers.File); ok {
		if failed != nil {
			file.Fail(failed)
		}
		return file.Close()
	}
	if to, ok := f.writer.(connect.Aborter); ok && failed != nil {
		to.Abort(failed)
		return errors.Join(failed, to.Close())
	}
	if failed != nil {
		return failed
	}
	return f.writer.Close()
}

// grower is a goroutine that gives an engine the readers that its source finds while it runs.
type grower struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// grow starts it.
func grow(g connect.Grower, eng *engine.Engine, first record.Reader) *grower {
	ctx, cancel := context.WithCancel(context.Background())
	w := &grower{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		g.Grow(ctx, first, func(ctx context.Context, r record.Reader) error {
			_, err := eng.AddReader(ctx, r)
			if errors.Is(err, engine.ErrAdding) {
				return nil // it will be added
			}
			return err
		})
	}()
	return w
}

// stop ends it.
func (w *grower) stop() {
	if w != nil {
		w.cancel()
		<-w.ended
	}
}

// leave leaves what has been written as it is, for the next run to go on with.
func (f *flow) leave() error {
	if f.atEnd {
		abandon(f.writer) // it has nothing
		return nil
	}
	return f.writer.Close()
}

// begin writes the column names of a result that has no rows.
func (f *flow) begin() error {
	file, _ := f.writer.(*writers.File)
	if _, ok := f.writer.(record.Transactional); ok && f.transacts() {
		return nil // the last transaction has them
	}
	if f.kept.begun || file != nil && file.Resumed() {
		return nil
	}
	of := f.plan
	if f.written != nil {
		of = f.written
	}
	schema, err := of.Written()
	if err != nil {
		return err
	}
	err = f.kept.Write(context.Background(), record.NewBatch(schema, 1))
	if err == nil && file != nil && f.commits() {
		err = file.EndWindow(context.Background(), f.kept.ended) // the names belong to the whole windows
	}
	return err
}

// sayLost says what is missing in a result without having been set aside, one line for each reason.
func (f *flow) sayLost(to io.Writer) {
	s := f.stats()
	c := s.Counters()
	line := func(n uint64, what string) {
		if n > 0 {
			note(to, fmt.Sprintf("velo: %s: %d %s", f.name, n, what))
		}
	}
	line(c.Late, "records were late, their windows had closed, and are not in the result; "+f.hints.late)
	line(c.Shed, "records were dropped, there was no memory for their groups; --memory gives more")
	var dropped uint64
	for _, r := range s.Readers {
		dropped += r.Dropped
	}
	line(dropped, "records had been read and are not in the result, because their readers failed")
	line(max(f.kept.unfit, s.Output.Unfit),
		"values of the result are NULL, they do not fit the type of their column or cannot be computed; a sum of "+
			"x::decimal(38, 0) has 38 digits, a sum or an average of x::double precision has no limit")
	line(s.Epochs.NoImage, "results were skipped while the query ran, there was no memory for them; --memory gives more")
	if !f.atEnd && !f.goesOn() && f.plan.Window != nil && f.plan.Emit != plan.EmitChanges {
		snap, end := f.snapshot()
		defer end()
		line(uint64(snap.OpenWindows()), "windows had not closed and are not in the result; "+f.hints.open)
	}
}

// summary says in one line what a query has done.
func (f *flow) summary() string {
	s := f.stats()
	c := s.Counters()
	var b strings.Builder
	fmt.Fprintf(&b, "velo: %s: %d records read, %d groups", f.name, c.In, s.Groups())
	if s.Output.Windows > 0 {
		fmt.Fprintf(&b, ", %d windows written", s.Output.Windows)
	}
	if s.Output.Retries > 0 {
		fmt.Fprintf(&b, ", %d writes tried again", s.Output.Retries)
	}
	if c.Late > 0 {
		fmt.Fprintf(&b, ", %d records late", c.Late)
	}
	if file, ok := f.writer.(*writers.File); ok {
		_, n := file.Whole()
		fmt.Fprintf(&b, ", %d files", n)
	}
	if s.State.Generation > 0 {
		fmt.Fprintf(&b, ", saved as generation %d", s.State.Generation)
	}
	return b.String()
}

// kept is a writer that the engine does not close, because it turns out only later whether what it
// has is complete. It says when it has to wait.
type kept struct {
	record.Writer
	name  string
	say   io.Writer
	said  bool
	begun bool   // something has been written
	unfit uint64 // values that were written as NULL because they did not fit
	ended int64  // the end of the last window that was written, if the writer is committed
}

// Write says once why it has failed: without that, the retries would look like a query that hangs.
func (k *kept) Write(ctx context.Context, b *record.Batch) error {
	err := k.Writer.Write(ctx, b)
	if err == nil {
		k.begun = true
		k.unfit += uint64(b.Unfit())
	}
	k.saysRetry(err)
	return err
}

// saysRetry says once that something is tried again.
func (k *kept) saysRetry(err error) {
	if !k.said && errors.Is(err, record.ErrTransient) {
		k.said = true
		note(k.say, fmt.Sprintf("velo: %s: %v; it is tried again", k.name, err))
	}
}

// Close does nothing.
func (*kept) Close() error { return nil }

// writeAll writes the last snapshot. It repeats what fails with a transient error, as the engine
// does for windows; a second signal ends that.
func (f *flow) writeAll() error {
	if f.over != nil {
		return f.writeOver()
	}
	s, end := f.snapshot()
	defer end()
	for b := range s.Batches(record.DefaultRows) {
		err := f.kept.writeAgain(context.Background(), b)
		if err != nil {
			return err
		}
	}
	return nil
}

// writeAgain writes a batch, and repeats what fails with a transient error.
func (k *kept) writeAgain(ctx context.Context, b *record.Batch) error {
	err := k.Write(ctx, b)
	for delay := engine.DefaultRetryMin; errors.Is(err, record.ErrTransient); delay = min(
		2*delay, engine.DefaultRetryMax) {
		<-time.After(delay)
		err = k.Write(ctx, b)
	}
	return err
}
