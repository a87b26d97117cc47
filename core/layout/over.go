package layout

import (
	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// OverFunc is a function over the rows of a result.
type OverFunc uint8

// The functions. OverAggregate is an aggregate of the rows of the frame, and OverTexts joins their
// texts.
const (
	OverAggregate OverFunc = iota
	RowNumber
	Rank
	DenseRank
	PercentRank
	CumeDist
	Ntile
	Lag
	Lead
	FirstValue
	LastValue
	NthValue
	OverTexts
)

// A FrameUnit says what the bounds of a frame count.
type FrameUnit uint8

// The units.
const (
	FrameRange  FrameUnit = iota // values of the one expression that rows are ordered by
	FrameRows                    // rows
	FrameGroups                  // groups of rows that tie
)

// A FrameBound is where a frame begins or ends, counted from the row itself.
type FrameBound struct {
	Unbounded bool
	// By is how many rows, groups or units of the value the bound lies after the row; it is before
	// the row if By is negative.
	By int64
	// ByFloat is By for a value that is double precision.
	ByFloat float64
}

// FrameExclusion says which rows of a frame are left out of it.
type FrameExclusion uint8

// The exclusions.
const (
	ExcludeNoOthers   FrameExclusion = iota // no row is left out
	ExcludeCurrentRow                       // the row itself
	ExcludeGroup                            // the row and the rows that tie with it in the order
	ExcludeTies                             // the rows that tie with the row, but not the row itself
)

// An Over is a column that is computed over the rows of a result: by a function of rows that are in
// the same partition, in an order.
type Over struct {
	Name      string
	Func      OverFunc
	Aggregate agg.Func // for OverAggregate
	// Pairs says that an aggregate has two arguments.
	Pairs     bool
	Args      []*expr.Expr
	Partition []*expr.Expr
	Order     []OrderBy // expressions
	Unit      FrameUnit
	Begin     FrameBound
	End       FrameBound
	Exclude   FrameExclusion
	// Separator is between the texts of OverTexts.
	Separator string
	Type      record.Type
}
