// Package table has the groups of one partition. A table is a hash table whose rows are words
// without Go pointers, in memory that the garbage collector does not manage.
//
// # Shape
//
//	rows     row 0 | row 1 | row 2 | ...   in the order in which the groups came; row 0 is no group
//	row      key words | state words       see groupkey.Layout and core/agg
//	heap     the bytes of strings too long for the words of a key
//	blocks   what states keep beside the row, texts and sketches: see core/agg
//	near     32 bits for each slot: the number of a row, or 0 if there is none
//	buckets  lines of ten tags of 15 bits and ten numbers of rows
//
// A table has one of two indexes. The near index uses open addressing with linear probing and is at
// most a sixteenth full. It is for up to 4,096 groups, whose index and rows fit the second-level
// cache. Above that the index consists of buckets, and a bucket is one cache line. The home of a
// key is chosen by the bits of its hash after those of the shard. AVX2 compares the tags in the
// bucket with other bits of the hash, and the tag that matches gives the row. So a record of a
// large table waits for two lines, which a stripe requests far ahead. In either index the rows of
// keys of three words, such as texts, are compared eight at a time with AVX-512. (Google's Swiss
// table and Meta's F14 also keep tags next to each other in a line.)
//
// # Operations
//
// FindOrCreate takes the hashes and the keys of a stripe and returns the place of each row. It
// makes rows for new groups. It first reserves room for the whole stripe, so that no row moves
// until the next call. FindAndUpdate updates the states of the rows while it looks at their keys.
// Get finds one group and changes nothing. Rows are never removed: a table is dropped as a whole,
// or emptied by Reset.
//
// # Growth
//
// Rows are only added after the last row, in a region that grows in place (internal/arena). The
// buckets double in place, a few at a time: see buckets. No call splits many more buckets than half
// the number of new groups of the previous stripe. Ready says whether there is memory for more
// groups without waiting for the kernel. BenchmarkBuild measures the longest call.
//
// # Memory
//
// What a table takes is charged to the budget of its Memory. When that is used up, records of
// existing groups are still counted in them. A record of a new group gets row 0 and is counted by
// Shed. Free gives everything back. The garbage collector frees a table that is no longer
// referenced.
//
// # Threads
//
// One goroutine writes. After a Freeze, and a publication that orders it, any number of goroutines
// may read until the table follows another: see Twins.
package table
