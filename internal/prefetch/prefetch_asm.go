//go:build (amd64 || arm64) && !purego

package prefetch

import "unsafe"

// Enabled says whether prefetches do anything here.
const Enabled = true

// Each asks for the cache lines at offsets bytes behind base, to come into the second-level cache: it can wait for more lines at a time than the first. They may be anywhere: a prefetch does not fault.
func Each(base unsafe.Pointer, offsets []uint64) {
	each(base, unsafe.SliceData(offsets), len(offsets))
}

//go:noescape
func each(base unsafe.Pointer, offsets *uint64, n int)
