// Package arrow writes rows as streams of Apache Arrow (its IPC format for streams). A main package
// that imports it has the encoding "arrow": velo query --format arrow, and answers of velo serve to
// clients that accept application/vnd.apache.arrow.stream. See package connect.
//
// Types are those of velo's one by one: bool, int64, float64, utf8, timestamp[ns, UTC] and
// decimal128(p, s). Batches are record batches, not packed.
//
// Streams are read, too, wherever the name of a file may stand, and from standard input: see
// Source.
//
// # What is not here
//
// The file format of Arrow is not read. Fields with others within are left out.
package arrow
