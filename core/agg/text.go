package agg

import (
	"bytes"
	"encoding/binary"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// noText is the place in a state that has no text yet. The place of the empty text is 0.
const noText = ^uint64(0)

// prefix returns the first eight bytes of a text as a word. Texts whose prefixes differ are ordered
// as the prefixes are.
func prefix(text []byte) uint64 {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	var w uint64
	for i, c := range text {
		w |= uint64(c) << (56 - 8*i)
	}
	return w
}

// text returns the argument of record i.
func (a *Args) text(i int) []byte {
	off, n := groupkey.LongPlace(a.Words[i])
	return a.Text[off : off+n]
}

// extremeText is the least or the greatest text by bytes. The state has the place of its block, and
// its prefix. The prefix is enough to compare most texts, so that no block is looked at.
type extremeText struct {
	typ record.Type // of kind String
	max bool
}

func (e extremeText) Type() record.Type       { return e.typ }
func (extremeText) Words() int                { return 2 }
func (extremeText) Init(state []uint64)       { state[0], state[1] = noText, 0 }
func (extremeText) Blocks(s []uint64) *uint64 { return textBlock(&s[0]) }

// textBlock returns the place of a text's block, or nil if the text has no block.
func textBlock(place *uint64) *uint64 {
	if *place == noText || *place == 0 {
		return nil
	}
	return place
}

func (extremeText) Need(rows, textBytes int) int { return needText(rows, textBytes) }

func (e extremeText) Update(rows Rows, at uintptr, args Args) {
	for i := range args.Words[:len(rows.Off)] {
		if args.Nulls != nil && args.null(i) == 1 {
			continue
		}
		e.add(rows.words2(i, at), args.text(i), rows.Blocks)
	}
}

// add adds a text.
func (e extremeText) add(p *[2]uint64, text []byte, b *Blocks) {
	w := prefix(text)
	if p[0] != noText {
		switch {
		case w == p[1]:
			if c := bytes.Compare(text, b.Bytes(p[0])); c == 0 || c < 0 == e.max {
				return
			}
		case w < p[1] == e.max:
			return
		}
	}
	old := p[0]
	if old == noText {
		old = 0
	}
	if place, ok := b.put(old, text); ok {
		p[0], p[1] = place, w
	}
}

func (e extremeText) Merge(state, from []uint64, b, of *Blocks) {
	if from[0] != noText {
		e.add((*[2]uint64)(state), of.Bytes(from[0]), b)
	}
}

func (extremeText) Result(state []uint64, _ *Blocks) Value {
	if state[0] == noText {
		return Value{Null: true}
	}
	return Value{Bits: state[0]}
}

// chosenText is chosen for texts.
//
// The state has what was chosen by, a rank, the place of the text's block, and the prefix of the
// text. The first two words are as in chosen. The text is not complemented.
type chosenText struct {
	typ record.Type // of kind String
	by  record.Type
	max bool
}

func (c chosenText) Type() record.Type { return c.typ }
func (chosenText) Words() int          { return 4 }

func (c chosenText) Init(state []uint64) {
	chosen{}.Init(state)
	state[2], state[3] = noText, 0
}

func (chosenText) Blocks(s []uint64) *uint64 { return textBlock(&s[2]) }

func (chosenText) Need(rows, textBytes int) int { return needText(rows, textBytes) }

func (c chosenText) Update(rows Rows, at uintptr, args Args) {
	var flip uint64
	if c.max {
		flip = ^flip
	}
	for i := range args.Words[:len(rows.Off)] {
		rank := uint64(rankValue)
		if args.Nulls != nil {
			if args.byNull(i) == 1 {
				continue
			}
			rank = args.null(i) // rankNull is 1
		}
		by := args.By[i]
		if c.by == record.Float64 {
			by = uint64(Ordered(by))
		}
		by ^= flip
		p := rows.words4(i, at)
		if int64(by) > int64(p[0]) {
			continue
		}
		var text []byte
		if rank == rankValue {
			text = args.text(i)
		}
		c.least(p, by, rank, text, rows.Blocks)
	}
}

// least puts a candidate into a state if it comes before what the state has.
func (c chosenText) least(p *[4]uint64, by, rank uint64, text []byte, b *Blocks) {
	if int64(by) > int64(p[0]) || by == p[0] && rank > p[1] {
		return
	}
	old := p[2]
	if old == noText {
		old = 0
	}
	if rank != rankValue {
		b.give(old)
		p[0], p[1], p[2], p[3] = by, rank, noText, 0
		return
	}
	w := prefix(text)
	if by == p[0] && p[1] == rankValue {
		switch {
		case w == p[3]:
			if d := bytes.Compare(text, b.Bytes(old)); d == 0 || d < 0 == c.max {
				return
			}
		case w < p[3] == c.max:
			return
		}
	}
	if place, ok := b.put(old, text); ok {
		p[0], p[1], p[2], p[3] = by, rankValue, place, w
	}
}

func (c chosenText) Merge(state, from []uint64, b, of *Blocks) {
	if from[1] == rankNone {
		return
	}
	var text []byte
	if from[1] == rankValue {
		text = of.Bytes(from[2])
	}
	c.least((*[4]uint64)(state), from[0], from[1], text, b)
}

func (chosenText) Result(state []uint64, _ *Blocks) Value {
	if state[1] != rankValue {
		return Value{Null: true}
	}
	return Value{Bits: state[2]}
}
