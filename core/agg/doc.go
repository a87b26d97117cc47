// Package agg has the aggregate functions. A function is metadata; its state is words that somebody else owns, the row of a
// group in a table (package table), as in ClickHouse's IAggregateFunction.
//
// # Shape
//
// A function is bound to its argument once, when the plan is compiled (Bind). From then on it is called once per stripe of
// up to a few hundred records, never per record: the table has found the row of each record, and Update runs one tight
// loop over rows and values.
//
//	Init        writes the state of a group without records
//	Update      adds records to the states of their groups
//	Merge       adds a state to a state
//	AppendPartial, MergePartial   the same across chunks, processes and disks: bytes, versioned
//	Result      reads the value of a state
//
// A state is a fixed number of words without pointers. Partial states commute and associate: records may be added in any
// order, in any grouping, on any number of cores, and integers and decimals come out bit for bit the same; float sums
// are compensated (Neumaier) and agree within 1e-13.
//
// # Exactness
//
// Sums of integers and decimals accumulate 128 bits, so that no order of records overflows on the way; a result that does not
// fit the result's type reads as NULL with Overflow set. Averages of integers and decimals divide the exact sum.
// Floats are ordered as PostgreSQL orders them: NaN is greater than everything else, and -0 equals 0.
//
// # NULL
//
// NULLs do not count, as in SQL. Over a column that may be NULL, a state has one more word, the number of values; the sum,
// the minimum, the maximum or the average of none is NULL, their count is 0.
package agg
