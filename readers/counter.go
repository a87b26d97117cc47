package readers

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/internal/fence"
	"github.com/velo-engine/velo/record"
)

const (
	// MaxCounters is the most counters that a feed may have.
	MaxCounters = 1 << 16

	// countEvery is how often the counters of a feed that brings no records are looked at: each
	// look takes a cache line from its goroutine. Epochs look at them whenever they come.
	countEvery = 10 * time.Millisecond
)

// ErrNoCounter says that a feed has as many counters as it may have.
var ErrNoCounter = errors.New("readers: feed: all counters are taken")

// A Counter adds to one integer of one record, again and again, for about a nanosecond each time.
// Instead of a record for each event, the feed sends one record with the sum of what came since the
// last one: at each epoch, and every few milliseconds if nothing else comes. So a plan sums the
// field; it must not count records.
//
// After Engine.Sync a snapshot has everything that was added before, by any goroutine; any snapshot
// has what was added up to some moment. Only one goroutine at a time may use a counter. Goroutines
// that count the same thing have a counter each: what they add comes together in the group.
//
// What is added after the feed has ended, or after its engine was closed, is read by nobody.
// FeedStats.PendingCounts has it. The sum of a counter wraps around like any int64.
type Counter struct {
	_ [linePad]byte
	// total is what has been added since the beginning. It belongs to the goroutine that adds.
	total uint64
	// cell is what Poll sees of total.
	cell atomic.Uint64
	// closed is set by Close, after the last Add.
	closed atomic.Bool
	_      [linePad]byte
	// given is how much of the cell has been given out. Only Poll stores it, after it has put a
	// record into a batch; it counts and orders nothing.
	given atomic.Uint64
}

// Add adds n, which may be negative.
func (c *Counter) Add(n int64) {
	c.total += uint64(n)
	fence.Release(&c.cell, c.total)
}

// Inc adds one.
func (c *Counter) Inc() { c.Add(1) }

// Close ends the use of the counter and makes room for another. What was added is still read.
func (c *Counter) Close() { c.closed.Store(true) }

// A counted is a counter with the record that it is sent as.
type counted[T any] struct {
	Counter
	record [1]T
	field  *int64 // points into record
}

// counters are the counters of a feed.
type counters[T any] struct {
	mu sync.Mutex // held while a counter joins or leaves
	// all has the counters in use. It is replaced and never changed, except after its end. The lock
	// orders the stores; Poll loads it and sees what the stored slice has.
	all atomic.Pointer[[]*counted[T]]

	// The following fields are used by Poll and Drained only.

	// changed are the counters that have to be given out, from next on.
	changed []*counted[T]
	next    int
	looked  time.Time // when they were looked at last
	// unlooked says that an epoch has been raised since they were looked at.
	unlooked bool
	last     bool // they have been looked at after the feed had ended
}

// Counter makes a counter for the records that are like v except for one integer, which has what
// was added. field returns where that is in a record:
//
//	hits, err := feed.Counter(Request{Path: "/"}, func(r *Request) *int64 { return &r.Hits })
//	hits.Inc()
//
// The error is ErrNoCounter, ErrFeedEnded, or says what is wrong with the record or the field. v
// must not refer to memory that changes later.
func (f *Feed[T]) Counter(v T, field func(*T) *int64) (*Counter, error) {
	c := &counted[T]{record: [1]T{v}}
	c.field = field(&c.record[0])
	at := uintptr(unsafe.Pointer(c.field)) - uintptr(unsafe.Pointer(&c.record))
	if c.field == nil || at >= unsafe.Sizeof(v) {
		return nil, errors.New("readers: feed: a counter: its field is not in the record that the function was " +
			"given; expected the address of a field, as in func(r *T) *int64 { return &r.N }")
	}
	// Two records with different counts show whether they are of the schema, and in a column.
	b := record.NewBatch(f.schema, 1)
	var counts [2][]int64
	for i := range counts {
		b.Reset()
		*c.field = int64(i)
		if _, err := f.encoder.Append(b, &c.record[0]); err != nil {
			return nil, fmt.Errorf("readers: feed: a counter: %w", err)
		}
		for k := range f.schema.Len() {
			if f.schema.Field(k).Type == record.Int64 {
				counts[i] = append(counts[i], b.Column(k).Int64s[0])
			}
		}
	}
	if slices.Equal(counts[0], counts[1]) {
		return nil, fmt.Errorf("readers: feed: a counter: its field is no bigint column of %v", f.schema)
	}
	x := &f.counters
	x.mu.Lock()
	defer x.mu.Unlock()
	if f.state.Load() != feedOpen {
		return nil, f.over()
	}
	var all []*counted[T]
	if p := x.all.Load(); p != nil {
		all = *p
	}
	if len(all) >= MaxCounters {
		return nil, fmt.Errorf("%w: %d; Close gives one back", ErrNoCounter, MaxCounters)
	}
	all = append(all, c) // Poll does not look after the end of the slice that it has
	x.all.Store(&all)
	f.wake() // the engine looks more often from now on
	return &c.Counter, nil
}

// look notes the counters that have changed, and says whether there are any. Those that have been
// closed and have not changed any more leave. It is called when all that had changed before have
// been given out.
func (x *counters[T]) look() bool {
	p := x.all.Load()
	if p == nil {
		return false
	}
	x.changed, x.next = x.changed[:0], 0
	left := false
	for _, c := range *p {
		closed := c.closed.Load() // before the cell, which then does not change any more
		if c.cell.Load() != c.given.Load() {
			x.changed = append(x.changed, c)
		} else if closed {
			left = true
		}
	}
	if left && x.mu.TryLock() { // or the next time
		all := slices.DeleteFunc(slices.Clone(*x.all.Load()), func(c *counted[T]) bool {
			return c.closed.Load() && c.cell.Load() == c.given.Load()
		})
		x.all.Store(&all)
		x.mu.Unlock()
	}
	return len(x.changed) > 0
}

// lookIdle is look, at most as often as countEvery says.
func (x *counters[T]) lookIdle() bool {
	if x.all.Load() == nil {
		return false
	}
	now := time.Now()
	if now.Sub(x.looked) < countEvery {
		return false
	}
	x.looked = now
	return x.look()
}

// lookLast is look for the last time, when the feed has ended.
func (x *counters[T]) lookLast() bool {
	if x.last {
		return false
	}
	x.last = true
	return x.look()
}

// drained says whether everything that was added before the epoch at hand was raised has been given
// out.
func (x *counters[T]) drained() bool {
	if x.next < len(x.changed) {
		return false // what had changed before comes first
	}
	if x.unlooked {
		x.unlooked = false
		return !x.look()
	}
	return true
}

// give appends the records of the counters that have changed. It returns false if the batch is
// full.
func (x *counters[T]) give(b *record.Batch, e *record.Encoder[T]) bool {
	for ; x.next < len(x.changed); x.next++ {
		c := x.changed[x.next]
		now := c.cell.Load()
		*c.field = int64(now - c.given.Load())
		n, err := e.AppendAll(b, c.record[:])
		if n == 0 && (err == nil || !b.Reject(record.Reject{Offset: -1, Reason: err})) {
			return false
		}
		c.given.Store(now)
	}
	return true
}

// stats returns the number of counters, and what they have that has not been given out.
func (x *counters[T]) stats() (n int, pending uint64) {
	if p := x.all.Load(); p != nil {
		n = len(*p)
		for _, c := range *p {
			given := c.given.Load() // before the cell, which never has less
			pending += c.cell.Load() - given
		}
	}
	return n, pending
}
