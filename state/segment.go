package state

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dgryski/go-metro"
)

const (
	// PieceBytes is how many bytes of a part have a digest of their own. If one is damaged, the
	// message says which.
	PieceBytes = 1 << 20
	pieceBytes = PieceBytes

	// syncBytes is how much is written between two syncs. So neither the kernel nor a slow disk has
	// to take much at once, which would stall everything else that writes.
	syncBytes = 8 << 20

	// partAlign is what the place of a part is a multiple of.
	partAlign = 64

	// bufferBytes is how many bytes of small parts are written together.
	bufferBytes = 256 << 10
)

// A Writing is a generation that is being written. After an error it can only be aborted.
type Writing struct {
	folder *Folder
	number uint64
	// segments are the segment of panes that change, and the one of panes that do not; nil if
	// there was nothing for it.
	segments [2]*segment
	// Waited is the time that went into waiting for the disk.
	Waited time.Duration
}

type segment struct {
	name string
	file File
	buf  *bufio.Writer
	// at is the length so far, and synced how much of it has been synced.
	at, synced int64
}

// Begin begins the next generation. It ends with Commit or Abort, before the next is begun.
func (f *Folder) Begin() *Writing {
	f.last++
	return &Writing{folder: f, number: f.last}
}

// Number is the number of the generation.
func (w *Writing) Number() uint64 { return w.number }

// Pieces cuts memory into pieces for Part.
func Pieces(memory []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(memory) > 0 {
			n := min(len(memory), pieceBytes)
			if !yield(memory[:n]) {
				return
			}
			memory = memory[n:]
		}
	}
}

// Part writes a part and returns where it lies. All pieces but the last have PieceBytes. closed
// says that it belongs to a pane that does not change any more.
func (w *Writing) Part(closed bool, pieces iter.Seq[[]byte]) (p Part, err error) {
	var digests strings.Builder
	var s *segment
	seed := seedOf(w.folder.Job)
	for piece := range pieces {
		if s == nil {
			s, err = w.segment(closed)
			if err != nil {
				return Part{}, err
			}
			p.At, err = s.align()
			if err != nil {
				return Part{}, err
			}
			p.File = s.name
		}
		fmt.Fprintf(&digests, "%016x", metro.Hash64(piece, seed))
		if _, err := s.buf.Write(piece); err != nil {
			return Part{}, err
		}
		s.at += int64(len(piece))
		p.Bytes += int64(len(piece))
		if s.at-s.synced >= syncBytes {
			if err := w.sync(s); err != nil {
				return Part{}, err
			}
		}
	}
	p.Digests = digests.String()
	return p, nil
}

// seedOf is the seed of the digests of a job.
func seedOf(job string) uint64 { return metro.Hash64Str(job, 0) }

// segment is the segment for panes of a kind, which is made when it is first needed.
func (w *Writing) segment(closed bool) (*segment, error) {
	i, suffix := 0, openSuffix
	if closed {
		i, suffix = 1, closedSuffix
	}
	if w.segments[i] == nil {
		s := &segment{name: name(w.number, suffix)}
		var err error
		s.file, err = w.folder.fs.Create(s.name)
		if err != nil {
			return nil, err
		}
		s.buf = bufio.NewWriterSize(s.file, w.folder.buffer)
		w.segments[i] = s
	}
	return w.segments[i], nil
}

// align goes on to the next place at which a part may begin.
func (s *segment) align() (at int64, err error) {
	var zeros [partAlign]byte
	n, err := s.buf.Write(zeros[:-s.at&(partAlign-1)])
	s.at += int64(n)
	return s.at, err
}

// sync makes durable what a segment has.
func (w *Writing) sync(s *segment) error {
	if err := s.buf.Flush(); err != nil {
		return err
	}
	begin := time.Now()
	err := s.file.Sync()
	w.Waited += time.Since(begin)
	s.synced = s.at
	return err
}

// Abort gives the generation up. What it has written is removed, now or when the folder is opened
// the next time.
func (w *Writing) Abort() {
	for _, s := range w.segments {
		if s != nil {
			_ = s.file.Close()
			_ = w.folder.fs.Remove(s.name)
		}
	}
	_ = w.folder.fs.Remove(name(w.number, manifestSuffix) + tempSuffix)
}

// Commit makes the generation durable: its segments, then the manifest. The rename of the manifest
// is the moment at which the generation comes to be. After an error it is not there, and the caller
// calls Abort; but after ErrTorn it may be there, and the caller does not. Commit fills in what the
// manifest says of the folder.
func (w *Writing) Commit(m *Manifest) error {
	f := w.folder
	for _, s := range w.segments {
		if s == nil {
			continue
		}
		if err := w.sync(s); err != nil {
			return err
		}
		if err := s.file.Close(); err != nil {
			return err
		}
	}
	m.Format, m.Job, m.Incarnation, m.Home = Format, f.Job, f.Incarnation, f.fs.Home()
	m.Generation, m.Time = w.number, time.Now().UTC()
	if f.Newest != nil {
		m.Parent = f.Newest.Generation
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	if len(text) > MaxManifestBytes {
		return fmt.Errorf("the manifest would have %d bytes, at most %d are allowed", len(text), MaxManifestBytes)
	}
	begin := time.Now()
	defer func() { w.Waited += time.Since(begin) }()
	final := name(w.number, manifestSuffix)
	if err := writeFile(f.fs, final+tempSuffix, text); err != nil {
		return err
	}
	// The names of the segments must be there before the manifest has its name.
	if err := f.fs.SyncFolder(); err != nil {
		return err
	}
	if err := f.fs.Rename(final+tempSuffix, final); err != nil {
		return err
	}
	f.Newest = m
	f.kept = append(f.kept, m)
	if err := f.fs.SyncFolder(); err != nil {
		return fmt.Errorf("%w: %w", ErrTorn, err) // the older generations stay until the next Commit
	}
	f.forget()
	return nil
}

// ErrTorn says that it is not known whether a generation is there, because its name may not have
// reached the disk. The generations before it are.
var ErrTorn = errors.New("it is not known whether the generation is durable")

// writeFile writes and syncs a small file.
func writeFile(fsys FS, file string, text []byte) error {
	out, err := fsys.Create(file)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// forget removes the generations that are not kept any more, and the segments that only they name.
// It begins after the newest generation is durable, so damaged ones are not needed as evidence any
// more, either. A file that cannot be removed is tried again
// when the folder is next opened.
func (f *Folder) forget() {
	for _, file := range f.damaged {
		_ = f.fs.Remove(file)
	}
	f.damaged = nil
	f.trim()
}

// trim removes the generations that are older than those that are kept.
func (f *Folder) trim() {
	if len(f.kept) <= keepGenerations {
		return
	}
	old := f.kept[:len(f.kept)-keepGenerations]
	f.kept = append([]*Manifest(nil), f.kept[len(f.kept)-keepGenerations:]...)
	named := map[string]bool{}
	for _, m := range f.kept {
		for _, file := range m.Files() {
			named[file] = true
		}
	}
	for _, m := range old {
		_ = f.fs.Remove(name(m.Generation, manifestSuffix))
		for _, file := range m.Files() {
			if !named[file] {
				_ = f.fs.Remove(file)
			}
		}
	}
}

// A Reading reads the parts of a generation. Any number of goroutines may use it.
type Reading struct {
	fs   FS
	seed uint64

	mu    sync.Mutex // guards files
	files map[string]Source
}

// Read begins to read a generation of the folder. It ends with Close.
func (f *Folder) Read(m *Manifest) *Reading {
	return &Reading{fs: f.fs, seed: seedOf(m.Job), files: map[string]Source{}}
}

// Close closes the files.
func (r *Reading) Close() error {
	var errs []error
	for _, s := range r.files {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// file is the open file of a segment.
func (r *Reading) file(segment string) (Source, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.files[segment]
	if s == nil {
		var err error
		s, err = r.fs.Open(segment)
		if err != nil {
			return nil, err
		}
		r.files[segment] = s
	}
	return s, nil
}

// Piece reads piece i of a part into buf, which has room for PieceBytes, and returns its bytes;
// there are none after the last. The error is ErrDamaged with the place of the damage, or an error
// of the file system.
func (r *Reading) Piece(p *Part, i int, buf []byte) ([]byte, error) {
	from := int64(i) * pieceBytes
	if from >= p.Bytes {
		return nil, nil
	}
	s, err := r.file(p.File)
	if err != nil {
		return nil, err
	}
	buf = buf[:min(p.Bytes-from, pieceBytes)]
	if n, err := s.ReadAt(buf, p.At+from); n < len(buf) {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w: it ends at byte %d, expected %d or more", p.File, ErrDamaged,
				p.At+from+int64(n), p.At+p.Bytes)
		}
		return nil, fmt.Errorf("%s: byte %d: %w", p.File, p.At+from, err)
	}
	want, err := strconv.ParseUint(p.Digests[16*i:16*i+16], 16, 64)
	if have := metro.Hash64(buf, r.seed); err != nil || have != want {
		return nil, fmt.Errorf("%s: %w: bytes %d to %d have the digest %016x, expected %s", p.File, ErrDamaged,
			p.At+from, p.At+from+int64(len(buf))-1, have, p.Digests[16*i:16*i+16])
	}
	return buf, nil
}

// Verify reads all of a generation, on as many goroutines as may run at once.
func (f *Folder) Verify(m *Manifest) error {
	r := f.Read(m)
	defer r.Close()
	type piece struct {
		part *Part
		i    int
	}
	var pieces []piece
	most := int64(0) // bytes of a piece
	for _, p := range m.parts() {
		most = max(most, min(p.Bytes, pieceBytes))
		for at := int64(0); at < p.Bytes; at += pieceBytes {
			pieces = append(pieces, piece{p, int(at / pieceBytes)})
		}
	}
	var next atomic.Int64
	workers := min(runtime.GOMAXPROCS(0), len(pieces))
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			buf := make([]byte, most)
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(pieces) {
					return
				}
				_, errs[w] = r.Piece(pieces[i].part, pieces[i].i, buf)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// All reads a whole part.
func (r *Reading) All(p *Part) ([]byte, error) {
	all := make([]byte, p.Bytes)
	return all, r.readAll(p, all)
}

func (r *Reading) readAll(p *Part, all []byte) error {
	for i := 0; int64(i)*pieceBytes < p.Bytes; i++ {
		if _, err := r.Piece(p, i, all[i*pieceBytes:]); err != nil {
			return err
		}
	}
	return nil
}

// AllWords reads a whole part as words. Its bytes are a multiple of eight.
func (r *Reading) AllWords(p *Part) ([]uint64, error) {
	words := make([]uint64, p.Bytes/8)
	// What the parts have is little-endian, as the memory of all machines that velo runs on.
	return words, r.readAll(p, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words)))
}
