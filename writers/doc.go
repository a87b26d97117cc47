// Package writers takes results away: as CSV, as JSON objects a line each, as a table for people, to files, or to a function. They are what engine.Config.Writer takes.
//
//	CSV, NDJSON   to any io.Writer
//	Table         the same, aligned, for a terminal; kept until Close
//	File          CSV or NDJSON in files that appear under their names only when they are whole; rotated by size and time
//	Func          a function
//
// A writer is used by one goroutine. Values are written so that they can be read back: timestamps as RFC 3339 in UTC, decimals with all their digits,
// floats with as many as tell them from all others. NULL is a field without anything in CSV,
// where an empty text is "", and null in JSON; Table says NULL.
//
// Writers buffer; Close writes what is left, and closes what is written to where that is an io.Closer.
//
// # Files
//
// A file is written under a name that ends in .unfinished, beside the one it will have; when it is whole it is synced and renamed, and then the folder is synced. So there is no
// moment at which a reader of the name, or a process that was killed, leaves half a file there. A Write takes a batch as a whole or not at all:
//
//	the disk is full      an error, transient where FileConfig.AwaitSpace says so; the batch can be written again
//	any other error       final; the unfinished file stays and the error has its name
//	the process is killed the unfinished file stays; Leftovers finds it
//	Abandon               the unfinished file is removed
//
// # What is not here
//
// Appending to files that are there, compression, transactions by epoch.
package writers
