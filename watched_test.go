package velo_test

import "github.com/velo-engine/velo/internal/invariants"

// watched says whether snapshots are watched, which allocates. It has a file of its own: see TestSnapshotAllocations.
const watched = invariants.Enabled
