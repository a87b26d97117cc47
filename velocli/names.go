package velocli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/velo-engine/velo/internal/filenames"
	"github.com/velo-engine/velo/writers"
)

// names are the files that a command reads and those that it writes. No file may be both, and none
// may be written twice. Files are compared by what they are, so links and different spellings make
// no difference. Everything is checked before anything is written.
type names struct {
	read     []string // files
	patterns []string // patterns and folders: a file that is written may be found by them later
	written  []target
	faults   []error
}

// target is a file that is written.
type target struct {
	what string
	path string      // as it was given; "" for a file that is open already
	dir  os.FileInfo // its folder; nil if there is none
	info os.FileInfo // what has the name now; nil if nothing has
}

// reads notes what a name stands for that is read. If it stands for nothing, opening it reports
// that.
func (n *names) reads(name string) {
	paths, _ := find(name)
	n.read = append(n.read, paths...)
	if isPattern(name) {
		n.patterns = append(n.patterns, name)
	}
}

// writes notes a file that is written, by its name.
func (n *names) writes(what, path string) {
	t := target{what: what, path: path}
	t.info, _ = os.Stat(path) // nil if it does not exist yet
	t.dir, _ = os.Stat(filepath.Dir(path))
	n.add(t)
	for _, pattern := range n.patterns {
		if finds(pattern, sample(path)) {
			n.fault("%s: %s would be read as %s, when it is there: write it elsewhere", what, path, pattern)
		}
	}
}

// prints notes a file that is open already: standard output or standard error, if it is a file.
func (n *names) prints(what string, to io.Writer) {
	f, ok := to.(*os.File)
	if !ok {
		return
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		n.add(target{what: what, info: info})
	}
}

func (n *names) fault(format string, args ...any) {
	n.faults = append(n.faults, fmt.Errorf(format, args...))
}

// add notes a target, and what is wrong with it.
func (n *names) add(t target) {
	if t.info != nil {
		for _, other := range n.read {
			if o, err := os.Stat(other); err == nil && os.SameFile(t.info, o) {
				n.fault("%s: that is the file %s, which is read: give it another name", t.named(), other)
				break
			}
		}
	}
	for _, other := range n.written {
		if t.path == "" && other.path == "" {
			continue // both may go to the same place
		}
		if t.same(other) {
			n.fault("%s: it is written by %s already: give each its own", t.named(), other.what)
			break
		}
	}
	n.written = append(n.written, t)
}

// named is what messages call a target.
func (t *target) named() string {
	if t.path == "" {
		return t.what
	}
	return t.what + ": " + t.path
}

// same says whether two targets are the same file, or may become the same.
func (t *target) same(other target) bool {
	if t.info != nil && other.info != nil && os.SameFile(t.info, other.info) {
		return true
	}
	if t.dir == nil || other.dir == nil || !os.SameFile(t.dir, other.dir) {
		return false
	}
	a, b := filepath.Base(t.path), filepath.Base(other.path)
	return a == b || writers.Writes(a, b) || writers.Writes(b, a)
}

// sample is a name that a sink writes, with number and time filled in.
func sample(path string) string {
	return strings.NewReplacer("{n}", "000001", "{time}", "20240131T235959Z").Replace(path)
}

// finds says whether a pattern or a folder would find a file if it existed.
func finds(pattern, path string) bool {
	if left(filepath.Base(path)) {
		return false
	}
	steps := strings.Split(filepath.ToSlash(pattern), "/")
	if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		steps = append(steps, "*")
	}
	fixed := 0
	for fixed < len(steps)-1 && !strings.ContainsAny(steps[fixed], "*?[") {
		fixed++
	}
	root := filepath.FromSlash(strings.Join(steps[:fixed], "/"))
	switch {
	case root == "" && fixed > 0:
		root = string(filepath.Separator)
	case root == "":
		root = "."
	}
	root, err := real(root)
	if err != nil {
		return false
	}
	dir, err := real(filepath.Dir(path))
	if err != nil {
		return false
	}
	rest, err := filepath.Rel(root, filepath.Join(dir, filepath.Base(path)))
	if err != nil {
		return false
	}
	return filenames.Matches(steps[fixed:], strings.Split(filepath.ToSlash(rest), "/"))
}

// real is the unique name of a folder, which need not be there yet.
func real(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(abs) != abs {
		above, err := real(filepath.Dir(abs))
		return filepath.Join(above, filepath.Base(abs)), err
	}
	return path, err
}

// namesOf are the names for a query over a name in FROM, or over the files that are listed, and for
// where it prints.
func namesOf(name string, listed []string, std streams) *names {
	var n names
	for _, one := range listed {
		n.reads(one)
	}
	if name != stdinName {
		if len(listed) == 0 {
			n.reads(name)
		}
	} else if isFile(std.in) {
		n.read = []string{stdinFile}
	}
	n.prints("standard output", std.out)
	n.prints("standard error", std.err)
	return &n
}
