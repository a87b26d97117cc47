package agg

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/velo-engine/velo/internal/prefetch"
	"github.com/velo-engine/velo/record"
)

const (
	// A bucket has all values with the same sign, the same exponent and the same first six bits of
	// the fraction. It is at most 1/64 of its lower bound wide, so its middle is within 1/128 of
	// any value in it.
	bucketShift = 52 - 6

	// countBits is how many bits of a slot are the count of its bucket. The other bits are the key
	// of the bucket, which is never 0.
	countBits = 46
	countMask = 1<<countBits - 1
	keyBias   = 1<<17 + 1 // buckets are -1<<17 ... 1<<17-2, and their keys begin at 1
	lastKey   = 1<<18 - 1

	// maxBuckets bounds the buckets of a group. If values fall into more, the lowest buckets become
	// one.
	maxSlots   = 2048
	maxBuckets = maxSlots * 7 / 8

	fewSlots = 64 // up to this many slots are read without the array for all
)

// MaxPercentileError bounds the relative error of a result of approx_percentile.
const MaxPercentileError = 1.0 / 128

// percentile is about the least value that a given fraction of all values do not exceed. It counts
// values in buckets whose width grows with the values, as DDSketch does (Masson, Rim, Lee:
// DDSketch, 2019). The buckets are the same as in HdrHistogram: the first bits of a float64. It
// never keeps more than maxBuckets. When values fall into more, the lowest buckets become one. That
// makes low percentiles wrong if the values span more than eight decades, and never makes other
// percentiles wrong. The buckets that are kept depend only on the values, and not on their order.
//
// The state has the place of the block, the number of buckets, the key of the lowest bucket once
// there are maxBuckets, and then the least and the greatest value as the integers that ordered
// returns. A result is never outside those two values. A slot of the block has the key of a bucket
// and its count. The block uses open addressing with linear probing, and 0 is a free slot.
type percentile struct {
	typ      record.Type
	fraction float64
}

// WithFraction returns f, an approximate percentile, for the given fraction, 0 to 1. All fractions
// of an argument read the same state.
func WithFraction(f Func, fraction float64) (Func, error) {
	p, ok := f.(percentile)
	merged, merges := f.(percentileStates)
	c, is := f.(collected)
	switch {
	case merges && !merged.asText && fraction >= 0 && fraction <= 1:
		merged.fraction = fraction
		return merged, nil
	case is && (c.kind == PercentileCont || c.kind == PercentileDisc) && fraction >= 0 && fraction <= 1:
		return f, nil
	case !ok && fraction == 0:
		return f, nil
	case !ok:
		return nil, fmt.Errorf("agg: a fraction, %v, for a function that takes none", fraction)
	case !(fraction >= 0 && fraction <= 1):
		return nil, fmt.Errorf("agg: approx_percentile at %v, expected 0 to 1", fraction)
	}
	p.fraction = fraction
	return p, nil
}

func (percentile) Type() record.Type { return record.Float64 }
func (percentile) Words() int        { return 5 }
func (percentile) Init(state []uint64) {
	state[0], state[1], state[2] = 0, 0, 0
	least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
	state[3], state[4] = uint64(least), uint64(greatest)
}

func (percentile) Blocks(s []uint64) *uint64 { return &s[0] }

func (percentile) Need(rows, _ int) int { return rows * 2 * 8 * maxSlots }

func (f percentile) Update(rows Rows, at uintptr, args Args) {
	scale := 1.0
	if f.typ.IsDecimal() {
		scale = float64(record.Pow10[f.typ.Scale()])
	}
	for from := 0; from < len(rows.Off); from += sidedRows {
		to := min(from+sidedRows, len(rows.Off))
		if rows.Blocks.large() {
			var places [sidedRows]uint64
			for i := from; i < to; i++ {
				key := bucketOf(f.value(args.Words[i], scale))
				places[i-from] = firstSlot(rows.words5(i, at)[0], bucketHash(key))
			}
			prefetch.Each(rows.Blocks.base, places[:to-from])
		}
		for i := from; i < to; i++ {
			if args.Nulls != nil && args.null(i) == 1 {
				continue
			}
			v := f.value(args.Words[i], scale)
			p := rows.words5(i, at)
			// Both branches are hardly ever taken, and a store would hold up the next record of the
			// group.
			if v < int64(p[3]) {
				p[3] = uint64(v)
			}
			if v > int64(p[4]) {
				p[4] = uint64(v)
			}
			f.addOne(p, bucketOf(v), rows.Blocks)
		}
	}
}

// value returns the value of a word of the argument, as ordered returns it.
func (f percentile) value(w uint64, scale float64) int64 {
	if f.typ != record.Float64 {
		w = math.Float64bits(float64(int64(w)) / scale)
	}
	return Ordered(w)
}

// bucketOf returns the key of the bucket of a value. NaN would have the key after lastKey, which
// does not fit a slot. It gets lastKey, which no other value has.
func bucketOf(v int64) uint64 { return min(uint64(v>>bucketShift+keyBias), lastKey) }

// sidedRows is how many records have their blocks asked for together, before the first of them is
// looked at. largeBlocks is from how many lines on that pays: they do not fit a second-level cache.
const (
	sidedRows   = 64
	largeBlocks = 256 << 10 / LineBytes
)

func (b *Blocks) large() bool { return b.used > largeBlocks }

// firstSlot returns where a search for a hash begins in the slots at a place, in bytes from the
// first line. Of the place of nothing it returns about the first line.
func firstSlot(place, hash uint64) uint64 {
	return uint64(blockOf(place))*LineBytes + hash&(uint64(blockLen(place))/8-1)*8&(MaxBlockBytes-1)
}

// addOne adds a value to the bucket with this key, which most of the time is there, and at the
// first place that add would look at.
func (f percentile) addOne(p *[5]uint64, key uint64, b *Blocks) {
	if slots := b.words(p[0]); len(slots) > 0 {
		at := int(bucketHash(key) & uint64(len(slots)-1))
		if s := slots[at]; s>>countBits == key && s&countMask != countMask {
			slots[at] = s + 1
			b.touchWord(p[0], 8*at)
			return
		}
	}
	f.add(p, key, 1, b)
}

// add adds n values to the bucket with this key.
func (f percentile) add(p *[5]uint64, key, n uint64, b *Blocks) {
	if p[1] == maxBuckets && key < p[2] {
		key = p[2]
	}
	slots := b.words(p[0])
	if len(slots) > 0 {
		at := findBucket(slots, key)
		switch {
		case slots[at] != 0:
			count := min(slots[at]&countMask+n, countMask)
			slots[at] = key<<countBits | count
			b.touch(p[0], 8*at, 8)
			return
		case int(p[1]) < mostBuckets(len(slots)):
			slots[at] = key<<countBits | n
			b.touch(p[0], 8*at, 8)
			p[1]++
			if p[1] == maxBuckets {
				p[2] = slices.MinFunc(slots, freeLast) >> countBits
			}
			return
		case p[1] == maxBuckets:
			count := f.takeLowest(p, b)
			f.add(p, key, n, b)
			f.add(p, p[2], count, b) // add to the bucket that is the lowest now
			return
		}
	}
	old := p[0]
	place := b.alloc(max(LineBytes, 2*blockLen(old)))
	if place == 0 {
		return
	}
	slots = b.words(place)
	clear(slots)
	for _, s := range b.words(old) { // read only now, because alloc may have moved the memory
		if s != 0 {
			slots[findBucket(slots, s>>countBits)] = s
		}
	}
	b.give(old)
	p[0] = place
	f.add(p, key, n, b)
}

// freeLast orders slots by their keys, and free slots after all others.
func freeLast(a, b uint64) int { return cmp.Compare(a-1, b-1) }

// takeLowest removes the lowest bucket, so that another has room, and returns its count.
func (percentile) takeLowest(p *[5]uint64, b *Blocks) (count uint64) {
	slots := b.words(p[0])
	var left [maxBuckets - 1]uint64
	n := 0
	for _, s := range slots {
		switch {
		case s == 0:
		case s>>countBits == p[2]:
			count = s & countMask
		default:
			left[n] = s
			n++
		}
	}
	clear(slots)
	for _, s := range left {
		slots[findBucket(slots, s>>countBits)] = s
	}
	b.touch(p[0], 0, blockLen(p[0]))
	p[1]--
	return count
}

// mostBuckets is how many buckets there may be in that many slots. Half of the slots are free, so
// that most buckets are at the first place that is looked at, unless there are as many slots as
// there may be.
func mostBuckets(slots int) int {
	if slots == maxSlots {
		return maxBuckets
	}
	return slots / 2
}

func bucketHash(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 32 }

// findBucket returns where the slot of a key is, or where it would be.
func findBucket(slots []uint64, key uint64) int {
	mask := uint64(len(slots) - 1)
	at := bucketHash(key) & mask
	for slots[at] != 0 && slots[at]>>countBits != key {
		at = (at + 1) & mask
	}
	return int(at)
}

func (f percentile) Merge(state, from []uint64, b, of *Blocks) {
	for _, s := range of.words(from[0]) {
		if s != 0 {
			f.add((*[5]uint64)(state), s>>countBits, s&countMask, b)
		}
	}
	state[3] = uint64(min(int64(state[3]), int64(from[3])))
	state[4] = uint64(max(int64(state[4]), int64(from[4])))
}

func (f percentile) Result(state []uint64, b *Blocks) Value {
	slots := b.words(state[0])
	// The array must be cleared first, and clearing the one for all takes longer than reading a
	// group of a few.
	if len(slots) <= fewSlots {
		var few [fewSlots]uint64
		return f.result(slots, few[:], state)
	}
	var all [maxSlots]uint64
	return f.result(slots, all[:], state)
}

// result returns the value at the fraction among the buckets in slots. all has room for them.
func (f percentile) result(slots, all, state []uint64) Value {
	n, total := 0, uint64(0)
	for _, s := range slots {
		if s != 0 {
			all[n] = s
			n++
			total += s & countMask
		}
	}
	if n == 0 {
		return Value{Null: true}
	}
	slices.Sort(all[:n])
	left := max(uint64(math.Ceil(f.fraction*float64(total))), 1)
	at := 0
	for at < n-1 && left > all[at]&countMask {
		left -= all[at] & countMask
		at++
	}
	v := Ordered(math.Float64bits(middle(int64(all[at]>>countBits) - keyBias)))
	return Value{Bits: Unordered(min(max(v, int64(state[3])), int64(state[4])))}
}

// middle returns the middle of a bucket.
func middle(bucket int64) float64 {
	low := math.Float64frombits(Unordered(bucket << bucketShift))
	high := math.Float64frombits(Unordered(bucket<<bucketShift | (1<<bucketShift - 1)))
	switch {
	case bucket == 0:
		return 0 // this bucket also has the values below the least normal number
	case math.IsInf(low, 0) || math.IsNaN(high) && math.IsNaN(low):
		return low
	case math.IsInf(high, 0) || math.IsNaN(high):
		return high
	}
	return low + (high-low)/2
}
