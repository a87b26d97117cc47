// Package model has the protocols of velo's lock-free parts in Promela, for the model checker Spin, and a test that has Spin
// look at every interleaving of them.
//
//	ring.pml   one producer and one consumer: cached indices, lazy publication, close and drain   ring/ring.go
//	bell.pml   two runners that park on their doorbells over a ring, with a stop from outside      engine/bell.go, engine/runner.go
//	pump.pml   a pump that waits for a free batch on a channel                                     engine/source.go
//	epoch.pml  epochs that are wanted, raised, answered and pinned                                 core/epoch/epoch.go
//	marks.pml  the marks of an epoch, behind the rows of each reader and aligned in each partition core/router.go, core/partition.go
//
// Each model has assertions (nothing lost, nothing twice, order, no slot touched by both sides at once) and ends that are valid; a lost
// wake-up is a state without an end. Each also has bugs, switched on by -DBUG_..., that Spin must find: so the test shows that the
// assertions bite, and that each line of the protocol is needed.
//
// # What is not modelled
//
// Weak memory: Go's atomics are sequentially consistent, and so are Spin's variables. That the plain stores into a slot are ordered by
// the atomic ones is Go's memory model; the race detector looks after it. ring.PushRelease is not sequentially consistent and
// is not modelled; the litmus tests of package ring are about it. Time-outs are left out, or a lost wake-up would be
// mended by one.
//
// Of a router: folding, whose partials go before the marks as rows do; and Source.Cut, so that an epoch has what was handed to a reader
// before it was raised. The tests of packages engine and readers are about that.
//
// # By hand
//
//	spin -a bell.pml && cc -O2 -o pan pan.c && ./pan -m100000
//	spin -a -DBUG_LOOK_FIRST bell.pml && cc -O2 -o pan pan.c && ./pan -m100000; spin -t -p -DBUG_LOOK_FIRST bell.pml
package model
