// Package arena has memory for the groups of a plan: regions outside the garbage collector's heap
// that grow in place, huge pages if the kernel has them, pages that are made present ahead of their
// use, and a budget for all regions of a plan.
//
// # Region
//
// A region begins in the Go heap, in a slice without pointers that is copied when it grows. It
// begins small because a table of one window may have one group, and there may be a million
// windows. From smallMost on, the region reserves addresses for as many bytes as it may ever hold,
// and takes memory for them piece by piece. So growing copies nothing, and what lies in the region
// does not move any more. If the system has no such calls, a region is ordinary memory that is
// copied when it grows. Base may change with each Grow of a region that is not large.
//
// # Ahead
//
// The first touch of a page takes the kernel up to milliseconds for 2 MiB. A system call for more
// pages may take as long, because it waits for the pages of other threads. So the goroutine that
// fills a region says how far it has got, and another goroutine makes the pages after that place
// ready in time: usable, and present. A goroutine that must not wait for the kernel asks whether
// they are ready (Ready), and does something else as long as they are not. Late counts how often
// that happened. The first 2 MiB are small pages and always ready.
//
// # Lifetime
//
// Free gives the memory back. Large regions go to a pool that keeps them for some seconds. The
// garbage collector frees a region that is no longer referenced. A pointer into a region does not
// keep the region alive: code that reads through it calls runtime.KeepAlive on the object that
// holds the region.
package arena

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	// hugePage is the size of a huge page on the systems that velo supports.
	hugePage = 2 << 20

	// firstStep is how much a region takes at least. nextStep says that a larger region takes one
	// part in nextStep of its size at a time.
	firstStep = 64 << 10
	nextStep  = 8

	// smallLeast and smallMost bound the size of a region in the Go heap, which is a power of two.
	// Objects of such sizes in the Go heap begin at a multiple of their size or of a page, so rows
	// do not cross more cache lines than they must.
	smallLeast = 512
	smallMost  = 16 << 10

	// leastAddresses is the size down to which a region makes do with fewer addresses than it was
	// made for.
	leastAddresses = 64 << 20

	// aheadPart is the part of what is used, or one huge page if that is more, that is made ready
	// ahead of the last use. A core needs a millisecond to fill a huge page with new groups.
	aheadPart = 8
)

// ErrBudget says that a region cannot grow because the budget is used up.
var ErrBudget = errors.New("arena: the budget is used up")

// A Budget bounds the bytes of several regions together. A nil Budget sets no bound. Any number of
// goroutines may use it.
type Budget struct {
	limit int64
	used  atomic.Int64 // bytes taken; compared with limit
}

// NewBudget makes a budget of limit bytes.
func NewBudget(limit int) *Budget { return &Budget{limit: int64(limit)} }

// Used returns how many bytes the regions hold.
func (b *Budget) Used() int { return int(b.used.Load()) }

// Limit returns how many bytes the regions may hold.
func (b *Budget) Limit() int { return int(b.limit) }

// take takes n bytes out of the budget. It returns false if fewer are left.
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

// A Share charges a budget for several regions that will all become equally large, one after the
// other. As soon as one of them grows, it charges for as many regions as it was made for, so that
// none of them lacks memory when it follows. Its regions belong to one goroutine, except that any
// goroutine may give them back.
type Share struct {
	budget *Budget
	copies int
	size   int // size of the largest region, which has been charged for all regions

	// regions is the number of regions that have not been given back. It counts, and it orders
	// every use of size before the last region gives size back.
	regions atomic.Int64
}

// NewShare makes a share of a budget for that many regions.
func NewShare(budget *Budget, copies int) *Share { return &Share{budget: budget, copies: copies} }

// take charges for a region that grows to size. It returns false if the budget has no room.
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

// A Region is memory that grows in place. Only one goroutine at a time may use it.
type Region struct {
	*mapping
	small   []uint64 // used instead of the mapping while the mapping has no size
	cleanup runtime.Cleanup
	asked   int  // bytes up to here have been asked for
	waiting bool // the last Ready returned false
	waits   int
}

// A mapping is what a Region has to give back. It is separate from the Region so that the garbage
// collector can find an unreferenced Region.
type mapping struct {
	budget *Budget
	share  *Share // charged instead of the budget; nil if there is no share

	// extra says that the budget is charged too, because the region is one more than the share is
	// for.
	extra bool

	base unsafe.Pointer // nil before addresses have been reserved
	size int            // bytes that may be used; 0 while the region is small

	// charged is how many bytes have been charged: those in size, and those that are made ready
	// ahead.
	charged int
	most    int
	freed   bool
	system  system

	// ready is the number of bytes that have been made ready ahead. The housekeeper writes it after
	// it has made them ready, so a goroutine that loads it may use them.
	ready atomic.Int64

	// refused says that the housekeeper could not make pages ready. Only the housekeeper writes it.
	refused atomic.Bool
}

// New makes an empty region that can grow to most bytes.
func New(budget *Budget, most int) *Region { return newRegion(&mapping{budget: budget, most: most}) }

// New makes an empty region that can grow to most bytes and is charged to the share.
func (s *Share) New(most int) *Region { return newRegion(&mapping{share: s, most: most}) }

// Extra makes one more region than the share is for. It is charged to the budget. What it grows
// beyond the other regions is also charged to the share, because they will follow.
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

// begin reserves addresses the first time, for at least n bytes. If the system does not have as
// many as the region was made for, it tries a quarter of them, and so on. The error says that there
// are hardly any left.
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

// Base returns where the region begins. The first Len bytes from there may be used. Bytes that
// Ahead, Prepare, Ready or Match have asked for, or would have asked for, may still have what
// another region left in them. Other bytes are zero.
func (r *Region) Base() unsafe.Pointer {
	if r.small != nil {
		return unsafe.Pointer(unsafe.SliceData(r.small))
	}
	return r.base
}

// Len returns how many bytes may be used.
func (r *Region) Len() int { return max(r.size, 8*len(r.small)) }

// Bytes returns how many bytes have been charged: Len, and what is made ready ahead.
func (r *Region) Bytes() int { return r.charged }

// Grow makes the region at least n bytes long. Its content stays, but Base may change. The error
// says that the region was made for less, that the budget is used up (ErrBudget), or that the
// system has no memory. After an error the region is as it was.
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
		// This is the last of the budget, so nothing is taken to spare.
		size = roundUp(n, pageSize)
		if !r.charge(size) {
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

// Ahead says that the first n bytes are used, so that the pages after them are made ready. It costs
// nothing while there is nothing to do.
func (r *Region) Ahead(n int) {
	ahead := max(hugePage, n/aheadPart)
	if !canPopulate || n < hugePage*3/4 || n+ahead/2 <= r.asked {
		return
	}
	r.Prepare(n + ahead)
}

// Prepare makes the first n bytes ready, as far as the budget allows it.
func (r *Region) Prepare(n int) {
	if !canPopulate || n <= max(hugePage, r.asked) {
		return
	}
	if r.begin(n) != nil {
		return // Grow returns the error when the pages are used
	}
	if n <= r.asked {
		return // the previous owner of the addresses had asked for them
	}
	n = min(roundUp(n, hugePage), r.most)
	if r.charge(n) && r.askFor(r.asked, n) {
		r.asked = n
	}
}

// Ready says whether the first n bytes may be used without waiting for the kernel. If the bytes
// have not been asked for, Ready asks for them. If they cannot be made ready because the budget or
// the system's memory is used up, Ready returns true, and the caller waits or gets an error when it
// uses them.
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
		r.waits++
	}
	return false
}

// Match makes as many pages ready as the other region has or has asked for, so that this region can
// later become as large. It may be called while other goroutines read the region.
func (r *Region) Match(other *Region) { r.Prepare(other.charged) }

// Waits returns how often a caller had to wait for pages.
func (r *Region) Waits() int { return r.waits }

// Free gives the memory back. The region and pointers into it must not be used any more.
func (r *Region) Free() {
	r.cleanup.Stop()
	r.free()
	r.small = nil
}

// charge charges for size bytes, as far as they have not been charged. It returns false if the
// budget has no room.
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

// giveBack gives back what was charged for n bytes. A share keeps it for the next region that
// grows.
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
