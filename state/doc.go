// Package state keeps what an engine has aggregated in files, so that it survives a restart. An
// engine uses it (engine.Config.State); programs use it to look at a folder of state, to verify it
// and to copy it.
//
// # Generations
//
// A folder has generations, numbered from 1. A generation is everything about one epoch of an
// engine: the groups, where each split of each source stood, which windows had closed and been
// written, and what had become of all records. It consists of a manifest and of the segments that
// the manifest names:
//
//	generation-00000012.manifest  what there is, with the length and the digests of every part
//	generation-00000012.open      rows, long keys and blocks of panes that still change
//	generation-00000012.closed    the same of panes that do not change any more
//
// The rename of the manifest is the one moment at which a generation comes to be. Segments are
// synced before. They are never changed after that, and a later generation names the parts of them
// that still hold. A segment is removed when no kept generation names it.
//
// Two generations are kept. If the newest is damaged, the one before is taken, and that is said.
//
// # Parts
//
// A part is a piece of memory as it was: rows of a table one after the other, the bytes of long
// keys, or blocks of states. Nothing in it is an address, and everything is little-endian. The
// manifest has a digest for each MiB of a part, which depends on the job, so neither a flipped bit
// nor a part of another job or of another place passes. The digests are MetroHash of 64 bits: they
// find accidents, not forgers.
//
// Hashes of keys are not saved, because each process has seeds of its own. So a reader of a
// folder does not learn how to make keys that collide.
//
// The design takes from Flink that the restored job may have any parallelism, from TigerBeetle and
// ZFS that checksums lie in the parent and not beside the data, and from PostgreSQL's experience
// that a file whose sync has failed once is never synced again but thrown away.
package state
