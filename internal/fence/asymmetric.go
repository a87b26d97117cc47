package fence

import (
	"sync/atomic"

	"github.com/velo-engine/velo/internal/invariants"
)

// An Asymmetric makes the cheap side of a pair and the other. It is what a process can do, so it stays as it is.
type Asymmetric struct{ light bool }

// Prepare says what this process can do. The first call may take some milliseconds, where the system has to be told.
func Prepare() Asymmetric { return Asymmetric{plain && prepare()} }

// Announce stores v in w before whatever the calling goroutine loads next, as far as anybody can tell who has loaded w after All. Where the system cannot fence others it is a full
// fence.
func (a Asymmetric) Announce(w *atomic.Uint64, v uint64) {
	if a.light {
		Release(w, v)
	} else {
		w.Store(v)
	}
}

// All has every thread of the process pass a full fence, the calling one included, and returns when they have: what was announced before is seen from here on, and who announces
// later sees what was stored before. It is a system call of some microseconds.
func (a Asymmetric) All() {
	if invariants.Enabled {
		invariants.At("fence.All", nil)
	}
	if a.light {
		all()
	}
}
