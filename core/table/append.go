package table

import (
	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/internal/prefetch"
)

// Append adds some rows of another table, with their states, whose keys this table has not. rows
// has rows one after the other as RawRows returns them. words and hashes have the key of each, as
// FindOrCreate takes them, and which has the numbers of the rows to add, in ascending order. Blocks
// of their states still lie in the other table: see agg.Adopt. heap has the long strings. off
// receives the place of each row that was added; it has room for all of them. Rows that find no
// room are left out and counted: see Shed.
//
// It is the twin of FindOrCreate and a merge, for keys that are known to be new: nothing has to be
// looked for, and a row is copied in one go.
func (t *Table) Append(rows []byte, which []uint32, hashes []uint64, words [][]uint64, heap []byte,
	off []uint64,
) agg.Rows {
	t.reserve(len(which))
	added := min(len(which), t.room-t.used)
	t.appendCheck(which[:added], hashes, words, heap)
	if t.heap != nil {
		added = t.appendLong(rows, which[:added], words, heap)
	} else {
		t.appendRows(rows, which[:added])
	}
	t.shed += uint64(len(which) - added)
	off = off[:added]
	for i := range off {
		off[i] = uint64(t.used+1+i) * t.rowBytes
	}
	t.appendIndex(which[:added], hashes)
	t.check()
	return agg.Rows{Base: t.base, Off: off, Blocks: t.Blocks()}
}

// appendCheck panics if the table has one of the keys, if invariants are on.
func (t *Table) appendCheck(which []uint32, hashes []uint64, words [][]uint64, heap []byte) {
	if !invariants.Enabled {
		return
	}
	for _, from := range which {
		for w := range t.key {
			t.key[w] = words[w][from]
		}
		holds(t.find(hashes[from], t.key, heap) == 0, "a row is appended whose key is not there")
	}
}

// appendRows copies rows to the end. There is room for them.
func (t *Table) appendRows(rows []byte, which []uint32) {
	size := int(t.rowBytes)
	to := t.bytes((t.used+1)*size, len(which)*size)
	if len(rows) == len(to) {
		copy(to, rows)
		return
	}
	for i, from := range which {
		copy(to[i*size:(i+1)*size], rows[int(from)*size:])
	}
}

// appendLong is appendRows for keys that may have long strings, which it copies into the heap. It
// returns how many rows found room there.
func (t *Table) appendLong(rows []byte, which []uint32, words [][]uint64, heap []byte) (added int) {
	for i, from := range which {
		for w := range t.key {
			t.key[w] = words[w][from]
		}
		if !t.heapRoom(t.key) {
			return i
		}
		at := (t.used + 1 + i) * int(t.rowBytes)
		copy(t.bytes(at, int(t.rowBytes)), rows[int(from)*int(t.rowBytes):])
		t.setKey(t.row(uint64(t.used+1+i)), t.key, heap)
	}
	return len(which)
}

// indexAhead is how many rows before it is needed a bucket is prefetched.
const indexAhead = 16

// appendIndex puts rows that have been copied to the end into the index.
func (t *Table) appendIndex(which []uint32, hashes []uint64) {
	x := &t.buckets
	if x.count == 0 {
		for _, from := range which {
			t.used++
			t.near.insert(hashes[from], uint32(t.used))
		}
		return
	}
	var places [indexAhead]uint64
	next := which[:min(len(which), indexAhead)]
	for len(which) > 0 {
		now := next
		which = which[len(now):]
		next = which[:min(len(which), indexAhead)]
		for i, from := range next {
			places[i] = x.home(hashes[from]) * bucketSize
		}
		prefetch.Each(x.base, places[:len(next)])
		for _, from := range now {
			t.used++
			hash := hashes[from]
			home := x.home(hash)
			bk := x.at(home)
			if n := bk.len(); n < bucketRows {
				bk.set(n, tagOf(hash), x.turnsOf(hash), uint32(t.used))
				continue
			}
			x.insert(home, hash, uint32(t.used))
		}
	}
}
