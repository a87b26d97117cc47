package core

import (
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
)

// A kernel adds stripes of records to the groups of a table: first the row of each record is found or made, then the aggregates go over
// them, each in a loop of its own or several of one argument together (the shape of DuckDB's aggregation). A partition has one, and so has a router that folds.
type kernel struct {
	layout *layout
	table  *table.Table
	off    [stripeRows]uint64
	some   [2 * stripeRows]uint64 // scratch, for stripes with NULLs
	paces  []agg.Pace             // of the layout's fused functions

	// The stripe at hand: the words of the keys, and the words of each argument, nil where only its NULLs are counted.
	words [][]uint64
	args  [][]uint64
	texts [][]byte // where the texts of each argument lie

	stamp uint64 // of groups that change now, of a plan that emits changes

	from       [agg.MaxWords]uint64 // scratch of merge
	lentBlocks agg.Blocks           // of the chunk whose partial states are merged

	gathered *gathered // of a plan with windows
}

func newKernel(l *layout, t *table.Table) kernel {
	k := kernel{layout: l, table: t, words: make([][]uint64, l.keys.Words()), args: make([][]uint64, len(l.args)), texts: make([][]byte, len(l.args)), paces: make([]agg.Pace, len(l.fused))}
	if l.window != nil {
		k.gathered = &gathered{words: make([][]uint64, len(k.words)), args: make([][]uint64, len(k.args))}
		for _, columns := range [][][]uint64{k.gathered.words, k.gathered.args} {
			for c := range columns {
				columns[c] = make([]uint64, stripeRows)
			}
		}
	}
	return k
}

// applyPanes is apply for records of several panes: a word each says which, or one word for all. tableOf gives the table for so many records of a pane, nil where they
// are dropped; done is called with it behind that.
func (k *kernel) applyPanes(panes []uint64, hashes []uint64, heap []byte, nulls []uint64,
	tableOf func(pane window.Pane, n int) *table.Table, done func(*table.Table),
) {
	if allEqual(panes) {
		if k.table = tableOf(window.Pane(panes[0]), len(hashes)); k.table != nil {
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
		if k.table = tableOf(window.Pane(pane), n); k.table == nil {
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

// apply adds the records with these hashes, whose keys are k.words with their long strings in heap, and whose arguments are k.args.
// nulls has the NULL bits of each record's arguments; nil where none may be NULL.
func (k *kernel) apply(hashes []uint64, heap []byte, nulls []uint64) {
	keyWords := k.layout.keys.Words()
	var some uint64 // arguments that have a NULL in the stripe
	for _, bits := range nulls {
		some |= bits
	}
	if some == 0 {
		nulls = nil
	}
	var rows agg.Rows
	fused := k.layout.fused
	done := 0
	if keyWords == 1 && len(fused) > 0 && some>>fused[0].Arg&1 == 0 && fused[0].Finds(&k.paces[0]) {
		rows = k.table.FindAndUpdate(hashes, k.words, k.off[:], table.Update{Loop: &fused[0], States: uintptr(8 * keyWords), Values: k.args[fused[0].Arg], Pace: &k.paces[0]})
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
		f.UpdateSome(rows, uintptr(8*keyWords), agg.Args{Words: k.args[f.Arg], Nulls: nulls, NullBit: uint8(f.Arg)}, k.some[:], &k.paces[i])
	}
	for i := range k.layout.single {
		s := &k.layout.single[i]
		var args agg.Args
		if s.Arg >= 0 {
			args = agg.Args{Words: k.args[s.Arg], Text: k.texts[s.Arg], Nulls: nulls, NullBit: uint8(s.Arg)}
		}
		if s.By >= 0 {
			args.By, args.ByNullBit = k.args[s.By], uint8(s.By)
		}
		s.Func.Update(rows, uintptr(8*(keyWords+s.Word)), args)
	}
}

// merge adds partial states: states has their words, column-wise in the order of the row, of their blocks.
func (k *kernel) merge(hashes []uint64, heap []byte, states [][]uint64, of *agg.Blocks) {
	rows := k.table.FindOrCreate(hashes, k.words, heap, k.off[:])
	keyWords := k.layout.keys.Words()
	k.stampRows(rows)
	for i := range k.layout.states {
		s := &k.layout.states[i]
		agg.MergeRows(s.fn, rows, uintptr(8*(keyWords+s.word)), states[s.word:s.word+s.fn.Words()], of, &k.from)
	}
}

// stampRows notes in which epoch the groups have changed, where the plan wants to know.
func (k *kernel) stampRows(rows agg.Rows) {
	w := k.layout.stampWord
	if w < 0 {
		return
	}
	// In bounds: the places are those of rows, and a row has the word.
	base := unsafe.Add(rows.Base, 8*(k.layout.keys.Words()+w))
	for _, off := range rows.Off {
		*(*uint64)(unsafe.Add(base, off)) = k.stamp
	}
}
