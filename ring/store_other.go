//go:build !amd64 || purego || race

package ring

import "sync/atomic"

// release publishes v in w with a release store. Go has none of its own; what it has does more. The race detector would not see
// one in assembly.
func release(w *atomic.Uint64, v uint64) { w.Store(v) }
