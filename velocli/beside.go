package velocli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/server/job"
)

// catchUpEvery is how often a replacement is asked how much its readers have not read.
const catchUpEvery = 50 * time.Millisecond

// sentTo are the connectors of sources that others send to. What has been sent once cannot be read
// again.
var sentTo = []string{"push", "tcp", "unix"}

// Beside says why the job cannot run beside the one that it replaces: what it writes would be
// written twice, or its sources cannot be read twice.
func (p *program) Beside() error {
	var faults []error
	for _, o := range p.job.Outputs {
		if o.Sink != nil {
			faults = append(faults, fmt.Errorf("both jobs would write to sink %s; put what is written into a job of "+
				"its own, or begin anew with fresh", o.Sink.Name))
		}
	}
	for _, s := range p.job.Sources {
		if slices.Contains(sentTo, s.Options.Connector()) {
			faults = append(faults, fmt.Errorf("the records of source %s are sent to it (connector %s), and cannot be "+
				"read from their beginning; begin anew with fresh", s.Name, s.Options.Connector()))
		}
	}
	return errors.Join(faults...)
}

// StartBeside starts the job and shows nothing.
func (p *program) StartBeside(ctx context.Context, folder string, say func(string)) (job.Candidate, error) {
	r, err := p.begin(ctx, folder, false, say)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// CatchUp waits until each reader has had nothing to give, or has ended, and until the views have
// what was read by then.
func (r *runningJob) CatchUp(ctx context.Context) error {
	seen := catchingUp{}
	ticks := time.NewTicker(catchUpEvery)
	defer ticks.Stop()
	// After all readers have nothing left, one more look gives them the time to pass on what they
	// had taken and not given yet.
	for looks := 0; looks < 2; {
		select {
		case <-r.done: // its input has come to its end, or it has failed
			return r.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticks.C:
		}
		if seen.all(r) {
			looks++
		}
	}
	for _, in := range r.ins {
		err := in.engine.Sync(ctx)
		if err != nil && !errors.Is(err, engine.ErrEnded) {
			return err
		}
	}
	return nil
}

// catchingUp has the splits that have had nothing left at least once. A split of a busy source has
// nothing left for a moment only, and not all splits at the same time.
type catchingUp map[string]bool

// all looks at all readers, and says whether all have caught up.
func (c catchingUp) all(r *runningJob) bool {
	all := true
	for i, in := range r.ins {
		endless, quiet := in.feed.endless, in.engine.State().CaughtUp
		for n, of := range in.engine.Stats().Readers {
			switch {
			case of.State == engine.Ended:
			case !endless: // it ends
				all = false
			case len(of.Lag) == 0: // it does not know what it has, or not yet
				all = all && quiet && !of.Lagging
			}
			for _, l := range of.Lag {
				split := fmt.Sprintf("%d %d %s", i, n, l.Split)
				c[split] = c[split] || !l.Unknown && l.Records == 0 && l.Bytes == 0
				all = all && (c[split] || of.State == engine.Ended)
			}
		}
	}
	return all
}

// TakeOver shows the views in the place of the views of another job.
func (r *runningJob) TakeOver(old job.Running) error {
	was, _ := old.(*runningJob)
	var remove []string
	if was != nil && was.shown {
		remove = slices.Collect(maps.Keys(was.views))
	}
	err := r.program.runner.views.Swap(remove, r.views)
	if err != nil {
		return err
	}
	r.shown = true
	if was != nil {
		was.shown = false
	}
	return nil
}
