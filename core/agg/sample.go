package agg

import (
	"encoding/binary"
	"math"

	"github.com/velo-engine/velo/record"
)

// MaxSample is the largest k of reservoir_sample.
const MaxSample = 100

// sampleHead is the size of a value in a block, without its text: its rank, and its word or the
// length of its text.
const sampleHead = 16

// MaxSampleText returns the most bytes of a text that reservoir_sample takes for k values: k of
// them fit a block.
func MaxSampleText(k int) int { return MaxBlockBytes/k - sampleHead }

// sample is the values of k records that are chosen at random: each set of k records is as likely
// as any other. Each record gets a random rank, and the k records of the least ranks are kept. So
// the union of two samples, cut to the k least ranks, is a sample of the records of both: merged
// states are as random as one state. (Cohen, Kaplan: Summarizing data using bottom-k sketches,
// 2007. For one stream it is Vitter's reservoir.)
//
// The ranks of a state are the numbers of SplitMix64 from a seed. Ranks of different states must
// differ, so the seed is made of a number of the table and of a count of the states that it has
// seeded: see Blocks.seed. A state without a seed, such as one of merged states only, gets one with
// its next record. The seed is not made of a clock, so that a run with one reader and one
// partition can be repeated.
//
// The state has the place of the block, the number of values, the number of records that have got a
// rank, the seed (0 if none has), and the greatest rank that is kept once there are k. The block
// has the values in the order of their ranks: rank and word of each, and then their texts.
type sample struct {
	typ record.Type
	k   int
}

func (sample) Type() record.Type { return record.String }
func (sample) Words() int        { return 5 }

func (sample) Init(state []uint64) {
	clear(state[:4])
	state[4] = math.MaxUint64
}

func (sample) Blocks(s []uint64) *uint64 { return &s[0] }

// Need is of a block for each record, and of one beside it.
func (sample) Need(rows, _ int) int { return rows * 2 * MaxBlockBytes }

func (f sample) Update(rows Rows, at uintptr, args Args) {
	for i, w := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		p := rows.words5(i, at)
		if p[3] == 0 {
			p[3] = rows.Blocks.seed(w)
		}
		p[2]++
		rank := mix(p[3] + p[2]*0x9e3779b97f4a7c15)
		if rank >= p[4] {
			continue // most records end here
		}
		var text []byte
		if f.typ.Kind() == record.String {
			text = args.text(i)
			if len(text) > MaxSampleText(f.k) {
				continue // has been set aside, see plan
			}
			w = uint64(len(text))
		}
		f.keep(p, rank, w, text, rows.Blocks)
	}
}

// keep puts a value into a state, whose last value gives way if there are k.
func (f sample) keep(p *[5]uint64, rank, word uint64, text []byte, b *Blocks) {
	var room [MaxBlockBytes]byte
	old := b.Bytes(p[0])
	n := int(p[1])
	heads := old[:n*sampleHead]
	before := 0 // values with a lower rank, and the bytes of their texts
	bytesBefore := 0
	for before < n && binary.NativeEndian.Uint64(heads[before*sampleHead:]) < rank {
		bytesBefore += f.textLen(heads, before)
		before++
	}
	texts := old[n*sampleHead:]
	if n == f.k {
		n--
		texts = texts[:len(texts)-f.textLen(heads, n)]
		heads = heads[:n*sampleHead]
	}
	to := append(room[:0], heads[:before*sampleHead]...)
	to = binary.NativeEndian.AppendUint64(to, rank)
	to = binary.NativeEndian.AppendUint64(to, word)
	to = append(to, heads[before*sampleHead:]...)
	to = append(to, texts[:bytesBefore]...)
	to = append(to, text...)
	to = append(to, texts[bytesBefore:]...)
	place, ok := b.put(p[0], to)
	if !ok {
		return
	}
	p[0], p[1] = place, uint64(n+1)
	if n+1 == f.k {
		p[4] = binary.NativeEndian.Uint64(to[n*sampleHead:])
	}
}

// textLen returns the length of the text of value i, 0 if the values are no texts.
func (f sample) textLen(heads []byte, i int) int {
	if f.typ.Kind() != record.String {
		return 0
	}
	return int(binary.NativeEndian.Uint64(heads[i*sampleHead+8:]))
}

// each calls yield for each value of a state, by its rank.
func (f sample) each(state []uint64, b *Blocks, yield func(rank, word uint64, text []byte)) {
	block, n := b.Bytes(state[0]), int(state[1])
	texts := block[n*sampleHead:]
	for i := range n {
		size := f.textLen(block, i)
		yield(binary.NativeEndian.Uint64(block[i*sampleHead:]), binary.NativeEndian.Uint64(block[i*sampleHead+8:]),
			texts[:size])
		texts = texts[size:]
	}
}

func (f sample) Merge(state, from []uint64, b, of *Blocks) {
	p := (*[5]uint64)(state)
	f.each(from, of, func(rank, word uint64, text []byte) {
		if rank < p[4] {
			f.keep(p, rank, word, text, b)
		}
	})
}

func (sample) Result(state []uint64, _ *Blocks) Value { return Value{Null: state[1] == 0} }

// AppendText appends the values as an array of JSON, in no order that means anything.
func (f sample) AppendText(to []byte, state []uint64, b *Blocks) []byte {
	to = append(to, '[')
	f.each(state, b, func(_, word uint64, text []byte) {
		if to[len(to)-1] != '[' {
			to = append(to, ", "...)
		}
		to = appendJSON(to, f.typ, word, text)
	})
	return append(to, ']')
}
