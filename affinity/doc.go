// Package affinity says which CPUs this process may use and how they lie to each other, places runners on them, pins threads, and
// tells what about the host could spoil a measurement.
//
// # Words
//
// A CPU is what the kernel schedules on. The threads of a core (SMT siblings) share its units and first caches, the CPUs of an LLC
// group the last-level cache, those of a node the nearest memory, those of a package the socket. A runner is a thread that steps
// agents: readers and partitions.
//
//	package 0                          package 1
//	node 0           node 1            node 2 ...
//	llc 0            llc 1             llc 2 ...
//	core 0   core 1  core 2   core 3   core 4 ...
//	cpu 0+8  1+9     2+10     3+11     4+12 ...      0 and 8 are SMT 0 and 1 of core 0
//
// # Topology
//
// Discover reads the files of the kernel (sysfs.go), else asks each CPU (scan.go), else knows only how many there are; all of them
// for the usable CPUs alone, so that a cpuset hides the rest of the host from everything here. Numbers of cores and LLC groups are
// this package's own, because the kernel's are unique only within a die or not given at all. Kinds of cores are told by
// their Capacity: within an eighth of each other they are one kind.
//
// # Placement
//
// Place (placement.go) is a pure function from a topology, the runners that each CPU has already, and a Shape to a Placement; the
// caller counts the runners of the process:
//
//	top, _ := affinity.Discover() // once; empty after an error, and then nothing is pinned
//	placed, err := affinity.Place(top, busy, affinity.Shape{Readers: 2, Partitions: 4, Cores: 6})
//	for _, r := range placed.Runners {
//		busy[r.CPU]++ // where r.CPU >= 0; and less again when the runner has ended
//	}
//
// It works on a board (board.go) in three passes. The territory is as many CPUs as there are runners, the best that are free and as
// close together as can be. Runners with partitions take the best of it, mixed with room for readers. Each of the
// others takes the best that is left, near its share of the partitions.
//
// What Place does not know: the load of other processes, the distances between nodes, how busy each agent will be, and the quota of
// the control group (see Quota).
//
// # Pinning
//
// A goroutine first locks itself to its OS thread, then pins that thread, and puts the mask back before it unlocks:
//
//	runtime.LockOSThread()
//	pinned, err := affinity.Pin(3)
//	...
//	if pinned.Restore() == nil {
//		runtime.UnlockOSThread() // else the thread ends with the goroutine
//	}
//
// A new thread inherits the mask of the thread that makes it. The Go runtime knows: while a locked thread exists it makes
// threads from one of its own that is not locked, so a pinned thread gives its mask to none. TestMaskIsNotInherited shows it.
//
// Since Go 1.25 the runtime derives GOMAXPROCS from the affinity of the process now and then. A program that pins sets GOMAXPROCS
// itself (cmd/veloperf does); a library leaves it alone.
//
// # Other systems
//
// Pinning is there on Linux. Elsewhere, and where the kernel refuses, Pin says ErrUnsupported or what the kernel said, and the
// caller goes on without.
package affinity
