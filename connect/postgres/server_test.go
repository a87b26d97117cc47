//go:build unix

package postgres

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/internal/testpostgres"
)

// server is a PostgreSQL that a test has for itself.
type server struct {
	*testpostgres.Server
	t    testing.TB
	conn *pgx.Conn
}

// newServer starts a PostgreSQL with the database velo. It is gone when the test is.
func newServer(t testing.TB) *server {
	s := &server{Server: testpostgres.New(t), t: t}
	s.connect("postgres")
	s.exec("CREATE DATABASE velo")
	s.connect("velo")
	return s
}

// url is how to connect.
func (s *server) url() string { return s.URL("velo") }

// socket is the file of the server's socket.
func (s *server) socket() string { return filepath.Join(s.Dir, ".s.PGSQL.5432") }

// connect connects the test itself.
func (s *server) connect(database string) {
	for began := time.Now(); ; {
		conn, err := pgx.Connect(s.t.Context(), s.URL(database))
		if err == nil {
			s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
			s.conn = conn
			return
		}
		if time.Since(began) > time.Minute {
			s.t.Fatalf("no connection after a minute: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// exec runs statements.
func (s *server) exec(sql string) {
	s.t.Helper()
	_, err := s.conn.Exec(s.t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	must(s.t, err)
}

// text is the result of a SELECT of one column of texts, a line for each row.
func (s *server) text(sql string) (text string) {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	must(s.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	must(s.t, err)
	for _, one := range all {
		if one == nil {
			text += "NULL\n"
			continue
		}
		text += *one + "\n"
	}
	return text
}
