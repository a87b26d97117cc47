package readers

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/internal/filekind"
	"github.com/velo-engine/velo/record"
)

const (
	// DefaultFollowFiles is how many files a FollowSet follows at once. Each file is a reader with
	// rings and blocks of its own.
	DefaultFollowFiles = 256

	// MaxFollowFiles is the most files that a FollowSet may be told to follow.
	MaxFollowFiles = 4096
)

// A FollowSet follows the files that a pattern finds, including those that appear later. Each has a
// Stream of its own, and none is read twice. A file is identified by its device and inode and not
// by its name. So a file that is renamed within the pattern, as log becomes log.1, is read on by
// the Stream that began it, for as long as a name of the pattern leads to it.
//
// Look finds the files that there are now. The caller calls it about once a second, gives the new
// Streams to an engine and removes those that are gone:
//
//	find := func() ([]string, error) { return filepath.Glob("logs/*.csv") }
//	set, err := readers.FollowDelimitedFiles(find, 0, cfg)
//	found, err := set.Look()
//	eng, err := engine.Start(ctx, engine.Config{Plan: plan, Readers: found.New})
//	for range time.Tick(time.Second) {
//		found, err := set.Look() // found.New: Engine.AddReader, found.Gone: Engine.RemoveReader
//	}
//
// The Streams are Resumers: see FollowedFile. After a restart, the first Look finds the files that
// there are, under whatever names, and each goes on where it stood. Files that were read before and
// that the pattern does not find any more are looked for in the folders in which they were. A set
// is told from others of the same engine by the name of its schema.
//
// Only one goroutine at a time may call Look. The Streams belong to the caller that got them.
type FollowSet struct {
	find func() ([]string, error)
	make func(*followed) (*FollowedFile, error)
	wait time.Duration
	most int

	family  family
	streams map[string]*FollowedFile // by the name that each began with
	said    map[string]string        // why each name is skipped
}

// Found is what a Look has found.
type Found struct {
	// New has a Stream for each file that was not followed before.
	New []record.Reader
	// Gone has the Streams that have no file any more and have given out everything. They may be
	// closed.
	Gone []record.Reader
	// Skipped says which names are not followed, and why. Each reason is reported once.
	Skipped []error
	// Over has the names that are not followed because there are too many files.
	Over []string
}

// FollowDelimitedFiles follows files of delimited lines, each as FollowDelimited does. find returns
// the names that there are now. most is how many files are followed at once; 0 is
// DefaultFollowFiles.
func FollowDelimitedFiles(find func() ([]string, error), most int, cfg DelimitedConfig) (*FollowSet, error) {
	if _, err := newDelimitedFormat(cfg); err != nil {
		return nil, err
	}
	return newFollowSet(find, most, cfg.RotateWait, cfg.Schema.Name(), func(f *followed) (*FollowedFile, error) {
		s, err := newDelimitedStream("file "+f.path, f, cfg, true)
		if err != nil {
			return nil, err
		}
		return newFollowedFile(s, f), nil
	})
}

// FollowNDJSONFiles follows files of JSON lines, as FollowDelimitedFiles does.
func FollowNDJSONFiles(find func() ([]string, error), most int, cfg NDJSONConfig) (*FollowSet, error) {
	if _, err := newJSONFormat(cfg); err != nil {
		return nil, err
	}
	return newFollowSet(find, most, cfg.RotateWait, cfg.Schema.Name(), func(f *followed) (*FollowedFile, error) {
		s, err := newNDJSONStream("file "+f.path, f, cfg, true)
		if err != nil {
			return nil, err
		}
		return newFollowedFile(s, f), nil
	})
}

func newFollowSet(
	find func() ([]string, error), most int, wait time.Duration, schema string,
	stream func(*followed) (*FollowedFile, error),
) (*FollowSet, error) {
	if most < 0 || most > MaxFollowFiles {
		return nil, fmt.Errorf("readers: %d files are followed at once, expected 1..%d, or 0 for %d",
			most, MaxFollowFiles, DefaultFollowFiles)
	}
	return &FollowSet{
		find: find, make: stream, wait: wait, family: family{table: schema}, most: cmp.Or(most, DefaultFollowFiles),
		streams: map[string]*FollowedFile{}, said: map[string]string{},
	}, nil
}

// Look checks which files there are now. An error comes from find; the files that are followed are
// not affected by it.
func (s *FollowSet) Look() (found Found, err error) {
	paths, err := s.find()
	if err != nil {
		return found, err
	}
	said := map[string]string{} // names that no longer exist are forgotten
	skip := func(path string, why error) {
		said[path] = why.Error()
		if s.said[path] != said[path] {
			found.Skipped = append(found.Skipped, why)
		}
	}
	s.family.begin()
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was renamed in the meantime
		case err != nil:
			skip(path, err)
		case !info.Mode().IsRegular():
			skip(path, fmt.Errorf("%s is %s, expected a regular file: nothing else can be followed",
				path, filekind.Of(info.Mode())))
		case s.family.named(info): // by this name or another one
			if more := s.family.unread(info); more > 0 {
				skip(path, fmt.Errorf("%s has grown after it was closed: what has come since is not read", path))
			}
		case s.streams[path] != nil: // its Stream is about to open it
		case len(s.streams) >= s.most:
			found.Over = append(found.Over, path)
		default:
			if r, err := s.follow(path); err != nil {
				skip(path, err)
			} else if r != nil {
				found.New = append(found.New, r)
			}
		}
	}
	s.family.end()
	for path, r := range s.streams {
		if !slices.Contains(paths, path) && r.followed.life.CompareAndSwap(lifeEmpty, lifeRetired) {
			found.Gone = append(found.Gone, r)
			delete(s.streams, path)
		}
	}
	s.said = said
	return found, nil
}

// follow makes the Stream of a name. It returns nil if another Stream has taken the file in the
// meantime.
func (s *FollowSet) follow(path string) (*FollowedFile, error) {
	f, err := follow(path, s.wait, &s.family)
	if err != nil {
		return nil, err
	}
	if len(f.files) == 0 { // it has been renamed, or may not be read
		err := f.trouble.Load()
		if err == nil {
			return nil, f.Close()
		}
		return nil, errors.Join(*err, f.Close())
	}
	r, err := s.make(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.streams[path] = r
	return r, nil
}

// family has the files of a FollowSet; each is read by one of its Streams. Streams use it when they
// look at their names, and when they have come to the end of a file, which is a few times a second
// at most.
type family struct {
	// table is the name of the schema.
	table string

	mu     sync.Mutex
	claims []*claim
	// resumed says that one of the Streams has gone on with what no other one has.
	resumed bool
}

// claim is a file that one of the Streams has begun.
type claim struct {
	info  fs.FileInfo
	key   fileKey
	read  int64 // how much was read when it was closed; -1 while it is open
	named bool  // a name of the pattern leads to it, as of the last Look, or it is new
	seen  bool  // a name led to it in the current Look
}

// take claims a file for the caller, which has opened it. It returns false if another one has the
// file, or has read it.
func (f *family) take(info fs.FileInfo, key fileKey) bool {
	if f == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.find(info) != nil {
		return false
	}
	f.claims = append(f.claims, &claim{info: info, key: key, read: -1, named: true, seen: true})
	return true
}

// taken says whether a file is claimed.
func (f *family) taken(info fs.FileInfo) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(info) != nil
}

// has says whether a file is claimed that was saved under a key.
func (f *family) has(key fileKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.claims, func(c *claim) bool { return c.key == key })
}

// first says whether no Stream has called it before.
func (f *family) first() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !f.resumed
	f.resumed = true
	return first
}

// find returns the claim of a file. If a closed file is now shorter than what had been read of it,
// it is another file with the same inode number.
func (f *family) find(info fs.FileInfo) *claim {
	for i, c := range f.claims {
		if !os.SameFile(c.info, info) {
			continue
		}
		if c.read > info.Size() {
			f.claims = slices.Delete(f.claims, i, i+1)
			return nil
		}
		return c
	}
	return nil
}

// keeps says whether a file stays open although nothing comes. The inode number belongs to it as
// long as it is open, and somebody may write to it by the name that it has now.
func (f *family) keeps(info fs.FileInfo) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.find(info)
	return c != nil && c.named
}

// close notes how far a file has been read and that it is closed. It stays claimed as long as it
// has a name.
func (f *family) close(info fs.FileInfo, read int64) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.find(info); c != nil {
		c.read = read
	}
}

// begin begins a Look.
func (f *family) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.claims {
		c.seen = false
	}
}

// named notes that a name leads to a file, and says whether the file is claimed.
func (f *family) named(info fs.FileInfo) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.find(info)
	if c != nil {
		c.seen = true
	}
	return c != nil
}

// unread is how many bytes have been added to a file since it was closed.
func (f *family) unread(info fs.FileInfo) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.find(info); c != nil && c.read >= 0 {
		return info.Size() - c.read
	}
	return 0
}

// end ends a Look. Claims of files that are closed and have no name any more are dropped.
func (f *family) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claims = slices.DeleteFunc(f.claims, func(c *claim) bool {
		c.named = c.seen
		return !c.named && c.read >= 0
	})
}
