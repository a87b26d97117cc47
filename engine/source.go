package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/internal/enum"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/internal/fence"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

const (
	// pollIdleMin and pollIdleMax are the shortest and the longest time that a poller is left alone
	// after it had nothing. The time doubles as long as it has nothing, because no bell announces
	// its next record. Looking again after a park costs up to 80 us on a virtual machine (the
	// monitor of the Go runtime wakes too), so looking 125 times a second costs 1 % of a core.
	pollIdleMin = 500 * time.Microsecond
	pollIdleMax = 8 * time.Millisecond

	// notifiedIdleMax replaces pollIdleMax for a poller that announces when it has something.
	// Goroutines that feed it may publish with release stores. Such a store may become visible
	// after the look at the bell that follows it, so the announcement may be missed. After a fence
	// none is (see runner.park), and the poller is left alone for fencedIdle: only a reader that
	// announces what is not there yet is late by that, such as a feed with counters. One that says
	// that it announces all (record.Announcer) is left alone twice as long each time that it has
	// nothing again, up to announcedIdleMax: a look costs up to 80 us, so 50 engines that nobody
	// feeds take 2 % of a core instead of 9 (BenchmarkServeJobs in velocli). A fence comes each
	// fenceEvery at most, because other agents of the runner may have it park much more often.
	notifiedIdleMax = time.Millisecond
	fencedIdle      = 50 * time.Millisecond
	fenceEvery      = 10 * time.Millisecond

	announcedIdleMax = 500 * time.Millisecond

	// pumpBatches is how many batches rotate between a pump and its source: one is being filled,
	// one is being routed, and one waits in each direction.
	pumpBatches = 4
)

// A ReaderState says what a reader is doing.
type ReaderState uint32

// The states of a reader.
const (
	Running  ReaderState = iota
	Retrying             // it waits after a transient error
	Ended                // its source has ended
	Failed               // its source has failed; see ReaderStats.Err
	Stopped              // Shutdown has told it to stop
	Paused               // Pause has told it to wait
)

// String returns the state as a word.
func (s ReaderState) String() string {
	return enum.Name([]string{"running", "retrying", "ended", "failed", "stopped", "paused"}, s, "ReaderState")
}

// A source hands the batches of one reader to its router. It is the part that pollSource and
// pumpSource share. It does what the reader asks for with its error, and contains the reader's
// panics.
type source struct {
	engine *Engine
	id     int
	name   string
	reader record.Reader
	bell   *bell // the bell of the runner that steps the source
	// widener is the reader if it was told which columns to bring and can bring more, or nil.
	widener record.Widener
	wake    core.Nanos

	rejectIn  *ring.Producer[record.Reject] // nil if the configuration has no OnReject
	rejectOut *ring.Consumer[record.Reject]
	lateIn    *ring.Producer[lateBatch] // nil if no plan has an OnLate
	lateOut   *ring.Consumer[lateBatch]

	held   *record.Batch
	passed int  // number of rejects of held that are in the queue
	ended  bool // true if nothing more will be read

	// exited is true if the reader has ended the goroutine that called it. Only the goroutine that
	// reads uses it, or the one that reads next.
	exited bool

	closing bool // true if a goroutine has been told to close the reader

	// The next fields are for Stats. The goroutine that reads writes them; they are atomic because
	// other goroutines look at them.
	state   atomic.Uint32
	retries atomic.Uint64
	dropped atomic.Uint64 // rows of batches that were not finished
	paused  atomic.Bool   // written and used by the runner; atomic for Stats

	// lagless says that the reader's Lag has panicked and is not called again. Statistic.
	lagless atomic.Bool

	// leaving says that nothing more shall be read: see RemoveReader. It is written once, before
	// the bell is rung, and it is read in the same places as Engine.stopping.
	leaving atomic.Bool

	mu  sync.Mutex // guards err, off the data path
	err error
}

// Wake returns the time at which Next is worth a call even if no bell is rung.
func (s *source) Wake() core.Nanos {
	if s.asleep() {
		return core.Never // Resume rings the bell
	}
	return s.wake
}

// asleep says that the source has been paused and shall not be read. Shutdown ends it all the same.
func (s *source) asleep() bool { return s.paused.Load() && !s.stopping() }

// Paused says whether the reader is not being read because of Pause.
func (s *source) Paused() bool { return s.asleep() }

// Stopping exports stopping to the router.
func (s *source) Stopping() bool { return s.stopping() }

// stopping says that nothing more shall be read.
func (s *source) stopping() bool { return s.leaving.Load() || s.engine.stopping.Load() }

// status returns what the reader is doing.
func (s *source) status() ReaderState {
	state := ReaderState(s.state.Load())
	if s.paused.Load() && (state == Running || state == Retrying) {
		return Paused
	}
	return state
}

// Complete says, once the source has ended, whether the reader has come to the end of its input.
func (s *source) Complete() bool { return ReaderState(s.state.Load()) == Ended }

// Left says, once the source has ended, whether the windows of other readers may close without it:
// it was removed, or it failed and the plan lets readers be idle. It is false during shutdown, when
// the readers end one after the other.
func (s *source) Left(mayBeIdle bool) bool {
	failed := mayBeIdle && ReaderState(s.state.Load()) == Failed
	return (s.leaving.Load() || failed) && !s.engine.stopping.Load()
}

// Quarantine takes a record that the router could not take.
func (s *source) Quarantine(r record.Reject) bool { return s.reject(r) }

// handOver puts the rejects of a batch into the queue and returns the batch when all are in. It
// returns nil if there is no room now. The goroutine that empties the queue rings the bell.
func (s *source) handOver() *record.Batch {
	b := s.held
	for ; s.passed < len(b.Rejects()); s.passed++ {
		if !s.reject(b.Rejects()[s.passed]) {
			return nil
		}
	}
	s.held, s.passed = nil, 0
	return b
}

// fail ends the source with an error.
func (s *source) fail(err error) {
	s.mu.Lock()
	s.err = fmt.Errorf("engine: reader %d (%s): %w", s.id, s.name, err)
	s.mu.Unlock()
	s.state.Store(uint32(Failed))
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// read calls the reader and contains its panic. It drops and counts the rows of a batch that the
// reader could not finish, and the rows of a batch whose columns are not as they should be.
func (s *source) read(b *record.Batch, call func(*record.Batch) error) (err error) {
	b.Reset()
	returned := false
	drop := func() {
		if !returned {
			s.dropped.Add(uint64(b.Len()))
			b.Reset()
		}
	}
	err = contain("the reader", func() error {
		defer drop()
		err := call(b)
		returned = true
		return err
	}, s.exit)
	if check := b.Check(); check != nil {
		s.dropped.Add(uint64(b.Len()))
		b.Reset()
		return errors.Join(check, err)
	}
	return err
}

// exit ends the source because its reader ends the goroutine that has called it.
func (s *source) exit(err error) {
	s.exited = true
	s.fail(err)
}

// outcome says what the error of a read asks for.
type outcome struct {
	end   bool          // the source has ended or failed
	retry time.Duration // wait that long and read again
}

// judge says what the error of a read asks for, and keeps the error. delay is the wait after the
// last transient error.
func (s *source) judge(err error, delay time.Duration) outcome {
	switch {
	case err == nil:
		s.state.Store(uint32(Running))
		return outcome{}
	case s.stopping() && (errors.Is(err, context.Canceled) || errors.Is(err, io.EOF)):
		s.state.Store(uint32(Stopped))
		return outcome{end: true}
	case errors.Is(err, io.EOF):
		s.state.Store(uint32(Ended))
		return outcome{end: true}
	case errors.Is(err, record.ErrTransient):
		s.state.Store(uint32(Retrying))
		s.retries.Add(1)
		c := &s.engine.cfg
		return outcome{retry: min(max(2*delay, c.RetryMin), c.RetryMax)}
	}
	s.fail(err)
	return outcome{end: true}
}

// finish has the reader closed by a goroutine that may wait. The close comes after the reader's
// rejected records, because OnReject may ask the reader for their lines. It is called after the
// last read, by the runner or after the runner has ended. Only the first call counts.
func (s *source) finish() {
	if s.closing {
		return
	}
	s.closing = true
	s.engine.helpers.Add(1)
	if q := s.engine.rejects; q != nil {
		q.ended <- s // it has room for all readers that an engine may have
	} else {
		go s.close()
	}
}

// close closes the reader and keeps its error.
func (s *source) close() {
	defer s.engine.helpers.Done()
	s.engine.as(callerClose, func() {
		if err := contain("Close", s.reader.Close, s.fail); err != nil && s.failure() == nil {
			s.fail(fmt.Errorf("close: %w", err))
		}
	})
}

// A pollSource polls a reader that never blocks, on the runner's own thread.
type pollSource struct {
	*source
	poll  func(*record.Batch) error
	fed   record.Drainer // the reader, if goroutines of the service feed it; otherwise nil
	told  bool           // true if it has been told to end
	batch *record.Batch
	delay time.Duration // the wait after the last transient error; 0 if the last poll had none
	idle  time.Duration // the wait after the last poll that had nothing; 0 if it had something

	idleMax time.Duration // upper bound of idle

	// notified says that the reader announces when it has something. Then order is what fences the
	// goroutines that do.
	notified bool
	order    fence.Asymmetric
	// fenced says that a fence came after the announcement that the runner parks and before the
	// next poll; fencedAt is when the last fence was.
	fenced   bool
	fencedAt core.Nanos
	// announcer is the reader if it may announce all that it has; otherwise nil. quiet is the wait
	// after the last poll that had nothing after a fence; 0 if a poll had something since.
	announcer record.Announcer
	quiet     time.Duration
}

func newPollSource(s *source, p record.Poller, b *record.Batch) *pollSource {
	ps := &pollSource{source: s, poll: p.Poll, batch: b}
	ps.fed, _ = p.(record.Drainer)
	ps.idleMax = pollIdleMax
	if n, ok := p.(record.Notifier); ok {
		ps.idleMax, ps.notified, ps.order = notifiedIdleMax, true, fence.Prepare()
		n.Notify(s.bell.Wake)
	}
	ps.announcer, _ = p.(record.Announcer)
	return ps
}

// Drained asks a reader that is fed. What a paused reader has been fed is in no epoch until it is
// read.
func (s *pollSource) Drained(epoch uint64) bool {
	if s.fed == nil || s.asleep() {
		return true
	}
	if s.held != nil {
		return false
	}
	s.ended = s.ended || s.exited
	if s.ended {
		return true
	}
	done := false
	err := contain("Drained", func() error {
		done = s.fed.Drained(epoch)
		return nil
	}, s.exit)
	if err != nil {
		s.fail(err)
		s.ended = true
	}
	return done // a reader that has failed is done when Drained is asked again
}

// announcesAll says whether the reader announces all that it has.
func (s *pollSource) announcesAll() (all bool) {
	if s.announcer == nil {
		return false
	}
	err := contain("AnnouncesAll", func() error {
		all = s.announcer.AnnouncesAll()
		return nil
	}, s.exit)
	if err != nil {
		s.fail(err)
		s.ended = true
	}
	return all
}

// widen has the reader bring these columns from the next poll on.
func (s *pollSource) widen(read []bool) {
	if s.widener == nil || s.ended {
		return
	}
	err := contain("Widen", func() error {
		s.widener.Widen(read)
		return nil
	}, s.exit)
	if err != nil {
		s.fail(err)
		s.ended = true
	}
}

// wantsFence says whether the next poll, if it has nothing, is worth a fence before it.
func (s *pollSource) wantsFence(now core.Nanos) bool {
	return s.notified && s.idle >= notifiedIdleMax && now-s.fencedAt >= core.Nanos(fenceEvery)
}

// Next polls the reader.
func (s *pollSource) Next(now core.Nanos) (*record.Batch, bool) {
	if s.held != nil {
		return s.handOver(), false
	}
	s.ended = s.ended || s.exited
	if !s.ended && s.stopping() {
		s.stop()
	}
	if s.ended {
		s.finish()
		return nil, true
	}
	if s.asleep() {
		return nil, false
	}
	if s.delay > 0 && now < s.wake {
		return nil, false
	}
	fenced := s.fenced
	s.fenced = false
	err := s.read(s.batch, s.poll)
	o := s.judge(err, s.delay)
	s.delay = o.retry
	some := s.batch.Len() > 0 || len(s.batch.Rejects()) > 0
	switch {
	case o.end:
		s.ended = true
		s.wake = now
	case o.retry > 0:
		s.wake = now + core.Nanos(o.retry)
	case some:
		s.wake, s.idle, s.quiet = now, 0, 0
	case fenced && s.announcesAll():
		s.quiet = min(max(2*s.quiet, fencedIdle), announcedIdleMax)
		s.wake = now + core.Nanos(s.quiet)
	case fenced:
		s.wake = now + core.Nanos(fencedIdle)
	default:
		s.idle = idleAfter(s.idle, s.idleMax)
		s.wake = now + core.Nanos(s.idle)
	}
	if !some {
		return nil, false
	}
	s.held = s.batch
	return s.handOver(), false
}

// stop ends the reading. A reader that is fed is read to its end, which comes after everything that
// it had taken has been given out. So a caller that has handed a record over, and was told so,
// finds it in the result.
func (s *pollSource) stop() {
	if s.fed == nil {
		s.state.Store(uint32(Stopped))
		s.ended = true
	} else if !s.told {
		s.told = true
		if err := contain("End", func() error { s.fed.End(); return nil }, s.exit); err != nil {
			s.fail(err)
			s.ended = true
		}
	}
}

// idleAfter returns how long to leave a reader alone that had nothing. idle is the last wait, which
// had no result either.
func idleAfter(idle, most time.Duration) time.Duration {
	return min(max(2*idle, pollIdleMin), most)
}

// A pumpSource gets the batches of a reader that may block from a pump, which is a goroutine that
// calls the reader.
type pumpSource struct {
	*source
	full    *ring.Consumer[pumped]
	free    *ring.Producer[*record.Batch]
	pump    *pump
	routing *record.Batch
	graceAt core.Nanos // when to give up waiting for a Read that does not return
}

// pumped is what the pump passes on: a batch, and whether it is the last. The last may be nil.
type pumped struct {
	batch *record.Batch
	last  bool
}

// A pump calls a blocking reader.
type pump struct {
	*source
	full  *ring.Producer[pumped]
	free  *ring.Consumer[*record.Batch]
	freed wakeup // rung when a batch has come back

	// ctx is the context of every Read. cancel ends it.
	ctx    context.Context
	cancel context.CancelFunc

	gone atomic.Bool // true after run has returned
}

func newPumpSource(s *source, batches func() *record.Batch) *pumpSource {
	ps := &pumpSource{source: s}
	// The ring is never full: it has one slot for each batch and one for the end.
	fullIn, fullOut := ring.New[pumped](2 * pumpBatches)
	freeIn, freeOut := ring.New[*record.Batch](pumpBatches)
	for range pumpBatches {
		freeIn.PushN([]*record.Batch{batches()})
	}
	ps.full, ps.free = fullOut, freeIn
	ps.pump = &pump{source: s, full: fullIn, free: freeOut, freed: newWakeup()}
	ps.pump.ctx, ps.pump.cancel = context.WithCancel(s.engine.readCtx)
	ps.wake = core.Never
	return ps
}

// Drained always returns true, because what a pump has read ahead belongs to the epoch in which it
// is routed.
func (s *pumpSource) Drained(uint64) bool { return true }

// Next gives the last batch back to the pump and takes the next from it.
func (s *pumpSource) Next(now core.Nanos) (*record.Batch, bool) {
	if s.held != nil {
		return s.handOver(), false
	}
	if s.routing != nil {
		s.free.PushN([]*record.Batch{s.routing})
		s.routing = nil
		s.pump.freed.wake()
	}
	if s.ended {
		s.finish()
		return nil, true
	}
	if s.asleep() {
		return nil, false
	}
	var next [1]pumped
	if s.full.PopN(next[:]) == 0 {
		s.wake = core.Never
		return nil, s.abandon(now)
	}
	s.ended = next[0].last
	b := next[0].batch
	s.routing = b
	if b == nil || b.Len() == 0 && len(b.Rejects()) == 0 {
		s.wake = now // look again: there may be more, or this was the last
		return nil, false
	}
	s.held = b
	return s.handOver(), false
}

// abandon says whether to go on without the pump. It does so readGrace after Shutdown has cancelled
// a Read that does not return.
func (s *pumpSource) abandon(now core.Nanos) bool {
	if !s.stopping() {
		return false
	}
	if s.graceAt == 0 {
		s.graceAt = now + core.Nanos(readGrace)
	}
	s.wake = s.graceAt
	return now >= s.graceAt
}

// run reads until the source ends. ctx is done when the engine stops.
func (p *pump) run(ctx context.Context) {
	defer p.gone.Store(true)
	defer func() {
		if p.exited {
			p.handOver(nil, true)
		}
	}()
	call := func(b *record.Batch) error { return p.reader.Read(ctx, b) }
	var delay, idle time.Duration
	for {
		b := p.take(ctx)
		if b == nil {
			p.state.Store(uint32(Stopped))
			p.handOver(nil, true)
			return
		}
		var o outcome
		for {
			o = p.judge(p.read(b, call), delay)
			if b.Len() > 0 || len(b.Rejects()) > 0 || o.end || o.retry > 0 {
				break
			}
			// There is nothing and no error, so this reader does not block after all. It must not
			// use up a core.
			idle = idleAfter(idle, pollIdleMax)
			if p.pause(ctx, idle); ctx.Err() != nil {
				p.state.Store(uint32(Stopped))
				o.end = true
				break
			}
		}
		idle = 0
		b.Keep() // the reader is called again before it is routed
		p.handOver(b, o.end)
		if o.end {
			return
		}
		delay = o.retry
		if delay > 0 {
			p.pause(ctx, delay)
		}
	}
}

// handOver hands a batch to the source.
func (p *pump) handOver(b *record.Batch, last bool) {
	p.full.PushN([]pumped{{b, last}})
	p.bell.Wake()
}

// take waits for a batch to read into. It returns nil when the engine stops.
func (p *pump) take(ctx context.Context) *record.Batch {
	var b [1]*record.Batch
	for p.free.PopN(b[:]) == 0 {
		if invariants.Enabled {
			invariants.At("engine.pump.take", p)
		}
		p.freed.announce()
		if p.free.Empty() { // look again after the announcement
			select {
			case <-p.freed.c:
			case <-ctx.Done():
				return nil
			}
		}
		p.freed.over()
	}
	if ctx.Err() != nil {
		return nil
	}
	return b[0]
}

func (p *pump) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
