package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A plan with From is run by two engines: one runs the plan that From leads to, and its writer
// hands what it writes to the reader of the other, through a pipe. What the user gets is the
// second; the first is its feeder. A window of the first is in the second when it has closed, and
// in the order of the windows.
//
// If the plan reads the results of several plans (FromMore), the feeder has all of these over the
// same readers, and their writers share the pipe.

// pipeBatches is how many batches a pipe holds. When it is full the writer waits, and with it the
// first engine.
const pipeBatches = 4

// A pipe carries batches from the writer of one engine to the reader of another.
type pipe struct {
	name string
	full chan *record.Batch
	free chan *record.Batch

	// ended is closed when nothing more is written. why is the reason if the engine that writes has
	// failed; it is set before.
	ended chan struct{}
	why   error
	// held is the batch that is being read, from row at on; nil if there is none. Only the reader
	// uses them.
	held *record.Batch
	at   int

	// gone is closed when nothing more is read.
	gone     chan struct{}
	goneOnce sync.Once
}

func newPipe(p *plan.Plan, schema *record.Schema) *pipe {
	x := &pipe{
		name: fmt.Sprintf("result of %v", p), full: make(chan *record.Batch, pipeBatches),
		free: make(chan *record.Batch, pipeBatches), ended: make(chan struct{}), gone: make(chan struct{}),
	}
	for range pipeBatches {
		x.free <- record.NewBatch(schema, record.DefaultRows)
	}
	return x
}

// end says that nothing more is written, and why if that is not all.
func (p *pipe) end(why error) {
	p.why = why
	close(p.ended)
}

// pipeWriter is the end of a pipe that an engine writes to.
type pipeWriter struct{ *pipe }

// Write copies the batch, and waits if the reader has not taken those before.
func (w pipeWriter) Write(ctx context.Context, b *record.Batch) error {
	for from := 0; from < b.Len(); {
		var to *record.Batch
		select {
		case to = <-w.free:
		case <-w.gone:
			return errors.New("the plan that reads the result has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
		n := copyRows(to, b, from)
		if n == 0 {
			return fmt.Errorf("a row of the %s does not fit a batch", w.name)
		}
		from += n
		w.full <- to // there is room: it has a place for each batch
	}
	return nil
}

// Close does nothing: the pipe ends when the engine has.
func (pipeWriter) Close() error { return nil }

// pipeReader is the end of a pipe that an engine reads from.
type pipeReader struct{ *pipe }

// String names the plan whose result is read.
func (r pipeReader) String() string { return r.name }

// Read waits for a batch.
func (r pipeReader) Read(ctx context.Context, b *record.Batch) error {
	if r.held == nil {
		select {
		case r.held = <-r.full:
		case <-r.ended:
			select {
			case r.held = <-r.full: // it was written before the end
			default:
				if r.why != nil {
					return r.why
				}
				return io.EOF
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		r.at = 0
	}
	n := copyRows(b, r.held, r.at)
	if n == 0 {
		return fmt.Errorf("a row of the %s does not fit a batch", r.name)
	}
	r.at += n
	if r.at == r.held.Len() {
		r.free <- r.held // there is room: it has a place for each batch
		r.held = nil
	}
	return nil
}

// Close lets a writer that waits go.
func (r pipeReader) Close() error {
	r.goneOnce.Do(func() { close(r.gone) })
	return nil
}

// copyRows makes a batch of the rows of another of the same columns, from row begin on, as many as
// it has room for, and returns how many.
func copyRows(to, from *record.Batch, begin int) int {
	to.Reset()
	for row := begin; row < from.Len(); row++ {
		size := 0
		for c := range from.Schema().Len() {
			if col := from.Column(c); col.Views != nil && !col.Null(row) {
				size += len(col.View(row))
			}
		}
		if !to.Add(size) {
			break
		}
		for c := range from.Schema().Len() {
			switch col := from.Column(c); {
			case col.Null(row):
				to.SetNull(c)
			case col.Views != nil:
				to.SetBytes(c, col.View(row))
			default:
				to.Column(c).Words()[row-begin] = col.Words()[row]
			}
		}
	}
	return to.Len()
}

// chainFaults reports what a plan over the result of another cannot have.
func (c *Config) chainFaults(fault func(format string, args ...any)) {
	if len(c.Plans) > 1 {
		for i, p := range c.Plans {
			if p.Plan != nil && p.Plan.From != nil {
				fault("plan %d reads the result of another, and there are several plans: give it an engine of its own",
					i)
			}
		}
		return
	}
	d := c.short()
	if d.Plan == nil || d.Plan.From == nil {
		return
	}
	if d.State != nil {
		fault("a plan over the result of another keeps no State")
	}
	if d.Rebalance {
		fault("Rebalance is not for a plan that reads the result of another")
	}
	if d.Route.Routing != plan.RouteAuto {
		fault("a plan over the result of another has no Route")
	}
	if len(d.Plan.FromMore) > 0 {
		d.armFaults(fault)
		return
	}
	result, err := d.Plan.From.Written()
	switch {
	case err != nil:
		fault("the plan in From: %w", err)
	case d.Plan.From.Emit == plan.EmitChanges:
		fault("the plan in From emits changes: a row that changes would be counted again")
	case d.Plan.Source != nil:
		if why := otherSchema(d.Plan.Source, result); why != "" {
			fault("the source of the plan is not the result of the plan in From: %s", why)
		}
	}
}

// armsOf are the plans whose results a plan reads.
func armsOf(p *plan.Plan) []*plan.Plan { return append([]*plan.Plan{p.From}, p.FromMore...) }

// armFaults reports what the arms of a plan, the plans whose results it reads, cannot have.
func (c *Config) armFaults(fault func(format string, args ...any)) {
	if n := 1 + len(c.Plan.FromMore); n > MaxPlans {
		fault("the plan reads the results of %d plans, at most %d are allowed", n, MaxPlans)
	}
	for i, p := range armsOf(c.Plan) {
		result, err := p.Written()
		switch {
		case err != nil:
			fault("plan %d in From: %w", i, err)
		case p.From != nil:
			fault("plan %d in From reads the result of another: only one alone may", i)
		case p.Emit == plan.EmitChanges:
			fault("plan %d in From emits changes: a row that changes would be counted again", i)
		case c.Plan.Source != nil:
			if why := otherTypes(c.Plan.Source, result); why != "" {
				fault("the source of the plan is not the result of plan %d in From: %s", i, why)
			}
		}
	}
}

// otherTypes says in what the columns of a result differ from those that are expected, "" if in
// nothing but their names.
func otherTypes(want, got *record.Schema) string {
	if want.Len() != got.Len() {
		return fmt.Sprintf("%d columns and %d", want.Len(), got.Len())
	}
	for i := range want.Len() {
		w, g := want.Field(i), got.Field(i)
		if w.Type != g.Type || g.Nullable && !w.Nullable {
			return fmt.Sprintf("column %d is %v and %v", i, w, g)
		}
	}
	return ""
}

// startChain starts the engine of a plan with From, and before it the one that feeds it.
func startChain(ctx context.Context, cfg *Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	outer := *cfg.short()
	p := newPipe(outer.Plan.From, outer.Plan.Source)
	inner := outer
	inner.Plan, inner.Writer = outer.Plan.From, pipeWriter{p}
	if len(outer.Plan.FromMore) > 0 {
		inner.Plan, inner.Writer, inner.OnLate, inner.StatePolicy = nil, nil, nil, 0
		inner.Exchange = 0
		for _, arm := range armsOf(outer.Plan) {
			inner.Plans = append(inner.Plans, PlanConfig{
				Plan: arm, Writer: pipeWriter{p}, Exchange: outer.Exchange, StatePolicy: outer.StatePolicy,
				OnLate: outer.OnLate,
			})
		}
	}
	outer.OnLate = nil
	if put := outer.OnReject; put != nil {
		var one sync.Mutex // OnReject is called by one goroutine at a time
		inner.OnReject = func(reader int, r record.Reject) {
			one.Lock()
			defer one.Unlock()
			put(reader, r)
		}
		outer.OnReject = inner.OnReject
	}
	if outer.StateBytes > 0 {
		inner.StateBytes = max(outer.StateBytes/2, MinStateBytes)
		outer.StateBytes = inner.StateBytes
	}
	// The result is much less than the records, and comes in bursts: one ordinary goroutine
	// suffices.
	outer.Readers, outer.Partitions, outer.Cores, outer.NoPin = []record.Reader{pipeReader{p}}, 1, 1, true
	e, err := newEngine(ctx, outer)
	if err != nil {
		return nil, err
	}
	e.feeder, err = Start(ctx, inner)
	if err != nil {
		e.launch(ctx)
		_ = e.Close()
		return nil, err
	}
	go func() { p.end(e.feeder.Wait()) }()
	e.launch(ctx)
	go func() { // the readers need not go on if nobody wants the result
		<-e.stopped
		_ = pipeReader{p}.Close()
		_ = e.feeder.Close()
	}()
	return e, nil
}
