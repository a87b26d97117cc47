//go:build unix

package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/velo-engine/velo/internal/cursors"
)

// pooler deals the transactions of its clients to connections of the server, as PgBouncer does in
// the mode transaction: each one gets another connection than the one before. What a session keeps
// (a prepared statement, a lock of a session, a setting) is not there for the next transaction.
type pooler struct {
	l  net.Listener
	to string // socket of the server

	mu    sync.Mutex
	free  []net.Conn // the one that was used last is at the end
	given int        // how many transactions were dealt
}

// poolSize is how many connections are open at least before one is used again.
const poolSize = 3

func newPooler(t *testing.T, to string) *pooler {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &pooler{l: l, to: to}
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.free {
			_ = c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = p.serve(c)
			}()
		}
	}()
	return p
}

// url is how to connect to the pooler.
func (p *pooler) url() string {
	return fmt.Sprintf("postgres://velo@127.0.0.1:%d/velo?sslmode=disable", p.l.Addr().(*net.TCPAddr).Port)
}

// take gives a connection of the server: the one that was not used for longest.
func (p *pooler) take() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given++
	if len(p.free) >= poolSize {
		c := p.free[0]
		p.free = p.free[1:]
		return c, nil
	}
	c, err := net.Dial("unix", p.to)
	if err != nil {
		return nil, err
	}
	start := []byte("\x00\x00\x00\x00\x00\x03\x00\x00user\x00velo\x00database\x00velo\x00" +
		"client_encoding\x00UTF8\x00\x00")
	binary.BigEndian.PutUint32(start, uint32(len(start)))
	_, err = c.Write(start)
	for err == nil {
		var m message
		m, err = readMessage(c)
		switch m.kind {
		case 'Z':
			return c, nil
		case 'E':
			err = errors.New("the server refuses a connection")
		}
	}
	_ = c.Close()
	return nil, err
}

// message is one message of the protocol, without its length.
type message struct {
	kind byte
	body []byte
}

func readMessage(from io.Reader) (m message, err error) {
	var head [5]byte
	_, err = io.ReadFull(from, head[:])
	if err != nil {
		return m, err
	}
	m = message{head[0], make([]byte, binary.BigEndian.Uint32(head[1:])-4)}
	_, err = io.ReadFull(from, m.body)
	return m, err
}

func (m message) send(to io.Writer) error {
	text := append([]byte{m.kind, 0, 0, 0, 0}, m.body...)
	binary.BigEndian.PutUint32(text[1:], uint32(len(m.body)+4))
	_, err := to.Write(text)
	return err
}

// serve serves a client until it or a connection of the server ends.
func (p *pooler) serve(client net.Conn) error {
	var length [4]byte
	_, err := io.ReadFull(client, length[:])
	if err == nil {
		_, err = io.CopyN(io.Discard, client, int64(binary.BigEndian.Uint32(length[:]))-4)
	}
	for _, m := range []message{
		{'R', []byte{0, 0, 0, 0}},
		{'S', []byte("client_encoding\x00UTF8\x00")},
		{'S', []byte("standard_conforming_strings\x00on\x00")},
		{'K', []byte("12345678")},
		{'Z', []byte("I")},
	} {
		if err == nil {
			err = m.send(client)
		}
	}
	if err != nil {
		return err
	}
	var server net.Conn // nil between two transactions
	defer func() {
		if server != nil {
			_ = server.Close() // its transaction is rolled back
		}
	}()
	for {
		m, err := readMessage(client)
		if err != nil || m.kind == 'X' {
			return err
		}
		if server == nil {
			server, err = p.take()
			if err != nil {
				return err
			}
		}
		err = m.send(server)
		if err != nil {
			return err
		}
		if !strings.ContainsRune("QScf", rune(m.kind)) { // a query, Sync, the end of a COPY
			continue
		}
		ended, err := p.answers(client, server)
		if err != nil {
			return err
		}
		if ended {
			p.mu.Lock()
			p.free = append(p.free, server)
			p.mu.Unlock()
			server = nil
		}
	}
}

// answers passes on what the server says until it waits for the client, and says whether that is
// outside of a transaction.
func (p *pooler) answers(client, server net.Conn) (ended bool, err error) {
	for {
		m, err := readMessage(server)
		if err == nil {
			err = m.send(client)
		}
		switch {
		case err != nil:
			return false, err
		case m.kind == 'G':
			return false, nil
		case m.kind == 'Z':
			return m.body[0] == 'I', nil
		}
	}
}

// pgBouncer starts PgBouncer in the mode transaction in front of a server, or skips the test.
func pgBouncer(t *testing.T, s *server) (url string) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Skip("there is no pgbouncer in PATH or /usr/sbin (Debian: apt-get install pgbouncer)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	at := l.Addr().(*net.TCPAddr)
	must(t, l.Close())
	config := filepath.Join(s.Dir, "pgbouncer.ini")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "[databases]\nvelo = host=%s dbname=velo user=velo\n[pgbouncer]\n"+
		"listen_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"+
		"server_round_robin = 1\ndefault_pool_size = 4\nmin_pool_size = 3\nserver_login_retry = 1\n", s.Dir, at.Port),
		0o644))
	s.Own(config)
	args := []string{config}
	if os.Getuid() == 0 {
		args = []string{"-u", "postgres", config}
	}
	c := exec.Command(program, args...)
	var said strings.Builder
	c.Stderr = &said
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	url = fmt.Sprintf("postgres://velo@%s/velo?sslmode=disable", at)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgconn.Connect(t.Context(), url)
		if err == nil {
			must(t, conn.Close(context.Background()))
			return url
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("PgBouncer does not answer: %v", err)
		}
	}
}

// Goal: a sink works through a pooler that gives each transaction another connection of the server:
// each window and each numbered transaction is there once; a second process takes over, and the
// first one ends; and a restart of the server costs nothing. Method: the pooler of this file, and
// PgBouncer if it is installed; two sinks of other modes use the pool in turn. That sessions are
// shared is checked with what does not work then: a setting of a session.
func TestPooler(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, s *server) string{
		"own":       func(t *testing.T, s *server) string { return newPooler(t, s.socket()).url() },
		"PgBouncer": pgBouncer,
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			url := start(t, s)
			checkShared(t, url)
			plain := s.sink(SinkConfig{URL: url, Create: true})
			upsert := SinkConfig{URL: url, Create: true, Table: "latest", Name: "latest", Mode: Upsert}
			replacing := s.sink(upsert)
			for _, one := range []*Sink{plain, replacing} {
				_, err := one.Recover(t.Context(), "job", nil)
				must(t, err)
			}
			write := func(w int) {
				t.Helper()
				must(t, window(t, plain, w))
				must(t, until(t, func() error {
					return replacing.Commit(t.Context(), uint64(w), batches(rowsOf(t, w, 2), rowsOf(t, w, 1)), false)
				}))
			}
			for w := 1; w <= 5; w++ {
				write(w)
			}
			// Another process goes on.
			saved, err := plain.Save(t.Context())
			must(t, err)
			next := s.sink(SinkConfig{URL: url})
			at, err := next.Recover(t.Context(), "job", saved)
			if err != nil || at != 5 {
				t.Fatalf("%v, %v: expected to go on after 5", at, err)
			}
			must(t, plain.Write(t.Context(), rowsOf(t, 6, 2)))
			err = until(t, func() error { return plain.EndWindow(t.Context(), 6) })
			if !errors.Is(err, cursors.ErrReplaced) {
				t.Errorf("the process before: %v", err)
			}
			plain = next
			write(6)
			s.Kill()
			started := make(chan struct{})
			time.AfterFunc(200*time.Millisecond, func() {
				defer close(started)
				s.Restart()
			})
			write(7)
			<-started
			write(8)
			s.connect("velo")
			s.checkWindows(8)
			got := s.text("SELECT count(*) || ' ' || count(DISTINCT (w, k)) || ' ' || sum(n) FROM latest")
			if got != "16 16 72008\n" {
				t.Errorf("the upserts: %s", got)
			}
		})
	}
}

// checkShared checks that a pooler gives the transactions of one client to several connections of
// the server, as other clients hold them: what a session has set is not there any more.
func checkShared(t *testing.T, url string) {
	t.Helper()
	open := func() *pgconn.PgConn {
		t.Helper()
		conn, err := pgconn.Connect(t.Context(), url)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	run := func(conn *pgconn.PgConn, sql string) string {
		t.Helper()
		results, err := conn.Exec(t.Context(), sql).ReadAll()
		must(t, err)
		if len(results[0].Rows) == 0 {
			return ""
		}
		return string(results[0].Rows[0][0])
	}
	one := open()
	run(one, "SET work_mem = '77MB'")
	var others []*pgconn.PgConn
	lost := false
	for range poolSize {
		others = append(others, open())
		run(others[len(others)-1], "BEGIN")
		lost = lost || run(one, "SHOW work_mem") != "77MB"
	}
	if !lost {
		t.Error("a setting of a session is still there, so sessions are not shared")
	}
	for _, conn := range others {
		run(conn, "ROLLBACK")
	}
}
