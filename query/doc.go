// Package query compiles continuous SQL to plans.
//
//	trades, _ := record.SchemaOf[Trade]("trades")
//	plan, err := query.Compile(`SELECT symbol, count(*) AS n, sum(size) AS volume
//	    FROM trades WHERE price > 0 GROUP BY symbol, tumble(at, INTERVAL '1 s')`, trades)
//
// # Dialect
//
// PostgreSQL's, as users of RisingWave, Flink and Arroyo write it: one SELECT over one stream with WHERE, GROUP BY (names, ordinals, aliases, expressions), HAVING,
// ORDER BY, LIMIT and OFFSET, DISTINCT, aggregates with FILTER, CASE, casts, IN, BETWEEN, LIKE, the usual functions. Windows are a call in GROUP BY, tumble(at, size),
// hop(at, slide, size), cumulate(at, step, size), session(at, gap), or a table function in FROM, TUMBLE(t, at, size) or Flink's TABLE(TUMBLE(TABLE t, DESCRIPTOR(at), size)); their bounds are the columns
// window_start and window_end. The time, at, is a column or an expression; a record for which it is NULL is set aside. A query that neither groups nor aggregates passes records through: SELECT and WHERE are for records then, LIMIT ends the stream, and ORDER BY writes them at the end.
// EMIT CHANGES at the end has a writer get the groups that have changed at each epoch, EMIT FINAL, the default, each window once.
//
// # Types
//
// smallint, int and bigint are bigint; real and double precision are double precision; varchar and char are text; timestamps and dates are timestamps in UTC. A number with
// a point in the text is a decimal until it meets a double. Of a bigint and a decimal the bigint becomes one; a quotient of decimals is double precision. Text constants take the type of
// what they meet.
//
// # Errors
//
// An error shows the line and a caret. All faults of a query that do not follow from each other are reported at once, joined.
//
// # Jobs
//
// CompileJob compiles a text of several statements: CREATE SOURCE with columns, WATERMARK and options, CREATE SINK, INSERT INTO sink SELECT, and a SELECT at the end that is printed. The job is data;
// what the options mean is for whoever opens sources and sinks. He says which there are (Connectors), so that a misspelt one is a fault of the text.
//
// # Not here yet
//
// Joins, subqueries, DISTINCT in other functions than count, and of more than one column. They are refused with a message that says so.
package query
