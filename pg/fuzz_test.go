package pg_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/velo-engine/velo/pg"
)

// A pipeListener accepts connections in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// messages are those that the fuzzer puts together; the last byte of the input chooses.
var messages = []pgproto3.FrontendMessage{
	&pgproto3.Sync{}, &pgproto3.Flush{}, &pgproto3.Parse{Query: "SELECT $1::int"},
	&pgproto3.Parse{Name: "a", Query: "SELECT 1"},
	&pgproto3.Bind{}, &pgproto3.Bind{PreparedStatement: "a", DestinationPortal: "p"},
	&pgproto3.Bind{Parameters: [][]byte{[]byte("1")}}, &pgproto3.Describe{ObjectType: 'P'},
	&pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.Execute{}, &pgproto3.Execute{Portal: "p", MaxRows: 1},
	&pgproto3.Close{ObjectType: 'S', Name: "a"}, &pgproto3.Close{ObjectType: 'P', Name: "p"},
	&pgproto3.Query{
		String: "BEGIN",
	}, &pgproto3.Query{String: "COMMIT"}, &pgproto3.Query{String: "SELECT * FROM volumes"},
	&pgproto3.Query{String: "SAVEPOINT s; SELECT bad"}, &pgproto3.Query{String: "ROLLBACK TO s"},
	&pgproto3.Query{String: "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 9)"},
	&pgproto3.Query{String: "FETCH 2 FROM c"}, &pgproto3.Query{String: "DISCARD ALL"},
	&pgproto3.Query{
		String: "COPY (SELECT relname FROM pg_class) TO STDOUT",
	}, &pgproto3.CopyData{}, &pgproto3.CopyFail{},
	&pgproto3.FunctionCall{}, &pgproto3.Parse{Query: "FETCH 1 FROM c"},
	&pgproto3.Query{String: "SET TimeZone = 'Asia/Tokyo'"},
	&pgproto3.Query{String: "SELECT a.relname FROM pg_class a LEFT JOIN pg_index i ON i.indrelid = a.oid"},
	&pgproto3.Parse{Query: "SELECT symbol FROM volumes WHERE n = $1"}, &pgproto3.Parse{Query: ""},
}

// FuzzMessages: no sequence of messages, well formed or not, makes a session panic or stay when
// its client is gone. Each byte below 64 is a message of messages; others begin a message of the
// fuzzer's own: a type, a length, and as many bytes.
func FuzzMessages(f *testing.F) {
	all := make([]byte, len(messages))
	for i := range all {
		all[i] = byte(i)
	}
	f.Add(all)
	f.Add([]byte{2, 6, 7, 9, 0, 13, 3, 5, 10, 10, 0, 16, 9, 0, 17, 14, 0})
	f.Add([]byte("\x80B\x09\x00\x00\x00\x00\x00\x01\xff\xff\xfe\x00"))
	f.Add([]byte("\x80Q\x20SELECT ARRAY[1,2][3:], (1,2).f1;\x00"))
	f.Add([]byte("\x80P\x1a\x00SELECT $65536 || 'a\x00\x00\x01\x00\x00\x00\x17"))
	f.Add([]byte("\x80Q\x12FETCH ALL FROM \"c\x00\x13\x13\x00"))
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	stats := &pg.Stats{}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		_ = pg.Serve(ctx, l, pg.Config{
			Source: sample{}, Stats: stats, Log: slog.New(slog.DiscardHandler),
			Limits: pg.Limits{Statement: time.Second, Idle: 5 * time.Second, Statements: 10, Portals: 10},
		})
	})
	f.Cleanup(func() {
		cancel()
		served.Wait()
	})
	f.Fuzz(func(t *testing.T, input []byte) {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		var read sync.WaitGroup
		read.Go(func() { _, _ = io.Copy(io.Discard, ours) })
		_ = ours.SetWriteDeadline(time.Now().Add(time.Minute))
		_, err := ours.Write([]byte("\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00"))
		if err == nil {
			_, _ = ours.Write(wire(input))
		}
		_ = ours.Close()
		read.Wait()
		for began := time.Now(); stats.Connections.Load() > 0; {
			if time.Since(began) > time.Minute {
				t.Fatalf("a session is left of %q", input)
			}
			time.Sleep(50 * time.Microsecond)
		}
		if n := stats.Panics.Load(); n > 0 {
			t.Fatalf("%d panics of %q", n, input)
		}
	})
}

// wire makes messages of the bytes of the fuzzer.
func wire(input []byte) (out []byte) {
	for len(input) > 0 {
		b := input[0]
		input = input[1:]
		if b < 64 {
			out, _ = messages[int(b)%len(messages)].Encode(out)
			continue
		}
		if len(input) < 2 {
			break
		}
		size := min(int(input[1]), len(input)-2)
		out = append(out, input[0])
		out = binary.BigEndian.AppendUint32(out, uint32(size)+4)
		out = append(out, input[2:2+size]...)
		input = input[2+size:]
	}
	return out
}
