// Package sql compares velo's SQL with that of PostgreSQL, DuckDB and SQLite: random queries over random tables, row by row. There is nothing in it but the test:
//
//	go test ./sql -count=1            # in bench/peers; VELO_DIFF=20000 for more queries, VELO_SEED=n for one again
//
// # How
//
// A grammar (maker_test.go) has all that velo takes. Each oracle has it too, says it otherwise, or has not got it: its says is the list of that. PostgreSQL's says is where velo means
// something else, and docs/semantics.md gives the reasons. Each query runs folded, routed and direct, by one or two readers and up to three partitions.
//
// A record that velo sets aside, because something could not be computed, makes PostgreSQL's query fail as a whole. So the test finds these records with the row evaluator of core/expr, the engine must
// quarantine as many, PostgreSQL must fail with one of them, and the rest is compared without them. Beyond that go velo's own limits: decimals have 18 digits, times end in 2262.
//
// # What is not compared
//
// Late records, approx_percentile, queries that PostgreSQL takes and velo does not, the texts of errors.
// The last digits of power, exp and ln are the library's: nothing is grouped by them.
package sql
