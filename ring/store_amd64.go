//go:build !purego && !race

package ring

import (
	"sync/atomic"
	"unsafe"
)

// storeRelease stores v after all that was stored before. It is assembly, so the compiler moves nothing across it.
//
//go:noescape
func storeRelease(addr *uint64, v uint64)

// release publishes v in w with a release store: a part of the price of w.Store, which is a full fence too.
func release(w *atomic.Uint64, v uint64) { storeRelease((*uint64)(unsafe.Pointer(w)), v) }

// An atomic.Uint64 is its value and nothing else.
var _ [8]byte = [unsafe.Sizeof(atomic.Uint64{})]byte{}
