// Package writers takes results away: as CSV, as JSON objects a line each, or to a function. They are what engine.Config.Writer takes.
//
// A writer is used by one goroutine. Values are written so that they can be read back: timestamps as RFC 3339 in UTC, decimals with all their digits,
// floats with as many as tell them from all others. NULL is an empty field in CSV, and null in JSON.
//
// Writers buffer; Close writes what is left, and closes what is written to where that is an io.Closer.
package writers
