package ring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/velo-engine/velo/internal/fence"
	"github.com/velo-engine/velo/internal/invariants"
)

// MaxSlots bounds the number of slots of a ring.
const MaxSlots = 1 << 20

const (
	// linePad keeps two words off each other's cache lines. x86 fetches adjacent lines in pairs,
	// and lines are 128 bytes on some arm64, so the distance is 128.
	linePad = 128

	// lazySlots is how many single elements Push and Pop move for each publication. From 64 on the
	// store no longer shows in BenchmarkPush.
	lazySlots = 64

	// aheadBytes is how far ahead PushRelease asks for the lines of slots. From 256 to 4096 it
	// makes no difference.
	aheadBytes = 1024
)

// shared is what both ends look at. Each position has its cache lines to itself.
type shared struct {
	_ [linePad]byte

	// tail is written only by the producer and read by both ends. closed shares its cache line,
	// because closed is written only once.
	tail   atomic.Uint64
	closed atomic.Bool
	_      [linePad - 12]byte

	// head is written only by the consumer and read by both ends.
	head atomic.Uint64
	_    [linePad - 8]byte
}

// slots is the memory of a ring as one end keeps it. Both ends have a copy, so that neither reads
// the other's cache lines.
type slots[T any] struct {
	first unsafe.Pointer // slot 0; keeps the memory alive
	mask  uint64         // number of slots - 1
}

// at returns the slot of position i. The access is in bounds: i&mask is at most the number of slots
// - 1.
//
//gcassert:inline
func (s *slots[T]) at(i uint64) *T {
	var t T
	return (*T)(unsafe.Add(s.first, uintptr(i&s.mask)*unsafe.Sizeof(t)))
}

// run returns the n slots from position i on. The caller knows that they do not wrap.
func (s *slots[T]) run(i, n uint64) []T { return unsafe.Slice(s.at(i), n) }

// toEnd returns how many slots there are from position i to the end of the memory.
func (s *slots[T]) toEnd(i uint64) uint64 { return s.mask + 1 - i&s.mask }

// New makes a ring of n slots, a power of two up to MaxSlots, and returns its two ends. Each end
// may be used by one goroutine at a time. The two ends may be used at the same time.
func New[T any](n int) (*Producer[T], *Consumer[T]) { return newAt[T](n, 0) }

// newAt is New with positions that begin at start. It is for the tests of wrapping.
func newAt[T any](n int, start uint64) (*Producer[T], *Consumer[T]) {
	if n < 1 || n > MaxSlots || n&(n-1) != 0 {
		panic(fmt.Sprintf("ring: %d slots, expected a power of two in 1..%d", n, MaxSlots))
	}
	// The slots get a pad at either end, because the allocator may put another busy object right
	// beside them.
	var t T
	pad, ahead := 0, 0
	if size := unsafe.Sizeof(t); size > 0 {
		pad = int((linePad + size - 1) / size)
		ahead = min(int(aheadBytes/size), n/2)
	}
	memory := make([]T, pad+n+pad)
	m := slots[T]{unsafe.Pointer(&memory[pad]), uint64(n - 1)}
	s := &shared{}
	s.tail.Store(start)
	s.head.Store(start)
	p := &Producer[T]{
		shared: s, slots: m, next: start, seenHead: start, published: start, ahead: uint64(ahead),
	}
	c := &Consumer[T]{shared: s, slots: m, next: start, seenTail: start, published: start}
	return p, c
}

// A Producer is the writing end of a ring.
type Producer[T any] struct {
	_      [linePad]byte
	shared *shared
	slots[T]
	next      uint64 // position of the next slot to write
	seenHead  uint64 // shared.head as it was last seen; never ahead of shared.head
	published uint64 // what shared.tail is
	ahead     uint64 // how many slots ahead PushRelease asks for a line

	// reserved is the number of slots that Reserve has given out and that are not committed. It is
	// kept only under invariants.
	reserved uint64

	full   bool          // the last look found no room; it makes a stall count only once
	stalls atomic.Uint64 // Statistic: looks that found no room.
	_      [linePad]byte
}

// free returns how many slots are free as far as the producer knows. If that is less than want it
// looks again.
func (p *Producer[T]) free(want uint64) uint64 {
	if free := p.mask + 1 - (p.next - p.seenHead); free >= want {
		return free
	}
	return p.refreshHead()
}

// refreshHead looks where the consumer is. The load pairs with the store in Consumer.publish: the
// consumer's reads of the slots that come free happened before it, so the slots may be overwritten.
//
//go:noinline
func (p *Producer[T]) refreshHead() uint64 {
	p.seenHead = p.shared.head.Load()
	free := p.mask + 1 - (p.next - p.seenHead)
	if free > 0 {
		p.full = false
	} else if !p.full {
		p.full = true
		p.stalls.Add(1) // Stats reads it on any goroutine; this is off the fast path
	}
	return free
}

// publish hands the slots before next to the consumer. The store pairs with the load in
// Consumer.refreshTail. The stores into the slots must be visible first, or the consumer would read
// what the slots held before.
func (p *Producer[T]) publish() {
	p.published = p.next
	p.shared.tail.Store(p.next)
}

// Reserve returns up to n adjacent free slots, to be written in place. It returns fewer at the end
// of the memory or if the ring is nearly full, and none if the ring is full. The slots hold what an
// earlier round left in them. Reserving again before Commit returns the same slots.
func (p *Producer[T]) Reserve(n int) []T {
	got := min(uint64(n), p.toEnd(p.next))
	got = min(got, p.free(got))
	if invariants.Enabled {
		p.reserved = got
	}
	return p.run(p.next, got)
}

// Commit publishes the first n of the slots that Reserve gave out.
func (p *Producer[T]) Commit(n int) {
	if invariants.Enabled {
		if n < 0 || uint64(n) > p.reserved {
			panic(fmt.Sprintf("ring: Commit(%d) of %d reserved slots", n, p.reserved))
		}
		p.reserved -= uint64(n)
	}
	p.next += uint64(n)
	p.publish()
}

// PushN copies as many elements of src as there is room for, publishes them together and returns
// their number.
func (p *Producer[T]) PushN(src []T) int {
	n := min(uint64(len(src)), p.free(uint64(len(src))))
	if n == 0 {
		return 0
	}
	first := min(n, p.toEnd(p.next))
	copy(p.run(p.next, first), src[:first])
	copy(p.run(p.next+first, n-first), src[first:n])
	p.next += n
	p.publish()
	return int(n)
}

// Push writes one element and publishes it later: with every 64th element, at Flush, or before it
// reports that the ring is full. It returns false if the ring is full.
func (p *Producer[T]) Push(v T) bool {
	if p.next-p.seenHead > p.mask && p.fullAfterFlush() {
		return false
	}
	*p.at(p.next) = v
	p.next++
	if p.next%lazySlots == 0 {
		p.publish()
	}
	return true
}

// PushRelease writes one element and publishes it, together with everything that Push has held
// back, by a release store. It is for a producer whose every element must be seen soon. It returns
// false if the ring is full.
//
// It also asks for the line of a slot that comes aheadBytes later, which the consumer has read and
// so its core still has. Stores become visible in order, so the store into a slot whose line is
// elsewhere holds up all after it: without that, an element of 16 bytes takes 24 ns and not 9.
//
// A release store is not a fence. A producer that looks after PushRelease whether the consumer
// sleeps may look too early and find it awake. So such a consumer must not sleep for ever.
func (p *Producer[T]) PushRelease(v T) bool {
	if p.next-p.seenHead > p.mask && p.fullAfterFlush() {
		return false
	}
	*p.at(p.next) = v
	p.next++
	p.published = p.next
	fence.ReleaseAhead(&p.shared.tail, p.next, unsafe.Pointer(p.at(p.next+p.ahead)))
	return true
}

// fullAfterFlush says whether the ring is full. It first publishes what Push has held back, or the
// consumer of a small ring would wait for it for ever.
//
//go:noinline
func (p *Producer[T]) fullAfterFlush() bool {
	p.Flush()
	return p.refreshHead() == 0
}

// Flush publishes what Push has held back.
func (p *Producer[T]) Flush() {
	if p.published != p.next {
		p.publish()
	}
}

// Close publishes what Push has held back and says that nothing more comes. The consumer still gets
// what is in the ring.
func (p *Producer[T]) Close() {
	p.Flush()
	// The store pairs with the load in Consumer.Drained. That looks at closed first and at tail
	// second, so it cannot report drained and miss the last slots.
	p.shared.closed.Store(true)
}

// Empty says whether the consumer has released everything that was published. The answer is exact
// only on the producer's goroutine; elsewhere the ring may be less empty than Empty says.
func (p *Producer[T]) Empty() bool { return p.shared.head.Load() == p.published }

// Full looks at head anew if necessary and says whether there is no free slot.
func (p *Producer[T]) Full() bool { return p.free(1) == 0 }

// A Consumer is the reading end of a ring.
type Consumer[T any] struct {
	_      [linePad]byte
	shared *shared
	slots[T]
	next      uint64 // position of the next slot to read
	seenTail  uint64 // shared.tail as it was last seen; never ahead of shared.tail
	published uint64 // what shared.head is

	// peeked is the number of slots that Peek has given out and that are not released. It is kept
	// only under invariants.
	peeked uint64

	empty     bool          // the last look found nothing; it makes a stall count only once
	stalls    atomic.Uint64 // Statistic: looks that found nothing.
	highWater atomic.Uint64 // Statistic: the most slots that were full at once.
	_         [linePad]byte
}

// ready returns how many slots can be read as far as the consumer knows. If that is less than want
// it looks again.
func (c *Consumer[T]) ready(want uint64) uint64 {
	if ready := c.seenTail - c.next; ready >= want {
		return ready
	}
	return c.refreshTail()
}

// refreshTail looks where the producer is. The load pairs with the store in Producer.publish: what
// was written into the slots before that store is seen from here on.
//
//go:noinline
func (c *Consumer[T]) refreshTail() uint64 {
	c.seenTail = c.shared.tail.Load()
	ready := c.seenTail - c.next
	if ready > 0 {
		c.empty = false
		// highWater is written only by this goroutine. It is atomic because Stats reads it on any
		// goroutine, and it is stored only when it grows.
		if ready > c.highWater.Load() {
			c.highWater.Store(ready)
		}
	} else if !c.empty {
		c.empty = true
		c.stalls.Add(1)
	}
	return ready
}

// publish hands the slots before next back to the producer. The store pairs with the load in
// Producer.refreshHead. The loads from the slots must be over, or the producer would overwrite what
// is still being read.
func (c *Consumer[T]) publish() {
	c.published = c.next
	c.shared.head.Store(c.next)
}

// Peek returns up to n adjacent written slots, to be read (or overwritten) in place until Release.
// It returns fewer at the end of the memory, and none if the ring is empty. Peeking again before
// Release returns the same slots, and perhaps more.
func (c *Consumer[T]) Peek(n int) []T {
	got := min(uint64(n), c.toEnd(c.next))
	got = min(got, c.ready(got))
	if invariants.Enabled {
		c.peeked = got
	}
	return c.run(c.next, got)
}

// Release frees the first n of the slots that Peek gave out.
func (c *Consumer[T]) Release(n int) {
	if invariants.Enabled {
		if n < 0 || uint64(n) > c.peeked {
			panic(fmt.Sprintf("ring: Release(%d) of %d peeked slots", n, c.peeked))
		}
		c.peeked -= uint64(n)
	}
	c.next += uint64(n)
	c.publish()
}

// PopN copies as many elements as there are into dst, frees their slots together and returns their
// number.
func (c *Consumer[T]) PopN(dst []T) int {
	n := min(uint64(len(dst)), c.ready(uint64(len(dst))))
	if n == 0 {
		return 0
	}
	first := min(n, c.toEnd(c.next))
	copy(dst[:first], c.run(c.next, first))
	copy(dst[first:n], c.run(c.next+first, n-first))
	c.next += n
	c.publish()
	return int(n)
}

// Pop takes one element and frees its slot later: with every 64th element, at Flush, or before it
// reports that the ring is empty. It returns false if the ring is empty. The slot keeps its copy
// until it is written again, so a ring of pointers keeps as many objects alive as it has slots.
func (c *Consumer[T]) Pop() (v T, ok bool) {
	if c.next == c.seenTail && c.emptyAfterFlush() {
		return v, false
	}
	v = *c.at(c.next)
	c.next++
	if c.next%lazySlots == 0 {
		c.publish()
	}
	return v, true
}

// emptyAfterFlush says whether the ring is empty. It first frees what Pop has held back, or the
// producer of a small ring would wait for it for ever.
//
//go:noinline
func (c *Consumer[T]) emptyAfterFlush() bool {
	c.Flush()
	return c.refreshTail() == 0
}

// Flush frees the slots that Pop has held back.
func (c *Consumer[T]) Flush() {
	if c.published != c.next {
		c.publish()
	}
}

// Empty looks at tail anew if necessary and says whether there is nothing to read.
func (c *Consumer[T]) Empty() bool { return c.ready(1) == 0 }

// Ends returns the position of the next slot to read and the position after the last published
// slot. Only the consumer may call it.
func (c *Consumer[T]) Ends() (next, tail uint64) { return c.next, c.shared.tail.Load() }

// Drained says whether the producer has closed the ring and everything has been read, so that
// nothing more comes.
func (c *Consumer[T]) Drained() bool {
	// closed is loaded first: tail does not move after it is set, so an empty ring is empty for
	// good.
	return c.shared.closed.Load() && c.ready(1) == 0
}

// Stats are the counters of a ring. If the ring is idle, Depth and the positions are from one
// moment. While it is in use they are from slightly different moments.
type Stats struct {
	Slots     int
	Depth     int    // number of slots written and not yet released
	HighWater int    // greatest depth that the consumer has found
	Pushed    uint64 // number of slots published
	Popped    uint64 // number of slots released

	FullStalls  uint64 // number of times that the producer found the ring full
	EmptyStalls uint64 // number of times that the consumer found the ring empty
}

// ReadStats reads the counters of the ring with these two ends. Any goroutine may call it at any
// time.
func ReadStats[T any](p *Producer[T], c *Consumer[T]) Stats {
	head := p.shared.head.Load() // loaded before tail, so that the depth is not negative
	tail := p.shared.tail.Load()
	return Stats{
		Slots: int(p.mask + 1), Depth: int(min(tail-head, p.mask+1)), HighWater: int(c.highWater.Load()),
		Pushed: tail, Popped: head,
		FullStalls: p.stalls.Load(), EmptyStalls: c.stalls.Load(),
	}
}
