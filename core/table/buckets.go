package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/internal/arena"
)

const (
	// bucketRows is how many rows a bucket has room for.
	bucketRows = 10
	bucketSize = 64

	// firstBuckets is the number of buckets when a table has become too large for a near index.
	firstBuckets = 1 << 10

	// A table with more than splitLoad groups for each bucket begins to double the number of
	// buckets. It splits one bucket for every splitEach new groups, so that it has finished when
	// there are 7 groups for each bucket. If buckets have 7 rows on average, one in ten is full (a
	// Poisson distribution). That is few enough that probes end in the first bucket.
	splitLoad = 5
	splitEach = 2

	// readyLoad is the load from which on the memory for doubling is made ready.
	readyLoad = 4

	// splitLeast is how many buckets are split at a time at least, so that doubling ends even if no
	// new groups come. splitBatch is how many buckets have their rows prefetched together.
	splitLeast = 16
	splitBatch = 32

	// spareBuckets lie after the last bucket and take what overflows from it.
	spareBuckets = 16
)

// A bucket is a line of the index: the tags of up to bucketRows rows, the turns that their keys
// take at the next doublings, and the numbers of the rows. It is filled from the front. A tag of 0
// marks a free place. The assembly knows its layout.
type bucket struct {
	tags  [bucketRows]uint16
	turns uint32 // turnBits for each row
	rows  [bucketRows]uint32
}

// turnBits is how many doublings a bucket knows the turns for.
const turnBits = 3

var _ [bucketSize]byte = [unsafe.Sizeof(bucket{})]byte{}

// buckets is the index of a large table. The home of a key is the bucket that the bits of its hash
// after the shard choose. If that is full, the row is in the next bucket that is not, so a search
// ends at a bucket that is not full. A tag is 15 other bits of the hash: one key in some thousands
// is compared with a row that is not its own.
//
// # Growth
//
// The number of buckets doubles in place, a few buckets at a time, from the last to the first.
// Bucket b becomes 2b and 2b+1, which are empty because everything after b has moved. The buckets
// below `split` have not been split yet; a key whose home is among them is looked up at its old
// home. Rows that overflowed go with the bucket that they come from: a split always takes a run of
// buckets that comes right after a bucket that is not full. Memory need not be zero before a split
// writes to it, so a table that was reset need not be cleared.
//
// Which of the two a row goes to is one more bit of its hash, its turn. A bucket has the turns of
// three doublings, so two doublings in three look at no row: they copy one bucket to two, in the
// order in which these lie in memory. The third computes the hashes again from the keys, and with
// them the next three turns. A row that may have overflowed, which is one after a full bucket,
// tells its home by its hash alone.
type buckets struct {
	region *arena.Region
	base   unsafe.Pointer
	count  uint64 // a power of two; 0 while the table is small
	shift  uint   // home: hash << shardBits >> shift
	used   uint   // how many of the turns in the buckets count buckets have used up
	split  uint64 // homes below split, counted in half as many buckets, have not been split
	seen   int    // number of groups when buckets were split last

	unsure []uint64 // scratch of splitRuns: the places of the rows that have to be hashed
}

// bucketBytes returns how many bytes the index of that many groups takes at most.
func bucketBytes(groups int) int {
	n := firstBuckets
	for n*splitLoad < groups {
		n *= 2
	}
	return indexBytes(uint64(n))
}

// indexBytes returns the size in bytes of count buckets, the spare ones, and one more that findTags
// may read after them.
func indexBytes(count uint64) int { return int(count+spareBuckets+1) * bucketSize }

// tagOf returns a tag that is not 0. It uses bits of the hash that choose no place: a home takes at
// most 28 bits after those of the shard. The lowest bits are left out because they are less evenly
// distributed than the others.
//
//gcassert:inline
func tagOf(hash uint64) uint16 { return uint16(hash>>12) | 1 }

// turnsOf returns the turns that the key of a hash takes at the doublings that the buckets know.
func (x *buckets) turnsOf(hash uint64) uint32 {
	return uint32(hash << shardBits << ((64 - x.shift - x.used) & 63) >> (64 - turnBits))
}

// home returns the bucket at which a search begins. There is no branch on whether it has been
// split: in the middle of a doubling, nobody could predict it.
//
//gcassert:inline
func (x *buckets) home(hash uint64) uint64 {
	b := hash << shardBits >> (x.shift & 63)
	_, unsplit := bits.Sub64(b>>1, x.split, 0)
	return b >> (unsplit & 63)
}

// at returns bucket b. The access is in bounds: homes are below count, and no search passes the
// spare buckets (see insert).
func (x *buckets) at(b uint64) *bucket { return (*bucket)(unsafe.Add(x.base, b*bucketSize)) }

// len returns how many rows a bucket has. It does so without a branch, because nobody could predict
// it: the lowest bit of every tag but 0 is set, so it counts those bits in the words that have the
// tags.
func (b *bucket) len() int {
	const ones = 0x0001_0001_0001_0001
	words := (*[3]uint64)(unsafe.Pointer(b)) // the tags and four bytes after them
	return bits.OnesCount64(words[0]&ones) + bits.OnesCount64(words[1]&ones) + bits.OnesCount64(words[2]&(ones>>32))
}

// set puts a row into place n, which is free.
func (b *bucket) set(n int, tag uint16, turns, row uint32) {
	b.tags[n], b.rows[n] = tag, row
	b.turns |= turns << (turnBits * n & 31)
}

// matches returns a bit for each place that has a tag, which must not be 0. Nobody could predict
// how many tags come before it, so there is no branch on any of them: four tags are compared in a
// word.
func (b *bucket) matches(tag uint16) uint64 {
	const most = 0x7fff_7fff_7fff_7fff // what a lane has without its highest bit
	all := uint64(tag) * 0x0001_0001_0001_0001
	words := (*[3]uint64)(unsafe.Pointer(b)) // the tags and four bytes after them
	x, y, z := words[0]^all, words[1]^all, uint64(uint32(words[2]^all))|^uint64(1<<32-1)
	// The highest bit of a lane becomes 0 if the lane is 0.
	x, y, z = x&most+most|x|most, y&most+most|y|most, z&most+most|z|most
	return ^x>>3 | ^y>>2 | ^z>>1
}

// firstMatch returns the first place that matches has found; there must be one. Place 4w+l has bit
// 16l+12+w.
func firstMatch(matches uint64) int {
	bit := bits.TrailingZeros64(matches)
	return bit>>4 | (bit&15-12)<<2
}

// isFull says whether a search goes on after bucket b.
func (b *bucket) isFull() bool { return b.tags[bucketRows-1] != 0 }

// probeTags is what findTags works on. The assembly knows its layout.
type probeTags struct {
	hashes, off   *uint64
	n             int
	buckets, rows unsafe.Pointer
	shift, split  uint64
	rowBytes      uint64
}

// first fills off with the place of the row whose tag each hash finds in its home, or of row 0 if
// it finds none. The lines of the buckets are prefetched 64 keys ahead, which is as long as a line
// takes to come from memory. The lines of the rows are prefetched as soon as they are known. They
// go into the second-level cache, which can wait for twice as many lines as the first and has room
// for a whole stripe.
func (x *buckets) first(t *Table, hashes, off []uint64) {
	if haveAVX2 {
		findTags(&probeTags{
			unsafe.SliceData(hashes), unsafe.SliceData(off), len(hashes), x.base, t.base, uint64(x.shift), x.split,
			t.rowBytes,
		})
		return
	}
	for i, h := range hashes {
		b := x.at(x.home(h))
		row := uint32(0)
		if m := b.matches(tagOf(h)); m != 0 {
			row = b.rows[firstMatch(m)]
		}
		off[i] = uint64(row) * t.rowBytes
	}
	t.prefetchRows(off)
}

// find finds the row of a key, and the bucket at which the search ended. The row is 0 if there is
// none; then put may begin at the bucket.
func (x *buckets) find(t *Table, hash uint64, key []uint64, heap []byte) (row, b uint64) {
	tag := tagOf(hash)
	for b = x.home(hash); ; b++ {
		bk := x.at(b)
		for m := bk.matches(tag); m != 0; m &= m - 1 {
			row = uint64(bk.rows[firstMatch(m)])
			if t.isKey(row, key, heap) {
				return row, b
			}
		}
		if !bk.isFull() {
			return 0, b
		}
	}
}

// insert adds a row whose key is not there to the first bucket from b on that is not full; b is the
// home of the hash, or the bucket at which a search for the key has ended.
func (x *buckets) insert(b, hash uint64, row uint32) {
	for ; b < x.count+spareBuckets; b++ {
		bk := x.at(b)
		if n := bk.len(); n < bucketRows {
			bk.set(n, tagOf(hash), x.turnsOf(hash), row)
			return
		}
	}
	// Hashes are as even as chance, and nobody outside knows their seeds. 160 rows too many at the
	// end of an index with 7 rows for each bucket have a chance of 1 in 10^40.
	panic(fmt.Sprintf("table: the last %d of %d buckets are full", spareBuckets, x.count))
}

// begin takes a table over from its near index, with room for that many groups.
func (x *buckets) begin(t *Table, groups int) {
	count := firstBuckets
	for count*splitLoad < groups {
		count *= 2
	}
	if !x.resize(t, uint64(count)) {
		return
	}
	x.split = 0
	clear(unsafe.Slice(x.at(0), x.count+spareBuckets))
	for r := range t.used {
		row := uint32(r) + 1
		hash := t.keys.HashKey(t.row(uint64(row)))
		x.insert(x.home(hash), hash, row)
	}
}

// resize makes room for count buckets. It returns false if there is no memory; then the table has
// room for no more groups.
func (x *buckets) resize(t *Table, count uint64) bool {
	if err := x.region.Grow(indexBytes(count)); err != nil {
		t.err = err
		t.room = t.used
		return false
	}
	x.base = x.region.Base()
	x.count, x.shift = count, shiftFor(count)
	x.used = (64 - x.shift) % turnBits
	return true
}

// grow begins to double the buckets if n more groups may become too many, and goes on with a
// doubling that has begun.
func (x *buckets) grow(t *Table, n int) {
	groups := uint64(t.used + n)
	if groups > x.count*readyLoad && x.split == 0 {
		x.region.Prepare(indexBytes(2 * x.count))
	}
	for groups > x.count*splitLoad {
		x.splitRuns(t, x.split) // one doubling at a time
		if !x.resize(t, 2*x.count) {
			return
		}
		x.split, x.seen = x.count/2, t.used
		clear(unsafe.Slice(x.at(x.count), spareBuckets))
	}
	if x.split > 0 {
		x.splitRuns(t, max(splitLeast, uint64(t.used-x.seen)/splitEach))
		x.seen = t.used
	}
}

// ready says whether that many groups can be added without waiting for memory. If the buckets must
// double for them, the answer is about the memory for that.
func (x *buckets) ready(groups int) bool {
	return uint64(groups) <= x.count*splitLoad || x.region.Ready(indexBytes(2*x.count))
}

// splitRuns splits the last k buckets that have not been split, and the rest of the run that the
// first of them is in.
func (x *buckets) splitRuns(t *Table, k uint64) {
	for k > 0 && x.split > 0 {
		end := x.split
		begin := end - min(end, k, splitBatch)
		for begin > 0 && x.at(begin-1).isFull() {
			begin--
		}
		k -= min(k, end-begin)
		x.unsure = x.unsure[:0]
		after := end
		for x.at(after - 1).isFull() { // what has overflowed from the run
			x.hashLater(t, x.at(after))
			after++
		}
		for b := after; b > end; b-- {
			*x.at(b - 1) = bucket{}
		}
		for b := end; b > begin; b-- {
			x.splitOne(t, b-1, b-1 > begin && x.at(b-2).isFull())
		}
		x.split = begin
		x.putUnsure(t)
	}
}

// splitOne splits bucket b. The bucket before it has not been split, and all after it have. Crowded
// says that the bucket before it is full.
func (x *buckets) splitOne(t *Table, b uint64, crowded bool) {
	from := *x.at(b)
	*x.at(b) = bucket{}
	two := (*[2]bucket)(unsafe.Pointer(x.at(2 * b)))
	*two = [2]bucket{}
	if crowded || x.used == 0 {
		x.hashLater(t, &from)
		return
	}
	var have [2]int
	for j := range from.len() {
		turns := from.turns >> (turnBits * j & 31) & (1<<turnBits - 1)
		to := turns >> ((turnBits - x.used) & 31) & 1
		two[to].set(have[to], from.tags[j], turns, from.rows[j])
		have[to]++
	}
}

// hashLater notes the rows of a bucket for putUnsure.
func (x *buckets) hashLater(t *Table, b *bucket) {
	for _, row := range b.rows[:b.len()] {
		x.unsure = append(x.unsure, uint64(row)*t.rowBytes)
	}
}

// putUnsure puts the rows of x.unsure into their buckets. It computes the hash again from the key,
// whose line it prefetches.
func (x *buckets) putUnsure(t *Table) {
	const together = 16
	t.prefetchRows(x.unsure[:min(together, len(x.unsure))])
	for i, place := range x.unsure {
		if i%together == 0 {
			t.prefetchRows(x.unsure[min(i+together, len(x.unsure)):min(i+2*together, len(x.unsure))])
		}
		row := place / t.rowBytes
		hash := t.keys.HashKey(t.row(row))
		x.insert(x.home(hash), hash, uint32(row))
	}
}
