package result

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

// Add adds other to c.
func (c *Counters) Add(other Counters) {
	c.In += other.In
	c.Counted += other.Counted
	c.Keyless += other.Keyless
	c.Filtered += other.Filtered
	c.Late += other.Late
	c.Quarantined += other.Quarantined
	c.Shed += other.Shed
	c.Batches += other.Batches
	c.Folded += other.Folded
	c.Direct += other.Direct
	c.Partials += other.Partials
	c.Flushes += other.Flushes
}
