package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
)

const (
	// leastReduction is how many records a partial state must stand for so that folding pays. A
	// partial costs about as much to send and merge as four records cost to route, and its table is
	// another core's worth of cache. Each cache line of a block, such as a sketch's, counts as one
	// more partial.
	leastReduction = 8

	// After lowFlushes in a row that reduced less than that, a router routes routeTimes as many
	// records as the last of them had folded. Then it tries again. If one more flush is low, it
	// routes for twice as many times, up to mostRouteTimes.
	mostLowFlushes = 2
	routeTimes     = 64
	mostRouteTimes = 4096

	// firstEstimate is the number of groups at which the router first estimates whether folding
	// will pay. So it need not fill a large table to find out.
	firstEstimate = 1 << 15
)

// Fold is how a router exchanges records.
type Fold struct {
	// Exchange is how records come to the partitions.
	Exchange plan.Exchange
	// Bytes is how many bytes the table that the router folds into may take before it is flushed.
	Bytes int
}

// foldPanes bounds the panes that a router folds into side by side: records mostly come in about
// the order of their time.
const foldPanes = 8

// folder is the part of a router that folds. It folds into a table for each pane of time that has
// come up, or into one table if the plan has no windows.
type folder struct {
	kernel
	exchange plan.Exchange
	// limit bounds the bytes of the tables.
	limit  int
	budget *MemoryBudget

	// tables are the tables that have been made.
	tables []foldTable
	// open is how many of them have a pane; they are the first.
	open int
	// tableFor is tableOf as a function value, made once.
	tableFor func(id window.Pane, n int) *table.Table
	// note notes that a table lacks memory, see lacking; it is made once.
	note func(t *table.Table)
	lacking

	// on says that the next records are folded; otherwise they are routed.
	on bool
	// records is the number of records folded since the last flush.
	records uint64
	// nextEstimate is the number of groups at which to estimate next what folding will come to.
	nextEstimate int
	// lowFlushes is the number of flushes in a row that reduced too little.
	lowFlushes int
	// backoff is how many times as many records as were folded are routed, if it comes to that.
	backoff uint64
	// routeLeft is the number of records to route before the router folds again.
	routeLeft uint64

	// at is the table, and row the row of it, to send next.
	at, row int
	// nextSided is which of the row's states with blocks to send next.
	nextSided int
	// scratch is scratch for one of these states.
	scratch [agg.MaxWords]uint64
	// partials is the number of partial states sent in this flush, and blockLines the cache lines
	// of their blocks.
	partials, blockLines uint64

	// reader is the router's; it tells its tables from others, see grow.
	reader plan.ReaderID
}

type foldTable struct {
	pane window.Pane
	*table.Table
}

func newFolder(reader plan.ReaderID, l *layout.Layout, fold Fold, route plan.Route, local []*Partition,
	state *MemoryBudget,
) (*folder, error) {
	exchange := fold.Exchange
	if exchange == plan.ExchangeAuto && (route.Routing != plan.RouteAuto && route.Routing != plan.RouteByKey ||
		!slices.Contains(local, nil) || state.sheds()) {
		exchange = plan.ExchangeDirect
	}
	if exchange == plan.ExchangeRoute || exchange == plan.ExchangeDirect {
		return &folder{exchange: exchange}, nil
	}
	f := &folder{
		kernel: newKernel(l, nil), reader: reader, exchange: exchange, limit: fold.Bytes, budget: state, on: true,
		nextEstimate: firstEstimate, backoff: routeTimes,
	}
	f.tableFor = f.tableOf
	f.note = func(t *table.Table) { f.lacking.note(t, stripeRows) }
	if err := f.grow(); err != nil {
		return nil, err
	}
	if l.Window == nil {
		f.open = 1
	}
	return f, nil
}

// routerTables is the bit of the numbers of tables of routers; partitions have the others.
const routerTables = 1 << 63

// grow makes one more table.
func (f *folder) grow() error {
	memory := f.budget.memory()
	if f.layout.Window != nil {
		memory.Groups = MaxPaneGroups
	}
	memory.Number = routerTables | uint64(f.reader)<<32 | uint64(len(f.tables))
	t, err := table.New(f.layout.Keys, f.layout.Init, f.layout.Memory(memory))
	if err != nil {
		return fmt.Errorf("plan %s: a table to fold into: %w", f.layout.Name, err)
	}
	f.tables = append(f.tables, foldTable{0, t})
	return nil
}

// tableOf is the table of a pane; it is nil if there is no table left for the pane.
func (f *folder) tableOf(id window.Pane, _ int) *table.Table {
	for i := range f.tables[:f.open] {
		if f.tables[i].pane == id {
			return f.tables[i].Table
		}
	}
	if f.open == len(f.tables) && (f.open == foldPanes || f.grow() != nil) {
		return nil
	}
	x := &f.tables[f.open]
	x.pane = id
	f.open++
	return x.Table
}

// room makes room for n records of the panes, with long bytes of strings; panes is nil if the plan
// has no windows. It returns false if there is no room.
func (f *folder) room(panes []uint64, n, long int) bool {
	blocks := f.layout.BlockBytes(n, long)
	if panes == nil {
		return f.tables[0].Room(n, long, blocks)
	}
	// Most stripes lie in one pane or two. Rows of two panes come in no order that could be
	// guessed.
	last, before := panes[0]+1, panes[0]+1
	for _, id := range panes {
		if a, b := id^last, id^before; ((a|-a)&(b|-b))>>63 == 0 { // one of the two is 0
			continue
		}
		before, last = last, id
		if t := f.tableOf(window.Pane(id), n); t == nil || !t.Room(n, long, blocks) {
			return false
		}
	}
	return true
}

// groups is the number of groups in all tables.
func (f *folder) groups() (n int) {
	for i := range f.tables[:f.open] {
		n += f.tables[i].Len()
	}
	return n
}

// used is about the number of bytes that the groups need.
func (f *folder) used() (n int) {
	for i := range f.tables[:f.open] {
		n += f.tables[i].Used()
	}
	return n
}

// free gives back the memory of the tables.
func (f *folder) free() {
	for i := range f.tables {
		f.tables[i].Free()
	}
	f.on, f.tables, f.open, f.lacking = false, nil, 0, nil
}

// routed counts records that were routed and says whether to fold again.
func (f *folder) routed(n int) bool {
	if f.routeLeft == 0 {
		return false // this router never folds
	}
	f.routeLeft -= min(f.routeLeft, uint64(n))
	return f.routeLeft == 0
}

// fold adds the stripe to the router's own table. It returns false if that is not possible now:
// there is no room for the stripe, so a flush comes first, or the stripe is routed if there is
// nothing to flush; or memory for the table is being made ready.
func (r *Router) fold() bool {
	f := r.folder
	if f.waits(stripeRows) {
		r.stall = StallMemory
		return false
	}
	n := r.to - r.from
	long := 0
	if r.keys.Long > 0 {
		for _, bytes := range r.keys.LongBytes[:n] {
			long += int(bytes)
		}
	}
	panes := r.stripePanes()
	if !f.room(panes, n, long) {
		if f.groups() > 0 {
			r.phase = flushing
		} else {
			f.on, f.routeLeft = false, routeTimes*uint64(n)
		}
		return false
	}
	nulls, heap := r.fillKernel(&f.kernel)
	if panes == nil {
		f.table = f.tables[0].Table
		f.apply(r.keys.Hashes, heap, nulls)
		f.note(f.table)
	} else {
		f.applyPanes(panes, r.keys.Hashes, heap, nulls, f.tableFor, f.note)
	}
	f.records += uint64(n)
	r.counters.Folded += uint64(n)
	return true
}

// lookAtFold looks, after a batch, whether it is time to flush.
func (r *Router) lookAtFold() {
	f := r.folder
	if !f.on {
		return
	}
	if f.used() > f.limit && f.groups() > 0 { // a batch may have been set aside as a whole
		r.phase = flushing
	}
	if f.exchange == plan.ExchangeAuto && f.groups() >= f.nextEstimate {
		f.nextEstimate = 2 * f.groups()
		if f.hopeless() {
			r.phase = flushing
		}
	}
}

// hopeless estimates whether the tables will be full before there are leastReduction records for
// each group. It assumes that all keys are equally frequent. If some keys are more frequent than
// others, there are fewer groups so far than there would be of as many keys that are equally
// frequent. So it expects fewer keys than will come, and is asked again when there are twice as
// many groups.
func (f *folder) hopeless() bool {
	groups := float64(f.groups())
	full := groups * float64(f.limit) / float64(f.used()) // groups that fit
	// Of G keys, n records have hit G (1 - e^-x) with x = n/G. So their share of the records is
	// groups/n = (1 - e^-x)/x, which falls with x.
	share := groups / float64(f.records)
	if share < 0.5 {
		return false
	}
	low, high := 0.0, 2.0
	for range 40 {
		if x := (low + high) / 2; -math.Expm1(-x)/x > share {
			low = x
		} else {
			high = x
		}
	}
	keys := float64(f.records) / high
	if keys <= full {
		return false
	}
	return -math.Log1p(-full/keys)*keys < leastReduction*full
}

// flush sends the partial states of the router's table to the owners of their shards, as far as
// there is room, and returns how many it has sent. After the last one it decides whether to go on
// folding.
func (r *Router) flush() (sent int) {
	f, l := r.folder, r.layout
	for ; f.at < f.open; f.at, f.row = f.at+1, 0 {
		t := &f.tables[f.at]
		for n := t.Len(); f.row < n; f.row++ {
			key, states := t.Row(f.row)
			hash := l.Keys.HashKey(key)
			p := int(r.owners.OfHash(hash))
			if !r.sendPartial(p, t, hash, key, states) {
				r.stall = StallRing
				return sent
			}
			sent++
			f.partials++
			r.counters.Partials++
		}
	}
	for p := range r.targets {
		if c := r.targets[p].open; c != nil {
			r.commit(p)
		}
	}
	r.counters.Flushes++
	f.at, f.row = 0, 0
	if r.phase == flushingForMarks {
		r.phase = marking
	} else {
		r.phase = routing
	}
	for i := range f.tables[:f.open] {
		f.tables[i].Reset()
	}
	if l.Window != nil {
		f.open = 0
	}
	if f.exchange == plan.ExchangeAuto {
		if f.records >= leastReduction*(f.partials+f.blockLines) {
			f.lowFlushes, f.backoff = 0, routeTimes
		} else if f.lowFlushes++; f.lowFlushes >= mostLowFlushes {
			f.on, f.routeLeft, f.lowFlushes = false, f.backoff*f.records, mostLowFlushes-1
			f.backoff = min(2*f.backoff, mostRouteTimes)
		}
	}
	f.records, f.partials, f.blockLines, f.nextEstimate = 0, 0, 0, firstEstimate
	return sent
}

// sendPartial writes one group of a table into the open chunk of a partition. It returns false if
// the ring of that partition is full.
func (r *Router) sendPartial(p int, t *foldTable, hash uint64, key, states []uint64) bool {
	l := r.layout
	keyBytes := 0
	for _, w := range l.Keys.Strings() {
		if groupkey.IsLong(key[w+2]) {
			_, n := groupkey.LongPlace(key[w+1])
			keyBytes += int(n)
		}
	}
	for {
		// A row gets as many blocks as fit a chunk beside the key. A group that has more goes in
		// several rows, and in each of them its other states are empty.
		sided, bytes := r.folder.nextSided, keyBytes
		for ; sided < len(l.Sided); sided++ {
			n := l.Sided[sided].BlockBytes(states)
			if bytes+n > l.HeapSize() {
				break
			}
			bytes += n
		}
		c := r.targets[p].open
		if c != nil && (c.kind != chunkPartials || c.epoch != uint64(t.pane) || int(c.rows) == l.PartialRows ||
			int(c.heapBytes)+bytes > l.HeapSize()) {
			r.commit(p)
			c = nil
		}
		if c == nil {
			c = r.openChunk(p, chunkPartials)
			if c == nil {
				return false
			}
			c.epoch = uint64(t.pane)
		}
		r.putPartial(c, t, hash, key, states, sided)
		if sided == len(l.Sided) {
			r.folder.nextSided = 0
			return true
		}
		r.folder.nextSided = sided
	}
}

// putPartial writes a group into a chunk that has room, with the blocks of its states from
// folder.nextSided to sided.
func (r *Router) putPartial(c *Chunk, t *foldTable, hash uint64, key, states []uint64, sided int) {
	l := r.layout
	i := int(c.rows)
	c.data[i] = hash
	for w, v := range key {
		c.data[(1+w)*l.PartialRows+i] = v
	}
	from := states
	if r.folder.nextSided > 0 {
		from = l.Init
	}
	words := c.data[(1+len(key))*l.PartialRows:]
	for w, v := range from {
		words[w*l.PartialRows+i] = v
	}
	for _, w := range l.Keys.Strings() {
		if groupkey.IsLong(key[w+2]) {
			off, n := groupkey.LongPlace(key[w+1])
			copy(c.heap(l)[c.heapBytes:], t.Heap()[off:off+n])
			c.data[(1+w+1)*l.PartialRows+i] = groupkey.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
	}
	for j := range l.Sided {
		s := &l.Sided[j]
		state := l.Init[s.Word:]
		if j >= r.folder.nextSided && j < sided {
			state = states[s.Word:]
		}
		state = r.folder.scratch[:copy(r.folder.scratch[:s.Fn.Words()], state)]
		if place := agg.BlockOf(s.Fn, state); place != nil && *place != 0 {
			block := t.Blocks().Bytes(*place)
			line := (c.heapBytes + agg.LineBytes - 1) / agg.LineBytes
			c.heapBytes = line*agg.LineBytes + uint32(copy(c.heap(l)[line*agg.LineBytes:], block))
			*place = agg.PlaceBlock(line+1, len(block)) // see Partition.mergeChunk
			r.folder.blockLines += uint64(len(block)+agg.LineBytes-1) / agg.LineBytes
		}
		for w, v := range state {
			words[(s.Word+w)*l.PartialRows+i] = v
		}
	}
	c.rows++
}
