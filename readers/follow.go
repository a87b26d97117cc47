package readers

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// DefaultRotateWait is how long a followed file whose place another has taken must be quiet before it is closed. Who writes logs
	// goes on with the old file until it is told of the new one, or looks itself.
	DefaultRotateWait = 10 * time.Second

	// MaxRotatedFiles bounds the files of one path that are open at once. Where there would be more, the oldest is closed
	// as soon as it has been read to its end.
	MaxRotatedFiles = 64

	// lookEvery is how often the name of a followed file is looked at while there is something to read. Where there is
	// nothing it is looked at each time.
	lookEvery = 50 * time.Millisecond

	// maxRotateWait bounds RotateWait.
	maxRotateWait = time.Hour
)

// errTruncated is what an input returns from Read where what was read last is not there any more, and the source begins anew.
var errTruncated = errors.New("the file was cut short")

// FollowDelimited reads a file of delimited lines that others append to, as tail -F does: from its beginning, and then what comes. It can be
// polled, never waits and does not end. The file need not be there yet.
//
// When another file takes its place, as when logs are rotated, that one is read too. The old one stays open, and what is still
// written to it counts, until it has been quiet for RotateWait. Who writes to the old file first and then to the new one has
// its records in this order. Offsets, lines and the header are those of each file. A last line without a newline is kept until
// its newline comes, or until RotateWait has passed after another file came; the records of the new file wait for it.
//
// When the file is cut short and written again, it is read from its beginning; what was not read before that is lost, and a
// record that it cut in two is a reject. While the name is that of no regular file (a FIFO, a directory, a device), or of one that may not
// be read, the files before are read on, and Trouble says so.
func FollowDelimited(path string, cfg DelimitedConfig) (*Stream, error) {
	in, err := follow(path, cfg.RotateWait, nil)
	if err != nil {
		return nil, err
	}
	s, err := newDelimitedStream("file "+path, in, cfg, true)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return s, nil
}

// FollowNDJSON reads a file of JSON lines that others append to, as FollowDelimited does.
func FollowNDJSON(path string, cfg NDJSONConfig) (*Stream, error) {
	in, err := follow(path, cfg.RotateWait, nil)
	if err != nil {
		return nil, err
	}
	s, err := newNDJSONStream("file "+path, in, cfg, true)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return s, nil
}

// checkRotateWait says what is wrong with the RotateWait of a configuration.
func checkRotateWait(d time.Duration, fault func(format string, args ...any)) {
	if d < 0 || d > maxRotateWait {
		fault("a rotated file is closed after %v, expected 0 to %v; 0 is %v", d, maxRotateWait, DefaultRotateWait)
	}
}

// follow looks whether a path can be followed, and opens it if there is a file.
func follow(path string, wait time.Duration, of *family) (*followed, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("readers: %s is %s, expected a regular file: nothing else can be followed", path, kindOf(info.Mode()))
	}
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("readers: %w", err)
	}
	f := &followed{path: path, wait: cmp.Or(wait, DefaultRotateWait), now: time.Now, family: of}
	f.look(f.now()) // it may be renamed before the first Read
	return f, nil
}

// absent says that a file is not there, or not for us: it may be in a moment.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// kindOf says what a file is that is not a regular one.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "not a regular file"
}

// followed is a file that grows, and those that had its name before. Its Read returns nothing and no error where there is nothing more now.
type followed struct {
	path string
	wait time.Duration
	now  func() time.Time

	files   []*growing // in the order in which they had the name; the last one has it, or had it last
	current *growing   // that the lines are of which were read last; nil at first, and when that one is complete
	looked  time.Time  // when the name was looked at
	dry     bool       // the last Read had nothing

	family *family       // files that are followed with these; nil: there are none
	life   atomic.Uint32 // lifeOpen and so on
	forced atomic.Uint64 // files that were closed because there were MaxRotatedFiles

	trouble atomic.Pointer[error] // see Stream.Trouble
}

// The states of a followed file of a FollowSet. The one who reads it says that it has no file; Look retires it then, and whoever of the
// two is the first decides: one that is retired opens nothing any more.
const (
	lifeOpen = iota
	lifeEmpty
	lifeRetired
)

// growing is an open file that may grow.
type growing struct {
	file    *os.File
	info    fs.FileInfo // says which file it is
	offset  int64       // of what is read next
	lines   linePlace   // while it is not the current one
	grew    time.Time   // when something was read last, or when it lost its name
	partial bool        // the last byte that was read ended no line
}

// Read reads what has come.
//
// What is in a file is given out before what was written to its successors after that. For it the size of the newest is looked at before
// the others are read, and no more than that is read of it.
func (f *followed) Read(b []byte) (int, error) {
	now := f.now()
	if f.dry || now.Sub(f.looked) >= lookEvery {
		f.look(now)
	}
	n, err := f.read(b, now)
	f.dry = n == 0 && err == nil
	return n, err
}

func (f *followed) read(b []byte, now time.Time) (int, error) {
	if len(f.files) == 0 {
		f.life.CompareAndSwap(lifeOpen, lifeEmpty)
		return 0, nil
	}
	newest := f.files[len(f.files)-1]
	if len(f.files) > 1 {
		info, err := newest.file.Stat()
		if err != nil {
			return 0, err
		}
		for i := 0; i < len(f.files)-1; {
			g := f.files[i]
			if n, err := f.from(g, b, now); n > 0 || err != nil {
				return n, err
			}
			forced := len(f.files) >= MaxRotatedFiles
			quiet := now.Sub(g.grew) >= f.wait || forced
			switch {
			case !quiet && g.partial:
				return 0, nil // the end of its last line comes before what is in the next file
			case !quiet:
				i++
				continue
			case !g.partial && !forced && f.family.keeps(g.info):
				i++
				continue
			case g.partial && g != f.current:
				return 0, f.turnTo(g) // to complete its last line
			}
			if forced {
				f.forced.Add(1)
			}
			if err := f.drop(g); err != nil {
				return 0, err
			}
		}
		b = b[:max(0, min(int64(len(b)), info.Size()-newest.offset))]
	}
	n, err := f.from(newest, b, now)
	if n > 0 || err != nil || f.family == nil || now.Sub(newest.grew) < f.wait || f.family.keeps(newest.info) {
		return n, err
	}
	// No name of the pattern leads to the last one any more.
	if newest.partial && newest != f.current {
		return 0, f.turnTo(newest)
	}
	return 0, f.drop(newest)
}

// drop closes a file to which nothing more comes. What it returns is to be returned from Read, unless it is nil.
func (f *followed) drop(g *growing) error {
	f.family.close(g.info, g.offset)
	i := slices.Index(f.files, g)
	f.files = slices.Delete(f.files, i, i+1)
	if err := g.file.Close(); err != nil {
		return err
	}
	if g == f.current {
		f.current = nil
		return errNewSource
	}
	return nil
}

// from reads from one of the files.
func (f *followed) from(g *growing, b []byte, now time.Time) (int, error) {
	if g == f.current && len(b) > 0 {
		n, err := g.file.ReadAt(b, g.offset)
		if n > 0 {
			g.offset += int64(n)
			g.grew, g.partial = now, b[n-1] != '\n'
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	info, err := g.file.Stat()
	if err != nil || info.Size() == g.offset {
		return 0, err
	}
	if g != f.current {
		return 0, f.turnTo(g)
	}
	if info.Size() < g.offset {
		g.offset, g.partial = 0, false
		return 0, errTruncated
	}
	return 0, nil // something has come since
}

// turnTo goes on with another file; what it returns is to be returned from Read.
func (f *followed) turnTo(g *growing) error {
	turn := &otherFile{to: &g.lines}
	if f.current != nil {
		turn.from = &f.current.lines
	}
	f.current = g
	return turn
}

// look opens the file that has the name, unless it is open already.
func (f *followed) look(now time.Time) {
	f.looked = now
	if len(f.files) >= MaxRotatedFiles {
		return // one is closed first
	}
	err := f.open(now)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // renamed, and the new one is not there yet
		f.trouble.Store(nil)
		return
	}
	if old := f.trouble.Load(); old == nil || (*old).Error() != err.Error() {
		f.trouble.Store(&err)
	}
}

// open is look, and says why there is nothing to open. The mode is looked at before, since opening some files has effects, and after, since
// the name may be that of another file by then; opening never waits for the other side of a FIFO.
func (f *followed) open(now time.Time) error {
	odd := func(m fs.FileMode) error {
		return fmt.Errorf("%s is %s now: it is read again when a regular file has the name", f.path, kindOf(m))
	}
	there, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.known(there) || f.family.taken(there) {
		return nil
	}
	if !there.Mode().IsRegular() {
		return odd(there.Mode())
	}
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil || f.known(info) || !info.Mode().IsRegular() {
		if err == nil && !info.Mode().IsRegular() {
			err = odd(info.Mode())
		}
		return errors.Join(err, file.Close())
	}
	f.life.CompareAndSwap(lifeEmpty, lifeOpen)
	if f.life.Load() == lifeRetired || !f.family.take(info) {
		return file.Close()
	}
	if n := len(f.files); n > 0 {
		f.files[n-1].grew = now
	}
	f.files = append(f.files, &growing{file: file, info: info, grew: now})
	return nil
}

// known says whether a file is open already, and notes that it has the name.
func (f *followed) known(info fs.FileInfo) bool {
	i := slices.IndexFunc(f.files, func(g *growing) bool { return os.SameFile(g.info, info) })
	if i < 0 {
		return false
	}
	if g := f.files[i]; i < len(f.files)-1 { // it has got its name back
		f.files = append(slices.Delete(f.files, i, i+1), g)
	}
	return true
}

// Close closes the files.
func (f *followed) Close() error {
	var faults []error
	for _, g := range f.files {
		f.family.close(g.info, g.offset)
		faults = append(faults, g.file.Close())
	}
	f.files = nil
	return errors.Join(faults...)
}

// Trouble says why a file that is followed cannot be read now: what has its name is no regular file, or may not be
// read. It is nil where there is no trouble, where there is no file, and for other streams. Any goroutine may call it.
func (s *Stream) Trouble() error {
	if f, ok := s.closer.(*followed); ok {
		if p := f.trouble.Load(); p != nil {
			return *p
		}
	}
	return nil
}

// ClosedEarly is how many files were closed before they had been quiet for RotateWait, or while a name of the pattern led to them,
// because MaxRotatedFiles of one name were open: what has been written to them later is not read. It is 0 for other streams. Any
// goroutine may call it.
func (s *Stream) ClosedEarly() uint64 {
	if f, ok := s.closer.(*followed); ok {
		return f.forced.Load()
	}
	return 0
}
