package pg_test

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/pg/internal/market"
)

// Goal: clients that cancel, stop reading and vanish leave nothing, and the engine goes on. Method:
// 200 of them at random, while trades come; at the end serve finds no connection, no result, no cut
// and no goroutine. What the writer got done beside them is logged.
func TestChaos(t *testing.T) {
	clients, length := 200, 4*time.Second
	if testing.Short() {
		clients, length = 50, time.Second
	}
	h := serve(t, 2000, pg.Config{Limits: pg.Limits{Write: 2 * time.Second, Connections: 150}})
	trades := market.Some(2000)
	var sent atomic.Int64
	write := func(ctx context.Context) {
		for ctx.Err() == nil {
			err := h.Push(context.WithoutCancel(ctx), trades...)
			if err != nil {
				t.Error(err)
				return
			}
			sent.Add(int64(len(trades)))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), length/4)
	write(ctx)
	cancel()
	alone := float64(sent.Swap(0)) / (length / 4).Seconds()
	ctx, cancel = context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { write(ctx) })
	for i := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				misbehave(ctx, h, r)
			}
		})
	}
	all.Wait()
	t.Logf(
		"%.0f trades/s alone, %.0f beside the clients; %d connections, %d statements, %d rows, %d cancelled, %d refused",
		alone,
		float64(sent.Load())/length.Seconds(),
		h.stats.Connected.Load(),
		h.stats.Statements.Load(),
		h.stats.Rows.Load(),
		h.stats.Canceled.Load(),
		h.stats.Refused.Load(),
	)
	for began := time.Now(); h.stats.Connections.Load() > 0; {
		if time.Since(began) > time.Minute {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d connections are left\n%s", h.stats.Connections.Load(), buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
	// A well-behaved client is served as before.
	var n int64
	must(t, connect(t, h).QueryRow(t.Context(), "SELECT count(*) FROM volumes").Scan(&n))
	if n != 2000 {
		t.Errorf("%d rows, want 2000", n)
	}
}

// misbehave is one client that does something that clients should not do.
func misbehave(ctx context.Context, h *host, r *rand.Rand) {
	sleep := func() { time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) }
	sql := []string{
		"SELECT * FROM volumes", "SELECT * FROM volumes ORDER BY turnover DESC", "SELECT count(*) FROM sizes",
		"SELECT pg_sleep(5)",
		"SELECT * FROM pg_class a, pg_class b, pg_class c", "COPY (SUBSCRIBE volumes) TO STDOUT",
		"BEGIN; SELECT * FROM sizes",
	}[r.IntN(7)]
	if r.IntN(2) == 0 { // one that cancels
		c, err := pgx.Connect(ctx, h.url())
		if err != nil {
			sleep()
			return
		}
		ask, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(30))*time.Millisecond)
		_, _ = c.Exec(ask, sql, pgx.QueryExecModeSimpleProtocol)
		cancel()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = c.Close(end)
		cancel()
		return
	}
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		sleep()
		return
	}
	defer func() { _ = conn.Close() }()
	f := pgproto3.NewFrontend(conn, conn)
	if r.IntN(8) == 0 { // one that leaves in the middle of a message
		_, _ = conn.Write([]byte("\x00\x00\x00\x10\x00\x03"))
		return
	}
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: 196608, Parameters: map[string]string{"user": "velo"}})
	f.Send(&pgproto3.Query{String: sql})
	_ = f.Flush()
	_ = conn.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(30)) * time.Millisecond))
	for range r.IntN(100) {
		_, err = f.Receive()
		if err != nil {
			break
		}
	}
	sleep() // and reads nothing meanwhile
	if r.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0) // leaves without saying so
	}
}
