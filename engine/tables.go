package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
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
