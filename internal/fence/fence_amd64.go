//go:build !purego && !race

package fence

import (
	"sync/atomic"
	"unsafe"
)

// plain says that the store of Release is less than a full fence.
const plain = true

// store stores v after everything that was stored before. It is assembly, so the compiler moves
// nothing across it.
//
//go:noescape
func store(addr *uint64, v uint64)

// Release publishes v in w: a goroutine that loads v sees everything that was stored before. It
// costs a part of w.Store, which is also a full fence. Here a later load may happen before the
// store.
func Release(w *atomic.Uint64, v uint64) { store((*uint64)(unsafe.Pointer(w)), v) }

// storeAhead is store that first asks for the line at ahead.
//
//go:noescape
func storeAhead(addr *uint64, v uint64, ahead unsafe.Pointer)

// ReleaseAhead is Release by a goroutine that will write to ahead soon: it asks for that line
// meanwhile, which another processor may have. ahead may point anywhere.
func ReleaseAhead(w *atomic.Uint64, v uint64, ahead unsafe.Pointer) {
	storeAhead((*uint64)(unsafe.Pointer(w)), v, ahead)
}

// This checks that an atomic.Uint64 is its value and nothing else.
var _ [8]byte = [unsafe.Sizeof(atomic.Uint64{})]byte{}
