//go:build unix

package postgres

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL that a test has for itself.
type server struct {
	t     testing.TB
	dir   string // of its socket
	as    *syscall.SysProcAttr
	bin   string
	port  string    // it listens on, on this machine; "" if it has only its socket
	alive io.Closer // ends it
	ended chan error
	conn  *pgx.Conn
}

// newServer starts a PostgreSQL with the database velo. It is gone when the test is.
func newServer(t testing.TB) *server {
	s := &server{t: t, bin: serverPrograms(), as: &syscall.SysProcAttr{}}
	if s.bin == "" {
		t.Skip("PostgreSQL is not installed: neither in PATH nor in /usr/lib/postgresql")
	}
	// A socket's path has 107 bytes at most, so it does not lie in the test's own folder.
	dir, err := os.MkdirTemp("", "velo")
	must(t, err)
	s.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 { // the server refuses to be root
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			t.Skip("PostgreSQL cannot run as root, and there is neither a user postgres nor nobody")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		must(t, os.Chown(dir, uid, gid))
		s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	out, err := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "velo", "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(s.stop)
	s.connect("postgres")
	s.exec("CREATE DATABASE velo")
	s.connect("velo")
	return s
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir, c.SysProcAttr, c.Env = s.dir, s.as, append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+s.dir)
	return c
}

// start starts the server.
func (s *server) start() {
	// The shell ends the server when its own input ends, which it does however the test does.
	c := s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=", "-c",
		"timezone=UTC", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=panic")
	if s.port != "" {
		c.Args = append(c.Args, "-c", "listen_addresses=127.0.0.1", "-c", "port="+s.port)
	}
	c.Args = append([]string{
		"sh", "-c",
		`exec 3<&0; "$0" "$@" </dev/null 3<&- & p=$!; { read _ <&3; kill -INT $p; } 2>/dev/null & wait $p`, c.Path,
	}, c.Args[1:]...)
	c.Path = "/bin/sh"
	alive, err := c.StdinPipe()
	must(s.t, err)
	must(s.t, c.Start())
	s.alive, s.ended = alive, make(chan error, 1)
	ended := s.ended
	go func() { ended <- c.Wait() }()
}

// restart starts a server that was killed. It ends at once as long as processes of before are there.
func (s *server) restart() {
	for {
		s.start()
		select {
		case <-s.ended:
			_ = s.alive.Close()
			time.Sleep(20 * time.Millisecond)
		case <-time.After(time.Second):
			return
		}
	}
}

// stop ends the server, as pg_ctl stop -m fast does.
func (s *server) stop() {
	_ = s.alive.Close()
	<-s.ended
}

// kill ends the server as a crash of the machine does, except that what the system has in its
// caches is not lost.
func (s *server) kill() {
	text, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	must(s.t, err)
	pid, err := strconv.Atoi(string(text[:slices.Index(text, '\n')]))
	must(s.t, err)
	must(s.t, syscall.Kill(pid, syscall.SIGKILL))
	<-s.ended
	_ = s.alive.Close()
}

// url is how to connect.
func (s *server) url() string { return "host=" + s.dir + " user=velo dbname=velo sslmode=disable" }

// socket is the file of the server's socket.
func (s *server) socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// connect connects the test itself.
func (s *server) connect(database string) {
	for began := time.Now(); ; {
		conn, err := pgx.Connect(s.t.Context(), "host="+s.dir+" user=velo sslmode=disable dbname="+database)
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

// serverPrograms is the folder with the server's programs: the folder in PATH, else the newest of
// Debian's.
func serverPrograms() string {
	p, err := exec.LookPath("initdb")
	if err == nil {
		p, err = filepath.EvalSymlinks(p)
	}
	if err == nil {
		_, err = os.Stat(filepath.Join(filepath.Dir(p), "postgres"))
		if err == nil {
			return filepath.Dir(p)
		}
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	version := func(p string) int {
		v, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return v
	}
	if len(all) == 0 {
		return ""
	}
	return filepath.Dir(slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) }))
}
