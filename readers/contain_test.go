package readers

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// scripted is an io.Reader that does at each Read what the next of its steps says; the last one again and again.
type scripted struct{ steps []func(b []byte) (int, error) }

func (s *scripted) Read(b []byte) (int, error) {
	step := s.steps[0]
	if len(s.steps) > 1 {
		s.steps = s.steps[1:]
	}
	return step(b)
}

// Goal: whatever an io.Reader does, the process lives, the records before it are there, and the stream ends with an
// error that says what it was and who. Method: readers that give two records and then misbehave, by Read and by Poll.
func TestStreamContains(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	give := func(b []byte) (int, error) { return copy(b, "1\n2\n"), nil }
	for _, c := range []struct {
		what  string
		bad   func(b []byte) (int, error)
		says  string
		lost  bool  // the records of the same stretch are dropped
		wraps error // nil: none
	}{
		{what: "panics", bad: func([]byte) (int, error) { panic("by the user") }, says: "panic in Read of the io.Reader (*readers.scripted): by the user\n"},
		{what: "panics with nil", bad: func([]byte) (int, error) { panic(nil) }, says: "panic called with nil"},
		{what: "too many", bad: func(b []byte) (int, error) { return len(b) + 1, nil }, says: "bytes into"},
		{what: "too many, at its end", bad: func(b []byte) (int, error) { return len(b) + 1, io.EOF }, says: "bytes into"},
		{what: "too few", bad: func([]byte) (int, error) { return -1, nil }, says: "read -1 bytes"},
		{what: "nothing", bad: func([]byte) (int, error) { return 0, nil }, says: "no bytes and no error 100 times", wraps: io.ErrNoProgress},
		{what: "ends its goroutine", bad: func([]byte) (int, error) { runtime.Goexit(); return 0, nil }, says: "Goexit", lost: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			var in io.Reader = &scripted{steps: []func([]byte) (int, error){give, c.bad}}
			s, err := NewDelimitedStream("user", in, DelimitedConfig{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b, rows := record.NewBatch(schema, 0), 0
			for err == nil {
				b.Reset()
				err = s.Read(t.Context(), b)
				rows += b.Len()
			}
			if !strings.Contains(err.Error(), c.says) || c.wraps != nil && !errors.Is(err, c.wraps) {
				t.Errorf("%v, expected %q", err, c.says)
			}
			if rows != 2 && !c.lost {
				t.Errorf("%d rows, expected 2", rows)
			}
			b.Reset()
			if again := s.Poll(b); again == nil || b.Len() > 0 {
				t.Errorf("afterwards: %v, %d rows", again, b.Len())
			}
		})
	}
}

// Goal: a panic in what Notify was given ends the stream and not the process.
func TestStreamContainsNotify(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewDelimitedStream("user", strings.NewReader("1\n2\n"), DelimitedConfig{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	s.Notify(func() { panic("a bell") })
	b, rows := record.NewBatch(schema, 0), 0
	for err == nil {
		b.Reset()
		err = s.Read(t.Context(), b)
		rows += b.Len()
	}
	// The end of the input may be in the stretch that was rung for.
	if rows != 2 || !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "a bell") {
		t.Errorf("%d rows, %v", rows, err)
	}
	s.Close()
}

// Goal: Close may be called again, and while a Read waits, which then returns; nothing is used after it. Method: a pipe
// that brings nothing, under -race.
func TestStreamCloses(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		in, out := io.Pipe()
		s, err := NewDelimitedStream("pipe", in, DelimitedConfig{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			for {
				if err := s.Read(context.Background(), record.NewBatch(schema, 0)); err != nil {
					read <- err
					return
				}
			}
		}()
		if _, err := out.Write([]byte("1\n")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-read; !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if err := s.Poll(record.NewBatch(schema, 0)); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}

// Goal: a panic in a callback of the user's tls.Config, or the end of its goroutine, costs the connection that came to
// it, is counted and kept, and others are served. Method: each callback that a server's handshake calls.
func TestListenContains(t *testing.T) {
	server, pool := certificate(t)
	for _, bad := range []struct {
		what string
		do   func()
	}{{"panic", func() { panic("by the user") }}, {"Goexit", runtime.Goexit}} {
		for _, c := range []struct {
			what string
			set  func(c *tls.Config)
		}{
			{"GetCertificate", func(c *tls.Config) {
				c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { bad.do(); return nil, nil }
			}},
			{"GetConfigForClient", func(c *tls.Config) {
				c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { bad.do(); return nil, nil }
			}},
			{"VerifyConnection", func(c *tls.Config) {
				c.VerifyConnection = func(tls.ConnectionState) error { bad.do(); return nil }
			}},
		} {
			t.Run(c.what+" "+bad.what, func(t *testing.T) {
				cfg := server.Clone()
				// Only the handshake for a name goes wrong.
				cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					if h.ServerName == "" {
						return nil, nil
					}
					own := server.Clone()
					c.set(own)
					if own.GetConfigForClient != nil {
						return own.GetConfigForClient(h)
					}
					return own, nil
				}
				l := listening(t, ListenConfig{TLS: cfg}, DelimitedConfig{})
				x, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "other", InsecureSkipVerify: true})
				if x != nil {
					defer x.Close()
				}
				if err == nil { // with TLS 1.3 the client may be done before the server is
					_ = x.SetDeadline(time.Now().Add(time.Minute))
					_, err = x.Read(make([]byte, 1))
				}
				if err == nil {
					t.Error("the connection lives")
				}
				until(t, l, func(s ListenStats) bool { return s.Panicked == 1 && s.Open == 0 })
				if fault := l.Stats().Fault; fault == nil || !strings.Contains(fault.Error(), "handshake") ||
					bad.what == "panic" && !strings.Contains(fault.Error(), "by the user\ngoroutine") {
					t.Errorf("the fault is %v", fault)
				}
				y, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "127.0.0.1", RootCAs: pool})
				if err != nil {
					t.Fatal(err)
				}
				send(t, y, "7,8\n")
				if rows, _ := taken(t, l, 1); rows["7|8"] != 1 {
					t.Errorf("%v", rows)
				}
				y.Close()
			})
		}
	}
}

// Goal: connections that say nothing, do not finish their handshake, or keep a line half open do not keep senders out; one that brings
// records, or whose records nobody has polled, is never closed for another. Method: a listener for a few connections,
// filled with each kind, then one more that sends.
func TestListenEvicts(t *testing.T) {
	server, _ := certificate(t)
	half := func(c net.Conn) { _, _ = io.WriteString(c, "1,2\n3,") }
	for _, c := range []struct {
		what    string
		tls     *tls.Config
		do      func(c net.Conn)
		polled  bool
		evicted bool
	}{
		{"nothing", nil, func(net.Conn) {}, true, true},
		{"half a line", nil, func(c net.Conn) { _, _ = io.WriteString(c, "3,") }, true, true},
		{"half a second line", nil, half, true, true},
		{"records that nobody has polled", nil, func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("1,2\n", 50000)) }, false, false},
		{"half a handshake", server, func(c net.Conn) { _, _ = io.WriteString(c, "\x16\x03\x01") }, true, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			const places = 4
			l := listening(t, ListenConfig{Connections: places, Idle: 20 * time.Millisecond, AdmitWithin: time.Hour, TLS: c.tls}, DelimitedConfig{})
			for range places {
				c.do(dial(t, l))
			}
			until(t, l, func(s ListenStats) bool { return s.Open == places })
			b, rows := record.NewBatch(l.parserSchema(), 0), 0
			poll := func() {
				b.Reset()
				if err := l.Poll(b); err != nil {
					t.Fatal(err)
				}
				rows += b.Len()
			}
			for began := time.Now(); time.Since(began) < 50*time.Millisecond; time.Sleep(time.Millisecond) {
				if c.polled {
					poll()
				}
			}
			tries := 0
			for came := l.Stats().Accepted; l.Stats().Accepted == came && tries < 20; tries++ {
				x := dial(t, l)
				_, _ = io.WriteString(x, "5,6\n")
				for began := time.Now(); l.Stats().Accepted == came && time.Since(began) < 2*evictWait; time.Sleep(time.Millisecond) {
					if c.polled {
						poll()
					}
				}
			}
			if s := l.Stats(); (s.Evicted > 0) != c.evicted || (s.Accepted > places) != c.evicted || s.Denied > 0 {
				t.Errorf("after %d tries: %v", tries, s)
			}
			if s := l.Stats(); c.evicted && !strings.Contains(s.String(), "closed for others") {
				t.Errorf("nobody is told: %v", s)
			}
		})
	}
}

// Goal: one address has as many connections as it may, and no more; they are counted.
func TestListenPeerLimit(t *testing.T) {
	l := listening(t, ListenConfig{PeerConnections: 2}, DelimitedConfig{})
	for range 2 {
		dial(t, l)
	}
	until(t, l, func(s ListenStats) bool { return s.Open == 2 })
	gone(t, dial(t, l))
	if s := l.Stats(); s.Crowded != 1 || s.Refused != 1 || !strings.Contains(s.String(), "their address had enough") {
		t.Error(s)
	}
}
