//go:build !amd64 || purego || race

package fence

import (
	"sync/atomic"
	"unsafe"
)

// plain says that the store of Release is less than a full fence.
const plain = false

// Release publishes v in w: a goroutine that loads v sees everything that was stored before. Go has
// no store that does only that; its atomic store does more. The race detector would not see a store
// in assembly.
func Release(w *atomic.Uint64, v uint64) { w.Store(v) }

// ReleaseAhead is Release.
func ReleaseAhead(w *atomic.Uint64, v uint64, _ unsafe.Pointer) { w.Store(v) }
