package agg

import (
	"encoding/binary"
	"fmt"
)

// partialVersion is the first byte of every partial state. It changes whenever the words of any state do.
const partialVersion = 1

// AppendPartial appends a state of f as bytes: the version, the number of words, the words in little-endian order.
func AppendPartial(f Func, to []byte, state []uint64) []byte {
	to = append(to, partialVersion, byte(f.Words()))
	for _, w := range state[:f.Words()] {
		to = binary.LittleEndian.AppendUint64(to, w)
	}
	return to
}

// MergePartial adds the partial state that partial begins with to state and returns what is behind it. The error says
// that the bytes are cut off, of another version or of another function; state is unchanged then.
func MergePartial(f Func, state []uint64, partial []byte) (rest []byte, err error) {
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
	f.Merge(state, from)
	return partial[8*n:], nil
}
