package readers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/velo-engine/velo/record"
)

// Memory is a reader that lends prepared batches, in order, without copying. The batches must not
// change while it is in use. Several readers may share them.
type Memory struct {
	batches []*record.Batch
	next    int
	passes  int // passes that are left; less than 0 is without end
}

// NewMemory makes a reader of batches that all have this schema. It goes through them passes times;
// 0 is without end.
func NewMemory(schema *record.Schema, batches []*record.Batch, passes int) (*Memory, error) {
	if len(batches) == 0 && passes == 0 {
		return nil, errors.New("readers: memory: no batches, without end")
	}
	if passes < 0 {
		return nil, fmt.Errorf("readers: memory: %d passes, expected 1 or more, or 0 for no end", passes)
	}
	for i, b := range batches {
		if b.Schema() != schema {
			return nil, fmt.Errorf("readers: memory: batch %d has schema %v, expected %v", i, b.Schema(), schema)
		}
	}
	if passes == 0 {
		passes = -1
	}
	return &Memory{batches: batches, passes: passes}, nil
}

// Poll lends the next batch.
func (m *Memory) Poll(b *record.Batch) error {
	if m.next == len(m.batches) {
		m.next = 0
		if m.passes > 0 {
			m.passes--
		}
	}
	if m.passes == 0 || len(m.batches) == 0 {
		return io.EOF
	}
	from := m.batches[m.next]
	if from.Len() > b.Cap() {
		return fmt.Errorf("readers: memory: batch %d has %d rows, the engine takes %d at once", m.next, from.Len(),
			b.Cap())
	}
	m.next++
	for i := range b.Schema().Len() {
		*b.Column(i) = *from.Column(i)
	}
	b.SetLen(from.Len())
	return nil
}

// Read is Poll.
func (m *Memory) Read(_ context.Context, b *record.Batch) error { return m.Poll(b) }

// Close does nothing.
func (m *Memory) Close() error { return nil }

// String names the reader.
func (m *Memory) String() string { return "memory" }
