// Package pg speaks the PostgreSQL protocol, so that psql, Grafana and the drivers of all languages
// read the live results of velo with SELECT.
//
//	results := ...           // a pg.Source: what can be read by name
//	l, err := net.Listen("tcp", "127.0.0.1:5433")
//	err = pg.Serve(ctx, l, pg.Config{Source: results})
//
// # Life of a statement
//
//	bytes -> session (one goroutine for each connection)
//	           startup.go     TLS, password, limits of connections
//	           session.go     messages of the simple and of the extended protocol
//	         -> statement.go  which kind of statement is it?
//	              SELECT over views       Reading.Select: package query does it
//	              SELECT over the catalog pg/catalog: an evaluator over some hundred rows
//	              SHOW, SET, BEGIN, ...   command.go, settings.go
//	         -> rows.go       batches to DataRow, text or binary
//
// # What a client may hold
//
// A statement reads one cut of all results. What Select gives has been copied out of it, so a
// client that is slow or dead holds memory of its own, within limits, and no epoch. BEGIN keeps
// one cut for the statements of the transaction, for Limits.Transaction at most; then the
// statements fail with SQLSTATE 72000. There is a limit for whatever a client can make more of;
// see Limits.
//
// # Why no library of the protocol
//
// psql-wire 0.20 was tried first. One Bind message with a parameter of length -2 ends the whole
// process, since nothing recovers from the panic; Bind of a statement that does not exist closes
// the connection without an error; a text of several statements is refused as a whole if the last
// is wrong. This package has the messages from pgproto3, a part of pgx that is fuzzed and used by
// all of its clients, and keeps the state of a session itself.
package pg
