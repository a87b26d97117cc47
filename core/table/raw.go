package table

import (
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
)

// The memory of a table as it is, for code that saves it and reads it back (package state). Rows,
// heap and blocks refer to each other by places, not by addresses, so they mean the same anywhere.
// What the methods return is valid as long as the table, must not be changed, and does not change
// while the table is frozen.

// RowBytes returns the bytes of a row, padding included.
func (t *Table) RowBytes() int { return int(t.rowBytes) }

// RawRows returns n rows from row first on, one after the other: the words of the key, the words of
// the states, padding.
func (t *Table) RawRows(first, n int) []byte {
	return t.bytes((first+1)*int(t.rowBytes), n*int(t.rowBytes))
}

// RawBlocks returns the lines of the blocks in use, from line 0 on, which belongs to no block. It
// is nil if the states have no blocks or none is in use.
func (t *Table) RawBlocks() []byte {
	if t.side == nil || t.side.blocks.Lines() <= 1 {
		return nil
	}
	// The slice is in bounds: the region has at least the lines in use.
	return unsafe.Slice((*byte)(t.side.lines.Base()), t.side.blocks.Lines()*agg.LineBytes)
}
