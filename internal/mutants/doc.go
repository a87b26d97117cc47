// Command mutants breaks velo on purpose, one line at a time, and says which tests notice:
//
//	go run ./internal/mutants              all of them (make mutants)
//	go run ./internal/mutants -named       those that must be noticed
//	go run ./internal/mutants -run 'ring'  those whose name matches
//	go run ./internal/mutants -n           only say what there is
//
// A mutant is a small change to one function: a second look that is left out, two stores that change places, a limit that is off by one, a NULL
// that is missed. Each has the tests that should fail with it. They are run once without any change, and must pass, and once with each change. The changed
// file is given to the compiler in place of the real one (go build -overlay), so the tree is not touched and nothing is copied.
//
// The list is list.go. A new protocol, limit or counter gets its mutants there. Those that are named are the ones of the lock-free protocols: each must be killed by a
// test that fails, not by one that does not end. Of the others a tenth may survive; a mutant that no test can kill says why.
//
// The exit code is 1 where a named mutant is not killed, where more than a tenth of the others survive, or where one cannot be applied or does not compile. The test of
// this package has every mutant applied, which takes no time: so the list follows the code.
package main
