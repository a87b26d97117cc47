package engine_test

import (
	"strings"
	"sync"

	"github.com/velo-engine/velo/state"
)

// A watchedFS is a folder whose calls are watched. Before is called before each, and its error is
// what the call returns; after is called after each that has been made.
type watchedFS struct {
	state.FS
	before func(point string) error
	after  func(point string)
}

// kindOf says what a file is.
func kindOf(name string) string {
	if strings.Contains(name, ".manifest") {
		return "manifest"
	}
	return "segment"
}

func (w *watchedFS) do(point string, call func() error) error {
	if err := w.before(point); err != nil {
		return err
	}
	err := call()
	if err == nil {
		w.after(point)
	}
	return err
}

func (w *watchedFS) Create(name string) (f state.File, err error) {
	err = w.do("create "+kindOf(name), func() error {
		f, err = w.FS.Create(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, w, kindOf(name)}, nil
}

func (w *watchedFS) Rename(from, to string) error {
	return w.do("rename "+kindOf(to), func() error { return w.FS.Rename(from, to) })
}

func (w *watchedFS) Remove(name string) error {
	return w.do("remove "+kindOf(name), func() error { return w.FS.Remove(name) })
}

func (w *watchedFS) SyncFolder() error { return w.do("sync folder", w.FS.SyncFolder) }

type watchedFile struct {
	state.File
	fs   *watchedFS
	kind string
}

// Write writes one half and then the other, with a point between them.
func (f *watchedFile) Write(b []byte) (n int, err error) {
	half := len(b) / 2
	err = f.fs.do("write half of "+f.kind, func() error {
		n, err = f.File.Write(b[:half])
		return err
	})
	if err != nil {
		return n, err
	}
	rest := 0
	err = f.fs.do("write "+f.kind, func() error {
		rest, err = f.File.Write(b[half:])
		return err
	})
	return n + rest, err
}

func (f *watchedFile) Sync() error { return f.fs.do("sync "+f.kind, f.File.Sync) }

// faults fail calls of a watchedFS.
type faults struct {
	mu sync.Mutex
	// at has the errors by the points.
	at    map[string]error
	calls map[string]int
}

func (f *faults) set(point string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = map[string]error{point: err}
}

func (f *faults) before(point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[point]++
	return f.at[point]
}

// open opens a folder whose calls fail as the faults say.
func (f *faults) open(path string) func(state.Options) (*state.Folder, error) {
	return func(o state.Options) (*state.Folder, error) {
		return state.OpenFS(&watchedFS{state.OS(path, o.NoSync), f.before, func(string) {}}, o)
	}
}
