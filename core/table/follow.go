package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/prefetch"
)

// # Twins
//
// A partition has several tables of the same groups. One of them is live: records go there. When an
// epoch has come, the live table becomes an image, which is read and not changed. Another table
// that is not being read any more catches up and becomes the live one: it copies what it lacks from
// the image. Rows have the same numbers in all twins, because rows are added one after the other
// and never removed. So catching up means copying memory: the lines that were touched; the new
// rows, which are also put into the index; and the new bytes of long strings.
//
// The live table notes which lines of its rows are touched, with one bit for each line. A table
// whose rows take little memory is copied whole and notes nothing.

const (
	// lineBytes is the unit of what is noted and copied. Most rows are one line.
	lineBytes = 1 << lineShift
	lineShift = 6

	// wholeBytes is the size up to which the rows of a table are copied whole, which takes some
	// microseconds.
	wholeBytes = 64 << 10
)

// Twins is what the tables of one partition share. It charges memory for several tables as soon as
// one of them has it, so that an image does not fail for lack of memory.
type Twins struct {
	tables                                    int
	rows, index, heap, touched, blocks, noted *arena.Share
}

// NewTwins makes Twins for that many tables, charged to a budget.
func NewTwins(budget *arena.Budget, tables int) *Twins {
	share := func() *arena.Share { return arena.NewShare(budget, tables) }
	return &Twins{tables, share(), share(), share(), share(), share(), share()}
}

// twin is what a table knows of its twins.
type twin struct {
	tracks  bool          // the table is live and notes which of its lines are touched
	all     bool          // everything may have changed since the table was last equal to its twin
	touched *arena.Region // a bit for each line, in words; nil if the table has no twins
	marks   unsafe.Pointer

	// The next fields are used while the table catches up. old is the number of rows that it had
	// before, next is the word of notes to go on with, wholeIndex says that the whole index is
	// copied, and indexed is how many bytes of it have been copied.
	old, next  int
	wholeIndex bool
	indexed    int
}

// touch notes the lines in which some rows begin.
func (t *Table) touch(places []uint64) {
	// The accesses are in bounds: noteRoom has made a bit for each line of the rows that there is
	// room for.
	marks := t.marks
	for _, at := range places {
		line := at >> lineShift
		*(*uint8)(unsafe.Add(marks, line>>3)) |= 1 << (line & 7)
	}
}

// noteWords returns how many words note the lines of that many rows, including row 0 in front of
// them.
func (t *Table) noteWords(rows int) int {
	lines := ((rows+1)*int(t.rowBytes) + lineBytes - 1) >> lineShift
	return (lines + 63) >> 6
}

// noteRoom makes room to note the lines of that many rows.
func (t *Table) noteRoom(rows int) error {
	err := t.touched.Grow(8 * t.noteWords(rows))
	t.marks = t.touched.Base()
	return err
}

// noted returns the first words of the notes, or fewer if there are fewer.
func (t *Table) noted(words int) []uint64 {
	return unsafe.Slice((*uint64)(t.marks), min(words, t.touched.Len()/8))
}

// Live makes the table the one that records go to. The table must have caught up.
func (t *Table) Live() {
	t.tracks = t.touched != nil && t.used*int(t.rowBytes) > wholeBytes
	t.trackRoom()
	if t.side != nil {
		t.side.live()
	}
}

// trackRoom makes room to note what is touched. If there is no memory for that, nothing is noted,
// and twins copy everything.
func (t *Table) trackRoom() { t.tracks = t.tracks && t.noteRoom(t.room) == nil }

// Tell tells a twin what has been touched since Live, which the twin lacks. Each twin is told
// before Freeze.
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

// Freeze ends what Live has begun: the table takes no more records.
func (t *Table) Freeze() {
	if t.tracks {
		clear(t.noted(t.noteWords(t.used)))
	}
	t.tracks = false
	if t.side != nil {
		t.side.freeze()
	}
}

// Follow begins to catch up with a twin that is frozen. The error says that there is no memory for
// it; nothing has changed then.
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
	// CatchUp will need all of it, so the pages come one after the other while it copies.
	t.rows.Prepare((from.used + 1) * int(t.rowBytes))
	if from.buckets.count > 0 {
		t.buckets.region.Prepare(from.indexBytes())
	}
	if t.side != nil {
		t.side.lines.Prepare(from.side.blocks.Lines() * agg.LineBytes)
	}
	t.base = t.rows.Base()
	// Live makes room to note that many rows before anything is added.
	t.room = min(t.rows.Len()/int(t.rowBytes)-1, t.most)
	t.old, t.next, t.indexed = t.used, 0, 0
	t.wholeIndex = (from.used-t.used)*insertCost > from.indexBytes()
	return nil
}

// insertCost is how many bytes of an index can be copied in the time that it takes to put one row
// into it.
const insertCost = 400

// Prepare makes memory ready for the table to follow live later. Other goroutines may read the
// table meanwhile.
func (t *Table) Prepare(live *Table) {
	t.rows.Match(live.rows)
	t.buckets.region.Match(live.buckets.region)
	if t.side != nil {
		t.side.lines.Match(live.side.lines)
	}
}

// indexBytes returns the size of the index in bytes.
func (t *Table) indexBytes() int {
	if t.buckets.count > 0 {
		return indexBytes(t.buckets.count)
	}
	return 4 * len(t.near.slots)
}

// copyIndex copies up to about most bytes of the index and returns how many.
func (t *Table) copyIndex(from *Table, most int) (copied int) {
	if from.buckets.count == 0 {
		t.near.resize(len(from.near.slots))
		t.indexed = 4 * copy(t.near.slots, from.near.slots)
		return t.indexed
	}
	x := &t.buckets
	x.base = x.region.Base()
	n := min(most, from.indexBytes()-t.indexed)
	// The copy is in bounds: Follow has made the region as long as the other.
	copy(unsafe.Slice((*byte)(unsafe.Add(x.base, t.indexed)), n),
		unsafe.Slice((*byte)(unsafe.Add(from.buckets.base, t.indexed)), n))
	t.indexed += n
	if t.indexed == from.indexBytes() {
		y := &from.buckets
		x.count, x.shift, x.used, x.split, x.seen = y.count, y.shift, y.used, y.split, y.seen
	}
	return n
}

// CatchUp copies up to about most bytes of what the table lacks, and returns how many. done says
// that it lacks nothing any more. It copies less if the memory for it is not ready. A row that is
// put into the index counts as insertCost more bytes.
func (t *Table) CatchUp(from *Table, most int) (copied int, done bool, err error) {
	if n := min(from.heapUsed-t.heapUsed, most); n > 0 {
		t.heapUsed += n
		copy(t.Heap()[t.heapUsed-n:], from.Heap()[t.heapUsed-n:t.heapUsed])
		copied += n
		if copied >= most {
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
		copied += n * int(t.rowBytes)
		if copied >= most {
			return copied, false, nil
		}
	}
	for t.wholeIndex && t.indexed < from.indexBytes() {
		if !t.buckets.region.Ready(min(from.indexBytes(), t.indexed+most)) {
			return copied, false, nil
		}
		copied += t.copyIndex(from, most-copied)
		if copied >= most {
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
		copied += n * (int(t.rowBytes) + insertCost)
		if copied >= most {
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
		copied += n
		if !done {
			return copied, false, nil
		}
	}
	if t.touched != nil {
		notes := t.noted(t.noteWords(t.used)) // the notes on new rows stay
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
		t.buckets.insert(t.buckets.home(hash), hash, uint32(t.used))
	}
}

// copyNoted copies the lines that are noted in the next words, up to about most bytes, and clears
// those notes. It returns how many bytes it has copied.
func (t *Table) copyNoted(from *Table, end, most int) (copied int) {
	const wordBytes = 64 << lineShift // bytes of rows that one word of notes stands for
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
	// A run of lines of which many are noted is one copy. A long copy bypasses the caches.
	for least := runBegins; t.next < end && bits.OnesCount64(notes[t.next]) >= least &&
		(t.next-first)*wordBytes < most; least = runGoesOn {
		notes[t.next] = 0
		t.next++
	}
	if n := min(t.next*wordBytes+int(t.rowBytes), rowsEnd) - first*wordBytes; t.next > first {
		// A row that begins in the last line may end after it.
		copy(t.bytes(first*wordBytes, n), from.bytes(first*wordBytes, n))
		return n
	}
	// Otherwise copy line by line. The next lines are prefetched while the present ones are copied.
	var now, next lines
	t.gather(notes, &now, rowsEnd)
	for now.n > 0 {
		prefetch.Each(from.base, now.at[:now.n])
		prefetch.Each(t.base, now.at[:now.n])
		next.n = 0
		if copied+now.n<<lineShift < most {
			t.gather(notes, &next, rowsEnd)
		}
		t.copyLines(from, now.at[:now.n], rowsEnd)
		copied += now.n << lineShift
		now, next = next, now
	}
	return copied
}

// runBegins is how many lines of 64 must be noted for copying all 64 together to begin to pay, and
// runGoesOn is how many must be noted for it to go on. When lines are copied one by one, each comes
// from memory, and so does the first line of a run (BenchmarkCatchUp).
const (
	runBegins = 12
	runGoesOn = 4
)

// lines holds the places of some lines.
type lines struct {
	at [128]uint64
	n  int
}

// gather takes lines out of the notes until it has enough, or until a run begins. It leaves out
// lines of new rows, which lie at rowsEnd or after it: they have been copied.
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

// copyLines copies some lines. If a row begins in a line and ends after it, its end is copied too.
func (t *Table) copyLines(from *Table, places []uint64, rowsEnd int) {
	if t.rowBytes > lineBytes || rowsEnd&(lineBytes-1) != 0 {
		for _, at := range places {
			n := min(lineBytes+int(t.rowBytes), rowsEnd-int(at))
			copy(t.bytes(int(at), n), from.bytes(int(at), n))
		}
		return
	}
	for _, at := range places {
		// The access is in bounds: the line lies before the end of the rows, which is the end of a
		// line.
		*(*[lineBytes / 8]uint64)(unsafe.Add(t.base, at)) = *(*[lineBytes / 8]uint64)(unsafe.Add(from.base, at))
	}
}

// bytes returns n bytes of the rows. The slice is in bounds: there is room for these rows.
func (t *Table) bytes(at, n int) []byte { return unsafe.Slice((*byte)(unsafe.Add(t.base, at)), n) }
