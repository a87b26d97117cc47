package engine

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/state"
)

// A SavedSnapshot is the newest generation of a folder of state, in memory: what a snapshot of the
// engine showed when it was saved. Nothing runs. Any number of goroutines may read it.
type SavedSnapshot struct {
	cut        *result.Cut
	generation uint64
	at         time.Time
}

// ReadState reads the groups of one plan in the newest whole generation of a folder, for example to
// look at a job that runs: it locks nothing and changes nothing. The plan must be the one that made
// the groups, and if the folder has several, have its name; its HAVING, ORDER BY, LIMIT and SELECT
// may be others. The error is as for Config.State. All
// groups must fit the memory.
func ReadState(path string, p *plan.Plan) (*SavedSnapshot, error) {
	folder, err := state.Inspect(path)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	m := folder.Newest
	s := &SavedSnapshot{generation: m.Generation, at: m.Time}
	s.cut, err = readCut(folder, m, p)
	if err != nil {
		return nil, fmt.Errorf("engine: state %s: %w", path, err)
	}
	return s, nil
}

// savedOf finds a plan in a generation, by its name if there are several.
func savedOf(m *state.Manifest, p *plan.Plan) (saved *state.Plan, i int, err error) {
	if len(m.Plans) == 1 {
		return &m.Plans[0], 0, nil
	}
	var names []string
	for i := range m.Plans {
		if m.Plans[i].Name == nameOf(p) {
			return &m.Plans[i], i, nil
		}
		names = append(names, m.Plans[i].Name)
	}
	return nil, 0, fmt.Errorf("%w: generation %d has the plans %s, and none named %s", ErrOtherPlan, m.Generation,
		strings.Join(names, ", "), nameOf(p))
}

// readCut loads a generation into a partition that nothing steps.
func readCut(folder *state.Folder, m *state.Manifest, p *plan.Plan) (*result.Cut, error) {
	saved, i, err := savedOf(m, p)
	if err == nil {
		err = checkPlan(m, saved, p)
	}
	if err != nil {
		return nil, err
	}
	cuts := core.NewCuts(p, plan.Route{}, 0, 1, 0, nil, func() {})
	cuts.Begin(m.Epoch)
	partition, err := core.NewPartition(0, p, nil, nil, nil, cuts)
	if err != nil {
		return nil, err
	}
	partition.Begin(saved.Closed, saved.Oldest)
	if err := loadGroups(folder, m, saved, []*core.Partition{partition}); err != nil {
		return nil, err
	}
	total := result.Counters{}
	for _, r := range m.Readers {
		total.Add(countersByName(r.Plans[i].Counters))
	}
	if err := partition.Show([]result.Counters{total}); err != nil {
		return nil, err
	}
	cut, _ := cuts.Pin()
	return cut, nil
}

// Generation returns the number of the generation.
func (s *SavedSnapshot) Generation() uint64 { return s.generation }

// Epoch returns the epoch that was saved.
func (s *SavedSnapshot) Epoch() uint64 { return s.cut.Epoch() }

// Time returns when the generation was saved.
func (s *SavedSnapshot) Time() time.Time { return s.at }

// Len returns the number of groups.
func (s *SavedSnapshot) Len() int { return s.cut.Len() }

// Records returns the number of records that had been taken from all readers.
func (s *SavedSnapshot) Records() uint64 { return s.cut.Records() }

// Get finds the group of a key that was made by the plan's Key. It returns false if there is none.
func (s *SavedSnapshot) Get(k plan.Key) (result.Row, bool) { return s.cut.Get(k) }

// All yields the result of the plan, as Snapshot.All does.
func (s *SavedSnapshot) All() iter.Seq[result.Row] { return s.cut.All() }

// Batches yields the result of the plan in batches of up to the given number of rows. A batch is
// valid until the next one.
func (s *SavedSnapshot) Batches(rows int) iter.Seq[*record.Batch] { return s.cut.Batches(rows) }
