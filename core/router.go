package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// A Source hands the batches of one reader to its router. All calls come from the router's Step.
type Source interface {
	// Next is the next batch that has rows or rejects, or nil when there is none now. The router is
	// done with the batch before then. done says that there never will be another; b is nil then.
	Next(now Nanos) (b *record.Batch, done bool)

	// Quarantine takes a record that the router could not take. False means no room now.
	Quarantine(r record.Reject) bool

	// Cut says whether everything that belongs to an epoch has been given out by Next and is done
	// with. It is asked again and again, between two batches, until it returns true.
	Cut(epoch uint64) bool

	// Complete says, after Next has returned done, whether the source has reached the end of its
	// input. It is false if the source failed or was told to stop.
	Complete() bool

	// Wake is when Next is worth another call even if no bell rings.
	Wake() Nanos
}

// A LateSource is a Source that takes late records aside.
type LateSource interface {
	Source
	// Late takes some rows of the batch at hand, which it copies. False means no room now.
	Late(b *record.Batch, rows []int32) bool
}

// A ControlledSource is a Source that may be paused and stopped.
type ControlledSource interface {
	Source

	// Paused says that the reader is not being asked. Such a reader is not idle if it has nothing.
	Paused() bool

	// Stopping says that nothing more is read than what the reader has taken already. It waits for
	// no other reader then.
	Stopping() bool
}

// A LeavingSource is a Source whose end need not hold back others' windows.
type LeavingSource interface {
	Source

	// Left says, after Next has returned done, that the others' windows go on without this reader:
	// it was removed, or it has failed and readers may be idle.
	Left() bool
}

// A Router spreads the records of one reader over the partitions: it is the reader's half of a
// plan. It is an Agent. Its methods are in router.go, scatter.go, fold.go, routing.go and time.go.
type Router struct {
	id     ReaderID
	layout *layout
	source Source
	owners *Owners // who gets the records that come next
	next   *Owners // what owners will be after the marks that are being sent
	cuts   *Cuts
	route  Route
	folder *folder                 // the part of the router that folds
	out    []*ring.Producer[Chunk] // the ring to each partition
	bells  []Bell                  // the bell of each partition
	open   []*Chunk                // for each partition the chunk that is being filled, or nil
	local  []*Partition            // the partitions of the router's runner; nil for the others
	beside []*Chunk                // a chunk in no ring for each local partition, see commit

	aside   LateSource     // takes late records; nil if the source takes none
	given   *record.Batch  // the batch that the source gave
	result  *expr.Result   // what the machine made of that batch; nil if there is no machine
	lateOf  []int32        // scratch of givenRows
	machine *expr.Machine  // filters and computes, for a plan that does either
	failed  []expr.Failure // records that could not be computed and are not in quarantine yet

	batch    *record.Batch // the batch that is being routed
	from, to int           // rows before from are routed; [from, to) is the stripe at hand
	encoded  bool          // the keys of the stripe are encoded
	keys     *record.Keys  // the keys of the stripe

	// The rest of this group is scratch of a stripe.
	counts   []int              // the number of rows for each partition
	bytes    []int              // the bytes of long strings for each partition
	only     int                // the partition that gets all rows; -1 if several may get some
	destined bool               // counts, bytes, only and dest are up to date for the stripe
	dest     [stripeRows]uint32 // the partition of each row, later with its place in the chunk
	nulls    [stripeRows]uint64 // the NULL bits of each row
	panes    []uint64           // the pane of each row, for a plan with windows
	onePane  bool               // all rows are of the first pane in panes
	long     []byte             // the long strings, if several columns have some
	texts    [][]uint64         // for each text argument, places in the bytes of its column
	turn     int                // the partition that RouteRoundRobin sends the next stripe to
	context  RouteContext       // what a RouteFunc is called with

	stall Stall // why the last Step had no work
	now   Nanos // the time of the last Step

	counters  Counters
	published publishedCounters // the counters as other goroutines may read them
	times     times             // what the router knows of event time

	epoch   uint64 // the newest epoch whose marks have been sent or are being sent
	asked   uint64 // the newest epoch that the router has asked for, to close windows
	askedAt Nanos  // when it asked for that epoch
	joining bool   // it joined with the next epoch in flight, whose mark it has not sent yet
	ended   bool   // the source has ended: the marks of the end are being sent, or have been
	marking bool   // marks are being sent
	marked  int    // the number of partitions that have got their mark
	done    bool   // all partitions have got the mark of the end
}

// publishedCounters are Counters as other goroutines may read them, stored by the router once per
// Step. Each is right by itself; they are of slightly different moments.
type publishedCounters struct {
	in, counted, keyless, filtered, late, quarantined, batches, folded, direct, partials, flushes atomic.Uint64

	// groups is the number of groups in the router's own tables.
	groups atomic.Uint64 // the number of groups in the router's own tables
}

func (p *publishedCounters) store(c *Counters) {
	// A single writer; nothing else is published by these: a reader only must not see a torn word.
	p.in.Store(c.In)
	p.counted.Store(c.Counted)
	p.keyless.Store(c.Keyless)
	p.filtered.Store(c.Filtered)
	p.late.Store(c.Late)
	p.quarantined.Store(c.Quarantined)
	p.batches.Store(c.Batches)
	p.folded.Store(c.Folded)
	p.direct.Store(c.Direct)
	p.partials.Store(c.Partials)
	p.flushes.Store(c.Flushes)
}

func (p *publishedCounters) load() Counters {
	return Counters{
		In: p.in.Load(), Counted: p.counted.Load(), Keyless: p.keyless.Load(), Filtered: p.filtered.Load(),
		Late: p.late.Load(), Quarantined: p.quarantined.Load(), Batches: p.batches.Load(),
		Folded: p.folded.Load(), Direct: p.direct.Load(), Partials: p.partials.Load(), Flushes: p.flushes.Load(),
	}
}

// NewRouter makes the router of a reader. out and bells have an entry for each partition, and so
// does local: the partitions that are stepped on the same thread, nil for one that another thread
// steps. state bounds the memory of the groups.
func NewRouter(id ReaderID, plan *Plan, source Source, route Route, fold Fold, out []*ring.Producer[Chunk],
	bells []Bell,
	local []*Partition, state *State, cuts *Cuts,
) (*Router, error) {
	l, err := plan.compile()
	if err != nil {
		return nil, err
	}
	if err := route.Validate(plan); err != nil {
		return nil, err
	}
	if l.passes {
		fold.Exchange = ExchangeRoute // there is nothing to fold or to apply
	}
	if fold.Exchange == ExchangeRoute || len(local) == 0 {
		local = make([]*Partition, len(out)) // everything goes through the rings
	}
	folder, err := newFolder(l, fold, route, local, state)
	if err != nil {
		return nil, err
	}
	r := &Router{
		id: id, layout: l, source: source, owners: cuts.owners, cuts: cuts, route: route.For(plan), out: out,
		bells:  bells,
		folder: folder, local: local, beside: make([]*Chunk, len(out)),
		open: make([]*Chunk, len(out)), counts: make([]int, len(out)), bytes: make([]int, len(out)),
		keys: l.keys.NewKeys(stripeRows), turn: int(id) % len(out),
		context: RouteContext{Reader: id, Partitions: len(out)},
	}
	for p := range local {
		if local[p] != nil {
			r.beside[p] = new(Chunk)
		}
	}
	if l.window != nil {
		r.aside, _ = source.(LateSource)
	}
	r.times.init()
	if l.window != nil {
		r.panes = make([]uint64, stripeRows)
	}
	for range l.textArgs {
		r.texts = append(r.texts, make([]uint64, stripeRows))
		r.keys.LongBytes = make([]uint64, stripeRows) // keys without texts have none
	}
	return r, nil
}

// Join has the router begin at an epoch that is not the first. least and most are the lowest and
// the highest epoch that the partitions had answered when they got its rings, see Partition.Join.
// It is called before the first Step, when all partitions have their rings.
//
// If least and most differ, the epoch after least is in flight: some partitions have answered it
// and the others wait for this router's mark. So the router sends that mark first, whatever its
// source has been fed. Partitions that have answered the epoch ignore the mark. For all of them the
// reader's records come after that epoch.
func (r *Router) Join(least, most uint64) {
	// The last partition to answer least wrote owners before any went on, and the next write needs
	// this router's mark.
	r.epoch, r.joining, r.owners = least, most > least, r.cuts.owners
}

// Counters are the reader's counters as of its last Step. Any goroutine may call it.
func (r *Router) Counters() Counters { return r.published.load() }

// Done says whether the source has ended and every partition has got the mark of the end.
func (r *Router) Done() bool { return r.done }

// Wake is when the source is worth another look.
func (r *Router) Wake() Nanos {
	if r.stall == StallMemory && !r.folder.flushing && !r.marking && r.batch != nil {
		return r.now + memoryWait
	}
	if r.marking || r.batch != nil {
		return Never // only a partition can make room, and it rings
	}
	switch r.stall {
	case StallEpoch:
		return Never // the goroutine that raises the epoch rings
	case StallWindows:
		return r.askedAt + crowdedWait
	}
	return r.source.Wake()
}

// Stall is why the last Step had no work.
func (r *Router) Stall() Stall { return r.stall }

// Err is nil: a partition reports what a router cannot do.
func (r *Router) Err() error { return nil }

// Step routes the rest of the batch at hand, or one more batch, or it sends the marks of an epoch.
func (r *Router) Step(now Nanos) (work int) {
	r.now = now
	if r.done {
		return 0
	}
	if r.folder.flushing {
		work = r.flush()
		r.publishCounters()
		if r.folder.flushing {
			return work
		}
	}
	if r.marking {
		work += r.mark()
		if r.marking || r.done {
			return work
		}
	}
	if r.batch == nil {
		// The number is read before the look at the source, which then already has what was sent to
		// it before the epoch was raised.
		number, _ := r.cuts.Raised()
		cut := number > r.epoch && (r.joining || r.source.Cut(number))
		if cut && !r.mayBeIdle(now) {
			return work + r.startEpoch(number, now)
		}
		if r.ahead() {
			return work + r.publish(false)
		}
		b, done := r.source.Next(now)
		if cut && b == nil && !done {
			r.quiet(now)
			return work + r.startEpoch(number, now)
		}
		if done {
			r.ended, r.times.joins = true, false
			complete := r.source.Complete()
			if complete {
				r.times.watermark = watermarkEnd
			}
			// An ended reader holds back no other if time passes by itself, or if it has left.
			leaves, _ := r.source.(LeavingSource)
			r.times.idle = !complete && r.layout.window != nil &&
				(r.layout.window.column < 0 || leaves != nil && leaves.Left())
			return work + r.startMarks()
		}
		if b == nil {
			r.quiet(now)
			r.stall = StallInput
			return work + r.publish(false)
		}
		r.times.arrive(r.cuts.Origin, now)
		r.take(b)
		work++
	}
	if !r.setAside() {
		r.publishCounters()
		return work
	}
	work += r.scatter()
	if r.batch != nil && r.from == r.batch.Len() {
		r.batch = nil
		r.times.settle()
	}
	r.folded()
	r.publish(true)
	r.publishCounters()
	return work
}

// crowdedWait is how long a reader that waits for others waits until it asks for another epoch.
const crowdedWait Nanos = 10_000_000

// ahead says whether the reader waits before it goes on. After it has opened many windows it waits
// for an epoch that closes some. If many are open, it waits until the others have come as far. The
// reader that is furthest behind never waits for others.
func (r *Router) ahead() bool {
	w, t := r.layout.window, &r.times
	if w == nil || w.anyOrder || w.column < 0 || r.stopping() {
		// Such a reader has not taken much, and maybe no goroutine is left to close a snapshot.
		return false
	}
	switch {
	case t.opened(w, newPanes):
		r.stall = StallEpoch
		if r.epoch < r.asked {
			return true // it has asked for one since its last mark
		}
	case t.marked > r.cuts.least.Load() && r.cuts.crowded():
		r.stall = StallWindows
		if r.now < r.askedAt+crowdedWait {
			return true
		}
	default:
		return false
	}
	r.asked, r.askedAt = r.cuts.Want(), r.now
	return true
}

// stopping says whether the source is to end.
func (r *Router) stopping() bool {
	c, ok := r.source.(ControlledSource)
	return ok && c.Stopping()
}

// quiet notes that the source has nothing. A paused source may have something: it is not asked.
func (r *Router) quiet(now Nanos) {
	if c, ok := r.source.(ControlledSource); ok && c.Paused() {
		r.times.quiet = false
		return
	}
	r.times.nothing(now)
}

// mayBeIdle says whether the mark of an epoch would say that the reader is idle if its source still
// has nothing. Then the source is asked once more before the mark: the last time may be long ago.
func (r *Router) mayBeIdle(now Nanos) bool {
	w := r.layout.window
	return !r.joining && w != nil && w.idle > 0 && r.times.quiet && now-r.times.quietFrom >= w.idle
}

// startEpoch sends the marks of an epoch.
func (r *Router) startEpoch(number uint64, now Nanos) (work int) {
	r.epoch, r.times.joins, r.joining = number, r.joining, false
	r.times.rows, r.times.marked = 0, r.times.watermark
	r.times.lookIdle(r.layout.window)
	r.times.passBy(r.layout.window, r.cuts.Origin, now)
	return r.startMarks()
}

// startMarks sends the marks of an epoch or of the end, after what has been folded.
func (r *Router) startMarks() (work int) {
	r.marking, r.marked, r.next = true, 0, r.owners
	// The move does not change before this router's marks have arrived.
	if m := &r.cuts.move; !r.ended && m.epoch == r.epoch {
		r.next = m.owners
	}
	if f := r.folder; f.groups() > 0 {
		f.flushing = true
		return 1
	}
	return 1 + r.mark()
}

func (r *Router) publishCounters() {
	r.published.store(&r.counters)
	r.published.groups.Store(uint64(r.folder.groups()))
}

// FoldedGroups is the number of groups folded and not sent yet. Any goroutine may call it.
func (r *Router) FoldedGroups() uint64 { return r.published.groups.Load() }

// take begins a batch.
func (r *Router) take(b *record.Batch) {
	r.given, r.times.hold = b, b.Hold()
	rejects := uint64(len(b.Rejects()))
	r.counters.Batches++
	r.counters.In += rejects
	r.counters.Quarantined += rejects
	if stage := r.layout.stage; stage != nil {
		if r.machine == nil || r.machine.Rows() < b.Len() {
			r.machine = stage.New(b.Cap())
		}
		res := r.machine.Run(b)
		r.counters.In += uint64(res.Filtered)
		r.counters.Filtered += uint64(res.Filtered)
		r.result = res
		b, r.failed = res.Batch, res.Failed
	}
	r.batch, r.from, r.to, r.encoded = b, 0, 0, false
}

// setAside quarantines the records that could not be computed. False means no room now.
func (r *Router) setAside() bool {
	for ; len(r.failed) > 0; r.failed = r.failed[1:] {
		if !r.source.Quarantine(record.Reject{Offset: -1, Reason: r.failed[0].Err}) {
			r.stall = StallQuarantine
			return false
		}
		r.counters.In++
		r.counters.Quarantined++
	}
	return true
}

// publish publishes all open chunks or, if the router is busy, only the chunks of partitions that
// have nothing else to do. It returns how many.
func (r *Router) publish(busy bool) (chunks int) {
	for p, c := range r.open {
		// A chunk beside the ring waits until it is full or nothing else is to be done. No
		// partition idles for it.
		if c != nil && (!busy || r.out[p].Empty() && (c != r.beside[p])) {
			r.commit(p)
			chunks++
		}
	}
	return chunks
}

// mark sends the marks to the partitions, after all that was routed to them, and says how many.
func (r *Router) mark() (sent int) {
	r.published.store(&r.counters)
	kind := chunkMark
	if r.ended {
		kind = chunkEnd
		r.folder.free() // everything in it has been sent
		r.published.groups.Store(0)
	}
	for ; r.marked < len(r.out); r.marked++ {
		p := r.marked
		if r.open[p] != nil {
			r.commit(p)
		}
		s := r.out[p].Reserve(1)
		if len(s) == 0 {
			r.stall = StallRing
			return sent
		}
		s[0].begin(kind, r.id)
		s[0].counters, s[0].epoch, s[0].watermark = r.counters, r.epoch, r.times.mark()
		r.commit(p)
		sent++
	}
	r.marking = false
	r.owners = r.next
	if r.ended {
		r.done = true
		r.out, r.open = nil, nil // so that the memory of the rings can be freed
		r.cuts.Leave()
	}
	return sent
}
