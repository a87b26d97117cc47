// Package agg has the aggregate functions. A function is metadata. Its state is words that belong
// to another package: they lie in the row of a group in a table (package table), as in ClickHouse's
// IAggregateFunction.
//
// # Shape
//
// A function is bound to its arguments once, when the plan is compiled (Bind). From then on it is
// called once for each stripe of up to a few hundred records, and never for each record. The table
// has found the row of each record, and Update runs one tight loop over rows and values.
//
//	Init        writes the state of a group without records
//	Update      adds records to the states of their groups
//	Merge       adds a state to a state
//	AppendPartial, MergePartial   the same across chunks, processes and disks: bytes, versioned
//	Result      reads the value of a state
//
// A state is a fixed number of words without pointers. What does not fit, such as a text or a
// sketch, lies in a block beside the rows (Blocks), and the state has its place. Partial states
// commute and associate: records may be added in any order, in any grouping and on any number of
// cores. The results for integers and decimals are the same bit for bit. Float sums are compensated
// (Neumaier) and agree within 1e-13. Float variances are kept in twice the precision and agree as
// well. What min_by and max_by choose does not depend on the order at all.
//
// # Exactness
//
// Sums of integers and decimals have 128 bits, so that no order of records overflows on the way. A
// result that does not fit its type reads as NULL with Overflow set. Averages of integers and
// decimals divide the exact sum. Variances of integers and decimals are computed from the exact
// sums of the values (128 bits) and of their squares (192 bits), and are rounded once. Variances of
// floats are computed from the deviations from the group's first value; floatVariance explains why
// that loses nothing. A standard deviation is the root of the rounded variance.
//
// Floats are ordered as in PostgreSQL: NaN is greater than everything else, and -0 equals 0. A sum
// with infinities of one sign is infinite. With infinities of both signs or a NaN the sum is NaN. A
// variance with any of them is NaN. A sum of finite floats that leaves the range of float64 on the
// way reads as infinite or NaN, which PostgreSQL reports as an error.
//
// # The value of another row
//
// min_by(x, y) is the x of the row in which y is least, and max_by(x, y) the x of the row in which
// it is greatest. first and last are the same functions under the names that are usual if y is a
// time, as in TimescaleDB. In SQL only a column gives rows an order, and the order of arrival
// depends on the number of threads, so there is no first without a second column. As in Trino, rows
// whose y is NULL do not count, and x may be NULL. Among rows with the same y, x decides: min_by
// takes the least and max_by the greatest x, and NULL only if there is no other.
//
// # NULL
//
// NULLs do not count, as in SQL. Over a column that may be NULL, a state has one more word, the
// number of values. The sum, the minimum, the maximum and the average of no values are NULL, and so
// are bool_and and bool_or. The count of no values is 0. A variance always counts its values: of
// one value it is 0 for the population and NULL for a sample.
//
// # Sketches
//
// approx_count_distinct keeps a set of hashes up to 384 distinct values, and HyperLogLog's
// registers above that. approx_percentile keeps counts of buckets that are 1/64 of their lower
// bound wide. Their results depend only on the set of values, and not on the order of the values or
// on how they were spread.
//
// The states of both can be written out as texts, which other queries merge; see the top of
// statetext.go for the format.
//
// approx_top_k counts up to 384 values, and beyond that has an error that it says (topK).
// reservoir_sample keeps the values of random records (sample). What approx_top_k gives beyond its
// room, and the sample, depend on the order of records and on how they were spread.
//
// # Two columns, and all values
//
// corr and its relatives take two columns of floats; they share one state (pairs). The functions of
// all values of a group at once, such as percentile_cont and string_agg, have no state that records
// are added to: their values are groups of their own, and the reader makes the result (collected).
//
// # What is not done
//
// Minimum and maximum of booleans are refused as in PostgreSQL; bool_and and bool_or do the same.
// min_by and max_by do not choose by a text.
package agg
