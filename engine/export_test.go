package engine

import (
	"maps"

	"github.com/velo-engine/velo/state"
)

// OpenBy has a State use another file system.
func (s *State) OpenBy(open func(state.Options) (*state.Folder, error)) { s.open = open }

// CPUUse is the number of runners on each CPU.
func CPUUse() map[int]int {
	cpuUse.Lock()
	defer cpuUse.Unlock()
	return maps.Clone(cpuUse.runners)
}
