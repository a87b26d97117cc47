// Package arena has memory for the groups of a plan: regions outside the collector's heap that grow in place, huge pages where the kernel has
// them, pages made present ahead of their use, and a budget over all regions of a plan.
//
// # Region
//
// A region begins in the Go heap, in a slice without pointers that is copied when it grows: a table of one window may have one
// group, and there may be a million windows. From smallMost on it reserves addresses for the most it may ever hold and takes
// memory for them piece by piece, so growing copies nothing and what lies in it does not move any more. If the system has no
// such calls a region is ordinary memory that is copied when it grows. Base may change with each Grow that is not large.
//
// # Ahead
//
// The first touch of a page takes the kernel up to milliseconds for 2 MiB, and so may a system call for more of them, which waits for other threads' pages. So whoever fills a region says how
// far it has got, and a goroutine has the pages behind that place made ready in time: usable, and present. Whoever must not wait for the kernel asks whether they are (Ready), and does something else as
// long as they are not; that it had to is counted by Late. The first 2 MiB are small pages and always ready.
//
// # Lifetime
//
// Free gives the memory back, large regions to a pool that keeps them for some seconds; a region that nobody has any more is freed by the collector. A pointer into a region does not keep it: whoever
// reads it calls runtime.KeepAlive on what holds the region.
package arena

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	// hugePage is the size of a huge page on the systems that velo knows.
	hugePage = 2 << 20

	// firstStep is how much a region takes at least, nextStep how much of its size it takes at a time once it is larger.
	firstStep = 64 << 10
	nextStep  = 8

	// smallLeast and smallMost bound the sizes of a region that lies in the Go heap, powers of two. The heap's objects of such
	// sizes begin at a multiple of their size or of a page, so rows do not lie across more cache lines than they need.
	smallLeast = 512
	smallMost  = 16 << 10

	// leastAddresses is up to where a region gets along with fewer addresses than it was made for.
	leastAddresses = 64 << 20

	// aheadBytes is how far in front of the last use pages are made ready at least, in a region that is not smaller: what a core can fill in some milliseconds.
	aheadBytes = 4 * hugePage
)

// ErrBudget says that a region cannot grow because the budget is used up.
var ErrBudget = errors.New("arena: the budget is used up")

// A Budget bounds the bytes of several regions together. Nil has no bound. It may be used by any number of goroutines.
type Budget struct {
	limit int64
	used  atomic.Int64 // counts, orders nothing
}

// NewBudget makes a budget of limit bytes.
func NewBudget(limit int) *Budget { return &Budget{limit: int64(limit)} }

// Used is how many bytes the regions hold.
func (b *Budget) Used() int { return int(b.used.Load()) }

// Limit is how many bytes they may hold.
func (b *Budget) Limit() int { return int(b.limit) }

// take takes n bytes out of the budget. False says that there are not so many.
func (b *Budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

func (b *Budget) give(n int) {
	if b != nil {
		b.used.Add(int64(-n))
	}
}

// A Share charges a budget for several regions that are to be as large as each other, one after the other: as soon as one of them grows, for as
// many as it was made for, so that none of them lacks memory when it follows. Its regions belong to one goroutine, but for giving them back.
type Share struct {
	budget  *Budget
	copies  int
	size    int          // of the largest region, which has been charged for all
	regions atomic.Int64 // that have not been given back; counts, and orders the use of size before the last gives it back
}

// NewShare makes a share of a budget for so many regions.
func NewShare(budget *Budget, copies int) *Share { return &Share{budget: budget, copies: copies} }

// take charges for a region that grows to size. False says that the budget has no room.
func (s *Share) take(size int) bool {
	if size <= s.size {
		return true
	}
	if !s.budget.take((size - s.size) * s.copies) {
		return false
	}
	s.size = size
	return true
}

// A Region is memory that grows in place. One goroutine at a time may use it.
type Region struct {
	*mapping
	small   []uint64 // what is used instead of the mapping while that has no size
	cleanup runtime.Cleanup
	asked   int  // pages up to here have been asked for
	waiting bool // the last Ready was false
	late    int
}

// mapping is what a Region has to give back, apart from it so that the collector can find a Region that nobody uses.
type mapping struct {
	budget  *Budget
	share   *Share         // charged instead of the budget, nil where there is none
	extra   bool           // the budget is charged besides: the region is one more than the share is for
	base    unsafe.Pointer // nil before addresses have been reserved
	size    int            // bytes of it that may be used; 0 while the region is small
	charged int            // bytes that the budget has been asked for: those, and the ones that are made ready ahead
	most    int
	freed   bool
	system  system
	ready   atomic.Int64 // bytes that have been made ready ahead; written by the housekeeper, behind what it did
	refused atomic.Bool  // the housekeeper could not; written by it
}

// New makes an empty region that can grow to most bytes.
func New(budget *Budget, most int) *Region { return newRegion(&mapping{budget: budget, most: most}) }

// New makes an empty region that can grow to most bytes and is charged to the share.
func (s *Share) New(most int) *Region { return newRegion(&mapping{share: s, most: most}) }

// Extra makes one more region than the share is for: it is charged to the budget, and what it grows beyond the others to the
// share as well, since they will follow.
func (s *Share) Extra(most int) *Region {
	return newRegion(&mapping{budget: s.budget, share: s, extra: true, most: most})
}

func newRegion(m *mapping) *Region {
	m.most = roundUp(max(m.most, firstStep), hugePage)
	if m.share != nil && !m.extra {
		m.share.regions.Add(1)
	}
	r := &Region{mapping: m}
	r.cleanup = runtime.AddCleanup(r, (*mapping).free, m)
	return r
}

// begin reserves addresses, the first time, for n bytes at least. If the system has not as many as the region was made for, it gets
// along with a quarter, and so on. The error says that there are hardly any left.
func (r *Region) begin(n int) error {
	if r.base != nil {
		return nil
	}
	for err := r.reserve(); err != nil; err = r.reserve() {
		if r.most/4 < max(4*n, leastAddresses) {
			return fmt.Errorf("arena: cannot reserve addresses for %d bytes: %w", r.most, err)
		}
		r.most = roundUp(r.most/4, hugePage)
	}
	r.asked = int(r.ready.Load())
	return nil
}

// Base is where the region begins. The first Len bytes from there may be used. Of those that Ahead, Prepare, Ready or Match have asked for, or would have, what is in them may be what another region left there; others are zero.
func (r *Region) Base() unsafe.Pointer {
	if r.small != nil {
		return unsafe.Pointer(unsafe.SliceData(r.small))
	}
	return r.base
}

// Len is how many bytes may be used.
func (r *Region) Len() int { return max(r.size, 8*len(r.small)) }

// Bytes is how many the budget has been asked for: Len, and what is made ready ahead.
func (r *Region) Bytes() int { return r.charged }

// Grow makes the region at least n bytes long. What is in it stays; Base may change. The error says that the region was made for
// less, that the budget is used up (ErrBudget), or that the system has no memory; the region is as it was then.
func (r *Region) Grow(n int) error {
	if n <= r.Len() {
		return nil
	}
	if n > r.most {
		return fmt.Errorf("arena: %d bytes wanted, the region was made for at most %d", n, r.most)
	}
	if n <= smallMost && r.size == 0 {
		return r.growSmall(n)
	}
	if err := r.begin(n); err != nil {
		return err
	}
	if err := r.growMapped(n); err != nil {
		return err
	}
	if r.small != nil {
		copy(unsafe.Slice((*uint64)(r.base), len(r.small)), r.small)
		r.small = nil
	}
	return nil
}

// growSmall is Grow in the Go heap.
func (r *Region) growSmall(n int) error {
	size := smallLeast
	for size < n {
		size *= 2
	}
	if !r.charge(size) {
		return ErrBudget
	}
	small := make([]uint64, size/8)
	copy(small, r.small)
	r.small = small
	return nil
}

// growMapped is Grow of the mapping.
func (r *Region) growMapped(n int) error {
	size := roundUp(max(n, r.size+r.size/nextStep), firstStep)
	if size > hugePage {
		size = roundUp(size, hugePage)
	}
	size = min(size, r.most)
	before := r.charged
	if !r.charge(size) {
		// The last of the budget, without anything to spare.
		if size = roundUp(n, pageSize); !r.charge(size) {
			return ErrBudget
		}
	}
	if size <= int(r.ready.Load()) {
		r.size = size
		return nil
	}
	if err := r.extend(size); err != nil {
		r.giveBack(r.charged - before)
		r.charged = before
		return fmt.Errorf("arena: cannot grow a region from %d to %d bytes: %w", r.size, size, err)
	}
	r.size = size
	return nil
}

// Ahead says that the first n bytes are used, so that the pages behind them are made ready. It costs nothing while there is nothing to do.
func (r *Region) Ahead(n int) {
	if !canPopulate || n < hugePage/2 || n+aheadBytes/2 <= r.asked {
		return
	}
	r.Prepare(n + min(n, aheadBytes+n/nextStep))
}

// Prepare has the first n bytes made ready, as far as the budget allows it.
func (r *Region) Prepare(n int) {
	if !canPopulate || n <= max(hugePage, r.asked) {
		return
	}
	if r.begin(n) != nil {
		return // whoever uses the pages gets the error, from Grow
	}
	if n <= r.asked {
		return // of who had the addresses before
	}
	if n = min(roundUp(n, hugePage), r.most); r.charge(n) && r.askFor(r.asked, n) {
		r.asked = n
	}
}

// Ready says whether the first n bytes may be used without waiting for the kernel. They are made ready where nobody has asked for them. Where nobody can, because the budget or the system's memory is used up, it is true, and
// whoever uses them will wait or get an error.
func (r *Region) Ready(n int) bool {
	if !canPopulate || n <= hugePage || n <= int(r.ready.Load()) {
		r.waiting = false
		return true
	}
	r.Prepare(n)
	if r.asked < n || r.refused.Load() {
		return true
	}
	if !r.waiting {
		r.waiting = true
		r.late++
	}
	return false
}

// Match has as many pages made ready as the other region has or has asked for, ahead of its use for the same. It may be called while others read the region.
func (r *Region) Match(other *Region) { r.Prepare(other.charged) }

// Late is how often somebody had to wait for pages.
func (r *Region) Late() int { return r.late }

// Free gives the memory back. Nobody may use the region or a pointer into it any more.
func (r *Region) Free() {
	r.cleanup.Stop()
	r.free()
	r.small = nil
}

// charge charges for size bytes, as far as that has not been done. False says that the budget has no room.
func (m *mapping) charge(size int) bool {
	if size <= m.charged {
		return true
	}
	if m.share != nil && !m.share.take(size) {
		return false
	}
	if (m.share == nil || m.extra) && !m.budget.take(size-m.charged) {
		return false
	}
	m.charged = size
	return true
}

// giveBack gives back what was charged for n bytes. A share keeps it, for the next that grows.
func (m *mapping) giveBack(n int) {
	if m.share == nil || m.extra {
		m.budget.give(n)
	}
}

func (m *mapping) free() {
	if m.freed {
		return
	}
	m.freed = true
	if m.base != nil {
		m.release()
	}
	m.giveBack(m.charged)
	if s := m.share; s != nil && !m.extra && s.regions.Add(-1) == 0 {
		s.budget.give(s.size * s.copies)
		s.size = 0
	}
	m.base, m.size, m.charged = nil, 0, 0
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }
