// Package table has the groups of one partition: a hash table whose rows are words without Go pointers, in memory that is not the collector's.
//
// # Shape
//
//	rows     row 0 | row 1 | row 2 | ...      in the order in which the groups came; row 0 is no group
//	row      key words | state words          see record.KeyLayout and core/agg
//	heap     the bytes of strings too long for the words of a key
//	blocks   what states keep beside the row, texts and sketches: see core/agg
//	near     32 bits for each slot: the number of a row, 0 where there is none
//	buckets  lines of ten tags of 15 bits and ten numbers of rows
//
// A table has one of two indexes. Near is open addressing with linear probing, a sixteenth full at most: up to 4,096 groups, whose index and rows
// fit the second-level cache. (The rows of keys of three words, as texts are, are compared eight at a time with AVX-512, in either index.) Above that, a bucket is one cache line: a key's home is
// chosen by the bits of its hash behind those of the shard, the tags in it are compared with other bits of the hash by AVX2, and the one that
// matches says the row. So a record of a large table waits for two lines, which a stripe asks for far ahead.
// (Tags beside each other in a line are Google's Swiss table's and Meta's F14's.)
//
// # Operations
//
// FindOrCreate takes the hashes and the keys of a stripe and gives the place of each row, making rows for new groups. It
// reserves room for the whole stripe first, so that no row moves until the next call. FindAndUpdate updates states of the rows while it
// looks at their keys. Get finds one group and changes nothing. Rows are never removed: a table is dropped as a whole, or begun anew by Reset.
//
// # Growth
//
// Rows are only added behind the last, in a region that grows in place (internal/arena). The buckets double in place, a few at a time: see buckets.
// No call splits many more buckets than half of what the stripe before had new groups. Ready says whether there is memory for more without
// waiting for the kernel. BenchmarkBuild has the longest call.
//
// # Memory
//
// What a table takes comes out of the budget of its Memory. Where that is used up, records of groups that are there are still counted in them; one
// of a new group gets row 0 and is counted by Shed. Free gives everything back; a table that nobody has is freed by the collector.
//
// # Threads
//
// One goroutine writes. After a Freeze, and a publication that orders it, any number may read until the table follows another: see Twins.
package table
