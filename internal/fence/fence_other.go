//go:build !amd64 || purego || race

package fence

import "sync/atomic"

// plain says that a store of Release is less than a full fence.
const plain = false

// Release publishes v in w: who loads it sees all that was stored before. Go has no store that does only that; what it has does more. The race detector would not see one in
// assembly.
func Release(w *atomic.Uint64, v uint64) { w.Store(v) }
