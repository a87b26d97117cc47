package core

import (
	"fmt"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// stripeRows is how many rows are keyed, hashed and scattered together: their scratch (hash, key
// words, places) stays in the first-level cache.
const stripeRows = 512

// scatter routes the rows from r.from on, until the end of the batch or until a ring is full, and
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
			if !r.reserveStripe() {
				r.stall = StallRing
				return rows
			}
			if !r.applyDirect() {
				r.copyRows()
			}
			for p, rows := range r.counts {
				if rows > 0 && r.targets[p].open == r.targets[p].beside {
					r.counters.Direct += uint64(rows)
				}
			}
			r.advance()
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
		r.to = min(r.from+min(stripeRows, l.Rows), r.batch.Len())
		if l.Window != nil {
			if ok, room := r.assignPanes(); !room {
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
			if l.Window != nil {
				// Fewer rows make up the watermark now: the first of those that made it up before.
				r.assignPanes()
			}
			r.encodeStripe()
			break
		}
		reason := fmt.Errorf("core: the key has strings of %d bytes, at most %d are allowed", r.keys.LongBytes[0],
			l.MaxText())
		if len(l.TextArgs) > 0 {
			reason = fmt.Errorf("core: the record has strings of %d bytes where the plan reads them, at most %d "+
				"are allowed", r.keys.LongBytes[0], l.MaxText())
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

// encodeStripe keys the rows of the stripe. Text arguments count like the long strings of keys:
// both go to the heap of a chunk.
func (r *Router) encodeStripe() {
	k := r.keys
	r.layout.Keys.Encode(r.batch, r.from, r.to, k)
	n := r.to - r.from
	if len(r.texts) > 0 && k.Long == 0 {
		clear(k.LongBytes[:n])
	}
	for t, arg := range r.layout.TextArgs {
		c := r.batch.Column(r.layout.Args[arg].Source)
		for i, v := range c.Views[r.from:r.to] {
			if c.Null(r.from + i) {
				v = record.View{}
			}
			r.texts[t][i] = groupkey.PlaceLong(uint64(v.Off), uint64(v.Len))
			k.LongBytes[i] += uint64(v.Len)
			if v.Len > 0 {
				k.Long++
			}
		}
	}
}

// longFit is how many of the first rows have long strings that fit one chunk together.
func (r *Router) longFit() int {
	n := r.to - r.from
	if r.keys.Long == 0 {
		return n
	}
	var total uint64
	most, of := uint64(r.layout.HeapSize()), uint64(r.layout.MaxText())
	for i, bytes := range r.keys.LongBytes[:n] {
		total += bytes
		if total > most || bytes > of {
			return i
		}
	}
	return n
}

// reserveStripe makes room for the stripe in the open chunks of the partitions that it goes to. It
// returns false if a ring is full; nothing has been copied then. It leaves each row's partition in
// r.dest.
func (r *Router) reserveStripe() bool {
	tries := 1
	if r.route.Routing == plan.RouteRoundRobin {
		tries = len(r.targets)
	}
	for range tries {
		if !r.assigned {
			r.assignPartitions()
		}
		if r.ensureAll() {
			return true
		}
		if r.route.Routing == plan.RouteRoundRobin {
			r.advance()
		}
	}
	return false
}

// applyDirect applies the stripe in place if all of it belongs to one partition of this thread, and
// says whether it does.
func (r *Router) applyDirect() bool {
	if r.single < 0 {
		return false
	}
	t := &r.targets[r.single]
	if t.local == nil || t.open != t.beside {
		return false
	}
	nulls, heap := r.fillKernel(&t.local.kernel)
	t.local.applyStripeDirect(r.id, r.keys.Hashes, heap, nulls, r.stripePanes())
	return true
}

// stripePanes are the panes of the stripe's rows: one if all are the same, nil without windows.
func (r *Router) stripePanes() []uint64 {
	switch {
	case r.panes == nil:
		return nil
	case r.onePane:
		return r.panes[:1]
	}
	return r.panes[:r.to-r.from]
}

// fillKernel gives a kernel the keys and arguments of the stripe. The NULL bits and the heap of the
// stripe's long strings are returned.
func (r *Router) fillKernel(k *kernel) (nulls []uint64, heap []byte) {
	copy(k.words, r.keys.Words)
	for i, a := range r.layout.Args {
		k.args[i] = nil
		if a.Column >= 0 {
			k.args[i] = r.words(i)
		}
	}
	for _, arg := range r.layout.TextArgs {
		k.texts[arg] = r.batch.Column(r.layout.Args[arg].Source).Bytes
	}
	if r.layout.HasNulls && r.hasNulls() {
		nulls = r.nullBits()
	}
	if r.keys.Long > 0 {
		heap = r.oneHeap()
	}
	return nulls, heap
}

// words are the words of an argument in the rows of the stripe.
func (r *Router) words(arg int) []uint64 {
	for t, a := range r.layout.TextArgs {
		if a == arg {
			return r.texts[t][:r.to-r.from]
		}
	}
	return r.batch.Column(r.layout.Args[arg].Source).Words()[r.from:r.to]
}

// oneHeap copies the long strings of the stripe into one heap if several columns have some.
func (r *Router) oneHeap() []byte {
	k := r.keys
	if len(k.Heaps) == 1 {
		return k.Heaps[0]
	}
	r.long = r.long[:0]
	for j, w := range r.layout.Keys.Strings() {
		places, marks := k.Words[w+1], k.Words[w+2]
		for i := range marks {
			if groupkey.IsLong(marks[i]) {
				off, n := groupkey.LongPlace(places[i])
				places[i] = groupkey.PlaceLong(uint64(len(r.long)), n)
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

// ensure makes sure that partition p has an open chunk with room for that many rows and bytes. It
// publishes one that has no room.
func (r *Router) ensure(p, rows, bytes int) bool {
	l := r.layout
	t := &r.targets[p]
	if c := t.open; c != nil {
		if c.kind == chunkRows && int(c.rows)+rows <= l.Rows && int(c.heapBytes)+bytes <= l.HeapSize() &&
			(c != t.beside || t.local.ready()) {
			return true
		}
		r.commit(p)
	}
	return r.openChunk(p, chunkRows) != nil
}

// openChunk opens a chunk for partition p, and returns nil if the ring is full. For rows of a
// partition of this thread that takes records in place it is the chunk beside the ring, if the ring
// is empty: what is in the ring was sent before and would be applied after. The partition takes
// none if it has just published. (Then the ring has this router's mark, unless it has only just
// joined.)
func (r *Router) openChunk(p int, kind chunkKind) *Chunk {
	t := &r.targets[p]
	if t.beside != nil && kind == chunkRows && t.ring.Empty() && t.local.takes() {
		t.open = t.beside
	} else {
		s := t.ring.Reserve(1)
		if len(s) == 0 {
			return nil
		}
		t.open = &s[0]
	}
	t.open.begin(kind, r.id)
	return t.open
}

// commit publishes the open chunk of partition p, or applies the chunk if it is in no ring.
func (r *Router) commit(p int) {
	t := &r.targets[p]
	c := t.open
	t.open = nil
	if c != nil && c == t.beside {
		if c.rows > 0 {
			t.local.applyDirect(c)
		}
		return
	}
	t.ring.Commit(1)
	t.bell.Wake()
}

// copyRows copies the columns of the stripe into the open chunks of the owners, which have room.
func (r *Router) copyRows() {
	l, n := r.layout, r.to-r.from
	var first *Chunk // the chunk of the only partition, if there is one
	var at int
	if r.single >= 0 {
		first = r.targets[r.single].open
		at = int(first.rows)
		first.rows += uint32(n)
		for i := range r.dest[:n] {
			r.dest[i] = uint32(r.single)<<16 | uint32(at+i)
		}
	} else {
		// The place of the next row for each partition: not in the chunks, whose headers lie on a
		// page each.
		var next [plan.MaxPartitions]uint32
		for p := range r.targets {
			if c := r.targets[p].open; c != nil {
				next[uint8(p)] = c.rows
			}
		}
		for i, p := range r.dest[:n] {
			place := &next[uint8(p)]
			r.dest[i] = p<<16 | *place
			*place++
		}
		for p := range r.targets {
			if c := r.targets[p].open; c != nil {
				c.rows = next[uint8(p)]
			}
		}
	}
	column := 0
	put := func(words []uint64) {
		if first != nil {
			copy(first.data[column*l.Rows+at:], words)
		} else {
			r.scatterColumn(column*l.Rows, words)
		}
		column++
	}
	put(r.keys.Hashes)
	for _, words := range r.keys.Words {
		put(words)
	}
	for i, a := range l.Args {
		if a.Column >= 0 {
			put(r.words(i))
		}
	}
	if l.HasNulls {
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

// scatterColumn copies the words of a column to where dest says; at is its begin in each chunk.
func (r *Router) scatterColumn(at int, words []uint64) {
	// The address of the column in the chunk of each partition. The accesses are in bounds: the
	// place of a row is below layout.rows, and the column has that many words from at on. The
	// chunks stay alive because their rings hold them.
	var column [plan.MaxPartitions]unsafe.Pointer
	for p := range r.targets {
		if c := r.targets[p].open; c != nil {
			column[uint8(p)] = unsafe.Pointer(&c.data[at])
		}
	}
	for i, d := range r.dest[:len(words)] {
		*(*uint64)(unsafe.Add(column[uint8(d>>16)], 8*uintptr(d&0xffff))) = words[i]
	}
}

// hasNulls says whether any argument is NULL in any row of the stripe.
func (r *Router) hasNulls() bool {
	for _, a := range r.layout.Args {
		if r.batch.Column(a.Source).AnyNull(r.from, r.to) {
			return true
		}
	}
	return false
}

// nullBits has a word for each row of the stripe: bit i says that argument i is NULL.
func (r *Router) nullBits() []uint64 {
	nulls := r.nulls[:r.to-r.from]
	clear(nulls)
	for bit, a := range r.layout.Args {
		if c := r.batch.Column(a.Source); c.AnyNull(r.from, r.to) {
			for i := range nulls {
				if c.Null(r.from + i) {
					nulls[i] |= 1 << bit
				}
			}
		}
	}
	return nulls
}

// copyLong copies the bytes of long strings into the heaps of the chunks, and makes the words that
// were copied before point there.
func (r *Router) copyLong() {
	l := r.layout
	for i, bytes := range r.keys.LongBytes[:r.to-r.from] {
		if bytes == 0 {
			continue
		}
		d := r.dest[i]
		c := r.targets[d>>16].open
		heap := c.heap(l)
		for j, w := range l.Keys.Strings() {
			if !groupkey.IsLong(r.keys.Words[w+2][i]) {
				continue
			}
			off, n := groupkey.LongPlace(r.keys.Words[w+1][i])
			copy(heap[c.heapBytes:], r.keys.Heaps[j][off:off+n])
			c.data[(1+w+1)*l.Rows+int(d&0xffff)] = groupkey.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
		for t, arg := range l.TextArgs {
			off, n := groupkey.LongPlace(r.texts[t][i])
			copy(heap[c.heapBytes:], r.batch.Column(l.Args[arg].Source).Bytes[off:off+n])
			c.data[l.Args[arg].Column*l.Rows+int(d&0xffff)] = groupkey.PlaceLong(uint64(c.heapBytes), n)
			c.heapBytes += uint32(n)
		}
	}
}
