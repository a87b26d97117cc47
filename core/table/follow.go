package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/prefetch"
)

// # Twins
//
// A partition has several tables of the same groups. One is live: records go there. When an epoch has come the live one becomes an image, which is
// read and not changed, and another, that nobody reads any more, becomes the live one after it has caught up: what it lacks is copied from
// the image. The rows of twins have the same numbers, since rows are made one behind the other and never taken out, so catching up is copying
// memory: the lines that were touched; the rows that are new, which are put into the index too; the bytes of long strings behind
// those that are there.
//
// The live table notes the lines of its rows that it is touched in, a bit for each. A table whose rows take little is copied whole, and notes
// nothing.

const (
	// lineBytes is the grain of what is noted and copied: most rows are one line.
	lineBytes = 1 << lineShift
	lineShift = 6

	// wholeBytes is up to where the rows of a table are copied whole: some microseconds' worth.
	wholeBytes = 64 << 10
)

// A Twins is what the tables of one partition have in common: memory that is charged for several of them as soon as one has it, so that an
// image does not fail for lack of memory.
type Twins struct {
	tables                                    int
	rows, index, heap, touched, blocks, noted *arena.Share
}

// NewTwins is for so many tables, charged to a budget.
func NewTwins(budget *arena.Budget, tables int) *Twins {
	share := func() *arena.Share { return arena.NewShare(budget, tables) }
	return &Twins{tables, share(), share(), share(), share(), share(), share()}
}

// twin is what a table knows of its twins.
type twin struct {
	tracks  bool          // the table is live and notes the lines it is touched in
	all     bool          // everything may have changed since it was in step
	touched *arena.Region // a bit for each line, in words; nil where the table has no twins
	marks   unsafe.Pointer

	// While it catches up: the rows that it had before, the word of notes to go on with, and whether the index is copied as a whole, up to where.
	old, next  int
	wholeIndex bool
	indexed    int
}

// touch notes the lines that some rows begin in.
func (t *Table) touch(places []uint64) {
	// In bounds: noteRoom has made a bit for each line of the rows that there is room for.
	marks := t.marks
	for _, at := range places {
		line := at >> lineShift
		*(*uint8)(unsafe.Add(marks, line>>3)) |= 1 << (line & 7)
	}
}

// noteWords is how many words note the lines of so many rows, row 0 in front of them included.
func (t *Table) noteWords(rows int) int {
	lines := ((rows+1)*int(t.rowBytes) + lineBytes - 1) >> lineShift
	return (lines + 63) >> 6
}

// noteRoom makes room to note the lines of so many rows.
func (t *Table) noteRoom(rows int) error {
	err := t.touched.Grow(8 * t.noteWords(rows))
	t.marks = t.touched.Base()
	return err
}

// noted are the first words of notes, as far as there are so many.
func (t *Table) noted(words int) []uint64 {
	return unsafe.Slice((*uint64)(t.marks), min(words, t.touched.Len()/8))
}

// Live makes the table, which is in step, the one that records go to.
func (t *Table) Live() {
	t.tracks = t.touched != nil && t.used*int(t.rowBytes) > wholeBytes
	t.trackRoom()
	if t.side != nil {
		t.side.live()
	}
}

// trackRoom makes room to note what is touched. Where there is no memory for that nothing is noted, and twins copy everything.
func (t *Table) trackRoom() { t.tracks = t.tracks && t.noteRoom(t.room) == nil }

// Tell has a twin know what has been touched since Live, which it lacks. Each twin is told before Freeze.
func (t *Table) Tell(twin *Table) {
	if !t.tracks || twin.all || twin.noteRoom(t.used) != nil {
		twin.all = true
	} else {
		notes := t.noted(t.noteWords(t.used))
		of := twin.noted(len(notes))
		for i, w := range notes {
			of[i] |= w
		}
	}
	if t.side != nil {
		t.side.tell(twin.side)
	}
}

// Freeze ends what Live has begun.
func (t *Table) Freeze() {
	if t.tracks {
		clear(t.noted(t.noteWords(t.used)))
	}
	t.tracks = false
	if t.side != nil {
		t.side.freeze()
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
	if t.side != nil {
		if err := t.side.follow(from.side); err != nil {
			return err
		}
	}
	t.base = t.rows.Base()
	t.room = min(t.rows.Len()/int(t.rowBytes)-1, t.most) // Live makes room to note so many, before anything is added
	t.old, t.next, t.indexed = t.used, 0, 0
	t.wholeIndex = (from.used-t.used)*insertCost > from.indexBytes()
	return nil
}

// insertCost is how many bytes of an index are copied in the time that one row takes to be put into it.
const insertCost = 400

// Prepare has memory made ready for the table to follow live, ahead of that. Others may read the table meanwhile.
func (t *Table) Prepare(live *Table) {
	t.rows.Match(live.rows)
	t.buckets.region.Match(live.buckets.region)
	if t.side != nil {
		t.side.lines.Match(live.side.lines)
	}
}

// indexBytes is the size of the index.
func (t *Table) indexBytes() int {
	if t.buckets.count > 0 {
		return indexBytes(t.buckets.count)
	}
	return 4 * len(t.near.slots)
}

// copyIndex copies up to about most bytes of the index.
func (t *Table) copyIndex(from *Table, most int) (copied int) {
	if from.buckets.count == 0 {
		t.near.resize(len(from.near.slots))
		t.indexed = 4 * copy(t.near.slots, from.near.slots)
		return t.indexed
	}
	x := &t.buckets
	x.base = x.region.Base()
	n := min(most, from.indexBytes()-t.indexed)
	// In bounds: Follow has made the region as long as the other.
	copy(unsafe.Slice((*byte)(unsafe.Add(x.base, t.indexed)), n), unsafe.Slice((*byte)(unsafe.Add(from.buckets.base, t.indexed)), n))
	if t.indexed += n; t.indexed == from.indexBytes() {
		x.count, x.shift, x.split, x.seen = from.buckets.count, from.buckets.shift, from.buckets.split, from.buckets.seen
	}
	return n
}

// CatchUp copies up to about most bytes of what the table lacks, and says how many; done when it lacks nothing. It copies less where the memory for it is not ready. A row that is put into the index
// counts as insertCost more.
func (t *Table) CatchUp(from *Table, most int) (copied int, done bool, err error) {
	if n := min(from.heapUsed-t.heapUsed, most); n > 0 {
		t.heapUsed += n
		copy(t.Heap()[t.heapUsed-n:], from.Heap()[t.heapUsed-n:t.heapUsed])
		if copied += n; copied >= most {
			return copied, false, nil
		}
	}
	for t.wholeIndex && t.used < from.used {
		n := min(from.used-t.used, max(1, (most-copied)/int(t.rowBytes)))
		begin := (t.used + 1) * int(t.rowBytes)
		if !t.rows.Ready(begin + n*int(t.rowBytes)) {
			return copied, false, nil
		}
		copy(t.bytes(begin, n*int(t.rowBytes)), from.bytes(begin, n*int(t.rowBytes)))
		t.used += n
		if copied += n * int(t.rowBytes); copied >= most {
			return copied, false, nil
		}
	}
	for t.wholeIndex && t.indexed < from.indexBytes() {
		if !t.buckets.region.Ready(min(from.indexBytes(), t.indexed+most)) {
			return copied, false, nil
		}
		if copied += t.copyIndex(from, most-copied); copied >= most {
			return copied, false, nil
		}
	}
	for t.used < from.used {
		n := min(from.used-t.used, newRowsAtOnce)
		if !t.Ready(n) {
			return copied, false, nil
		}
		t.reserve(n)
		if t.room-t.used < n {
			return copied, false, fmt.Errorf("table: a twin of %d groups: %w", from.used, t.err)
		}
		t.takeOver(from, n)
		if copied += n * (int(t.rowBytes) + insertCost); copied >= most {
			return copied, false, nil
		}
	}
	for end := t.noteWords(t.old); t.next < end && copied < most; {
		copied += t.copyNoted(from, end, most-copied)
	}
	if copied >= most {
		return copied, false, nil
	}
	if t.side != nil {
		n, done := t.side.catchUp(from.side, most-copied)
		if copied += n; !done {
			return copied, false, nil
		}
	}
	if t.touched != nil {
		notes := t.noted(t.noteWords(t.used)) // those on new rows are left
		clear(notes[min(t.next, len(notes)):])
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
	if t.buckets.count == 0 {
		for range n {
			t.used++
			t.near.insert(t.keys.HashKey(t.row(uint64(t.used))), uint32(t.used))
		}
		return
	}
	var hashes, places [newRowsAtOnce]uint64
	for i := range n {
		hashes[i] = t.keys.HashKey(t.row(uint64(t.used + 1 + i)))
		places[i] = t.buckets.home(hashes[i]) * bucketSize
	}
	prefetch.Each(t.buckets.base, places[:n])
	for _, hash := range hashes[:n] {
		t.used++
		t.buckets.insert(hash, uint32(t.used))
	}
}

// copyNoted copies what is noted in the next words, up to about most bytes, and forgets it. It returns how many bytes.
func (t *Table) copyNoted(from *Table, end, most int) (copied int) {
	const wordBytes = 64 << lineShift // what a word notes
	rowsEnd := (t.old + 1) * int(t.rowBytes)
	first := t.next
	if t.all {
		t.next = min(end, first+max(1, most/wordBytes))
		if t.touched != nil {
			clear(t.noted(t.next)[min(first, len(t.noted(t.next))):])
		}
		n := min(t.next*wordBytes, rowsEnd) - first*wordBytes
		copy(t.bytes(first*wordBytes, n), from.bytes(first*wordBytes, n))
		return n
	}
	notes := t.noted(end)
	// A run of lines many of which are noted is one copy; where it is long the copy passes by the caches.
	for least := runBegins; t.next < end && bits.OnesCount64(notes[t.next]) >= least && (t.next-first)*wordBytes < most; least = runGoesOn {
		notes[t.next] = 0
		t.next++
	}
	if n := min(t.next*wordBytes+int(t.rowBytes), rowsEnd) - first*wordBytes; t.next > first {
		copy(t.bytes(first*wordBytes, n), from.bytes(first*wordBytes, n)) // a row that begins in the last line may end behind it
		return n
	}
	// Else line by line: some are asked for while those before are copied.
	var now, next lines
	t.gather(notes, &now, rowsEnd)
	for now.n > 0 {
		prefetch.Each(from.base, now.at[:now.n])
		prefetch.Each(t.base, now.at[:now.n])
		if next.n = 0; copied+now.n<<lineShift < most {
			t.gather(notes, &next, rowsEnd)
		}
		t.copyLines(from, now.at[:now.n], rowsEnd)
		copied += now.n << lineShift
		now, next = next, now
	}
	return copied
}

// How many lines of 64 are noted where copying all of them together begins to pay, and where it goes on: one by one each line comes from memory, and so does the first of a run (BenchmarkCatchUp).
const (
	runBegins = 12
	runGoesOn = 4
)

// lines are the places of some lines.
type lines struct {
	at [128]uint64
	n  int
}

// gather takes lines out of the notes, until there are some, or where a run begins. Those of new rows, behind the end, have been copied.
func (t *Table) gather(notes []uint64, l *lines, rowsEnd int) {
	for t.next < len(notes) && l.n <= len(l.at)-64 && bits.OnesCount64(notes[t.next]) < runBegins {
		for w := notes[t.next]; w != 0; w &= w - 1 {
			l.at[l.n] = uint64(t.next<<6|bits.TrailingZeros64(w)) << lineShift
			if l.at[l.n] < uint64(rowsEnd) {
				l.n++
			}
		}
		notes[t.next] = 0
		t.next++
	}
}

// copyLines copies some lines, and where a row begins in one and ends behind it, that too.
func (t *Table) copyLines(from *Table, places []uint64, rowsEnd int) {
	if t.rowBytes > lineBytes || rowsEnd&(lineBytes-1) != 0 {
		for _, at := range places {
			n := min(lineBytes+int(t.rowBytes), rowsEnd-int(at))
			copy(t.bytes(int(at), n), from.bytes(int(at), n))
		}
		return
	}
	for _, at := range places {
		// In bounds: the line lies before the end of the rows, which is the end of a line.
		*(*[lineBytes / 8]uint64)(unsafe.Add(t.base, at)) = *(*[lineBytes / 8]uint64)(unsafe.Add(from.base, at))
	}
}

// bytes are n bytes of the rows. In bounds: of rows that there is room for.
func (t *Table) bytes(at, n int) []byte { return unsafe.Slice((*byte)(unsafe.Add(t.base, at)), n) }
