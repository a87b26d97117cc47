package core

import (
	"math"
	"unsafe"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

// ChunkBytes is the size of a chunk.
const ChunkBytes = layout.ChunkBytes

type chunkKind uint32

const (
	chunkRows     chunkKind = 1 + iota // records in columns
	chunkPartials                      // partial states of groups
	chunkMark                          // the mark of an epoch; what comes after it is not in that
	// The mark of the end of input, and of every later epoch: nothing comes after it.
	chunkEnd
)

// These watermarks are not times.
const (
	watermarkNone = math.MinInt64 // no record has come yet
	// No record has come for so long that the reader does not hold windows back.
	watermarkIdle = math.MaxInt64 - 1
	// No record will come, or the records that come do not matter yet.
	watermarkEnd = math.MaxInt64
)

// A Chunk is one slot of a ring: rows of one reader for one partition, or a mark. It has no Go
// pointers.
//
// Its columns lie one after the other, each with room for layout.rows words: hash, key words,
// arguments, and the NULL bits of the arguments if the plan has any that may be NULL. A chunk of
// partial states has room for layout.partialRows in each column: hash, key words, states. The bytes
// of long strings lie in the heap after the columns.
type Chunk struct {
	kind      chunkKind
	rows      uint32
	heapBytes uint32 // the used bytes of the heap
	reader    plan.ReaderID
	// counters are the reader's counters in a mark: what it had routed before the mark.
	counters result.Counters
	// epoch is the epoch of a mark; in a chunk of partial states it is their pane.
	epoch uint64
	// watermark is the reader's watermark in a mark: see watermarkNone.
	watermark int64
	_         [layout.ChunkHeader - 32 - unsafe.Sizeof(result.Counters{})]byte

	data [layout.ChunkWords]uint64
}

// A chunk is as large as its name says, and its columns begin on a cache line of their own.
var (
	_ [layout.ChunkBytes]byte  = [unsafe.Sizeof(Chunk{})]byte{}
	_ [layout.ChunkHeader]byte = [unsafe.Offsetof(Chunk{}.data)]byte{}
)

// column is the first n rows of column i of a chunk.
func (c *Chunk) column(l *layout.Layout, i, n int) []uint64 {
	return c.data[i*l.Rows : i*l.Rows+n]
}

// partialColumn is the first n rows of column i of a chunk of partial states.
func (c *Chunk) partialColumn(l *layout.Layout, i, n int) []uint64 {
	return c.data[i*l.PartialRows : i*l.PartialRows+n]
}

// heap is the memory for the bytes of long strings. The access is in bounds: heapAt is at most the
// number of words.
func (c *Chunk) heap(l *layout.Layout) []byte {
	w := c.data[l.HeapAt:]
	if len(w) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), 8*len(w))
}

func (c *Chunk) begin(kind chunkKind, reader plan.ReaderID) {
	c.kind, c.reader, c.rows, c.heapBytes = kind, reader, 0, 0
}
