package table

import "unsafe"

const (
	// firstSlots is the size of the index of a new table. It is 256 bytes, because a window may
	// have one group and there may be a million windows. A table that is used again begins with the
	// size it had, up to resetSlots.
	firstSlots = 1 << 6
	resetSlots = 1 << 12

	// mostSlots is the largest size of a near index. Together with its rows it still fits a
	// second-level cache. As long as it does, probes that miss, and the mispredicted branches that
	// they cause, cost more than size, so the index is filled to a sixteenth.
	mostSlots = 1 << 16
	nearLoad  = 16
)

// near is the index of a small table. It uses open addressing with linear probing. A slot has the
// number of a row, or 0 if it is free.
type near struct {
	slots  []uint32 // its length is a power of two
	memory []uint32 // the memory of slots, as long as slots ever was
	shift  uint     // home slot: hash << shardBits >> shift
}

func (x *near) reset() { x.resize(min(max(len(x.slots), firstSlots), resetSlots)) }

// resize empties the index and gives it that many slots.
func (x *near) resize(slots int) {
	if slots > len(x.memory) {
		x.memory = make([]uint32, slots)
	}
	x.slots, x.shift = x.memory[:slots], shiftFor(uint64(slots))
	clear(x.slots)
}

func (x *near) home(hash uint64) uint64 { return hash << shardBits >> (x.shift & 63) }

// first fills off with the place of the row that the first probe of each hash finds.
func (x *near) first(t *Table, hashes, off []uint64) {
	// The accesses are in bounds: the number of slots is a power of two, and shift leaves a hash
	// less than that.
	slots, shift := unsafe.Pointer(unsafe.SliceData(x.slots)), x.shift&63
	off = off[:len(hashes)]
	done := 0
	if haveAVX2 {
		done = len(hashes) &^ (slotKeys - 1)
		lookSlots(&probeSlots{unsafe.SliceData(hashes), unsafe.SliceData(off), slots, done, uint64(shift), t.rowBytes})
	}
	for i := done; i < len(hashes); i++ {
		off[i] = t.rowBytes * uint64(*(*uint32)(unsafe.Add(slots, hashes[i]<<shardBits>>shift*4)))
	}
}

// slotKeys is how many keys the assembly looks up in one round.
const slotKeys = 4

// probeSlots is what lookSlots works on. The assembly knows its layout.
type probeSlots struct {
	hashes, off *uint64
	slots       unsafe.Pointer
	n           int    // a multiple of slotKeys
	shift       uint64 // shift that turns a hash without its shard into its slot
	rowBytes    uint64
}

// find finds the row of a key. It returns 0 if there is none.
func (x *near) find(t *Table, hash uint64, key []uint64, heap []byte) uint64 {
	mask := uint64(len(x.slots) - 1)
	for slot := x.home(hash); ; slot++ {
		row := uint64(x.slots[slot&mask])
		if row == 0 || t.isKey(row, key, heap) {
			return row
		}
	}
}

// insert adds a row whose key is not there.
func (x *near) insert(hash uint64, row uint32) {
	mask := uint64(len(x.slots) - 1)
	slot := x.home(hash)
	for x.slots[slot&mask] != 0 {
		slot++
	}
	x.slots[slot&mask] = row
}

// grow makes the index large enough for that many groups. It returns false if the index would not
// be small any more. It inserts up to 4,096 rows at once, which takes some ten microseconds.
func (x *near) grow(t *Table, groups int) bool {
	slots := len(x.slots)
	for groups*nearLoad > slots {
		slots *= 2
	}
	if slots == len(x.slots) {
		return true
	}
	if slots > mostSlots {
		return false
	}
	x.resize(slots)
	for r := range t.used {
		row := t.row(uint64(r) + 1)
		x.insert(t.keys.HashKey(row), uint32(r)+1)
	}
	return true
}
