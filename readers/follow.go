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

	"github.com/velo-engine/velo/internal/filekind"
	"github.com/velo-engine/velo/record"
)

const (
	// DefaultRotateWait is how long a followed file must be quiet, after another file has taken its
	// name, before it is closed. Programs that write logs go on with the old file until they are
	// told of the new one or notice it themselves.
	DefaultRotateWait = 10 * time.Second

	// MaxRotatedFiles is how many files of one path are open at most. If there would be more, the
	// oldest is closed as soon as it has been read to its end.
	MaxRotatedFiles = 64

	// lookEvery is how often the name of a followed file is looked at while there is something to
	// read. When there is nothing to read, it is looked at on each Read.
	lookEvery = 50 * time.Millisecond

	// maxRotateWait is the longest RotateWait.
	maxRotateWait = time.Hour
)

// errTruncated is what an input returns from Read if the bytes that were read last are no longer in
// the file, and the source begins again.
var errTruncated = errors.New("the file was cut short")

// FollowDelimited reads a file of delimited lines that others append to, as tail -F does: from its
// beginning, and then whatever is added. It can be polled, never waits and does not end. The file
// need not exist yet.
//
// When another file takes the name, as when logs are rotated, that one is read too. The old one
// stays open, and what is still written to it counts, until it has been quiet for RotateWait. If a
// program writes to the old file first and then to the new one, its records are read in this order.
// Offsets, lines and the header are counted for each file on its own. A last line without a newline
// is kept until its newline comes, or until RotateWait has passed after another file came; the
// records of the new file wait for it.
//
// When the file is truncated and written again, it is read from its beginning. What was not read
// before that is lost, and a record that the truncation cut in two is a reject. While the name
// belongs to something other than a regular file (a FIFO, a directory, a device), or to a file that
// may not be read, the previous files are read on, and Trouble says so.
func FollowDelimited(path string, cfg DelimitedConfig) (*FollowedFile, error) {
	in, err := follow(path, cfg.RotateWait, nil)
	if err != nil {
		return nil, err
	}
	s, err := newDelimitedStream("file "+path, in, cfg, true)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return newFollowedFile(s, in), nil
}

// FollowNDJSON reads a file of JSON lines that others append to, as FollowDelimited does.
func FollowNDJSON(path string, cfg NDJSONConfig) (*FollowedFile, error) {
	in, err := follow(path, cfg.RotateWait, nil)
	if err != nil {
		return nil, err
	}
	s, err := newNDJSONStream("file "+path, in, cfg, true)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return newFollowedFile(s, in), nil
}

// A FollowedFile is the Stream of a file that grows, and of the files that had its name before.
//
// It is a Resumer: an engine that keeps its state goes on where it stood. A file is found again by
// its device and inode (on Windows by its name) and by the digest of its first bytes, also if it
// has been renamed within its folder in the meantime. What is left of the old files is read first,
// then the file that has the name now. What cannot be gone on with is said by Lost:
//
//   - a file that is gone: what was written to it after the position is lost;
//   - a file that begins with other bytes, or is shorter than the position (copytruncate, or
//     another file that has got its inode): it is read from its beginning;
//   - a file that was written to after all of those, and whose name begins with the name that is
//     followed. It may have had that name while nothing was running, if logs were rotated twice. It
//     is not read, because it may also be a copy. If all files of a pattern are followed
//     (FollowSet), it is read.
type FollowedFile struct {
	*Stream
	followed *followed
	// split is the name of the split of an engine that keeps its state; see resumefollow.go.
	split    string
	position []byte
	// lost is what Lost returns. Statistic.
	lost atomic.Pointer[[]error]
}

// newFollowedFile makes the reader of what is followed.
func newFollowedFile(s *Stream, f *followed) *FollowedFile {
	return &FollowedFile{Stream: s, followed: f, split: f.splitPrefix() + f.path}
}

// checkRotateWait reports what is wrong with the RotateWait of a configuration.
func checkRotateWait(d time.Duration, fault func(format string, args ...any)) {
	if d < 0 || d > maxRotateWait {
		fault("a rotated file is closed after %v, expected 0 to %v; 0 is %v", d, maxRotateWait, DefaultRotateWait)
	}
}

// follow checks whether a path can be followed, and opens the file if there is one.
func follow(path string, wait time.Duration, of *family) (*followed, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("readers: %s is %s, expected a regular file: nothing else can be followed", path,
			filekind.Of(info.Mode()))
	}
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("readers: %w", err)
	}
	f := &followed{path: path, wait: cmp.Or(wait, DefaultRotateWait), now: time.Now, family: of}
	f.waits.Store(-1)
	f.look(f.now()) // the file may be renamed before the first Read
	return f, nil
}

// absent says that a file does not exist or may not be read by us. Either may change in a moment.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// followed is a file that grows, and the files that had its name before. Its Read returns nothing
// and no error if there is nothing more now.
type followed struct {
	// path is the name that is followed.
	path string
	// wait is the RotateWait.
	wait time.Duration
	// now is the clock, which tests replace.
	now func() time.Time

	// files are in the order in which they had the name. The last one has it, or was the last to
	// have it.
	files []*growing
	// current is the file of the lines that were read last. It is nil at first, and after that file
	// is complete.
	current *growing
	// looked is when the name was looked at.
	looked time.Time
	// dry says that the last Read found nothing.
	dry bool
	// held is the file of the records that are being parsed, and heldCuts is how often it had been
	// truncated when they were read.
	held     *growing
	heldCuts int
	// closed are files of a FollowSet that were closed although they have names: they must not be
	// read again after a restart.
	closed []*growing

	// family has the other files of the FollowSet; nil outside of a FollowSet.
	family *family
	// life is one of lifeOpen, lifeEmpty and lifeRetired.
	life atomic.Uint32
	// forced counts the files that were closed because there were MaxRotatedFiles. Statistic.
	forced atomic.Uint64

	// trouble is what Stream.Trouble returns.
	trouble atomic.Pointer[error]
	// waits is how many bytes have not been read, as of the last look; -1 before the first, or if
	// that has found no file for a reason. Statistic.
	waits atomic.Int64
}

// The states of a followed file of a FollowSet. The reader sets lifeEmpty when it has no file; then
// Look retires it. Whichever of the two acts first decides: a file that is retired opens nothing
// any more.
const (
	lifeOpen = iota
	lifeEmpty
	lifeRetired
)

// growing is an open file that may grow.
type growing struct {
	file    *os.File
	info    fs.FileInfo // tells which file it is
	key     fileKey     // the same, to be saved
	head    []byte      // the first bytes that were read, up to headBytes of them
	digest  uint64      // of the first digested bytes of head
	digests int         // how many bytes digest is of
	cuts    int         // how often it was truncated
	offset  int64       // of the byte that is read next
	lines   linePlace   // how far its lines have been read, while it is not the current file
	grew    time.Time   // when something was last read from it, or when it lost its name
	closed  bool        // it is one of followed.closed
	partial bool        // the last byte that was read is not a newline
}

// Read reads what has come.
//
// Everything in a file is given out before anything that was written to its successors later. For
// this, Read takes the size of the newest file before it reads the others, and reads the newest
// only up to that size.
func (f *followed) Read(b []byte) (int, error) {
	now := f.now()
	if f.dry || now.Sub(f.looked) >= lookEvery {
		f.look(now)
	}
	n, err := f.read(b, now)
	if n > 0 {
		f.waits.Store(max(f.waits.Load()-int64(n), 0)) // until the next look
	}
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
				return 0, nil // the end of its last line comes before the records of the next file
			case !quiet:
				i++
				continue
			case !g.partial && !forced && f.family.keeps(g.info):
				i++
				continue
			case g.partial && g != f.current:
				return 0, f.turnTo(g) // so that its last line is completed
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
	// No name of the pattern leads to the newest file any more.
	if newest.partial && newest != f.current {
		return 0, f.turnTo(newest)
	}
	return 0, f.drop(newest)
}

// drop closes a file to which nothing more comes. If drop returns an error, Read must return it.
func (f *followed) drop(g *growing) error {
	f.family.close(g.info, g.offset)
	if f.family.keeps(g.info) {
		f.noteClosed(g)
	}
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
			g.noteHead(b[:n])
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
		g.head, g.digests, g.cuts = g.head[:0], 0, g.cuts+1
		return 0, errTruncated
	}
	return 0, nil // something has come in the meantime
}

// turnTo goes on with another file. Read must return what it returns.
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
	defer f.measure()
	if len(f.files) >= MaxRotatedFiles {
		return // one has to be closed first
	}
	err := f.open(now)
	if err == nil || errors.Is(err, fs.ErrNotExist) { // renamed, and the new file is not there yet
		f.trouble.Store(nil)
		return
	}
	if old := f.trouble.Load(); old == nil || (*old).Error() != err.Error() {
		f.trouble.Store(&err)
	}
}

// measure notes how much of the files has not been read.
func (f *followed) measure() {
	waits := int64(0)
	if len(f.files) == 0 && f.trouble.Load() != nil {
		waits = -1
	}
	for _, g := range f.files {
		info, err := g.file.Stat()
		if err == nil {
			waits += max(info.Size()-g.offset, 0)
		}
	}
	f.waits.Store(waits)
}

// open is look, and says why there is nothing to open. It checks the mode before opening, because
// opening some files has effects, and again afterwards, because the name may belong to another file
// by then. Opening never waits for the other side of a FIFO.
func (f *followed) open(now time.Time) error {
	odd := func(m fs.FileMode) error {
		return fmt.Errorf("%s is %s now: it is read again when a regular file has the name", f.path, filekind.Of(m))
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
	key := keyOf(f.path, info)
	if f.life.Load() == lifeRetired || !f.family.take(info, key) {
		return file.Close()
	}
	if n := len(f.files); n > 0 {
		f.files[n-1].grew = now
	}
	f.files = append(f.files, &growing{file: file, info: info, key: key, grew: now})
	return nil
}

// known says whether a file is open already, and if so notes that it has the name.
func (f *followed) known(info fs.FileInfo) bool {
	i := slices.IndexFunc(f.files, func(g *growing) bool { return os.SameFile(g.info, info) })
	if i < 0 {
		return false
	}
	if g := f.files[i]; i < len(f.files)-1 { // the file has got its name back
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

// Trouble says why the file cannot be read now: its name belongs to something other than a regular
// file, or to a file that may not be read. It is nil if there is no trouble, or if there is no
// file. Any goroutine may call it.
func (r *FollowedFile) Trouble() error {
	if p := r.followed.trouble.Load(); p != nil {
		return *p
	}
	return nil
}

// Lag says how many bytes of the file, and of those that had its name before, have not been read,
// as of the last look. Any goroutine may call it.
func (r *FollowedFile) Lag() []record.Lag {
	waits := r.followed.waits.Load()
	return []record.Lag{{
		Split: r.String(), Bytes: uint64(max(waits, 0)), InBytes: true, Unknown: waits < 0,
	}}
}

// ClosedEarly is how many files were closed early because MaxRotatedFiles of one name were open.
// Early means before the file had been quiet for RotateWait, or while a name of the pattern led to
// it. What is written to such a file later is not read. Any goroutine may call it.
func (r *FollowedFile) ClosedEarly() uint64 { return r.followed.forced.Load() }
