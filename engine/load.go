package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/state"
)

// loadGroups has the partitions load all groups of a plan of a generation.
func loadGroups(folder *state.Folder, m *state.Manifest, saved *state.Plan, partitions []*core.Partition) error {
	r := folder.Read(m)
	defer r.Close()
	rows := map[uint64]int{}
	for _, x := range saved.Panes {
		rows[x.Pane] += int(x.Rows.Bytes) / saved.RowBytes
	}
	expected := map[uint64]bool{}
	l := &loader{reading: r, rowBytes: saved.RowBytes, partitions: partitions}
	for i := range saved.Panes {
		x := &saved.Panes[i]
		first := !expected[x.Pane]
		if first {
			expected[x.Pane] = true
			for _, p := range partitions {
				p.Expect(window.Pane(x.Pane), rows[x.Pane])
			}
		}
		if err := l.pane(x, first || saved.Disjoint); err != nil {
			return fmt.Errorf("generation %d: %w", m.Generation, err)
		}
	}
	return nil
}

// A loader reads panes and gives them to the partitions.
type loader struct {
	reading    *state.Reading
	rowBytes   int
	partitions []*core.Partition
	// now has the rows that are being loaded, and next the ones that are being read meanwhile. A
	// piece is read to byte rowBytes, so that the beginning of a row fits before it that is in the
	// piece before.
	now, next []byte
}

// pane has each partition load its groups of a pane. All partitions look at all rows: to hash a key
// takes a few nanoseconds. Meanwhile the next rows are read.
func (l *loader) pane(x *state.Pane, isNew bool) error {
	from := &core.SavedPane{Pane: window.Pane(x.Pane), New: isNew}
	var err error
	from.Heap, err = l.reading.All(&x.Heap)
	if err != nil {
		return err
	}
	from.Blocks, err = l.reading.AllWords(&x.Blocks)
	if err != nil {
		return err
	}
	most := l.rowBytes + int(min(x.Rows.Bytes, state.PieceBytes))
	if len(l.now) < most {
		l.now, l.next = make([]byte, most), make([]byte, most)
	}
	piece, err := l.reading.Piece(&x.Rows, 0, l.now[l.rowBytes:])
	if err != nil {
		return err
	}
	rest := 0 // bytes of a row whose end is in the next piece
	errs := make([]error, len(l.partitions)+1)
	for i := 1; len(piece) > 0; i++ {
		rows := l.now[l.rowBytes-rest : l.rowBytes+len(piece)]
		whole := len(rows) / l.rowBytes * l.rowBytes
		var loading sync.WaitGroup
		loading.Go(func() { piece, errs[len(l.partitions)] = l.reading.Piece(&x.Rows, i, l.next[l.rowBytes:]) })
		for p, partition := range l.partitions {
			loading.Go(func() { errs[p] = partition.Load(from, rows[:whole]) })
		}
		loading.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		rest = len(rows) - whole
		copy(l.next[l.rowBytes-rest:], rows[whole:])
		l.now, l.next = l.next, l.now
	}
	return nil
}
