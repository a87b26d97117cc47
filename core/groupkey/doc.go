// Package groupkey turns the key columns of a stripe of rows into words, and computes a hash of
// them. A Layout does both eight rows at a time on processors with AVX-512. The hash differs in
// every process, so that nobody outside can choose keys that collide; no file contains it.
//
// # The words of a key
//
// The key of a group is a fixed number of words, the same for every record of a plan. So finding a
// group compares words, and all rows of groups have the same width:
//
//	fixed column      1 word: the value. -0 is stored as 0 and every NaN as one NaN,
//	                  so that equal values have equal words
//	String column     3 words, little-endian: up to 23 bytes in place, byte 23 is their number
//	                  NULL: byte 23 is stringNull, the rest 0
//	                  longer: word 0 is a hash of the bytes, word 1 is their Off<<32|Len,
//	                  byte 23 is stringLong
//	NULL bits         1 word at the end, bit i for key column i; only if a fixed column
//	                  is nullable
//
// The bytes of a long string lie in a heap beside the words: at first in the column of the batch,
// then in the heap of the chunk, then in the heap of the table. Word 1 is the place in that heap,
// and so the only word that may differ between equal keys.
package groupkey
