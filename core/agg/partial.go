package agg

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// partialVersion is the first byte of every partial state. It changes whenever the words of any
// state change.
const partialVersion = 2

// AppendPartial appends a state of f, whose block is in blocks, as bytes: the version, the number
// of words, the words in little-endian order, and the bytes of the block.
func AppendPartial(f Func, to []byte, state []uint64, blocks *Blocks) []byte {
	to = append(to, partialVersion, byte(f.Words()))
	for _, w := range state[:f.Words()] {
		to = binary.LittleEndian.AppendUint64(to, w)
	}
	if place := BlockOf(f, state); place != nil {
		to = append(to, blocks.Bytes(*place)...)
	}
	return to
}

// BlockOf returns the word of a state that has the place of its block, or nil if the state has no
// block.
func BlockOf(f Func, state []uint64) *uint64 {
	if s, ok := f.(Sided); ok {
		return s.Blocks(state)
	}
	return nil
}

// MergePartial adds the partial state at the beginning of partial to state, and returns the rest of
// the bytes. The error says that the bytes are cut off, or belong to another version or another
// function. Then state is unchanged.
func MergePartial(f Func, state []uint64, blocks *Blocks, partial []byte) (rest []byte, err error) {
	if len(partial) < 2 {
		return nil, fmt.Errorf("agg: partial state of %d bytes, expected at least 2", len(partial))
	}
	if partial[0] != partialVersion {
		return nil, fmt.Errorf("agg: partial state of version %d, expected %d", partial[0], partialVersion)
	}
	n := f.Words()
	if int(partial[1]) != n {
		return nil, fmt.Errorf("agg: partial state of %d words, expected %d", partial[1], n)
	}
	partial = partial[2:]
	if len(partial) < 8*n {
		return nil, fmt.Errorf("agg: partial state cut off after %d of %d bytes", len(partial), 8*n)
	}
	from := make([]uint64, n)
	for i := range from {
		from[i] = binary.LittleEndian.Uint64(partial[8*i:])
	}
	partial = partial[8*n:]
	place := BlockOf(f, from)
	if place == nil {
		f.Merge(state, from, blocks, nil)
		return partial, nil
	}
	size := blockLen(*place)
	if len(partial) < size {
		return nil, fmt.Errorf("agg: partial state cut off after %d of the %d bytes of its block", len(partial), size)
	}
	// A line comes first, because there is no block 0.
	block := make([]uint64, LineBytes/8+(size+7)/8)
	for i, c := range partial[:size] {
		block[LineBytes/8+i/8] |= uint64(c) << (i % 8 * 8)
	}
	*place = PlaceBlock(1, size)
	of := Lent(unsafe.Pointer(&block[0]))
	f.Merge(state, from, blocks, &of)
	return partial[size:], nil
}
