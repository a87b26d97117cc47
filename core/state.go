package core

import (
	"fmt"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/internal/arena"
)

// A StatePolicy is what happens when a plan's groups need more memory than they may have.
type StatePolicy uint8

const (
	// StateStop ends the plan with an error that says so.
	StateStop StatePolicy = iota

	// StateShed goes on with the groups that are there: records of other groups are dropped and
	// counted as shed. Such a plan never folds, because a partial state that finds no room would
	// not say how many records it stands for.
	StateShed
)

// String is the policy as a word.
func (p StatePolicy) String() string {
	switch p {
	case StateStop:
		return "stop"
	case StateShed:
		return "shed"
	}
	return fmt.Sprintf("StatePolicy(%d)", uint8(p))
}

// A MemoryBudget is the memory that the groups of a plan may take, over all its routers and
// partitions. A nil State sets no bound.
type MemoryBudget struct {
	budget *arena.Budget
	policy StatePolicy
}

// NewMemoryBudget bounds the memory of groups to that many bytes.
func NewMemoryBudget(bytes int, policy StatePolicy) *MemoryBudget {
	return &MemoryBudget{arena.NewBudget(bytes), policy}
}

// Bytes is how much memory the groups hold, to the page. Any goroutine may call it.
func (s *MemoryBudget) Bytes() int { return s.budget.Used() }

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
	return table.NewTwins(s.budget, ownTables)
}

// sheds says whether records that find no room are dropped.
func (s *MemoryBudget) sheds() bool { return s != nil && s.policy == StateShed }

// outOfRoom is the error of a plan that may take no more memory.
func (s *MemoryBudget) outOfRoom(plan string, groups int, cause error) error {
	bound := ""
	if s != nil {
		bound = fmt.Sprintf(" of %d bytes for the groups of the plan, over all partitions and readers",
			s.budget.Limit())
	}
	return fmt.Errorf("core: plan %s: no room for another group after %d here, with the bound%s: %w", plan, groups,
		bound, cause)
}
