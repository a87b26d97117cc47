package core

import (
	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
)

// A kernel adds stripes of records to the groups of a table: first the row of each record is found or made, then the aggregates go over
// them, each in a loop of its own or several of one argument together (the shape of DuckDB's aggregation). A partition has one, and so has a router that folds.
type kernel struct {
	layout *layout
	table  *table.Table
	off    [stripeRows]uint64

	// The stripe at hand: the words of the keys, and the words of each argument, nil where only its NULLs are counted.
	words [][]uint64
	args  [][]uint64

	from [agg.MaxWords]uint64 // scratch of merge
}

func newKernel(l *layout, t *table.Table) kernel {
	return kernel{layout: l, table: t, words: make([][]uint64, l.keys.Words()), args: make([][]uint64, len(l.args))}
}

// apply adds the records with these hashes, whose keys are k.words with their long strings in heap, and whose arguments are k.args.
// nulls has the NULL bits of each record's arguments; nil where none may be NULL.
func (k *kernel) apply(hashes []uint64, heap []byte, nulls []uint64) {
	rows := k.table.FindOrCreate(hashes, k.words, heap, k.off[:])
	keyWords := k.layout.keys.Words()
	for i := range k.layout.fused {
		f := &k.layout.fused[i]
		f.Update(rows, uintptr(8*keyWords), k.args[f.Arg])
	}
	for i := range k.layout.single {
		s := &k.layout.single[i]
		var args agg.Args
		if s.Arg >= 0 {
			args = agg.Args{Words: k.args[s.Arg], Nulls: nulls, NullBit: uint8(s.Arg)}
		}
		if s.By >= 0 {
			args.By, args.ByNullBit = k.args[s.By], uint8(s.By)
		}
		s.Func.Update(rows, uintptr(8*(keyWords+s.Word)), args)
	}
}

// merge adds partial states: states has their words, column-wise in the order of the row.
func (k *kernel) merge(hashes []uint64, heap []byte, states [][]uint64) {
	rows := k.table.FindOrCreate(hashes, k.words, heap, k.off[:])
	keyWords := k.layout.keys.Words()
	for i := range k.layout.states {
		s := &k.layout.states[i]
		agg.MergeRows(s.fn, rows, uintptr(8*(keyWords+s.word)), states[s.word:s.word+s.fn.Words()], &k.from)
	}
}
