package core

import (
	"math/bits"

	"github.com/velo-engine/velo/internal/pick"
)

// maxTurns is how many panes of a stripe are gathered, each by a look at all rows that are left. A stripe of more has hardly two rows
// of one pane, and the others of it are taken in runs of rows that follow each other.
const maxTurns = 16

// gathered are the records of one pane, taken out of a stripe that has several: begin, then next for each pane, in the order in which they
// come first, and pick for each column. After maxTurns panes, next gives runs, and the same pane may come again. The vectors keep a bit
// for each row, Go the places of the rows; both leave the same.
type gathered struct {
	rows          int
	turns         int                     // panes that have had theirs
	byPlace       bool                    // the rows of the pane are in places, not in mask
	mask, rest    [stripeRows / 64]uint64 // rows of the pane; those that have not had their turn
	places        [stripeRows]uint32
	left          [stripeRows]uint32 // places of those that have not had their turn
	many          int                // of them
	ran           int                // of them had their turn in runs
	n             int                // of the pane
	hashes, nulls [stripeRows]uint64
	words, args   [][]uint64
}

// allEqual says whether all words are the same: records mostly come in about the order of their time.
func allEqual(words []uint64) bool {
	const at = 64 // a look at the result now and then, for stripes that begin with two panes
	for first := words[0]; len(words) > 0; {
		some := words[:min(at, len(words))]
		var differ uint64
		for _, w := range some {
			differ |= w ^ first
		}
		if differ != 0 {
			return false
		}
		words = words[len(some):]
	}
	return true
}

// begin begins a stripe of so many rows.
func (g *gathered) begin(rows int) {
	g.rows, g.turns, g.byPlace = rows, 0, !have512
	if have512 {
		for w := range g.rest {
			g.rest[w] = ^uint64(0) >> (64 - min(max(rows-64*w, 0), 64))
		}
		return
	}
	g.many = rows
	for i := range g.left[:rows] {
		g.left[i] = uint32(i)
	}
}

// next is the pane of the first row that has not had its turn, and how many rows it has; none when all have had theirs.
func (g *gathered) next(panes []uint64) (pane uint64, n int) {
	if g.turns++; g.turns > maxTurns {
		return g.nextRun(panes)
	}
	if have512 {
		return g.next512(panes)
	}
	if g.many == 0 {
		return 0, 0
	}
	left := g.left[:g.many]
	pane = panes[left[0]]
	rest := 0
	for _, i := range left {
		// Which panes follow each other cannot be guessed, so every place is stored twice and counted where it belongs.
		g.places[n&(stripeRows-1)] = i
		left[rest] = i
		other := 0
		if panes[i] != pane {
			other = 1
		}
		rest += other
		n += 1 - other
	}
	g.many, g.n = rest, n
	return pane, n
}

// nextRun is next for the run of rows that the first one left begins.
func (g *gathered) nextRun(panes []uint64) (pane uint64, n int) {
	if !g.byPlace {
		g.many, g.byPlace = 0, true
		for w, rest := range g.rest {
			for ; rest != 0; rest &= rest - 1 {
				g.left[g.many] = uint32(64*w + bits.TrailingZeros64(rest))
				g.many++
			}
		}
	}
	if g.turns == maxTurns+1 {
		g.ran = 0
	}
	left := g.left[g.ran:g.many]
	if len(left) == 0 {
		return 0, 0
	}
	pane = panes[left[0]]
	for n < len(left) && panes[left[n]] == pane {
		g.places[n] = left[n]
		n++
	}
	g.ran, g.n = g.ran+n, n
	return pane, n
}

// pick copies the rows of the pane out of a column; to has room for a stripe.
func (g *gathered) pick(to, from []uint64) []uint64 {
	to = to[:stripeRows]
	if !g.byPlace {
		return pick.Words(to, from[:g.rows], g.mask[:])
	}
	for i, at := range g.places[:g.n] {
		to[i] = from[at]
	}
	return to[:g.n]
}

// vectorRows is how many rows the vectors take at a time; those behind the last eight are left to Go, as nothing behind a column may be read.
const vectorRows = 8

func (g *gathered) next512(panes []uint64) (pane uint64, n int) {
	w := 0
	for g.rest[w] == 0 {
		if w++; w == len(g.rest) {
			return 0, 0
		}
	}
	pane = panes[64*w+bits.TrailingZeros64(g.rest[w])]
	whole := g.rows &^ (vectorRows - 1)
	g.mask[g.rows/64&(len(g.mask)-1)] = 0 // where the bits of the last rows go; of a full stripe it is written again
	if whole > 0 {
		equal512(&g.mask, &panes[0], pane, whole/vectorRows)
	}
	for i := whole; i < g.rows; i++ {
		if panes[i] == pane {
			g.mask[i/64] |= 1 << (i % 64)
		}
	}
	for w := range (g.rows + 63) / 64 {
		g.rest[w] &^= g.mask[w]
		n += bits.OnesCount64(g.mask[w])
	}
	return pane, n
}
