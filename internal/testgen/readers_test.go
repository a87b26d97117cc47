package testgen

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/velo-engine/velo/record"
)

func batchOf(values ...int64) *record.Batch {
	b := record.NewBatch(TimedSchema("v"), 8)
	for _, v := range values {
		b.Add(0)
		b.SetInt64(2, v)
	}
	return b
}

// Goal: a scripted poller does what it is told at each call, and counts how often it is closed.
func TestScriptedPoller(t *testing.T) {
	fault := errors.New("fault")
	s := &ScriptedPoller{Step: func(call int, b *record.Batch) error {
		if call == 2 {
			return fault
		}
		b.Add(0)
		return nil
	}}
	b := record.NewBatch(TimedSchema("v"), 8)
	if first, second, third := s.Poll(b), s.Read(t.Context(), b), s.Poll(b); first != nil || second != nil ||
		third != fault {
		t.Errorf("%v, %v, %v", first, second, third)
	}
	if b.Len() != 2 || s.Close() != nil || s.Closed.Load() != 1 {
		t.Errorf("%d rows, closed %d times", b.Len(), s.Closed.Load())
	}
}

// Goal: a lender gives out its batches in their order, the last with io.EOF, without a copy.
func TestBatchLender(t *testing.T) {
	one, two := batchOf(1, 2), batchOf(3)
	l := &BatchLender{Batches: []*record.Batch{one, two}}
	b := record.NewBatch(TimedSchema("v"), 8)
	if err := l.Poll(b); err != nil || b.Len() != 2 || &b.Column(2).Int64s[0] != &one.Column(2).Int64s[0] {
		t.Errorf("%v, %d rows", err, b.Len())
	}
	b.Reset()
	if err := l.Read(t.Context(), b); err != io.EOF || b.Len() != 1 || b.Column(2).Int64s[0] != 3 {
		t.Errorf("%v, %d rows", err, b.Len())
	}
	if err := l.Poll(b); err != io.EOF || l.Close() != nil || l.Closed != 1 {
		t.Errorf("%v, closed %d times", err, l.Closed)
	}
}

// Goal: a blocked reader ends with its context, and what OnlyRead returns is no Poller.
func TestBlockedReader(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := (BlockedReader{}).Read(ctx, nil); err != context.Canceled || (BlockedReader{}).Close() != nil {
		t.Error(err)
	}
	r := OnlyRead(&BatchLender{})
	if _, ok := r.(record.Poller); ok {
		t.Error("it can be polled")
	}
}
