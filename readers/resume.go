package readers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/record"
)

// # Where the readers of a file stand
//
// A file is one split, whatever the number of its readers. Each reader says which blocks it has
// still to read, and how far it has got in the block at hand. After a restart there may be another
// number of readers. So each of them takes all that was said, finds the blocks that are left, and
// takes its part of them: the blocks that lie between others, one by one, and of the rest of the
// file each step-th block as always.
//
// A block may begin within quotes. The state before one block is part of what is said, so that a
// file with quotes need not be looked through from its beginning again.

// filePosition is what a reader of a file says.
type filePosition struct {
	// at is the block at hand, or -1 if none is, and offset is where its next record begins, in the
	// file.
	at, offset int64
	// gaps are blocks to be read before next.
	gaps []gap
	// After the gaps come next, next+step and so on, to the end of the file.
	next, step int64
	// quoteBlock is a block, and quoteState the state before it.
	quoteBlock int64
	quoteState quoteState
}

// A gap is a block that is to be read out of turn. If some of its records have been read already,
// offset is where the next one begins; otherwise it is -1.
type gap struct{ block, offset int64 }

const filePositionVersion = 1

// maxGaps bounds the gaps in a position. There are more only if one of several readers of a file
// stood still while the others read gigabytes.
const maxGaps = 1 << 20

// append appends the position as bytes. identity comes first: see lineFile.identity.
func (p *filePosition) append(to, identity []byte) []byte {
	to = append(to, filePositionVersion)
	to = append(to, identity...)
	for _, v := range []int64{p.at, p.offset, p.next, p.step, p.quoteBlock, int64(p.quoteState), int64(len(p.gaps))} {
		to = binary.AppendVarint(to, v)
	}
	last := int64(0)
	for _, g := range p.gaps {
		to = binary.AppendVarint(to, g.block-last)
		to = binary.AppendVarint(to, g.offset)
		last = g.block
	}
	return to
}

// parseFilePosition is the inverse of append. identity is how it must begin.
func parseFilePosition(from, identity []byte) (p filePosition, err error) {
	broken := errors.New("the saved position is damaged, or of another version of velo")
	if len(from) < 1+len(identity) || from[0] != filePositionVersion {
		return p, broken
	}
	from = from[1+len(identity):]
	value := func() int64 {
		v, n := binary.Varint(from)
		if n <= 0 {
			err = broken
			return 0
		}
		from = from[n:]
		return v
	}
	p.at, p.offset, p.next, p.step = value(), value(), value(), value()
	state, gaps := int64(0), int64(0)
	p.quoteBlock, state, gaps = value(), value(), value()
	if err != nil || p.next < 0 || p.step < 1 || state < 0 || state >= int64(quoteStates) || gaps < 0 ||
		gaps > maxGaps {
		return p, broken
	}
	p.quoteState = quoteState(state)
	last := int64(0)
	for range gaps {
		g := gap{last + value(), value()}
		p.gaps, last = append(p.gaps, g), g.block
	}
	return p, err
}

// identityBytes is how much of the beginning and of the end of a file is looked at.
const identityBytes = 4096

// identity tells the file from another one that has its name now: its size, how it is dealt, and
// digests of its beginning and its end.
func (f *lineFile) identity() ([]byte, error) {
	head := make([]byte, min(f.size, identityBytes))
	if err := f.readAt(head, 0); err != nil {
		return nil, err
	}
	tail := make([]byte, len(head))
	if err := f.readAt(tail, f.size-int64(len(tail))); err != nil {
		return nil, err
	}
	var id []byte
	for _, v := range []uint64{
		uint64(f.size), uint64(f.start), uint64(f.blockBytes), metro.Hash64(head, 0), metro.Hash64(tail, 0),
	} {
		id = binary.LittleEndian.AppendUint64(id, v)
	}
	return id, nil
}

// otherFile says how a file is another one than the one that a position is of.
func (f *lineFile) otherFile(saved, identity []byte) error {
	if len(saved) < 1+len(identity) || saved[0] != filePositionVersion {
		return fmt.Errorf("%s: the saved position is damaged, or of another version of velo", f.path)
	}
	was := binary.LittleEndian.Uint64(saved[1:])
	block := binary.LittleEndian.Uint64(saved[17:])
	switch {
	case was != uint64(f.size):
		return fmt.Errorf("%s: it had %d bytes when the state was saved, and has %d now: a file that grows is "+
			"followed, another file needs a state of its own", f.path, was, f.size)
	case block != uint64(f.blockBytes):
		return fmt.Errorf("%s: it was read in blocks of %d bytes when the state was saved, and is in %d now", f.path,
			block, f.blockBytes)
	}
	return fmt.Errorf("%s: it is another file than when the state was saved", f.path)
}

// blocks is the number of blocks of the file.
func (f *lineFile) blocks() int64 { return (f.size - f.start + f.blockBytes - 1) / f.blockBytes }

// left finds the blocks that nobody had read: the gaps, in order, and the block from which on all
// are left.
func (f *lineFile) left(saved []filePosition) (gaps []gap, rest int64) {
	blocks := f.blocks()
	begun := map[int64]int64{}
	is := make([]bool, blocks)
	note := func(block, offset int64) {
		if block < 0 || block >= blocks {
			return
		}
		is[block] = true
		if offset >= 0 {
			begun[block] = offset
		}
	}
	for _, p := range saved {
		note(p.at, p.offset)
		for _, g := range p.gaps {
			note(g.block, g.offset)
		}
		for b := p.next; b < blocks; b += p.step {
			note(b, -1)
		}
	}
	rest = blocks
	for rest > 0 && is[rest-1] {
		if _, ok := begun[rest-1]; ok {
			break
		}
		rest--
	}
	for b := range rest {
		if is[b] {
			offset, ok := begun[b]
			if !ok {
				offset = -1
			}
			gaps = append(gaps, gap{b, offset})
		}
	}
	return gaps, rest
}

// ResumeFrom goes on where the readers of the file stood: see record.Resumer.
func (r *blockReader) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	f := r.file
	r.identity, err = f.identity()
	if err != nil {
		return nil, nil, fmt.Errorf("readers: %w", err)
	}
	r.split = "file " + f.path
	var positions []filePosition
	for _, s := range saved {
		if s.Split != r.split {
			continue
		}
		if !bytesBeginWith(s.Offset, r.identity) {
			return nil, nil, fmt.Errorf("readers: %w", f.otherFile(s.Offset, r.identity))
		}
		p, err := parseFilePosition(s.Offset, r.identity)
		if err != nil {
			return nil, nil, fmt.Errorf("readers: %s: %w", f.path, err)
		}
		positions = append(positions, p)
	}
	if positions != nil {
		resumed = []string{r.split}
		r.takeUp(positions)
	}
	r.at = -1
	return resumed, []record.Position{{Split: r.split, Offset: r.appendPosition(nil)}}, nil
}

// bytesBeginWith says whether a position, after its version, begins with identity.
func bytesBeginWith(position, identity []byte) bool {
	return len(position) > len(identity) && position[0] == filePositionVersion &&
		slices.Equal(position[1:1+len(identity)], identity)
}

// takeUp takes the part of this reader of what is left.
func (r *blockReader) takeUp(saved []filePosition) {
	number := r.block
	gaps, rest := r.file.left(saved)
	for i, g := range gaps {
		if int64(i)%r.step == number {
			r.gaps = append(r.gaps, g)
		}
	}
	r.block = rest + number
	r.measure()
	if r.quoteStart == nil {
		return
	}
	first := r.block
	if len(r.gaps) > 0 {
		first = r.gaps[0].block
	}
	block, state := int64(0), fieldStart
	for _, p := range saved {
		if p.quoteBlock <= first && p.quoteBlock > block {
			block, state = p.quoteBlock, p.quoteState
		}
	}
	*r.quoteStart = quoteCursor{block: block, state: state}
}

// appendPosition appends where the reader stands.
func (r *blockReader) appendPosition(to []byte) []byte {
	p := filePosition{at: r.at, offset: -1, gaps: r.gaps, next: r.block, step: r.step}
	w := r.parser.loaded()
	switch {
	case r.at < 0:
	case w.pos == w.end && !w.oversized:
		p.at = -1 // it has been read
	default:
		p.offset = w.base + int64(w.pos)
	}
	if c := r.quoteStart; c != nil {
		p.quoteBlock, p.quoteState = c.block, c.state
	}
	return p.append(to, r.identity)
}

// setPosition says in a batch where the reader stands.
func (r *blockReader) setPosition(b *record.Batch) {
	r.position = r.appendPosition(r.position[:0])
	b.SetPosition(r.split, r.position)
}

// nextBlock takes the next block. begun is where its first record begins that has not been read, or
// -1 if none has been read. The error is io.EOF after the last.
func (r *blockReader) nextBlock() (block, begun int64, err error) {
	if len(r.gaps) > 0 {
		g := r.gaps[0]
		r.gaps = r.gaps[1:]
		return g.block, g.offset, nil
	}
	if r.block >= r.file.blocks() {
		return 0, 0, io.EOF
	}
	block = r.block
	r.block += r.step
	return block, -1, nil
}
