package arena

import (
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The pool keeps large regions that have been given back, together with their pages, for the next
// region that is made for as many bytes. That helps the tables of a plan that is started again, or
// of another plan with the same limit: making pages present is most of the time that it takes to
// build a table again.
//
// The pool never makes a process larger than it was. Before the housekeeper makes new pages
// present, the pool gives back as many bytes. What has not been taken after keepFor is given back
// too. The pool has a lock, which is off the data path.
var pool struct {
	sync.Mutex
	kept  []keptMapping // the oldest first
	bytes int
	timer *time.Timer // nil while the pool is empty
}

// A keptMapping is a mapping in the pool.
type keptMapping struct {
	base       unsafe.Pointer
	mapped     unsafe.Pointer
	mappedSize int
	most       int
	ready      int64 // bytes that are usable and present
	bytes      int   // bytes that may be present
	pieces     int64
	since      time.Time
}

// keepFor is how long a region is kept.
const keepFor = 10 * time.Second

// keep puts a mapping into the pool instead of giving it back. It returns false if that is not
// worth while. The caller holds m.system.gone.
func (m *mapping) keep() bool {
	ready := m.ready.Load()
	if ready <= hugePage || m.refused.Load() {
		return false
	}
	pool.Lock()
	defer pool.Unlock()
	k := keptMapping{
		m.base, m.system.mapped, m.system.mappedSize, m.most, ready, max(m.size, int(ready)),
		m.system.pieces, time.Now(),
	}
	pool.kept = append(pool.kept, k)
	pool.bytes += k.bytes
	if pool.timer == nil {
		pool.timer = time.AfterFunc(keepFor, expire)
	}
	return true
}

// adopt takes a mapping for the same number of bytes out of the pool, the one with the most pages.
// It returns false if there is none.
func (m *mapping) adopt() bool {
	pool.Lock()
	defer pool.Unlock()
	best := -1
	for i, k := range pool.kept {
		if k.most == m.most && (best < 0 || k.ready > pool.kept[best].ready) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	k := pool.kept[best]
	pool.kept = slices.Delete(pool.kept, best, best+1)
	pool.bytes -= k.bytes
	m.base, m.system.mapped, m.system.mappedSize, m.system.pieces = k.base, k.mapped, k.mappedSize, k.pieces
	m.ready.Store(k.ready)
	return true
}

// makeRoom gives back what is in the pool, the oldest first, until n bytes of new pages are made up
// for.
func makeRoom(n int) {
	pool.Lock()
	defer pool.Unlock()
	for n > 0 && len(pool.kept) > 0 {
		n -= pool.kept[0].bytes
		dropOldest()
	}
}

// expire gives back what has been in the pool for too long.
func expire() {
	pool.Lock()
	defer pool.Unlock()
	for len(pool.kept) > 0 && time.Since(pool.kept[0].since) >= keepFor {
		dropOldest()
	}
	pool.timer = nil
	if len(pool.kept) > 0 {
		pool.timer = time.AfterFunc(keepFor-time.Since(pool.kept[0].since), expire)
	}
}

// EmptyPool gives back all memory that is kept. It is for measurements of tables from nothing.
func EmptyPool() {
	pool.Lock()
	defer pool.Unlock()
	for len(pool.kept) > 0 {
		dropOldest()
	}
}

// dropOldest gives back the first mapping. The caller has locked the pool.
func dropOldest() {
	k := pool.kept[0]
	pool.kept = slices.Delete(pool.kept, 0, 1)
	pool.bytes -= k.bytes
	unix.MunmapPtr(k.mapped, uintptr(k.mappedSize))
	pieces.Add(-k.pieces)
}
