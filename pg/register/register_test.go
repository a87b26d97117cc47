package register

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/velo-engine/velo/velocli"
	"github.com/velo-engine/velo/view"
)

// Goal: what clients of the protocol do is counted where /metrics reads it. Method: a client of
// pgx, with a statement that works and one that is refused before it runs.
func TestCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l, velocli.ProtocolConfig{Views: view.NewCatalog(view.Limits{})})
	}()
	before := counted()
	c, err := pgx.Connect(t.Context(), "postgres://velo@"+l.Addr().String()+"/velo?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
	if _, err := c.Exec(t.Context(), "SELECT * FROM nowhere"); err == nil {
		t.Error("a view that does not exist can be read")
	}
	now := counted()
	if now.Connections != before.Connections+1 || now.Statements != before.Statements+1 || now.Failed != before.Failed+
		1 {
		t.Errorf("%+v, before %+v", now, before)
	}
	_ = c.Close(t.Context())
	for deadline := time.Now().Add(time.Minute); counted().Connections != before.Connections; time.Sleep(
		time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v after the client has gone", counted())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
