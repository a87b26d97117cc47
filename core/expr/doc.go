// Package expr computes scalar expressions over the columns of batches. A WHERE, a computed key and
// the argument of an aggregate compile to such expressions. Expressions are typed and explicit: the
// code that builds them (package query, or a Go program) has already put the casts in.
//
// # Expression
//
// An Expr is a tree that does not change. It consists of columns, constants, and operations that
// New makes of other expressions. New refuses types that do not fit. An operation over constants is
// computed when it is made, unless that fails: an operation that no record reaches must not be an
// error.
//
// # Program and machine
//
// Compile makes a Program of a filter and some outputs. Equal subexpressions become one. A Machine
// runs the program; it is the scratch memory of one thread. It goes through a batch in stripes of
// 1,024 rows, node by node, and each node is a loop over a column. Values are words, or views into
// bytes if they are texts. Booleans are bitmaps, so that AND, OR and NOT take 64 rows at a time. A
// second bitmap says which rows are NULL, if any may be.
//
// A third bitmap says which rows have failed, by an overflow, a division by zero or a text that is
// no number. It is passed on as NULL is. So a failure does not count if it is in a branch of a CASE
// that the row does not take, or in the second argument of an AND whose first is false. Rows that
// fail for good are in Result.Failed and in no output. The row evaluator computes them once more to
// say why.
//
// # Row evaluator
//
// Each operation has one function of values, which is the twin of its loop. If it has no loop (as
// most operations that make texts), the machine calls the function row by row.
//
// # Loops
//
// A loop computes all rows, including those that are NULL or will not be used, and notes whether
// anything may be wrong, such as a sum that has changed its sign or a quotient that is no number.
// Only then a second loop asks the function of values which rows are wrong. Comparisons make 64
// bits a word. Only two of them are computed, equal and less, because the order is total; the
// others swap the arguments, negate the result, or both. A constant is a vector like others, and it
// stays in the first-level cache. On amd64 the common loops take eight rows at a time with AVX-512,
// and comparisons four with AVX2. Build tag purego leaves only the loops in Go, which also do the
// last rows otherwise.
//
// Texts are compared with a constant by length and first eight bytes, without a branch. Those that
// are equal so far are compared one by one. Division by a constant is a multiplication, and
// division of numbers below 2**53 is a division of floats. What the calendar says is kept for some
// days.
//
// # Functions of users
//
// A call of a user's function is a node too. The machine calls the function once for each stripe,
// with slices of the rows that count: rows with a NULL, rows that have failed and rows that the
// filter has rejected are left out. If the function panics, the row at which it has said it was has
// failed; if it has not said that, it is called again row by row. Whether that counts is decided as
// for any failure. The row evaluator calls it with one row.
//
// # What passes
//
// A column of which all rows pass is lent as it is. Otherwise package pick brings the rows that
// have a bit together: for columns of the batch after the last stripe has been computed, and for
// computed columns stripe by stripe.
//
// # Semantics
//
// The semantics are PostgreSQL's: three-valued logic, integer division that cuts, a NaN that equals
// itself and is greater than all other numbers, and texts that are compared by bytes.
package expr
