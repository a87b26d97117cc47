package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// A Source hands the batches of one reader to its router. All calls come from the router's Step.
type Source interface {
	// Next is the next batch that has rows or rejects, or nil when there is none now. The router is
	// done with the batch before then. done says that there never will be another; b is nil then.
	Next(now Nanos) (b *record.Batch, done bool)

	// Quarantine takes a record that the router could not take. False means no room now.
	Quarantine(r record.Reject) bool

	// Drained says whether everything that belongs to an epoch has been given out by Next and is
	// done with. It is asked again and again, between two batches, until it returns true.
	Drained(epoch uint64) bool

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
	// it was removed, or it has failed and mayBeIdle says that readers may be idle in the plan.
	Left(mayBeIdle bool) bool
}

// A routerPhase is what a router does next.
type routerPhase uint8

const (
	// routing: it takes batches from its source, and routes or folds their records.
	routing routerPhase = iota
	// flushing: it sends the groups that it has folded, then it goes on routing.
	flushing
	// flushingForMarks: it sends the groups that it has folded, then marks.
	flushingForMarks
	// marking: it sends marks.
	marking
	// finished: all partitions have got the mark of the end.
	finished
)

// A target is a partition as one router sees it.
type target struct {
	// ring is the ring to the partition.
	ring *ring.Producer[Chunk]
	// bell is the bell of the partition.
	bell Bell
	// open is the chunk that is being filled; it is nil if there is none.
	open *Chunk
	// local is the partition itself if the router's runner also steps it; it is nil otherwise.
	local *Partition
	// beside is a chunk in no ring for a local partition, see Router.commit; it is nil otherwise.
	beside *Chunk
}

// A stage is what a router does with a batch before it routes the rows: it filters and computes,
// and it sets records aside.
type stage struct {
	// sourceBatch is the batch that the source gave.
	sourceBatch *record.Batch
	// machine filters and computes; it is nil for a plan that does neither.
	machine *expr.Machine
	// joint filters and computes instead of machine if other plans do the same; view has the
	// columns of its result that this plan has, and jointColumns says which they are.
	joint        *jointStage
	jointColumns []int
	view         *record.Batch
	// pins are the versions of the tables that the machine looks up. The routers of a fan share
	// them.
	pins *lookup.Pins
	// result is what the machine made of the source's batch; it is nil if there is no machine.
	result *expr.Result
	// failed are the records that could not be computed and are not in quarantine yet.
	failed []expr.Failure
	// aside takes late records; it is nil if the source takes none.
	aside LateSource
	// lateRows is scratch of Router.sourceRows.
	lateRows []int32
}

// A stripe is the rows of a batch that a router keys, hashes and scatters together.
type stripe struct {
	// batch is the batch that is being routed; it is nil between two batches.
	batch *record.Batch
	// The rows before from have been routed. The rows [from, to) are the stripe at hand.
	from, to int
	// encoded says that keys has the keys of the stripe at hand.
	encoded bool
	keys    *groupkey.Keys
	// assigned says that single, counts, bytes and dest belong to the stripe at hand.
	assigned bool
	// single is the partition that gets all rows; it is -1 if several may get some.
	single int
	// counts is the number of rows for each partition.
	counts []int
	// bytes is the number of bytes of long strings for each partition.
	bytes []int
	// dest is the partition of each row, later with the row's place in the chunk.
	dest [stripeRows]uint32
	// nulls is the NULL bits of each row.
	nulls [stripeRows]uint64
	// panes is the pane of each row; it is nil if the plan has no windows.
	panes []uint64
	// onePane says that all rows are of the pane in panes[0].
	onePane bool
	// long is the long strings, if several columns have some.
	long []byte
	// texts has, for each text argument, the places in the bytes of its column.
	texts [][]uint64
}

// marks are what a router knows of epochs.
type marks struct {
	// epoch is the newest epoch whose marks have been sent or are being sent.
	epoch uint64
	// sent is the number of partitions that have got their mark.
	sent int
	// nextOwners is what owners will be after the marks that are being sent.
	nextOwners *result.Owners
	// atEnd says that the source has ended: the marks of the end are being sent, or have been.
	atEnd bool
	// joining says that the router joined with the next epoch in flight and has not sent its mark.
	joining bool
	// asked is the newest epoch that the router has asked for, to close windows, and askedAt is
	// when it asked.
	asked   uint64
	askedAt Nanos
}

// A Router spreads the records of one reader over the partitions: it is the reader's half of a
// plan. It is an Agent, or a part of a Fan if the engine has several plans. Its methods are in
// router.go, scatter.go, fold.go, routing.go and time.go.
type Router struct {
	id plan.ReaderID
	// alone has this router and no other: what a Fan decides for its routers, a router that is an
	// agent decides for itself.
	alone routers
	// inFan says that the router is part of a Fan.
	inFan bool
	// waiting says that the router's plan has been added while the engine runs, and begins with the
	// next epoch: no batch is routed before its mark.
	waiting bool
	// abandoned says that the router takes no more batches, because its plan has ended while others
	// go on. Any goroutine stores true; the router loads it before each batch, and nothing is
	// published by it.
	abandoned atomic.Bool
	// err is why the router cannot go on: a user's function has panicked.
	err    error
	layout *layout.Layout
	source Source
	cuts   *Cuts
	// owners says which partition gets the records that come next.
	owners *result.Owners
	// targets has the partitions by their ids.
	targets []target
	phase   routerPhase
	// stall is why the last Step had no work.
	stall Stall
	// now is the time of the last Step.
	now Nanos

	stage
	stripe
	marks
	times  times
	folder *folder
	// kept is nil unless the engine keeps its state.
	kept *positions

	route plan.Route
	// context is what a RouteFunc is called with.
	context plan.RouteContext
	// nextPartition is the partition that RouteRoundRobin sends the next stripe to.
	nextPartition int

	// sampler counts the shards of some records; it is nil if nobody asks for them.
	sampler *shardSampler

	counters result.Counters
	// resumed are the counters that it began with, after a restart.
	resumed result.Counters
	// published are the counters as other goroutines may read them.
	published publishedCounters
}

// publishedCounters are Counters as other goroutines may read them. The router alone stores them,
// once per Step. Each is right by itself; they are of slightly different moments, and nothing else
// is published by them: a reader only must not see a torn word. Statistics.
type publishedCounters struct {
	words [result.CounterWords]atomic.Uint64
	// groups is the number of groups in the router's own tables.
	groups atomic.Uint64
	// watermark is the watermark of what has been routed, and idle is what the last mark said.
	// Both are written only if the plan has windows.
	watermark atomic.Int64
	idle      atomic.Bool
}

func (p *publishedCounters) store(c *result.Counters) {
	for i, n := range c.Words() {
		p.words[i].Store(n)
	}
}

func (p *publishedCounters) load() (c result.Counters) {
	words := c.Words()
	for i := range words {
		words[i] = p.words[i].Load()
	}
	return c
}

// NewRouter makes the router of a reader. out and bells have an entry for each partition, and so
// does local: the partitions that are stepped on the same thread, nil for one that another thread
// steps. state bounds the memory of the groups.
func NewRouter(id plan.ReaderID, pl *plan.Plan, source Source, route plan.Route, fold Fold, out []*ring.Producer[Chunk],
	bells []Bell,
	local []*Partition, state *MemoryBudget, cuts *Cuts,
) (*Router, error) {
	l, err := pl.Layout()
	if err != nil {
		return nil, err
	}
	if err := route.Validate(pl); err != nil {
		return nil, err
	}
	if l.PassThrough {
		fold.Exchange = plan.ExchangeRoute // there is nothing to fold or to apply
	}
	if fold.Exchange == plan.ExchangeRoute || len(local) == 0 {
		local = make([]*Partition, len(out)) // everything goes through the rings
	}
	folder, err := newFolder(id, l, fold, route, local, state)
	if err != nil {
		return nil, err
	}
	r := &Router{
		id: id, layout: l, source: source, cuts: cuts, owners: cuts.owners, targets: make([]target, len(out)),
		folder: folder, route: route.For(pl), nextPartition: int(id) % len(out),
		context: plan.RouteContext{Reader: id, Partitions: len(out)},
	}
	r.alone = routers{r}
	r.published.watermark.Store(watermarkNone)
	if l.Stage != nil {
		r.pins = lookup.NewPins(l.Stage.Tables()...)
	}
	r.stripe = stripe{
		keys: l.Keys.NewKeys(stripeRows), counts: make([]int, len(out)), bytes: make([]int, len(out)),
	}
	for p := range r.targets {
		r.targets[p] = target{ring: out[p], bell: bells[p], local: local[p]}
		if local[p] != nil {
			r.targets[p].beside = new(Chunk)
		}
	}
	r.times.init()
	if l.Window != nil {
		r.aside, _ = source.(LateSource)
		r.panes = make([]uint64, stripeRows)
	}
	for range l.TextArgs {
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

// Abandon has the router take no more batches. It still sends the marks of epochs. Any goroutine
// may call it.
func (r *Router) Abandon() { r.abandoned.Store(true) }

// Counters are the reader's counters as of its last Step. Any goroutine may call it.
func (r *Router) Counters() result.Counters { return r.published.load() }

// Done says whether the source has ended and every partition has got the mark of the end.
func (r *Router) Done() bool { return r.phase == finished }

// Wake is when the router is worth another Step even if no bell rings.
func (r *Router) Wake() Nanos {
	switch {
	case r.stall == StallMemory:
		return r.now + memoryWait
	case r.busy():
		return Never // only a partition can make room, and it rings
	case r.stall == StallEpoch:
		return Never // the goroutine that raises the epoch rings
	case r.stall == StallWindows:
		return r.askedAt + crowdedWait
	}
	return r.source.Wake()
}

// Stall is why the last Step had no work.
func (r *Router) Stall() Stall { return r.stall }

// Err is the panic of a user's function, which ends the plan. A partition reports what else a
// router cannot do.
func (r *Router) Err() error { return r.err }

// contain has a panic of a user's function end the plan. The batch at hand is dropped. It is called
// by defer.
func (r *Router) contain() {
	v := recover()
	if v == nil {
		return
	}
	p, ok := v.(*usercode.Panic)
	if !ok {
		panic(v)
	}
	r.giveUp(p)
}

// giveUp ends the router's part in the plan: it takes no more batches.
func (r *Router) giveUp(err error) {
	r.err, r.batch, r.failed = err, nil, nil
	r.abandoned.Store(true)
}

// Step routes the rest of the batch at hand, or one more batch, or it sends what was folded or the
// marks of an epoch.
func (r *Router) Step(now Nanos) (work int) {
	work = r.resume(now)
	if r.phase != routing {
		return work
	}
	if r.batch == nil {
		n, _ := r.alone.next(now)
		work += n
		if r.batch == nil {
			return work
		}
	}
	return work + r.routeBatch()
}

// busy says whether the router has something to send before it may take another batch.
func (r *Router) busy() bool { return r.phase != routing || r.batch != nil }

// resume sends what was folded, and the marks of an epoch, as far as there is room.
func (r *Router) resume(now Nanos) (work int) {
	defer r.contain()
	r.now = now
	r.check()
	if r.phase == flushing || r.phase == flushingForMarks {
		work = r.flush()
		r.publishCounters()
		if r.phase == flushing || r.phase == flushingForMarks {
			return work
		}
	}
	if r.phase == marking {
		work += r.sendMarks()
	}
	return work
}

// routeBatch routes a piece of the batch at hand.
func (r *Router) routeBatch() (work int) {
	defer r.contain()
	if !r.setAside() {
		r.publishCounters()
		return 0
	}
	work = r.scatter()
	if r.from == r.batch.Len() {
		r.batch = nil
		r.times.settle()
		if r.kept != nil {
			r.kept.take(r.sourceBatch.Positions())
		}
	}
	r.lookAtFold()
	if r.phase == flushing {
		work++
	}
	r.sendChunks(true)
	r.publishCounters()
	return work
}

// crowdedWait is how long a reader that waits for others waits until it asks for another epoch.
const crowdedWait Nanos = 10_000_000

// ahead says whether the reader waits before it goes on. After it has opened many windows it waits
// for an epoch that closes some. If many are open, it waits until the others have come as far. The
// reader that is furthest behind never waits for others.
func (r *Router) ahead() bool {
	w, t := r.layout.Window, &r.times
	if w == nil || w.AnyOrder || w.Column < 0 || r.stopping() || r.abandoned.Load() {
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
	if r.kept != nil && !r.kept.quiet.Load() {
		r.kept.quiet.Store(true)
	}
	if c, ok := r.source.(ControlledSource); ok && c.Paused() {
		r.times.quiet = false
		return
	}
	r.times.sourceEmpty(now)
}

// mayBeIdle says whether the mark of an epoch would say that the reader is idle if its source still
// has nothing. Then the source is asked once more before the mark: the last time may be long ago.
func (r *Router) mayBeIdle(now Nanos) bool {
	w := r.layout.Window
	return !r.joining && w != nil && w.Idle > 0 && r.times.quiet && now-r.times.quietFrom >= Nanos(w.Idle)
}

// startEpoch begins to send the marks of an epoch.
func (r *Router) startEpoch(number uint64, slot int, now Nanos) (work int) {
	r.epoch, r.times.joining, r.joining, r.waiting = number, r.joining, false, false
	r.times.rows, r.times.marked = 0, r.times.watermark
	r.times.lookIdle(r.layout.Window)
	r.times.advanceClock(r.layout.Window, r.cuts.Origin, now)
	if r.kept != nil {
		r.kept.bySlot[slot].keep(number, r.times.watermark, r.kept.splits)
	}
	return r.startMarks()
}

// startEnd begins to send the marks of the end: the source has ended.
func (r *Router) startEnd() (work int) {
	r.atEnd, r.times.joining = true, false
	complete := r.source.Complete()
	if r.kept != nil { // before the watermark says that nothing comes: after a restart more may come
		r.kept.final.keep(r.epoch, r.times.watermark, r.kept.splits)
		r.kept.complete = complete
		r.kept.quiet.Store(true)
	}
	if complete {
		r.times.watermark = watermarkEnd
	}
	// An ended reader holds back no other if time passes by itself, or if it has left.
	leaves, _ := r.source.(LeavingSource)
	r.times.idle = !complete && r.layout.Window != nil &&
		(r.layout.Window.Column < 0 || leaves != nil && leaves.Left(r.layout.Window.Idle > 0))
	return r.startMarks()
}

// startMarks begins to send the marks of an epoch or of the end. What has been folded goes first.
func (r *Router) startMarks() (work int) {
	r.phase, r.sent, r.nextOwners = marking, 0, r.owners
	// The move does not change before this router's marks have arrived.
	if m := &r.cuts.move; !r.atEnd && m.epoch == r.epoch {
		r.nextOwners = m.owners
	}
	if r.folder.groups() > 0 {
		r.phase = flushingForMarks
		return 1
	}
	return 1 + r.sendMarks()
}

func (r *Router) publishCounters() {
	r.published.store(&r.counters)
	r.published.groups.Store(uint64(r.folder.groups()))
	if r.layout.Window != nil {
		r.published.watermark.Store(r.times.watermark)
	}
}

// Watermark is how far the reader has come in event time, and whether it is idle and so holds no
// window back. It is WatermarkNone before the first record and in a plan without windows. Any
// goroutine may call it.
func (r *Router) Watermark() (at int64, idle bool) {
	return r.published.watermark.Load(), r.published.idle.Load()
}

// FoldedGroups is the number of groups folded and not sent yet. Any goroutine may call it.
func (r *Router) FoldedGroups() uint64 { return r.published.groups.Load() }

// take begins a batch.
func (r *Router) take(b *record.Batch) {
	defer r.contain()
	r.sourceBatch, r.times.hold = b, b.Hold()
	rejects := uint64(len(b.Rejects()))
	r.counters.Batches++
	r.counters.In += rejects
	r.counters.Quarantined += rejects
	if stage := r.layout.Stage; stage != nil {
		var res *expr.Result
		if r.joint != nil {
			res = r.joint.run(b)
		} else {
			if r.machine == nil || r.machine.Rows() < b.Len() {
				r.machine = stage.New(b.Cap())
			}
			res = r.machine.RunWith(r.pins, b)
		}
		r.counters.In += uint64(res.Filtered)
		r.counters.Filtered += uint64(res.Filtered)
		r.result = res
		b, r.failed = res.Batch, res.Failed
		for _, f := range r.failed {
			if usercode.AsPanic(f.Err) != nil {
				r.giveUp(f.Err)
				return
			}
		}
		if r.joint != nil {
			b = r.project(b)
		}
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

// sendChunks publishes all open chunks or, if the router is busy, only the chunks of partitions
// that have nothing else to do. It returns how many.
func (r *Router) sendChunks(busy bool) (chunks int) {
	for p := range r.targets {
		// A chunk beside the ring waits until it is full or nothing else is to be done. No
		// partition idles for it.
		t := &r.targets[p]
		if t.open != nil && (!busy || t.ring.Empty() && t.open != t.beside) {
			r.commit(p)
			chunks++
		}
	}
	return chunks
}

// sendMarks sends the marks to the partitions, after all that was routed to them, and says how many
// it has sent.
func (r *Router) sendMarks() (sent int) {
	r.published.store(&r.counters)
	if r.layout.Window != nil {
		r.published.watermark.Store(r.times.watermark)
		r.published.idle.Store(r.times.idle)
	}
	kind := chunkMark
	if r.atEnd {
		kind = chunkEnd
		r.folder.free() // everything in it has been sent
		r.published.groups.Store(0)
	}
	for ; r.sent < len(r.targets); r.sent++ {
		t := &r.targets[r.sent]
		if t.open != nil {
			r.commit(r.sent)
		}
		s := t.ring.Reserve(1)
		if len(s) == 0 {
			r.stall = StallRing
			return sent
		}
		s[0].begin(kind, r.id)
		s[0].counters, s[0].epoch, s[0].watermark = r.counters, r.epoch, r.times.mark()
		r.commit(r.sent)
		sent++
	}
	r.owners = r.nextOwners
	if !r.atEnd {
		r.phase = routing
		return sent
	}
	r.phase = finished
	r.targets = nil // so that the memory of the rings can be freed
	if !r.inFan {
		r.cuts.Leave()
	}
	return sent
}
