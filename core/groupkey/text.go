package groupkey

import (
	"encoding/binary"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// These functions make the words of strings. packShort handles the usual strings, eight at a time
// if it can, and leaves the others to packString.

// vectorBytes is how much of a column the assembly reads at once, from the beginning of a string.
const vectorBytes = 32

// encodeStrings writes the three words of each row.
func (l *Layout) encodeStrings(c *record.Column, from int, k *Keys, w int) {
	w0, w1, w2 := k.Words[w], k.Words[w+1], k.Words[w+2]
	n := len(w0)
	w1, w2 = w1[:n], w2[:n]
	views := c.Views[from : from+n]
	for _, i := range k.others[:packShort(views, c.Bytes, w0, w1, w2, k.others)] {
		if c.Null(from + int(i)) {
			continue // whatever its view says
		}
		v := views[i]
		s := c.Bytes[v.Off : uint64(v.Off)+uint64(v.Len)]
		w0[i], w1[i], w2[i] = packString(s, uint64(v.Off), &l.seeds)
		if len(s) > shortString {
			if k.Long == 0 {
				clear(k.LongBytes[:n])
			}
			k.Long++
			k.LongBytes[i] += uint64(v.Len)
		}
	}
	if c.Valid == nil {
		return
	}
	for i := range w0 {
		if c.Null(from + i) {
			w0[i], w1[i], w2[i] = 0, 0, stringNull<<56
		}
	}
}

// packShort writes the words of the usual strings, which are short and do not lie at the very end
// of their column. It writes the rows of the other strings to others and returns how many there
// are. others has room for vectorKeys more entries than there are views. The words that it writes
// for those rows mean nothing. A view may have any value.
func packShort(views []record.View, text []byte, w0, w1, w2 []uint64, others []uint32) (left int) {
	n := len(views)
	done := 0
	if have512 && len(text) >= vectorBytes {
		done = n &^ (vectorKeys - 1)
		if done > 0 {
			_, _, _, _ = w0[n-1], w1[n-1], w2[n-1], others[n+vectorKeys-1]
			left = packShort512(&packing{
				unsafe.SliceData(views), unsafe.SliceData(text), unsafe.SliceData(w0), unsafe.SliceData(w1),
				unsafe.SliceData(w2), unsafe.SliceData(others),
				done, uint64(len(text) - vectorBytes),
				[vectorKeys]uint32{0, 1, 2, 3, 4, 5, 6, 7},
			})
		}
	}
	return packShortGo(views, text, w0, w1, w2, others, done, left)
}

// packShortGo is packShort from row from on. It appends to the left entries that others has
// already.
func packShortGo(views []record.View, text []byte, w0, w1, w2 []uint64, others []uint32, from, left int) int {
	n := len(views)
	w0, w1, w2 = w0[:n], w1[:n], w2[:n]
	for i := from; i < n; i++ {
		v := views[i]
		off := uint64(v.Off)
		if v.Len > shortString || off+24 > uint64(len(text)) {
			others[left] = uint32(i)
			left++
			continue
		}
		p := text[off : off+24]
		m := &keepBytes[v.Len]
		w0[i] = binary.LittleEndian.Uint64(p) & m[0]
		w1[i] = binary.LittleEndian.Uint64(p[8:]) & m[1]
		w2[i] = binary.LittleEndian.Uint64(p[16:])&m[2] | uint64(v.Len)<<56
	}
	return left
}

// keepBytes are the masks that keep the first n bytes of three little-endian words.
var keepBytes = func() (m [shortString + 1][stringWords]uint64) {
	for n := range m {
		for i := range n {
			m[n][i/8] |= 0xff << (8 * (i % 8))
		}
	}
	return m
}()

// packString makes the three words of a string that lies at off of its heap. It is the twin of
// packShort for any string.
func packString(b []byte, off uint64, s *seeds) (w0, w1, w2 uint64) {
	if len(b) > shortString {
		return hashLong(b, s), PlaceLong(off, uint64(len(b))), stringLong << 56
	}
	var p [24]byte
	p[23] = byte(copy(p[:], b))
	return binary.LittleEndian.Uint64(p[:]), binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:])
}

// packing has what packShort512 works on. The assembly knows its layout.
type packing struct {
	views      *record.View
	text       *byte
	w0, w1, w2 *uint64
	others     *uint32
	n          int    // a multiple of vectorKeys, not 0
	last       uint64 // last place from which vectorBytes can be read
	first      [vectorKeys]uint32
}
