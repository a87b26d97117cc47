// Package query compiles continuous SQL to plans.
//
//	trades, _ := record.SchemaOf[Trade]("trades")
//	plan, err := query.Compile(`SELECT symbol, count(*) AS n, sum(size) AS volume
//	    FROM trades WHERE price > 0 GROUP BY symbol, tumble(at, INTERVAL '1 s')`, trades)
//
// # Dialect
//
// The dialect is PostgreSQL's, as users of RisingWave, Flink and Arroyo write it. A query is one
// SELECT over one stream. It may have WHERE, GROUP BY (names, ordinals, aliases, expressions),
// GROUPING SETS, HAVING, QUALIFY, ORDER BY, LIMIT and OFFSET, DISTINCT, aggregates with FILTER and
// DISTINCT, functions with OVER, CASE, casts, IN, BETWEEN, LIKE, and the usual functions;
// docs/sql.md has all of them. Which file binds what:
//
//	compile.go    the clauses of a query, in order; star.go what * stands for
//	bind.go       expressions: names, literals, operators, casts
//	call.go       functions in a table; synonym.go other names; numbers.go, text.go, format.go,
//	              dates.go, clock.go, interval.go, bytea.go, json.go
//	aggregate.go  aggregates; collect.go aggregates of all values
//	grouping.go   GROUPING SETS; over.go OVER and QUALIFY; window.go windows of time
//	combine.go    set operations; join.go joins; subquery.go FROM; evaluate.go inner queries
//	faults.go     what faults say
//
// A window is a call in GROUP BY: tumble(at, size), hop(at, slide, size), cumulate(at, step, size),
// session(at, gap). Or it is a table function in FROM: TUMBLE(t, at, size), or Flink's
// TABLE(TUMBLE(TABLE t, DESCRIPTOR(at), size)). Its bounds are the columns window_start and
// window_end. The time, at, is a column or an expression; a record for which it is NULL is set
// aside.
//
// A query that neither groups nor aggregates passes records through: SELECT and WHERE then apply to
// records, LIMIT ends the stream, and ORDER BY writes the records at the end. With EMIT CHANGES at
// the end, a writer gets the groups that have changed at each epoch. With EMIT FINAL, the default,
// it gets each window once.
//
// # Types
//
// smallint, int and bigint are bigint; real and double precision are double precision; varchar and
// char are text; timestamps and dates are timestamps in UTC; time, interval, uuid and bytea are
// types of their own. An interval is a length of time without months. A number with a point in the
// text is a decimal until it meets a double. If a bigint meets a decimal, the bigint becomes a
// decimal. A quotient of decimals is double precision. Text constants take the type of what they
// meet.
//
// # Errors
//
// An error shows the line and a caret. All faults of a query that do not follow from each other are
// reported at once, joined.
//
// # Jobs
//
// CompileJob compiles a text of several statements: CREATE SOURCE with columns, WATERMARK and
// options, CREATE SINK, INSERT INTO sink SELECT, and a final SELECT whose result is printed. The
// job is only data: the caller that opens sources and sinks decides what their options mean. The
// caller says which connectors and options there are (connect.Registry), so that a misspelt one
// is a fault of the text.
//
// # Not here yet
//
// Joins of two streams, and queries in expressions that name columns of the query around them, are
// not supported. They are refused with a message that says so. Other queries in expressions are
// computed by the caller (Catalog.Subquery).
package query
