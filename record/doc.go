// Package record has the records that flow through velo: their types and schemas, the columnar
// batches that carry them, and the contracts of what brings them (Reader, Poller, Resumer) and what
// takes results away (Writer, Committer).
//
// # Batches
//
// Records travel in batches of a fixed capacity, column by column:
//
//	            row 0   row 1   row 2
//	symbol      View    View    View     -> Bytes: "AAPL" ... "MSFT" ... "AAPL"
//	price       int64   int64   int64    decimal(18,2): 18950 is 189.50
//	at          int64   int64   int64    timestamp: nanoseconds, UTC
//	Valid       bits, only for a column that has a NULL in this batch
//
// Every type except String is one 64-bit word per value, so keys, routing and aggregation move
// words and need not know types. A String is a View (offset, length) into bytes that may be the
// block of a file in which the field was found: nothing is copied before a new group needs its key.
//
// # Values
//
// Values are bool, int64, float64, string (UTF-8, compared by bytes), timestamp (int64 nanoseconds
// UTC) and decimal(p, s), which counts units of 10^-s: in an int64 up to 18 digits, and in 16 bytes
// up to 38 (see Decimal128). Any of them may be NULL if the
// schema says nullable. In a group key, NULL is a value like any other.
//
// # What is not here
//
// This package does not read or write formats (see package readers), has no expressions, and runs
// nothing: it starts no goroutine.
package record
