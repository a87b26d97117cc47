// Package postgres writes results into tables of PostgreSQL.
//
// Import it for a program that has velo's commands (see package velocli), and jobs may say
// connector = 'postgres'; docs/connectors.md has the options. A service makes a Sink and gives it
// to an engine:
//
//	sink, err := postgres.NewSink(ctx, postgres.SinkConfig{
//		URL: "postgres://velo@db/market?sslmode=verify-full", Table: "volumes", Name: "volumes",
//		Schema: written, Mode: postgres.Upsert, Keys: plan.WrittenKeys(), Create: true,
//	})
//	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: rs, Writer: sink, State: velo.Dir("state")})
//
// # One transaction
//
// A window, or all rows between two generations of a state, is one transaction of the database,
// together with the sink's row in the cursor table:
//
//	BEGIN
//	SELECT ... FROM velo_cursors WHERE job, sink FOR UPDATE       which window is there?
//	COPY the rows into the table                                  append
//	COPY the rows into a temporary table, INSERT ... ON CONFLICT  upsert
//	UPDATE velo_cursors SET window_end = 12                       now 12 is
//	COMMIT
//
// Whoever reads the table sees all rows of a window or none. After a restart, and after a
// connection that broke, the cursor says which windows are there: see the top of commit.go.
//
// Rows are kept in memory, as COPY wants them, until their window ends (SinkConfig.WindowBytes).
// Rows that come in numbered transactions are sent batch by batch. A session has nothing that the
// next transaction needs, so a pooler that deals transactions (PgBouncer) may stand between.
//
// # What is not here
//
// There is no source. Nothing is deleted from a table except by EMIT CHANGES. The sink starts no
// goroutine, and uses one connection.
package postgres
