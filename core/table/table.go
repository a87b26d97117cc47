package table

import (
	"fmt"
	"math/bits"
	"runtime"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/prefetch"
	"github.com/velo-engine/velo/record"
)

const (
	// MaxGroups bounds the rows of one table: their numbers are kept in 32 bits, and 0 is none.
	MaxGroups = 1<<32 - 2

	// MaxHeap bounds the bytes of long strings in the keys of one table: their places are kept in 32 bits.
	MaxHeap = 1<<32 - 1

	// maxBytes bounds the rows of a table that has no budget: addresses, not memory.
	maxBytes = 64 << 30

	// shardBits is how many bits of the hash have chosen the shard and say nothing within it.
	shardBits = 8
)

// Memory is what a table may take.
type Memory struct {
	Budget *arena.Budget // nil has no bound
	Groups int           // at most so many; 0 means MaxGroups, or what the budget has room for
	Heap   int           // at most so many bytes of long strings in the keys; 0 means MaxHeap, or a kilobyte for each group where that is less

	Bytes int // at most so many bytes of addresses for the rows; 0 has no bound but those above

	// Of a table that has twins, which is charged there. Extra says that it is one more than they are for.
	Twins *Twins
	Extra bool

	// Blocks says that states have blocks beside the rows; see package agg.
	Blocks bool
}

// A Table is the groups of one partition.
type Table struct {
	keys     *record.KeyLayout
	keyWords int
	rowWords int
	rowBytes uint64
	init     []uint64 // the states of a new group

	near    near
	buckets buckets // where near is too small; it has no buckets until then

	// rows of rowBytes each. Row 0 is no group: it is where records go that find no room, and what an index says where it has nothing.
	rows *arena.Region
	base unsafe.Pointer // of rows
	used int            // rows that are groups: 1 to used
	room int            // rows that may be
	most int            // and how many there may ever be

	heap     *arena.Region // the bytes of long strings, nil where there can be none
	heapUsed int

	side *side // the blocks of states, nil where they have none

	twin

	shed uint64 // records that found no room
	err  error  // why

	key    []uint64 // scratch: the key of one record
	diff   []uint64 // scratch: bits in which keys differ from those of their rows; and with values, what missed
	values []uint64
	misses []uint32 // scratch: keys whose first probe was not theirs
}

// New makes an empty table for keys of this layout and rows whose states begin as init. The error says that the system has no memory for
// it, not even the budget.
func New(keys *record.KeyLayout, init []uint64, memory Memory) (*Table, error) {
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
			limit /= max(memory.Twins.tables, 1) // the budget is charged for all of them as soon as one grows
		}
		if memory.Bytes != 0 {
			limit = min(limit, memory.Bytes)
		}
		t.most = limit / int(t.rowBytes)
	}
	t.most = min(t.most, MaxGroups)
	// region reserves memory, charged to a share of the twins or to the budget.
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
	clear(t.row(0)) // of whoever had the memory before
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

// firstRows is how many groups a table has room for from the beginning, at least: the system's page is larger.
const firstRows = 8

// Free gives the memory back at once, before the collector finds that nobody has the table. Nobody may use it any more.
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

// Reset takes all groups out and keeps the memory. What its twins have it does not know any more.
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

// RowWords is the number of words that a row takes which has so many: a row that fits a cache line does not lie across two.
func RowWords(words int) int {
	for _, width := range []int{1, 2, 4, 8} {
		if words <= width {
			return width
		}
	}
	return words
}

// Len is the number of groups.
func (t *Table) Len() int { return t.used }

// Bytes is the memory that the table holds: what its regions have taken from the budget, and the index of a small table.
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

// Used is about the memory that the groups at hand need: of rows, index, heap and blocks.
func (t *Table) Used() int {
	n := t.used*(int(t.rowBytes)+2*bucketSize/splitLoad) + t.heapUsed
	if t.side != nil {
		n += t.side.blocks.Lines() * agg.LineBytes
	}
	return n
}

// Blocks are those of the states; nil where they have none. They are valid as long as the table.
func (t *Table) Blocks() *agg.Blocks {
	if t.side == nil {
		return nil
	}
	return &t.side.blocks
}

// Shed is the number of records that found no room for a new group, and why: nil where there are none.
func (t *Table) Shed() (records uint64, err error) { return t.shed, t.err }

// TakeShed is Shed since it was last taken.
func (t *Table) TakeShed() (records uint64, err error) {
	records, err = t.shed, t.err
	t.shed = 0
	return records, err
}

// Ready says whether n records can be added without waiting for the kernel to make memory present: it takes up to milliseconds for two megabytes. Who goes on where it is false waits; what is lacking is being made
// ready, or cannot be. It is asked for n more than will be added next, a stripe at least, for which the index may begin to grow.
func (t *Table) Ready(n int) bool {
	// All are asked, so that all are made ready.
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

// readyBytes is how much of long strings, and of blocks, is ready where a table is: what fits a chunk.
const readyBytes = 64 << 10

// Late is how often somebody had to wait until memory was ready.
func (t *Table) Late() int {
	n := t.rows.Late() + t.buckets.region.Late()
	if t.heap != nil {
		n += t.heap.Late()
	}
	if t.side != nil {
		n += t.side.lines.Late()
	}
	return n
}

// Row is row i: the words of its key, then those of its states. They are valid as long as the table, which the caller keeps alive.
func (t *Table) Row(i int) (key, states []uint64) {
	row := t.row(uint64(i) + 1)
	return row[:t.keyWords:t.keyWords], row[t.keyWords : t.keyWords+len(t.init)]
}

// Clear takes the states of row i back to those of a new group. The table is live.
func (t *Table) Clear(i int) {
	row := t.row(uint64(i) + 1)
	copy(row[t.keyWords:], t.init)
	if t.tracks {
		t.touch([]uint64{uint64(i+1) * t.rowBytes})
	}
}

// RowAt is the number of the row at a place that FindOrCreate gave; -1 where the record found no room.
func (t *Table) RowAt(off uint64) int { return int(off/t.rowBytes) - 1 }

// Heap is where the long strings of the keys lie. It is valid as long as the table.
func (t *Table) Heap() []byte {
	if t.heap == nil || t.heapUsed == 0 {
		return nil
	}
	// In bounds: the region is at least as long as what is used of it.
	return unsafe.Slice((*byte)(t.heap.Base()), t.heapUsed)
}

// row is row r of the region. In bounds: rows are made below room.
func (t *Table) row(r uint64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(t.base, r*t.rowBytes)), t.rowWords)
}

// FindOrCreate finds the rows of a stripe of keys, column-wise as record.Keys has them, and makes rows for the keys that
// have none; a table with twins notes that they are touched. heap is where their long strings lie. off gets the place of each row in bytes behind the returned Base;
// it has room for one word per hash. The places are valid until the next call. A record that finds no room gets a row that is no group's
// and is counted, see Shed.
//
// A stripe is looked up in three passes: the first probes of all, whose loads wait for nothing but memory and so wait together; the rows
// that these lead to, likewise, with no branch on what is there; and then, one by one, the few keys whose first probe was not
// theirs. A mispredicted branch in the middle of a probe would throw the loads of the following keys away.
func (t *Table) FindOrCreate(hashes []uint64, words [][]uint64, heap []byte, off []uint64) agg.Rows {
	off = off[:len(hashes)]
	t.begin(len(hashes))
	t.first(hashes, off)
	missed := t.misses[:t.compare(words, off)]
	return t.end(hashes, words, heap, off, missed)
}

// An Update is what Update does to the rows that it finds: a loop over the records' values of its argument.
type Update struct {
	Loop   *agg.Fused
	States uintptr // where the states are in a row, in bytes
	Values []uint64
	Pace   *agg.Pace
}

// FindAndUpdate is FindOrCreate and, of the rows, an update, whose Loop finds them at its pace (agg.Fused.Finds); the keys are of one word. The second pass updates the rows while it looks at them.
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
		t.misses = make([]uint32, n+vectorKeys)
		t.diff, t.values = make([]uint64, n), make([]uint64, n)
	}
}

// first fills off with the place of the row that the first probe of each hash finds; row 0 where it finds none.
func (t *Table) first(hashes, off []uint64) {
	if t.buckets.count > 0 {
		t.buckets.first(t, hashes, off)
	} else {
		t.near.first(t, hashes, off)
	}
}

// end finds or makes the rows of the keys that missed.
func (t *Table) end(hashes []uint64, words [][]uint64, heap []byte, off []uint64, missed []uint32) agg.Rows {
	for _, i := range missed {
		for w := range t.key {
			t.key[w] = words[w][i]
		}
		off[i] = t.rowBytes * t.findOrCreate(hashes[i], t.key, heap)
	}
	if t.tracks {
		t.touch(off)
	}
	return agg.Rows{Base: t.base, Off: off, Blocks: t.Blocks()}
}

// compare looks whether the rows at off have the keys, and leaves the numbers of those that have not in t.misses.
func (t *Table) compare(words [][]uint64, off []uint64) (misses int) {
	n := len(off)
	missed := t.misses[:n+1]
	base := t.base // In bounds, below: the first probes give places of rows, which have the words of a key.
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
		return t.compare3(words, off)
	default:
		diff := t.diff[:n]
		for i, at := range off {
			diff[i] = none(at)
		}
		for w := range words {
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

// none is 1 for the place of row 0.
//
//gcassert:inline
func none(at uint64) uint64 { return (at - 1) >> 63 }

// findOrCreate finds or makes the row of one key; 0 where there is no room.
func (t *Table) findOrCreate(hash uint64, key []uint64, heap []byte) (row uint64) {
	if row = t.find(hash, key, heap); row != 0 {
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
		t.buckets.insert(hash, uint32(row))
	} else {
		t.near.insert(hash, uint32(row))
	}
	return row
}

// find finds the row of one key; 0 where there is none.
func (t *Table) find(hash uint64, key []uint64, heap []byte) (row uint64) {
	if t.buckets.count > 0 {
		return t.buckets.find(t, hash, key, heap)
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

// Get finds the group of one key, whose long strings lie in heap. False says that there is none. Nothing is changed or
// allocated.
func (t *Table) Get(hash uint64, key []uint64, heap []byte) (row int, ok bool) {
	r := t.find(hash, key, heap)
	runtime.KeepAlive(t)
	return int(r) - 1, r != 0
}

// heapRoom makes room for the long strings of a key. False says that there is none.
func (t *Table) heapRoom(key []uint64) bool {
	need := t.heapUsed
	for _, s := range t.keys.Strings() {
		if record.IsLong(key[s+2]) {
			_, n := record.LongPlace(key[s+1])
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

// setKey writes a key and takes its long strings over into the table's heap, which has room.
func (t *Table) setKey(row, key []uint64, heap []byte) {
	copy(row, key)
	for _, s := range t.keys.Strings() {
		if record.IsLong(key[s+2]) {
			from, n := record.LongPlace(key[s+1])
			at := t.heapUsed
			t.heapUsed += int(n)
			copy(t.Heap()[at:], heap[from:from+n])
			row[s+1] = record.PlaceLong(uint64(at), n)
		}
	}
}

// reserve makes room for n more groups, as far as there is memory, so that neither the index nor the rows grow while a stripe is looked up.
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

// Room makes room for n more groups with so many bytes of long strings together, and for so many bytes of blocks; it says whether there is.
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

// prefetchRows asks for the lines of some rows.
func (t *Table) prefetchRows(places []uint64) { prefetch.Each(t.base, places) }

// shiftFor is how far a hash without its shard is shifted to be a place among n, a power of two.
func shiftFor(n uint64) uint { return uint(64 - bits.TrailingZeros64(n)) }
