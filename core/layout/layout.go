package layout

import (
	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// A Layout is a compiled plan: where everything lies, in chunks and in the rows of a table.
type Layout struct {
	// Name is the name of the plan.
	Name string
	// Reading is the layout of what is read. It is this layout itself, except for pairs.
	Reading *Layout
	// ValueKey is the key column that has the value, in a layout of pairs of which one column is
	// counted; it is -1 if states are collected.
	ValueKey int
	// Sets are the sets of keys that groups are made by; it is nil if that is all keys alone. The
	// keys of what is read have one more column, GroupingSet.Mark.
	Sets []GroupingSet
	// PresentWord is the word, in a layout of pairs, that counts the records of a pair; it is -1 if
	// no state needs that.
	PresentWord int
	// Source is the schema of the records that are grouped or passed through.
	Source *record.Schema
	// Inner is the schema of the groups.
	Inner *record.Schema
	// Change is the schema of what is written of a plan that emits changes; it is nil for other
	// plans.
	Change *record.Schema
	// Result is the schema of what is read of the groups.
	Result *record.Schema
	// Projection makes the result of the groups; it is nil if they are the same.
	Projection *Projection
	// Keys is the layout of keys.
	Keys *groupkey.Layout
	// Stage makes records of source out of records of the plan's Source; it is nil if they are the
	// same.
	Stage *expr.Program
	// Window is nil if the plan has no windows.
	Window *Windowing
	// Front is the number of columns of the result before the keys.
	Front int
	// PassThrough says that the plan passes records through: there are neither keys nor states.
	PassThrough bool
	// Order is the order of records that pass through; its inner columns are columns of source.
	Order []OrderBy
	// Arranged is what is made of records that pass through when all of them are there; it is nil
	// unless something is computed over all of them. Its expressions are over the plan's Source and
	// the columns of Over.
	Arranged *Projection
	// Columns of the plan's Source lie in the columns of Source with these numbers; -1 is for those
	// that nothing reads. It is there with Arranged.
	FromSource []int
	// Offset is how many records that pass through are left out before the first.
	Offset uint64

	// A chunk has these columns: the hash, the key words, the args whose values are needed, and, if
	// hasNulls, the NULL bits of the args. args are the columns that the aggregates read.
	Args []Argument
	// HasNulls says that some of the args may be NULL.
	HasNulls bool
	// Nulls is the column of the NULL bits.
	Nulls int
	// Columns is the number of columns.
	Columns int
	// Rows is the number of rows that fit a chunk.
	Rows int
	// PartialRows is the number of groups that fit a chunk of partial states.
	PartialRows int
	// RowsWord is the word, among the states of a group, of the state that counts its records; it
	// is -1 if there is none.
	RowsWord int
	// StampWord is the word, among the states of a group, that has the epoch in which the group
	// changed last; it is -1 if there is none.
	StampWord int
	// HeapAt is the word of a chunk's data at which the heap begins; it is len(data) if there is no
	// heap.
	HeapAt int
	// Sided are the states that have blocks.
	Sided []AggState
	// TextArgs are the indexes of the args that are texts and whose values are needed.
	TextArgs []int

	// A row of a table has the key words, then the states.
	States []AggState
	// Init has the words of the states of a new group.
	Init []uint64
	// Fused are the loops that update several states at once.
	Fused []agg.Fused
	// Single are the states that have a loop of their own.
	Single []agg.Placed

	// Outputs are the columns of the result after the keys.
	Outputs []Output

	// Panics has the panic of a user's function that happened while a result was read.
	Panics *usercode.Note
}

// A GroupingSet is a set of the keys of a plan. A group of it has NULL in the place of other keys.
type GroupingSet struct {
	// Keep says of each key whether it is in the set.
	Keep []bool
	// Mark is the value of the last key column: the number of the set, times 1<<32, and a bit for
	// each key that is not in the set.
	Mark uint64
}

// Argument is a column of the source that some aggregate reads; its position among the arguments is
// its NULL bit.
type Argument struct {
	Source int
	Typ    record.Type
	Column int // column of a chunk, -1 if only the NULLs are counted
}

// AggState is one state in a row. Aggregates that can share a state do.
type AggState struct {
	Kind agg.Kind
	Fn   agg.Func
	Word int // counted from the end of the key words
	Arg  int // in layout.args, -1 for count(*)
	By   int // the second argument, -1 for none

	Distinct bool // the state counts pairs
	// Collect is how the state is made of the values of a group; it is nil for states that are
	// merged.
	Collect *Collect
}

// Output is an aggregate of the result: how to read which state.
type Output struct {
	Fn   agg.Func
	Word int
	// Side says that the value is a text that lies beside the groups, see Collect.
	Side bool
	// Texts makes the texts of the function when they are read; it is nil for other functions.
	Texts agg.Texter
	// Values is the word that counts the values, for a function whose state does not say that there
	// are none; it is -1 for other functions.
	Values int
}

// Value reads the states of a group.
func (o *Output) Value(states []uint64, blocks *agg.Blocks) agg.Value {
	if o.Values >= 0 && states[o.Values] == 0 {
		return agg.Value{Null: true}
	}
	return o.Fn.Result(states[o.Word:], blocks)
}

// HeapSize is how many bytes of strings and blocks fit a chunk.
func (l *Layout) HeapSize() int { return 8 * (ChunkWords - l.HeapAt) }

// MaxText is how many bytes of strings a record may have together, as far as the plan reads them.
// If states have blocks, it leaves room in a chunk for any block beside the key.
func (l *Layout) MaxText() int {
	if len(l.Sided) > 0 {
		return l.HeapSize() - agg.MaxBlockBytes - agg.LineBytes
	}
	return l.HeapSize()
}

// Memory is m for tables of this layout.
func (l *Layout) Memory(m table.Memory) table.Memory {
	m.Blocks = len(l.Sided) > 0
	return m
}

// BlockBytes bounds the bytes of blocks that n records take whose texts have textBytes bytes
// together.
func (l *Layout) BlockBytes(n, textBytes int) (bytes int) {
	for _, s := range l.Sided {
		if f, ok := s.Fn.(agg.Sided); ok {
			bytes += f.Need(n, textBytes)
		}
	}
	return bytes
}

// BlockBytes is the room that the block of a state takes in the heap of a chunk, in which it begins
// at a line.
func (s *AggState) BlockBytes(states []uint64) int {
	place := agg.BlockOf(s.Fn, states[s.Word:])
	if place == nil {
		return 0
	}
	_, n := groupkey.LongPlace(*place)
	return agg.LineBytes + int(n)
}

const (
	// ChunkBytes is the size of a chunk, the slot of a ring. 64 KiB moves from core to core at the
	// speed of memory, and a few chunks for each ring still fit the caches.
	ChunkBytes = 64 << 10

	// MaxChunkRows bounds the rows of a chunk, so that a position in a chunk fits 16 bits.
	MaxChunkRows = 1<<16 - 1

	// ChunkHeader is the size of what comes before the columns of a chunk.
	ChunkHeader = 128
	// ChunkWords is the number of words of the columns and the heap of a chunk.
	ChunkWords = (ChunkBytes - ChunkHeader) / 8
)
