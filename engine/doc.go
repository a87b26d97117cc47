// Package engine runs a plan: it gives threads to the agents of package core, waits for them when there is nothing to do,
// contains what goes wrong in other people's code, and shows what came out.
//
// # Terminology
//
//	runner    a goroutine, locked to its OS thread and pinned to a CPU, that steps its agents in turn and waits when none has work
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
//
//   - every reader has ended: the last marks travel behind the data, the last epoch is raised, each partition publishes its image, the last one
//     makes the final snapshot visible, and Wait returns;
//   - Shutdown: the readers are told to end, and the same happens with what they have read;
//   - Close, or the end of the context given to Start: everything stops at once, no further snapshot;
//   - a panic in a partition: the plan has failed; everything stops, Wait returns the panic as an error.
//
// # Threads and waiting
//
// A runner without work spins for some microseconds, then yields its time slice, then parks on its doorbell; Config.Wait stops it
// before that. A runner never
// parks before it has announced that it will and has stepped its agents once more; whoever publishes something looks for that
// announcement afterwards. Both are sequentially consistent atomics, so one of the two sees the other.
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
// A snapshot has what every reader had routed at one epoch. Epochs come each Config.EpochInterval while there are new records, when somebody
// calls Sync, and at the end: the last is final. The first is empty. Stats has counters at any time. A reader that folds (see core.Exchange) keeps its groups to
// itself until it flushes, at an epoch at the latest: they are in ReaderStats.Groups and not yet in Stats.Groups.
//
// # Commands
//
// Pause and Resume reach a runner through its mailbox and are done between two steps, on the runner's own thread, so they need no lock
// and cost the data path two loads in each turn.
//
// # What is not here
//
// Formats (package readers), and how groups are found and kept (package core).
package engine
