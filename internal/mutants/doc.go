// Command mutants breaks velo on purpose, one line at a time, and says which tests notice:
//
//	go run ./internal/mutants              all of them (make mutants)
//	go run ./internal/mutants -named       the ones that must be noticed
//	go run ./internal/mutants -run 'ring'  the ones whose name matches
//	go run ./internal/mutants -n           only say what there is
//
// A mutant is a small change to one function: a second look that is left out, two stores in the
// wrong order, a limit that is off by one, or a NULL that is missed. Each mutant has the tests that
// should fail with it. They are run once without any change, and must pass, and once with each
// change. The compiler gets the changed file in place of the real one (go build -overlay), so the
// tree is not touched and nothing is copied.
//
// The list is list.go. A new protocol, limit or counter gets its mutants there. The named mutants
// belong to the lock-free protocols. Each of them must be killed by a test that fails, and not
// by one that does not end. A tenth of the other mutants may survive. A mutant that no test can
// kill says why.
//
// The exit code is 1 if a named mutant is not killed, if more than a tenth of the others survive,
// or if a mutant cannot be applied or does not compile. The test of this package applies every
// mutant, which takes no time, so the list follows the code.
package main
