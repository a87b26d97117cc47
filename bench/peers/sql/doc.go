// Package sql compares velo's SQL with DuckDB's: random queries over random tables, row by row. There is nothing in it but the test:
//
//	go test ./sql -count=1            # in bench/peers; VELO_DIFF=20000 for more queries
package sql
