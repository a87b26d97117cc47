// Package model has the protocols of velo's lock-free parts in Promela, for the model checker Spin,
// and a test in which Spin looks at every interleaving of them.
//
//	ring.pml   ring/ring.go: one producer and one consumer, with cached indices, lazy
//	           publication, close and drain
//	bell.pml   engine/bell.go, engine/runner.go: two runners that park on their doorbells over a
//	           ring, with a stop from outside
//	pump.pml   engine/source.go: a pump that waits for a free batch on a channel
//	epoch.pml  core/epoch/epoch.go: epochs that are wanted, raised, answered and pinned
//	marks.pml  core/router.go, core/partition.go: the marks of an epoch, after the rows of each
//	           reader and aligned in each partition
//	state.pml  engine/keeper.go, engine/restore.go, package state: generations, what the writer
//	           has, and crashes of the process and of the machine
//
// Each model has assertions (nothing is lost, nothing comes twice, the order is kept, no slot is
// touched by both sides at once) and a set of valid end states. A lost wake-up shows as a state
// without an end. Each model also has bugs that -DBUG_... switches on and that Spin must find. So
// the test shows that the assertions bite and that each line of the protocol is needed.
//
// # What is not modelled
//
// Weak memory is not modelled: Go's atomics are sequentially consistent, and so are Spin's
// variables. Go's memory model says that the atomic stores order the plain stores into a slot, and
// the race detector checks it. ring.PushRelease is not sequentially consistent and is not modelled;
// the litmus tests of package ring cover it. Time-outs are left out, because one of them would hide
// a lost wake-up.
//
// A file is whole or torn, and a call of the disk is one step. The tests of packages state and
// engine have the bytes, and end at each call. Keys, windows that overlap, and splits that have
// several readers are not modelled, either.
//
// Two parts of a router are left out: folding, whose partials go before the marks as rows do, and
// Source.Drained, which makes an epoch have what was handed to a reader before it was raised. The
// tests of packages engine and readers cover them.
//
// # By hand
//
//	spin -a bell.pml && cc -O2 -o pan pan.c && ./pan -m100000
//	spin -a -DBUG_LOOK_FIRST bell.pml && cc -O2 -o pan pan.c && ./pan -m100000
//	spin -t -p -DBUG_LOOK_FIRST bell.pml
package model
