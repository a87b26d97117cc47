package writers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// files is what a File needs of the file system. Tests replace it by one that is full, or that
// fails in the middle.
type files interface {
	list(dir string) (names []string, err error)
	replaceable(path string) error // nil if nothing has that name, or a file that may be replaced
	create(path string) (handle, error)
	rename(from, to string) error
	// claim renames a file to a name that nothing has; it returns fs.ErrExist if something does.
	claim(from, to string) error
	remove(path string) error
	// open opens a file for writing, and says how long it is.
	open(path string) (h handle, size int64, err error)
	read(path string) ([]byte, error)
	// same says whether two names are of one file.
	same(a, b string) bool
	syncDir(dir string) error
}

type handle interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// system is the file system of the operating system.
type system struct{}

func (system) list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (system) replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("there is something of that name that is no regular file (%v)", info.Mode().Type())
	}
	return nil
}

func (system) create(path string) (handle, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil { // not a nil *os.File in the interface
		return nil, err
	}
	return f, nil
}

func (system) rename(from, to string) error { return os.Rename(from, to) }

// claim is atomic if the file system has links: of two writers that claim a name one gets it.
func (system) claim(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
func (system) remove(path string) error { return os.Remove(path) }

func (system) open(path string) (handle, int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (system) read(path string) ([]byte, error) { return os.ReadFile(path) }

func (system) same(a, b string) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// syncDir makes a rename durable. Windows cannot do that, and does not need it.
func (system) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
