// Package engine runs a plan. It gives threads to the agents of package core, waits when they have
// nothing to do, contains what goes wrong in other people's code, and shows the results.
//
// # Terminology
//
//	runner    a goroutine, locked to its OS thread and pinned to a CPU, that steps its agents in
//	          turn and waits when none has work
//	agent     a router with its source, or a partition (package core)
//	source    what hands the batches of one reader to its router
//	pump      an ordinary goroutine that calls a blocking Reader and passes its batches on
//	doorbell  how a runner that sleeps is woken
//	mailbox   how commands reach a runner
//
//	pump --batch--> source -> router --chunk--> ring --chunk--> partition -> image -> cut -> Snapshot
//	|  goroutine  |  runner, pinned                          |  runner, pinned  |  any goroutine
//
// # Life cycle
//
// Start checks the whole configuration, starts everything and returns. The engine then runs until
// one of these happens:
//
//   - Every reader has ended. The last marks follow the data, the last epoch is raised, each
//     partition publishes its image, the last image makes the final snapshot visible, and Wait
//     returns.
//   - Shutdown is called. The readers are told to end, and the same happens with what they have
//     read.
//   - Close is called, or the context given to Start ends. Everything stops at once and there is no
//     further snapshot.
//   - A partition panics. The plan has failed, everything stops, and Wait returns the panic as an
//     error.
//
// # Threads and waiting
//
// A runner without work spins for some microseconds, then yields its time slice, then parks on its
// doorbell. Config.Wait can stop it before that. A runner never parks before it has announced that
// it will and has stepped its agents once more. A goroutine that publishes something looks for that
// announcement afterwards. Both use sequentially consistent atomics, so at least one of the two
// sees the other.
//
// # What goes wrong
//
//	a record                counted as quarantined, given to Config.OnReject
//	a transient read error  the source backs off, others flow
//	a fatal read error      the source ends; Wait returns the error when all is done
//	a panic in a reader     the same; the rows of its unfinished batch are dropped and counted
//	a panic in OnReject     the callback is not called any more; Wait returns it
//	a panic in a RouteFunc  the plan has failed, like a panic in a partition
//
// # What is visible when
//
// A snapshot has what every reader had routed at one epoch. A new epoch comes each
// Config.EpochInterval while there are new records, when Sync is called, and at the end. The first
// snapshot is empty and the last is final. Stats has counters at any time. A reader that folds (see
// plan.Exchange) keeps its groups to itself until it flushes, which happens at an epoch at the
// latest. Until then they are in ReaderStats.Groups and not yet in Stats.Groups.
//
// # Commands
//
// Pause and Resume reach a runner through its mailbox. They are done between two steps, on the
// runner's own thread, so they need no lock and cost the data path two loads in each turn.
//
// # What is not here
//
// This package has no formats (see package readers), and it does not find or keep groups (see
// package core).
package engine
