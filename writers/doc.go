// Package writers takes results away: as CSV, as one JSON object per line, as a table for people,
// to files, or to a function. Its types can be used as engine.Config.Writer.
//
//	CSV, NDJSON   to any io.Writer
//	Table         the same, aligned, for a terminal; kept until Close
//	File          CSV, NDJSON, or a format of one's own, in files that get their names only when
//	              they are complete; rotated by size and time
//	Func          a function
//
// A writer is used by one goroutine. Values are written so that they can be read back: timestamps
// as RFC 3339 in UTC, decimals with all their digits, floats with enough digits to distinguish them
// from all others. NULL is an empty field in CSV, where an empty text is "", and null in JSON;
// Table writes NULL.
//
// Writers buffer. Close writes the rest, and closes the io.Writer below if it is an io.Closer.
//
// # Files
//
// A file is written under a name that ends in .unfinished, beside its final name. When it is
// complete it is synced and renamed, and then the folder is synced. So there is no moment at which
// somebody who opens the name can see half a file, even if the process is killed. A Write takes a
// batch as a whole or not at all:
//
//	the disk is full      an error, transient if FileConfig.AwaitSpace says so; the batch can be
//	                      written again
//	any other error       final; the unfinished file stays and the error has its name
//	the process is killed the unfinished file stays; Leftovers finds it
//	Abandon               the unfinished file is removed
//
// # What is not here
//
// The writers do not append to existing files and do not compress. Other formats come with an
// Encoder, such as Parquet in the module connect/parquet.
package writers
