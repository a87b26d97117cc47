package agg

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// Goal: the loops over stripes of the sketches do what adding value by value does. Method: values of
// all kinds, some NULL, in one group and in many, whose blocks are asked for ahead; the same
// buckets, or hashes, with the same counts.
func TestSketchTwins(t *testing.T) {
	for _, groups := range []int{1, 3, 600} {
		for _, k := range []Kind{ApproxPercentile, ApproxCountDistinct} {
			for _, typ := range []record.Type{record.Float64, record.Int64, record.DecimalOf(18, 3)} {
				f, err := Bind(k, Arg{typ, true})
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, uint64(groups)))
				loop, single := newMemory(), newMemory()
				words := f.Words()
				a, b := make([]uint64, groups*words), make([]uint64, groups*words)
				for g := range groups {
					f.Init(a[g*words:])
					f.Init(b[g*words:])
				}
				const n = 300 // not whole pieces
				for range 30 + groups/2 {
					args, off := Args{Nulls: make([]uint64, n), NullBit: 2}, make([]uint64, n)
					for i := range n {
						w := sketchValue(rng, typ)
						args.Words = append(args.Words, w)
						off[i] = uint64(8 * words * rng.IntN(groups))
						if rng.IntN(5) == 0 {
							args.Nulls[i] = 1 << 2
							continue
						}
						addSingly(f, b[off[i]/8:], w, &single.Blocks)
					}
					f.Update(Rows{Base: unsafe.Pointer(&a[0]), Off: off, Blocks: &loop.Blocks}, 0, args)
				}
				if groups == 600 && !loop.Blocks.large() {
					t.Fatalf("%d lines of blocks are not asked for ahead", loop.Blocks.Lines())
				}
				for g := range groups {
					x, y := a[g*words:(g+1)*words], b[g*words:(g+1)*words]
					if p, q := contents(x, &loop.Blocks), contents(y, &single.Blocks); !slices.Equal(p, q) ||
						!slices.Equal(x[1:], y[1:]) {
						t.Fatalf("%v of %v, group %d of %d: %x with %x\nsingly %x with %x", k, typ, g, groups, x[1:], p,
							y[1:], q)
					}
				}
			}
		}
	}
}

// sketchValue is often one of a few, which NaN, infinities and both zeros are among.
func sketchValue(rng *rand.Rand, typ record.Type) uint64 {
	if typ != record.Float64 {
		return rng.Uint64() >> rng.IntN(64)
	}
	some := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1, -1, 5e-324}
	if rng.IntN(3) == 0 {
		return math.Float64bits(some[rng.IntN(len(some))])
	}
	return math.Float64bits(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(20)-10)))
}

// addSingly is Update for one value.
func addSingly(f Func, state []uint64, w uint64, b *Blocks) {
	switch f := f.(type) {
	case percentile:
		scale := 1.0
		if f.typ.IsDecimal() {
			scale = float64(record.Pow10[f.typ.Scale()])
		}
		v := f.value(w, scale)
		state[3], state[4] = uint64(min(int64(state[3]), v)), uint64(max(int64(state[4]), v))
		f.add((*[5]uint64)(state), bucketOf(v), 1, b)
	case distinct:
		h := mix(w + 1)
		if f.typ == record.Float64 {
			h = mix(uint64(Ordered(w)) + 1)
		}
		f.add((*[2]uint64)(state), h, b)
	}
}

// contents are the slots of a block in order, or its bytes if it has registers.
func contents(state []uint64, b *Blocks) []uint64 {
	slots := slices.Clone(b.words(state[0]))
	if state[1] != isRegisters {
		slices.Sort(slots)
	}
	return slots
}

// Goal: a count that is as large as it can be stays so.
func TestPercentileFull(t *testing.T) {
	f, err := Bind(ApproxPercentile, Arg{record.Float64, false})
	if err != nil {
		t.Fatal(err)
	}
	m, state := newMemory(), make([]uint64, f.Words())
	f.Init(state)
	p := f.(percentile)
	key := bucketOf(Ordered(math.Float64bits(1)))
	p.add((*[5]uint64)(state), key, countMask-1, &m.Blocks)
	for range 3 {
		f.Update(Rows{Base: unsafe.Pointer(&state[0]), Off: []uint64{0}, Blocks: &m.Blocks}, 0,
			Args{Words: []uint64{math.Float64bits(1)}})
	}
	slots := m.Blocks.words(state[0])
	if s := slots[findBucket(slots, key)]; s != key<<countBits|countMask {
		t.Errorf("bucket %x has %x, expected the count %x", key, s, uint64(countMask))
	}
}
