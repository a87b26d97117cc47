package velocli

import (
	"context"
	"errors"
	"fmt"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// A query over the result of another can be computed from any cut of the other, if that has groups
// and no windows: it is a function of the cut. So it keeps no state of its own, and goes on when
// the groups of the inner query do. Windows that have closed are no longer in a cut, and records
// that pass through never are, so a query over those is not computed this way.

// cutFault says why a query over the result of another cannot be computed from a cut; nil if it
// can.
func cutFault(p *plan.Plan) error {
	for at := p; at != nil; at = at.From {
		switch {
		case len(at.FromMore) > 0:
			return errors.New("it reads a set operation")
		case at.Window != nil:
			return errors.New("it has windows, and a window that has closed is given to the outer query once")
		case at.Emit == plan.EmitChanges:
			return errors.New("it has EMIT CHANGES")
		case len(at.Tables()) > 0:
			return errors.New("it is joined with a table")
		case at.From == nil && at.PassesThrough():
			return errors.New("the inner query groups nothing")
		}
	}
	return nil
}

// keptPlan is the plan of a query whose groups a state has.
func keptPlan(o *query.Output) *plan.Plan { return o.Plan.Innermost() }

// overCut makes, for a query over the result of another, the plan over the rows of the inner one.
func overCut(o *query.Output) (*plan.Plan, error) {
	p, err := query.Catalog{Sources: []*record.Schema{o.Source.Schema}}.CompileWith(o.Text, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(o), err)
	}
	last := p
	for last.From.From != nil {
		last = last.From
	}
	last.From = nil
	return p, nil
}

// writeOver writes what the plan over the last snapshot makes.
func (f *flow) writeOver() error {
	over, err := f.over()
	if err != nil {
		return err
	}
	s, end := f.snapshot()
	defer end()
	return view.Compute(context.Background(), over, s, retrying{f.kept}, f.overBytes)
}

// retrying is a writer that tries again what fails with a transient error.
type retrying struct{ *kept }

// Write writes a batch.
func (w retrying) Write(ctx context.Context, b *record.Batch) error { return w.kept.writeAgain(ctx, b) }
