package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

// An Exchange is how records come to the partitions. The result does not depend on it.
type Exchange uint8

const (
	// ExchangeAuto applies records in place where all partitions are on the reader's own thread. Elsewhere it folds, and for a while does
	// as ExchangeDirect where folding has not made much less of the records. A route that was asked for by name is taken.
	ExchangeAuto Exchange = iota

	// ExchangeDirect applies a record in place where its partition is on the reader's own thread, and sends it there elsewhere.
	ExchangeDirect

	// ExchangeFold aggregates on the reader's own core and sends partial states to the partitions when its table outgrows the limit
	// and at the end: little to send, and no partition is hot because a key is.
	ExchangeFold

	// ExchangeRoute sends every record to its partition, through a ring even on its own thread.
	ExchangeRoute
)

// String is the name.
func (x Exchange) String() string {
	switch x {
	case ExchangeAuto:
		return "auto"
	case ExchangeDirect:
		return "direct"
	case ExchangeFold:
		return "fold"
	case ExchangeRoute:
		return "route"
	}
	return fmt.Sprintf("Exchange(%d)", uint8(x))
}

const (
	// leastReduction is how many records a partial state must stand for so that folding pays: a partial costs about as much to send and
	// merge as four records cost to route, and its table is another core's worth of cache.
	leastReduction = 8

	// lowFlushes in a row that reduced less than that switch a router to routing, for routeTimes as many records as the last of them
	// had folded. Then it tries again; where one more flush is low, it routes for twice as many times, up to mostRouteTimes.
	lowFlushes     = 2
	routeTimes     = 64
	mostRouteTimes = 4096

	// firstLook is at how many groups it is first estimated whether folding will pay, so that a router need not fill a large table to find out.
	firstLook = 1 << 15
)

// Fold is how a router exchanges records, and how many bytes the table it folds into may take before it is flushed.
type Fold struct {
	Exchange Exchange
	Bytes    int
}

// foldPanes bounds the panes that a router folds into side by side: records mostly come in about the order of their time.
const foldPanes = 8

// folder is the part of a router that folds: into a table for each pane of time that has come up, into one where the plan has no windows.
type folder struct {
	kernel
	exchange Exchange
	limit    int // bytes of the tables
	state    *State

	tables []foldTable // those that have been made
	open   int         // of them, the ones that have a pane
	of     func(id window.Pane, n int) *table.Table
	note   func(t *table.Table) // of lacking
	lacking

	on        bool   // fold the next records; else route them
	records   uint64 // folded since the last flush
	look      int    // groups at which to estimate next what folding will come to
	low       int    // flushes in a row that reduced too little
	times     uint64 // as many records as were folded are routed, should it come to that
	routeLeft uint64 // records to route before folding again

	flushing bool
	at, row  int                  // of tables and of that table, to send next
	side     int                  // of the row's states with blocks, the next to send
	one      [agg.MaxWords]uint64 // scratch: one of these
	partials uint64               // sent in this flush
}

type foldTable struct {
	pane window.Pane
	*table.Table
}

func newFolder(l *layout, fold Fold, route Route, local []*Partition, state *State) (*folder, error) {
	exchange := fold.Exchange
	if exchange == ExchangeAuto && (route.Routing != RouteAuto && route.Routing != RouteByKey || !slices.Contains(local, nil) || state.sheds()) {
		exchange = ExchangeDirect
	}
	if exchange == ExchangeRoute || exchange == ExchangeDirect {
		return &folder{exchange: exchange}, nil
	}
	f := &folder{kernel: newKernel(l, nil), exchange: exchange, limit: fold.Bytes, state: state, on: true, look: firstLook, times: routeTimes}
	f.of = f.tableOf
	f.note = func(t *table.Table) { f.lacking.note(t, stripeRows) }
	if err := f.grow(); err != nil {
		return nil, err
	}
	if l.window == nil {
		f.open = 1
	}
	return f, nil
}

// grow makes one more table.
func (f *folder) grow() error {
	memory := f.state.memory()
	if f.layout.window != nil {
		memory.Groups = MaxPaneGroups
	}
	t, err := table.New(f.layout.keys, f.layout.init, f.layout.memory(memory))
	if err != nil {
		return fmt.Errorf("core: plan %s: a table to fold into: %w", f.layout.plan.name(), err)
	}
	f.tables = append(f.tables, foldTable{0, t})
	return nil
}

// tableOf is the table of a pane; nil where all have another.
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

// room makes room for n records of the panes, nil where the plan has no windows, with so many bytes of strings. False says that there is none.
func (f *folder) room(panes []uint64, n, long int) bool {
	blocks := f.layout.blockBytes(n, long)
	if panes == nil {
		return f.tables[0].Room(n, long, blocks)
	}
	// Most stripes lie in one pane or two, and those of two in no order that could be guessed.
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

// groups is the number of groups in all tables, used about the bytes that they need.
func (f *folder) groups() (n int) {
	for i := range f.tables[:f.open] {
		n += f.tables[i].Len()
	}
	return n
}

func (f *folder) used() (n int) {
	for i := range f.tables[:f.open] {
		n += f.tables[i].Used()
	}
	return n
}

// free gives the tables back.
func (f *folder) free() {
	for i := range f.tables {
		f.tables[i].Free()
	}
	f.on, f.tables, f.open, f.lacking = false, nil, 0, nil
}

// routed counts records that were routed and says whether to fold again.
func (f *folder) routed(n int) bool {
	if f.routeLeft == 0 {
		return false // it never folds
	}
	f.routeLeft -= min(f.routeLeft, uint64(n))
	return f.routeLeft == 0
}

// fold adds the stripe to the router's own table. False says that there is no room for it: a flush comes first, or where there is nothing to
// flush the stripe is routed; or that the room is being made.
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
		if f.flushing = f.groups() > 0; !f.flushing {
			f.on, f.routeLeft = false, routeTimes*uint64(n)
		}
		return false
	}
	nulls, heap := r.stripe(&f.kernel)
	if panes == nil {
		f.table = f.tables[0].Table
		f.apply(r.keys.Hashes, heap, nulls)
		f.note(f.table)
	} else {
		f.applyPanes(panes, r.keys.Hashes, heap, nulls, f.of, f.note)
	}
	f.records += uint64(n)
	r.counters.Folded += uint64(n)
	return true
}

// folded looks, after a batch, whether it is time to flush.
func (r *Router) folded() {
	f := r.folder
	if !f.on {
		return
	}
	if f.flushing = f.flushing || f.used() > f.limit; f.exchange == ExchangeAuto && f.groups() >= f.look {
		f.look = 2 * f.groups()
		f.flushing = f.flushing || f.hopeless()
	}
}

// hopeless estimates whether the tables will be full before there are leastReduction records for each group. It takes all keys for equally frequent: where some are more frequent than others there are fewer
// groups so far than of as many equal ones, so it expects fewer than come, and is asked again.
func (f *folder) hopeless() bool {
	groups := float64(f.groups())
	full := groups * float64(f.limit) / float64(f.used()) // groups that fit
	// Of G keys, n records have hit G (1 - e^-x) with x = n/G: share of the records is groups/n = (1 - e^-x)/x, which falls with x.
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

// flush sends the partial states of the router's table to the owners of their shards, as far as there is room, and returns how many.
// Behind the last it decides how to go on.
func (r *Router) flush() (sent int) {
	f, l := r.folder, r.layout
	for ; f.at < f.open; f.at, f.row = f.at+1, 0 {
		t := &f.tables[f.at]
		for n := t.Len(); f.row < n; f.row++ {
			key, states := t.Row(f.row)
			hash := l.keys.HashKey(key)
			p := int(r.owners.of[shardOf(hash)])
			if !r.sendPartial(p, t, hash, key, states) {
				r.stall = StallRing
				return sent
			}
			sent++
			f.partials++
			r.counters.Partials++
		}
	}
	for p, c := range r.open {
		if c != nil {
			r.commit(p)
		}
	}
	r.counters.Flushes++
	f.flushing, f.at, f.row = false, 0, 0
	for i := range f.tables[:f.open] {
		f.tables[i].Reset()
	}
	if l.window != nil {
		f.open = 0
	}
	if f.exchange == ExchangeAuto {
		if f.records >= leastReduction*f.partials {
			f.low, f.times = 0, routeTimes
		} else if f.low++; f.low >= lowFlushes {
			f.on, f.routeLeft, f.low = false, f.times*f.records, lowFlushes-1
			f.times = min(2*f.times, mostRouteTimes)
		}
	}
	f.records, f.partials, f.look = 0, 0, firstLook
	return sent
}

// sendPartial writes one group of a table into the open chunk of a partition. False says that its ring is full.
func (r *Router) sendPartial(p int, t *foldTable, hash uint64, key, states []uint64) bool {
	l := r.layout
	keyBytes := 0
	for _, w := range l.keys.Strings() {
		if record.IsLong(key[w+2]) {
			_, n := record.LongPlace(key[w+1])
			keyBytes += int(n)
		}
	}
	for {
		// As many blocks as fit a chunk beside the key; a group that has more goes in several rows, the others of its states empty.
		sided, bytes := r.folder.side, keyBytes
		for ; sided < len(l.sided); sided++ {
			n := l.sided[sided].blockBytes(states)
			if bytes+n > l.heapSize() {
				break
			}
			bytes += n
		}
		c := r.open[p]
		if c != nil && (c.kind != chunkPartials || c.epoch != uint64(t.pane) || int(c.rows) == l.partialRows || int(c.heapBytes)+bytes > l.heapSize()) {
			r.commit(p)
			c = nil
		}
		if c == nil {
			if c = r.openChunk(p, chunkPartials); c == nil {
				return false
			}
			c.epoch = uint64(t.pane)
		}
		r.putPartial(c, t, hash, key, states, sided)
		if sided == len(l.sided) {
			r.folder.side = 0
			return true
		}
		r.folder.side = sided
	}
}

// blockBytes is the room that the block of a state takes in the heap of a chunk, where it begins at a line.
func (s *state) blockBytes(states []uint64) int {
	place := agg.BlockOf(s.fn, states[s.word:])
	if place == nil {
		return 0
	}
	_, n := record.LongPlace(*place)
	return agg.LineBytes + int(n)
}

// putPartial writes a group into a chunk that has room, with the blocks of its states from folder.side to sided.
func (r *Router) putPartial(c *Chunk, t *foldTable, hash uint64, key, states []uint64, sided int) {
	l := r.layout
	i := int(c.rows)
	c.data[i] = hash
	for w, v := range key {
		c.data[(1+w)*l.partialRows+i] = v
	}
	from := states
	if r.folder.side > 0 {
		from = l.init
	}
	words := c.data[(1+len(key))*l.partialRows:]
	for w, v := range from {
		words[w*l.partialRows+i] = v
	}
	for _, w := range l.keys.Strings() {
		if record.IsLong(key[w+2]) {
			off, n := record.LongPlace(key[w+1])
			copy(c.heap(l)[c.heapBytes:], t.Heap()[off:off+n])
			c.data[(1+w+1)*l.partialRows+i] = record.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
	}
	for j := range l.sided {
		s := &l.sided[j]
		state := l.init[s.word:]
		if j >= r.folder.side && j < sided {
			state = states[s.word:]
		}
		state = r.folder.one[:copy(r.folder.one[:s.fn.Words()], state)]
		if place := agg.BlockOf(s.fn, state); place != nil && *place != 0 {
			block := t.Blocks().Bytes(*place)
			line := (c.heapBytes + agg.LineBytes - 1) / agg.LineBytes
			c.heapBytes = line*agg.LineBytes + uint32(copy(c.heap(l)[line*agg.LineBytes:], block))
			*place = agg.PlaceBlock(line+1, len(block)) // see Partition.mergeChunk
		}
		for w, v := range state {
			words[(s.word+w)*l.partialRows+i] = v
		}
	}
	c.rows++
}
