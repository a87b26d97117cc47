package prefetch

import (
	"slices"
	"testing"
	"unsafe"
)

// Goal: prefetches of anything, any number of them, change nothing and do not fault.
func TestEach(t *testing.T) {
	words := make([]uint64, 100)
	for n := range 20 {
		offsets := make([]uint64, n)
		for i := range offsets {
			offsets[i] = uint64(i) * 0x123456789abcd // far outside too
		}
		before := slices.Clone(offsets)
		Each(unsafe.Pointer(&words[0]), offsets)
		if !slices.Equal(offsets, before) {
			t.Fatal("the offsets have changed")
		}
	}
}
