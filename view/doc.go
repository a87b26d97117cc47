// Package view has live results by name, and SELECT over them.
//
//	c := view.NewCatalog(view.Limits{})
//	err := c.Add("volumes", view.View{Engine: e, Plan: p, Comment: "shares by symbol"})
//	rows, err := c.Select(ctx, "SELECT symbol, volume FROM volumes WHERE symbol = $1", "NVDA")
//	defer rows.Close()
//	for b, err := range rows.Batches() { ... }
//
// # Views
//
// A View is a plan with groups that an engine runs. Its rows are what Engine.Snapshot shows: they
// change while records come. The columns are as in Plan.Result; List and Find tell them, and the
// key columns. The owner of the engine removes the view before it closes the engine; readings that
// are open stay valid.
//
// With View.Over, a view has the rows of another plan over those rows, computed from the cut that a
// statement reads: a query over the result of another.
//
// # One cut
//
// A Reading is what several statements read together. All of them see the same cut of each engine,
// whatever comes meanwhile, and two views of one engine are of the same epoch:
//
//	r := c.Begin()
//	defer r.Close()
//	sums, err := r.Select(ctx, "SELECT ... FROM sums")
//	counts, err := r.Select(ctx, "SELECT ... FROM counts")
//
// A cut holds memory of the engine, and after some of them the engine shows nothing new
// (engine.Config.HeldSnapshots). So a reading is a lease: Limits.Lease after its first statement no
// other may begin (ErrLease), and the cuts are let go as soon as no statement runs. Catalog.Select
// is a reading of one statement.
//
// # What a statement may say
//
// One SELECT, as package query knows it: WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, DISTINCT, OVER,
// all functions, a SELECT in FROM. It is compiled over the columns of the view, and a small engine
// runs it over the rows of the cut. $1, $2 and so on are constants of Go types (query.CompileWith).
// Describe says what types parameters and columns have, without running anything. An error of the
// text is package query's, with its place: query.Faults takes it apart. A row that cannot be
// computed, such as a division by zero, fails the statement.
//
// WHERE with all key columns equal to constants, joined by AND, reads one group (Snapshot.Get) and
// starts no engine.
//
// # Results
//
// A result is a copy. When Select returns, no cut is held for it, so a client may take it as slowly
// as it likes. It lies in memory up to Limits.ResultBytes, and all results together up to
// Limits.ResultMemory; what is more goes to a file that has no name (Limits.SpillBytes). Close
// frees both.
package view
