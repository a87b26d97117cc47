package agg

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// A Placed is a function with its arguments and the place of its state.
type Placed struct {
	Func Func

	// Arg is the number of the argument, or -1 if there is none.
	Arg int

	// By is the number of the second argument.
	By int

	// Word is the word in which the state begins, among the words of a row's states.
	Word int
}

// A Fused updates several states of one argument, and a count of the rows, in one loop. The row is
// looked up once, and its cache line is loaded for all of the states. The functions' own Update is
// its twin. Records whose argument is NULL are handled separately: see UpdateSome.
type Fused struct {
	Arg int

	// count, sum, least and most are the words of the states. Each is valid if its flag counts,
	// sums, mins or maxs is set. count belongs to count(*).
	count, sum, least, most  int
	counts, sums, mins, maxs bool

	values []int // words that count the values of the argument that are not NULL
	double bool  // the argument is of double precision

	asVector bool // a row is updated as one vector: see Bind
	lanes    lanes

	// asWords says that the words of a row are updated one by one while the extremes seldom change:
	// see Pace.
	asWords bool
	places  places
	loop    foundLoop
}

// places are the places of the words in a row, in bytes. The assembly knows their layout.
type places struct{ count, also, sum, least, most uintptr }

// noPlace is the place of a state that does not exist.
const noPlace = ^uintptr(0)

// found is what updateFound works on. The assembly knows its layout.
type found struct {
	base   unsafe.Pointer
	off    *uint64
	words  *uint64
	keys   *uint64
	missed *uint32
	n      int
	places places
	loop   foundLoop
}

// A foundLoop is one of updateFound's loops.
type foundLoop uint64

const (
	loopAny foundLoop = iota // any set of states
	loopAll                  // count, sum, least and greatest
	loopTwo                  // count and sum
	loopOne                  // only the sum
)

// loopFor returns the loop for states at p.
func loopFor(p places) foundLoop {
	extremes := p.least != noPlace && p.most != noPlace
	switch none := p.least == noPlace && p.most == noPlace; {
	case p.sum == noPlace || p.also != noPlace || !extremes && !none:
	case extremes && p.count != noPlace:
		return loopAll
	case none && p.count != noPlace:
		return loopTwo
	case none:
		return loopOne
	}
	return loopAny
}

// A Pace lets a kernel notice whether the extremes of a Fused, or the high half of its sum, change
// often. As long as they do not, they are compared first and written only if they change, which is
// faster than anything that writes them each time. If they change often, the processor mispredicts
// too often. The zero value begins with comparing.
// changing is the number of stripes to go before comparing is tried again.
type Pace struct{ changing int }

const (
	// seldom means one change in this many records.
	seldom = 16

	// paceStripes is the number of stripes for which extremes that change often are written each
	// time.
	paceStripes = 32
)

// lanes says what happens to which word of a row of eight words. The assembly knows its layout.
type lanes struct {
	// ones is what is added in any case: 1 for a count.
	ones [vectorWords]uint64

	// low, high, least and most have a bit for each word. low and high mark the halves of the sum,
	// or the sum and its compensation. least and most mark the extremes.
	low, high, least, most uint64
}

// vectorWords is the number of words of a row that is one vector, which is also one cache line.
const vectorWords = 8

// Bind says how wide a row is and where in it the states begin, in words. Rows of eight words are
// updated as vectors if the processor can do that, or word by word.
func (f *Fused) Bind(first, width int) {
	f.asVector = have512 && width == vectorWords
	counts := f.values
	if f.counts {
		counts = append(counts[:len(counts):len(counts)], f.count)
	}
	f.asWords = haveWords && !f.double && len(counts) <= 2
	if f.asWords {
		place := func(there bool, word int) uintptr {
			if !there {
				return noPlace
			}
			return 8 * uintptr(first+word)
		}
		count := func(i int) uintptr { return place(i < len(counts), append(counts, 0, 0)[i]) }
		f.places = places{count(0), count(1), place(f.sums, f.sum), place(f.mins, f.least), place(f.maxs, f.most)}
		f.loop = loopFor(f.places)
	}
	if !f.asVector {
		return
	}
	if f.counts {
		f.lanes.ones[first+f.count] = 1
	}
	if f.sums {
		f.lanes.low, f.lanes.high = 1<<(first+f.sum), 2<<(first+f.sum)
	}
	for _, word := range f.values {
		f.lanes.ones[first+word] = 1
	}
	if f.mins {
		f.lanes.least = 1 << (first + f.least)
	}
	if f.maxs {
		f.lanes.most = 1 << (first + f.most)
	}
}

// Fuse takes out of placed the functions that one loop can update together. Functions of texts are
// not fused. Each Fused has at least two functions, of which one reads the values, or it is the sum
// of integers alone. The other functions are the rest.
func Fuse(placed []Placed) (fused []Fused, rest []Placed) {
	var args []int
	for _, p := range placed {
		if fusible(p) && !slices.Contains(args, p.Arg) {
			args = append(args, p.Arg)
		}
	}
	taken := make([]bool, len(placed))
	counted := false
	for _, arg := range args {
		f := Fused{Arg: arg}
		var mine []int
		for i, p := range placed {
			if p.Arg == arg && fusible(p) && f.take(p) {
				mine = append(mine, i)
			}
		}
		if !counted {
			for i, p := range placed {
				if _, ok := p.Func.(countRows); ok && !counted {
					counted, f.counts, f.count = true, true, p.Word
					mine = append(mine, i)
				}
			}
		}
		alone := haveWords && len(mine) == 1 && f.sums && !f.double
		// With counts alone the values may not be there.
		if len(mine) < 2 && !alone || !f.sums && !f.mins && !f.maxs {
			if f.counts {
				counted = false
			}
			continue
		}
		for _, i := range mine {
			taken[i] = true
		}
		fused = append(fused, f)
	}
	for i, p := range placed {
		if !taken[i] {
			rest = append(rest, p)
		}
	}
	return fused, rest
}

// fusible says whether a function with an argument may be fused.
func fusible(p Placed) bool {
	switch p.Func.(type) {
	case intSum, floatSum, extreme, countValues:
		return p.Arg >= 0
	}
	return false
}

// take adds a function. It returns false if there is a function of its kind already.
func (f *Fused) take(p Placed) bool {
	switch fn := p.Func.(type) {
	case intSum:
		return f.takeSum(fn.sums, p.Word)
	case floatSum:
		f.double = true
		return f.takeSum(fn.sums, p.Word)
	case countValues:
		f.values = append(f.values, p.Word)
	case extreme:
		switch {
		case fn.max && !f.maxs:
			f.maxs, f.most = true, p.Word
		case !fn.max && !f.mins:
			f.mins, f.least = true, p.Word
		default:
			return false
		}
		f.double = fn.typ == record.Float64
		if fn.counted {
			f.values = append(f.values, p.Word+1)
		}
	}
	return true
}

func (f *Fused) takeSum(s sums, word int) bool {
	if f.sums {
		return false
	}
	f.sums, f.sum = true, word
	if s.counted() {
		f.values = append(f.values, word+2)
	}
	return true
}

// UpdateSome is Update for records of which some have NULL for the argument. count(*) counts those,
// and nothing else does. scratch has room for twice as many words as there are records.
func (f *Fused) UpdateSome(rows Rows, at uintptr, args Args, scratch []uint64, pace *Pace) {
	n := len(rows.Off)
	off, words := scratch[:n], scratch[n:2*n]
	some := 0
	for i, w := range args.Words[:n] {
		off[some], words[some] = rows.Off[i], w
		some += int(1 - args.null(i))
	}
	f.Update(Rows{Base: rows.Base, Off: off[:some]}, at, words[:some], pace)
	if !f.counts || some == n {
		return
	}
	none := 0
	for i, o := range rows.Off {
		off[none] = o
		none += int(args.null(i))
	}
	countRows{}.Update(Rows{Base: rows.Base, Off: off[:none]}, at+8*uintptr(f.count), Args{})
}

// Update adds record i of the stripe, with argument words[i], to the row at rows.Off[i]. The states
// of a row begin at bytes after its beginning. pace is the caller's own Pace for this Fused.
func (f *Fused) Update(rows Rows, at uintptr, words []uint64, pace *Pace) {
	if f.asWords && pace.changing == 0 {
		words = words[:len(rows.Off)]
		// The accesses are in bounds: an offset is the place of a row, which has the words.
		pace.note(updateWords(rows.Base, unsafe.SliceData(rows.Off), unsafe.SliceData(words), len(words), &f.places),
			len(words))
		return
	}
	pace.changing = max(0, pace.changing-1)
	if f.asVector {
		words = words[:len(rows.Off)]
		// The accesses are in bounds: an offset is the place of a row, which is as long as a
		// vector.
		if f.double {
			updateDoubles512(rows.Base, unsafe.SliceData(rows.Off), unsafe.SliceData(words), len(words), &f.lanes)
		} else {
			updateRows512(rows.Base, unsafe.SliceData(rows.Off), unsafe.SliceData(words), len(words), &f.lanes)
		}
		return
	}
	if f.double {
		f.updateDoubles(rows, at, words)
		return
	}
	base := unsafe.Add(rows.Base, at)
	off := rows.Off
	words = words[:len(off)]
	count, sum, least, most := 8*uintptr(f.count), 8*uintptr(f.sum), 8*uintptr(f.least), 8*uintptr(f.most)
	if f.counts && f.sums && f.mins && f.maxs && len(f.values) == 0 {
		// This is the most frequent set of states. The loop has no branch.
		for i, v := range words {
			// The accesses are in bounds: off has the place of a row, and the words lie in its
			// states.
			p := unsafe.Add(base, off[i])
			*(*uint64)(unsafe.Add(p, count))++
			s := (*[2]uint64)(unsafe.Add(p, sum))
			lo, carry := bits.Add64(s[0], v, 0)
			s[0], s[1] = lo, s[1]+uint64(int64(v)>>63)+carry
			l, m := (*int64)(unsafe.Add(p, least)), (*int64)(unsafe.Add(p, most))
			*l = min(*l, int64(v))
			*m = max(*m, int64(v))
		}
		return
	}
	for i, v := range words {
		p := unsafe.Add(base, off[i])
		if f.counts {
			*(*uint64)(unsafe.Add(p, count))++
		}
		if f.sums {
			s := (*[2]uint64)(unsafe.Add(p, sum))
			add128(s, v, uint64(int64(v)>>63))
		}
		for _, word := range f.values {
			*(*uint64)(unsafe.Add(p, 8*word))++
		}
		if f.mins {
			l := (*int64)(unsafe.Add(p, least))
			*l = min(*l, int64(v))
		}
		if f.maxs {
			m := (*int64)(unsafe.Add(p, most))
			*m = max(*m, int64(v))
		}
	}
}

// Finds says whether UpdateFound can be used at this pace.
func (f *Fused) Finds(pace *Pace) bool { return f.asWords && pace.changing == 0 }

// UpdateFound is Update for records whose rows have been looked up but not compared. It updates the
// records whose key, one word, is the first word of the row at Off. It returns how many records it
// did not update, and puts their numbers into missed, which has room for one more than there are
// records. Row 0 has no key, so a record there is never updated.
func (f *Fused) UpdateFound(rows Rows, keys, words []uint64, missed []uint32, pace *Pace) (misses int) {
	n := len(rows.Off)
	keys, words, missed = keys[:n], words[:n], missed[:n+1]
	// The accesses are in bounds: an offset is the place of a row, which has the words.
	misses, changed := updateFound(&found{
		rows.Base, unsafe.SliceData(rows.Off), unsafe.SliceData(words), unsafe.SliceData(keys),
		unsafe.SliceData(missed), n, f.places, f.loop,
	})
	pace.note(changed, n)
	return misses
}

// note takes note of how many of n records have changed an extreme, or the high half of the sum.
func (p *Pace) note(changed, n int) {
	if changed*seldom > n {
		p.changing = paceStripes
	}
}

// updateDoubles is Update for double precision.
func (f *Fused) updateDoubles(rows Rows, at uintptr, words []uint64) {
	base := unsafe.Add(rows.Base, at)
	off := rows.Off
	words = words[:len(off)]
	count, sum, least, most := 8*uintptr(f.count), 8*uintptr(f.sum), 8*uintptr(f.least), 8*uintptr(f.most)
	for i, v := range words {
		// The accesses are in bounds: off has the place of a row, and the words lie in its states.
		p := unsafe.Add(base, off[i])
		if f.counts {
			*(*uint64)(unsafe.Add(p, count))++
		}
		if f.sums {
			addFloat((*[2]uint64)(unsafe.Add(p, sum)), math.Float64frombits(v))
		}
		for _, word := range f.values {
			*(*uint64)(unsafe.Add(p, 8*word))++
		}
		o := Ordered(v)
		if f.mins {
			l := (*int64)(unsafe.Add(p, least))
			*l = min(*l, o)
		}
		if f.maxs {
			m := (*int64)(unsafe.Add(p, most))
			*m = max(*m, o)
		}
	}
}
