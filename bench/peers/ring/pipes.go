package main

// A pipe is a queue that carries numbers from one thread to another. A call handles many items, or
// a round trip, so that its being indirect does not matter; the loops inside call the queue
// directly.
type pipe interface {
	// produce sends the n numbers from first on and returns when the consumer can get them all.
	produce(first uint64, n int)
	// consume takes n numbers. wrong is 0 if they were the numbers from first on.
	consume(first uint64, n int) (wrong uint64)
}

// A peer is an implementation of a queue, and how it is measured.
type peer struct {
	name  string
	bytes int  // of an item
	burst int  // items for each look at the clock: at least about 10 us
	free  bool // runs on goroutines, not on pinned threads
	cases []string
	open  func(slots int) pipe
}

// chunkBytes is the size of a large slot. chunkSlots is how many there are, the same for velo's
// ring and for memcpy.
const (
	chunkBytes = 64 << 10
	chunkSlots = 32
)

var (
	items      = []string{oneWay, sameThread, roundTrip}
	oneWayOnly = []string{oneWay}
)

const burst = 1 << 16

// inGo are the implementations in Go, in the order of the output.
var inGo = []*peer{
	{name: "velo-push", bytes: 8, burst: burst, cases: items, open: newVeloPush},
	{name: "velo-batch64", bytes: 8, burst: burst, cases: items, open: veloBatchOf(64)},
	{name: "velo-batch256", bytes: 8, burst: burst, cases: oneWayOnly, open: veloBatchOf(256)},
	{name: "velo-inplace64", bytes: 8, burst: burst, cases: items, open: veloInPlaceOf(64)},
	{name: "velo-inplace256", bytes: 8, burst: burst, cases: oneWayOnly, open: veloInPlaceOf(256)},
	{name: "xsync", bytes: 8, burst: burst, cases: items, open: newXsync},
	{name: "channel", bytes: 8, burst: burst, cases: items, open: newChannel},
	{name: "channel (free)", bytes: 8, burst: burst, free: true, cases: []string{oneWay, roundTrip}, open: newChannel},
	{name: "workiva", bytes: 8, burst: burst, cases: items, open: newWorkiva},
	{name: "workiva (free)", bytes: 8, burst: burst, free: true, cases: []string{oneWay, roundTrip}, open: newWorkiva},
	{name: "two words", bytes: 8, cases: []string{roundTrip}, open: newWord},
	{name: "velo-slot64k", bytes: chunkBytes, burst: 64, cases: oneWayOnly, open: newVeloChunks},
	{name: "memcpy", bytes: chunkBytes, burst: 64, cases: oneWayOnly, open: newPlainCopy},
}
