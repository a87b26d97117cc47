package readers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/velo-engine/velo/internal/fence"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

const (
	// DefaultLanes is how many lanes a feed has room for if FeedConfig does not say.
	DefaultLanes = 64

	// MaxLanes is the most lanes that a feed may have.
	MaxLanes = 1 << 12

	// DefaultLaneSlots is how many records a lane holds: at a million records a second, a few
	// milliseconds' worth. A lane holds fewer if all lanes together would otherwise take more than
	// DefaultFeedBytes, but never fewer than leastLaneSlots.
	DefaultLaneSlots = 1 << 12
	leastLaneSlots   = 1 << 6

	// DefaultFeedBytes is about how much memory all lanes of a feed take together if LaneSlots is
	// left at its default.
	DefaultFeedBytes = 48 << 20

	// laneTurn is how many records Poll takes from a lane before it gives their slots back.
	laneTurn = 256

	// linePad separates what one goroutine writes from the cache lines that another one reads; see
	// package ring.
	linePad = 128

	// laneYields is how often a Send that finds its lane full yields to other goroutines before it
	// sleeps.
	laneYields = 16
)

var (
	// ErrFeedEnded says that a record was not taken because the feed has ended or its engine is
	// closed.
	ErrFeedEnded = errors.New("readers: feed: it has ended")

	errFeedDone   = fmt.Errorf("%w: End was called", ErrFeedEnded)
	errFeedShut   = fmt.Errorf("%w: the engine that read it has closed it, and its Wait says why", ErrFeedEnded)
	errLaneClosed = fmt.Errorf("%w for this lane: Close was called", ErrFeedEnded)

	// ErrFeedFull says that a feed with FeedConfig.Shed dropped a record because its lane was full.
	ErrFeedFull = errors.New("readers: feed: the lane is full")

	// ErrNoLane says that all lanes of a feed are taken.
	ErrNoLane = errors.New("readers: feed: all lanes are taken")

	// ErrLaneShared says that two goroutines use one lane at the same time, and that records of
	// either may be lost. Not every such use is detected.
	ErrLaneShared = errors.New("readers: feed: two goroutines use one lane at the same time; each needs a lane of " +
		"its own, or they share an Appender")
)

// FeedConfig says how a feed is made. The zero value is a good choice.
type FeedConfig struct {
	// Lanes is how many lanes there is room for; 0 means DefaultLanes.
	Lanes int
	// LaneSlots is how many records each lane holds, a power of two. 0 means DefaultLaneSlots, or
	// fewer if the lanes would take too much memory.
	LaneSlots int
	// Name tells the feeds of an engine that keeps its state apart; empty is feed. The names of its
	// lanes are kept under it.
	Name string
	// Shed makes Send drop and count a record that finds its lane full. Otherwise Send waits for
	// room.
	Shed bool
}

// The states of a feed. A feed only moves down this list.
const (
	feedOpen  = iota
	feedEnded // by End: what is in the lanes is still read
	feedShut  // by the engine: nothing is read any more
)

// A Feed is a reader that goroutines of the service push their records into, as Go structs T (see
// record.SchemaOf for what T may hold). Each goroutine pushes through a Lane of its own, or all of
// them share an Appender. Sending a record allocates nothing and takes no lock.
//
//	feed, err := readers.NewFeed[Trade](nil, readers.FeedConfig{})
//	eng, err := engine.Start(ctx, engine.Config{Plan: plan, Readers: []record.Reader{feed}})
//	lane, err := feed.Lane()
//	err = lane.Send(ctx, trade)
//
// After eng.Sync a snapshot has everything that was sent before the Sync, by any goroutine. A
// snapshot has a prefix of each lane. Records of different lanes have no order among each other
// unless a Sync lies between them.
type Feed[T any] struct {
	cfg     FeedConfig
	schema  *record.Schema
	encoder *record.Encoder[T] // of all columns

	// lanes has the lanes in use, and nil for each free place. A goroutine that joins puts its lane
	// there with a CAS from nil. Poll takes the lane out once it is closed and empty.
	lanes []atomic.Pointer[Lane[T]]
	// high is one more than the highest index that was ever used in lanes. It only grows.
	high atomic.Int64

	// state only goes up. It is written before the bell is rung, and before Poll checks whether
	// anybody is sending; see Lane.enter.
	state atomic.Uint32
	// shut is closed when the feed has ended: it releases the senders that wait for room.
	shut chan struct{}
	// once guards the closing of shut.
	once sync.Once

	// idle says that the last Poll found nothing. A sender reads it after it has published its
	// record, without a fence, so it may read too early and not wake the engine. The engine then
	// finds the record the next time it looks, or has had a fence between.
	idle atomic.Bool
	// notify has the function that wakes the engine.
	notify atomic.Pointer[func()]

	// order lets senders announce a Send without a fence, if the system can fence them from
	// outside: Poll does that when the feed ends, see Lane.begun.
	order fence.Asymmetric
	// Senders read the fields above for each record. Nobody writes there as long as Poll finds
	// records, so they need cache lines of their own.
	_ [linePad]byte

	// The following fields are used by Columns, Widen, Poll and Drained only.

	// reads fills the columns that are read, and projection lends the others.
	reads *record.Encoder[T]
	projection
	// turn is the index of the lane that the current round has come to.
	turn int
	// epoch is the last epoch that Drained was called for.
	epoch uint64
	// laneMarks has, for each lane, where it had got when that epoch was raised.
	laneMarks []laneMark[T]
	counters  counters[T]

	// named has the lanes that have names.
	named namedLanes

	// Statistics: the counters of lanes that have left.
	sent, shed, waits atomic.Uint64
}

// laneMark says how many records a lane had when an epoch was raised.
type laneMark[T any] struct {
	lane *Lane[T]
	tail uint64
}

// NewFeed makes a feed of records of this schema. If schema is nil, the feed takes the schema that
// T has and names it feed. The error lists which fields T lacks for the schema, and what is wrong
// with the configuration.
func NewFeed[T any](schema *record.Schema, cfg FeedConfig) (*Feed[T], error) {
	if cfg.Lanes == 0 {
		cfg.Lanes = DefaultLanes
	}
	if cfg.LaneSlots == 0 {
		cfg.LaneSlots = DefaultLaneSlots
		for size := int(unsafe.Sizeof(*new(T))); cfg.LaneSlots > leastLaneSlots &&
			cfg.LaneSlots*size > DefaultFeedBytes/max(cfg.Lanes, 1); {
			cfg.LaneSlots /= 2
		}
	}
	if cfg.Lanes < 1 || cfg.Lanes > MaxLanes {
		return nil, fmt.Errorf("readers: feed: %d lanes, expected 1..%d, or 0 for %d", cfg.Lanes, MaxLanes,
			DefaultLanes)
	}
	if n := cfg.LaneSlots; n < 1 || n > ring.MaxSlots || n&(n-1) != 0 {
		return nil, fmt.Errorf("readers: feed: lanes of %d records, expected a power of two up to %d, or 0 for %d", n,
			ring.MaxSlots, DefaultLaneSlots)
	}
	var err error
	if schema == nil {
		schema, err = record.SchemaOf[T]("feed")
		if err != nil {
			return nil, err
		}
	}
	encoder, err := record.EncoderOf[T](schema)
	if err != nil {
		return nil, err
	}
	return &Feed[T]{
		cfg: cfg, schema: schema, encoder: encoder, reads: encoder, lanes: make([]atomic.Pointer[Lane[T]], cfg.Lanes),
		shut:  make(chan struct{}),
		order: fence.Prepare(), laneMarks: make([]laneMark[T], cfg.Lanes),
	}, nil
}

// Schema returns the schema of the records.
func (f *Feed[T]) Schema() *record.Schema { return f.schema }

// String names the reader.
func (f *Feed[T]) String() string { return cmp.Or(f.cfg.Name, "feed") }

// End says that no more records come. Sends fail from now on. What has been sent is still read,
// then the source ends. Any goroutine may call End, any number of times.
func (f *Feed[T]) End() { f.stop(feedEnded) }

// over returns ErrFeedEnded, wrapped with who ended the feed.
func (f *Feed[T]) over() error {
	if f.state.Load() == feedShut {
		return errFeedShut
	}
	return errFeedDone
}

// Close is called by the engine. Nothing is read any more, and Sends fail.
func (f *Feed[T]) Close() error {
	f.stop(feedShut)
	return nil
}

func (f *Feed[T]) stop(state uint32) {
	for s := f.state.Load(); s < state && !f.state.CompareAndSwap(s, state); s = f.state.Load() {
	}
	f.once.Do(func() { close(f.shut) })
	f.wake()
}

// Notify takes the function that wakes the engine.
func (f *Feed[T]) Notify(wake func()) { f.notify.Store(&wake) }

// AnnouncesAll says that the engine is woken for each record: if the system can fence the senders
// from outside, and while there are no counters, which wake nobody. See record.Announcer.
func (f *Feed[T]) AnnouncesAll() bool { return f.order.FencesOthers() && f.counters.all.Load() == nil }

// Columns has Poll leave out the columns that nobody reads: see record.Projector. What is wrong in
// such a column sets no record aside.
func (f *Feed[T]) Columns(read []bool) {
	f.reads = f.encoder.Only(read)
	f.project(read)
}

// Widen is Columns while records are polled: see record.Widener.
func (f *Feed[T]) Widen(read []bool) { f.Columns(read) }

func (f *Feed[T]) wake() {
	if ring := f.notify.Load(); ring != nil {
		(*ring)()
	}
}

// Read is Poll, for callers without an engine: it does not wait for records.
func (f *Feed[T]) Read(_ context.Context, b *record.Batch) error { return f.Poll(b) }

// Poll takes what the lanes have, in rounds. Everything that the lanes have when a round begins is
// given out before anything that came later, and until the round ends no time of a record counts
// (record.Batch.SetHold). So a record is late only because of records that were sent before it, no
// matter which lanes they came by and how long nobody polled. A record that does not fit the
// schema, such as a time before 1678, is rejected.
func (f *Feed[T]) Poll(b *record.Batch) error {
	err := f.poll(b)
	if b.Len() > 0 {
		f.lend(b)
	}
	return err
}

func (f *Feed[T]) poll(b *record.Batch) error {
	ending := f.state.Load() != feedOpen
	if ending {
		// A sender that announces a Send from now on sees the end. A Send that was announced before
		// is seen here.
		f.order.All()
	}
	for {
		if !f.counters.give(b, f.reads) || !f.give(b) {
			b.SetHold(record.HoldRound) // the batch is full
			return nil
		}
		more, quiet := f.beginRound(ending)
		some := b.Len()+len(b.Rejects()) > 0
		switch {
		case more && some:
			b.SetHold(record.HoldRoundEnds)
			f.sayIdle(false)
			return nil
		case more:
			continue // the round that just ended was empty: read the new one now
		case !some && (f.counters.lookIdle() || ending && quiet && f.counters.lookLast()):
			continue
		case ending && quiet && !some:
			return io.EOF
		}
		b.SetHold(record.HoldSettled)
		f.sayIdle(!some)
		return nil
	}
}

// sayIdle tells senders whether they have to wake the engine.
func (f *Feed[T]) sayIdle(idle bool) {
	if idle != f.idle.Load() {
		f.idle.Store(idle)
	}
}

// beginRound begins a round, which is everything that the lanes have now. more says whether that is
// anything. quiet says that nobody is sending, which matters when the feed ends. Every lane is
// looked at after all records of the previous round have been given out, so whatever was not there
// for that round was sent after all of it.
func (f *Feed[T]) beginRound(ending bool) (more, quiet bool) {
	f.turn, quiet = 0, true
	for i := range int(f.high.Load()) {
		l := f.lanes[i].Load()
		if l == nil {
			continue
		}
		var begun uint64
		if ending {
			// before the lane is looked at, so that what the sender sends is found
			begun = l.begun.Load()
		}
		var next uint64
		next, l.limit = l.out.Ends()
		switch {
		case next < l.limit:
			more = true
		case l.out.Drained():
			f.forget(l)
			f.lanes[i].Store(nil)
			continue
		}
		if ending && l.limit < begun {
			quiet = false // a Send is on its way, or is about to find out that it came too late
		}
	}
	return more, quiet
}

// give appends the rest of the round. It returns false if the batch is full.
func (f *Feed[T]) give(b *record.Batch) bool {
	for ; f.turn < int(f.high.Load()); f.turn++ {
		if l := f.lanes[f.turn].Load(); l != nil && !f.take(b, l) {
			return false
		}
	}
	return true
}

// take appends the records of a lane that belong to the round. It returns false if the batch is
// full.
func (f *Feed[T]) take(b *record.Batch, l *Lane[T]) bool {
	for {
		next, _ := l.out.Ends()
		records := l.out.Peek(int(min(l.limit-next, laneTurn)))
		if len(records) == 0 {
			return true
		}
		n, err := f.reads.AppendAll(b, records)
		full := n < len(records)
		if err != nil && b.Reject(record.Reject{Offset: -1, Reason: err}) {
			n++
			full = false
		}
		if l.numbers != nil && n > 0 {
			l.numbers.setPosition(b, next+uint64(n)-1)
		}
		l.out.Release(n)
		// This pairs with sendFull, which sets waiting before it looks for room once more. The
		// release of the slots above is a fence.
		if l.waiting.Load() && f.hasRoom(l) && l.waiting.CompareAndSwap(true, false) {
			l.room <- struct{}{}
		}
		if full {
			return false
		}
	}
}

// hasRoom says whether half of a lane is free. To wake a sender takes as long as to read some
// hundred records, so it is not woken for less. The lane has records until then, so Poll comes by
// again.
func (f *Feed[T]) hasRoom(l *Lane[T]) bool {
	next, tail := l.out.Ends()
	return tail-next <= uint64(f.cfg.LaneSlots)/2
}

// Drained reports whether everything that was sent before the epoch was raised has been given out.
// The first call for an epoch comes after the raise has been seen, and whoever waits for the epoch
// raised it after its own Sends. So Drained sees the tails of those Sends. A lane that joins later
// is not waited for.
func (f *Feed[T]) Drained(epoch uint64) (done bool) {
	if f.epoch != epoch {
		f.epoch = epoch
		for i := range f.laneMarks {
			f.laneMarks[i] = laneMark[T]{}
			if l := f.lanes[i].Load(); l != nil {
				_, tail := l.out.Ends()
				f.laneMarks[i] = laneMark[T]{l, tail}
			}
		}
		f.counters.unlooked = true
	}
	if !f.counters.drained() {
		return false
	}
	for i := range f.laneMarks {
		if c := &f.laneMarks[i]; c.lane != nil {
			if next, _ := c.lane.out.Ends(); next < c.tail {
				return false
			}
			c.lane = nil
		}
	}
	return true
}

// Lane makes a lane for the calling goroutine. Lanes join and leave at any time. The error is
// ErrNoLane with the number of lanes, or ErrFeedEnded.
func (f *Feed[T]) Lane() (*Lane[T], error) { return f.join(&Lane[T]{feed: f}) }

// join adds a lane.
func (f *Feed[T]) join(l *Lane[T]) (*Lane[T], error) {
	if f.state.Load() != feedOpen {
		return nil, f.over()
	}
	l.room = make(chan struct{}, 1)
	l.in, l.out = ring.New[T](f.cfg.LaneSlots)
	for i := range f.lanes {
		if !f.lanes[i].CompareAndSwap(nil, l) {
			continue
		}
		for h := f.high.Load(); h < int64(i)+1 && !f.high.CompareAndSwap(h, int64(i)+1); h = f.high.Load() {
		}
		return l, nil
	}
	return nil, fmt.Errorf("%w: %d (FeedConfig.Lanes, at most %d); Close gives one back, and an Appender serves any "+
		"number of goroutines", ErrNoLane,
		len(f.lanes), MaxLanes)
}

// forget adds the counters of a lane that leaves to the counters of the feed.
func (f *Feed[T]) forget(l *Lane[T]) {
	_, sent := l.out.Ends()
	f.sent.Add(sent)
	f.shed.Add(l.shed.Load())
	f.waits.Add(l.waits.Load())
}

// FeedStats are the counters of a feed. While the feed is used, they are of slightly different
// moments.
type FeedStats struct {
	Lanes   int    // lanes that have not left
	Sent    uint64 // records that were sent
	Pending uint64 // records that were sent and have not been read
	Shed    uint64 // records that were dropped because their lane was full
	Waits   uint64 // times that a Send waited for room

	Counters int // counters that have not left
	// PendingCounts is what was added to counters and has not been read. Nobody reads it any more
	// when the feed has ended and its engine has come to the end of it.
	PendingCounts uint64
}

// Stats reads the counters. Any goroutine may call it.
func (f *Feed[T]) Stats() FeedStats {
	s := FeedStats{Sent: f.sent.Load(), Shed: f.shed.Load(), Waits: f.waits.Load()}
	s.Counters, s.PendingCounts = f.counters.stats()
	for i := range f.lanes {
		if l := f.lanes[i].Load(); l != nil {
			st := ring.ReadStats(l.in, l.out)
			s.Lanes++
			s.Sent += st.Pushed
			s.Pending += uint64(st.Depth)
			s.Shed += l.shed.Load()
			s.Waits += l.waits.Load()
		}
	}
	return s
}

// Lag says how many records wait in the lanes.
func (f *Feed[T]) Lag() []record.Lag {
	return []record.Lag{{Split: f.String(), Records: f.Stats().Pending}}
}

// A Lane carries the records of one goroutine into a feed, in order. Only one goroutine at a time
// may use it.
type Lane[T any] struct {
	// feed is the feed that the lane belongs to.
	feed *Feed[T]
	// in is the sender's end of the ring, and out is Poll's.
	in  *ring.Producer[T]
	out *ring.Consumer[T]
	// limit is used by Poll: records before it belong to the current round.
	limit uint64
	// numbers has the numbers of the records; nil for a lane without a name.
	numbers *numbers

	_ [linePad]byte

	// The following fields belong to the sender; Poll reads only begun.

	// begun is how many records the sender has begun to send. The sender announces it before it
	// looks at the state of the feed. When the feed has ended, Poll reads begun after it has seen
	// the end and has fenced all senders, and takes the end for final only if as many records have
	// arrived. So a Send that Poll does not see has itself seen the end.
	begun atomic.Uint64
	// count is the sender's own copy of begun.
	count uint64
	// closed says that Close was called.
	closed bool
	// busy says that a Send is on its way. It is kept under invariants only.
	busy atomic.Bool
	_    [linePad]byte

	// waiting says that the sender is about to sleep until Poll has made room. The sender sets it
	// before it looks for room once more.
	waiting atomic.Bool
	// room gets a value when Poll has made room for a sender that waits.
	room chan struct{}
	// sleeps says that a Send found no room and has not returned yet. It is set by a CAS, so that a
	// second such Send is detected.
	sleeps atomic.Bool

	shed, waits atomic.Uint64 // Statistics.
}

// enter begins to send that many records and returns the number of the last. It returns false if
// the feed has ended.
func (l *Lane[T]) enter(records int) (n uint64, ok bool) {
	if invariants.Enabled && l.busy.Swap(true) {
		panic("readers: feed: a lane is used by two goroutines at once")
	}
	n = l.count + uint64(records)
	l.count = n
	l.feed.order.Announce(&l.begun, n)
	if l.feed.state.Load() == feedOpen && !l.closed {
		return n, true
	}
	l.retreat(records)
	l.left()
	return n, false
}

// over says why nothing can be sent any more.
func (l *Lane[T]) over() error {
	if l.closed {
		return errLaneClosed
	}
	return l.feed.over()
}

// leave ends a Send that has sent nothing.
func (l *Lane[T]) leave() {
	l.retreat(1)
	l.left()
}

// retreat says that some of the records that were announced have not been sent.
func (l *Lane[T]) retreat(records int) {
	if records > 0 {
		l.count -= uint64(records)
		fence.Release(&l.begun, l.count)
	}
}

// left says, under invariants, that another goroutine may use the lane now.
func (l *Lane[T]) left() {
	if invariants.Enabled {
		l.busy.Store(false)
	}
}

// Send appends a record. If the lane is full, Send waits for room, or drops and counts the record
// if the feed sheds. If the error is ErrFeedEnded, ErrFeedFull or the cause why ctx is done, the
// record was not taken. The error is ErrLaneShared if another goroutine has used the lane in the
// meantime.
func (l *Lane[T]) Send(ctx context.Context, v T) error {
	n, ok := l.enter(1)
	if !ok {
		return l.over()
	}
	if !l.in.PushRelease(v) {
		return l.sendFull(ctx, v)
	}
	if l.count != n {
		return ErrLaneShared
	}
	l.left()
	if l.feed.idle.Load() {
		l.feed.wake()
	}
	return nil
}

// SendAll appends records, in order, for less than as many Sends take. sent is how many were taken:
// all of them, or those before the one that Send would have given the error for. A feed that sheds
// drops and counts all that find no room. vs may be used again after the call.
func (l *Lane[T]) SendAll(ctx context.Context, vs []T) (sent int, err error) {
	for len(vs) > 0 {
		n, ok := l.enter(len(vs))
		if !ok {
			return sent, l.over()
		}
		pushed := l.in.PushN(vs)
		if l.count != n {
			return sent, ErrLaneShared
		}
		l.retreat(len(vs) - pushed)
		l.left()
		sent += pushed
		vs = vs[pushed:]
		if l.feed.idle.Load() {
			l.feed.wake()
		}
		if len(vs) == 0 {
			break
		}
		if l.feed.cfg.Shed {
			l.shed.Add(uint64(len(vs)))
			return sent, ErrFeedFull
		}
		if err := l.Send(ctx, vs[0]); err != nil { // it waits for room
			return sent, err
		}
		sent++
		vs = vs[1:]
	}
	return sent, nil
}

// TrySend appends a record if there is room. It returns false if there is none or the feed has
// ended; nothing is counted then.
func (l *Lane[T]) TrySend(v T) bool {
	if _, ok := l.enter(1); !ok {
		return false
	}
	if !l.in.PushRelease(v) {
		l.leave()
		return false
	}
	l.left()
	if l.feed.idle.Load() {
		l.feed.wake()
	}
	return true
}

// sendFull is Send for a lane that is full.
func (l *Lane[T]) sendFull(ctx context.Context, v T) error {
	l.leave()
	if l.feed.cfg.Shed {
		l.shed.Add(1)
		return ErrFeedFull
	}
	if !l.sleeps.CompareAndSwap(false, true) {
		return ErrLaneShared
	}
	defer l.sleeps.Store(false)
	l.waits.Add(1)
	l.feed.wake()
	for range laneYields {
		runtime.Gosched()
		if l.TrySend(v) {
			return nil
		}
	}
	for {
		if l.feed.state.Load() != feedOpen || l.closed {
			return l.over()
		}
		l.waiting.Store(true)
		if invariants.Enabled {
			invariants.At("readers.Lane.waiting", l)
		}
		if l.TrySend(v) {
			if !l.waiting.CompareAndSwap(true, false) {
				<-l.room // Poll has taken the flag and is about to send to room
			}
			return nil
		}
		var err error
		select {
		case <-l.room:
			continue
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-l.feed.shut:
			err = l.over()
		}
		if !l.waiting.CompareAndSwap(true, false) {
			<-l.room
		}
		return err
	}
}

// Close makes the lane leave the feed. What was sent is still read, then the lane is forgotten.
func (l *Lane[T]) Close() {
	if !l.closed {
		l.closed = true
		l.in.Close()
		l.feed.wake()
	}
}
