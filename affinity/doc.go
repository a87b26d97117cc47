// Package affinity says which CPUs this process may use, pins threads to them, and tells what about the host could spoil a
// measurement.
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
