package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A tables has what the plans of an engine look up.
type tables struct {
	mu  sync.Mutex // guards the following, off the data path
	all []*lookup.Table
	// releases tell the tables that the engine does not use them any more.
	releases []func()
	// released says that the engine has ended.
	released bool
}

// LoadGroups makes the Load of a table (lookup.Config) whose rows are the groups of a plan that an
// engine runs, at its newest epoch: each load takes a snapshot. The columns of the table must have
// the names and types of the plan's result (plan.Plan.Result), and its key must be unique among the
// groups. A load fails if the engine does not run the plan, if the plan has ended alone, or if a
// group has NULL for the key: WHERE key IS NOT NULL in the plan leaves that group out.
//
// So a plan that is added to the same engine, or runs in another one, can join each record with
// what is known of its group, for example for its share of a total. The groups are as old as the
// table's last load, plus the time to the next epoch.
func LoadGroups(e *Engine, p *plan.Plan) func(context.Context, *lookup.Builder) error {
	return func(ctx context.Context, b *lookup.Builder) error {
		s := e.Snapshot()
		defer s.Close()
		if !s.Has(p) {
			return fmt.Errorf("engine: it does not run the plan %v", p)
		}
		of := s.Of(p)
		if err := of.Err(); err != nil {
			return err
		}
		for batch := range of.Batches(record.DefaultRows) {
			if err := b.Append(batch); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return nil
	}
}

// useTables waits until the tables that the plans look up have a version, and has them loaded again
// until release. The error says which table could not be loaded.
func (e *Engine) useTables(ctx context.Context) error {
	for _, p := range e.cfg.Plans {
		if err := e.tables.use(ctx, p.Plan, e.fail); err != nil {
			e.tables.release()
			return fmt.Errorf("engine: not started: %w", err)
		}
	}
	return nil
}

// use begins to use the tables of a plan that are not used yet.
func (t *tables) use(ctx context.Context, p *plan.Plan, fail func(error)) error {
	for _, table := range p.Tables() {
		t.mu.Lock()
		used := slices.Contains(t.all, table)
		t.mu.Unlock()
		if used {
			continue
		}
		release, err := table.Use(ctx, fail)
		if err != nil {
			return err
		}
		t.mu.Lock()
		ended := t.released
		if !ended {
			t.all, t.releases = append(t.all, table), append(t.releases, release)
		}
		t.mu.Unlock()
		if ended {
			release()
			return ErrEnded
		}
	}
	return nil
}

// leave says that a plan has been removed: tables that no plan looks up any more are not used.
func (t *tables) leave(removed *plan.Plan, left []*plan.Plan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, table := range removed.Tables() {
		i := slices.Index(t.all, table)
		used := slices.ContainsFunc(left, func(p *plan.Plan) bool { return slices.Contains(p.Tables(), table) })
		if i >= 0 && !used && !t.released {
			t.releases[i]()
			t.all, t.releases = slices.Delete(t.all, i, i+1), slices.Delete(t.releases, i, i+1)
		}
	}
}

// release says that the engine does not use its tables any more.
func (t *tables) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, release := range t.releases {
		release()
	}
	t.releases, t.released = nil, true
}

// stats reads the counters of the tables.
func (t *tables) stats() (all []lookup.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, t := range t.all {
		all = append(all, t.Stats())
	}
	return all
}
