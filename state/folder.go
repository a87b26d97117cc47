package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

const (
	// keepGenerations is how many generations are kept: the newest, and the one before it in case
	// the newest turns out to be damaged.
	keepGenerations = 2

	manifestSuffix = ".manifest"
	openSuffix     = ".open"
	closedSuffix   = ".closed"
	tempSuffix     = ".temp"
	namePrefix     = "generation-"
)

var (
	// ErrCopied says that a folder is a copy of another one.
	ErrCopied = errors.New("the folder is a copy of the one that an engine wrote to")

	// ErrNoManifest says that a folder has segments and no manifest.
	ErrNoManifest = errors.New("there are segments and no manifest")
)

// A Folder is a folder of generations that this process has locked. One goroutine uses it at a
// time.
type Folder struct {
	fs FS
	// Job is drawn when the folder is first used, and Incarnation at each OpenFolder.
	Job, Incarnation string
	// Newest is the generation to go on from; it is nil if there is none yet.
	Newest *Manifest
	// Passed says why newer generations were passed over, if they were: they are damaged.
	Passed error

	// buffer is how many bytes of small parts are written together.
	buffer int
	// last is the highest number that any file has.
	last uint64
	// kept are the generations on disk that are good, in order.
	kept []*Manifest
	// stray are the files that no kept generation names. damaged are the manifests of damaged
	// generations that are newer than all that are kept.
	stray, damaged []string
}

// Options are the choices of the program that opens a folder.
type Options struct {
	// Takeover goes on with a folder that is a copy of another one.
	Takeover bool
	// Fresh forgets what is in the folder: its files are renamed, and nothing is removed.
	Fresh bool
	// NoSync does not wait for the disk. What is saved then survives the end of the process, not
	// of the machine.
	NoSync bool
}

// OpenFolder locks a folder, makes it if there is none, and finds the newest generation that is
// whole. Whole means that every byte of it is what was written: all of it is read. The error is
// ErrLocked, ErrCopied or ErrNoManifest, or that no generation is whole, with what to do.
func OpenFolder(path string, o Options) (*Folder, error) {
	return OpenFS(OS(path, o.NoSync), o)
}

// OpenFS is OpenFolder on any file system.
func OpenFS(fsys FS, o Options) (f *Folder, err error) {
	if err := fsys.Lock(); err != nil {
		return nil, fmt.Errorf("state %v: %w", fsys, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("state %v: %w", fsys, err), fsys.Unlock())
			f = nil
		}
	}()
	f = &Folder{fs: fsys, Incarnation: newID(), buffer: bufferBytes}
	if o.Fresh {
		if err := f.putAside(); err != nil {
			return f, err
		}
	}
	if err := f.look(); err != nil {
		return f, err
	}
	if f.Newest == nil {
		f.Job = newID()
		f.sweep()
		return f, nil
	}
	f.Job = f.Newest.Job
	if home := fsys.Home(); home != f.Newest.Home && !o.Takeover {
		return f, fmt.Errorf("%w (%s, this is %s), and that one may still run: if it does not, go on here with "+
			"takeover, or begin anew with fresh", ErrCopied, f.Newest.Home, home)
	}
	// The process before may have ended after it had renamed a manifest and before it had synced
	// the folder. A writer may get the rows of that generation now, so its name must not get lost.
	if err := fsys.SyncFolder(); err != nil {
		return f, err
	}
	f.sweep()
	return f, nil
}

// Inspect looks at a folder that an engine may be using: it locks nothing and changes nothing. The
// generations that it finds may be gone a moment later. The Folder need not be closed.
func Inspect(path string) (*Folder, error) {
	f := &Folder{fs: &osFS{path: path}}
	if err := f.look(); err != nil {
		return nil, fmt.Errorf("state %v: %w", f.fs, err)
	}
	if f.Newest == nil {
		return nil, fmt.Errorf("state %v: there is no generation", f.fs)
	}
	f.Job = f.Newest.Job
	return f, nil
}

// newID draws a name that no other folder or start has.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// name is the name of a file of a generation.
func name(generation uint64, suffix string) string {
	return fmt.Sprintf("%s%08d%s", namePrefix, generation, suffix)
}

// parse is the inverse of name. ok is false for other files.
func parse(file string) (generation uint64, suffix string, ok bool) {
	rest, ok := strings.CutPrefix(file, namePrefix)
	if !ok {
		return 0, "", false
	}
	number, kind, ok := strings.Cut(rest, ".")
	suffix = "." + kind
	if _, err := fmt.Sscanf(number, "%d", &generation); err != nil || !ok || name(generation, suffix) != file {
		return 0, "", false
	}
	return generation, suffix, true
}

func isSegment(file string) bool {
	_, suffix, ok := parse(file)
	return ok && (suffix == openSuffix || suffix == closedSuffix)
}

// look reads the manifests, newest first, and takes the first that is whole.
func (f *Folder) look() error {
	files, err := f.fs.List()
	if err != nil {
		return err
	}
	var manifests []uint64
	later := 0 // segments of other generations than the first
	for _, file := range files {
		n, suffix, ok := parse(file)
		if !ok {
			continue
		}
		f.last = max(f.last, n)
		switch suffix {
		case manifestSuffix:
			manifests = append(manifests, n)
			continue
		case openSuffix, closedSuffix:
			if n > 1 {
				later++
			}
		}
		f.stray = append(f.stray, file)
	}
	if len(manifests) == 0 {
		// An engine that was stopped while it wrote its first generation had read nothing.
		if later > 0 {
			return fmt.Errorf("%w: somebody has removed the manifest; put it back, or begin anew with fresh",
				ErrNoManifest)
		}
		f.last = 0 // so that its first generation is the first again
		return nil
	}
	slices.Sort(manifests)
	slices.Reverse(manifests)
	var passed []error
	for _, n := range manifests {
		m, err := f.read(n)
		if err == nil {
			err = f.Verify(m)
		}
		switch {
		case err == nil:
			f.kept = append(f.kept, m)
		case !errors.Is(err, ErrDamaged) && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("generation %d: %w", n, err)
		case len(f.kept) == 0:
			passed = append(passed, fmt.Errorf("generation %d is passed over: %w", n, err))
			f.damaged = append(f.damaged, name(n, manifestSuffix))
		default: // a newer one is whole
			f.stray = append(f.stray, name(n, manifestSuffix))
		}
	}
	f.Passed = errors.Join(passed...)
	if len(f.kept) == 0 {
		return fmt.Errorf("no generation is whole; begin anew with fresh: %w", f.Passed)
	}
	slices.Reverse(f.kept)
	f.Newest = f.kept[len(f.kept)-1]
	named := map[string]bool{}
	for _, m := range f.kept {
		for _, file := range m.Files() {
			named[file] = true
		}
	}
	f.stray = slices.DeleteFunc(f.stray, func(file string) bool { return named[file] })
	return nil
}

// read reads a manifest.
func (f *Folder) read(generation uint64) (*Manifest, error) {
	file := name(generation, manifestSuffix)
	text, err := readAll(f.fs, file)
	if err != nil {
		return nil, err
	}
	m, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if m.Generation != generation {
		return nil, fmt.Errorf("%s: %w: it is of generation %d", file, ErrDamaged, m.Generation)
	}
	return m, nil
}

// readAll reads a small file.
func readAll(fsys FS, file string) ([]byte, error) {
	s, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	size, err := s.Size()
	if err != nil {
		return nil, err
	}
	if size > MaxManifestBytes {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, at most %d are read", file, ErrDamaged, size, MaxManifestBytes)
	}
	text := make([]byte, size)
	if _, err := s.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return text, nil
}

// sweep removes the files that no kept generation names, and generations beyond those that are
// kept: what an attempt has left that did not come to its end. Nothing depends on it, so a failure
// is no error.
func (f *Folder) sweep() {
	for _, file := range f.stray {
		_ = f.fs.Remove(file)
	}
	f.stray = nil
	// A process that ended after its newest generation had got its name may have left an old one.
	f.trim()
}

// putAside renames all generations, so that the folder is as if it were new.
func (f *Folder) putAside() error {
	files, err := f.fs.List()
	if err != nil {
		return err
	}
	mark := "aside-" + time.Now().UTC().Format("20060102T150405.000") + "-"
	// Manifests come first: if this ends in between, segments without a manifest are not taken for
	// a generation.
	slices.SortFunc(files, func(a, b string) int {
		return strings.Compare(manifestFirst(a), manifestFirst(b))
	})
	for _, file := range files {
		if _, _, ok := parse(file); ok {
			if err := f.fs.Rename(file, mark+file); err != nil {
				return err
			}
		}
	}
	return f.fs.SyncFolder()
}

func manifestFirst(file string) string {
	if strings.HasSuffix(file, manifestSuffix) {
		return "0" + file
	}
	return "1" + file
}

// Close unlocks the folder.
func (f *Folder) Close() error { return f.fs.Unlock() }

// String names the folder.
func (f *Folder) String() string { return f.fs.String() }

// Generations are the generations that are kept, in order.
func (f *Folder) Generations() []*Manifest { return f.kept }

// After has the numbers of the next generations be greater than a number.
func (f *Folder) After(number uint64) { f.last = max(f.last, number) }
