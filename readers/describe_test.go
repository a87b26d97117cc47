package readers

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: positions are said in words, and one of an unknown or damaged form is shown as it is.
func TestDescribe(t *testing.T) {
	var identity []byte
	for _, v := range []uint64{1000, 10, 100, 1, 2} {
		identity = binary.LittleEndian.AppendUint64(identity, v)
	}
	file := func(p filePosition) []byte { return p.append(nil, identity) }
	lane := binary.LittleEndian.AppendUint64(nil, 42)
	for _, c := range []struct {
		split  string
		offset []byte
		want   string
	}{
		{"file a", file(filePosition{at: -1, offset: -1, next: 10, step: 1}), "read to its end, 1000 bytes"},
		{"file a", file(filePosition{at: 3, offset: 345, next: 5, step: 2}), "at byte 345 of 1000, then from block 5 of 10 on, one of 2"},
		{"file a", file(filePosition{at: -1, offset: -1, next: 0, step: 1}), "then from block 0 of 10 on"},
		{"file a", file(filePosition{at: -1, offset: -1, gaps: []gap{{2, -1}}, next: 10, step: 1}), "1 of the blocks before block 10"},
		{"file a", []byte{9, 9}, "0909"},
		{"orders/3", lane, "next is number 42"},
		{"generator x", append(append(lane, lane...), lane...), "42 records left"},
		{"kafka", []byte{1, 0xab}, "01ab"},
	} {
		if got := Describe(record.Position{Split: c.split, Offset: c.offset}); got != c.want {
			t.Errorf("%s %x: %q, expected %q", c.split, c.offset, got, c.want)
		}
	}
	// A damaged position of a file is not guessed at.
	damaged := append([]byte{filePositionVersion + 1}, identity...)
	if got := Describe(record.Position{Split: "file a", Offset: append(damaged, 1)}); !strings.HasPrefix(got, "02") {
		t.Errorf("%q", got)
	}
}
