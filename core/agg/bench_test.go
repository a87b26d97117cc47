package agg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// Every function over stripes of 512 records and 1,000 groups, a loop of its own each.
func BenchmarkUpdate(b *testing.B) {
	const groups, n = 1000, 512
	for _, k := range kinds {
		for _, typ := range []record.Type{record.Int64, record.Float64, record.Bool} {
			args := []Arg{{Type: typ}}
			if takesBy(k) {
				args = append(args, Arg{Type: record.Timestamp})
			}
			f, err := Bind(k, args...)
			if err != nil || typ == record.Bool && k != BoolAnd && k != BoolOr {
				continue
			}
			b.Run(fmt.Sprintf("func=%v/type=%v", k, typ), func(b *testing.B) {
				const width = 8
				state := make([]uint64, groups*width)
				for g := range groups {
					f.Init(state[g*width:])
				}
				off, words, by := make([]uint64, n), make([]uint64, n), make([]uint64, n)
				for i := range n {
					off[i] = uint64(rand.IntN(groups) * width * 8)
					words[i], by[i] = rand.Uint64(), rand.Uint64()
					switch typ {
					case record.Float64:
						words[i] = math.Float64bits(rand.NormFloat64())
					case record.Bool:
						words[i] &= 1
					}
				}
				rows := Rows{Base: unsafe.Pointer(&state[0]), Off: off}
				b.ReportAllocs()
				for b.Loop() {
					f.Update(rows, 0, Args{Words: words, By: by})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
			})
		}
	}
}

// Reading a variance: of integers that float64 has exactly, of larger ones, of floats.
func BenchmarkVarianceResult(b *testing.B) {
	for name, c := range map[string]struct {
		typ   record.Type
		words []uint64
	}{
		"small": {record.Int64, []uint64{1, 2, 3}},
		"large": {record.Int64, []uint64{1 << 40, 2 << 40, 3 << 40}},
		"float": {record.Float64, []uint64{math.Float64bits(1), math.Float64bits(2)}},
	} {
		b.Run("of="+name, func(b *testing.B) {
			f := bind(b, VarSamp, c.typ, false)
			state := apply(f, rand.New(rand.NewPCG(1, 1)), c.words, nil)
			b.ReportAllocs()
			for b.Loop() {
				f.Result(state, nil)
			}
		})
	}
}

// Functions with blocks: records of n groups at random, with m different values. Everything that grows has grown.
func BenchmarkSided(b *testing.B) {
	const n = 512
	for _, k := range []Kind{
		Min, MaxBy, ApproxCountDistinct, ApproxPercentile, ApproxTopK, ReservoirSample,
	} {
		for _, groups := range []int{1, 1000} {
			for _, domain := range []int{100, 1_000_000} {
				typ, args := record.String, []Arg{{record.String, false}}
				switch k {
				case MaxBy:
					args = append(args, Arg{record.Int64, false})
				case ApproxPercentile, ApproxCountDistinct:
					typ, args = record.Float64, []Arg{{record.Float64, false}}
				}
				f, err := Bind(k, args...)
				if err != nil {
					b.Fatal(err)
				}
				if k == ApproxTopK || k == ReservoirSample {
					f, err = WithK(f, 10)
					if err != nil {
						b.Fatal(err)
					}
				}
				b.Run(fmt.Sprintf("func=%v/type=%v/groups=%d/values=%d", k, typ, groups, domain), func(b *testing.B) {
					m, rng := newMemory(), rand.New(rand.NewPCG(1, 1))
					states := make([]uint64, groups*f.Words())
					for g := range groups {
						f.Init(states[g*f.Words():])
					}
					var stripes []Args
					var rows [][]uint64
					for range 256 {
						var a Args
						var off []uint64
						for range n {
							v := rng.IntN(domain)
							w := math.Float64bits(float64(v))
							if typ == record.String {
								text := fmt.Sprintf("symbol-%d", v)
								w = groupkey.PlaceLong(uint64(len(a.Text)), uint64(len(text)))
								a.Text = append(a.Text, text...)
							}
							a.Words, a.By = append(a.Words, w), append(a.By, rng.Uint64()>>1)
							off = append(off, uint64(8*f.Words()*rng.IntN(groups)))
						}
						stripes, rows = append(stripes, a), append(rows, off)
					}
					update := func(i int) {
						i &= 255
						f.Update(Rows{Base: unsafe.Pointer(&states[0]), Off: rows[i], Blocks: &m.Blocks}, 0, stripes[i])
					}
					for i := range 256 {
						update(i)
					}
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						update(i)
						i++
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
				})
			}
		}
	}
}
