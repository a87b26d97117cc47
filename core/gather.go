package core

import (
	"math/bits"

	"github.com/velo-engine/velo/internal/pick"
)

// maxTurns is how many panes of a stripe are gathered; each takes a look at all rows that are left.
// A stripe with more panes hardly has two rows of one pane, so the rest of it is taken in runs of
// rows that follow each other.
const maxTurns = 16

// gathered are the records of one pane, taken out of a stripe that has several. Call begin, then
// next for each pane, in the order of their first rows, and pick for each column. After maxTurns
// panes next gives runs, and the same pane may come again. The vector code keeps a bit for each
// row, the Go code the places of the rows. Both give the same result.
type gathered struct {
	// rows is the number of rows of the stripe.
	rows int
	// turns is the number of panes that have had their turn.
	turns int
	// byPlace says that the rows of the pane are in places and not in mask.
	byPlace bool
	// mask has the rows of the pane, and rest the rows that have not had their turn.
	mask, rest [stripeRows / 64]uint64
	// places has the places of the rows of the pane.
	places [stripeRows]uint32
	// left has the places of the rows that have not had their turn.
	left [stripeRows]uint32
	// many is the number of places in left.
	many int
	// ran is how many of those have had their turn in runs.
	ran int
	// n is the number of rows of the pane.
	n int
	// hashes, nulls, words and args have what was picked.
	hashes, nulls [stripeRows]uint64
	words, args   [][]uint64
}

// allEqual says whether all words are the same. They often are: records mostly come in about the
// order of their time.
func allEqual(words []uint64) bool {
	// The result is looked at once per that many words, for stripes that begin with two panes.
	const at = 64
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

// begin begins a stripe of that many rows.
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

// next is the pane of the first row that has not had its turn, and the number of rows that the pane
// has. The number is 0 when all rows have had their turn.
func (g *gathered) next(panes []uint64) (pane uint64, n int) {
	g.turns++
	if g.turns > maxTurns {
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
		// It cannot be guessed which panes follow each other. So every place is stored twice, and
		// counted only where it belongs.
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

// nextRun is next for a run: the rows that follow the first row left and have the same pane.
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

// vectorRows is how many rows the vector code takes at a time. The rows after the last eight are
// left to the Go code, because nothing after the end of a column may be read.
const vectorRows = 8

func (g *gathered) next512(panes []uint64) (pane uint64, n int) {
	w := 0
	for g.rest[w] == 0 {
		w++
		if w == len(g.rest) {
			return 0, 0
		}
	}
	pane = panes[64*w+bits.TrailingZeros64(g.rest[w])]
	whole := g.rows &^ (vectorRows - 1)
	// The bits of the last rows go here. In a full stripe this word is written again.
	g.mask[g.rows/64&(len(g.mask)-1)] = 0
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
