// Package pages makes large blocks of words for which the kernel is asked to use huge pages: a table of some megabytes, reached at random,
// spends more time on finding its pages than on reading them.
//
// The blocks are ordinary Go memory without pointers: the collector frees them and never looks into them.
package pages

// hugePage is the size of a huge page on the systems that velo knows.
const hugePage = 2 << 20

// Make makes n words that are zero.
func Make(n int) []uint64 {
	words := make([]uint64, n)
	if 8*n >= hugePage {
		advise(words)
	}
	return words
}
