package readers

import (
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
	// DefaultLanes is how many lanes a feed has room for unless it is told.
	DefaultLanes = 64

	// MaxLanes bounds the lanes of a feed.
	MaxLanes = 1 << 12

	// DefaultLaneSlots is how many records a lane holds: some milliseconds' worth at a million a second. It is less if all lanes
	// would take more than DefaultFeedBytes, but not less than leastLaneSlots.
	DefaultLaneSlots = 1 << 12
	leastLaneSlots   = 1 << 6

	// DefaultFeedBytes is about what all lanes of a feed take together, if each has the default slots.
	DefaultFeedBytes = 48 << 20

	// laneTurn is how many records are taken from a lane before their slots are given back.
	laneTurn = 256

	// linePad keeps what one goroutine writes off the cache lines that another looks at; see package ring.
	linePad = 128

	// laneYields is how often a Send that finds its lane full lets others run before it sleeps.
	laneYields = 16
)

var (
	// ErrFeedEnded says that a record was not taken because the feed has been ended or its engine is closed.
	ErrFeedEnded = errors.New("readers: feed: it has ended")

	errFeedDone   = fmt.Errorf("%w: End was called", ErrFeedEnded)
	errFeedShut   = fmt.Errorf("%w: the engine that read it has closed it, and its Wait says why", ErrFeedEnded)
	errLaneClosed = fmt.Errorf("%w for this lane: Close was called", ErrFeedEnded)

	// ErrFeedFull says that a record was not taken because there was no room, of a feed that sheds.
	ErrFeedFull = errors.New("readers: feed: the lane is full")

	// ErrNoLane says that a feed has as many lanes as it has room for.
	ErrNoLane = errors.New("readers: feed: all lanes are taken")

	// ErrLaneShared says that two goroutines use one lane at the same time, and that records of either may be lost. Not every such
	// use is found.
	ErrLaneShared = errors.New("readers: feed: two goroutines use one lane at the same time; each needs a lane of its own, or they share an Appender")
)

// FeedConfig says how a feed is made. The zero value suits.
type FeedConfig struct {
	Lanes     int  // room for so many lanes; 0 means DefaultLanes
	LaneSlots int  // records that each holds, a power of two; 0 means DefaultLaneSlots, or fewer
	Shed      bool // a record that finds its lane full is dropped and counted; else Send waits for room
}

// The states of a feed, in their order.
const (
	feedOpen  = iota
	feedEnded // by End: what is in the lanes is still read
	feedShut  // by the engine: nothing is read any more
)

// A Feed is a reader that goroutines of the service push their records into, as Go structs T (see record.SchemaOf for what T may hold). Each
// pushes through a Lane of its own, or all share an Appender. Nothing is allocated for a record and no lock is taken.
//
//	feed, err := readers.NewFeed[Trade](nil, readers.FeedConfig{})
//	eng, err := engine.Start(ctx, engine.Config{Plan: plan, Readers: []record.Reader{feed}})
//	lane, err := feed.Lane()
//	err = lane.Send(ctx, trade)
//
// After eng.Sync a snapshot has all that anybody has sent before. A snapshot has a prefix of each lane; between lanes, records that nobody has
// synced have no order.
type Feed[T any] struct {
	cfg     FeedConfig
	schema  *record.Schema
	encoder *record.Encoder[T]

	// lanes has the lanes, nil where there is room for one. A goroutine that joins puts its lane there with a CAS from nil; Poll takes it out
	// when it is closed and empty.
	lanes []atomic.Pointer[Lane[T]]
	high  atomic.Int64 // lanes behind it have never been used; only grows

	// state goes up only. It is written before the bell is rung and before Poll looks whether anybody is sending; see Lane.enter.
	state atomic.Uint32
	shut  chan struct{} // closed when the feed has ended: who waits for room goes away
	once  sync.Once     // of closing it

	// idle says that Poll has found nothing. A sender looks at it after it has published, without a fence, so it may look too early: then the
	// engine finds the record when it looks the next time, within a millisecond.
	idle   atomic.Bool
	notify atomic.Pointer[func()]

	order fence.Asymmetric
	_     [linePad]byte // senders look at what is above for each record, and nobody writes there as long as Poll finds some

	// Of Poll.
	turn  int    // the lane that the round has come to
	epoch uint64 // that Cut was asked for
	cuts  []laneCut[T]

	// For Stats; they order nothing.
	sent, shed, waits atomic.Uint64 // of lanes that have left
}

// laneCut is where a lane had got when an epoch was raised.
type laneCut[T any] struct {
	lane *Lane[T]
	tail uint64
}

// NewFeed makes a feed of records of this schema; nil is the schema that T has, named feed. The error lists what T lacks for the schema, and
// what is wrong with the configuration.
func NewFeed[T any](schema *record.Schema, cfg FeedConfig) (*Feed[T], error) {
	if cfg.Lanes == 0 {
		cfg.Lanes = DefaultLanes
	}
	if cfg.LaneSlots == 0 {
		cfg.LaneSlots = DefaultLaneSlots
		for size := int(unsafe.Sizeof(*new(T))); cfg.LaneSlots > leastLaneSlots && cfg.LaneSlots*size > DefaultFeedBytes/max(cfg.Lanes, 1); {
			cfg.LaneSlots /= 2
		}
	}
	if cfg.Lanes < 1 || cfg.Lanes > MaxLanes {
		return nil, fmt.Errorf("readers: feed: %d lanes, expected 1..%d, or 0 for %d", cfg.Lanes, MaxLanes, DefaultLanes)
	}
	if n := cfg.LaneSlots; n < 1 || n > ring.MaxSlots || n&(n-1) != 0 {
		return nil, fmt.Errorf("readers: feed: lanes of %d records, expected a power of two up to %d, or 0 for %d", n, ring.MaxSlots, DefaultLaneSlots)
	}
	var err error
	if schema == nil {
		if schema, err = record.SchemaOf[T]("feed"); err != nil {
			return nil, err
		}
	}
	encoder, err := record.EncoderOf[T](schema)
	if err != nil {
		return nil, err
	}
	return &Feed[T]{
		cfg: cfg, schema: schema, encoder: encoder, lanes: make([]atomic.Pointer[Lane[T]], cfg.Lanes), shut: make(chan struct{}),
		order: fence.Prepare(), cuts: make([]laneCut[T], cfg.Lanes),
	}, nil
}

// Schema is that of the records.
func (f *Feed[T]) Schema() *record.Schema { return f.schema }

// String names the reader.
func (f *Feed[T]) String() string { return "feed" }

// End says that nothing more comes. Sends fail from now on; what has been sent is read, then the source ends. Any goroutine may call it, any
// number of times.
func (f *Feed[T]) End() { f.stop(feedEnded) }

// over is ErrFeedEnded, with who has ended it.
func (f *Feed[T]) over() error {
	if f.state.Load() == feedShut {
		return errFeedShut
	}
	return errFeedDone
}

// Close is called by the engine: nothing is read any more, and Sends fail.
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

// Notify gets the function that wakes the engine.
func (f *Feed[T]) Notify(ring func()) { f.notify.Store(&ring) }

func (f *Feed[T]) wake() {
	if ring := f.notify.Load(); ring != nil {
		(*ring)()
	}
}

// Read is Poll, for who has no engine: it waits for nothing.
func (f *Feed[T]) Read(_ context.Context, b *record.Batch) error { return f.Poll(b) }

// Poll takes what the lanes have, in rounds: what all of them have when a round begins is given out before anything that came
// later, and until then no time of a record counts (record.Batch.SetHold). So a record is late only by records that had been
// sent before it, whatever lanes they came by and however long nobody polled. A record that does not fit the schema, such as a
// time before 1678, is rejected.
func (f *Feed[T]) Poll(b *record.Batch) error {
	ending := f.state.Load() != feedOpen
	if ending {
		f.order.All() // who announces a Send from now on sees the end, and who did before is seen
	}
	for {
		if !f.give(b) {
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
			continue // it was the first look
		case ending && quiet && !some:
			return io.EOF
		}
		b.SetHold(record.HoldSettled)
		f.sayIdle(!some)
		return nil
	}
}

// sayIdle has senders ring, or not.
func (f *Feed[T]) sayIdle(idle bool) {
	if idle != f.idle.Load() {
		f.idle.Store(idle)
	}
}

// beginRound begins a round: all that the lanes have. It says whether that is anything, and whether nobody is sending, which
// matters when the feed ends. Every lane is looked at after every record of the round before has been given out, so what was not
// there for that round has been sent after all of it.
func (f *Feed[T]) beginRound(ending bool) (more, quiet bool) {
	f.turn, quiet = 0, true
	for i := range int(f.high.Load()) {
		l := f.lanes[i].Load()
		if l == nil {
			continue
		}
		var begun uint64
		if ending {
			begun = l.begun.Load() // before the look at the lane: what it sends must be found
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
			quiet = false // a Send is on its way, or finds out that it comes too late
		}
	}
	return more, quiet
}

// give appends what is left of the round. False says that the batch is full.
func (f *Feed[T]) give(b *record.Batch) bool {
	for ; f.turn < int(f.high.Load()); f.turn++ {
		if l := f.lanes[f.turn].Load(); l != nil && !f.take(b, l) {
			return false
		}
	}
	return true
}

// take appends the records of a lane that belong to the round. False says that the batch is full.
func (f *Feed[T]) take(b *record.Batch, l *Lane[T]) bool {
	for {
		next, _ := l.out.Ends()
		records := l.out.Peek(int(min(l.limit-next, laneTurn)))
		if len(records) == 0 {
			return true
		}
		n, err := f.encoder.AppendAll(b, records)
		full := n < len(records)
		if err != nil && b.Reject(record.Reject{Offset: -1, Reason: err}) {
			n++
			full = false
		}
		l.out.Release(n)
		// Pairs with Send, which says that it waits before it looks for room once more: the release of the slots is a fence.
		if l.waiting.Load() && l.waiting.CompareAndSwap(true, false) {
			l.room <- struct{}{}
		}
		if full {
			return false
		}
	}
}

// Cut says whether all that was sent before the epoch was raised has been given out. Its first call for an epoch comes after the raise has been
// seen, and the raise after the Sends of whoever waits for the epoch: so their tails are seen. A lane that joins later is not asked.
func (f *Feed[T]) Cut(epoch uint64) (done bool) {
	if f.epoch != epoch {
		f.epoch = epoch
		for i := range f.cuts {
			f.cuts[i] = laneCut[T]{}
			if l := f.lanes[i].Load(); l != nil {
				_, tail := l.out.Ends()
				f.cuts[i] = laneCut[T]{l, tail}
			}
		}
	}
	for i := range f.cuts {
		if c := &f.cuts[i]; c.lane != nil {
			if next, _ := c.lane.out.Ends(); next < c.tail {
				return false
			}
			c.lane = nil
		}
	}
	return true
}

// Lane makes a lane for the calling goroutine. Lanes join and leave at any time. The error is ErrNoLane, with the number of lanes, or
// ErrFeedEnded.
func (f *Feed[T]) Lane() (*Lane[T], error) {
	if f.state.Load() != feedOpen {
		return nil, f.over()
	}
	l := &Lane[T]{feed: f, room: make(chan struct{}, 1)}
	l.in, l.out = ring.New[T](f.cfg.LaneSlots)
	for i := range f.lanes {
		if !f.lanes[i].CompareAndSwap(nil, l) {
			continue
		}
		for h := f.high.Load(); h < int64(i)+1 && !f.high.CompareAndSwap(h, int64(i)+1); h = f.high.Load() {
		}
		return l, nil
	}
	return nil, fmt.Errorf("%w: %d (FeedConfig.Lanes, at most %d); Close gives one back, and an Appender serves any number of goroutines", ErrNoLane,
		len(f.lanes), MaxLanes)
}

// forget keeps the counters of a lane that leaves.
func (f *Feed[T]) forget(l *Lane[T]) {
	_, sent := l.out.Ends()
	f.sent.Add(sent)
	f.shed.Add(l.shed.Load())
	f.waits.Add(l.waits.Load())
}

// FeedStats are the counters of a feed, of slightly different moments while it is used.
type FeedStats struct {
	Lanes   int    // that have not left
	Sent    uint64 // records
	Pending uint64 // of those, the ones that have not been read
	Shed    uint64 // records that found no room
	Waits   uint64 // times that a Send waited for room
}

// Stats reads the counters.
func (f *Feed[T]) Stats() FeedStats {
	s := FeedStats{Sent: f.sent.Load(), Shed: f.shed.Load(), Waits: f.waits.Load()}
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

// A Lane carries the records of one goroutine into a feed, in their order. Only one goroutine at a time may use it.
type Lane[T any] struct {
	feed  *Feed[T]
	in    *ring.Producer[T]
	out   *ring.Consumer[T]
	limit uint64 // of Poll: the records before it belong to the round at hand

	_ [linePad]byte

	// Of the sender, but begun, which Poll looks at when the feed has ended: how many records the sender has begun to send. It is announced before the sender looks at the state of the feed;
	// Poll looks there after it has seen that the feed has ended and fenced all senders, and takes the end for final only where as many records have come. So a Send that Poll does not see has
	// seen the end.
	begun  atomic.Uint64
	count  uint64 // what begun says
	closed bool
	busy   atomic.Bool // a Send is on its way; kept under invariants only
	_      [linePad]byte

	// waiting says that the sender is about to sleep until Poll has made room. It is set before the sender looks for room once more.
	waiting atomic.Bool
	room    chan struct{}
	sleeps  atomic.Bool // a Send has found no room and has not returned; by CAS, so that a second one is found

	shed, waits atomic.Uint64 // for Stats
}

// enter begins a Send and returns its number. False says that the feed has ended.
func (l *Lane[T]) enter() (n uint64, ok bool) {
	if invariants.Enabled && l.busy.Swap(true) {
		panic("readers: feed: a lane is used by two goroutines at once")
	}
	n = l.count + 1
	l.count = n
	l.feed.order.Announce(&l.begun, n)
	if l.feed.state.Load() == feedOpen && !l.closed {
		return n, true
	}
	l.leave()
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
	l.count--
	fence.Release(&l.begun, l.count)
	l.left()
}

// left says, under invariants, that the lane may be used by another goroutine.
func (l *Lane[T]) left() {
	if invariants.Enabled {
		l.busy.Store(false)
	}
}

// Send appends a record. If the lane is full it waits for room, or drops and counts the record if the feed sheds. The error is
// ErrFeedEnded, ErrFeedFull, or why ctx was done; the record has not been taken then. It is ErrLaneShared if another goroutine has used
// the lane meanwhile.
func (l *Lane[T]) Send(ctx context.Context, v T) error {
	n, ok := l.enter()
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

// TrySend appends a record if there is room. False says that there is none or that the feed has ended; nothing is counted.
func (l *Lane[T]) TrySend(v T) bool {
	if _, ok := l.enter(); !ok {
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

// sendFull is Send with a lane that is full.
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
				<-l.room // Poll has taken the flag and leaves a word
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

// Close leaves the feed: what was sent is read, then the lane is forgotten.
func (l *Lane[T]) Close() {
	if !l.closed {
		l.closed = true
		l.in.Close()
		l.feed.wake()
	}
}
