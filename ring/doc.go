// Package ring has the queue between two goroutines that everything in velo travels through. It is
// a bounded ring buffer with one producer and one consumer (SPSC), without locks, waits or
// allocation.
//
// # Terminology
//
//	slot  one element; their number is a power of two and fixed
//	tail  the producer's position: slots before it are written
//	head  the consumer's position: slots before it are free again
//
// Both positions count up for ever and wrap at 2^64. Position i lies in slot i mod the number of
// slots. The ring is empty if tail == head and full if tail - head == slots, both in unsigned
// arithmetic.
//
//	            head            tail
//	              v               v
//	+---+---+---+---+---+---+---+---+---+---+
//	|   |   |   | x | x | x | x |   |   |   |      x: the consumer's, the rest: the producer's
//	+---+---+---+---+---+---+---+---+---+---+
//
// # Who owns a slot
//
// The producer owns slots [tail, head+slots), the consumer owns [head, tail). A slot changes hands
// only by the store of a position, and each position has one writer:
//
//	tail.Store in publish  pairs with  tail.Load in refreshTail: hands over written slots
//	head.Store in publish  pairs with  head.Load in refreshHead: hands back free slots
//
// Go's atomics are sequentially consistent, so what was written to a slot before the store is seen
// after the load. Each end keeps the other's position as it last saw it, and looks again only if
// that says empty or full. So a busy ring moves one cache line for many slots.
//
// # In place, copied, single
//
//   - In place: the producer calls Reserve, writes into the slots and calls Commit. The consumer
//     calls Peek, reads from the slots and calls Release. Each call of Commit or Release takes one
//     store, and nothing is copied.
//   - PushN and PopN copy a batch.
//   - Push and Pop move one element and publish lazily, every 64 elements; Flush publishes the
//     rest. An element that was pushed and not flushed may stay unseen for ever.
//
// On amd64 an atomic store is an XCHG, which takes about 20 cycles and drains the store buffer.
// That price is paid once for each publication, and on purpose: a goroutine that publishes and then
// looks whether the other side sleeps needs the fence (see the doorbell in package engine).
//
// # What is not here
//
// This package never waits: every call returns at once. Blocking, back-pressure and wake-ups belong
// to the runner that owns the ends.
//
// The design follows rigtorp's SPSCQueue (cached positions). The claim and commit calls follow LMAX
// Disruptor and Aeron.
package ring
