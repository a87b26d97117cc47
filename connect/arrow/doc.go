// Package arrow writes rows as streams of Apache Arrow (its IPC format for streams). A main package
// that imports it has the encoding "arrow": velo query --format arrow, and answers of velo serve to
// clients that accept application/vnd.apache.arrow.stream. See package connect.
//
// Types are those of velo's one by one: bool, int64, float64, utf8, timestamp[ns, UTC] and
// decimal128(p, s). Batches are record batches, not packed.
//
// # What is not here
//
// Streams are not read: a source of Arrow would be a connector of its own.
package arrow
