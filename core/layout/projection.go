package layout

import (
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// Projection is what is done to groups when they are read: SELECT's expressions, HAVING, ORDER BY,
// LIMIT.
type Projection struct {
	Having *expr.Expr
	// Copies is how often each row is there, a bigint; nil is once.
	Copies *expr.Expr
	// Over are columns that are computed over all rows that Having lets through. They come after
	// the columns of the groups.
	Over []Over
	// Qualify is a condition of those columns; nil lets all rows through.
	Qualify *expr.Expr
	// Distinct leaves out rows that are equal to another.
	Distinct bool
	Columns  []Projected // the columns of the result
	Order    []OrderBy
	Offset   uint64
	Limit    uint64
	Limited  bool
}

// Projected is a column of the result: an inner column, or an expression over inner columns.
type Projected struct {
	Inner int // -1 if it is an expression
	Expr  *expr.Expr
}

// OrderBy is a column or an expression that rows are ordered by.
type OrderBy struct {
	Projected
	Typ              record.Type
	Desc, NullsFirst bool
}

// Compare orders two values: it is negative if a comes first.
func (o OrderBy) Compare(a, b expr.Value) int {
	switch {
	case a.Null && b.Null:
		return 0
	case a.Null || b.Null:
		if a.Null == o.NullsFirst {
			return -1
		}
		return 1
	}
	c := expr.Compare(o.Typ, a, b)
	if o.Desc {
		return -c
	}
	return c
}
