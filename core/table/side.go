package table

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/internal/arena"
)

// side is the memory of the blocks that states have beside the rows: lines in a region that grows
// in place. A live table notes which lines of blocks change, as it does for the lines of rows, and
// its twins copy those. The blocks and the lists of free blocks are the same in all twins.
type side struct {
	blocks agg.Blocks
	lines  *arena.Region
	noted  *arena.Region // a bit for each line, in words; nil if the table has no twins
	fail   func(error)   // called when a block found no room

	tracks bool // the table is live and notes the lines that change
	all    bool // everything may have changed since the table was last equal to its twin

	// old and next are used while the table catches up: the number of lines that it had before, and
	// the line to go on with.
	old, next int
}

const (
	// maxBlocks bounds the lines of a table that has no budget, and paneBlocks bounds the lines of
	// a table that is one of many. Both bound the addresses that are reserved, not the memory.
	maxBlocks  = 64 << 30
	paneBlocks = 16 << 30
)

func newSide(t *Table, memory Memory, region func(share func(*Twins) *arena.Share, most int) *arena.Region) *side {
	s := &side{all: true, fail: func(err error) { t.shed, t.err = t.shed+1, err }}
	most := maxBlocks
	if memory.Groups != 0 {
		most = paneBlocks
	}
	if memory.Budget != nil {
		most = min(most, memory.Budget.Limit())
	}
	if memory.Bytes != 0 {
		most = min(most, memory.Bytes)
	}
	s.lines = region(func(w *Twins) *arena.Share { return w.blocks }, most)
	if memory.Twins != nil {
		s.noted = region(func(w *Twins) *arena.Share { return w.noted }, most/agg.LineBytes/8)
	}
	s.blocks = agg.NewBlocks(s.grow)
	s.blocks.SetNumber(memory.Number)
	return s
}

// SetNumber gives a table another number: see Memory.Number.
func (t *Table) SetNumber(number uint64) {
	if t.side != nil {
		t.side.blocks.SetNumber(number)
	}
}

// grow makes room for that many lines.
func (s *side) grow(lines uint32) bool {
	if err := s.lines.Grow(int(lines) * agg.LineBytes); err != nil {
		s.fail(fmt.Errorf("table: no room for %d KiB of texts and sketches beside the rows: %w",
			int(lines)*agg.LineBytes>>10, err))
		return false
	}
	s.setMemory()
	return true
}

// setMemory tells the blocks where they are and where to note what changes. If there is no memory
// for notes, nothing is noted, and twins copy everything.
func (s *side) setMemory() {
	var notes unsafe.Pointer
	s.tracks = s.tracks && s.noted.Grow(s.noteBytes(s.lines.Len()/agg.LineBytes)) == nil
	if s.tracks {
		notes = s.noted.Base()
	}
	s.blocks.SetMemory(s.lines.Base(), uint32(s.lines.Len()/agg.LineBytes), notes)
}

// noteBytes returns how many bytes note that many lines, in whole words.
func (s *side) noteBytes(lines int) int { return (lines + 63) >> 6 * 8 }

// notes returns the words that note that many lines, or fewer if fewer lines can be noted.
func (s *side) notes(lines int) []uint64 {
	if s.noted == nil {
		return nil
	}
	return unsafe.Slice((*uint64)(s.noted.Base()), min(s.noteBytes(lines), s.noted.Len())/8)
}

// roomFor makes room for that many more bytes of blocks and says whether there is room.
func (s *side) roomFor(bytes int) bool {
	if s.lines.Grow(s.blocks.Lines()*agg.LineBytes+bytes) != nil {
		return false
	}
	s.setMemory()
	return true
}

// ahead makes the pages after the used lines ready.
func (s *side) ahead() { s.lines.Ahead(s.blocks.Lines() * agg.LineBytes) }

func (s *side) bytes() int {
	n := s.lines.Bytes()
	if s.noted != nil {
		n += s.noted.Bytes()
	}
	return n
}

func (s *side) free() {
	s.lines.Free()
	if s.noted != nil {
		s.noted.Free()
	}
}

func (s *side) reset() {
	s.tracks, s.all = false, true
	s.blocks.Reset()
	s.setMemory()
}

// live, tell, freeze, follow and catchUp are the parts of Live, Tell, Freeze, Follow and CatchUp
// that deal with blocks.
func (s *side) live() {
	s.tracks = s.noted != nil && s.blocks.Lines()*agg.LineBytes > wholeBytes
	s.setMemory()
}

func (s *side) tell(twin *side) {
	notes := s.touched()
	if !s.tracks || twin.all || twin.noted.Grow(8*len(notes)) != nil {
		twin.all = true
		return
	}
	of := twin.notes(64 * len(notes))
	for i, w := range notes {
		of[i] |= w
	}
}

func (s *side) freeze() {
	clear(s.touched())
	s.tracks = false
	s.setMemory()
}

// touched returns the notes, or none if nothing is noted.
func (s *side) touched() []uint64 {
	if !s.tracks {
		return nil
	}
	return s.notes(s.blocks.Lines())
}

func (s *side) follow(from *side) error {
	if err := s.lines.Grow(from.blocks.Lines() * agg.LineBytes); err != nil {
		return fmt.Errorf("table: a twin of %d KiB of texts and sketches: %w", from.blocks.Lines()*agg.LineBytes>>10,
			err)
	}
	s.setMemory()
	s.old, s.next = s.blocks.Lines(), 0
	if s.all {
		s.old = 0
	}
	return nil
}

func (s *side) catchUp(from *side, most int) (copied int, done bool) {
	end := from.blocks.Lines()
	if end == 1 {
		s.next = end // there are no blocks, and perhaps no memory
	}
	notes := s.notes(s.old)
	for s.next < end && copied < most {
		if s.next >= s.old {
			n := min(end-s.next, (most-copied+agg.LineBytes-1)/agg.LineBytes)
			s.copyLines(from, s.next, n)
			copied += n * agg.LineBytes
			s.next += n
			continue
		}
		if word := s.next / 64; word < len(notes) {
			for w := notes[word]; w != 0; w &= w - 1 {
				if line := s.next + bits.TrailingZeros64(w); line < s.old {
					s.copyLines(from, line, 1)
					copied += agg.LineBytes
				}
			}
		}
		s.next = min(s.next+64, s.old)
	}
	if s.next < end {
		return copied, false
	}
	clear(s.notes(end))
	s.blocks.Follow(&from.blocks)
	s.all = false
	return copied, true
}

// copyLines copies some lines. It is in bounds: follow has made room for as many lines as from has
// used.
func (s *side) copyLines(from *side, first, n int) {
	at, size := first*agg.LineBytes, n*agg.LineBytes
	copy(unsafe.Slice((*byte)(unsafe.Add(s.lines.Base(), at)), size),
		unsafe.Slice((*byte)(unsafe.Add(from.lines.Base(), at)), size))
}
