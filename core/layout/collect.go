package layout

import "github.com/velo-engine/velo/record"

// A Collect says how a state is made of the values of a group when the group is read. The values
// are key columns of the layout of what is kept.
type Collect struct {
	// Value is the key column that has the value, and Type its type.
	Value int
	Type  record.Type
	// Distinct takes each value once.
	Distinct bool
	// Order is what the values are ordered by first; Inner is a key column.
	Order []OrderBy
	// Nulls takes NULLs too.
	Nulls bool
	// Filter is the key column that must be true; it is -1 if there is none.
	Filter int
	// Fraction is the argument of a percentile.
	Fraction float64
	// Separator is what a list of texts has between them.
	Separator string

	// Names has the names of the columns: of the value, of the filter, of the order.
	Names []string
}
