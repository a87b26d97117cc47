package affinity_test

import (
	"fmt"

	"github.com/velo-engine/velo/affinity"
)

// A host of four cores around two caches. The first engine has a core for each agent, around one cache; the second has what is left.
func ExamplePlace() {
	top := affinity.Topology{CPUs: []affinity.CPU{
		{ID: 0, Core: 0, LLC: 0, Capacity: affinity.FullCapacity},
		{ID: 1, Core: 1, LLC: 0, Capacity: affinity.FullCapacity},
		{ID: 2, Core: 2, LLC: 1, Capacity: affinity.FullCapacity},
		{ID: 3, Core: 3, LLC: 1, Capacity: affinity.FullCapacity},
	}}
	fmt.Println(top)

	busy := map[int]int{}
	for _, s := range []affinity.Demand{{Readers: 1, Partitions: 1, Cores: 2}, {Readers: 1, Partitions: 2, Cores: 1}} {
		placed, err := affinity.Place(top, busy, s)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range placed.Runners {
			busy[r.CPU]++
		}
		fmt.Println(placed)
	}
	// Output:
	// 4 cpus, 4 cores, 2 llcs, 1 node
	// r0@2 p0@3, housekeeping@0
	// r0+p0+p1@1, housekeeping@0
}
