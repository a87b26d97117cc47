// Package agg has the aggregate functions. A function is metadata; its state is words that somebody else owns, the row of a
// group in a table (package table), as in ClickHouse's IAggregateFunction.
//
// # Shape
//
// A function is bound to its arguments once, when the plan is compiled (Bind). From then on it is called once per stripe of
// up to a few hundred records, never per record: the table has found the row of each record, and Update runs one tight
// loop over rows and values.
//
//	Init        writes the state of a group without records
//	Update      adds records to the states of their groups
//	Merge       adds a state to a state
//	AppendPartial, MergePartial   the same across chunks, processes and disks: bytes, versioned
//	Result      reads the value of a state
//
// A state is a fixed number of words without pointers. What does not fit, a text or a sketch, lies in a block beside the rows (Blocks), and the state has its place. Partial states commute and associate: records may be added in any
// order, in any grouping, on any number of cores, and integers and decimals come out bit for bit the same; float sums
// are compensated (Neumaier) and agree within 1e-13, float variances are kept in twice the precision and agree as well. What min_by and
// max_by choose does not depend on order at all.
//
// # Exactness
//
// Sums of integers and decimals accumulate 128 bits, so that no order of records overflows on the way; a result that does not
// fit the result's type reads as NULL with Overflow set. Averages of integers and decimals divide the exact sum.
// Variances of integers and decimals come from the exact sums of the values (128 bits) and of their squares (192 bits), rounded once;
// those of floats from the deviations from the group's first value: see floatVariance for why that loses nothing. A standard deviation
// is the root of the rounded variance.
// Floats are ordered as PostgreSQL orders them: NaN is greater than everything else, and -0 equals 0. A sum with infinities is infinite,
// with both kinds or a NaN it is NaN; a variance with any of them is NaN. A sum of finite floats that leaves the range of float64 on
// the way reads as infinite or NaN, which PostgreSQL reports as an error.
//
// # The value of another row
//
// min_by(x, y) is the x of the row where y is least, max_by where it is greatest; first and last are the same under the names that
// are usual where y is a time, as in TimescaleDB. SQL has no order of rows but that of a column, and the order of arrival depends on
// the number of threads, so there is no first without a second column. As in Trino, rows whose y is NULL do not count, and x may be
// NULL. Rows with the same y are told apart by x: min_by takes the least, max_by the greatest, NULL where there is no other.
//
// # NULL
//
// NULLs do not count, as in SQL. Over a column that may be NULL, a state has one more word, the number of values; the sum,
// the minimum, the maximum or the average of none is NULL, as are bool_and and bool_or; their count is 0. A variance always counts: of
// one value it is 0 for the population and NULL for a sample.
//
// # Sketches
//
// approx_count_distinct keeps a set of hashes up to 384 different values and HyperLogLog's registers behind that; approx_percentile keeps counts of buckets that are
// 1/64 of their lower bound wide. What they say depends on the set of values only, not on their order nor on how they were spread.
//
// # What is not done
//
// Minimum and maximum of booleans are refused as in PostgreSQL; bool_or and bool_and are those. min_by and max_by do not choose by text.
package agg
