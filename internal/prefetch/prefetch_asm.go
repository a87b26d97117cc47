//go:build (amd64 || arm64) && !purego

package prefetch

import "unsafe"

// Enabled says whether prefetches do anything here.
const Enabled = true

// Each prefetches the cache lines that are offsets bytes after base, into the second-level cache.
// That cache can wait for more lines at a time than the first. The addresses may be anywhere,
// because a prefetch never faults.
func Each(base unsafe.Pointer, offsets []uint64) {
	each(base, unsafe.SliceData(offsets), len(offsets))
}

//go:noescape
func each(base unsafe.Pointer, offsets *uint64, n int)
