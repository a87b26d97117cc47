package agg

import (
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/record"
)

// A Local is one state of a function, in the Go heap. It is for functions over the rows of a
// result, which are few; groups have their states in tables.
type Local struct {
	fn     Func
	state  [MaxWords]uint64
	blocks Blocks
	lines  []uint64
	words  [1]uint64
	by     [1]uint64
	off    [1]uint64
}

// NewLocal makes a state of no values.
func NewLocal(f Func) *Local {
	l := &Local{fn: f}
	l.blocks = NewBlocks(func(lines uint32) bool {
		grown := make([]uint64, max(2*len(l.lines), int(lines)*LineBytes/8))
		copy(grown, l.lines)
		l.lines = grown
		l.blocks.SetMemory(unsafe.Pointer(&l.lines[0]), uint32(len(l.lines)*8/LineBytes), nil)
		return true
	})
	f.Init(l.state[:])
	return l
}

// Reset makes it a state of no values again.
func (l *Local) Reset() {
	l.blocks.Reset()
	l.fn.Init(l.state[:])
}

// Add adds a record whose values are not NULL: the words of its arguments, or the text of the
// first.
func (l *Local) Add(word, by uint64, text string) {
	a := Args{Words: l.words[:], By: l.by[:], Text: []byte(text)}
	l.words[0], l.by[0] = word, by
	if text != "" {
		l.words[0] = groupkey.PlaceLong(0, uint64(len(text)))
	}
	l.fn.Update(Rows{Base: unsafe.Pointer(&l.state[0]), Off: l.off[:], Blocks: &l.blocks}, 0, a)
}

// Result is the value, and its text if it is one.
func (l *Local) Result() (Value, string) {
	v := l.fn.Result(l.state[:], &l.blocks)
	if v.Null || l.fn.Type().Kind() != record.String {
		return v, ""
	}
	if t := TexterOf(l.fn); t != nil {
		return v, string(t.AppendText(nil, l.state[:], &l.blocks))
	}
	return v, string(l.blocks.Bytes(v.Bits))
}
