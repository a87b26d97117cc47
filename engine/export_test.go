package engine

import "maps"

// CPUUse is the number of runners on each CPU.
func CPUUse() map[int]int {
	cpuUse.Lock()
	defer cpuUse.Unlock()
	return maps.Clone(cpuUse.runners)
}
