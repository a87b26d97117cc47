package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An FS is the few calls to a file system that a Folder makes. All of them go through it, so that a
// test can stand for a disk that forgets what was not synced. Names are names in one folder,
// without a path. One goroutine uses an FS at a time, except Open and what it returns.
type FS interface {
	// Create makes a file that must not exist.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (Source, error)
	// Rename gives a file another name, and replaces a file that has it.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// List returns the names of all files.
	List() ([]string, error)
	// SyncFolder makes all creations, renames and removals durable that came before it.
	SyncFolder() error
	// Lock keeps other processes out until Unlock. It fails with ErrLocked if one is there.
	Lock() error
	// Unlock lets others in. The FS is not used after it.
	Unlock() error
	// Home is a text that is another one in a copy of the folder. It is empty if the system has
	// none.
	Home() string
	// String names the folder in messages.
	String() string
}

// A File is being written.
type File interface {
	io.Writer
	// Sync makes what was written durable. After an error the file is of no use.
	Sync() error
	Close() error
}

// A Source is a file that is being read.
type Source interface {
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}

// ErrLocked says that another process uses the folder.
var ErrLocked = errors.New("another process uses it")

// osFS is a folder of the operating system.
type osFS struct {
	path   string
	noSync bool
	lock   *os.File
}

const lockName = "LOCK"

// OS is a folder of the operating system. With noSync it does not wait for the disk.
func OS(path string, noSync bool) FS { return &osFS{path: path, noSync: noSync} }

func (o *osFS) String() string { return o.path }

func (o *osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(o.path, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &osFile{f, o.noSync}, nil
}

func (o *osFS) Open(name string) (Source, error) {
	f, err := os.Open(filepath.Join(o.path, name))
	if err != nil {
		return nil, err
	}
	return osSource{f}, nil
}

func (o *osFS) Rename(from, to string) error {
	return os.Rename(filepath.Join(o.path, from), filepath.Join(o.path, to))
}

func (o *osFS) Remove(name string) error { return os.Remove(filepath.Join(o.path, name)) }

func (o *osFS) List() ([]string, error) {
	entries, err := os.ReadDir(o.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (o *osFS) SyncFolder() error {
	if o.noSync {
		return nil
	}
	return syncFolder(o.path)
}

// Lock makes the folder if there is none.
func (o *osFS) Lock() error {
	if err := os.MkdirAll(o.path, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(o.path, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		owner := make([]byte, 64)
		n, _ := f.ReadAt(owner, 0) // it only serves the message
		f.Close()
		if errors.Is(err, ErrLocked) && n > 0 {
			return fmt.Errorf("%w: %s", err, owner[:n])
		}
		return err
	}
	// The text is for the message of a process that is kept out; nothing relies on it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "process %d", os.Getpid()), 0)
	o.lock = f
	return nil
}

func (o *osFS) Unlock() error { return o.lock.Close() }

type osFile struct {
	*os.File
	noSync bool
}

func (f *osFile) Sync() error {
	if f.noSync {
		return nil
	}
	return syncData(f.File)
}

type osSource struct{ *os.File }

func (s osSource) Size() (int64, error) {
	info, err := s.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
