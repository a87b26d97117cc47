package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/record"
)

const (
	// MaxGroups bounds the rows of one table: their numbers are kept in 32 bits.
	MaxGroups = 1<<32 - 2

	// MaxHeap bounds the bytes of long strings in the keys of one table: their places are kept in 32 bits.
	MaxHeap = 1 << 32

	// firstSlots is the size of the index of an empty table: 32 KiB, the first-level cache.
	firstSlots = 1 << 12

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

	index []uint64 // a power of two
	shift uint     // home slot: hash << shardBits >> shift
	rows  []uint64 // used rows, then free ones
	used  int
	heap  []byte
	key   []uint64 // scratch of findAny
}

// New makes an empty table for keys of this layout and rows whose states begin as init.
func New(keys *record.KeyLayout, init []uint64) *Table {
	t := &Table{
		keys: keys, keyWords: keys.Words(), rowWords: keys.Words() + len(init), init: init,
		key: make([]uint64, keys.Words()), oneString: keys.Columns() == 1 && len(keys.Strings()) == 1,
	}
	t.setIndex(firstSlots)
	t.rows = make([]uint64, firstSlots/8*t.rowWords)
	return t
}

// Len is the number of groups.
func (t *Table) Len() int { return t.used }

// Bytes is the memory that the table holds.
func (t *Table) Bytes() int { return 8*len(t.index) + 8*len(t.rows) + cap(t.heap) }

// Row is row i: the words of its key, then those of its states.
func (t *Table) Row(i int) (key, states []uint64) {
	row := t.row(i)
	return row[:t.keyWords:t.keyWords], row[t.keyWords:]
}

// RowAt is the number of the row at a place that FindOrCreate gave.
func (t *Table) RowAt(off uint64) int { return int(off) / (8 * t.rowWords) }

// Heap is where the long strings of the keys lie.
func (t *Table) Heap() []byte { return t.heap }

func (t *Table) row(i int) []uint64 {
	return t.rows[i*t.rowWords : (i+1)*t.rowWords : (i+1)*t.rowWords]
}

func (t *Table) setIndex(slots int) {
	t.index = make([]uint64, slots)
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
	rowBytes := uint64(8 * t.rowWords)
	switch {
	case t.keyWords == 1:
		t.find1(hashes, words[0], off)
	case t.oneString:
		t.findString(hashes, words, heap, off)
	default:
		t.findAny(hashes, words, heap, off)
	}
	for i := range off {
		off[i] *= rowBytes
	}
	return agg.Rows{Base: base, Off: off}
}

// find1 is findAny for keys of one word, which cannot be a string.
func (t *Table) find1(hashes, keys, off []uint64) {
	mask := uint64(len(t.index) - 1)
	keys = keys[:len(hashes)]
	for i, h := range hashes {
		key, tag := keys[i], h<<32
		slot := t.home(h)
		for {
			e := t.index[slot&mask]
			if e == 0 {
				off[i] = t.add(slot&mask, tag)
				t.row(int(off[i]))[0] = key
				break
			}
			if row := e&0xffffffff - 1; e&^0xffffffff == tag && t.rows[row*uint64(t.rowWords)] == key {
				off[i] = row
				break
			}
			slot++
		}
	}
}

// findString is findAny for a key of one text column. The first and the last word of a short string settle nearly every
// comparison; a long one is compared as findAny does.
func (t *Table) findString(hashes []uint64, words [][]uint64, heap []byte, off []uint64) {
	mask := uint64(len(t.index) - 1)
	rowWords := uint64(t.rowWords)
	n := len(hashes)
	w0, w1, w2 := words[0][:n], words[1][:n], words[2][:n]
	off = off[:n]
	for i, h := range hashes {
		tag := h << 32
		slot := t.home(h)
		for {
			e := t.index[slot&mask]
			if e == 0 {
				t.key[0], t.key[1], t.key[2] = w0[i], w1[i], w2[i]
				off[i] = t.add(slot&mask, tag)
				t.setKey(t.row(int(off[i])), t.key, heap)
				break
			}
			row := e&0xffffffff - 1
			if e&^0xffffffff == tag {
				key := (*[3]uint64)(t.rows[row*rowWords:])
				if key[0] == w0[i] && key[2] == w2[i] && (key[1] == w1[i] || record.IsLong(w2[i])) {
					if !record.IsLong(w2[i]) || t.keys.Equal([]uint64{w0[i], w1[i], w2[i]}, heap, key[:], t.heap) {
						off[i] = row
						break
					}
				}
			}
			slot++
		}
	}
}

// findAny finds the rows of keys of any layout.
func (t *Table) findAny(hashes []uint64, words [][]uint64, heap []byte, off []uint64) {
	mask := uint64(len(t.index) - 1)
	key := t.key
	for i, h := range hashes {
		for w := range key {
			key[w] = words[w][i]
		}
		tag := h << 32
		slot := t.home(h)
		for {
			e := t.index[slot&mask]
			if e == 0 {
				off[i] = t.add(slot&mask, tag)
				t.setKey(t.row(int(off[i])), key, heap)
				break
			}
			if e&^0xffffffff == tag {
				row := e&0xffffffff - 1
				if t.keys.Equal(key, heap, t.row(int(row)), t.heap) {
					off[i] = row
					break
				}
			}
			slot++
		}
	}
}

// add makes a row with empty states for a free slot of the index and returns its number.
func (t *Table) add(slot, tag uint64) uint64 {
	row := uint64(t.used)
	t.used++
	t.index[slot] = tag | (row + 1)
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
		if e&^0xffffffff == hash<<32 {
			row := int(e&0xffffffff - 1)
			if t.keys.Equal(key, heap, t.row(row), t.heap) {
				return row, true
			}
		}
	}
}

// reserve makes room for n more groups, so that neither the index nor the rows grow while a stripe is looked up.
func (t *Table) reserve(n int) {
	need := t.used + n
	if need > MaxGroups {
		panic(fmt.Sprintf("table: more than %d groups", MaxGroups))
	}
	if need*2 > len(t.index) {
		t.grow(need)
	}
	if need*t.rowWords > len(t.rows) {
		rows := make([]uint64, max(need, 2*len(t.rows)/t.rowWords)*t.rowWords)
		copy(rows, t.rows[:t.used*t.rowWords])
		t.rows = rows
	}
}

// grow doubles the index until need groups fill half of it at most. The index keeps 32 bits of the hash and the slot
// shows more of them, but not enough to place an entry in a larger one: the hash is made anew from the key.
func (t *Table) grow(need int) {
	slots := len(t.index)
	for need*2 > slots {
		slots *= 2
	}
	old := t.index
	t.setIndex(slots)
	mask := uint64(slots - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		slot := t.home(t.keys.HashKey(t.row(int(e&0xffffffff - 1))))
		for t.index[slot&mask] != 0 {
			slot++
		}
		t.index[slot&mask] = e
	}
}
