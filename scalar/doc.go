// Package scalar makes scalar functions of your own, for SQL and for expressions in Go.
//
//	var celsius = scalar.Must(scalar.Spec[float64, float64]{
//		Name: "celsius",
//		Row:  func(f float64) (float64, error) { return (f - 32) / 1.8, nil },
//	})
//
// query.RegisterFunction(celsius) makes celsius(t) known to every query that is compiled after
// that, wherever an expression may stand. In a plan that is written as a literal,
// expr.Call(celsius, x) is the expression.
//
// # Ways to write one
//
// A function has one to three arguments: Spec, Spec2 and Spec3. Row computes one row; an error says
// that the record cannot be computed, and the engine sets it aside with that error, as it does for
// a division by zero. The error Null makes the value NULL. A NULL among the arguments makes the
// value NULL, and the function is not called; one that wants to see NULLs is written as Optional.
// Append is for texts: it appends to bytes of the engine, so no text is allocated.
//
// The engine calls a function once for a block of up to some thousand rows. Block is that call: it
// gets slices and fills one. Bigints and floats are the memory of the engine itself, so a loop over
// them costs what the same loop costs anywhere. The other three ways are loops of the package
// around one call for each row, which costs two or three nanoseconds.
//
// # What the engine relies on
//
// A function is a function of its arguments alone: the engine calls it on several threads, for rows
// in any order and in blocks of any length, for a row twice or not at all, and for constants when a
// query is compiled. It must not keep a text or a slice beyond the call, it must not change the
// slices of its arguments, and it must not wait. Check, called in a test, tries to prove the
// opposite.
//
// Equal calls in one query are computed once. Rows that WHERE rejects are left out, unless the call
// is part of WHERE. Rows of a branch of CASE that is not taken are not left out; an error for them
// does not count.
//
// A panic does not end the process. The plan ends with an error that names the function, its
// arguments, and where it was. If it happens while a result is read, the value is NULL, and
// Snapshot.Err says so; a plan with a writer ends. If functions are slow, the report of starvation
// in Stats names them.
//
// # Restarts
//
// What is kept in the groups of an engine may depend on what a function has given. So its name, its
// version and its types are part of what a saved state must match (engine.Config.State). Raise
// Version when a function gives other values than before.
package scalar
