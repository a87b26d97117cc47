package testgen

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// A ScriptedPoller does what Step says at each Poll. Step gets the number of the call, from 0.
type ScriptedPoller struct {
	Step   func(call int, b *record.Batch) error
	calls  int
	Closed atomic.Int32 // Statistic: calls of Close.
}

// Poll calls Step.
func (s *ScriptedPoller) Poll(b *record.Batch) error {
	s.calls++
	return s.Step(s.calls-1, b)
}

// Read is Poll.
func (s *ScriptedPoller) Read(_ context.Context, b *record.Batch) error { return s.Poll(b) }

// Close counts its calls.
func (s *ScriptedPoller) Close() error { s.Closed.Add(1); return nil }

// A BlockedReader brings nothing until it is told to stop.
type BlockedReader struct{}

// Read waits for the context.
func (BlockedReader) Read(ctx context.Context, _ *record.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

// Close does nothing.
func (BlockedReader) Close() error { return nil }

// OnlyRead hides that a reader can be polled, so that an engine gives it a pump.
func OnlyRead(r record.Reader) record.Reader { return struct{ record.Reader }{r} }

// A BatchLender lends prepared batches: it gives out their columns without a copy. The last batch
// comes together with io.EOF.
type BatchLender struct {
	Batches []*record.Batch
	Closed  int // calls of Close
	next    int
}

// Poll lends the next batch.
func (l *BatchLender) Poll(b *record.Batch) error {
	if l.next == len(l.Batches) {
		return io.EOF
	}
	from := l.Batches[l.next]
	l.next++
	for i := range from.Schema().Len() {
		*b.Column(i) = *from.Column(i)
	}
	b.SetLen(min(from.Len(), b.Cap()))
	if l.next == len(l.Batches) {
		return io.EOF
	}
	return nil
}

// Read is Poll.
func (l *BatchLender) Read(_ context.Context, b *record.Batch) error { return l.Poll(b) }

// Close counts its calls.
func (l *BatchLender) Close() error { l.Closed++; return nil }

// TimedSchema is a time, a key and a value with some name.
func TimedSchema(value string) *record.Schema {
	s, err := record.NewSchema("timed", record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "key", Type: record.Int64}, record.Field{Name: value, Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return s
}
