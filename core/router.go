package core

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// stripeRows is how many rows are keyed, hashed and scattered together: their scratch (hash, key
// words, places) stays in the first-level cache.
const stripeRows = 512

// A Source hands the batches of one reader to its router. All calls come from the router's Step.
type Source interface {
	// Next is the next batch that has rows or rejects, or nil when there is none now. The router is
	// done with the batch before when it calls Next. done says that there never will be another
	// batch; b is nil then.
	Next(now Nanos) (b *record.Batch, done bool)

	// Quarantine takes a record that the router could not take. It returns false if there is no
	// room now.
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
	// Late takes some rows of the batch at hand, which it copies. It returns false if there is no
	// room now.
	Late(b *record.Batch, rows []int32) bool
}

// A ControlledSource is a Source that may be paused and stopped.
type ControlledSource interface {
	Source

	// Paused says that the reader is not being asked for records. A reader that has nothing while
	// it is paused is not idle.
	Paused() bool

	// Stopping says that nothing more shall be read than what the reader has taken already. Such a
	// reader waits for no other.
	Stopping() bool
}

// A LeavingSource is a Source that may end while others go on, and whose end need not hold back
// their windows.
type LeavingSource interface {
	Source

	// Left says, after Next has returned done, that the others' windows go on without this reader:
	// it was removed, or it has failed and readers may be idle.
	Left() bool
}

// A Router spreads the records of one reader over the partitions: it is the reader's half of a
// plan. It is an Agent. Its methods are in router.go, fold.go, routing.go and time.go.
type Router struct {
	id     ReaderID
	layout *layout
	source Source
	// owners says where the records that come next go.
	owners *Owners
	// next is what owners will be after the marks that are being sent.
	next  *Owners
	cuts  *Cuts
	route Route
	// folder is the part of the router that folds.
	folder *folder
	// out has the ring to each partition.
	out []*ring.Producer[Chunk]
	// bells has the bell of each partition.
	bells []Bell

	// open has the chunk of each partition that is being filled, nil if there is none.
	open []*Chunk

	// local has the partitions that the router's runner also steps, nil for a partition that
	// another runner steps.
	local []*Partition
	// beside has a chunk that is in no ring for each of the local partitions: see commit.
	beside []*Chunk

	// aside takes late records; it is nil if the source takes none.
	aside LateSource
	// given is the batch that the source gave.
	given *record.Batch
	// result is what the machine made of that batch; it is nil if there is no machine.
	result *expr.Result
	// lateOf is the scratch of givenRows.
	lateOf []int32
	// machine filters and computes, for a plan that does either.
	machine *expr.Machine
	// failed are the records that could not be computed and are not in quarantine yet.
	failed []expr.Failure

	// batch is the batch that is being routed.
	batch *record.Batch
	// Rows before from are routed; [from, to) is the stripe at hand.
	from, to int
	// encoded says that the keys of the stripe are encoded.
	encoded bool
	// keys has the encoded keys of the stripe.
	keys *record.Keys

	// The rest of this group is scratch of a stripe. counts has the number of rows for each
	// partition.
	counts []int
	// bytes has the number of bytes of long strings for each partition.
	bytes []int
	// only is the partition that gets the whole stripe; it is -1 if several may get some.
	only int
	// destined says that counts, bytes, only and dest are up to date for the stripe.
	destined bool
	// dest says for each row which partition it goes to, and later its place in the chunk as well.
	dest [stripeRows]uint32
	// nulls has the NULL bits of each row.
	nulls [stripeRows]uint64
	// panes has the pane of each row, for a plan with windows.
	panes []uint64
	// onePane says that all rows are of the first pane in panes.
	onePane bool
	// long has the long strings of a stripe with several text columns.
	long []byte
	// texts has, for each text argument, the places of the values in the bytes of its column.
	texts [][]uint64
	// turn is the partition that the next stripe goes to with RouteRoundRobin.
	turn int
	// context is what a RouteFunc is called with.
	context RouteContext

	// stall is why the last Step had no work.
	stall Stall
	// now is the time of the last Step.
	now Nanos

	// counters are the router's own counters.
	counters Counters
	// published has the counters as other goroutines may read them.
	published publishedCounters

	// times is what the router knows of event time.
	times times

	// epoch is the newest epoch whose marks have been sent or are being sent.
	epoch uint64
	// asked is the newest epoch that the router has asked for, to close windows.
	asked uint64
	// askedAt is when it asked for that epoch.
	askedAt Nanos
	// joining says that the router has joined while the next epoch was in flight, and has not sent
	// the mark of that epoch.
	joining bool
	// ended says that the source has ended: the marks of the end are being sent, or have been.
	ended bool
	// marking says that marks are being sent.
	marking bool
	// marked is the number of partitions that have got their mark.
	marked int
	// done says that all partitions have got the mark of the end.
	done bool
}

// publishedCounters are Counters as other goroutines may read them. The router stores them once per
// Step. Each of them is right by itself, but they are of slightly different moments.
type publishedCounters struct {
	in, counted, keyless, filtered, late, quarantined, batches, folded, direct, partials, flushes atomic.Uint64

	// groups is the number of groups in the router's own tables.
	groups atomic.Uint64
}

func (p *publishedCounters) store(c *Counters) {
	// There is a single writer, and the counters publish nothing else. A reader on another
	// goroutine only must not see a torn word.
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
		In: p.in.Load(), Counted: p.counted.Load(), Keyless: p.keyless.Load(), Filtered: p.filtered.Load(), Late: p.late.Load(), Quarantined: p.quarantined.Load(), Batches: p.batches.Load(),
		Folded: p.folded.Load(), Direct: p.direct.Load(), Partials: p.partials.Load(), Flushes: p.flushes.Load(),
	}
}

// NewRouter makes the router of a reader. out and bells have an entry for each partition, and so
// does local: the partitions that are stepped on the same thread, nil for one that another thread
// steps. state bounds the memory of the groups.
func NewRouter(id ReaderID, plan *Plan, source Source, route Route, fold Fold, out []*ring.Producer[Chunk], bells []Bell,
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
		id: id, layout: l, source: source, owners: cuts.owners, cuts: cuts, route: route.For(plan), out: out, bells: bells,
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
		// The keys have none if no key column is a text.
		r.keys.LongBytes = make([]uint64, stripeRows)
	}
	return r, nil
}

// Join has the router begin at an epoch that is not the first. least and most are the lowest and
// the highest epoch that the partitions had answered when they got the router's rings, see
// Partition.Join. Join is called before the first Step, when all partitions have their rings.
//
// If least and most differ, the epoch after least is in flight: some partitions have answered it
// and the others wait for this router's mark. So the router sends that mark first, whatever its
// source has been fed. The partitions that have answered the epoch ignore the mark. For all
// partitions the reader's records come after that epoch.
func (r *Router) Join(least, most uint64) {
	// The last partition to answer least wrote owners before any partition went on. The next write
	// to it needs this router's mark.
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
		if work += r.mark(); r.marking || r.done {
			return work
		}
	}
	if r.batch == nil {
		// The number of the epoch is read before the router looks at the source. So the source
		// already has whatever was sent to it before the epoch was raised.
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
			// A reader that will bring nothing more holds no other back if time passes by itself,
			// or if it has left.
			leaves, _ := r.source.(LeavingSource)
			r.times.idle = !complete && r.layout.window != nil && (r.layout.window.column < 0 || leaves != nil && leaves.Left())
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

// crowdedWait is how long a reader that waits for others lets pass before it asks for another
// epoch.
const crowdedWait Nanos = 10_000_000

// ahead says whether the reader has to wait before it goes on. After it has opened many windows it
// waits for an epoch that closes some. If many windows are open, it waits until the other readers
// have come as far. The reader that is furthest behind never waits for others.
func (r *Router) ahead() bool {
	w, t := r.layout.window, &r.times
	if w == nil || w.anyOrder || w.column < 0 || r.stopping() {
		// A reader that is to end has not taken much, and there may be no goroutine left that
		// closes a snapshot.
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

// quiet notes that the source has nothing. A source that is paused may have something: its reader
// is not asked.
func (r *Router) quiet(now Nanos) {
	if c, ok := r.source.(ControlledSource); ok && c.Paused() {
		r.times.quiet = false
		return
	}
	r.times.nothing(now)
}

// mayBeIdle says whether the mark of an epoch would say that the reader is idle if its source still
// has nothing. In that case the source is asked once more before the mark, because it may have been
// asked last a long time ago.
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

// FoldedGroups is the number of groups that the router has folded and not sent yet. Any goroutine
// may call it.
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

// setAside puts the records that could not be computed into quarantine. It returns false if there
// is no room now.
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

// scatter routes the rows of the batch from r.from on, until the end or until a ring is full. It
// returns how many rows it has routed.
func (r *Router) scatter() (rows int) {
	for r.from < r.batch.Len() {
		if !r.encoded && !r.encode() {
			r.stall = StallQuarantine
			return rows
		}
		if r.from == r.to { // the rest of the batch went to quarantine
			break
		}
		n := r.to - r.from
		f := r.folder
		if f.on && !r.fold() {
			return rows // a flush comes first
		} else if !f.on {
			if !r.room() {
				r.stall = StallRing
				return rows
			}
			if !r.direct() {
				r.copyRows()
			}
			for p, rows := range r.counts {
				if rows > 0 && r.open[p] == r.beside[p] {
					r.counters.Direct += uint64(rows)
				}
			}
			r.pass()
			if f.routed(n) {
				f.on = true
			}
		}
		r.counters.In += uint64(n)
		r.counters.Counted += uint64(n)
		r.counters.Keyless += uint64(r.keys.Keyless)
		rows += n
		r.times.routed(n)
		r.from, r.encoded = r.to, false
	}
	return rows
}

// encode keys the next stripe, [r.from, r.to). It cuts a stripe short if its long strings do not
// fit one chunk together. A record whose own strings do not fit goes to quarantine. If such records
// end the batch, the stripe is empty. encode returns false if the quarantine has no room now.
func (r *Router) encode() bool {
	l := r.layout
	for r.from < r.batch.Len() {
		r.to = min(r.from+min(stripeRows, l.rows), r.batch.Len())
		if l.window != nil {
			if ok, room := r.timely(); !room {
				return false
			} else if !ok {
				continue
			}
		}
		r.encodeStripe()
		fit := r.longFit()
		if fit == r.to-r.from {
			break
		}
		if fit > 0 {
			r.to = r.from + fit
			if l.window != nil {
				// Now the watermark is computed from fewer rows, which are the first of those that
				// it was computed from.
				r.timely()
			}
			r.encodeStripe()
			break
		}
		reason := fmt.Errorf("core: the key has strings of %d bytes, at most %d are allowed", r.keys.LongBytes[0], l.maxText())
		if len(l.textArgs) > 0 {
			reason = fmt.Errorf("core: the record has strings of %d bytes where the plan reads them, at most %d are allowed", r.keys.LongBytes[0], l.maxText())
		}
		if !r.source.Quarantine(record.Reject{Offset: -1, Reason: reason}) {
			return false
		}
		r.counters.In++
		r.counters.Quarantined++
		r.from++
		r.to = r.from
	}
	r.encoded = true
	return true
}

// encodeStripe keys the rows of the stripe. Texts that are arguments count like the long strings of
// keys: both go to the heap of a chunk.
func (r *Router) encodeStripe() {
	k := r.keys
	r.layout.keys.Encode(r.batch, r.from, r.to, k)
	n := r.to - r.from
	if len(r.texts) > 0 && k.Long == 0 {
		clear(k.LongBytes[:n])
	}
	for t, arg := range r.layout.textArgs {
		c := r.batch.Column(r.layout.args[arg].source)
		for i, v := range c.Views[r.from:r.to] {
			if c.Null(r.from + i) {
				v = record.View{}
			}
			r.texts[t][i] = record.PlaceLong(uint64(v.Off), uint64(v.Len))
			k.LongBytes[i] += uint64(v.Len)
			if v.Len > 0 {
				k.Long++
			}
		}
	}
}

// longFit is how many of the first rows of the stripe have long strings that fit one chunk
// together.
func (r *Router) longFit() int {
	n := r.to - r.from
	if r.keys.Long == 0 {
		return n
	}
	var total uint64
	most, of := uint64(r.layout.heapSize()), uint64(r.layout.maxText())
	for i, bytes := range r.keys.LongBytes[:n] {
		if total += bytes; total > most || bytes > of {
			return i
		}
	}
	return n
}

// room makes room for the stripe in the open chunks of the partitions that it goes to. It returns
// false if a ring is full; nothing of the stripe has been copied then. It leaves the partition of
// each row in r.dest.
func (r *Router) room() bool {
	tries := 1
	if r.route.Routing == RouteRoundRobin {
		tries = len(r.out)
	}
	for range tries {
		if !r.destined {
			r.destine()
		}
		if r.ensureAll() {
			return true
		}
		if r.route.Routing == RouteRoundRobin {
			r.pass()
		}
	}
	return false
}

// direct applies the stripe in place if all of it belongs to one partition of this thread. It
// returns false if that is not so.
func (r *Router) direct() bool {
	if r.only < 0 || r.local[r.only] == nil || r.open[r.only] != r.beside[r.only] {
		return false
	}
	p := r.local[r.only]
	nulls, heap := r.stripe(&p.kernel)
	p.directStripe(r.id, r.keys.Hashes, heap, nulls, r.stripePanes())
	return true
}

// stripePanes are the panes of the rows of the stripe: a single one if they are all the same, and
// nil if the plan has no windows.
func (r *Router) stripePanes() []uint64 {
	switch {
	case r.panes == nil:
		return nil
	case r.onePane:
		return r.panes[:1]
	}
	return r.panes[:r.to-r.from]
}

// stripe gives a kernel the keys and arguments of the stripe. It returns the NULL bits of the
// stripe and the heap of its long strings.
func (r *Router) stripe(k *kernel) (nulls []uint64, heap []byte) {
	copy(k.words, r.keys.Words)
	for i, a := range r.layout.args {
		k.args[i] = nil
		if a.column >= 0 {
			k.args[i] = r.words(i)
		}
	}
	for _, arg := range r.layout.textArgs {
		k.texts[arg] = r.batch.Column(r.layout.args[arg].source).Bytes
	}
	if r.layout.hasNulls && r.hasNulls() {
		nulls = r.nullBits()
	}
	if r.keys.Long > 0 {
		heap = r.oneHeap()
	}
	return nulls, heap
}

// words are the words of an argument in the rows of the stripe.
func (r *Router) words(arg int) []uint64 {
	for t, a := range r.layout.textArgs {
		if a == arg {
			return r.texts[t][:r.to-r.from]
		}
	}
	return r.batch.Column(r.layout.args[arg].source).Words()[r.from:r.to]
}

// oneHeap copies the long strings of the stripe into one heap if several columns have some.
func (r *Router) oneHeap() []byte {
	k := r.keys
	if len(k.Heaps) == 1 {
		return k.Heaps[0]
	}
	r.long = r.long[:0]
	for j, w := range r.layout.keys.Strings() {
		places, marks := k.Words[w+1], k.Words[w+2]
		for i := range marks {
			if record.IsLong(marks[i]) {
				off, n := record.LongPlace(places[i])
				places[i] = record.PlaceLong(uint64(len(r.long)), n)
				r.long = append(r.long, k.Heaps[j][off:off+n]...)
			}
		}
	}
	return r.long
}

// ensureAll makes room in every chunk that the stripe goes to.
func (r *Router) ensureAll() bool {
	for p, rows := range r.counts {
		if rows > 0 && !r.ensure(p, rows, r.bytes[p]) {
			return false
		}
	}
	return true
}

// ensure makes sure that the open chunk for partition p has room for that many rows and bytes. If
// it has not, ensure publishes it and opens another.
func (r *Router) ensure(p, rows, bytes int) bool {
	l := r.layout
	if c := r.open[p]; c != nil {
		if c.kind == chunkRows && int(c.rows)+rows <= l.rows && int(c.heapBytes)+bytes <= l.heapSize() && (c != r.beside[p] || r.local[p].ready()) {
			return true
		}
		r.commit(p)
	}
	return r.openChunk(p, chunkRows) != nil
}

// openChunk opens a chunk for partition p; it returns nil if the ring is full. For rows of a
// partition of this thread it opens the chunk beside the ring, if the partition takes records in
// place and the ring is empty. Whatever is in the ring was sent before these rows and would be
// applied after them. The partition takes none if it has just published. (The ring has this
// router's mark then, unless the router has only just joined.)
func (r *Router) openChunk(p int, kind chunkKind) *Chunk {
	if c := r.beside[p]; c != nil && kind == chunkRows && r.out[p].Empty() && r.local[p].takes() {
		r.open[p] = c
		c.begin(kind, r.id)
		return c
	}
	s := r.out[p].Reserve(1)
	if len(s) == 0 {
		return nil
	}
	r.open[p] = &s[0]
	r.open[p].begin(kind, r.id)
	return r.open[p]
}

// commit publishes the open chunk of partition p, or applies the chunk if it is in no ring.
func (r *Router) commit(p int) {
	c := r.open[p]
	r.open[p] = nil
	if c != nil && c == r.beside[p] {
		if c.rows > 0 {
			r.local[p].direct(c)
		}
		return
	}
	r.out[p].Commit(1)
	r.bells[p].Ring()
}

// copyRows copies the columns of the stripe into the open chunks of the owners, which have room.
func (r *Router) copyRows() {
	l, n := r.layout, r.to-r.from
	var first *Chunk // the chunk of the only partition, if there is one
	var at int
	if r.only >= 0 {
		first = r.open[r.only]
		at = int(first.rows)
		first.rows += uint32(n)
		for i := range r.dest[:n] {
			r.dest[i] = uint32(r.only)<<16 | uint32(at+i)
		}
	} else {
		// next has the place of the next row for each partition. It is kept here and not in the
		// chunks because their headers lie on a page each.
		var next [MaxPartitions]uint32
		for p, c := range r.open {
			if c != nil {
				next[uint8(p)] = c.rows
			}
		}
		for i, p := range r.dest[:n] {
			place := &next[uint8(p)]
			r.dest[i] = p<<16 | *place
			*place++
		}
		for p, c := range r.open {
			if c != nil {
				c.rows = next[uint8(p)]
			}
		}
	}
	column := 0
	put := func(words []uint64) {
		if first != nil {
			copy(first.data[column*l.rows+at:], words)
		} else {
			r.scatterColumn(column*l.rows, words)
		}
		column++
	}
	put(r.keys.Hashes)
	for _, words := range r.keys.Words {
		put(words)
	}
	for i, a := range l.args {
		if a.column >= 0 {
			put(r.words(i))
		}
	}
	if l.hasNulls {
		put(r.nullBits())
	}
	if r.panes != nil {
		panes := r.panes[:n]
		if r.onePane {
			for i := range panes {
				panes[i] = r.panes[0]
			}
		}
		put(panes)
	}
	if r.keys.Long > 0 {
		r.copyLong()
	}
}

// scatterColumn copies the words of one column to where dest says; at is where the column begins in
// each chunk.
func (r *Router) scatterColumn(at int, words []uint64) {
	// column has the address of the column in the chunk of each partition. The accesses are in
	// bounds: the place of a row is below layout.rows, and the column has that many words from at
	// on. The chunks stay alive because their rings hold them.
	var column [MaxPartitions]unsafe.Pointer
	for p, c := range r.open {
		if c != nil {
			column[uint8(p)] = unsafe.Pointer(&c.data[at])
		}
	}
	for i, d := range r.dest[:len(words)] {
		*(*uint64)(unsafe.Add(column[uint8(d>>16)], 8*uintptr(d&0xffff))) = words[i]
	}
}

// hasNulls says whether any argument is NULL in any row of the stripe.
func (r *Router) hasNulls() bool {
	for _, a := range r.layout.args {
		if r.batch.Column(a.source).AnyNull(r.from, r.to) {
			return true
		}
	}
	return false
}

// nullBits has a word for each row of the stripe: bit i says that argument i is NULL.
func (r *Router) nullBits() []uint64 {
	nulls := r.nulls[:r.to-r.from]
	clear(nulls)
	for bit, a := range r.layout.args {
		if c := r.batch.Column(a.source); c.AnyNull(r.from, r.to) {
			for i := range nulls {
				if c.Null(r.from + i) {
					nulls[i] |= 1 << bit
				}
			}
		}
	}
	return nulls
}

// copyLong copies the bytes of long strings into the heaps of the chunks, and changes the words
// that were copied before so that they point there.
func (r *Router) copyLong() {
	l := r.layout
	for i, bytes := range r.keys.LongBytes[:r.to-r.from] {
		if bytes == 0 {
			continue
		}
		d := r.dest[i]
		c := r.open[d>>16]
		heap := c.heap(l)
		for j, w := range l.keys.Strings() {
			if !record.IsLong(r.keys.Words[w+2][i]) {
				continue
			}
			off, n := record.LongPlace(r.keys.Words[w+1][i])
			copy(heap[c.heapBytes:], r.keys.Heaps[j][off:off+n])
			c.data[(1+w+1)*l.rows+int(d&0xffff)] = record.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
		for t, arg := range l.textArgs {
			off, n := record.LongPlace(r.texts[t][i])
			copy(heap[c.heapBytes:], r.batch.Column(l.args[arg].source).Bytes[off:off+n])
			c.data[l.args[arg].column*l.rows+int(d&0xffff)] = record.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
	}
}

// publish publishes all open chunks or, if the router is busy, only the chunks of partitions that
// have nothing else to do. It returns how many chunks it has published.
func (r *Router) publish(busy bool) (chunks int) {
	for p, c := range r.open {
		// A chunk beside the ring waits until it is full or the router has nothing else to do: no
		// partition idles because of it.
		if c != nil && (!busy || r.out[p].Empty() && (c != r.beside[p])) {
			r.commit(p)
			chunks++
		}
	}
	return chunks
}

// mark sends the marks to the partitions, after everything that was routed to them, and returns how
// many it could send.
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
