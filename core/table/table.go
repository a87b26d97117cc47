package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/pages"
	"github.com/velo-engine/velo/internal/prefetch"
	"github.com/velo-engine/velo/record"
)

const (
	// MaxGroups bounds the rows of one table: their numbers are kept in 32 bits.
	MaxGroups = 1<<32 - 2

	// MaxHeap bounds the bytes of long strings in the keys of one table: their places are kept in 32 bits.
	MaxHeap = 1 << 32

	// firstSlots is the size of the index of an empty table: 16 KiB.
	firstSlots = 1 << 12

	// While the index is small enough for the second-level cache, probes that miss cost more than its size: it is filled to an eighth.
	// A larger one is filled to a quarter.
	smallSlots = 1 << 15
	smallLoad  = 8
	largeLoad  = 4

	// ahead is how many lines are asked for at a time: about as many as a core can wait for. More are dropped.
	ahead = 16

	// stringWords is the number of words of a text column in a key.
	stringWords = 3

	// shardBits is how many bits of the hash have chosen the shard and say nothing within it.
	shardBits = 8
)

// A Table is the groups of one partition.
type Table struct {
	keys     *record.KeyLayout
	keyWords int
	rowWords int
	init     []uint64 // the states of a new group

	oneString bool // the key is one text column

	index []uint32 // a power of two slots: 0, or the number of a row plus one
	shift uint     // home slot: hash << shardBits >> shift
	rows  []uint64 // used rows, then free ones
	used  int
	heap  []byte
	key   []uint64 // scratch of findAny

	far    []uint64 // scratch: where the rows of a stripe may be
	misses []uint32 // scratch: keys whose first probe was not theirs
}

// New makes an empty table for keys of this layout and rows whose states begin as init.
func New(keys *record.KeyLayout, init []uint64) *Table {
	t := &Table{
		keys: keys, keyWords: keys.Words(), rowWords: RowWords(keys.Words() + len(init)), init: init,
		key: make([]uint64, keys.Words()), oneString: keys.Columns() == 1 && len(keys.Strings()) == 1,
	}
	t.setIndex(firstSlots)
	t.rows = make([]uint64, firstSlots/8*t.rowWords)
	return t
}

// Reset takes all groups out and keeps the memory.
func (t *Table) Reset() {
	clear(t.index)
	t.used = 0
	t.heap = t.heap[:0]
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

// Bytes is the memory that the table holds.
func (t *Table) Bytes() int { return 4*len(t.index) + 8*len(t.rows) + cap(t.heap) }

// Used is the memory that the groups at hand need: of rows, heap and index.
func (t *Table) Used() int { return t.used*(8*t.rowWords+4*largeLoad) + len(t.heap) }

// Row is row i: the words of its key, then those of its states.
func (t *Table) Row(i int) (key, states []uint64) {
	row := t.row(i)
	return row[:t.keyWords:t.keyWords], row[t.keyWords : t.keyWords+len(t.init)]
}

// RowAt is the number of the row at a place that FindOrCreate gave.
func (t *Table) RowAt(off uint64) int { return int(off) / (8 * t.rowWords) }

// Heap is where the long strings of the keys lie.
func (t *Table) Heap() []byte { return t.heap }

func (t *Table) row(i int) []uint64 {
	return t.rows[i*t.rowWords : (i+1)*t.rowWords : (i+1)*t.rowWords]
}

func (t *Table) setIndex(slots int) {
	words := pages.Make(slots / 2)
	t.index = unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(words))), slots)
	t.shift = uint(64 - bits.TrailingZeros(uint(slots)))
}

//gcassert:inline
func (t *Table) home(hash uint64) uint64 { return hash << shardBits >> (t.shift & 63) }

// FindOrCreate finds the rows of a stripe of keys, column-wise as record.Keys has them, and makes rows for the keys that
// have none. heap is where their long strings lie. off gets the place of each row in bytes behind the returned Base;
// it has room for one word per hash. The places are valid until the next call.
func (t *Table) FindOrCreate(hashes []uint64, words [][]uint64, heap []byte, off []uint64) agg.Rows {
	t.reserve(len(hashes))
	off = off[:len(hashes)]
	base := unsafe.Pointer(unsafe.SliceData(t.rows))
	switch {
	case t.keyWords == 1:
		t.find1(hashes, words[0], off)
	case t.oneString:
		t.findString(hashes, words, heap, off)
	default:
		t.findAny(hashes, words, heap, off)
	}
	return agg.Rows{Base: base, Off: off}
}

// The finds go over a stripe three times: the first probes of all, whose loads wait for nothing but memory and so wait together; the rows
// that these lead to, likewise, with no branch on what is there; and then, one by one, the few keys whose first probe was not
// theirs. A mispredicted branch in the middle of a probe would throw the loads of the following keys away: 33 ns a key at 100,000
// groups against 12.

// firstFar fills off with the entries that the first probe of each hash finds. It has their slots come in first, and the rows that they
// lead to after it.
func (t *Table) firstFar(hashes, off []uint64) {
	index, shift := t.index, t.shift&63
	mask := uint64(len(index) - 1)
	off = off[:len(hashes)]
	for i, h := range hashes {
		off[i] = 4 * (h << shardBits >> shift & mask)
	}
	rowBytes := uint64(8 * t.rowWords)
	places := t.places(len(hashes))
	indexBase, rowsBase := unsafe.Pointer(unsafe.SliceData(index)), unsafe.Pointer(unsafe.SliceData(t.rows))
	prefetch.Each(indexBase, off[:min(ahead, len(off))])
	for from := 0; from < len(off); from += ahead {
		to := min(from+ahead, len(off))
		prefetch.Each(indexBase, off[to:min(to+ahead, len(off))])
		for i := from; i < to; i++ {
			e := uint64(index[off[i]/4&mask])
			off[i] = e
			row, _ := rowOf(e)
			places[i] = row * rowBytes
		}
		prefetch.Each(rowsBase, places[from:to])
	}
}

// places is scratch for n words.
func (t *Table) places(n int) []uint64 {
	if len(t.far) < n {
		t.far = make([]uint64, n)
	}
	return t.far[:n]
}

// rowOf is the number of the row of an entry, 0 where there is none, and 1 in none where there is none.
func rowOf(e uint64) (row, none uint64) {
	some := min(e, 1)
	return e - some, 1 - some
}

// isFar says whether the table is larger than the caches near the core.
func (t *Table) isFar() bool { return prefetch.Enabled && len(t.index) > smallSlots }

// find1 is findAny for keys of one word, which cannot be a string.
func (t *Table) find1(hashes, keys, off []uint64) {
	n := len(hashes)
	keys, off = keys[:n], off[:n]
	far := t.isFar()
	if far {
		t.firstFar(hashes, off)
	}
	missed, misses := t.missed(n), 0
	// In bounds: the index has a power of two slots, of which shift leaves as many, and its entries are numbers of rows.
	index, rows := unsafe.Pointer(unsafe.SliceData(t.index)), unsafe.Pointer(unsafe.SliceData(t.rows))
	shift, rowBytes := t.shift&63, uint64(8*t.rowWords)
	done := 0
	if have512 && !far && t.rowWords&(t.rowWords-1) == 0 && n >= vectorKeys {
		done = n &^ (vectorKeys - 1)
		misses = find512(&probe512{
			unsafe.SliceData(hashes), unsafe.SliceData(keys), unsafe.SliceData(off), unsafe.SliceData(missed), index, rows, done,
			uint64(shift), uint64(bits.TrailingZeros64(rowBytes)),
			[vectorKeys]uint32{0, 1, 2, 3, 4, 5, 6, 7},
		})
	}
	for i := done; i < n; i++ {
		key := keys[i]
		e := off[i]
		if !far {
			e = uint64(*(*uint32)(unsafe.Add(index, hashes[i]<<shardBits>>shift*4)))
		}
		row, none := rowOf(e)
		at := row * rowBytes
		off[i] = at
		missed[misses] = uint32(i)
		if *(*uint64)(unsafe.Add(rows, at))^key|none != 0 {
			misses++
		}
	}
	for _, i := range missed[:misses] {
		off[i] = rowBytes * t.probe1(hashes[i], keys[i])
	}
}

// vectorKeys is how many keys find512 looks at together.
const vectorKeys = 8

// probe512 is what find512 works on. The assembly knows its layout.
type probe512 struct {
	hashes, keys, off *uint64
	missed            *uint32 // room for vectorKeys more than there are keys
	index, rows       unsafe.Pointer
	n                 int    // a multiple of vectorKeys
	shift             uint64 // of a hash without its shard, to its slot
	rowShift          uint64 // from the number of a row to its place
	first             [vectorKeys]uint32
}

// probe1 finds or makes the row of one key of one word.
func (t *Table) probe1(hash, key uint64) uint64 {
	mask := uint64(len(t.index) - 1)
	for slot := t.home(hash); ; slot++ {
		e := t.index[slot&mask]
		if e == 0 {
			row := t.add(slot & mask)
			t.row(int(row))[0] = key
			return row
		}
		if row := uint64(e) - 1; t.rows[row*uint64(t.rowWords)] == key {
			return row
		}
	}
}

// findString is findAny for a key of one text column. A long string differs in the word that says where it lies, so it always
// takes the slow way.
func (t *Table) findString(hashes []uint64, words [][]uint64, heap []byte, off []uint64) {
	n := len(hashes)
	w0, w1, w2, off := words[0][:n], words[1][:n], words[2][:n], off[:n]
	far := t.isFar()
	if far {
		t.firstFar(hashes, off)
	}
	missed, misses := t.missed(n), 0
	// In bounds: see find1.
	index, rows := unsafe.Pointer(unsafe.SliceData(t.index)), unsafe.Pointer(unsafe.SliceData(t.rows))
	shift, rowBytes := t.shift&63, uint64(8*t.rowWords)
	for i := range w0 {
		e := off[i]
		if !far {
			e = uint64(*(*uint32)(unsafe.Add(index, hashes[i]<<shardBits>>shift*4)))
		}
		row, none := rowOf(e)
		at := row * rowBytes
		off[i] = at
		key := (*[stringWords]uint64)(unsafe.Add(rows, at))
		missed[misses] = uint32(i)
		if key[0]^w0[i]|key[1]^w1[i]|key[2]^w2[i]|none != 0 {
			misses++
		}
	}
	for _, i := range missed[:misses] {
		t.key[0], t.key[1], t.key[2] = w0[i], w1[i], w2[i]
		off[i] = rowBytes * t.probe(hashes[i], t.key, heap)
	}
}

// missed is scratch for the places of n keys, and some more that may be written behind them.
func (t *Table) missed(n int) []uint32 {
	if len(t.misses) < n+vectorKeys {
		t.misses = make([]uint32, n+vectorKeys)
	}
	return t.misses
}

// findAny finds the rows of keys of any layout: the twin of the others.
func (t *Table) findAny(hashes []uint64, words [][]uint64, heap []byte, off []uint64) {
	for i, h := range hashes {
		for w := range t.key {
			t.key[w] = words[w][i]
		}
		off[i] = uint64(8*t.rowWords) * t.probe(h, t.key, heap)
	}
}

// probe finds or makes the row of one key.
func (t *Table) probe(hash uint64, key []uint64, heap []byte) uint64 {
	mask := uint64(len(t.index) - 1)
	for slot := t.home(hash); ; slot++ {
		e := t.index[slot&mask]
		if e == 0 {
			row := t.add(slot & mask)
			t.setKey(t.row(int(row)), key, heap)
			return row
		}
		if row := uint64(e) - 1; t.keys.Equal(key, heap, t.row(int(row)), t.heap) {
			return row
		}
	}
}

// add makes a row with empty states for a free slot of the index and returns its number.
func (t *Table) add(slot uint64) uint64 {
	row := uint64(t.used)
	t.used++
	t.index[slot] = uint32(row + 1)
	copy(t.row(int(row))[t.keyWords:], t.init)
	return row
}

// setKey writes a key and takes its long strings over into the table's heap.
func (t *Table) setKey(row, key []uint64, heap []byte) {
	copy(row, key)
	for _, s := range t.keys.Strings() {
		if record.IsLong(key[s+2]) {
			from, n := record.LongPlace(key[s+1])
			if uint64(len(t.heap))+n > MaxHeap {
				panic(fmt.Sprintf("table: more than %d bytes of long strings in the keys of one partition", uint64(MaxHeap)))
			}
			row[s+1] = record.PlaceLong(uint64(len(t.heap)), n)
			t.heap = append(t.heap, heap[from:from+n]...)
		}
	}
}

// Get finds the group of one key, whose long strings lie in heap. False says that there is none. Nothing is changed or
// allocated.
func (t *Table) Get(hash uint64, key []uint64, heap []byte) (row int, ok bool) {
	mask := uint64(len(t.index) - 1)
	for slot := t.home(hash); ; slot++ {
		e := t.index[slot&mask]
		if e == 0 {
			return 0, false
		}
		if row := int(e) - 1; t.keys.Equal(key, heap, t.row(row), t.heap) {
			return row, true
		}
	}
}

// reserve makes room for n more groups, so that neither the index nor the rows grow while a stripe is looked up.
func (t *Table) reserve(n int) {
	need := t.used + n
	if need > MaxGroups {
		panic(fmt.Sprintf("table: more than %d groups", MaxGroups))
	}
	if slots := slotsFor(need); slots > len(t.index) {
		t.grow(slots)
	}
	if need*t.rowWords > len(t.rows) {
		rows := pages.Make(max(need, 2*len(t.rows)/t.rowWords) * t.rowWords)
		copy(rows, t.rows[:t.used*t.rowWords])
		t.rows = rows
	}
}

// slotsFor is the size of an index for so many groups.
func slotsFor(groups int) int {
	slots := firstSlots
	for slots <= smallSlots && groups*smallLoad > slots || groups*largeLoad > slots {
		slots *= 2
	}
	return slots
}

// grow makes a larger index. The old one does not keep the hashes: they are made anew from the keys.
func (t *Table) grow(slots int) {
	old := t.index
	t.setIndex(slots)
	mask := uint64(slots - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		slot := t.home(t.keys.HashKey(t.row(int(e) - 1)))
		for t.index[slot&mask] != 0 {
			slot++
		}
		t.index[slot&mask] = e
	}
}
