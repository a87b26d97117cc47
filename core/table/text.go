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

// compare3 is compare for three words of the keys, those from word w on. It leaves the numbers of
// the keys that differ in missed. In a row there is a word after the three.
func (t *Table) compare3(w int, words [][]uint64, off []uint64, missed []uint32) (misses int) {
	n := len(off)
	w0, w1, w2 := words[w][:n], words[w+1][:n], words[w+2][:n]
	missed = missed[:n+vectorKeys]
	base := unsafe.Add(t.base, 8*w)
	done := 0
	if have512 {
		done = n &^ (vectorKeys - 1)
		if done > 0 {
			misses = compare512(&probeKeys{
				unsafe.SliceData(off), unsafe.SliceData(w0), unsafe.SliceData(w1), unsafe.SliceData(w2),
				unsafe.SliceData(missed), base, done,
				[vectorKeys]uint32{0, 1, 2, 3, 4, 5, 6, 7},
			})
		}
	}
	// The accesses below are in bounds for the same reason as in compare.
	for i := done; i < n; i++ {
		key := (*[3]uint64)(unsafe.Add(base, off[i]))
		missed[misses] = uint32(i)
		if (key[0]^w0[i])|(key[1]^w1[i])|(key[2]^w2[i])|none(off[i]) != 0 {
			misses++
		}
	}
	return misses
}

// compareWide is compare for keys of more than three words, such as two texts. It takes three words
// at a time, and the rest one by one. Hardly any key differs, so it pays to join the lists.
func (t *Table) compareWide(words [][]uint64, off []uint64) (misses int) {
	misses = t.compare3(0, words, off, t.misses)
	w := 3
	for ; w+3 <= len(words) && w+3 < t.rowWords; w += 3 {
		misses = t.joinMisses(misses, t.compare3(w, words, off, t.more))
	}
	for ; w < len(words); w++ {
		column, more := words[w][:len(off)], 0
		for i, at := range off {
			t.more[more] = uint32(i)
			if *(*uint64)(unsafe.Add(t.base, at+uint64(8*w))) != column[i] {
				more++
			}
		}
		misses = t.joinMisses(misses, more)
	}
	return misses
}

// joinMisses adds to the first numbers of t.misses the first of t.more. Both are sorted, and so is
// the result.
func (t *Table) joinMisses(misses, more int) int {
	if more == 0 {
		return misses
	}
	a, b, all := t.misses[:misses], t.more[:more], t.joined[:0]
	for len(a) > 0 && len(b) > 0 {
		x, y := a[0], b[0]
		all = append(all, min(x, y))
		if x <= y {
			a = a[1:]
		}
		if y <= x {
			b = b[1:]
		}
	}
	all = append(append(all, a...), b...) // one of them is empty, and no number comes twice
	t.misses, t.joined = t.joined, t.misses
	return len(all)
}
