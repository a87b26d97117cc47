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

// A bucket is a line of the index: the tags of up to bucketRows rows, and the numbers of the rows.
// It is filled from the front. A tag of 0 marks a free place. The assembly knows its layout.
type bucket struct {
	tags [bucketRows]uint16
	_    uint32
	rows [bucketRows]uint32
}

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
type buckets struct {
	region *arena.Region
	base   unsafe.Pointer
	count  uint64 // a power of two; 0 while the table is small
	shift  uint   // home: hash << shardBits >> shift
	split  uint64 // homes below split, counted in half as many buckets, have not been split
	seen   int    // number of groups when buckets were split last

	moving []movingRow // scratch of splitRuns
	places []uint64
}

type movingRow struct {
	row uint32
	tag uint16
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

// home returns the bucket at which a search begins.
//
//gcassert:inline
func (x *buckets) home(hash uint64) uint64 {
	b := hash << shardBits >> (x.shift & 63)
	if b>>1 < x.split {
		b >>= 1
	}
	return b
}

// at returns bucket b. The access is in bounds: homes are below count, and no search passes the
// spare buckets (see put).
func (x *buckets) at(b uint64) *bucket { return (*bucket)(unsafe.Add(x.base, b*bucketSize)) }

// len returns how many rows a bucket has. It does so without a branch, because nobody could predict
// it: the lowest bit of every tag but 0 is set, so it counts those bits in the words that have the
// tags.
func (b *bucket) len() int {
	const ones = 0x0001_0001_0001_0001
	words := (*[3]uint64)(unsafe.Pointer(b)) // the tags and four bytes after them
	return bits.OnesCount64(words[0]&ones) + bits.OnesCount64(words[1]&ones) + bits.OnesCount64(words[2]&(ones>>32))
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
		b, tag := x.at(x.home(h)), tagOf(h)
		row := uint32(0)
		for j, other := range b.tags {
			if other == tag {
				row = b.rows[j]
				break
			}
		}
		off[i] = uint64(row) * t.rowBytes
	}
	t.prefetchRows(off)
}

// find finds the row of a key. It returns 0 if there is none.
func (x *buckets) find(t *Table, hash uint64, key []uint64, heap []byte) uint64 {
	tag := tagOf(hash)
	for b := x.home(hash); ; b++ {
		bk := x.at(b)
		for j, other := range &bk.tags {
			if other == tag && t.isKey(uint64(bk.rows[j]), key, heap) {
				return uint64(bk.rows[j])
			}
			if other == 0 {
				return 0
			}
		}
	}
}

// insert adds a row whose key is not there.
func (x *buckets) insert(hash uint64, row uint32) {
	x.put(x.home(hash), movingRow{row, tagOf(hash)})
}

// put adds a row to the first bucket from b on that is not full.
func (x *buckets) put(b uint64, r movingRow) {
	for ; b < x.count+spareBuckets; b++ {
		bk := x.at(b)
		if n := bk.len(); n < bucketRows {
			bk.tags[n], bk.rows[n] = r.tag, r.row
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
		x.insert(t.keys.HashKey(t.row(uint64(row))), row)
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
		x.moving = x.moving[:0]
		overflows := false
		for b := begin; b < end || overflows; b++ {
			bk := x.at(b)
			overflows = bk.isFull()
			for j, tag := range &bk.tags {
				if tag == 0 {
					break
				}
				x.moving = append(x.moving, movingRow{bk.rows[j], tag})
			}
			*bk = bucket{}
		}
		x.split = begin
		clear(unsafe.Slice(x.at(2*begin), 2*(end-begin)))
		x.move(t)
	}
}

// move puts the rows of x.moving into their buckets. It computes the hash again from the key, whose
// line it prefetches.
func (x *buckets) move(t *Table) {
	x.places = x.places[:0]
	for _, r := range x.moving {
		x.places = append(x.places, uint64(r.row)*t.rowBytes)
	}
	const together = 16
	t.prefetchRows(x.places[:min(together, len(x.places))])
	for i, r := range x.moving {
		if i%together == 0 {
			t.prefetchRows(x.places[min(i+together, len(x.places)):min(i+2*together, len(x.places))])
		}
		x.put(x.home(t.keys.HashKey(t.row(uint64(r.row)))), r)
	}
}
