package agg

import (
	"math"
	"math/bits"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

const (
	// registerBits is the precision of approx_count_distinct: 4,096 registers, with a standard
	// error of 1.04/64.
	registerBits = 12
	registers    = 1 << registerBits

	// exactHashes is the number of distinct values up to which the count is exact, except that two
	// values with the same 64-bit hash count as one. It is as many hashes as fit three quarters of
	// a block as large as the registers.
	exactHashes = registers / 8 * 3 / 4

	// isRegisters takes the place of the count in a state that has registers.
	isRegisters = ^uint64(0)
)

// distinct is about the number of distinct values. It keeps a set of their hashes while there are
// few, and HyperLogLog's registers when there are many. (Flajolet, Fusy, Gandouet, Meunier:
// HyperLogLog, 2007. The estimator is Ertl's of 2017, which needs no tables and no corrections.)
// Which of the two it keeps, and what is in it, depends only on the set of values, so neither the
// order of records nor how they were spread matters.
//
// The state has the place of the block and the number of hashes, or isRegisters. A set uses open
// addressing with linear probing; 0 is a free slot.
type distinct struct {
	typ record.Type
}

func (distinct) Type() record.Type   { return record.Int64 }
func (distinct) Words() int          { return 2 }
func (distinct) Init(state []uint64) { state[0], state[1] = 0, 0 }

func (distinct) Blocks(s []uint64) *uint64 { return &s[0] }

func (distinct) Need(rows, _ int) int { return rows * 2 * registers }

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, 2014). The hash must be the same in every
// process, because partial states are passed between processes.
func mix(w uint64) uint64 {
	w = (w ^ w>>30) * 0xbf58476d1ce4e5b9
	w = (w ^ w>>27) * 0x94d049bb133111eb
	return w ^ w>>31
}

// textSeed is the seed of the hashes of texts. Any value would do as long as it never changes.
const textSeed = 0x76656c6f

func (d distinct) Update(rows Rows, at uintptr, args Args) {
	for i, w := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		var h uint64
		switch d.typ.Kind() {
		case record.String:
			h = metro.Hash64(args.text(i), textSeed)
		case record.Float64:
			h = mix(uint64(Ordered(w)) + 1) // all NaN have one hash, and so have both zeros
		default:
			h = mix(w + 1)
		}
		d.addOne(rows.words2(i, at), h, rows.Blocks)
	}
}

// addOne adds a hash that most of the time is there, and at the first place that add would look at.
func (d distinct) addOne(p *[2]uint64, h uint64, b *Blocks) {
	if p[1] == isRegisters {
		setRegister(p[0], h, b)
		return
	}
	if slots := b.words(p[0]); len(slots) > 0 && h != 0 && slots[h&uint64(len(slots)-1)] == h {
		return
	}
	d.add(p, h, b)
}

// add adds a hash.
func (d distinct) add(p *[2]uint64, h uint64, b *Blocks) {
	if p[1] == isRegisters {
		setRegister(p[0], h, b)
		return
	}
	h = max(h, 1)
	slots := b.words(p[0])
	if len(slots) > 0 {
		at := findSlot(slots, h)
		if slots[at] == h {
			return
		}
		if int(p[1]) < mostHashes(len(slots)) {
			slots[at] = h
			b.touch(p[0], 8*at, 8)
			p[1]++
			return
		}
	}
	// The set needs a larger block.
	old := p[0]
	size := max(LineBytes, 2*blockLen(old))
	if p[1] == exactHashes {
		size = registers
	}
	place := b.alloc(size)
	if place == 0 {
		return
	}
	slots = b.words(place)
	clear(slots)
	full := p[1] == exactHashes
	for _, other := range b.words(old) { // read only now, because alloc may have moved the memory
		switch {
		case other == 0:
		case full:
			setRegister(place, other, b)
		default:
			slots[findSlot(slots, other)] = other
		}
	}
	b.give(old)
	p[0] = place
	if full {
		p[1] = isRegisters
	}
	d.add(p, h, b)
}

// mostHashes is how many hashes there may be in a set of that many slots. Half of the slots are
// free, so that most hashes are at the first place that is looked at, unless the set is the
// largest.
func mostHashes(slots int) int {
	if slots == registers/8 {
		return exactHashes
	}
	return slots / 2
}

// findSlot returns where a hash is in a set, or where it would be.
func findSlot(slots []uint64, h uint64) int {
	at := h & uint64(len(slots)-1)
	for slots[at] != 0 && slots[at] != h {
		at = (at + 1) & uint64(len(slots)-1)
	}
	return int(at)
}

// setRegister enters a hash into its register.
func setRegister(place, h uint64, b *Blocks) {
	at := int(h >> (64 - registerBits))
	rank := uint8(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1)) + 1)
	if r := b.Bytes(place); r[at] < rank {
		r[at] = rank
		b.touch(place, at, 1)
	}
}

func (d distinct) Merge(state, from []uint64, b, of *Blocks) {
	p := (*[2]uint64)(state)
	if from[1] != isRegisters {
		for _, h := range of.words(from[0]) {
			if h != 0 {
				d.add(p, h, b)
			}
		}
		return
	}
	if !useRegisters(p, b) {
		return
	}
	mine := b.Bytes(p[0])
	for i, rank := range of.Bytes(from[0]) {
		mine[i] = max(mine[i], rank)
	}
	b.touch(p[0], 0, registers)
}

// useRegisters makes registers of the hashes of a state. It returns false if there is no memory.
func useRegisters(p *[2]uint64, b *Blocks) bool {
	if p[1] == isRegisters {
		return true
	}
	place := b.alloc(registers)
	if place == 0 {
		return false
	}
	clear(b.Bytes(place))
	for _, h := range b.words(p[0]) {
		if h != 0 {
			setRegister(place, h, b)
		}
	}
	b.give(p[0])
	p[0], p[1] = place, isRegisters
	return true
}

func (distinct) Result(state []uint64, b *Blocks) Value {
	if state[1] != isRegisters {
		return Value{Bits: state[1]}
	}
	return Value{Bits: uint64(math.Round(estimate(b.Bytes(state[0]))))}
}

// estimate is Ertl's estimator (New cardinality estimation algorithms for HyperLogLog sketches,
// 2017, algorithm 6).
func estimate(ranks []uint8) float64 {
	const q = 64 - registerBits
	var count [q + 2]int
	for _, r := range ranks {
		count[r]++
	}
	const m = float64(registers)
	z := m * tau(1-float64(count[q+1])/m)
	for k := q; k >= 1; k-- {
		z = (z + float64(count[k])) / 2
	}
	z += m * sigma(float64(count[0])/m)
	return m * m / (2 * math.Ln2 * z)
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := -1.0; last != z; y *= 2 {
		x *= x
		last = z
		z += x * y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := -1.0; last != z; {
		x = math.Sqrt(x)
		last = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
