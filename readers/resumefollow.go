package readers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

// # Where a followed file stands
//
// A followed file is one split, named by the path. Its position lists the files that are open: the
// one that has the name and those that had it before. Each is named by its key, because it may have
// any name after a restart, and by a digest of its first bytes, because an inode number may belong
// to another file by then. In a FollowSet any Stream may have a file after the restart that another
// one had before it, so each looks at the positions of all. What none of them has, the first takes.

// fileKey identifies a file: its device and inode if the system says them.
type fileKey struct{ device, inode uint64 }

const (
	followPositionVersion = 1

	// headBytes is how much of the beginning of a followed file is known by its digest.
	headBytes = 4096

	// maxClosedFiles is how many files a position lists that were closed early and still have
	// names. The ones closed first are left out if there are more; they are read again after a
	// restart.
	maxClosedFiles = 512

	// maxHeaderBytes is how long a header is that a position has. Without it, a file that is cut
	// short while nothing runs must begin with its header again. No headers are added to a position
	// of more than maxHeadersBytes.
	maxHeaderBytes  = 4 << 10
	maxHeadersBytes = 16 << 10
)

// The flags of a file in a position.
const (
	followSkipping  = 1 << iota // a record that is too long is being dropped
	followTruncated             // the file was cut short, and may begin without its header
	followHeader                // the header comes next
	followSame                  // the header is the same as for the file before
)

// noteHead notes the bytes that were read at the offset.
func (g *growing) noteHead(b []byte) {
	if n := len(g.head); n < headBytes && int64(n) == g.offset {
		g.head = append(g.head, b[:min(len(b), headBytes-n)]...)
	}
}

// headDigest is a digest of the first bytes that were read, and how many they are.
func (g *growing) headDigest() (digest uint64, n int) {
	n = len(g.head)
	if n != g.digests || n == 0 {
		g.digest, g.digests = metro.Hash64(g.head, 0), n
	}
	return g.digest, n
}

// noteClosed notes a file that is closed although it has a name.
func (f *followed) noteClosed(g *growing) {
	g.closed = true
	f.closed = slices.DeleteFunc(f.closed, func(c *growing) bool { return !f.family.keeps(c.info) })
	if len(f.closed) == maxClosedFiles {
		f.closed = slices.Delete(f.closed, 0, 1)
	}
	f.closed = append(f.closed, g)
}

// splitPrefix is what the names of the splits begin with, before the path.
func (f *followed) splitPrefix() string {
	if f.family != nil {
		return "followed for " + f.family.table + ": "
	}
	return "followed "
}

// savedFile is a file of a position.
type savedFile struct {
	// split is the split that lists it, and path what that one follows.
	split, path string
	key         fileKey
	// offset is where the next record begins. counted is a place at or before it, in this line.
	offset, line, counted int64
	flags                 byte
	state                 quoteState
	digest                uint64
	digested              int
	header                []string
	// closed says that the file had been closed. taken says that it is read on.
	closed, taken bool
}

// standing is how far the records of a file have been given out.
func (r *FollowedFile) standing(g *growing) (s savedFile) {
	f, place, w := r.followed, &g.lines, r.parser.loaded()
	if g == f.current {
		place = &r.stream.linePlace
	}
	s.key, s.header = g.key, place.header
	s.digest, s.digested = g.headDigest()
	if place.truncated {
		s.flags |= followTruncated
	}
	switch {
	case g == f.held && g.cuts == f.heldCuts && (w.pos < w.end || r.current.cut != nil):
		s.offset = w.base + int64(w.pos)
		s.line, s.counted = w.line, w.base+int64(w.counted)
	case g.closed: // all of it has been read; the line is not known
		s.offset, s.line = g.offset, 1
	case place.line == 0: // nothing has been read
		s.line = 1
	default:
		s.offset, s.line, s.counted = place.offset, place.line, place.offset
		if place.skipping {
			s.flags |= followSkipping
			s.state = place.state
		}
	}
	return s
}

// append appends a file to a position. before is the header of the file before it.
func (s *savedFile) append(to []byte, before []string) []byte {
	length := 0
	for _, name := range s.header {
		length += len(name)
	}
	if s.header != nil && length <= maxHeaderBytes && len(to) <= maxHeadersBytes {
		s.flags |= followHeader
		if slices.Equal(s.header, before) {
			s.flags |= followSame
		}
	}
	for _, v := range []uint64{
		s.key.device, s.key.inode, uint64(s.offset), uint64(s.line), uint64(s.offset - s.counted), uint64(s.digested),
	} {
		to = binary.AppendUvarint(to, v)
	}
	to = binary.LittleEndian.AppendUint64(to, s.digest)
	to = append(to, s.flags, byte(s.state))
	if s.flags&(followHeader|followSame) == followHeader {
		to = binary.AppendUvarint(to, uint64(len(s.header)))
		for _, name := range s.header {
			to = binary.AppendUvarint(to, uint64(len(name)))
			to = append(to, name...)
		}
	}
	return to
}

// appendPosition appends where the files stand.
func (r *FollowedFile) appendPosition(to []byte) []byte {
	f := r.followed
	files := f.files
	if h := f.held; h != nil && !slices.Contains(files, h) {
		// It is closed, and not all of it may have been parsed.
		if w := r.parser.loaded(); w.pos < w.end || r.current.cut != nil {
			files = append([]*growing{h}, files...)
		}
	}
	to = append(to, followPositionVersion)
	var before []string
	for _, list := range [][]*growing{files, f.closed} {
		to = binary.AppendUvarint(to, uint64(len(list)))
		for _, g := range list {
			s := r.standing(g)
			to = s.append(to, before)
			before = s.header
		}
	}
	return to
}

// setPosition says in a batch where the files stand. An empty batch goes nowhere.
func (r *FollowedFile) setPosition(b *record.Batch) {
	if b.Len() > 0 || len(b.Rejects()) > 0 {
		r.position = r.appendPosition(r.position[:0])
		b.SetPosition(r.split, r.position)
	}
}

// parseFollowPosition is the inverse of appendPosition.
func parseFollowPosition(split, path string, from []byte) (files []*savedFile, err error) {
	d := followDecoder{from: from}
	if d.byte() != followPositionVersion {
		d.broken = true
	}
	var before []string
	for _, closed := range []bool{false, true} {
		for range d.count(len(from)) {
			s := &savedFile{split: split, path: path, closed: closed, key: fileKey{d.value(), d.value()}}
			s.offset, s.line = int64(d.value()), int64(d.value())
			s.counted = s.offset - int64(d.value())
			s.digested = d.count(headBytes)
			s.digest = d.digest()
			s.flags, s.state = d.byte(), quoteState(d.byte())
			switch s.flags & (followHeader | followSame) {
			case followHeader:
				s.header = []string{}
				for range d.count(len(from)) {
					s.header = append(s.header, string(d.bytes(d.count(maxHeaderBytes))))
				}
			case followHeader | followSame:
				s.header = before
			}
			before = s.header
			if s.offset < 0 || s.counted < 0 || s.counted > s.offset || s.line < 1 || s.state >= quoteStates {
				d.broken = true
			}
			files = append(files, s)
		}
	}
	if d.broken {
		return nil, fmt.Errorf("%s: the saved position is damaged, or of another version of velo", path)
	}
	return files, nil
}

// followDecoder reads the parts of a position. After anything that does not fit, it is broken and
// returns zeros.
type followDecoder struct {
	from   []byte
	broken bool
}

func (d *followDecoder) bytes(n int) []byte {
	if d.broken || n > len(d.from) {
		d.broken = true
		return make([]byte, min(n, 8))
	}
	b := d.from[:n]
	d.from = d.from[n:]
	return b
}

func (d *followDecoder) byte() byte     { return d.bytes(1)[0] }
func (d *followDecoder) digest() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *followDecoder) value() uint64 {
	v, n := binary.Uvarint(d.from)
	if n <= 0 || d.broken {
		d.broken = true
		return 0
	}
	d.from = d.from[n:]
	return v
}

// count is a value of at most most.
func (d *followDecoder) count(most int) int {
	v := d.value()
	if v > uint64(most) {
		d.broken = true
		return 0
	}
	return int(v)
}

// ResumeFrom goes on where the files stood: see record.Resumer.
func (r *FollowedFile) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	f := r.followed
	r.holding, r.say = f.hold, r.setPosition
	files, splits, err := r.parseSaved(saved)
	if err != nil {
		return nil, nil, fmt.Errorf("readers: %w", err)
	}
	var lost []error
	if slices.Contains(splits, r.split) {
		resumed = append(resumed, r.split)
	}
	for _, g := range f.files {
		s := files[g.key]
		if s == nil {
			continue
		}
		why, err := r.goOn(g, s)
		if err != nil {
			return nil, nil, fmt.Errorf("readers: %s: %w", f.path, err)
		}
		s.taken = true
		lost = append(lost, why)
		resumed = append(resumed, s.split)
	}
	if f.family == nil || f.family.first() {
		resumed = append(resumed, splits...)
		why, err := r.reopen(files)
		if err != nil {
			return nil, nil, fmt.Errorf("readers: %w", err)
		}
		lost = append(lost, why...)
	}
	if f.family == nil && len(files) > 0 {
		lost = append(lost, f.rotatedTwice(files)...)
	}
	lost = slices.DeleteFunc(lost, func(err error) bool { return err == nil })
	r.lost.Store(&lost)
	slices.Sort(resumed)
	return slices.Compact(resumed), []record.Position{{Split: r.split, Offset: r.appendPosition(nil)}}, nil
}

// Lost says what could not be gone on with after a restart, as FollowedFile describes. It does not
// change after ResumeFrom. Any goroutine may call it.
func (r *FollowedFile) Lost() []error {
	if p := r.lost.Load(); p != nil {
		return *p
	}
	return nil
}

// parseSaved returns the files of the saved positions that concern this reader, and their splits.
func (r *FollowedFile) parseSaved(saved []record.Position) (files map[fileKey]*savedFile, splits []string, err error) {
	prefix := r.followed.splitPrefix()
	files = map[fileKey]*savedFile{}
	for _, p := range saved {
		path, ok := strings.CutPrefix(p.Split, prefix)
		if !ok || r.followed.family == nil && p.Split != r.split {
			continue
		}
		list, err := parseFollowPosition(p.Split, path, p.Offset)
		if err != nil {
			return nil, nil, err
		}
		splits = append(splits, p.Split)
		for _, s := range list {
			if old := files[s.key]; old == nil || old.closed || !s.closed {
				files[s.key] = s
			}
		}
	}
	return files, splits, nil
}

// goOn has a file read on where it stood. If that cannot be, the file is read from its beginning,
// and lost says why.
func (r *FollowedFile) goOn(g *growing, s *savedFile) (lost, err error) {
	info, err := g.file.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(s.digested, int(info.Size())))
	if _, err := g.file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	place := r.stream.beginning()
	truncated := s.flags&followTruncated != 0
	switch {
	case info.Size() < s.offset:
		lost = fmt.Errorf("%s: %d bytes of it had been read when the state was saved, and it has %d now: it is read "+
			"from its beginning, and what was not read before it was cut short is lost", g.file.Name(), s.offset,
			info.Size())
	case len(head) < s.digested || metro.Hash64(head, 0) != s.digest:
		lost = fmt.Errorf("%s: it has other contents than when the state was saved: it is read from its beginning, "+
			"and what was not read of the old contents is lost", g.file.Name())
	}
	if lost != nil {
		truncated, s.offset = true, 0
	} else {
		g.offset = s.offset
		place.offset = s.offset
		if err := r.findPlace(&place, g, s); err != nil {
			return nil, err
		}
		g.partial = place.skipping
	}
	if scan := r.stream.head; scan != nil && s.header != nil {
		place.header = s.header
		place.lay, err = scan.format.layoutFor(s.header)
		if err != nil {
			return nil, err
		}
		place.truncated = truncated
	}
	g.lines = place
	return lost, nil
}

// findPlace completes the place in a file that is read on from an offset.
func (r *FollowedFile) findPlace(place *linePlace, g *growing, s *savedFile) error {
	read := func(from, to int64) ([]byte, error) {
		b := make([]byte, to-from)
		_, err := g.file.ReadAt(b, from)
		return b, err
	}
	head, err := read(0, min(s.offset, headBytes))
	if err != nil {
		return err
	}
	g.head = head
	place.line = s.line
	for at := s.counted; at < s.offset; {
		to := min(at+64<<10, s.offset)
		text, err := read(at, to)
		if err != nil {
			return err
		}
		place.line += int64(bytes.Count(text, []byte{'\n'}))
		at = to
	}
	place.skipping = s.flags&followSkipping != 0
	if place.skipping {
		place.state = s.state
	}
	scan := r.stream.head
	if scan == nil || s.offset == 0 {
		return nil
	}
	place.inHead, place.lay = false, scan.format.own
	if s.header != nil || s.flags&followTruncated != 0 {
		return nil // the caller knows the layout, or nobody does
	}
	for n := int64(headBytes); ; n *= 2 {
		text, err := read(0, min(n, s.offset))
		if err != nil {
			return err
		}
		_, lay, enough, err := scan.scan(&place.headPlace, text, n >= s.offset)
		if err != nil {
			return err
		}
		if enough {
			place.lay = lay
			return nil
		}
	}
}

// reopen opens the files that no Stream has, wherever they are in their folders.
func (r *FollowedFile) reopen(files map[fileKey]*savedFile) (lost []error, err error) {
	f := r.followed
	folders := map[string]bool{}
	var missing []*savedFile
	for key, s := range files {
		if s.taken || s.closed || f.family != nil && f.family.has(key) {
			continue
		}
		missing = append(missing, s)
		folders[filepath.Dir(s.path)] = true
		if real, err := filepath.EvalSymlinks(s.path); err == nil {
			folders[filepath.Dir(real)] = true
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	names := map[fileKey]string{}
	for folder := range folders {
		eachFile(folder, func(path string, info os.FileInfo) { names[keyOf(path, info)] = path })
	}
	var found []*growing
	for _, s := range missing {
		g, err := f.openKey(names[s.key], s.key)
		if err != nil {
			return nil, err
		}
		if g == nil {
			lost = append(lost, fmt.Errorf("a file that had the name %s is gone: %d bytes of it had been read when "+
				"the state was saved; if more was written to it, that is lost", s.path, s.offset))
			continue
		}
		why, err := r.goOn(g, s)
		if err != nil {
			return nil, errors.Join(err, g.file.Close())
		}
		s.taken = true
		lost, found = append(lost, why), append(found, g)
	}
	// The one that was written to last comes last.
	slices.SortStableFunc(found, func(a, b *growing) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	f.files = append(found, f.files...)
	return lost, nil
}

// eachFile calls a function for each regular file of a folder. What cannot be looked at is not
// there.
func eachFile(folder string, do func(path string, info os.FileInfo)) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil {
			do(filepath.Join(folder, e.Name()), info)
		}
	}
}

// openKey opens a file if it has the key. It returns nil if there is none.
func (f *followed) openKey(path string, key fileKey) (*growing, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || keyOf(path, info) != key || !info.Mode().IsRegular() || !f.family.take(info, key) {
		return nil, errors.Join(err, file.Close())
	}
	return &growing{file: file, info: info, key: key, grew: f.now()}, nil
}

// rotatedTwice finds files that may have had the name while nothing was running, and that are not
// read.
func (f *followed) rotatedTwice(files map[fileKey]*savedFile) (lost []error) {
	var last time.Time
	there, err := os.Stat(f.path)
	for _, g := range f.files {
		switch {
		case files[g.key] == nil:
		case err == nil && os.SameFile(g.info, there):
			return nil // it has not been rotated
		case g.info.ModTime().After(last):
			last = g.info.ModTime()
		}
	}
	if last.IsZero() {
		return nil
	}
	name := filepath.Clean(f.path)
	eachFile(filepath.Dir(name), func(path string, info os.FileInfo) {
		open := slices.ContainsFunc(f.files, func(g *growing) bool { return os.SameFile(g.info, info) })
		if !open && strings.HasPrefix(path, name) && !info.ModTime().Before(last) {
			lost = append(lost, fmt.Errorf("%s was written to while nothing was running, after the file that was read "+
				"last: it may have had the name %s, or be a copy, and is not read", path, f.path))
		}
	})
	return lost
}

// hold notes which file the next records are of.
func (f *followed) hold() {
	f.held = f.current
	if f.held != nil {
		f.heldCuts = f.held.cuts
	}
}
