package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/velo-engine/velo/record"
)

// # Where the readers of a file stand
//
// A file is one split, whatever the number of its readers. Each of them says which row groups have
// been read, as far as it knows, and how far it has got in those that it has begun. After a restart
// there may be another number of readers, so each of them takes all that was said: a row group has
// been read if one says so, and of one that was begun as many rows have been read as the one says
// who has got furthest.
//
//	version  1 byte
//	identity 16 bytes: the size of the file, and a digest of its footer
//	groups   varint, and a bit for each: it has been read
//	begun    varint, and for each: row group, rows

const (
	positionVersion = 1
	identityBytes   = 16
	splitPrefix     = "parquet "
)

// maxGroups bounds the row groups of a file, so that a position of it has room.
const maxGroups = 1 << 18

// fileProgress is what of a file has been read.
type fileProgress struct {
	done  []byte // a bit for each row group
	begun []begun
}

// begun is a row group of which some rows have been read.
type begun struct {
	group int
	rows  int64
}

// progress is what of all files has been read.
type progress struct {
	files []fileProgress
	// known says of which files something was saved.
	known []bool
}

func newProgress(files []*file) *progress {
	p := &progress{files: make([]fileProgress, len(files)), known: make([]bool, len(files))}
	for i, f := range files {
		p.files[i].done = make([]byte, (len(f.meta.RowGroups)+7)/8)
	}
	return p
}

// clone is a copy.
func (p *progress) clone() *progress {
	c := &progress{files: make([]fileProgress, len(p.files)), known: p.known}
	for i, f := range p.files {
		c.files[i] = fileProgress{append([]byte(nil), f.done...), append([]begun(nil), f.begun...)}
	}
	return c
}

func (p *progress) isDone(u unit) bool { return p.files[u.file].isDone(u.group) }

func (p *fileProgress) isDone(group int) bool { return p.done[group>>3]>>(group&7)&1 != 0 }

// rows is how many rows of a row group have been read, if it was begun.
func (p *fileProgress) rows(group int) int64 {
	for _, b := range p.begun {
		if b.group == group {
			return b.rows
		}
	}
	return 0
}

// reads notes that rows of a row group have been read: all of them, if done.
func (p *fileProgress) reads(group int, rows int64, done bool) {
	for i, b := range p.begun {
		if b.group != group {
			continue
		}
		if !done {
			p.begun[i].rows = max(b.rows, rows)
			return
		}
		p.begun = append(p.begun[:i], p.begun[i+1:]...)
		break
	}
	switch {
	case done:
		p.done[group>>3] |= 1 << (group & 7)
	case rows > 0 && !p.isDone(group):
		p.begun = append(p.begun, begun{group, rows})
	}
}

// split is the name of a file's split.
func (f *file) split() string { return splitPrefix + f.path }

// position appends a position of a file.
func (f *file) position(to []byte, p *fileProgress) []byte {
	to = append(to, positionVersion)
	to = binary.LittleEndian.AppendUint64(to, uint64(f.size))
	to = binary.LittleEndian.AppendUint64(to, f.footer)
	to = binary.AppendUvarint(to, uint64(len(f.meta.RowGroups)))
	to = append(to, p.done...)
	to = binary.AppendUvarint(to, uint64(len(p.begun)))
	for _, b := range p.begun {
		to = binary.AppendUvarint(to, uint64(b.group))
		to = binary.AppendUvarint(to, uint64(b.rows))
	}
	return to
}

// errPosition says that a position cannot be read.
var errPosition = errors.New("the saved position is damaged, or of another version of velo")

// saved is a position as it was saved.
type saved struct {
	size, footer uint64
	groups       int
	fileProgress
}

// parsePosition is the inverse of position.
func parsePosition(text []byte) (s saved, err error) {
	if len(text) < 1+identityBytes || text[0] != positionVersion {
		return s, errPosition
	}
	s.size, s.footer = binary.LittleEndian.Uint64(text[1:]), binary.LittleEndian.Uint64(text[9:])
	text = text[1+identityBytes:]
	number := func() uint64 {
		v, n := binary.Uvarint(text)
		if n <= 0 {
			err = errPosition
			return 0
		}
		text = text[n:]
		return v
	}
	groups := number()
	if err != nil || groups > maxGroups || uint64(len(text)) < (groups+7)/8 {
		return s, errPosition
	}
	s.groups = int(groups)
	s.done = append([]byte(nil), text[:(groups+7)/8]...)
	text = text[len(s.done):]
	n := number()
	if n > groups {
		return s, errPosition
	}
	for range n {
		group, rows := number(), number()
		if err != nil || group >= groups || rows > maxGroupRows {
			return s, errPosition
		}
		s.begun = append(s.begun, begun{int(group), int64(rows)})
	}
	return s, err
}

// add takes what was saved of a file.
func (p *progress) add(number int, f *file, text []byte) error {
	s, err := parsePosition(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if s.size != uint64(f.size) || s.footer != f.footer || s.groups != len(f.meta.RowGroups) {
		return fmt.Errorf("%s: it is another file than when the state was saved: it had %d bytes and %d row groups, "+
			"and has %d and %d now; another file needs another name", f.path, s.size, s.groups, f.size,
			len(f.meta.RowGroups))
	}
	to := &p.files[number]
	for i, b := range s.done {
		to.done[i] |= b
	}
	for _, b := range s.begun {
		to.reads(b.group, b.rows, false)
	}
	kept := to.begun[:0]
	for _, b := range to.begun {
		if !to.isDone(b.group) {
			kept = append(kept, b)
		}
	}
	to.begun, p.known[number] = kept, true
	return nil
}

// Describe says in words what a position means. It returns "" for a position of another source.
func Describe(p record.Position) string {
	if !strings.HasPrefix(p.Split, splitPrefix) {
		return ""
	}
	s, err := parsePosition(p.Offset)
	if err != nil {
		return ""
	}
	done := 0
	for g := range s.groups {
		if s.isDone(g) {
			done++
		}
	}
	text := fmt.Sprintf("%d of %d row groups read", done, s.groups)
	for _, b := range s.begun {
		text += fmt.Sprintf(", row group %d up to row %d", b.group, b.rows)
	}
	return text
}
