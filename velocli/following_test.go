//go:build unix

package velocli

import (
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goal: files of a pattern that appear while it is followed are read, a log that is rotated within
// the pattern is counted once, and what is not followed is said: folders, FIFOs, compressed files,
// too many files. Method: a query and a job over a folder in which all that happens.
func TestFollowPattern(t *testing.T) {
	every := followEvery
	followEvery = 5 * time.Millisecond
	defer func() { followEvery = every }()
	for what, args := range map[string]func(dir string) []string{
		"query": func(dir string) []string {
			return []string{"query", "--follow", "--follow-files=3", "--format=csv", `SELECT a FROM "` + dir + `/log*"`}
		},
		"run": func(dir string) []string {
			return []string{"run", "--format=csv", write(t, "job.sql", `CREATE SOURCE s (a text)
				WITH (connector = 'file', path = '`+dir+`/log*', follow = true, follow.files = 3); SELECT a FROM s`)}
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			g := &growing{t: t, folder: dir}
			g.add("log", "a\nfirst\n")
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "logs"), 0o700),
				syscall.Mkfifo(filepath.Join(dir, "log-pipe"), 0o600)); err != nil {
				t.Fatal(err)
			}
			old, err := os.Create(filepath.Join(dir, "log.9.gz"))
			if err != nil {
				t.Fatal(err)
			}
			packed := gzip.NewWriter(old)
			if _, err := packed.Write([]byte("a\npacked\n")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(packed.Close(), old.Close()); err != nil {
				t.Fatal(err)
			}
			g = follows(t, dir, args(dir)...)
			g.awaits("first\n")
			g.add("log-b", "a\nsecond\n")
			g.awaits("second\n")
			if err := os.Rename(filepath.Join(dir, "log"), filepath.Join(dir, "log.1")); err != nil {
				t.Fatal(err)
			}
			g.add("log", "a\nthird\n")
			g.awaits("third\n")
			g.add("log.1", "fourth\n")
			g.awaits("fourth\n")
			g.add("log-c", "a\nfifth\n")
			g.awaits("fifth\n")
			g.add("log-d", "a\nnot read\n")
			g.awaits("log-d: 3 are followed at once; --follow-files")
			out, errs, status := g.end()
			if want := "a\nfirst\nsecond\nthird\nfourth\nfifth\n"; out != want || status != 0 {
				t.Errorf("status %d\n%s\nexpected\n%s", status, out, want)
			}
			for _, says := range []string{"logs is a directory", "log-pipe is a FIFO", "log.9.gz is compressed"} {
				if strings.Count(errs, says) != 1 {
					t.Errorf("it does not say once %q\n%s", says, errs)
				}
			}
		})
	}
}

// Goal: what is wrong with a file that is followed is said in a line, once.
func TestFollowTrouble(t *testing.T) {
	every := followEvery
	followEvery = 5 * time.Millisecond
	defer func() { followEvery = every }()
	dir := t.TempDir()
	g := &growing{t: t, folder: dir}
	g.add("log", "a\nfirst\n")
	g = follows(t, dir, "query", "--follow", "--format=csv", `SELECT a FROM "`+dir+`/log"`)
	g.awaits("first\n")
	path := filepath.Join(dir, "log")
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	g.awaits("log is a FIFO now")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	g.add("log", "a\nsecond\n")
	g.awaits("second\n")
	if _, errs, status := g.end(); status != 0 || strings.Count(errs, "FIFO") != 1 {
		t.Errorf("status %d\n%s", status, errs)
	}
}

// Goal: a FIFO cannot be followed, and that is said before somebody waits for it.
func TestFollowFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, status := velo(t, "", "query", "--follow", `SELECT a FROM "`+path+`"`)
	if status != statusFailed || !strings.Contains(errs, "is a FIFO, which is read until it ends anyway") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// Goal: a pattern that finds folders and pipes beside files reads the files and says what it leaves
// out.
func TestPatternSkips(t *testing.T) {
	dir := t.TempDir()
	g := &growing{t: t, folder: dir}
	g.add("t1.csv", "a\n1\n")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "t0"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "t2"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, errs, status := velo(t, "", "query", "--format=csv", `SELECT count(*) AS n FROM "`+dir+`/t*"`)
	if status != 0 || out != "n\n1\n" || !strings.Contains(errs, "t0 is a directory") ||
		!strings.Contains(errs, "t2 is a FIFO") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}
