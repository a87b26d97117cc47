package agg

import (
	"math/bits"
	"unsafe"
)

// # Blocks
//
// A state that does not fit a row, a text or a sketch, keeps the rest in a block: 1, 2, 4, ... lines of 64 bytes. The row has the number of its first
// line, and how many of its bytes are in use, in one word: its place. Blocks lie in a region of the table, so copying a table is copying memory, and places hold
// in all its twins.

const (
	// LineBytes is the grain of blocks, and of what is copied when a table catches up with its twin.
	LineBytes = 64

	// blockClasses is how many sizes of blocks there are: 1 << class lines.
	blockClasses = 9

	// MaxBlockBytes bounds a block. Partial states of larger ones would not fit a chunk.
	MaxBlockBytes = LineBytes << (blockClasses - 1)
)

// Blocks is the memory of the blocks of a table. One goroutine changes it; any number may read while none does. The zero value has none.
type Blocks struct {
	base  unsafe.Pointer // line 0 is no block's
	notes unsafe.Pointer // a bit for each line that has changed; nil where nobody wants to know
	room  uint32         // lines that there is memory for
	grow  func(lines uint32) bool

	blocksUsed
}

// blocksUsed is what Blocks knows of the memory.
type blocksUsed struct {
	used uint32               // lines, line 0 among them
	free [blockClasses]uint32 // the first block of each size that was given back, 0 for none; its first word is the next one
}

// NewBlocks makes Blocks without memory. grow is called for more: it makes room for so many lines by SetMemory, or says that there is none.
func NewBlocks(grow func(lines uint32) bool) Blocks {
	return Blocks{grow: grow, blocksUsed: blocksUsed{used: 1}}
}

// Lent are blocks that lie elsewhere, to be read: block i begins 64 i bytes behind base.
func Lent(base unsafe.Pointer) Blocks { return Blocks{base: base} }

// SetMemory says where the lines are and how many. notes has a bit for each; nil where nobody wants to know which have changed.
func (b *Blocks) SetMemory(base unsafe.Pointer, lines uint32, notes unsafe.Pointer) {
	b.base, b.room, b.notes = base, lines, notes
}

// Lines is the number of lines that have been used, line 0 among them.
func (b *Blocks) Lines() int { return int(b.used) }

// Follow has the same blocks as another, whose lines have been copied.
func (b *Blocks) Follow(other *Blocks) { b.blocksUsed = other.blocksUsed }

// Reset gives all blocks back.
func (b *Blocks) Reset() { b.blocksUsed = blocksUsed{used: 1} }

// Bytes are the bytes at a place. They are valid until the blocks change.
func (b *Blocks) Bytes(place uint64) []byte {
	n := blockLen(place)
	if n == 0 {
		return nil
	}
	// In bounds: a place is one that alloc gave, and n is at most what it was asked for.
	return unsafe.Slice((*byte)(b.at(blockOf(place))), n)
}

// words are the words at a place.
func (b *Blocks) words(place uint64) []uint64 {
	n := blockLen(place)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*uint64)(b.at(blockOf(place))), n/8)
}

// at is where a line begins. In bounds: below used.
func (b *Blocks) at(line uint32) unsafe.Pointer { return unsafe.Add(b.base, uintptr(line)*LineBytes) }

// PlaceBlock is the place of a block that begins in a line and has n bytes. 0 is the place of nothing.
func PlaceBlock(line uint32, n int) uint64 { return uint64(line)<<32 | uint64(n) }

func blockOf(place uint64) uint32 { return uint32(place >> 32) }
func blockLen(place uint64) int   { return int(uint32(place)) }

// classOf is the size of a block of n bytes, at least one.
func classOf(n int) int { return bits.Len(uint(n-1) / LineBytes) }

// alloc makes a block of n bytes, at most MaxBlockBytes; place 0 says that there is no memory, which whoever grows has noted. What is in it is not
// known, and all of it counts as changed. The memory of other blocks may have moved.
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

// touch notes that n bytes of a block have changed.
func (b *Blocks) touch(place uint64, at, n int) {
	if b.notes == nil {
		return
	}
	first := blockOf(place) + uint32(at)/LineBytes
	last := blockOf(place) + uint32(at+n-1)/LineBytes
	for line := first; line <= last; line++ {
		// In bounds: there is a bit for each line that there is memory for.
		*(*uint8)(unsafe.Add(b.notes, line>>3)) |= 1 << (line & 7)
	}
}

// put makes a block of some bytes in the place of another, which it gives back. Place 0 and false say that there is no memory; the old block is as it was.
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
		if place = b.alloc(n); place == 0 {
			return 0, false
		}
		b.give(old)
	}
	copy(b.Bytes(place), bytes)
	return place, true
}

// Need is about the most bytes of blocks that records take whose texts have so many bytes together.
func needText(rows, textBytes int) int { return 2*textBytes + rows*LineBytes }
