package testgen

import "testing"

// shortPart is the part of the seeds that -short runs.
const shortPart = 8

// Seeds returns how many of n random inputs a test tries: all of them, or an eighth under -short,
// at least two.
func Seeds(n int) uint64 {
	if testing.Short() {
		n = min(n, max(n/shortPart, 2))
	}
	return uint64(n)
}
