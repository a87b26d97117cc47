package result

import "unsafe"

// Counters say what became of the records of one reader. It always holds that In = Counted +
// Filtered + Late + Quarantined + Shed.
type Counters struct {
	In          uint64 // records read
	Counted     uint64 // records that went into a group
	Keyless     uint64 // counted records whose key columns are all NULL
	Filtered    uint64 // records that the plan's Where did not let pass
	Late        uint64 // records that no window took any more
	Quarantined uint64 // records that could not be read or that do not fit a chunk
	Shed        uint64 // records of new groups for which there was no memory
	Batches     uint64 // batches taken from the source
	Folded      uint64 // counted records that the reader folded
	Direct      uint64 // counted records that were applied in place; the rest were routed
	Partials    uint64 // partial states that were sent for the folded records
	Flushes     uint64 // flushes of the tables that the reader folds into
}

// CounterWords is the number of counters in Counters.
const CounterWords = int(unsafe.Sizeof(Counters{}) / 8)

// Words are the counters as an array, in the order of the fields, for code that treats all of them
// alike. It is c itself: Counters has nothing but words of 64 bits.
func (c *Counters) Words() *[CounterWords]uint64 { return (*[CounterWords]uint64)(unsafe.Pointer(c)) }

// Add adds other to c.
func (c *Counters) Add(other Counters) {
	words := c.Words()
	for i, n := range other.Words() {
		words[i] += n
	}
}
