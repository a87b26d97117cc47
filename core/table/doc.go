// Package table has the groups of one partition: a hash table whose rows are words without Go pointers.
//
// # Shape
//
//	index   32 bits per slot: 0, or the number of a row plus one
//	rows    row 0 | row 1 | row 2 | ...      in the order in which the groups came
//	row     key words | state words          see record.KeyLayout and core/agg
//	heap    the bytes of strings too long for the words of a key
//
// The index is open addressing with linear probing, a quarter full at most, an eighth while it is small. A row is found by the bits
// of the hash below those that choose the shard (record of the hash's top bits: package core), and compared by its key: a
// piece of the hash in the index would spare some comparisons and cost twice the memory.
//
// # Operations
//
// FindOrCreate takes the hashes and the keys of a stripe and gives the place of each row, making rows for new groups. It
// reserves room for the whole stripe first, so that no row moves until the next call. Get finds one group and changes
// nothing. Rows are never removed: a table is dropped as a whole.
//
// # Threads
//
// One goroutine writes. After the last write, and a publication that orders it, any number may read.
package table
