//go:build unix

package testpostgres

import (
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
)

// A Server is a PostgreSQL that a test has for itself. The test's own goroutine uses it.
type Server struct {
	// Dir is the folder of its socket.
	Dir string
	// Port is where it listens on this machine, from the next Start on; "" if it has only its
	// socket.
	Port string

	t        testing.TB
	as       *syscall.SysProcAttr
	programs string
	settings []string
	alive    io.Closer // ends it
	ended    chan error
}

// New starts a server, which everybody may use who is on this machine, as the user velo. It is gone
// when the test is. The test is skipped if PostgreSQL is not installed. Settings are further ones
// of the server, such as "fsync=off".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := &Server{t: t, programs: find(), as: &syscall.SysProcAttr{}, settings: settings}
	if s.programs == "" {
		t.Skip("PostgreSQL is not installed: neither in PATH nor in /usr/lib/postgresql")
	}
	// A socket's path has 107 bytes at most, so it does not lie in the test's own folder.
	dir, err := os.MkdirTemp("", "velo")
	s.must(err)
	s.Dir = dir
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
		s.must(os.Chown(dir, uid, gid))
		s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", "velo", "--auth=trust", "--encoding=UTF8", "--locale=C",
		"--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, name), args...)
	c.Dir, c.SysProcAttr, c.Env = s.Dir, s.as, append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+s.Dir)
	return c
}

// Start starts a server that was stopped or killed.
func (s *Server) Start() {
	settings := append([]string{
		"listen_addresses=", "timezone=UTC", "log_min_messages=fatal", "log_min_error_statement=panic",
	}, s.settings...)
	if s.Port != "" {
		settings = append(settings, "listen_addresses=127.0.0.1", "port="+s.Port)
	}
	c := s.command("postgres", "-D", s.data(), "-k", s.Dir)
	for _, one := range settings {
		c.Args = append(c.Args, "-c", one)
	}
	// The shell ends the server when its own input ends, which it does however the test does.
	c.Args = append([]string{
		"sh", "-c",
		`exec 3<&0; "$0" "$@" </dev/null 3<&- & p=$!; { read _ <&3; kill -INT $p; } 2>/dev/null & wait $p`, c.Path,
	}, c.Args[1:]...)
	c.Path = "/bin/sh"
	alive, err := c.StdinPipe()
	s.must(err)
	s.must(c.Start())
	s.alive, s.ended = alive, make(chan error, 1)
	ended := s.ended
	go func() { ended <- c.Wait() }()
}

// Restart starts a server that was killed. It ends at once as long as processes of before are
// there.
func (s *Server) Restart() {
	for {
		s.Start()
		select {
		case <-s.ended:
			_ = s.alive.Close()
			<-time.After(20 * time.Millisecond)
		case <-time.After(time.Second):
			return
		}
	}
}

// Stop ends the server, as pg_ctl stop -m fast does.
func (s *Server) Stop() {
	_ = s.alive.Close()
	<-s.ended
}

// Kill ends the server as a crash of the machine does, except that what the system has in its
// caches is not lost.
func (s *Server) Kill() {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	s.must(err)
	pid, err := strconv.Atoi(string(text[:slices.Index(text, '\n')]))
	s.must(err)
	s.must(syscall.Kill(pid, syscall.SIGKILL))
	<-s.ended
	close(s.ended) // Stop finds it ended
	_ = s.alive.Close()
}

// Own makes the server's user the owner of a file.
func (s *Server) Own(path string) {
	c := s.as.Credential
	if c != nil {
		s.must(os.Chown(path, int(c.Uid), int(c.Gid)))
	}
}

// URL is how to connect to a database.
func (s *Server) URL(database string) string {
	return "host=" + s.Dir + " user=velo dbname=" + database + " sslmode=disable"
}

// find is the folder with the server's programs: the folder in PATH, else the newest of Debian's.
func find() string {
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

// Standby starts a copy of the server, which follows it asynchronously. It is gone when the test
// is.
func (s *Server) Standby() *Server {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "velo")
	s.must(err)
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &Server{Dir: dir, t: s.t, programs: s.programs, as: s.as, settings: s.settings}
	b.Own(dir)
	out, err := b.command("pg_basebackup", "-h", s.Dir, "-U", "velo", "-D", b.data(), "-R", "-X", "stream",
		"-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		s.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	b.Start()
	s.t.Cleanup(b.Stop)
	return b
}
