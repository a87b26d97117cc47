package core

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// stripeRows is how many rows are keyed, hashed and scattered together: their scratch (hash, key words, places) stays in
// the first-level cache.
const stripeRows = 512

// A Source hands the batches of one reader to its router. All calls come from the router's Step.
type Source interface {
	// Next is the next batch that has rows or rejects, or nil when there is none now. The batch before is done with then. done says
	// that there never will be one; b is nil with it.
	Next(now Nanos) (b *record.Batch, done bool)

	// Quarantine takes a record that the router could not take. False says that there is no room now.
	Quarantine(r record.Reject) bool

	// Cut says whether everything that belongs to an epoch has been given out by Next and is done with. It is asked again and again between
	// two batches until it says so.
	Cut(epoch uint64) bool

	// Complete says, behind done, whether that was the end of its input: not that it failed or was told to stop.
	Complete() bool

	// Wake is when Next is worth another call even if nobody rings.
	Wake() Nanos
}

// A LateSource is a Source that takes late records aside: some rows of the batch at hand, which it copies. False says that there is no room now.
type LateSource interface {
	Source
	Late(b *record.Batch, rows []int32) bool
}

// A ControlledSource is a Source that may be paused and stopped.
type ControlledSource interface {
	Source

	// Paused says that nobody asks the reader: that it has nothing then does not make it idle.
	Paused() bool

	// Stopping says that nothing more shall be read than what the reader has taken already: it waits for no other reader then.
	Stopping() bool
}

// A LeavingSource is a Source that may end while others go on, and is not to hold back their windows then: it was removed, or has failed where readers may be idle.
type LeavingSource interface {
	Source

	// Left says so, behind done.
	Left() bool
}

// A Router spreads the records of one reader over the partitions: it is the reader's half of a plan. It is an Agent.
type Router struct {
	id     ReaderID
	layout *layout
	source Source
	owners *Owners // of what comes next
	next   *Owners // of what comes behind the marks that are being sent
	cuts   *Cuts
	route  Route
	folder *folder
	out    []*ring.Producer[Chunk]
	bells  []Bell // of the partitions

	open []*Chunk // the chunk of each partition that is being filled, nil where none is

	// The partitions that the router's runner steps too, nil where another does, and a chunk for each that is in no ring: see commit.
	local  []*Partition
	beside []*Chunk

	aside   LateSource     // takes late records; nil where nobody wants them
	given   *record.Batch  // what the source gave
	result  *expr.Result   // what the machine made of it; nil where there is none
	lateOf  []int32        // those of givenRows
	machine *expr.Machine  // of a plan that filters or computes
	failed  []expr.Failure // records that could not be computed and are not in quarantine yet

	// The place in the batch: rows before from are routed, the keys of [from, to) are encoded where encoded is set.
	batch    *record.Batch
	from, to int
	encoded  bool
	keys     *record.Keys

	// Scratch of a stripe: counts for each partition, the partition that gets all of it (-1: several may), then where each row goes.
	counts   []int
	bytes    []int
	only     int
	destined bool // counts, bytes, only and dest are those of the stripe
	dest     [stripeRows]uint32
	nulls    [stripeRows]uint64
	panes    []uint64   // of each row, of a plan with windows
	onePane  bool       // all rows are of the first
	long     []byte     // the long strings of a stripe with several text columns
	texts    [][]uint64 // of each text argument, the places of the values in the bytes of its column
	turn     int        // the partition that a stripe goes to next, of RouteRoundRobin
	context  RouteContext

	stall Stall // why the last Step had no work
	now   Nanos // of the last Step

	counters  Counters
	published publishedCounters

	times times

	epoch   uint64 // whose marks have been sent, or are being sent
	asked   uint64 // the newest epoch that it has asked for, to close windows
	askedAt Nanos
	joining bool // it has joined while the next epoch was in flight, and has not sent its mark
	ended   bool // the source has: the marks of the end are being sent, or have been
	marking bool // marks are being sent
	marked  int  // partitions that have got theirs
	done    bool // all have got that of the end
}

// publishedCounters are Counters as other goroutines may read them: stored by the router once per Step, so each is
// right for itself and they are of slightly different moments.
type publishedCounters struct {
	in, counted, keyless, filtered, late, quarantined, batches, folded, direct, partials, flushes atomic.Uint64

	groups atomic.Uint64 // of the router's own table
}

func (p *publishedCounters) store(c *Counters) {
	// Single writer, nothing else is published by these: a reader on another goroutine only must not see a torn word.
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

// NewRouter makes the router of a reader. out and bells have an entry for each partition, and so has local: the partitions that are stepped
// on the same thread, nil where another steps them. state bounds the memory of the groups.
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
		local = make([]*Partition, len(out)) // everything through the rings
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
		r.keys.LongBytes = make([]uint64, stripeRows) // keys without texts have none
	}
	return r, nil
}

// Join has the router begin at an epoch that is not the first: the least that any partition had answered when it got the router's ring, see
// Partition.Join; most is the greatest. It is called before the first Step, when all partitions have their rings.
//
// Where they differ, the epoch behind the least is in flight: some partitions have answered it and the others wait for this router's mark. So that
// mark is the first thing it sends, whatever its source has been fed, and who has answered takes no notice of it: for all of them the reader's
// records come behind the epoch.
func (r *Router) Join(least, most uint64) {
	// The last to answer the least has written owners before any partition went on, and the next to write it needs this router's mark.
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
		return Never // only a partition can give room
	}
	switch r.stall {
	case StallEpoch:
		return Never // who raises it rings
	case StallWindows:
		return r.askedAt + crowdedWait
	}
	return r.source.Wake()
}

// Stall is why the last Step had no work.
func (r *Router) Stall() Stall { return r.stall }

// Err is nil: what a router cannot do, a partition will say.
func (r *Router) Err() error { return nil }

// Step routes the rest of the batch at hand, or one more; or it sends the marks of an epoch.
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
		// The number comes before the look at the source: what was sent to it before the epoch was raised is there.
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
			// One that will bring nothing more holds nobody back where time passes by itself, or where it has left.
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

// crowdedWait is how long a reader that waits for others leaves it before it asks for another epoch.
const crowdedWait Nanos = 10_000_000

// ahead says whether the reader waits before it goes on: until an epoch has closed windows after it has opened many, or until
// others have come as far while there are many open. The one that is the furthest behind never waits for others.
func (r *Router) ahead() bool {
	w, t := r.layout.window, &r.times
	if w == nil || w.anyOrder || w.column < 0 || r.stopping() {
		return false // what a reader that is to end has taken already is not much, and nobody may be there to close a snapshot
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

// quiet notes that the source has nothing. One that is paused may have something: nobody asks it.
func (r *Router) quiet(now Nanos) {
	if c, ok := r.source.(ControlledSource); ok && c.Paused() {
		r.times.quiet = false
		return
	}
	r.times.nothing(now)
}

// mayBeIdle says whether the mark of an epoch would say that the reader is idle if its source still has nothing. Then it is
// asked once more before the mark: the last time may be long ago.
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

// startMarks sends the marks of an epoch or of the end, behind what has been folded.
func (r *Router) startMarks() (work int) {
	r.marking, r.marked, r.next = true, 0, r.owners
	if m := &r.cuts.move; !r.ended && m.epoch == r.epoch { // nobody changes it before this router's marks are there
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

// FoldedGroups is the number of groups that the router has folded and not sent yet. Any goroutine may call it.
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

// setAside puts the records that could not be computed into quarantine. False says that there is no room now.
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

// scatter routes the rows of the batch from r.from on, until the end or until a ring is full, and returns how many.
func (r *Router) scatter() (rows int) {
	for r.from < r.batch.Len() {
		if !r.encoded && !r.encode() {
			r.stall = StallQuarantine
			return rows
		}
		if r.from == r.to { // all the rest of the batch went to quarantine
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

// encode keys the next stripe, [r.from, r.to). A stripe whose long strings would not fit one chunk together is cut short; a
// record whose own do not goes to quarantine; the stripe is empty when these end the batch. False says that the quarantine has no
// room now.
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
				r.timely() // the watermark is that of fewer rows; they are the first of those that it took
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

// encodeStripe keys the rows of the stripe. Texts that are arguments count as the long strings of keys do: both go to the heap of a chunk.
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

// longFit is how many of the first rows of the stripe have long strings that fit one chunk together.
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

// room makes room for the stripe in the open chunks of the partitions that it goes to. False says that a ring is full; nothing of the
// stripe has been copied then. It leaves the partition of each row in r.dest.
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

// direct applies the stripe in place where all of it belongs to one partition of this thread. False says that it does not.
func (r *Router) direct() bool {
	if r.only < 0 || r.local[r.only] == nil || r.open[r.only] != r.beside[r.only] {
		return false
	}
	p := r.local[r.only]
	nulls, heap := r.stripe(&p.kernel)
	p.directStripe(r.id, r.keys.Hashes, heap, nulls, r.stripePanes())
	return true
}

// stripePanes are the panes of the rows of the stripe, one where they are all the same; nil where the plan has no windows.
func (r *Router) stripePanes() []uint64 {
	switch {
	case r.panes == nil:
		return nil
	case r.onePane:
		return r.panes[:1]
	}
	return r.panes[:r.to-r.from]
}

// stripe gives a kernel the keys and arguments of the stripe. The NULL bits and the heap of its long strings go with them.
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

// oneHeap brings the long strings of the stripe into one heap, where there are several columns of them.
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

// ensure opens a chunk for partition p that has room for so many rows and bytes, publishing the one that has not.
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

// openChunk opens a chunk for partition p, nil where its ring is full. For rows of a partition of this thread it is one beside the ring, if
// nothing is in the ring that would come after it and the partition has not just published (then the ring has this router's mark, unless it has only
// just joined).
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

// commit publishes the open chunk of partition p, or applies it where it is in no ring.
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
	var first *Chunk // of the only partition
	var at int
	if r.only >= 0 {
		first = r.open[r.only]
		at = int(first.rows)
		first.rows += uint32(n)
		for i := range r.dest[:n] {
			r.dest[i] = uint32(r.only)<<16 | uint32(at+i)
		}
	} else {
		// Where the next row of each partition goes: here and not in the chunks, whose headers lie on a page each.
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

// scatterColumn copies the words of one column to where dest says; at is where the column begins in each chunk.
func (r *Router) scatterColumn(at int, words []uint64) {
	// The address of the column in the chunk of each partition. In bounds: a row's place is below layout.rows, and the column has so
	// many words from at on. The chunks stay alive: their rings hold them.
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

// copyLong copies the bytes of long strings into the heaps of the chunks and lets the words that were copied before point there.
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

// publish publishes the open chunks of partitions that have nothing else to do, or all where the router has not. It returns
// how many.
func (r *Router) publish(busy bool) (chunks int) {
	for p, c := range r.open {
		// What is beside the ring waits until it is full or nothing else is to be done: nobody is idle for it.
		if c != nil && (!busy || r.out[p].Empty() && (c != r.beside[p])) {
			r.commit(p)
			chunks++
		}
	}
	return chunks
}

// mark sends the marks to the partitions, behind everything that was routed to them, and returns how many it could send.
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
		r.out, r.open = nil, nil // the memory of the rings can go
		r.cuts.Leave()
	}
	return sent
}
