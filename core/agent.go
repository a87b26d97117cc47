package core

import (
	"math"
	"slices"

	"github.com/velo-engine/velo/internal/enum"

	"github.com/velo-engine/velo/core/table"
)

// Nanos is a time on the engine's monotonic clock, in nanoseconds since some moment. Agents never
// read a clock: time comes to them as data.
type Nanos int64

// Never is later than any time.
const Never Nanos = math.MaxInt64

// An Agent does a piece of work each time it is stepped. Router and Partition are agents.
type Agent interface {
	// Step does a bounded piece of work and says how much; 0 says that there was nothing to do. It
	// never waits.
	Step(now Nanos) (work int)

	// Wake is when Step wants to be called even if no bell rings. It is Never if only other agents
	// can give it work.
	Wake() Nanos

	// Done says that there will never be work again.
	Done() bool

	// Stall is why the last Step had no work. It is valid after a Step that had none.
	Stall() Stall

	// Err is why the plan must end; it is nil if the plan goes on.
	Err() error
}

// memoryWait is how long an agent that waits for memory waits before it wants another Step: no bell
// rings when memory is ready.
const memoryWait Nanos = 100_000

// lacking are tables that have no memory ready for what may come next. Code that adds to tables
// notes this after each addition. As long as one table lacks memory it adds nothing: making memory
// present takes the operating system milliseconds, which no Step may take.
type lacking []*table.Table

// note notes a table if it has no memory ready for n more records.
func (l *lacking) note(t *table.Table, n int) {
	if !t.Ready(n) && !slices.Contains(*l, t) {
		*l = append(*l, t)
	}
}

// waits says whether a table still lacks memory for n more records.
func (l *lacking) waits(n int) bool {
	if len(*l) > 0 {
		*l = slices.DeleteFunc(*l, func(t *table.Table) bool { return t.Ready(n) })
	}
	return len(*l) > 0
}

// A Stall is why an agent has no work.
type Stall uint8

// The causes.
const (
	StallInput      Stall = iota // nothing to read: the source has nothing, or the rings are empty
	StallRing                    // the ring to a partition is full
	StallQuarantine              // there is no room for a record that was set aside
	StallMark                    // some readers' marks of an epoch have come, but not all
	StallOutput                  // closed windows have not been written
	StallMemory                  // memory for new groups is being made ready
	StallEpoch                   // many windows have been opened, and an epoch has to close some
	// Many windows are open because another reader is behind in event time or brings nothing, or
	// because snapshots are held.
	StallWindows

	Stalls // the number of causes
)

var stallNames = []string{
	StallInput:      "no input",
	StallRing:       "ring full",
	StallQuarantine: "quarantine full",
	StallMark:       "mark missing",
	StallOutput:     "output full",
	StallMemory:     "memory not ready",
	StallEpoch:      "epoch awaited",
	StallWindows:    "windows held back",
}

// String is the cause in words.
func (s Stall) String() string { return enum.Name(stallNames, s, "Stall") }

// A Bell wakes the runner at the other end of a ring if it sleeps. It is rung after each
// publication.
type Bell interface{ Wake() }
