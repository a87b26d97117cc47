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
// Each operation has one function of values, the twin of its loop. Where there is no loop of its own (most of what makes texts) the machine calls it row by row.
//
// # Loops
//
// A loop computes all rows, those that are NULL or will not be used included, and gathers whether anything may be wrong: a sum that has turned its sign, a quotient that is no number. Only then a second one
// asks the function of values which rows those are. Comparisons make 64 bits a word: there are two, equal and less, as the order is total; the others are these the other way round, or what these are not. A constant is a vector like others, which stays in the
// first-level cache. On amd64 the common ones take eight rows at a time with AVX-512, comparisons four with AVX2; build tag purego leaves the loops in Go, which are also what is done with the last rows.
//
// Texts are compared with a constant by length and first eight bytes, without a branch; the rest of those that are alike so far, text by text. Division by a constant is a multiplication, and that of numbers below 2**53 one of floats. What the calendar says is kept for some days.
//
// # What passes
//
// A column of which all rows pass is lent as it is. Else package pick brings the rows that have a bit together: columns of the batch when its last stripe has been computed, what is computed stripe by stripe.
//
// # Semantics
//
// PostgreSQL's: three-valued logic, integer division cuts, NaN equals itself and is greater than all other numbers, texts are compared by bytes.
package expr
