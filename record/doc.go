// Package record has the records that flow through velo: their types and schemas, the columnar batches that carry them,
// and the contracts of whoever brings them (Reader, Poller, Resumer) and takes results away (Writer, Committer).
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
// Every type but String is one 64-bit word per value, so keys, routing and aggregation move words and know nothing of types.
// A String is a View (offset, length) into bytes that may be the block of a file the field was found in: nothing is
// copied before a new group needs its key.
//
// # Values
//
// bool, int64, float64, string (UTF-8, compared by bytes), timestamp (int64 nanoseconds UTC) and decimal(p <= 18, s), an
// int64 that counts units of 10^-s. Any of them may be NULL where the schema says nullable. NULL is a value of a group key like
// any other.
//
// # Keys
//
// A KeyLayout makes words of the key columns of a stripe of rows, and a hash of those (see key.go). Both go eight rows at a time where there is
// AVX-512. The hash is another in every process, so nobody outside can choose keys that collide; no file has it.
//
// # What is not here
//
// Reading and writing of formats (package readers), expressions, and anything that runs: this package starts no goroutine.
package record
