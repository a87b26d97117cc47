// Package expr computes scalar expressions over the columns of batches: what a WHERE, a computed key or the argument of an aggregate
// compiles to. Expressions are typed and explicit: who builds them (package query, or a Go program) has put the casts in.
//
// # Expression
//
// An Expr is a tree that does not change: columns, constants, and operations that New makes of others, which refuses types that do not fit.
// Operations over constants are computed when they are made, but for those that fail: no record, no error.
//
// # Program and machine
//
// Compile makes a Program of a filter and some outputs: equal subexpressions are one. A Machine runs it: the scratch of one thread. It goes
// through a batch in stripes of 1,024 rows, node by node, each a loop over a column: values are words, or views into bytes for text;
// booleans are bitmaps, so that AND, OR and NOT take 64 rows at a time; a second bitmap says what is NULL, where anything may be.
//
// A third bitmap says which rows have failed: overflow, division by zero, text that is no number. It flows like NULL does, so a failure in the branch of a
// CASE that a row does not take, or behind an AND that is false without it, is none. Rows that fail for good are in Result.Failed and in no
// output; the row evaluator computes them once more to say why.
//
// # Row evaluator
//
// Each operation has one function of values, the twin of its loop. Where there is no loop of its own (texts, times) the machine calls it row by row.
//
// # Semantics
//
// PostgreSQL's: three-valued logic, integer division cuts, NaN equals itself and is greater than all other numbers, texts are compared by bytes.
package expr
