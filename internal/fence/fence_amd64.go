//go:build !purego && !race

package fence

import (
	"sync/atomic"
	"unsafe"
)

// plain says that a store of Release is less than a full fence.
const plain = true

// store stores v after all that was stored before. It is assembly, so the compiler moves nothing across it.
//
//go:noescape
func store(addr *uint64, v uint64)

// Release publishes v in w: who loads it sees all that was stored before. A part of the price of w.Store, which is a full fence too: here a later load may come before the store.
func Release(w *atomic.Uint64, v uint64) { store((*uint64)(unsafe.Pointer(w)), v) }

// An atomic.Uint64 is its value and nothing else.
var _ [8]byte = [unsafe.Sizeof(atomic.Uint64{})]byte{}
