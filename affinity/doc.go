// Package affinity says which CPUs this process may use and how they are related. It places runners
// on them, pins threads, and reports what about the host could spoil a measurement.
//
// # Words
//
// A CPU is what the kernel schedules on. The threads of a core (SMT siblings) share its units and
// its first caches. The CPUs of an LLC group share the last-level cache, the CPUs of a node share
// the nearest memory, and the CPUs of a package share the socket. A runner is a thread that steps
// agents, which are readers and partitions.
//
//	package 0                          package 1
//	node 0           node 1            node 2 ...
//	llc 0            llc 1             llc 2 ...
//	core 0   core 1  core 2   core 3   core 4 ...
//	cpu 0+8  1+9     2+10     3+11     4+12 ...      0 and 8 are SMT 0 and 1 of core 0
//
// # Topology
//
// Discover reads the files of the kernel (sysfs.go). If that fails it asks each CPU (scan.go), and
// if that fails too it knows only the number of CPUs. All three look only at the usable CPUs, so
// that a cpuset hides the rest of the host from everything here. Cores and LLC groups have this
// package's own numbers, because the kernel's numbers are unique only within a die, or missing.
// Kinds of cores are told apart by their Capacity: cores within an eighth of each other are of one
// kind.
//
// # Placement
//
// Place (placement.go) is a pure function. It takes a topology, the number of runners that each CPU
// has already, and a Shape, and returns a Placement. The caller counts the runners of the process:
//
//	top, _ := affinity.Discover() // once; empty after an error, and then nothing is pinned
//	placed, err := affinity.Place(top, busy, affinity.Demand{Readers: 2, Partitions: 4, Cores: 6})
//	for _, r := range placed.Runners {
//		busy[r.CPU]++ // if r.CPU >= 0; and one less when the runner has ended
//	}
//
// It works on a board (board.go) in three passes. First it chooses the territory, which has as many
// CPUs as there are runners: the best free ones, as close together as possible. Then the runners
// with partitions take the best of the territory, mixed with room for readers. Then each of the
// other runners takes the best CPU that is left, near its share of the partitions.
//
// Place does not know the load of other processes, the distances between nodes, how busy each agent
// will be, and the quota of the control group (see Quota).
//
// # Pinning
//
// A goroutine first locks itself to its OS thread and then pins that thread. It restores the mask
// before it unlocks:
//
//	runtime.LockOSThread()
//	pinned, err := affinity.Pin(3)
//	...
//	if pinned.Restore() == nil {
//		runtime.UnlockOSThread() // else the thread ends with the goroutine
//	}
//
// A new thread inherits the mask of the thread that creates it. The Go runtime takes that into
// account: while a locked thread exists, the runtime creates threads from one of its own that is
// not locked. So a pinned thread never passes its mask on. TestMaskIsNotInherited shows it.
//
// Since Go 1.25 the runtime derives GOMAXPROCS from the affinity of the process from time to time.
// A program that pins should set GOMAXPROCS itself (cmd/veloperf does). A library should leave it
// alone.
//
// # Other systems
//
// Pinning works on Linux. On other systems, and if the kernel refuses, Pin returns ErrUnsupported
// or the kernel's error, and the caller goes on without pinning.
package affinity
