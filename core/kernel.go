package core

import (
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
)

// A kernel adds stripes of records to the groups of a table. First it finds or makes the row of
// each record. Then the aggregates go over the rows, each in a loop of its own, or several of one
// argument in one loop (the shape of DuckDB's aggregation). A partition has a kernel, and so has a
// router that folds.
type kernel struct {
	layout *layout.Layout
	table  *table.Table
	// off has the place of each record's row.
	off [stripeRows]uint64
	// some is scratch for stripes with NULLs.
	some [2 * stripeRows]uint64
	// paces are the paces of the layout's fused functions.
	paces []agg.Pace

	// words has the words of the keys of the stripe at hand.
	words [][]uint64
	// args has the words of each argument of the stripe; it is nil for an argument of which only
	// the NULLs are counted.
	args [][]uint64
	// texts says where the texts of each argument lie.
	texts [][]byte

	// stamp is the epoch of groups that change now, for a plan that emits changes.
	stamp uint64

	// from is scratch of merge.
	from [agg.MaxWords]uint64
	// lentBlocks are the blocks of the chunk whose partial states are merged.
	lentBlocks agg.Blocks

	// gathered is there for a plan with windows.
	gathered *gathered
}

func newKernel(l *layout.Layout, t *table.Table) kernel {
	k := kernel{
		layout: l, table: t, words: make([][]uint64, l.Keys.Words()), args: make([][]uint64, len(l.Args)),
		texts: make([][]byte, len(l.Args)), paces: make([]agg.Pace, len(l.Fused)),
	}
	if l.Window != nil {
		k.gathered = &gathered{words: make([][]uint64, len(k.words)), args: make([][]uint64, len(k.args))}
		for _, columns := range [][][]uint64{k.gathered.words, k.gathered.args} {
			for c := range columns {
				columns[c] = make([]uint64, stripeRows)
			}
		}
	}
	return k
}

// applyPanes is apply for records of several panes. panes has a word for each record that says
// which pane it is of, or one word for all. tableOf gives the table for n records of a pane; it is
// nil if they are dropped. After the records have been added to a table, done is called with it.
func (k *kernel) applyPanes(panes []uint64, hashes []uint64, heap []byte, nulls []uint64,
	tableOf func(pane window.Pane, n int) *table.Table, done func(*table.Table),
) {
	if allEqual(panes) {
		k.table = tableOf(window.Pane(panes[0]), len(hashes))
		if k.table != nil {
			k.apply(hashes, heap, nulls)
			done(k.table)
		}
		return
	}
	g := k.gathered
	words, args := k.words, k.args
	g.begin(len(panes))
	for {
		pane, n := g.next(panes)
		if n == 0 {
			return
		}
		k.table = tableOf(window.Pane(pane), n)
		if k.table == nil {
			continue
		}
		k.words, k.args = g.words, g.args
		for w, from := range words {
			g.words[w] = g.pick(g.words[w], from)
		}
		for a, from := range args {
			if from == nil {
				g.args[a] = g.args[a][:0]
				continue
			}
			g.args[a] = g.pick(g.args[a], from)
		}
		var some []uint64
		if nulls != nil {
			some = g.pick(g.nulls[:], nulls)
		}
		k.apply(g.pick(g.hashes[:], hashes), heap, some)
		k.words, k.args = words, args
		done(k.table)
	}
}

// apply adds the records with these hashes. Their keys are k.words, with their long strings in
// heap, and their arguments are k.args. nulls has the NULL bits of each record's arguments; it is
// nil if none can be NULL.
func (k *kernel) apply(hashes []uint64, heap []byte, nulls []uint64) {
	keyWords := k.layout.Keys.Words()
	var some uint64 // arguments that have a NULL in the stripe
	for _, bits := range nulls {
		some |= bits
	}
	if some == 0 {
		nulls = nil
	}
	var rows agg.Rows
	fused := k.layout.Fused
	done := 0
	if keyWords == 1 && len(fused) > 0 && some>>fused[0].Arg&1 == 0 && fused[0].Finds(&k.paces[0]) {
		rows = k.table.FindAndUpdate(hashes, k.words, k.off[:],
			table.Update{
				Loop: &fused[0], States: uintptr(8 * keyWords), Values: k.args[fused[0].Arg],
				Pace: &k.paces[0],
			})
		done = 1
	} else {
		rows = k.table.FindOrCreate(hashes, k.words, heap, k.off[:])
	}
	k.stampRows(rows)
	for i := done; i < len(fused); i++ {
		f := &fused[i]
		if some>>f.Arg&1 == 0 {
			f.Update(rows, uintptr(8*keyWords), k.args[f.Arg], &k.paces[i])
			continue
		}
		f.UpdateSome(rows, uintptr(8*keyWords), agg.Args{Words: k.args[f.Arg], Nulls: nulls, NullBit: uint8(f.Arg)},
			k.some[:], &k.paces[i])
	}
	for i := range k.layout.Single {
		s := &k.layout.Single[i]
		var args agg.Args
		if s.Arg >= 0 {
			args = agg.Args{Words: k.args[s.Arg], Text: k.texts[s.Arg], Nulls: nulls, NullBit: uint8(s.Arg)}
		}
		if s.By >= 0 {
			args.By, args.ByText, args.ByNullBit = k.args[s.By], k.texts[s.By], uint8(s.By)
		}
		s.Func.Update(rows, uintptr(8*(keyWords+s.Word)), args)
	}
}

// merge adds partial states. states has their words, column by column in the order of the row; of
// has their blocks.
func (k *kernel) merge(hashes []uint64, heap []byte, states [][]uint64, of *agg.Blocks) {
	rows := k.table.FindOrCreate(hashes, k.words, heap, k.off[:])
	keyWords := k.layout.Keys.Words()
	k.stampRows(rows)
	for i := range k.layout.States {
		s := &k.layout.States[i]
		agg.MergeRows(s.Fn, rows, uintptr(8*(keyWords+s.Word)), states[s.Word:s.Word+s.Fn.Words()], of, &k.from)
	}
}

// stampRows notes in which epoch the groups have changed, if the plan wants to know that.
func (k *kernel) stampRows(rows agg.Rows) {
	w := k.layout.StampWord
	if w < 0 {
		return
	}
	// The accesses are in bounds: the places are the places of rows, and a row has the word.
	base := unsafe.Add(rows.Base, 8*(k.layout.Keys.Words()+w))
	for _, off := range rows.Off {
		*(*uint64)(unsafe.Add(base, off)) = k.stamp
	}
}
