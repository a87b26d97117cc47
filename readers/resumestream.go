package readers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

// # Where the readers of a packed file stand
//
// A position is a place in what the file unpacks to: all records and rejects that begin before it
// have been given out. After a restart the file is unpacked and cut into records again from its
// beginning, and what begins before that place is dropped without being parsed. So nothing else
// need be known: the head of the file, quotes and lines are found again. One of several readers of
// a file reads everything then. If each of them took the stretch that comes next, a position would
// have to name all stretches that the reader had, because the readers stand at their positions at
// different moments.

// A FileReader is an io.Reader that gives what a file has, perhaps unpacked. When the file is
// opened again, it gives the same bytes again. File is the file, which FileReader may be reading
// from; only its ReadAt, Stat and Name are called.
type FileReader interface {
	io.Reader
	File() *os.File
}

// fileOf returns the regular file that an io.Reader reads, or nil if it reads something else.
func fileOf(in io.Reader) *os.File {
	f, ok := in.(FileReader)
	if !ok || f.File() == nil {
		return nil
	}
	if info, err := f.File().Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return f.File()
}

// cutting says what a configuration has to do with how a file is cut into records.
func (c *DelimitedConfig) cutting() string {
	return fmt.Sprint("delimited", c.MaxRecordBytes, c.Delimiter, c.Quote, c.Header, c.Comment, c.SkipLines)
}

// cutting says what a configuration has to do with how a file is cut into records.
func (c *NDJSONConfig) cutting() string { return fmt.Sprint("ndjson", c.MaxRecordBytes) }

// fileStream is a Stream of a file that can be opened again.
type fileStream struct {
	*Stream
	file   *os.File
	config string

	// The others are set by ResumeFrom. What begins before at has been given out.
	split              string
	identity, position []byte
	at                 int64
}

// ResumeFrom goes on where the readers of the file stood: see record.Resumer.
func (r *fileStream) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	info, err := r.file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("readers: %w", err)
	}
	f := &lineFile{file: r.file, path: r.file.Name(), size: info.Size()}
	r.identity, err = f.identity()
	if err != nil {
		return nil, nil, fmt.Errorf("readers: %w", err)
	}
	plain := len(r.identity)
	r.identity = binary.LittleEndian.AppendUint64(r.identity, metro.Hash64Str(r.config, 0))
	r.split = "file " + f.path
	from := int64(0)
	for _, s := range saved {
		if s.Split != r.split {
			continue
		}
		switch {
		case !bytesBeginWith(s.Offset, r.identity[:plain]):
			return nil, nil, fmt.Errorf("readers: %w", f.otherFile(s.Offset, r.identity))
		case !bytesBeginWith(s.Offset, r.identity):
			return nil, nil, fmt.Errorf("readers: %s: when the state was saved, it was cut into records in another "+
				"way (delimiter, quote, header, comment, skipped lines, MaxRecordBytes): go on as then", f.path)
		}
		p, err := parseFilePosition(s.Offset, r.identity)
		if err != nil {
			return nil, nil, fmt.Errorf("readers: %s: %w", f.path, err)
		}
		from, resumed = max(from, p.offset), []string{r.split}
	}
	first, err := r.shared.take(from)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("readers: %s: %w", f.path, err)
	case !first:
		r.current.err = io.EOF
		return nil, nil, nil
	}
	r.at, r.say = from, r.setPosition
	return resumed, []record.Position{{Split: r.split, Offset: r.appendPosition(nil)}}, nil
}

// take has the Stream that calls it first read everything, from an offset on.
func (h *sharedStreams) take(from int64) (first bool, err error) {
	if h.taken {
		return false, nil
	}
	began := true
	h.start.Do(func() { began = false })
	if began {
		return false, errors.New("some of it has been read: all of its readers are given to the engine at its start")
	}
	h.start = sync.Once{}
	h.taken, h.from = true, from
	return true, nil
}

// passOver drops what begins before an offset in the source. It returns whether nothing is left.
func (f *filled) passOver(from int64) bool {
	if from == 0 {
		return false
	}
	f.pos = min(max(f.pos, int(min(from-f.base, int64(f.end)))), f.end)
	if f.cut != nil && f.cut.Offset < from {
		f.cut = nil
	}
	return f.empty()
}

// setPosition says in a batch where the Stream stands.
func (r *fileStream) setPosition(b *record.Batch) {
	r.position = r.appendPosition(r.position[:0])
	b.SetPosition(r.split, r.position)
}

// appendPosition appends where the Stream stands.
func (r *fileStream) appendPosition(to []byte) []byte {
	if w := r.parser.loaded(); len(w.buf) > 0 {
		r.at = max(r.at, w.base+int64(w.pos), r.passed)
	}
	p := filePosition{at: -1, offset: r.at, step: 1}
	return p.append(to, r.identity)
}
