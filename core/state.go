package core

import (
	"fmt"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/plan"
)

// A MemoryBudget is the memory that the groups of a plan may take, over all its routers and
// partitions. A nil State sets no bound.
type MemoryBudget struct {
	budget *arena.Budget
	policy plan.StatePolicy
	// kept is how many more tables each pane has memory for, for cuts that are held for long.
	kept int
}

// NewMemoryBudget bounds the memory of groups to that many bytes.
func NewMemoryBudget(bytes int, policy plan.StatePolicy) *MemoryBudget {
	return &MemoryBudget{budget: arena.NewBudget(bytes), policy: policy}
}

// KeepCut charges each pane for one more table, from its first growth on. So the partitions do not
// run out of memory because one cut is held while it is saved. It is called before any partition is
// made.
func (s *MemoryBudget) KeepCut() { s.kept++ }

// Tables is how many tables each pane has memory for.
func (s *MemoryBudget) Tables() int {
	if s == nil {
		return ownTables
	}
	return ownTables + s.kept
}

// Bytes is how much memory the groups hold, to the page. Any goroutine may call it.
func (s *MemoryBudget) Bytes() int { return s.budget.Used() }

// Limit is how much memory the groups may hold. Any goroutine may call it.
func (s *MemoryBudget) Limit() int { return s.budget.Limit() }

// memory is what one table may take of that memory, which is all of it.
func (s *MemoryBudget) memory() table.Memory {
	if s == nil {
		return table.Memory{}
	}
	return table.Memory{Budget: s.budget}
}

// twins is what the tables of a partition have in common.
func (s *MemoryBudget) twins() *table.Twins {
	if s == nil {
		return table.NewTwins(nil, 0)
	}
	return table.NewTwins(s.budget, s.Tables())
}

// sheds says whether records that find no room are dropped.
func (s *MemoryBudget) sheds() bool { return s != nil && s.policy == plan.StateShed }

// outOfRoom is the error of a plan that may take no more memory.
func (s *MemoryBudget) outOfRoom(p string, groups int, cause error) error {
	bound := ""
	if s != nil {
		bound = fmt.Sprintf(" of %d bytes for the groups of the plan, over all partitions and readers",
			s.budget.Limit())
	}
	return fmt.Errorf("plan %s: no room for another group after %d here, with the bound%s: %w", p, groups,
		bound, cause)
}
