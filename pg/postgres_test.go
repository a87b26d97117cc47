//go:build unix

package pg_test

import (
	"context"
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

// newPostgres starts a PostgreSQL of its own, with the database velo and the relations of sample.
// It is gone when the test is.
func newPostgres(t *testing.T) *pgx.Conn {
	bin := postgresBin()
	if bin == "" {
		t.Skip("PostgreSQL is not installed: neither in PATH nor in /usr/lib/postgresql")
	}
	// A socket's path has 107 bytes at most, so it does not lie in the test's own folder.
	dir, err := os.MkdirTemp("", "velo")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := &syscall.SysProcAttr{}
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
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr, c.Env = dir, as, append(os.Environ(), "LC_ALL=C", "TZ=UTC", "HOME="+dir)
		return c
	}
	data := filepath.Join(dir, "data")
	out, err := command("initdb", "-D", data, "-U", "velo", "--auth=trust", "--encoding=UTF8", "--locale=C",
		"--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// The shell ends the server when its own input ends, which it does however the test does.
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
		"timezone=UTC", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=panic")
	server.Args = append([]string{
		"sh", "-c",
		`exec 3<&0; "$0" "$@" </dev/null 3<&- & p=$!; { read _ <&3; kill -INT $p; } 2>/dev/null & wait $p`, server.Path,
	}, server.Args[1:]...)
	server.Path = "/bin/sh"
	alive, err := server.StdinPipe()
	must(t, err)
	must(t, server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = alive.Close()
		<-ended
	})
	first := connectPostgres(t, "host="+dir+" user=velo dbname=postgres sslmode=disable")
	_, err = first.Exec(t.Context(), "CREATE DATABASE velo", pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	conn := connectPostgres(t, "host="+dir+" user=velo dbname=velo sslmode=disable")
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

// postgresBin is the folder with the server's programs: the folder in PATH, else the newest of
// Debian's.
func postgresBin() string {
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
