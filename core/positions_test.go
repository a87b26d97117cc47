package core

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: noting where splits stand allocates nothing once each split has been seen.
func TestPositionsAllocateNothing(t *testing.T) {
	var said []record.Position
	for i := range 64 {
		said = append(said, record.Position{Split: fmt.Sprint("lane/", i), Offset: make([]byte, 8)})
	}
	p := newPositions(2, said)
	p.bySlot[1].keep(1, 0, p.splits)
	epoch := uint64(1)
	allocs := testing.AllocsPerRun(100, func() {
		epoch++
		binary.LittleEndian.PutUint64(said[epoch%64].Offset, epoch)
		p.take(said)
		p.bySlot[1].keep(epoch, 0, p.splits)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each batch and epoch", allocs)
	}
	if got := binary.LittleEndian.Uint64(p.bySlot[1].splits[epoch%64].Offset); got != epoch {
		t.Errorf("a split stands at %d, expected %d", got, epoch)
	}
}
