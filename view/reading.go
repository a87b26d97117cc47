package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A Reading is what several statements read together: the same cut of each engine. Any number of
// goroutines may use it.
type Reading struct {
	catalog *Catalog
	// ctx is done when the reading was closed, and its cause says so.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	busy int   // statements that run
	over error // why no statement may begin any more; nil if one may
	cuts map[*engine.Engine]*engine.Snapshot
	// lease ends the reading; nil before the first statement.
	lease *time.Timer
}

// Begin begins a reading. It holds nothing before its first statement.
func (c *Catalog) Begin() *Reading {
	r := &Reading{catalog: c, cuts: map[*engine.Engine]*engine.Snapshot{}}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

// Select runs a statement in a reading of its own.
func (c *Catalog) Select(ctx context.Context, sql string, values ...any) (*Rows, error) {
	r := c.Begin()
	defer r.Close()
	return r.Select(ctx, sql, values...)
}

// Close ends the reading. Its results stay valid. Closing it again does nothing.
func (r *Reading) Close() error {
	why := fmt.Errorf("view: the reading was %w", ErrClosed)
	r.cancel(why)
	r.end(why)
	return nil
}

// end ends the reading for a reason. The last statement that runs lets go of the cuts.
func (r *Reading) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over == nil {
		r.over = why
	}
	if r.lease != nil {
		r.lease.Stop()
	}
	r.letGo()
}

// letGo closes the snapshots of a reading that is over and that nobody reads. r.mu is held.
func (r *Reading) letGo() {
	if r.over == nil || r.busy > 0 {
		return
	}
	for e, s := range r.cuts {
		_ = s.Close()
		delete(r.cuts, e)
		r.catalog.held.Add(-1)
	}
}

// pin returns the cut of a view, and keeps the reading until unpin.
func (r *Reading) pin(e *entry) (*engine.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return nil, r.over
	}
	s := r.cuts[e.Engine]
	if s == nil {
		s = e.Engine.Snapshot()
		r.cuts[e.Engine] = s
		r.catalog.held.Add(1)
	}
	if r.lease == nil {
		lease := r.catalog.limits.Lease
		r.lease = time.AfterFunc(lease, func() {
			r.end(fmt.Errorf("view: %w: it was open for longer than %v", ErrLease, lease))
		})
	}
	if !s.Has(e.Plan) {
		return nil, fmt.Errorf("view: %q is younger than the reading, which reads epoch %d: begin another", e.Name,
			s.Epoch())
	}
	of := s.Of(e.Plan)
	if err := of.Err(); err != nil {
		return nil, fmt.Errorf("view: %q has failed: %w", e.Name, err)
	}
	r.busy++
	return of, nil
}

func (r *Reading) unpin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	r.letGo()
}

// Select runs a statement. Values are for its parameters: see query.CompileWith. The rows are a
// copy and must be closed.
func (r *Reading) Select(ctx context.Context, sql string, values ...any) (*Rows, error) {
	if l, k, ok := r.catalog.prepared(sql, values); ok {
		return r.read(ctx, l.of, l.plan, func(_ context.Context, s *engine.Snapshot, to *Rows) (err error) {
			to.single, err = l.of.one(l.plan, nil, s, k)
			return err
		})
	}
	p, err := compile(sql, values, query.Catalog{Sources: r.catalog.schemas(), Subquery: r.subquery(ctx)})
	if err != nil {
		if name, unknown := query.Stream(sql); unknown == nil {
			if _, none := r.catalog.find(name); none != nil {
				err = fmt.Errorf("%w: %w", none, err) // it has the place, and names that are alike
			}
		}
		return nil, err
	}
	if p.Innermost().Given != nil {
		return nil, errors.New("view: the statement reads no view: expected one in FROM")
	}
	e, err := r.catalog.find(p.Innermost().Source.Name())
	if err != nil {
		return nil, err // it was removed meanwhile
	}
	return r.read(ctx, e, p, func(ctx context.Context, s *engine.Snapshot, to *Rows) (err error) {
		if k, ok := e.key(p.Where); ok && isOne(p) {
			to.single, err = e.one(p, p.Where, s, k)
			r.catalog.keep(sql, e, p)
			return err
		}
		return e.run(ctx, p, s, to)
	})
}

// Explain is the plan of a statement, as text. Queries in its expressions are computed for it.
func (r *Reading) Explain(ctx context.Context, sql string) (string, error) {
	p, err := compile(sql, nil, query.Catalog{Sources: r.catalog.schemas(), Subquery: r.subquery(ctx)})
	if err != nil {
		return "", err
	}
	return p.Explain()
}

// subquery computes queries in expressions of a statement: see query.Catalog. They read the same
// cuts.
func (r *Reading) subquery(ctx context.Context) func(*plan.Plan) ([]*record.Batch, error) {
	return func(p *plan.Plan) (all []*record.Batch, err error) {
		inAnyOrder(p)
		if p.Innermost().Given != nil {
			return nil, errors.New("it reads no view: write its values")
		}
		e, err := r.catalog.find(p.Innermost().Source.Name())
		if err != nil {
			return nil, err
		}
		rows, err := r.read(ctx, e, p, func(ctx context.Context, s *engine.Snapshot, to *Rows) error {
			return e.run(ctx, p, s, to)
		})
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		if n := rows.memory + rows.spilled; n > int64(r.catalog.limits.QueryBytes) {
			return nil, fmt.Errorf("view: %w: the rows of a subquery have %d bytes", ErrMemory, n)
		}
		for b, err := range rows.Batches() {
			if err != nil {
				return nil, err
			}
			all = append(all, b.CopyRows(allRows(b)))
		}
		return all, nil
	}
}

// allRows are the numbers of the rows of a batch.
func allRows(b *record.Batch) []int32 {
	rows := make([]int32, b.Len())
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// read reads a view with the function that fills the rows.
func (r *Reading) read(
	ctx context.Context, e *entry, p *plan.Plan, fill func(context.Context, *engine.Snapshot, *Rows) error,
) (*Rows, error) {
	schema, err := p.Result()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(context.Cause(r.ctx)) })()
	select {
	case r.catalog.running <- struct{}{}:
		defer func() { <-r.catalog.running }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s, err := r.pin(e)
	if err != nil {
		return nil, err
	}
	defer r.unpin()
	r.catalog.served.Add(1)
	rows := newRows(r.catalog, schema)
	rows.Cut = cutOf(e.Name, s)
	if err := fill(ctx, s, rows); err != nil {
		_ = rows.Close()
		return nil, err
	}
	return rows, nil
}

// compile compiles a statement over views.
func compile(sql string, values []any, g query.Catalog) (*plan.Plan, error) {
	p, err := g.CompileWith(sql, values)
	if err != nil {
		return nil, err
	}
	if p.Emit == plan.EmitChanges {
		return nil, errors.New("query: EMIT CHANGES over a view: a SELECT reads one cut, in which nothing changes")
	}
	inAnyOrder(p)
	return p, nil
}

// inAnyOrder says that the rows of a view are in no order of time.
func inAnyOrder(p *plan.Plan) {
	for at := p; at != nil; at = at.From {
		if at.Window != nil {
			at.Window.OutOfOrder = plan.AnyOrder
		}
	}
	for _, leaf := range p.Leaves() {
		if leaf.Window != nil {
			leaf.Window.OutOfOrder = plan.AnyOrder
		}
	}
}

// rowError says that a row cannot be computed.
func rowError(reason error) error {
	if reason == nil {
		return nil
	}
	return fmt.Errorf("view: %w: %w", ErrRow, reason)
}

// run runs a plan over the rows of a view in a snapshot.
func (e *entry) run(ctx context.Context, p *plan.Plan, s *engine.Snapshot, to *Rows) error {
	most := to.catalog.limits.QueryBytes
	if e.Over == nil {
		return Compute(ctx, p, s, rowsWriter{to}, most)
	}
	over, err := e.Over()
	if err != nil {
		return err
	}
	rows := newRows(to.catalog, e.Schema)
	defer rows.Close()
	if err := Compute(ctx, over, s, rowsWriter{rows}, most); err != nil {
		return err
	}
	var failed error
	err = compute(ctx, p, func(yield func(*record.Batch) bool) {
		for b, err := range rows.Batches() {
			failed = err
			if err != nil || !yield(b) {
				return
			}
		}
	}, rowsWriter{to}, most)
	return cmp.Or(failed, err)
}

// Compute runs a plan over the rows of a snapshot, and gives what it makes to a writer, which it
// does not close. The plan is used by nothing else. It may take most bytes of memory for its
// groups, or rows that it orders: ErrMemory. ErrRow says that a row cannot be computed.
func Compute(ctx context.Context, p *plan.Plan, s *engine.Snapshot, to record.Writer, most int) error {
	return compute(ctx, p, s.BatchesOf(record.DefaultRows, engine.ColumnsRead(p.Leaves()...)), to, most)
}

// compute runs a plan over batches. None of them is read after it has returned.
func compute(ctx context.Context, p *plan.Plan, batches iter.Seq[*record.Batch], to record.Writer, most int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from := newSnapshotReader(batches)
	defer from.end() // not before: what is read belongs to the snapshot
	e, err := engine.Start(ctx, engine.Config{
		Plan: p, Readers: []record.Reader{from}, Writer: to, Partitions: 1, Cores: 1, NoPin: true,
		EpochInterval: -1, StateBytes: most,
		OnReject: func(_ int, r record.Reject) { cancel(rowError(r.Reason)) },
	})
	if err == nil {
		err = e.Wait()
		_ = e.Close()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, arena.ErrBudget) || errors.Is(err, result.ErrSorterFull) {
		return fmt.Errorf("view: %w, more than %d MiB: %w", ErrMemory, most>>20, err)
	}
	return err
}

// snapshotReader gives the rows of a snapshot to an engine.
type snapshotReader struct {
	mu   sync.Mutex // held during a Poll, so that end waits for one that the engine has given up
	next func() (*record.Batch, bool)
	stop func()
}

func newSnapshotReader(batches iter.Seq[*record.Batch]) *snapshotReader {
	r := &snapshotReader{}
	r.next, r.stop = iter.Pull(batches)
	return r
}

// end ends the use of the snapshot.
func (r *snapshotReader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
}

// Poll lends the next batch.
func (r *snapshotReader) Poll(b *record.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, ok := r.next()
	if !ok {
		return io.EOF
	}
	for i := range from.Schema().Len() {
		*b.Column(i) = *from.Column(i)
	}
	b.SetLen(from.Len())
	return nil
}

// Read is Poll.
func (r *snapshotReader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Close does nothing: end does it.
func (r *snapshotReader) Close() error { return nil }

// String names the reader.
func (r *snapshotReader) String() string { return "view" }
