package affinity

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"github.com/klauspost/cpuid/v2"
	"github.com/klauspost/cpuid/v2/topology"
)

// scanTopology asks each usable CPU for its place, which pins a thread to each CPU in turn. It uses
// a thread of its own. The caller's thread may be a runner's that is pinned to one CPU, and then
// only that CPU would be seen. ok is false if it cannot be done.
func scanTopology(usable []int) (t Topology, ok bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var sys *topology.System
		var err error
		if keepMask(func() { sys, err = cpuid.ScanTopology() }) {
			// Otherwise the thread, with its foreign mask, ends with this goroutine.
			runtime.UnlockOSThread()
		}
		if err == nil {
			t, ok = fromSystem(sys, usable)
		}
	}()
	<-done
	return t, ok
}

// fromSystem makes a Topology of what cpuid found. The ID of a Thread is its place among the CPUs
// that were asked, and not the kernel's number, so all usable CPUs must have answered. Equal APIC
// ids mean that pinning did nothing (in a sandbox that only pretends to pin), so that the same CPU
// answered twice.
func fromSystem(sys *topology.System, usable []int) (t Topology, ok bool) {
	if sys == nil || !sys.Scanned || len(usable) == 0 {
		return Topology{}, false
	}
	var raw []rawCPU
	apics, indices := map[uint32]bool{}, map[int]bool{}
	for p, pkg := range sys.Packages {
		for g, group := range pkg.Groups {
			for _, core := range group.Cores {
				for _, thread := range core.Threads {
					if thread.ID < 0 || thread.ID >= len(usable) {
						return Topology{}, false
					}
					apics[thread.APICID], indices[thread.ID] = true, true
					raw = append(raw, rawCPU{
						id: usable[thread.ID], pkg: p, node: group.NUMANode, capacity: capacityOf(core.Type),
						core: fmt.Sprintf("core %d", core.ID), llc: fmt.Sprintf("package %d group %d", p, g),
					})
				}
			}
		}
	}
	if len(raw) != len(usable) || len(apics) != len(usable) || len(indices) != len(usable) {
		return Topology{}, false
	}
	// Intel does not report nodes; then all are 0. In that case each package is taken for a node.
	if !slices.ContainsFunc(raw, func(r rawCPU) bool { return r.node != 0 }) {
		for i := range raw {
			raw[i].node = raw[i].pkg
		}
	}
	slices.SortFunc(raw, func(a, b rawCPU) int { return cmp.Compare(a.id, b.id) })
	return assemble(raw, SourceCPUID), true
}

func capacityOf(t topology.CoreType) int {
	switch t {
	case topology.Efficiency, topology.Dense:
		return efficientCapacity
	case topology.LPEfficiency:
		return efficientCapacity * efficientCapacity / FullCapacity // one kind slower
	}
	return FullCapacity
}
