package agg

import (
	"math/bits"
	"unsafe"
)

// # Blocks
//
// A state that does not fit a row, such as a text or a sketch, keeps the rest in a block of 1, 2,
// 4, ... lines of 64 bytes. One word in the row, the place, has the number of the block's first
// line and how many of its bytes are in use. Blocks lie in a region of the table. So copying a
// table is copying memory, and places are valid in all its twins.

const (
	// LineBytes is the unit of blocks, and of what is copied when a table catches up with its twin.
	LineBytes = 64

	// blockClasses is the number of sizes of blocks: class c has 1 << c lines.
	blockClasses = 9

	// MaxBlockBytes bounds a block. The partial state of a larger one would not fit a chunk.
	MaxBlockBytes = LineBytes << (blockClasses - 1)
)

// Blocks is the memory of the blocks of a table. One goroutine changes it. Any number of goroutines
// may read it while none changes it. The zero value has no blocks.
type Blocks struct {
	base  unsafe.Pointer // line 0 belongs to no block
	notes unsafe.Pointer // a bit for each line that has changed; nil if changes are not noted
	room  uint32         // number of lines that there is memory for
	grow  func(lines uint32) bool

	number uint64 // see SetNumber
	seeds  uint64 // number of seeds given out; a twin that takes its turn goes on with it

	blocksUsed
}

// blocksUsed is what Blocks knows about the use of its memory.
type blocksUsed struct {
	used uint32 // number of lines in use, including line 0

	// free has the first block of each size that was given back, or 0 if there is none. The first
	// word of a free block is the next one.
	free [blockClasses]uint32
}

// NewBlocks makes Blocks without memory. grow is called when more is needed: it makes room for that
// many lines by SetMemory, or returns false if there is no memory.
func NewBlocks(grow func(lines uint32) bool) Blocks {
	return Blocks{grow: grow, blocksUsed: blocksUsed{used: 1}}
}

// Lent returns blocks that lie in other memory, for reading. Block i begins 64 i bytes after base.
func Lent(base unsafe.Pointer) Blocks { return Blocks{base: base} }

// SetMemory says where the lines are and how many there are. notes has a bit for each line; it is
// nil if changes are not to be noted.
func (b *Blocks) SetMemory(base unsafe.Pointer, lines uint32, notes unsafe.Pointer) {
	b.base, b.room, b.notes = base, lines, notes
}

// Lines returns the number of lines in use, including line 0.
func (b *Blocks) Lines() int { return int(b.used) }

// Follow takes over the use of memory from other, whose lines have been copied.
func (b *Blocks) Follow(other *Blocks) {
	b.blocksUsed = other.blocksUsed
	b.number, b.seeds = other.number, max(b.seeds, other.seeds)
}

// SetNumber gives the table a number that no other table of the plan has, except its twins.
func (b *Blocks) SetNumber(number uint64) { b.number = number }

// seed returns a number for a state, which is not 0. Two states of a plan get the same only by
// chance: of all tables, and before and after Reset. After a restart tables have the same numbers
// and begin to count again, so the first value of the state is part of the seed.
func (b *Blocks) seed(first uint64) uint64 {
	b.seeds++
	return max(mix(mix(mix(b.number+1)+b.seeds)+first), 1)
}

// Reset gives all blocks back.
func (b *Blocks) Reset() { b.blocksUsed = blocksUsed{used: 1} }

// Bytes returns the bytes at a place. They are valid until the blocks change.
func (b *Blocks) Bytes(place uint64) []byte {
	n := blockLen(place)
	if n == 0 {
		return nil
	}
	// The slice is in bounds: alloc returned the place, and n is at most what it was asked for.
	return unsafe.Slice((*byte)(b.at(blockOf(place))), n)
}

// wordBytes returns the bytes of words.
func wordBytes(words []uint64) []byte {
	// The slice is in bounds: it has the bytes of words.
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
}

// words returns the words at a place.
func (b *Blocks) words(place uint64) []uint64 {
	n := blockLen(place)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*uint64)(b.at(blockOf(place))), n/8)
}

// at returns where a line begins. The access is in bounds if the line is below used.
func (b *Blocks) at(line uint32) unsafe.Pointer { return unsafe.Add(b.base, uintptr(line)*LineBytes) }

// PlaceBlock returns the place of a block of n bytes that begins in line. 0 is the place of
// nothing.
func PlaceBlock(line uint32, n int) uint64 { return uint64(line)<<32 | uint64(n) }

func blockOf(place uint64) uint32 { return uint32(place >> 32) }
func blockLen(place uint64) int   { return int(uint32(place)) }

// classOf returns the class of a block of n bytes. n must be at least 1.
func classOf(n int) int { return bits.Len(uint(n-1) / LineBytes) }

// alloc makes a block of n bytes, at most MaxBlockBytes. It returns 0 if there is no memory; the
// function grow has noted that already. The content of the block is undefined, and all of it counts
// as changed. alloc may move the memory of other blocks.
func (b *Blocks) alloc(n int) (place uint64) {
	if n == 0 {
		return 0
	}
	class := classOf(n)
	line := b.free[class]
	if line != 0 {
		b.free[class] = uint32(*(*uint64)(b.at(line)))
	} else {
		end := uint64(b.used) + 1<<class
		if end > uint64(b.room) && (end > 1<<32-1 || !b.grow(uint32(end))) {
			return 0
		}
		line = b.used
		b.used = uint32(end)
	}
	place = PlaceBlock(line, n)
	b.touch(place, 0, n)
	return place
}

// give gives a block back.
func (b *Blocks) give(place uint64) {
	if n := blockLen(place); n > 0 {
		class, line := classOf(n), blockOf(place)
		*(*uint64)(b.at(line)) = uint64(b.free[class])
		b.free[class] = line
		b.touch(place, 0, 8)
	}
}

// touch notes that n bytes of a block have changed, from byte at on.
func (b *Blocks) touch(place uint64, at, n int) {
	if b.notes == nil {
		return
	}
	first := blockOf(place) + uint32(at)/LineBytes
	last := blockOf(place) + uint32(at+n-1)/LineBytes
	for line := first; line <= last; line++ {
		// The access is in bounds: there is a bit for each line that there is memory for.
		*(*uint8)(unsafe.Add(b.notes, line>>3)) |= 1 << (line & 7)
	}
}

// touchWord is touch for the word at byte at, which lies in one line. Most of the time the line has
// been noted before.
func (b *Blocks) touchWord(place uint64, at int) {
	if b.notes == nil {
		return
	}
	line := blockOf(place) + uint32(at)/LineBytes
	// The access is in bounds: there is a bit for each line that there is memory for.
	if note := (*uint8)(unsafe.Add(b.notes, line>>3)); *note>>(line&7)&1 == 0 {
		*note |= 1 << (line & 7)
	}
}

// put makes a block that has these bytes in the place of another, which it gives back. It returns 0
// and false if there is no memory; then the old block is unchanged.
func (b *Blocks) put(old uint64, bytes []byte) (place uint64, ok bool) {
	n := len(bytes)
	switch {
	case n > 0 && blockLen(old) > 0 && classOf(n) == classOf(blockLen(old)):
		place = PlaceBlock(blockOf(old), n)
		b.touch(place, 0, n)
	case n == 0:
		b.give(old)
		return 0, true
	default:
		place = b.alloc(n)
		if place == 0 {
			return 0, false
		}
		b.give(old)
	}
	copy(b.Bytes(place), bytes)
	return place, true
}

// Adopt gives a state of f that was copied from elsewhere, and whose block lies in from, a block of
// its own with the same bytes. It returns false if there is no memory; then the state has no block.
func Adopt(f Func, state []uint64, blocks, from *Blocks) bool {
	place := BlockOf(f, state)
	if place == nil || blockLen(*place) == 0 {
		return true
	}
	bytes := from.Bytes(*place)
	*place = blocks.alloc(len(bytes))
	copy(blocks.Bytes(*place), bytes)
	return *place != 0
}

// needText returns about the most bytes of blocks that records take if their texts have textBytes
// bytes together.
func needText(rows, textBytes int) int { return 2*textBytes + rows*LineBytes }
