package arena

import (
	"fmt"
	"runtime"
	"sync/atomic"
)

// The kernel limits the pieces of address space of a process, by default to 65,530. The Go runtime
// ends the process when it needs one more and gets none. Many small tables, such as the tables of
// windows, use up pieces long before they use up memory, and the garbage collector does not see
// pieces. So pieces are counted. Each time their number has grown by the part that collectShare
// says, the garbage collector looks for unreferenced regions. A region that would take what
// spareShare leaves to the rest of the process is refused, with an error that says so.
var (
	pieces atomic.Int64 // Statistic: pieces of all regions.
	// collectAt is the number of pieces at which the next collection pays. Statistic.
	collectAt atomic.Int64
	// collecting is true while collect runs. The CAS that sets it lets only one goroutine collect
	// at a time.
	collecting atomic.Bool
)

const (
	collectShare = 8 // collect after each eighth of all pieces
	spareShare   = 8 // an eighth of all pieces is for others
)

// takePieces counts n more pieces, of most pieces that a process may have. The error says that
// there are not that many left.
func takePieces(n, most int64) error {
	now := pieces.Add(n)
	if now > most-most/spareShare {
		pieces.Add(-n)
		collect(most)
		return fmt.Errorf("%d pieces of address space are taken of %d that a process may have (vm.max_map_count), "+
			"and an eighth is left to others: too many tables", now-n, most)
	}
	if now > max(collectAt.Load(), most/collectShare) {
		collect(most)
	}
	return nil
}

// collect makes the garbage collector look for unreferenced regions. It does so on another
// goroutine, because the caller may be on a thread that has other things to do.
func collect(most int64) {
	if collecting.CompareAndSwap(false, true) {
		go func() {
			runtime.GC()
			runtime.GC() // meanwhile what the first collection has found is given back
			collectAt.Store(pieces.Load() + most/collectShare)
			collecting.Store(false)
		}()
	}
}
