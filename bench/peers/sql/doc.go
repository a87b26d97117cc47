// Package sql compares velo's SQL with the SQL of PostgreSQL, DuckDB and SQLite: random queries
// over random tables, row by row. It has nothing but the test:
//
//	go test ./sql -count=1   # in bench/peers; VELO_DIFF=20000 for more queries,
//	                         # VELO_SEED=n to repeat one
//
// # How
//
// A grammar (maker_test.go) has everything that velo accepts. Each oracle has the same, or says it
// in another way, or does not have it: the oracle's says is the list of that. PostgreSQL's says
// lists what velo means differently, and docs/semantics.md gives the reasons. Each query runs
// folded, routed and direct, with one or two readers and up to three partitions.
//
// A record that velo sets aside, because something could not be computed, makes PostgreSQL's query
// fail as a whole. So the test finds these records with the row evaluator of core/expr. The engine
// must quarantine as many, PostgreSQL must fail with one of them, and the rest is compared without
// them. The other differences are velo's own limits: decimals have 18 digits, times end in 2262.
//
// # Suites
//
// TestSuite runs the files of a folder, such as the public test suite of a database, and compares
// the queries over one table. Nothing of a suite is in this repository:
//
//	VELO_SUITE=folder VELO_ORACLE=sqlite go test ./sql -count=1 -v -run TestSuite
//
// A case is a query that reads one table, in any number of SELECTs. The log has how many are right
// and, for the others, the reasons by their number. Loops of DuckDB's scripts are written out.
// VELO_SUITE_FROM=none takes the queries without FROM instead, which are most of what a suite has
// for functions.
//
// TestOver, TestDistinctOn, TestSets, TestCombine, TestJoins and TestSubqueries compare random
// queries with PostgreSQL, and TestMoments with DuckDB.
//
// # What is not compared
//
// Late records, approx_percentile, queries that PostgreSQL accepts and velo does not, and the texts
// of errors are not compared. The last digits of power, exp and ln depend on the library, so
// nothing is grouped by them.
package sql
