package readers

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/velo-engine/velo/record"
)

// fileIdentityBytes is the length of lineFile.identity.
const fileIdentityBytes = 5 * 8

// Describe says in words what a position means, for people who look at a state. A position of a
// reader that this package does not have is shown as it is, in hexadecimal digits.
func Describe(p record.Position) string {
	number := func(at int) uint64 { return binary.LittleEndian.Uint64(p.Offset[at:]) }
	switch {
	case strings.HasPrefix(p.Split, "file ") && len(p.Offset) > fileIdentityBytes:
		identity := p.Offset[1 : 1+fileIdentityBytes]
		at, err := parseFilePosition(p.Offset, identity)
		if err == nil {
			return at.describe(int64(number(1)), int64(number(9)), int64(number(17)))
		}
	case strings.HasPrefix(p.Split, "generator ") && len(p.Offset) == generatorPosition:
		if left := number(0); left != math.MaxUint64 {
			return fmt.Sprintf("%d records left", left)
		}
		return "no end"
	case len(p.Offset) == 8:
		return fmt.Sprintf("next is number %d", number(0))
	}
	return fmt.Sprintf("%x", p.Offset)
}

// describe is a position in a file of some bytes, whose records begin at start and which is read in
// blocks.
func (p *filePosition) describe(size, start, block int64) string {
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	blocks := int64(0)
	if block > 0 {
		blocks = (size - start + block - 1) / block
	}
	if p.offset >= 0 {
		say("at byte %d of %d", p.offset, size)
	} else if p.at >= 0 {
		say("before block %d", p.at)
	}
	if n := len(p.gaps); n > 0 {
		say("%d of the blocks before block %d", n, p.next)
	}
	switch {
	case p.next >= blocks && len(parts) == 0:
		return fmt.Sprintf("read to its end, %d bytes", size)
	case p.next >= blocks:
	case p.step == 1:
		say("then from block %d of %d on", p.next, blocks)
	default:
		say("then from block %d of %d on, one of %d", p.next, blocks, p.step)
	}
	return strings.Join(parts, ", ")
}
