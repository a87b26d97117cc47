package table

import (
	"fmt"
	"math/bits"
	"runtime"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/prefetch"
)

const (
	// MaxGroups bounds the rows of one table. Their numbers have 32 bits, and 0 means none.
	MaxGroups = 1<<32 - 2

	// MaxHeap bounds the bytes of long strings in the keys of one table. Their places have 32 bits.
	MaxHeap = 1<<32 - 1

	// maxBytes bounds the rows of a table that has no budget. It bounds the addresses that are
	// reserved, not the memory.
	maxBytes = 64 << 30

	// shardBits is how many bits of the hash have chosen the shard. Within the shard they tell
	// nothing.
	shardBits = 8
)

// Memory says how much memory a table may take.
type Memory struct {
	Budget *arena.Budget // nil has no bound

	// Groups is the largest number of groups. 0 means MaxGroups, or as many as the budget has room
	// for.
	Groups int

	// Heap is the largest number of bytes of long strings in the keys. 0 means MaxHeap, or a
	// kilobyte for each group if that is less.
	Heap int

	// Bytes is the largest number of bytes of addresses for the rows. 0 means that only the bounds
	// above apply.
	Bytes int

	// Twins is set if the table has twins; it charges the memory. Extra says that this table is one
	// more than the Twins are made for.
	Twins *Twins
	Extra bool

	// Blocks says that states have blocks beside the rows; see package agg.
	Blocks bool
	// Number tells the tables of a plan that records are added to apart; twins have the same.
	Number uint64
}

// A Table is the groups of one partition.
type Table struct {
	keys     *groupkey.Layout
	keyWords int
	rowWords int
	rowBytes uint64
	init     []uint64 // the states of a new group

	near    near
	buckets buckets // index of a table for which near is too small; it has no buckets until then

	// rows has the rows, rowBytes each. Row 0 is no group: records that find no room go there, and
	// an index that finds nothing returns it.
	rows *arena.Region

	base unsafe.Pointer // base of rows
	used int            // number of rows that are groups: 1 to used
	room int            // number of rows that there is memory for
	most int            // number of rows that there may ever be

	heap     *arena.Region // the bytes of long strings; nil if the keys have no strings
	heapUsed int

	side *side // the blocks of states; nil if the states have none

	twin

	shed uint64 // number of records that found no room
	err  error  // why they found no room

	key []uint64 // scratch: the key of one record

	// diff is scratch: the bits in which keys differ from the keys of their rows. FindAndUpdate
	// keeps the places and the values of the records that missed in diff and values.
	diff   []uint64
	values []uint64
	misses []uint32 // scratch: the keys whose first probe did not find their row
	// more and joined are scratch of compareWide.
	more, joined []uint32
}

// New makes an empty table for keys of this layout and rows whose states begin as init. The error
// says that there is no memory for the first groups, in the system or in the budget.
func New(keys *groupkey.Layout, init []uint64, memory Memory) (*Table, error) {
	t := &Table{
		keys: keys, keyWords: keys.Words(), rowWords: RowWords(keys.Words() + len(init)), init: init,
		key: make([]uint64, keys.Words()),
	}
	t.rowBytes = uint64(8 * t.rowWords)
	t.most = memory.Groups
	if t.most == 0 {
		limit := maxBytes
		if memory.Budget != nil {
			limit = memory.Budget.Limit()
		}
		if memory.Twins != nil {
			// As soon as one table grows, the budget is charged for all.
			limit /= max(memory.Twins.tables, 1)
		}
		if memory.Bytes != 0 {
			limit = min(limit, memory.Bytes)
		}
		t.most = limit / int(t.rowBytes)
	}
	t.most = min(t.most, MaxGroups)
	// region reserves memory that is charged to a share of the twins or to the budget.
	region := func(share func(*Twins) *arena.Share, most int) *arena.Region {
		switch {
		case memory.Twins == nil:
			return arena.New(memory.Budget, most)
		case memory.Extra:
			return share(memory.Twins).Extra(most)
		}
		return share(memory.Twins).New(most)
	}
	t.rows = region(func(w *Twins) *arena.Share { return w.rows }, (t.most+1)*int(t.rowBytes))
	if err := t.rows.Grow((firstRows + 1) * int(t.rowBytes)); err != nil {
		return nil, fmt.Errorf("table: no memory for the first %d groups: %w", firstRows, err)
	}
	t.base = t.rows.Base()
	clear(t.row(0)) // it may hold data of the last user of the memory
	copy(t.row(0)[t.keyWords:], t.init)
	t.room = min(t.rows.Len()/int(t.rowBytes)-1, t.most)
	t.buckets.region = region(func(w *Twins) *arena.Share { return w.index }, bucketBytes(t.most))
	if len(keys.Strings()) > 0 {
		most := memory.Heap
		if most == 0 {
			most = t.most << 10
		}
		t.heap = region(func(w *Twins) *arena.Share { return w.heap }, min(MaxHeap, most))
	}
	if memory.Twins != nil {
		t.touched = region(func(w *Twins) *arena.Share { return w.touched }, 8*t.noteWords(t.most))
	}
	if memory.Blocks {
		t.side = newSide(t, memory, region)
	}
	t.all = true
	t.near.reset()
	return t, nil
}

// firstRows is how many groups a table has room for from the beginning, at least. A page of the
// system is larger.
const firstRows = 8

// Free gives the memory back at once, before the garbage collector finds that the table is
// unreferenced. The table must not be used any more.
func (t *Table) Free() {
	t.rows.Free()
	t.buckets.region.Free()
	if t.heap != nil {
		t.heap.Free()
	}
	if t.touched != nil {
		t.touched.Free()
	}
	if t.side != nil {
		t.side.free()
	}
}

// Reset removes all groups and keeps the memory. After it the table does not know any more how it
// differs from its twins.
func (t *Table) Reset() {
	t.tracks, t.all = false, true
	t.near.reset()
	t.buckets.count, t.buckets.split = 0, 0
	t.used, t.heapUsed = 0, 0
	t.shed, t.err = 0, nil
	if t.side != nil {
		t.side.reset()
	}
}

// RowWords returns the number of words that a row with that many words takes. A row that fits a
// cache line does not cross into a second one.
func RowWords(words int) int {
	for _, width := range []int{1, 2, 4, 8} {
		if words <= width {
			return width
		}
	}
	return words
}

// Len returns the number of groups.
func (t *Table) Len() int { return t.used }

// Bytes returns the memory that the table holds: what its regions have taken from the budget, and
// the index of a small table.
func (t *Table) Bytes() int {
	n := t.rows.Bytes() + t.buckets.region.Bytes() + 4*len(t.near.memory)
	if t.heap != nil {
		n += t.heap.Bytes()
	}
	if t.touched != nil {
		n += t.touched.Bytes()
	}
	if t.side != nil {
		n += t.side.bytes()
	}
	return n
}

// Used returns about the memory that the present groups need for rows, index, heap and blocks.
func (t *Table) Used() int {
	n := t.used*(int(t.rowBytes)+2*bucketSize/splitLoad) + t.heapUsed
	if t.side != nil {
		n += t.side.blocks.Lines() * agg.LineBytes
	}
	return n
}

// Blocks returns the blocks of the states, or nil if the states have none. They are valid as long
// as the table.
func (t *Table) Blocks() *agg.Blocks {
	if t.side == nil {
		return nil
	}
	return &t.side.blocks
}

// Shed returns the number of records that found no room for a new group, and the reason. The error
// is nil if there is no such record.
func (t *Table) Shed() (records uint64, err error) { return t.shed, t.err }

// TakeShed is Shed for the records since it was last called.
func (t *Table) TakeShed() (records uint64, err error) {
	records, err = t.shed, t.err
	t.shed = 0
	return records, err
}

// Ready says whether n records can be added without waiting for the kernel to make memory present,
// which takes up to milliseconds for two megabytes. Adding records after Ready has returned false
// is allowed but may wait. Ready also begins to prepare the missing memory, unless the budget or
// the system refuses it. Pass n at least one stripe larger than what will be added next, because
// the index may begin to grow for that many.
func (t *Table) Ready(n int) bool {
	// All regions are asked, so that all of them are made ready.
	ready := t.rows.Ready((t.used + n + 1) * int(t.rowBytes))
	if t.buckets.count > 0 {
		ready = t.buckets.ready(t.used+n) && ready
	}
	if t.heap != nil {
		ready = t.heap.Ready(t.heapUsed+readyBytes) && ready
	}
	if t.side != nil {
		ready = t.side.lines.Ready(t.side.blocks.Lines()*agg.LineBytes+readyBytes) && ready
	}
	return ready
}

// readyBytes is how many bytes of long strings, and of blocks, are ready in a table that is ready.
// It is as many as fit a chunk.
const readyBytes = 64 << 10

// MemoryWaits returns how often a caller had to wait until memory was ready.
func (t *Table) MemoryWaits() int {
	n := t.rows.Waits() + t.buckets.region.Waits()
	if t.heap != nil {
		n += t.heap.Waits()
	}
	if t.side != nil {
		n += t.side.lines.Waits()
	}
	return n
}

// Row returns row i: the words of its key, then the words of its states. They are valid as long as
// the table, which the caller must keep alive.
func (t *Table) Row(i int) (key, states []uint64) {
	row := t.row(uint64(i) + 1)
	return row[:t.keyWords:t.keyWords], row[t.keyWords : t.keyWords+len(t.init)]
}

// Clear sets the states of row i to the states of a new group. The table must be live.
func (t *Table) Clear(i int) {
	row := t.row(uint64(i) + 1)
	copy(row[t.keyWords:], t.init)
	if t.tracks {
		t.touch([]uint64{uint64(i+1) * t.rowBytes})
	}
}

// StatesAt returns the words of the states of the row at off. They are valid as long as the table,
// which the caller must keep alive.
func (t *Table) StatesAt(off uint64) []uint64 {
	row := unsafe.Slice((*uint64)(unsafe.Add(t.base, off)), t.rowWords)
	return row[t.keyWords : t.keyWords+len(t.init)]
}

// RowAt returns the number of the row at a place that FindOrCreate returned, or -1 if the record
// found no room.
func (t *Table) RowAt(off uint64) int { return int(off/t.rowBytes) - 1 }

// Heap returns the bytes of the long strings of the keys. They are valid as long as the table.
func (t *Table) Heap() []byte {
	if t.heap == nil || t.heapUsed == 0 {
		return nil
	}
	// The slice is in bounds: the region is at least as long as the used part.
	return unsafe.Slice((*byte)(t.heap.Base()), t.heapUsed)
}

// row returns row r of the region. The access is in bounds: rows are only made below room.
func (t *Table) row(r uint64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(t.base, r*t.rowBytes)), t.rowWords)
}

// FindOrCreate finds the rows of a stripe of keys, given column by column as groupkey.Keys has
// them, and makes rows for the keys that have none. A table with twins notes that the rows are
// touched. heap has the long strings of the keys. off receives the place of each row, in bytes
// after the returned Base; it has room for one word for each hash. The places are valid until the
// next call. A record that finds no room gets row 0, which belongs to no group, and is counted: see
// Shed.
//
// A stripe is looked up in three passes. The first pass makes the first probe of every key; its
// loads wait only for memory, so they wait together. The second pass looks at the rows that these
// probes lead to, in the same way and without a branch on what is there. The third pass handles one
// by one the few keys whose first probe did not find their row. A mispredicted branch in the middle
// of a probe would throw away the loads of the following keys.
func (t *Table) FindOrCreate(hashes []uint64, words [][]uint64, heap []byte, off []uint64) agg.Rows {
	off = off[:len(hashes)]
	t.begin(len(hashes))
	t.first(hashes, off)
	missed := t.misses[:t.compare(words, off)]
	return t.end(hashes, words, heap, off, missed)
}

// An Update says what FindAndUpdate does to the rows that it finds: a loop over the records' values
// of one argument.
type Update struct {
	Loop   *agg.Fused
	States uintptr // where the states are in a row, in bytes
	Values []uint64
	Pace   *agg.Pace
}

// FindAndUpdate is FindOrCreate that also updates the rows, for keys of one word. The Loop must be
// able to find at its pace (agg.Fused.Finds). The second pass updates the rows while it looks at
// them.
func (t *Table) FindAndUpdate(hashes []uint64, words [][]uint64, off []uint64, u Update) agg.Rows {
	off = off[:len(hashes)]
	t.begin(len(hashes))
	t.first(hashes, off)
	missed := t.misses[:u.Loop.UpdateFound(agg.Rows{Base: t.base, Off: off}, words[0], u.Values, t.misses, u.Pace)]
	rows := t.end(hashes, words, nil, off, missed)
	if len(missed) > 0 {
		places, values := t.diff[:len(missed)], t.values[:len(missed)]
		for j, i := range missed {
			places[j], values[j] = off[i], u.Values[i]
		}
		u.Loop.Update(agg.Rows{Base: t.base, Off: places}, u.States, values, u.Pace)
	}
	return rows
}

// begin makes room for a stripe of n keys.
func (t *Table) begin(n int) {
	t.reserve(n)
	if len(t.misses) < n+vectorKeys {
		for _, list := range []*[]uint32{&t.misses, &t.more, &t.joined} {
			*list = make([]uint32, n+vectorKeys)
		}
		t.diff, t.values = make([]uint64, n), make([]uint64, n)
	}
}

// first fills off with the place of the row that the first probe of each hash finds, or of row 0 if
// it finds none.
func (t *Table) first(hashes, off []uint64) {
	if t.buckets.count > 0 {
		t.buckets.first(t, hashes, off)
	} else {
		t.near.first(t, hashes, off)
	}
}

// end finds or makes the rows of the keys that missed.
func (t *Table) end(hashes []uint64, words [][]uint64, heap []byte, off []uint64, missed []uint32) agg.Rows {
	t.prefetchNew(len(missed))
	for _, i := range missed {
		for w := range t.key {
			t.key[w] = words[w][i]
		}
		off[i] = t.rowBytes * t.findOrCreate(hashes[i], t.key, heap)
	}
	if t.tracks {
		t.touch(off)
	}
	t.check()
	return agg.Rows{Base: t.base, Off: off, Blocks: t.Blocks()}
}

// prefetchNew prefetches where the next n rows will be written, if they are many. In a table that
// grows, their lines are in no cache yet.
func (t *Table) prefetchNew(n int) {
	const many = 8
	if n < many {
		return
	}
	places := t.diff[:0]
	for r := t.used + 1; r <= t.used+n; r++ {
		places = append(places, uint64(r)*t.rowBytes)
	}
	t.prefetchRows(places)
}

// compare looks whether the rows at off have the keys. It leaves the numbers of the keys that
// differ in t.misses.
func (t *Table) compare(words [][]uint64, off []uint64) (misses int) {
	n := len(off)
	missed := t.misses[:n+1]
	// The accesses below are in bounds: the first probes return places of rows, which have the
	// words of a key.
	base := t.base
	switch t.keyWords {
	case 1:
		w0 := words[0][:n]
		for i, at := range off {
			missed[misses] = uint32(i)
			if (*(*uint64)(unsafe.Add(base, at))^w0[i])|none(at) != 0 {
				misses++
			}
		}
	case 2:
		w0, w1 := words[0][:n], words[1][:n]
		for i, at := range off {
			key := (*[2]uint64)(unsafe.Add(base, at))
			missed[misses] = uint32(i)
			if (key[0]^w0[i])|(key[1]^w1[i])|none(at) != 0 { // ^ binds no closer than |
				misses++
			}
		}
	case 3:
		return t.compare3(0, words, off, t.misses)
	default:
		if have512 && t.keyWords > 3 {
			return t.compareWide(words, off)
		}
		diff := t.diff[:n]
		for i, at := range off {
			diff[i] = none(at)
		}
		w := 0
		for ; w+2 < len(words); w += 3 {
			w0, w1, w2 := words[w][:n], words[w+1][:n], words[w+2][:n]
			for i, at := range off {
				key := (*[3]uint64)(unsafe.Add(base, at+uint64(8*w)))
				diff[i] |= (key[0] ^ w0[i]) | (key[1] ^ w1[i]) | (key[2] ^ w2[i])
			}
		}
		for ; w < len(words); w++ {
			column := words[w][:n]
			for i, at := range off {
				diff[i] |= *(*uint64)(unsafe.Add(base, at+uint64(8*w))) ^ column[i]
			}
		}
		for i, d := range diff {
			missed[misses] = uint32(i)
			if d != 0 {
				misses++
			}
		}
	}
	return misses
}

// none returns 1 for the place of row 0, and 0 for any other.
//
//gcassert:inline
func none(at uint64) uint64 { return (at - 1) >> 63 }

// findOrCreate finds or makes the row of one key. It returns 0 if there is no room.
func (t *Table) findOrCreate(hash uint64, key []uint64, heap []byte) (row uint64) {
	var ended uint64 // the bucket at which the search ended
	if t.buckets.count > 0 {
		row, ended = t.buckets.find(t, hash, key, heap)
	} else {
		row = t.near.find(t, hash, key, heap)
	}
	if row != 0 {
		return row
	}
	if t.used >= t.room || !t.heapRoom(key) {
		t.shed++
		return 0
	}
	t.used++
	row = uint64(t.used)
	r := t.row(row)
	t.setKey(r, key, heap)
	copy(r[t.keyWords:], t.init)
	if t.buckets.count > 0 {
		t.buckets.insert(ended, hash, uint32(row))
	} else {
		t.near.insert(hash, uint32(row))
	}
	return row
}

// find finds the row of one key. It returns 0 if there is none.
func (t *Table) find(hash uint64, key []uint64, heap []byte) (row uint64) {
	if t.buckets.count > 0 {
		row, _ = t.buckets.find(t, hash, key, heap)
		return row
	}
	return t.near.find(t, hash, key, heap)
}

// isKey says whether a row has this key, whose long strings lie in heap.
func (t *Table) isKey(row uint64, key []uint64, heap []byte) bool {
	r := t.row(row)
	if t.heap != nil { // there may be long strings
		return t.keys.Equal(key, heap, r, t.Heap())
	}
	for w, v := range key {
		if r[w] != v {
			return false
		}
	}
	return true
}

// Get finds the group of one key, whose long strings lie in heap. It returns false if there is
// none. It changes and allocates nothing.
func (t *Table) Get(hash uint64, key []uint64, heap []byte) (row int, ok bool) {
	r := t.find(hash, key, heap)
	runtime.KeepAlive(t)
	return int(r) - 1, r != 0
}

// heapRoom makes room for the long strings of a key. It returns false if there is no room.
func (t *Table) heapRoom(key []uint64) bool {
	need := t.heapUsed
	for _, s := range t.keys.Strings() {
		if groupkey.IsLong(key[s+2]) {
			_, n := groupkey.LongPlace(key[s+1])
			need += int(n)
		}
	}
	if need == t.heapUsed {
		return true
	}
	if need > MaxHeap {
		t.err = fmt.Errorf("table: more than %d bytes of long strings in the keys of one partition", MaxHeap)
		return false
	}
	if err := t.heap.Grow(need); err != nil {
		t.err = err
		return false
	}
	t.heap.Ahead(need)
	return true
}

// setKey writes a key and copies its long strings into the table's heap, which must have room.
func (t *Table) setKey(row, key []uint64, heap []byte) {
	copy(row, key)
	for _, s := range t.keys.Strings() {
		if groupkey.IsLong(key[s+2]) {
			from, n := groupkey.LongPlace(key[s+1])
			at := t.heapUsed
			t.heapUsed += int(n)
			copy(t.Heap()[at:], heap[from:from+n])
			row[s+1] = groupkey.PlaceLong(uint64(at), n)
		}
	}
}

// reserve makes room for n more groups as far as there is memory, so that neither the index nor the
// rows grow while a stripe is looked up.
func (t *Table) reserve(n int) {
	need := t.used + n
	if need > t.room {
		want := min(need, t.most)
		if err := t.rows.Grow((want + 1) * int(t.rowBytes)); err != nil {
			t.err = err
		} else if want < need {
			t.err = fmt.Errorf("table: more than %d groups", t.most)
		}
		t.base = t.rows.Base()
		t.room = min(t.rows.Len()/int(t.rowBytes)-1, t.most)
		t.trackRoom()
	}
	t.rows.Ahead((t.used + 1) * int(t.rowBytes))
	if t.side != nil {
		t.side.ahead()
	}
	if t.buckets.count > 0 {
		t.buckets.grow(t, n)
	} else if !t.near.grow(t, need) {
		t.buckets.begin(t, need)
	}
}

// Room makes room for n more groups, for longBytes bytes of their long strings together and for
// blockBytes bytes of blocks. It returns false if there is no room.
func (t *Table) Room(n, longBytes, blockBytes int) bool {
	t.reserve(n)
	if t.side != nil && !t.side.roomFor(blockBytes) {
		return false
	}
	if longBytes > 0 && t.heap != nil && (t.heapUsed+longBytes > MaxHeap || t.heap.Grow(t.heapUsed+longBytes) != nil) {
		return false
	}
	return t.room-t.used >= n
}

// prefetchRows prefetches the lines of some rows.
func (t *Table) prefetchRows(places []uint64) { prefetch.Each(t.base, places) }

// shiftFor returns how far a hash without its shard is shifted right to become a place among n, a
// power of two.
func shiftFor(n uint64) uint { return uint(64 - bits.TrailingZeros64(n)) }
