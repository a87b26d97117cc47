package table

import "unsafe"

// vectorKeys is how many keys compare512 compares at a time.
const vectorKeys = 8

// probeKeys is what compare512 works on. The assembly knows its layout.
type probeKeys struct {
	off, w0, w1, w2 *uint64
	missed          *uint32 // has room for vectorKeys more than there are keys
	rows            unsafe.Pointer
	n               int // a multiple of vectorKeys; not 0
	first           [vectorKeys]uint32
}

// compare3 is compare for keys of three words, such as a text.
func (t *Table) compare3(words [][]uint64, off []uint64) (misses int) {
	n := len(off)
	w0, w1, w2 := words[0][:n], words[1][:n], words[2][:n]
	missed := t.misses[:n+vectorKeys]
	done := 0
	if have512 {
		done = n &^ (vectorKeys - 1)
		if done > 0 {
			misses = compare512(&probeKeys{
				unsafe.SliceData(off), unsafe.SliceData(w0), unsafe.SliceData(w1), unsafe.SliceData(w2),
				unsafe.SliceData(missed), t.base, done,
				[vectorKeys]uint32{0, 1, 2, 3, 4, 5, 6, 7},
			})
		}
	}
	// The accesses below are in bounds for the same reason as in compare.
	base := t.base
	for i := done; i < n; i++ {
		key := (*[3]uint64)(unsafe.Add(base, off[i]))
		missed[misses] = uint32(i)
		if (key[0]^w0[i])|(key[1]^w1[i])|(key[2]^w2[i])|none(off[i]) != 0 {
			misses++
		}
	}
	return misses
}
