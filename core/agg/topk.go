package agg

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

const (
	// MaxTopK is the largest k of approx_top_k.
	MaxTopK = 100
	// MaxTopText bounds the bytes of a text that approx_top_k counts.
	MaxTopText = 256

	// A counter has three words: the key, the count, and the place of the text in the block.
	counterWords = 3
	// There are as many slots for counters as a block has bytes, divided by 32, or by 64 for texts:
	// 12 KiB of the largest block, or 6 KiB beside 10 KiB of texts.
	slotBytes     = 32
	textSlotBytes = 64
	leastTop      = 256 // the bytes of the first block: for texts, 4 slots and 160 bytes

	// MaxCounters is how many different values are counted exactly.
	MaxCounters = MaxBlockBytes / slotBytes * 3 / 4
	// MaxTextCounters is how many different texts are counted exactly, if they fit the block.
	MaxTextCounters = MaxBlockBytes / textSlotBytes * 3 / 4
)

// topK is the most frequent values, with about how often each of them comes. It counts each value
// while there is room. Then it takes a number away from all counters, such that a quarter of them
// are no longer above 0 and make room, and notes what was taken away in all. (Misra, Gries: Finding
// repeated elements, 1982, with the batches of Anderson et al.: A high-performance algorithm for
// identifying frequent items in data streams, 2017. Space-saving has the same counters in another
// form: Agarwal et al., Mergeable summaries, 2012, section 2.2.) So the count of a value is at most
// its counter and what was taken away, and at least its counter. What was taken away is at most 4/3
// of the number of values, divided by the number of counters: each time at least three quarters of
// them lost as much. That is true of merged states too.
//
// If there was room for all values, the result is exact, and does not depend on the order of
// records. Otherwise it does.
//
// The state has the place of the block, the number of counters, what was taken away, and the number
// of bytes of texts. The block has slots with open addressing and linear probing; a count of 0 is a
// free slot. The texts come after the slots. The key of a text is its hash.
type topK struct {
	typ record.Type
	k   int
}

// WithK returns f, approx_top_k or reservoir_sample, for that many values.
func WithK(f Func, k int) (Func, error) {
	switch f := f.(type) {
	case topK:
		if k < 1 || k > MaxTopK {
			return nil, fmt.Errorf("agg: approx_top_k of %d values, expected 1 to %d", k, MaxTopK)
		}
		f.k = k
		return f, nil
	case sample:
		if k < 1 || k > MaxSample {
			return nil, fmt.Errorf("agg: reservoir_sample of %d values, expected 1 to %d", k, MaxSample)
		}
		f.k = k
		return f, nil
	}
	if k != 0 {
		return nil, fmt.Errorf("agg: a number of values, %d, for a function that takes none", k)
	}
	return f, nil
}

func (topK) Type() record.Type         { return record.String }
func (topK) Words() int                { return 4 }
func (topK) Init(state []uint64)       { clear(state[:4]) }
func (topK) Blocks(s []uint64) *uint64 { return &s[0] }

// Need is of a block for each record, and of one that is twice as large beside it.
func (topK) Need(rows, _ int) int { return rows * 2 * MaxBlockBytes }

// A topSlot is a counter.
type topSlot [counterWords]uint64

// slots returns how many slots a block of that many bytes has.
func (t topK) slots(size int) int {
	if t.typ.Kind() == record.String {
		return size / textSlotBytes
	}
	return size / slotBytes
}

func (t topK) Update(rows Rows, at uintptr, args Args) {
	for i, w := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		var text []byte
		switch t.typ.Kind() {
		case record.String:
			text = args.text(i)
			if len(text) > MaxTopText {
				continue // has been set aside, see plan
			}
			w = metro.Hash64(text, textSeed)
		case record.Float64:
			w = uint64(Ordered(w)) // all NaN are one value, and so are both zeros
		}
		t.add(rows.words4(i, at), w, 1, text, rows.Blocks)
	}
}

// find returns where the counter of a value is, or where it would be.
func (t topK) find(block []uint64, slots int, key uint64, text []byte) int {
	mask := uint64(slots - 1)
	for at := mix(key) & mask; ; at = (at + 1) & mask {
		s := (*topSlot)(block[at*counterWords:])
		if s[1] == 0 || s[0] == key && (t.typ.Kind() != record.String || bytes.Equal(text, textAt(block, s[2]))) {
			return int(at)
		}
	}
}

// textAt returns a text of a block; place has its offset and its length.
func textAt(block []uint64, place uint64) []byte {
	off, n := int(place>>32), int(uint32(place))
	return wordBytes(block)[off : off+n]
}

// add adds n values to the counter of a value.
func (t topK) add(p *[4]uint64, key, n uint64, text []byte, b *Blocks) {
	for {
		block := b.words(p[0])
		slots := t.slots(8 * len(block))
		if slots > 0 {
			at := t.find(block, slots, key, text)
			s := (*topSlot)(block[at*counterWords:])
			heap := 8*counterWords*slots + int(p[3])
			switch {
			case s[1] > 0:
				s[1] += n
				b.touch(p[0], 8*counterWords*at, 8*counterWords)
				return
			case int(p[1]) < slots*3/4 && heap+len(text) <= 8*len(block):
				*s = topSlot{key, n, uint64(heap)<<32 | uint64(len(text))}
				copy(wordBytes(block)[heap:], text)
				p[1]++
				p[3] += uint64(len(text))
				b.touch(p[0], 8*counterWords*at, 8*counterWords)
				if len(text) > 0 {
					b.touch(p[0], heap, len(text))
				}
				return
			}
		}
		size, less := 8*len(block), uint64(0)
		if size < MaxBlockBytes {
			size = max(leastTop, 2*size)
		} else {
			less = t.quarter(block, slots)
		}
		if !t.rebuild(p, size, less, b) {
			return
		}
	}
}

// quarter returns the count that a quarter of the counters do not exceed.
func (topK) quarter(block []uint64, slots int) uint64 {
	var counts [MaxBlockBytes / slotBytes]uint64
	n := 0
	for i := range slots {
		if c := block[i*counterWords+1]; c > 0 {
			counts[n] = c
			n++
		}
	}
	slices.Sort(counts[:n])
	return counts[(n-1)/4]
}

// rebuild makes a block of that many bytes of the counters that are above less, and takes less away
// from them. It returns false if there is no memory.
func (t topK) rebuild(p *[4]uint64, size int, less uint64, b *Blocks) bool {
	var room [MaxBlockBytes / 8]uint64
	to := room[:size/8]
	slots := t.slots(size)
	old := b.words(p[0])
	n, used := uint64(0), 0
	for i := range t.slots(8 * len(old)) {
		s := (*topSlot)(old[i*counterWords:])
		if s[1] <= less {
			continue
		}
		place := uint64(0)
		if t.typ.Kind() == record.String {
			text := textAt(old, s[2])
			heap := 8*counterWords*slots + used
			used += copy(wordBytes(to)[heap:], text)
			place = uint64(heap)<<32 | uint64(len(text))
		}
		at := freeCounter(to, slots, s[0])
		*(*topSlot)(to[at*counterWords:]) = topSlot{s[0], s[1] - less, place}
		n++
	}
	place, ok := b.put(p[0], wordBytes(to))
	if ok {
		p[0], p[1], p[2], p[3] = place, n, p[2]+less, uint64(used)
	}
	return ok
}

// freeCounter returns the slot for a key that has no counter yet.
func freeCounter(block []uint64, slots int, key uint64) int {
	mask := uint64(slots - 1)
	at := mix(key) & mask
	for block[at*counterWords+1] != 0 {
		at = (at + 1) & mask
	}
	return int(at)
}

func (t topK) Merge(state, from []uint64, b, of *Blocks) {
	p := (*[4]uint64)(state)
	p[2] += from[2]
	theirs := of.words(from[0])
	for i := range t.slots(8 * len(theirs)) {
		s := (*topSlot)(theirs[i*counterWords:])
		if s[1] == 0 {
			continue
		}
		var text []byte
		if t.typ.Kind() == record.String {
			text = textAt(theirs, s[2])
		}
		t.add(p, s[0], s[1], text, b)
	}
}

func (topK) Result(state []uint64, _ *Blocks) Value { return Value{Null: state[1] == 0} }

// AppendText appends the values as JSON, the most frequent first: of each the value, the greatest
// count that it may have, and by how much that may be too large.
func (t topK) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	block := b.words(state[0])
	var all [MaxBlockBytes / slotBytes]topSlot
	n := 0
	for i := range t.slots(8 * len(block)) {
		if s := (*topSlot)(block[i*counterWords:]); s[1] > 0 {
			all[n] = *s
			n++
		}
	}
	slices.SortFunc(all[:n], func(x, y topSlot) int {
		d := cmp.Compare(y[1], x[1])
		switch {
		case d != 0:
		case t.typ.Kind() == record.String:
			d = bytes.Compare(textAt(block, x[2]), textAt(block, y[2]))
		default:
			d = cmp.Compare(int64(x[0]), int64(y[0]))
		}
		return d
	})
	to = append(to, '[')
	for i, s := range all[:min(n, t.k)] {
		if i > 0 {
			to = append(to, ", "...)
		}
		word, text := s[0], []byte(nil)
		switch t.typ.Kind() {
		case record.String:
			text = textAt(block, s[2])
		case record.Float64:
			word = Unordered(int64(word))
		}
		to = appendJSON(append(to, `{"value": `...), t.typ, word, text)
		to = strconv.AppendUint(append(to, `, "count": `...), s[1]+state[2], 10)
		to = strconv.AppendUint(append(to, `, "error": `...), state[2], 10)
		to = append(to, '}')
	}
	return append(to, ']')
}
