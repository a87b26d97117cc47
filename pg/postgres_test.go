//go:build unix

package pg_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/internal/testpostgres"
)

// newPostgres starts a PostgreSQL of its own, with the database velo and the relations of sample.
// It is gone when the test is.
func newPostgres(t *testing.T) *pgx.Conn {
	server := testpostgres.New(t, "fsync=off")
	first := connectPostgres(t, server.URL("postgres"))
	_, err := first.Exec(t.Context(), "CREATE DATABASE velo", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	conn := connectPostgres(t, server.URL("velo"))
	_, err = conn.Exec(t.Context(), sampleSQL, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	return conn
}

func connectPostgres(t *testing.T, to string) *pgx.Conn {
	for began := time.Now(); ; {
		conn, err := pgx.Connect(t.Context(), to)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
			return conn
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("no connection after a minute: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
