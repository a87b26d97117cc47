package fence

import (
	"sync/atomic"

	"github.com/velo-engine/velo/internal/invariants"
)

// An Asymmetric is the cheap and the expensive side of a pair of fences. It describes what the
// process can do, so it never changes.
type Asymmetric struct{ light bool }

// Prepare returns what this process can do. The first call takes 10 to 20 ms if Linux must be told:
// in a process of several threads it waits for a grace period of RCU, and the process cannot end
// before that either. So who needs no fence does not call it.
func Prepare() Asymmetric { return Asymmetric{plain && prepare()} }

// FencesOthers says whether All fences other threads.
func (a Asymmetric) FencesOthers() bool { return a.light }

// Announce stores v in w before anything that the calling goroutine loads next, as far as any
// goroutine can tell that loads w after All. If the system cannot fence other threads, Announce is
// a full fence.
func (a Asymmetric) Announce(w *atomic.Uint64, v uint64) {
	if a.light {
		Release(w, v)
	} else {
		w.Store(v)
	}
}

// All makes every thread of the process pass a full fence, including the calling thread, and
// returns when they have. What was announced before is seen from here on, and a goroutine that
// announces later sees what was stored before. All is a system call of some microseconds.
func (a Asymmetric) All() {
	if invariants.Enabled {
		invariants.At("fence.All", nil)
	}
	if a.light {
		all()
	}
}
