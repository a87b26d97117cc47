package engine

import (
	"context"
	"fmt"

	"github.com/velo-engine/velo/lookup"
)

// A tables has what the plans of an engine look up.
type tables struct {
	all []*lookup.Table
	// releases tell the tables that the engine does not use them any more.
	releases []func()
}

// useTables waits until the tables that the plans look up have a version, and has them loaded again
// until release. The error says which table could not be loaded.
func (e *Engine) useTables(ctx context.Context) error {
	seen := map[*lookup.Table]bool{}
	for _, p := range e.cfg.Plans {
		for _, t := range p.Plan.Tables() {
			if seen[t] {
				continue
			}
			seen[t] = true
			release, err := t.Use(ctx, e.fail)
			if err != nil {
				e.tables.release()
				return fmt.Errorf("engine: not started: %w", err)
			}
			e.tables.all, e.tables.releases = append(e.tables.all, t), append(e.tables.releases, release)
		}
	}
	return nil
}

// release says that the engine does not use its tables any more.
func (t *tables) release() {
	for _, release := range t.releases {
		release()
	}
	t.releases = nil
}

// stats reads the counters of the tables.
func (t *tables) stats() (all []lookup.Stats) {
	for _, t := range t.all {
		all = append(all, t.Stats())
	}
	return all
}
