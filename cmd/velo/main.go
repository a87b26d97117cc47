// Command velo runs SQL over files.
//
//	velo query 'SELECT symbol, count(*) AS n, avg(price) FROM "trades.csv"
//	  GROUP BY symbol ORDER BY n DESC LIMIT 10'
//	velo 'SELECT count(*) FROM "trades.csv"'
//	velo query --format ndjson 'SELECT window_start, count(*) FROM "logs/*.csv"
//	  GROUP BY tumble(at, INTERVAL '\''1 hour'\'')'
//	velo query 'SELECT level, count(*) FROM "logs/**/*.ndjson.zst" GROUP BY level'
//	cat trades.csv | velo query 'SELECT count(*) FROM stdin'
//	velo run job.sql
//	velo explain 'SELECT ... FROM "trades.csv" ...'
//	velo schema trades.csv
//	velo state show state
//
// Files are delimited or have one JSON object per line, and may be compressed with gzip, zstd, lz4,
// s2 or snappy.
//
// Results go to standard output, messages and statistics to standard error.
//
// The exit status is:
//
//	0    everything went well
//	1    something went wrong
//	2    records were set aside because they could not be read; the result covers the others
//	3    an interrupt or SIGTERM came before the end of the input; the result covers what had
//	     been read
//	80   the command line is not understood
//	141  the program that reads standard output has closed it
//
// A second interrupt ends the program at once, with status 1.
//
// This program has the connectors that need no other module. The program of the same name in
// connect/cmd/velo has all of them.
package main

import "github.com/velo-engine/velo/velocli"

func main() { velocli.Main() }
