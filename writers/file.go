package writers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/velo-engine/velo/internal/filenames"
	"github.com/velo-engine/velo/record"
)

const (
	// Unfinished ends the names of files that are being written. If there is such a file when
	// nobody writes, a crash has left it.
	Unfinished = filenames.Unfinished

	// MinRotateBytes is the least RotateBytes: a wrong unit must not make a file of every row.
	MinRotateBytes = 1 << 10

	// MinRotateEvery is the least RotateEvery, for the same reason.
	MinRotateEvery = 100 * time.Millisecond

	// retryEvery is how often the timer retries what has failed. Write retries at every call.
	retryEvery = time.Second

	placeNumber = "{n}"
	placeTime   = "{time}"
	timeLayout  = "20060102T150405Z"
)

// FileConfig says what a File writes and where. Path is required.
type FileConfig struct {
	// Path is the name that the file gets when it is complete; it replaces what has that name. If
	// files are rotated, the name has {n}, which becomes the number of the file: six digits or
	// more, one more than the highest number that exists. {time} becomes the time when the file was
	// begun, in UTC: 20240131T235959Z.
	Path string

	// Format is csv or ndjson; if it is empty, the ending of the name decides.
	Format string

	// Encode makes the encoder of a file of another format; Format is not looked at then. It is nil
	// for csv and ndjson.
	Encode func(to io.Writer) Encoder

	// WindowBytes bounds, with Encode and an engine that keeps its state, the rows of a window,
	// which are in memory until it has ended; 0 means DefaultWindowBytes.
	WindowBytes int

	// RotateBytes begins a new file when the current one has that many bytes, which it may exceed
	// by up to one batch; 0 means never. A file is begun only when there are rows for it.
	RotateBytes int64
	// RotateEvery begins a new file when the current one is that old; 0 means never. There is no
	// file for a time in which nothing was written.
	RotateEvery time.Duration

	// FlushEvery is how long rows may be kept in memory; 0 passes them to the system at each Write.
	// In either case they can be lost in a crash of the machine until the file is complete, because
	// only then it is synced.
	FlushEvery time.Duration

	// AwaitSpace makes a full disk a transient error: the engine tries again until there is room.
	// Otherwise it is an error like any other.
	AwaitSpace bool
}

// Validate reports every fault at once.
func (c *FileConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("writers: file %q: "+format, append([]any{c.Path}, args...)...))
	}
	name := filepath.Base(c.Path)
	rotated := c.RotateBytes != 0 || c.RotateEvery != 0
	switch {
	case c.Path == "":
		fault("no path")
	case strings.ContainsAny(filepath.Dir(c.Path), "{}"):
		fault("%s and %s belong into the name, not into the folder", placeNumber, placeTime)
	case strings.Count(name, placeNumber) > 1 || strings.Count(name, placeTime) > 1:
		fault("%s or %s twice", placeNumber, placeTime)
	case rotated && !strings.Contains(name, placeNumber):
		fault("rotated files need names of their own, expected %s in the name", placeNumber)
	}
	if _, err := formatOf(c.Format, name); err != nil && c.Encode == nil {
		faults = append(faults, fmt.Errorf("writers: file %q: %w", c.Path, err))
	}
	if c.RotateBytes != 0 && c.RotateBytes < MinRotateBytes {
		fault("a new file each %d bytes, expected at least %d, or 0 for never", c.RotateBytes, MinRotateBytes)
	}
	if c.RotateEvery != 0 && c.RotateEvery < MinRotateEvery {
		fault("a new file each %v, expected at least %v, or 0 for never", c.RotateEvery, MinRotateEvery)
	}
	if c.FlushEvery < 0 {
		fault("a flush each %v, expected more than 0, or 0 for one at each write", c.FlushEvery)
	}
	return errors.Join(faults...)
}

// formatOf is the format given, or the one that the ending of a name stands for.
func formatOf(format, name string) (string, error) {
	switch format {
	case "csv", "ndjson":
		return format, nil
	case "":
		switch strings.ToLower(filepath.Ext(name)) {
		case ".csv":
			return "csv", nil
		case ".ndjson", ".jsonl", ".json":
			return "ndjson", nil
		}
		return "", errors.New("no format, and the name does not end in .csv or .ndjson, which would say it")
	}
	return "", fmt.Errorf("format %q, expected csv or ndjson", format)
}

// A File writes results to a file that gets its name only when it is complete. Rows go to a file
// beside it, whose name ends in Unfinished; that file is synced and then renamed. Somebody who
// opens the name never sees half of the file, no matter when the process ends.
//
//	out-000001.csv                     complete, and never changed again
//	out-000002.csv.5f0c83d2.unfinished being written; a leftover if nobody writes
//
// A Write takes a batch as a whole or not at all, so it may be repeated after an error. An error
// other than record.ErrTransient is final: every later call returns it, and the unfinished file
// stays, because it may have rows that exist nowhere else. The same holds after a Write whose
// context was done.
//
// A path has one writer at a time: NewFile refuses a second one in the same process until the first
// is closed or abandoned, whatever name for the path is used. Several writers of one path with {n}
// may be active at the same time: none takes the number of another.
type File struct {
	cfg    FileConfig
	format string
	files  files

	// mu protects the fields below from the timer, which flushes and rotates when nothing is
	// written.
	mu sync.Mutex
	// part is the file that is being written; nil between two files.
	part *part
	// next is the number of the next file.
	next int
	// whole has the names of the last complete files, up to maxNames of them; count counts all.
	whole []string
	count int
	// failed is the final error.
	failed error
	// closed says that Close or Abandon was called.
	closed bool
	// timer calls tick when something is due.
	timer *time.Timer
	// taken is the path; nil if others may write to it too.
	taken *taken

	resuming
	transacting
	sealed
}

// maxNames is how many names Whole keeps at most.
const maxNames = 1 << 10

// part is a file that is being written.
type part struct {
	// name is the final name, and unfinished the name until then.
	name, unfinished string
	// file is nil after it has been closed and only the renaming is missing.
	file handle
	// encode writes rows in the format to pending.
	encode encoder
	// pending has rows that have not been passed to the system.
	pending bytes.Buffer
	// since is when the first of the pending rows came.
	since time.Time
	// written is how many bytes have been passed to the system.
	written int64
	// begun is when the file was begun.
	begun time.Time
	// taken says that the file has a batch, perhaps one without rows.
	taken bool
	// torn says that there are bytes of a failed write after the written ones.
	torn bool
	// full says that the file has to be finished, and that an attempt to do so may have failed.
	full bool
	// ended says that pending has what an Encoder puts at the end.
	ended bool
}

// encoder is a format over a buffer.
type encoder interface {
	record.Writer
	Flush() error
}

// NewFile checks the configuration and looks at the folder; the first Write makes the file. The
// error lists every fault.
func NewFile(cfg FileConfig) (*File, error) {
	f, err := newFile(cfg, system{})
	if err != nil || strings.Contains(filepath.Base(cfg.Path), placeNumber) {
		return f, err
	}
	f.taken, err = take(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("writers: file %q: %w", cfg.Path, err)
	}
	runtime.AddCleanup(f, func(t *taken) { t.giveBack() }, f.taken) // it can no longer be closed
	return f, nil
}

func newFile(cfg FileConfig, files files) (*File, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &File{cfg: cfg, files: files, next: 1}
	// Validate has found the format valid
	f.format, _ = formatOf(cfg.Format, filepath.Base(cfg.Path)) // it is empty with Encode
	names, err := files.list(filepath.Dir(cfg.Path))
	if err != nil {
		return nil, fmt.Errorf("writers: file %q: %w", cfg.Path, err)
	}
	// Something that has this name and is a device or a folder must not be replaced.
	if err := files.replaceable(cfg.Path); err != nil {
		return nil, fmt.Errorf("writers: file %q: %w", cfg.Path, err)
	}
	for _, name := range names {
		f.next = max(f.next, f.numberOf(name)+1)
	}
	return f, nil
}

// numberOf is the number in the name of a complete file; it is 0 if the name is none of one.
func (f *File) numberOf(name string) int {
	like := pattern(f.cfg.Path, "")
	m := like.FindStringSubmatch(name)
	if len(m) < 2 || like.SubexpIndex("n") < 0 {
		return 0
	}
	n, err := strconv.Atoi(m[like.SubexpIndex("n")])
	if err != nil {
		return 0
	}
	return n
}

// pattern matches the names of the files of a path, followed by the expression suffix.
func pattern(path, suffix string) *regexp.Regexp {
	text := regexp.QuoteMeta(filepath.Base(path))
	text = strings.Replace(text, regexp.QuoteMeta(placeNumber), `(?P<n>\d{6,})`, 1)
	text = strings.Replace(text, regexp.QuoteMeta(placeTime), `\d{8}T\d{6}Z`, 1)
	return regexp.MustCompile(`^` + text + suffix + `$`)
}

// Writes says whether a File with this path would write a file of this name: its own name, one with
// a number and a time, or the name of an unfinished file. It does not look into the folder.
func Writes(path, name string) bool {
	return pattern(path, `(\.[0-9a-f]{8}`+regexp.QuoteMeta(Unfinished)+`)?`).MatchString(filepath.Base(name))
}

// Leftovers are the files that writers of a path have not finished: files that a crash has left,
// and files of writers that are active.
func Leftovers(path string) ([]string, error) {
	dir := filepath.Dir(path)
	names, err := system{}.list(dir)
	if err != nil {
		return nil, fmt.Errorf("writers: %w", err)
	}
	like := pattern(path, `\.[0-9a-f]{8}`+regexp.QuoteMeta(Unfinished))
	var all []string
	for _, name := range names {
		if like.MatchString(name) {
			all = append(all, filepath.Join(dir, name))
		}
	}
	return all, nil
}

// String is the path.
func (f *File) String() string { return "file " + f.cfg.Path }

// Whole returns the names of the last complete files in order, at most maxNames of them. n is the
// number of all complete files.
func (f *File) Whole() (names []string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.whole...), f.count
}

// Empty says whether no file has been begun.
func (f *File) Empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.part == nil && f.count == 0
}

// Write takes a batch as a whole, or, with an error, not at all. A batch without rows also begins
// the file: a CSV file then has its header line.
func (f *File) Write(ctx context.Context, b *record.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil && f.closed {
		f.failed = fmt.Errorf("writers: file %q: written after Close", f.cfg.Path)
	}
	if f.failed != nil {
		return f.failed
	}
	if err := ctx.Err(); err != nil { // the engine was closed: it has rows that never come
		return f.fail("write", err)
	}
	if f.holds() {
		return f.hold(b)
	}
	return f.write(ctx, b)
}

// write takes a batch.
func (f *File) write(ctx context.Context, b *record.Batch) error {
	if f.part != nil && f.part.full {
		if err := f.finish(); err != nil {
			return err
		}
	}
	if f.part == nil {
		if err := f.begin(); err != nil {
			return err
		}
	}
	p := f.part
	before := p.pending.Len()
	if before > bufferBytes && !f.holds() { // an earlier flush has failed
		if err := f.flush(); err != nil {
			return err
		}
		before = 0
	}
	if before == 0 {
		p.since = time.Now()
	}
	if err := errors.Join(p.encode.Write(ctx, b), p.encode.Flush()); err != nil {
		return f.fail("write", err) // a fault of the batch, not of the file
	}
	if f.cfg.FlushEvery == 0 || p.pending.Len() >= bufferBytes {
		err := f.flush()
		if err != nil && f.seals() {
			err = f.failed // the encoder has the batch, and the next call flushes what is pending
		}
		if err != nil {
			if p.pending.Truncate(before); before == 0 && p.written == 0 {
				p.encode = f.encoder(&p.pending) // its first line must be written again
			}
			return err
		}
	}
	p.taken = true
	if f.job == "" && f.cfg.RotateBytes > 0 && p.size() >= f.cfg.RotateBytes {
		p.full = true
		_ = f.finish() // the batch is taken; the next call repeats or reports what fails here
	}
	f.arm()
	return nil
}

func (f *File) encoder(to *bytes.Buffer) encoder {
	if f.seals() {
		return f.cfg.Encode(to)
	}
	if f.format == "csv" {
		return NewCSV(to)
	}
	return NewNDJSON(to)
}

// name is the name of the next file, if it was begun at that time.
func (f *File) name(begun time.Time) string {
	name := filepath.Base(f.cfg.Path)
	name = strings.Replace(name, placeNumber, fmt.Sprintf("%06d", f.next), 1)
	name = strings.Replace(name, placeTime, begun.UTC().Format(timeLayout), 1)
	return filepath.Join(filepath.Dir(f.cfg.Path), name)
}

// publish gives a complete file its name. A file with a number never replaces another one: if
// another writer of the same pattern has taken the number in the meantime, the file gets the next
// number.
func (f *File) publish(p *part) error {
	numbered := strings.Contains(filepath.Base(f.cfg.Path), placeNumber)
	for {
		if f.job != "" {
			if err := f.writeNote(p, false); err != nil {
				return err
			}
		}
		if !numbered {
			return f.files.rename(p.unfinished, p.name)
		}
		err := f.files.claim(p.unfinished, p.name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		p.name = f.name(p.begun)
		f.next++
	}
}

// begin makes the next file.
func (f *File) begin() error {
	now := time.Now()
	p := &part{name: f.name(now), begun: now}
	p.unfinished = fmt.Sprintf("%s.%08x%s", p.name, rand.Uint32(), Unfinished)
	if f.job != "" {
		p.unfinished = fmt.Sprintf("%s.%s%04x%s", p.name, tag(f.job), uint16(rand.Uint32()), Unfinished)
	}
	var err error
	p.file, err = f.files.create(p.unfinished)
	if err != nil {
		return f.fault("create", err)
	}
	p.encode = f.encoder(&p.pending)
	f.part = p
	f.bytes = 0
	f.next++
	return nil
}

// flush passes everything that is pending to the system, or nothing.
func (f *File) flush() error {
	p := f.part
	if p.pending.Len() == 0 {
		return nil
	}
	n, err := p.file.WriteAt(p.pending.Bytes(), p.written)
	if err == nil && n < p.pending.Len() {
		err = errors.New("short write")
	}
	if err != nil {
		p.torn = n > 0 || p.torn
		return f.fault("write", err)
	}
	p.written += int64(n)
	p.pending.Reset()
	return nil
}

// finish completes the file and gives it its name. After a transient error it can go on where it
// stopped.
func (f *File) finish() error {
	p := f.part
	if !p.taken { // the Write that began it was refused
		err := errors.Join(p.file.Close(), f.files.remove(p.unfinished))
		f.part = nil
		f.next--
		if err != nil {
			return f.fail("remove", err)
		}
		return nil
	}
	p.full = true
	if p.file != nil {
		if err := f.seal(p); err != nil {
			return err
		}
		if err := f.flush(); err != nil {
			return err
		}
		if p.torn {
			if err := p.file.Truncate(p.written); err != nil {
				return f.fault("truncate", err)
			}
			p.torn = false
		}
		// If a sync fails, a second one does not notice what was lost, so the error is final. The
		// same holds for Close.
		if err := p.file.Sync(); err != nil {
			return f.fail("sync", err)
		}
		if err := p.file.Close(); err != nil {
			return f.fail("close", err)
		}
		p.file = nil
	}
	if err := f.publish(p); err != nil {
		return f.fault("rename", err)
	}
	f.part, f.bytes = nil, 0
	f.count++
	f.whole = append(f.whole, p.name)
	if len(f.whole) > maxNames {
		f.whole = f.whole[1:]
	}
	if err := f.files.syncDir(filepath.Dir(p.name)); err != nil {
		return f.fail("sync of the folder", err)
	}
	return nil
}

// fault makes an error of the system transient or final.
func (f *File) fault(doing string, err error) error {
	space := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if space && f.cfg.AwaitSpace || errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN) {
		return record.Transient(fmt.Errorf("writers: file %q: %s: %w", f.cfg.Path, doing, err))
	}
	return f.fail(doing, err)
}

// fail ends the writing for good.
func (f *File) fail(doing string, err error) error {
	f.failed = fmt.Errorf("writers: file %q: %s: %w", f.cfg.Path, doing, err)
	if f.part != nil {
		f.failed = fmt.Errorf("%w; what is written of it is in %s", f.failed, f.part.unfinished)
	}
	return f.failed
}

// arm sets the timer to when something is due next.
func (f *File) arm() {
	p := f.part
	if p == nil || f.failed != nil {
		return
	}
	wait := time.Duration(-1)
	sooner := func(d time.Duration) {
		d = max(d, 0)
		if wait < 0 || d < wait {
			wait = d
		}
	}
	now := time.Now()
	switch {
	case p.full:
		sooner(retryEvery)
	case f.cfg.RotateEvery > 0:
		sooner(p.begun.Add(f.cfg.RotateEvery).Sub(now))
	}
	if p.pending.Len() > 0 && f.cfg.FlushEvery > 0 {
		sooner(p.since.Add(f.cfg.FlushEvery).Sub(now))
	}
	if wait < 0 {
		return
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(wait, f.tick)
	} else {
		f.timer.Reset(wait)
	}
}

// tick does what is due. What fails with a transient error is tried again; the next call reports
// what is final.
func (f *File) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.part
	if p == nil || f.closed || f.failed != nil {
		return
	}
	now := time.Now()
	switch {
	case !f.mayFinish():
	case p.full || f.cfg.RotateEvery > 0 && now.Sub(p.begun) >= f.cfg.RotateEvery:
		_ = f.finish()
	case f.cfg.FlushEvery > 0 && now.Sub(p.since) >= f.cfg.FlushEvery:
		if f.flush() != nil {
			p.since = now.Add(retryEvery - f.cfg.FlushEvery)
		}
	}
	if f.failed == nil {
		f.arm()
	}
}

// Close completes the last file and gives it its name, unless the writing has failed. Closing again
// returns the same error.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.failed
	}
	f.stop()
	if f.part != nil && f.failed == nil && f.closes() {
		if err := f.finish(); err != nil && f.failed == nil {
			err := fmt.Errorf("%w; what is written of it is in %s", err, f.part.unfinished)
			f.failed = err // transient, but nobody will try again
		}
	}
	if f.job != "" && f.failed == nil && !f.takes {
		f.kept, _ = f.save() // it notes an error in failed
	}
	f.release()
	return f.failed
}

// Fail says that what has been written is incomplete, because of err. The file does not get its
// name then: Close returns err and where the unfinished file is.
func (f *File) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil && !f.closed {
		_ = f.fail("not finished", err) // Close returns it
	}
}

// Abandon ends the writing and removes the unfinished file, unless the writing may go on after a
// restart (Recover). Complete files stay.
func (f *File) Abandon() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.stop()
	p := f.part
	f.release()
	if p != nil && f.job == "" { // otherwise the state knows what belongs to it
		if err := f.files.remove(p.unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("writers: file %q: %w", f.cfg.Path, err)
		}
	}
	return nil
}

func (f *File) stop() {
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
}

// release closes the unfinished file.
func (f *File) release() {
	if f.part != nil && f.part.file != nil {
		_ = f.part.file.Close() // it has failed already, or is removed
	}
	f.part = nil
	f.taken.giveBack()
}
