package engine

import (
	"iter"

	"github.com/velo-engine/velo/core"
)

// cut is what a snapshot sees: the images of all partitions at one epoch.
type cut struct {
	epoch  uint64
	images []*core.Image // by partition; a single one where groups were scattered and have been merged
}

// A Snapshot is a consistent picture of all groups: everything that every reader had routed at one epoch, and nothing else. It is
// the one way to read results. Any number of goroutines may read it, without a lock and without slowing the engine. It stays
// valid after Wait, Shutdown and Close of the engine, until its own Close.
type Snapshot struct {
	cut    *cut
	owners *core.Owners
}

// Snapshot is the newest picture: the empty one before the first epoch, the final one after Wait.
func (e *Engine) Snapshot() *Snapshot {
	return &Snapshot{e.current.Load(), e.owners}
}

// Epoch is the number of the epoch; 0 is the empty snapshot before the first.
func (s *Snapshot) Epoch() uint64 { return s.cut.epoch }

// Len is the number of groups.
func (s *Snapshot) Len() (n int) {
	for _, m := range s.cut.images {
		n += m.Len()
	}
	return n
}

// Get finds the group of a key that was made by the plan's Key. False says that there is none. It allocates nothing.
func (s *Snapshot) Get(k core.Key) (core.Row, bool) {
	if len(s.cut.images) == 1 {
		return s.cut.images[0].Get(k)
	}
	return s.cut.images[s.owners.Of(k)].Get(k)
}

// All yields every group, in no order that means anything.
func (s *Snapshot) All() iter.Seq[core.Row] {
	return func(yield func(core.Row) bool) {
		for _, m := range s.cut.images {
			for row := range m.All() {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// Counters say what had become of each reader's records at the epoch.
func (s *Snapshot) Counters() []core.Counters {
	if s.cut.epoch == 0 {
		return nil
	}
	return core.CountersOf(s.cut.images)
}

// Close ends the use of the snapshot and of its rows.
func (s *Snapshot) Close() error {
	s.cut = nil
	return nil
}
