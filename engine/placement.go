package engine

import (
	"slices"
	"sync"

	"github.com/velo-engine/velo/affinity"
)

// assign says which agents each of so many runners steps: readers 0.. and partitions 0.., dealt in turn. Where there is a runner
// for each agent, none shares; where not, reader i and partition i meet on one thread, and what the reader routes to that partition
// does not leave the core's caches.
func assign(readers, partitions, cores int) (runners [][]int) {
	cores = min(cores, readers+partitions)
	runners = make([][]int, cores)
	if cores == readers+partitions {
		for i := range runners {
			runners[i] = []int{i}
		}
		return runners
	}
	for i := range readers {
		runners[i%cores] = append(runners[i%cores], i)
	}
	for i := range partitions {
		runners[i%cores] = append(runners[i%cores], readers+i)
	}
	return slices.DeleteFunc(runners, func(agents []int) bool { return len(agents) == 0 })
}

// cpuUse counts the runners of this process on each CPU, so that a second engine takes other CPUs where there are any.
var cpuUse struct {
	sync.Mutex
	runners map[int]int
}

// takeCPUs chooses n CPUs with the fewest runners; the highest first, because the kernel and the rest of the service prefer
// the low ones. nil where the usable CPUs are not known. The caller gives them back with giveCPUs.
func takeCPUs(n int) []int {
	usable, err := affinity.Usable()
	if err != nil || len(usable) == 0 {
		return nil
	}
	cpuUse.Lock()
	defer cpuUse.Unlock()
	if cpuUse.runners == nil {
		cpuUse.runners = map[int]int{}
	}
	var taken []int
	for range n {
		best := usable[len(usable)-1]
		for _, cpu := range slices.Backward(usable) {
			if cpuUse.runners[cpu] < cpuUse.runners[best] {
				best = cpu
			}
		}
		cpuUse.runners[best]++
		taken = append(taken, best)
	}
	return taken
}

func giveCPUs(cpus []int) {
	cpuUse.Lock()
	defer cpuUse.Unlock()
	for _, cpu := range cpus {
		cpuUse.runners[cpu]--
	}
}
