package result

import (
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// frameCase is a column over rows with random values and a random frame.
type frameCase struct {
	over   layout.Over
	values []expr.Value // what the rows are ordered by; they are in that order
}

// bounds are distances of a bound from its row, in rows, groups or units of the value.
var bounds = []int64{
	0, 1, 2, 3, 10, math.MaxInt64, math.MaxInt64 - 1, -1, -2, -3, -10, -math.MaxInt64, -math.MaxInt64 + 1,
}

func someFrame(rng *rand.Rand) frameCase {
	c := frameCase{over: layout.Over{Unit: []layout.FrameUnit{
		layout.FrameRows, layout.FrameGroups, layout.FrameRange,
	}[rng.IntN(3)]}}
	by := layout.OrderBy{
		Typ: record.Int64, Desc: rng.IntN(2) == 0, NullsFirst: rng.IntN(2) == 0,
		Projected: layout.Projected{Inner: -1, Expr: &expr.Expr{}},
	}
	c.over.Order = []layout.OrderBy{by}
	for _, b := range []*layout.FrameBound{&c.over.Begin, &c.over.End} {
		b.Unbounded = rng.IntN(4) == 0
		if !b.Unbounded {
			b.By = bounds[rng.IntN(len(bounds))]
		}
	}
	extremes := []int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64 - 1, math.MaxInt64}
	for range 1 + rng.IntN(9) {
		v := expr.Value{Bits: uint64(rng.Int64N(7) - 3)}
		switch rng.IntN(8) {
		case 0:
			v = expr.Value{Null: true}
		case 1:
			v.Bits = uint64(extremes[rng.IntN(len(extremes))])
		}
		c.values = append(c.values, v)
	}
	return c
}

// has says whether row j is in the frame of row i by the definition, in numbers without bounds. at
// has the place of each row in the order, and group the number of its group of ties.
func (c *frameCase) has(at, group []int, i, j int) bool {
	// beyond compares row j with the row i moved by a bound.
	beyond := func(by int64) int {
		switch c.over.Unit {
		case layout.FrameRows:
			return big.NewInt(int64(at[j] - at[i])).Cmp(big.NewInt(by))
		case layout.FrameGroups:
			return big.NewInt(int64(group[j] - group[i])).Cmp(big.NewInt(by))
		}
		// NULLs are near each other, and far from everything else.
		if c.values[i].Null || c.values[j].Null || by == 0 {
			return cmp.Compare(group[j], group[i])
		}
		d := new(big.Int).Sub(big.NewInt(int64(c.values[j].Bits)), big.NewInt(int64(c.values[i].Bits)))
		if c.over.Order[0].Desc {
			d.Neg(d)
		}
		return d.Cmp(big.NewInt(by))
	}
	return (c.over.Begin.Unbounded || beyond(c.over.Begin.By) >= 0) &&
		(c.over.End.Unbounded || beyond(c.over.End.By) <= 0)
}

// Goal: the frame of each row has the rows that its definition says, also if the sum of a place or
// a value and a distance does not fit 64 bits. Method: the first and the last row of random frames,
// against the definition in big numbers.
func TestFrames(t *testing.T) {
	for seed := range uint64(20_000) {
		c := someFrame(rand.New(rand.NewPCG(seed, 5)))
		row := &expr.Expr{}
		of := func(i int, e *expr.Expr) expr.Value {
			if e == row {
				return expr.Value{Bits: uint64(i)}
			}
			return c.values[i]
		}
		number := layout.Over{Func: layout.RowNumber, Order: c.over.Order}
		dense := layout.Over{Func: layout.DenseRank, Order: c.over.Order}
		first, last := c.over, c.over
		first.Func, first.Args = layout.FirstValue, []*expr.Expr{row}
		last.Func, last.Args = layout.LastValue, []*expr.Expr{row}
		n := len(c.values)
		columns := computeOver([]layout.Over{number, dense, first, last}, n, of)
		at, group := make([]int, n), make([]int, n)
		for i := range n {
			at[i], group[i] = int(columns[0][i].Bits), int(columns[1][i].Bits)
		}
		for i := range n {
			low, high := -1, -1 // the rows of the frame that are first and last in the order
			for j := range n {
				if !c.has(at, group, i, j) {
					continue
				}
				if low < 0 || at[j] < at[low] {
					low = j
				}
				if high < 0 || at[j] > at[high] {
					high = j
				}
			}
			for k, want := range []int{low, high} {
				got := columns[2+k][i]
				if got.Null != (want < 0) || want >= 0 && got.Bits != uint64(want) {
					t.Fatalf("seed %d: values %v, frame %+v: row %d has %+v as an end of its frame, expected %d", seed,
						c.values, c.over, i, got, want)
				}
			}
		}
	}
}
