package engine

import (
	"sync"

	"github.com/velo-engine/velo/affinity"
)

// cpuUse counts the runners of this process on each CPU, so that a second engine takes other CPUs
// if there are any.
var cpuUse struct {
	sync.Mutex
	topology affinity.Topology
	known    bool
	runners  map[int]int
}

// place says which agents each runner steps. If pin is true it also takes a CPU for each runner,
// and the caller gives the CPUs back with unplace.
func place(readers, partitions, cores int, pin bool) (affinity.Placement, error) {
	shape := affinity.Demand{Readers: readers, Partitions: partitions, Cores: cores}
	if !pin {
		return affinity.Place(affinity.Topology{}, nil, shape)
	}
	cpuUse.Lock()
	defer cpuUse.Unlock()
	if !cpuUse.known {
		// Without knowledge of the CPUs nothing is pinned.
		cpuUse.topology, _ = affinity.Discover()
		cpuUse.known = true
		cpuUse.runners = map[int]int{}
	}
	p, err := affinity.Place(cpuUse.topology, cpuUse.runners, shape)
	for _, r := range p.Runners {
		if r.CPU >= 0 {
			cpuUse.runners[r.CPU]++
		}
	}
	return p, err
}

// unplace gives the CPUs of a placement back.
func unplace(p affinity.Placement) {
	cpuUse.Lock()
	defer cpuUse.Unlock()
	for _, r := range p.Runners {
		if r.CPU >= 0 {
			cpuUse.runners[r.CPU]--
		}
	}
}
