package arena

import (
	"fmt"
	"runtime"
	"sync/atomic"
)

// The kernel lets a process have so many pieces of address space, 65,530 by default, and the Go runtime ends the process when it needs one more and gets none. Many small tables, as windows have
// them, use pieces long before they use memory, which the collector does not see. So pieces are counted: as many more as collectShare says have it look for regions that nobody has any more, and a
// region that would take what spareShare leaves to the rest of the process is refused, with an error that says so.
var (
	pieces     atomic.Int64 // of all regions; counts, orders nothing
	collectAt  atomic.Int64 // so many are worth a look
	collecting atomic.Bool
)

const (
	collectShare = 8 // a look for each eighth of all
	spareShare   = 8 // an eighth is for others
)

// takePieces counts n pieces more of most that a process may have. The error says that there are not so many.
func takePieces(n, most int64) error {
	now := pieces.Add(n)
	if now > most-most/spareShare {
		pieces.Add(-n)
		collect(most)
		return fmt.Errorf("%d pieces of address space are taken of %d that a process may have (vm.max_map_count), and an eighth is left to others: too many tables", now-n, most)
	}
	if now > max(collectAt.Load(), most/collectShare) {
		collect(most)
	}
	return nil
}

// collect has the collector look for regions that nobody has, on a goroutine: whoever calls this may be on a thread with other things to do.
func collect(most int64) {
	if collecting.CompareAndSwap(false, true) {
		go func() {
			runtime.GC()
			runtime.GC() // while that goes on, what the first has found is given back
			collectAt.Store(pieces.Load() + most/collectShare)
			collecting.Store(false)
		}()
	}
}
