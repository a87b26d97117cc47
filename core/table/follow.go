package table

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/velo-engine/velo/internal/arena"
)

// # Twins
//
// A partition has several tables of the same groups. One is live: records go there. When an epoch has come the live one becomes an image, which is
// read and not changed, and another, that nobody reads any more, becomes the live one after it has caught up: what it lacks is copied from
// the image. The rows of twins have the same numbers, since rows are made one behind the other and never taken out, so catching up is copying
// memory: the blocks that were touched, in runs; the rows that are new, which are put into the index too; the bytes of long strings behind
// those that are there.
//
// The live table notes the blocks that it is touched in, a byte for each: a store per record, while a bit would be a load and a store. A table
// whose rows take little is copied whole, and notes nothing.

const (
	// blockBytes is the grain of what is noted and copied: copying eight rows of a line each takes little longer than one.
	blockBytes = 1 << blockShift
	blockShift = 9

	// wholeBytes is up to where the rows of a table are copied whole: some microseconds' worth.
	wholeBytes = 64 << 10
)

// A Twins is what the tables of one partition have in common: memory that is charged for several of them as soon as one has it, so that an
// image does not fail for lack of memory.
type Twins struct{ rows, index, heap, touched *arena.Share }

// NewTwins is for so many tables, charged to a budget.
func NewTwins(budget *arena.Budget, tables int) *Twins {
	return &Twins{arena.NewShare(budget, tables), arena.NewShare(budget, tables), arena.NewShare(budget, tables), arena.NewShare(budget, tables)}
}

// twin is what a table knows of its twins.
type twin struct {
	tracks  bool          // the table is live and notes the blocks it is touched in
	all     bool          // everything may have changed since it was in step
	touched *arena.Region // a byte for each block; nil where the table has no twins
	marks   unsafe.Pointer

	old, next int // while it catches up: rows that it had before, and the block to copy next
}

// touch notes the blocks of some rows.
func (t *Table) touch(places []uint64) {
	// In bounds: noteRoom has made a byte for each block of the rows that there is room for.
	marks := t.marks
	for _, at := range places {
		*(*uint8)(unsafe.Add(marks, at>>blockShift)) = 1
	}
}

// blocks is how many blocks some rows lie in, row 0 in front of them included.
func (t *Table) blocks(rows int) int {
	return ((rows+1)*int(t.rowBytes) + blockBytes - 1) >> blockShift
}

// noteRoom makes room to note the blocks of so many rows.
func (t *Table) noteRoom(rows int) error {
	err := t.touched.Grow((t.blocks(rows) + 7) &^ 7) // whole words, see or and nextTouched
	t.marks = t.touched.Base()
	return err
}

// noted are the notes on so many blocks, and on some behind them to the word.
func (t *Table) noted(blocks int) []byte {
	return unsafe.Slice((*byte)(t.marks), min((blocks+7)&^7, t.touched.Len()))
}

// Live makes the table, which is in step, the one that records go to.
func (t *Table) Live() {
	t.tracks = t.touched != nil && t.used*int(t.rowBytes) > wholeBytes
	t.trackRoom()
}

// trackRoom makes room to note what is touched. Where there is no memory for that nothing is noted, and twins copy everything.
func (t *Table) trackRoom() { t.tracks = t.tracks && t.noteRoom(t.room) == nil }

// Freeze ends that; others are the twins, which from now on lack what has been touched since Live.
func (t *Table) Freeze(others func(yield func(*Table) bool)) {
	for other := range others {
		if !t.tracks || other.all || other.noteRoom(t.used) != nil {
			other.all = true
			continue
		}
		or(other.noted(t.blocks(t.used)), t.noted(t.blocks(t.used)))
	}
	if t.tracks {
		clear(t.noted(t.blocks(t.used)))
	}
	t.tracks = false
}

// or notes in to what is noted in from. Both are whole words.
func or(to, from []byte) {
	for i := 0; i+8 <= len(from); i += 8 {
		if w := binary.NativeEndian.Uint64(from[i:]); w != 0 {
			binary.NativeEndian.PutUint64(to[i:], binary.NativeEndian.Uint64(to[i:])|w)
		}
	}
}

// Follow begins to catch up with a twin that is frozen. The error says that there is no memory for it; nothing has changed then.
func (t *Table) Follow(from *Table) error {
	if err := t.rows.Grow((from.used + 1) * int(t.rowBytes)); err != nil {
		return fmt.Errorf("table: a twin of %d groups: %w", from.used, err)
	}
	if err := t.buckets.region.Grow(from.buckets.region.Len()); err != nil {
		return fmt.Errorf("table: the index of a twin of %d groups: %w", from.used, err)
	}
	if t.heap != nil {
		if err := t.heap.Grow(from.heapUsed); err != nil {
			return fmt.Errorf("table: the long strings of a twin of %d groups: %w", from.used, err)
		}
	}
	t.base = t.rows.Base()
	t.old, t.next = t.used, 0
	return nil
}

// CatchUp copies up to about most bytes of what the table lacks, and says how many; done when it lacks nothing.
func (t *Table) CatchUp(from *Table, most int) (copied int, done bool, err error) {
	if n := min(from.heapUsed-t.heapUsed, most); n > 0 {
		t.heapUsed += n
		copy(t.Heap()[t.heapUsed-n:], from.Heap()[t.heapUsed-n:t.heapUsed])
		if copied += n; copied >= most {
			return copied, false, nil
		}
	}
	for t.used < from.used {
		n := min(from.used-t.used, newRowsAtOnce)
		t.reserve(n)
		if t.room-t.used < n {
			return copied, false, fmt.Errorf("table: a twin of %d groups: %w", from.used, t.err)
		}
		t.takeOver(from, n)
		if copied += n * int(t.rowBytes); copied >= most {
			return copied, false, nil
		}
	}
	for end := t.blocks(t.old); t.next < end; {
		first, last := t.next, end
		if !t.all {
			first, last = nextTouched(t.noted(end), first, end)
		}
		last = min(last, first+max(1, (most-copied)>>blockShift))
		if t.next = last; first == last {
			break
		}
		n := min((last<<blockShift)+int(t.rowBytes), (t.old+1)*int(t.rowBytes)) - first<<blockShift // a row that began in the last block may end behind it
		copy(t.bytes(first<<blockShift, n), from.bytes(first<<blockShift, n))
		if copied += n; copied >= most {
			return copied, false, nil
		}
	}
	if t.touched != nil && t.touched.Len() > 0 {
		clear(t.noted(t.blocks(t.old)))
	}
	t.all = false
	t.shed, t.err = from.shed, from.err
	return copied, true, nil
}

// newRowsAtOnce is how many new rows are copied and put into the index together.
const newRowsAtOnce = 64

// takeOver copies the next n rows and puts them into the index.
func (t *Table) takeOver(from *Table, n int) {
	begin := (t.used + 1) * int(t.rowBytes)
	copy(t.bytes(begin, n*int(t.rowBytes)), from.bytes(begin, n*int(t.rowBytes)))
	for range n {
		t.used++
		row := uint64(t.used)
		hash := t.keys.HashKey(t.row(row))
		if t.buckets.count > 0 {
			t.buckets.insert(hash, uint32(row))
		} else {
			t.near.insert(hash, uint32(row))
		}
	}
}

// bytes are n bytes of the rows. In bounds: of rows that there is room for.
func (t *Table) bytes(at, n int) []byte { return unsafe.Slice((*byte)(unsafe.Add(t.base, at)), n) }

// nextTouched is the next run of touched blocks among [from, end), empty where there is none.
func nextTouched(marks []byte, from, end int) (first, last int) {
	for first = from; first < end && marks[first] == 0; {
		if first&7 == 0 && binary.NativeEndian.Uint64(marks[first:]) == 0 {
			first += 8
		} else {
			first++
		}
	}
	first = min(first, end)
	for last = first; last < end && marks[last] != 0; last++ {
	}
	return first, last
}
