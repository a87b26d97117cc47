package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// backupTries is how often Backup begins again because an engine has removed what it was copying.
const backupTries = 10

// A Checked is what Check has found out about a generation.
type Checked struct {
	Generation uint64
	// Manifest is nil if it cannot be read.
	Manifest *Manifest
	// Err says what is damaged, and where; it is nil if the generation is whole.
	Err error
}

// Check reads every byte of all generations of a folder that an engine may be using, in order. It
// locks nothing and changes nothing. A generation that the engine removes meanwhile is left out.
func Check(path string) ([]Checked, error) {
	f := &Folder{fs: &osFS{path: path}}
	before, err := f.manifests()
	if err != nil {
		return nil, fmt.Errorf("state %v: %w", f.fs, err)
	}
	var all []Checked
	for _, n := range before {
		c := Checked{Generation: n}
		c.Manifest, c.Err = f.read(n)
		if c.Err == nil {
			c.Err = f.Verify(c.Manifest)
		}
		all = append(all, c)
	}
	after, err := f.manifests()
	if err != nil {
		return nil, fmt.Errorf("state %v: %w", f.fs, err)
	}
	all = slices.DeleteFunc(all, func(c Checked) bool { return !slices.Contains(after, c.Generation) })
	if len(all) == 0 {
		return nil, fmt.Errorf("state %v: there is no generation", f.fs)
	}
	return all, nil
}

// manifests are the numbers of the manifests in a folder, in order.
func (f *Folder) manifests() (numbers []uint64, err error) {
	files, err := f.fs.List()
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if n, suffix, ok := parse(file); ok && suffix == manifestSuffix {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// Holds says whether a folder has generations, or had an engine.
func Holds(path string) bool {
	f := &Folder{fs: &osFS{path: path}}
	numbers, err := f.manifests()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(path, lockName))
	return len(numbers) > 0 || err == nil
}

// Backup copies the newest whole generation of a folder that an engine may be using into another
// folder, which must be empty or not exist. Files of a state never change, so they get a second
// name if the file system can do that; otherwise they are copied. All of the copy is read. An
// engine goes on with it only if it is told to take it over (Options.Takeover).
func Backup(from, to string) (m *Manifest, err error) {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	target := &osFS{path: to}
	there, err := target.List()
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("state %s: it is not empty, expected a new folder", to)
	}
	for range backupTries {
		m, err = backup(from, target)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		there, _ := target.List() // Create reports what cannot be removed
		for _, file := range there {
			_ = target.Remove(file)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := target.SyncFolder(); err != nil {
		return nil, err
	}
	f := &Folder{fs: target}
	copied, err := f.read(m.Generation)
	if err == nil {
		err = f.Verify(copied)
	}
	if err != nil {
		return nil, fmt.Errorf("state %s: the copy: %w", to, err)
	}
	return m, nil
}

func backup(from string, to *osFS) (*Manifest, error) {
	f, err := Inspect(from)
	if err != nil {
		return nil, err
	}
	for _, file := range append(f.Newest.Files(), name(f.Newest.Generation, manifestSuffix)) {
		if err := duplicate(filepath.Join(from, file), filepath.Join(to.path, file)); err != nil {
			return nil, err
		}
	}
	return f.Newest, nil
}

// duplicate gives a file a second name, or copies it.
func duplicate(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
