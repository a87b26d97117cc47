// Package core is one core's private world: the router that spreads the records of one reader over
// the partitions, and the partition that keeps the groups of its shards. Neither starts a
// goroutine, takes a lock, reads a clock or writes a log. They are agents: their Step does a
// bounded piece of work and returns. Package engine steps them on pinned threads; a test steps them
// in one goroutine, in any order it likes.
//
// Users of velo do not need this package: package plan has what they write, package result what
// they read, and package engine runs both. What is exported here and in the packages below is for
// package engine, benchmarks and tests. It may change with any release.
//
// # Terminology
//
//	batch      records of one reader, in columns (package record)
//	stripe     up to 512 rows of a batch that are keyed, hashed and scattered together
//	hash       the hash of the group key; its top 8 bits are the shard
//	shard      one of the 256 pieces of the key space; a table says which partition owns it
//	chunk      one slot of a ring, 64 KiB: records or partial states in columns, or a mark
//	fold       to aggregate in a table of the router's own
//	route      to send the records themselves
//	partial    the state of one group, for some of its records
//	epoch      the number of a consistent cut through all readers (package epoch)
//	mark       the sign of an epoch in a ring: what comes after it is not in the epoch; the last
//	           mark is the end of input
//	partition  the owner of some shards, and of the table with their groups
//	image      what a partition publishes at an epoch: its table, which does not change while it is
//	           read
//	cut        the images of all partitions at one epoch
//
// # The data path
//
//	Source --batch--> Router --chunk--> ring --chunk--> Partition --> Image --> Cut
//
//	Router.Step      takes a batch from the Source; for each stripe it encodes and hashes the keys,
//	                 then
//	                 direct: applies the stripe to a partition of the same thread; or
//	                 fold: applies it to the router's own table; or
//	                 route: looks up the owners, makes room in the open chunk of each, copies the
//	                 columns that the plan needs to the chunks of their owners
//	                 flushes a table that has outgrown its limit: its partial states go to the
//	                 chunks of their owners
//	                 between two batches, if an epoch has been raised, sends a mark to every
//	                 partition, after what was folded
//	Partition.Step   takes a chunk from a ring; for each stripe it finds the row of each record or
//	                 partial, then updates or merges it
//	                 with the marks of all readers it publishes the image and goes on in a twin
//
// # Back-pressure
//
// A Step never waits. If a ring is full the router keeps its place in the batch and returns; the
// next Step goes on there. A chunk is published when it is full, when the partition has nothing
// else to do, and before the router idles. So chunks are large under load and small when the load
// is low.
//
// # What is not here
//
// Threads, waiting and errors of sources are in package engine, formats in package readers.
package core
