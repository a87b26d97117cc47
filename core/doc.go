// Package core is one core's private world: the router that spreads the records of one reader over the partitions, and the
// partition that keeps the groups of its shards. Neither starts a goroutine, takes a lock, reads a clock or writes a log: they
// are agents, whose Step does a bounded piece of work and returns. Package engine steps them on pinned threads; a test
// steps them in one goroutine, in any order it likes.
//
// # Terminology
//
//	batch      records of one reader, in columns (package record)
//	stripe     up to 512 rows of a batch that are keyed, hashed and scattered together
//	hash       of the group key; its top 8 bits are the shard
//	shard      one of the 256 pieces of the key space; a table says which partition owns it
//	chunk      one slot of a ring, 64 KiB: records or partial states in columns, or a mark
//	fold       aggregate in a table of the router's; route: send the records themselves
//	partial    the state of one group, of some of its records
//	epoch      the number of a consistent cut through all readers (package epoch)
//	mark       the sign of an epoch in a ring: what comes behind it is not in the epoch; the last one is the end of input
//	partition  owner of some shards, and of the table with their groups
//	image      what a partition publishes at an epoch: its table, not to change while it is read
//	cut        the images of all partitions at one epoch
//
// # The data path
//
//	Source --batch--> Router --chunk--> ring --chunk--> Partition --> Image --> Cut
//
//	Router.Step      a batch from the Source; for each stripe: encode and hash the keys, then
//	                 direct: apply the stripe to a partition of the same thread; or
//	                 fold: apply it to the router's own table; or
//	                 route: look up the owners, make room in the open chunk of each, copy the columns that the plan needs to their
//	                 owners' chunks
//	                 a table that has outgrown its limit is flushed: its partial states go to their owners' chunks
//	                 between two batches: a mark to every partition where an epoch has been raised, behind what was folded
//	Partition.Step   a chunk from a ring; for each stripe: find the row of each record or partial, then update or merge it
//	                 with the marks of all readers: publish the image, go on in a twin
//
// # Back-pressure
//
// A Step never waits. Where a ring is full the router keeps its place in the batch and returns; the next Step goes on there. A
// chunk is published when it is full, when the partition has nothing else to do, and before the router idles: so chunks are
// large under load and small when the load is low.
//
// # What is not here
//
// Threads, waiting, errors of sources (package engine), formats (package readers).
package core
