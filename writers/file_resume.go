package writers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// # A File that goes on after a restart
//
// With an engine that keeps its state (record.Committer), a File ends only with whole windows, and
// knows three things for good:
//
//   - what Save has returned, which the engine keeps with each generation: the unfinished file, and
//     how long it was after the last whole window;
//   - the note beside the files, written before a file gets its name: which file that is, and the
//     end of its last window;
//   - the names of the files.
//
// After a restart the unfinished file is cut off after its last saved window, and the engine writes
// the windows after that again. If a file has got its name since, the note says which windows it
// has, and the engine leaves those out. If the process ended between the note and the name, the
// file gets its name now. So each window is in exactly one file, and a file with a name is never
// changed.

// noteSuffix ends the name of the note.
const noteSuffix = ".velo"

// noWindow is the end of no window.
const noWindow = math.MinInt64

// resuming is what a File knows if an engine keeps its state; job is empty otherwise.
type resuming struct {
	job string
	// ended is the end of the last whole window. bytes is how much of the part at hand belongs to
	// whole windows.
	ended int64
	bytes int64
	// complete says that the input has come to its end.
	complete bool
	// kept is what Save returns after Close; it is nil before.
	kept []byte
	// resumed says that there are rows or names from before the restart.
	resumed bool
}

// fileState is what Save returns.
type fileState struct {
	Unfinished string `json:"unfinished,omitempty"`
	Name       string `json:"name,omitempty"`
	Bytes      int64  `json:"bytes,omitempty"`
	Window     int64  `json:"window"`
}

// fileNote is the note beside the files.
type fileNote struct {
	Job        string `json:"job"`
	Window     int64  `json:"window"`
	Name       string `json:"name"`
	Unfinished string `json:"unfinished"`
	// Number is the last transaction (record.Transactional). Open says that the file is not
	// complete, and Bytes then how much of it belongs to transactions.
	Number uint64 `json:"number,omitempty"`
	Open   bool   `json:"open,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
}

// note is the path of the note.
func (f *File) note() string {
	base := strings.NewReplacer(placeNumber, "n", placeTime, "time").Replace(filepath.Base(f.cfg.Path))
	return filepath.Join(filepath.Dir(f.cfg.Path), base+noteSuffix)
}

// tag is what the names of the unfinished files of a job have in common: half of the eight digits.
func tag(job string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(job)))[:4] }

// Recover takes back what was written after the last window that is there for good: see
// record.Committer.
func (f *File) Recover(_ context.Context, job string, saved []byte) (window int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.part != nil || f.count > 0 {
		return 0, fmt.Errorf("writers: file %q: Recover after Write", f.cfg.Path)
	}
	f.resuming = resuming{job: job, ended: noWindow}
	keep := ""
	err = f.sealedNames()
	switch {
	case err != nil:
	case saved != nil:
		keep, err = f.recover(saved)
	default:
		err = f.removeNote()
	}
	if err == nil {
		err = f.removeRest(keep)
	}
	if err != nil {
		return 0, fmt.Errorf("writers: file %q: %w", f.cfg.Path, err)
	}
	return f.ended, nil
}

// removeNote removes the note, which is of another job.
func (f *File) removeNote() error {
	err := f.files.remove(f.note())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Resumed says whether Recover has found that something had been written before.
func (f *File) Resumed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resumed
}

// recover finds the last whole window, and the part to go on with, whose name it returns.
func (f *File) recover(saved []byte) (keep string, err error) {
	var s fileState
	if err := json.Unmarshal(saved, &s); err != nil {
		return "", fmt.Errorf("what the state has of it cannot be read: %w", err)
	}
	n, err := f.readNote()
	if err != nil {
		return "", err
	}
	f.ended = s.Window
	if n != nil && n.Window >= s.Window {
		if n.Job != f.job {
			return "", fmt.Errorf("another job (%s) has written it since the state was saved; give this job a path of "+
				"its own", n.Job)
		}
		if err := f.finishNoted(n); err != nil {
			return "", err
		}
		f.ended = n.Window
	}
	f.resumed = s.Unfinished != "" || n != nil && n.Job == f.job
	if s.Unfinished == "" || n != nil && n.Unfinished == s.Unfinished {
		return "", nil
	}
	err = f.reopen(s)
	if errors.Is(err, fs.ErrNotExist) && f.ended > s.Window {
		return "", nil // it got its name, and so did one after it
	}
	return s.Unfinished, err
}

// reopen goes on with an unfinished file.
func (f *File) reopen(s fileState) error {
	if f.seals() {
		return errSealed // a job before had another format
	}
	dir := filepath.Dir(f.cfg.Path)
	h, size, err := f.files.open(filepath.Join(dir, s.Unfinished))
	switch {
	case err != nil:
		return fmt.Errorf("the file that was being written is gone, with rows that nothing else has: %w", err)
	case size < s.Bytes:
		return errors.Join(fmt.Errorf("%s has %d bytes, and had %d when the state was saved", s.Unfinished, size,
			s.Bytes), h.Close())
	}
	if err := h.Truncate(s.Bytes); err != nil {
		return errors.Join(err, h.Close())
	}
	p := &part{
		name: filepath.Join(dir, s.Name), unfinished: filepath.Join(dir, s.Unfinished), file: h, written: s.Bytes,
		begun: time.Now(), taken: true,
	}
	p.encode = f.encoder(&p.pending)
	if c, ok := p.encode.(*CSV); ok {
		c.begun = s.Bytes > 0 // the line of names is there
	}
	f.part, f.bytes = p, s.Bytes
	f.next = max(f.next, f.numberOf(s.Name)+1)
	return nil
}

// readNote reads the note; it is nil if there is none.
func (f *File) readNote() (*fileNote, error) {
	text, err := f.files.read(f.note())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	n := &fileNote{}
	if err == nil {
		err = json.Unmarshal(text, n)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.note(), err)
	}
	return n, nil
}

// finishNoted gives the file of the note its name, unless it has it.
func (f *File) finishNoted(n *fileNote) error {
	dir := filepath.Dir(f.cfg.Path)
	unfinished, name := filepath.Join(dir, n.Unfinished), filepath.Join(dir, n.Name)
	h, _, err := f.files.open(unfinished)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.Close(); err != nil {
		return err
	}
	if f.files.same(unfinished, name) {
		return f.files.remove(unfinished) // it has both names
	}
	p := &part{name: name, unfinished: unfinished, begun: time.Now()}
	f.ended = n.Window
	if err := f.publish(p); err != nil {
		return err
	}
	return f.files.syncDir(dir)
}

// removeRest removes what this job has left unfinished, except the file to go on with: it has only
// rows that are written again.
func (f *File) removeRest(keep string) error {
	dir := filepath.Dir(f.cfg.Path)
	names, err := f.files.list(dir)
	if err != nil {
		return err
	}
	like := pattern(f.cfg.Path, `\.`+tag(f.job)+`[0-9a-f]{4}`+regexp.QuoteMeta(Unfinished))
	var errs []error
	for _, name := range names {
		if name != keep && like.MatchString(name) {
			errs = append(errs, f.files.remove(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// EndWindow says that all rows of a window have been written: see record.Committer. The end of time
// says that the input has come to its end.
func (f *File) EndWindow(ctx context.Context, window int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return f.failed
	}
	if window == math.MaxInt64 {
		f.complete = true
		return nil
	}
	if err := f.writeHeld(ctx); err != nil {
		return err
	}
	f.ended, f.bytes = window, 0
	p := f.part
	if p == nil {
		return nil
	}
	f.bytes = p.size()
	if f.cfg.RotateBytes > 0 && p.size() >= f.cfg.RotateBytes ||
		f.cfg.RotateEvery > 0 && time.Since(p.begun) >= f.cfg.RotateEvery {
		p.full = true
		_ = f.finish() // the window is taken; the next call repeats or reports what fails here
	}
	f.arm()
	return nil
}

// size is how many bytes the part has.
func (p *part) size() int64 {
	n := p.written + int64(p.pending.Len())
	if e, ok := p.encode.(Encoder); ok && !p.ended {
		n += e.Buffered()
	}
	return n
}

// mayFinish says whether the part may get its name now: it has whole windows only.
func (f *File) mayFinish() bool { return f.job == "" || f.seals() || f.part.size() == f.bytes }

// closes says whether Close gives the part its name. A file with a name of its own gets it when the
// input has come to its end, if the writing may go on after a restart; until then the windows that
// have ended are kept in the unfinished file, and Save has made them durable.
func (f *File) closes() bool {
	numbered := strings.Contains(filepath.Base(f.cfg.Path), placeNumber)
	return f.mayFinish() && (f.job == "" || f.complete || numbered)
}

// Save makes the windows that have ended durable: see record.Committer.
func (f *File) Save(context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.save()
}

func (f *File) save() ([]byte, error) {
	if f.failed != nil || f.kept != nil {
		return f.kept, f.failed
	}
	if p := f.part; p != nil && f.seals() {
		p.full = true // it has whole windows only
		if err := f.finish(); err != nil {
			return nil, err
		}
	}
	s := fileState{Window: f.ended}
	if p := f.part; p != nil && p.file != nil && f.bytes > 0 {
		if err := f.flush(); err != nil {
			return nil, err
		}
		if err := p.file.Sync(); err != nil {
			return nil, f.fail("sync", err)
		}
		if err := f.files.syncDir(filepath.Dir(p.unfinished)); err != nil {
			return nil, f.fail("sync of the folder", err)
		}
		s.Unfinished, s.Name, s.Bytes = filepath.Base(p.unfinished), filepath.Base(p.name), f.bytes
	}
	return json.Marshal(s)
}

// writeNote notes that a part is about to get its name, or that what it has belongs to transactions
// and more will come (open).
func (f *File) writeNote(p *part, open bool) error {
	n := fileNote{Job: f.job, Window: f.ended, Number: f.committing, Open: open}
	if p.name != "" {
		n.Name, n.Unfinished = filepath.Base(p.name), filepath.Base(p.unfinished)
	}
	if open {
		n.Bytes = p.written
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	temp := f.note() + Unfinished
	if err := f.files.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h, err := f.files.create(temp)
	if err != nil {
		return err
	}
	_, err = h.WriteAt(text, 0)
	if err == nil {
		err = h.Sync()
	}
	if err := errors.Join(err, h.Close()); err != nil {
		return err
	}
	if err := f.files.rename(temp, f.note()); err != nil {
		return err
	}
	f.number = f.committing
	return f.files.syncDir(filepath.Dir(temp))
}
