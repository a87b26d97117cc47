package engine

import (
	"fmt"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

const (
	// rejectSlots is how many rejected records of one reader may wait for OnReject.
	rejectSlots = 256

	// lateSlots is how many batches of late records of one reader may wait for OnLate.
	lateSlots = 16
)

// rejectQueue takes rejected and late records from the runners' threads to the goroutine that calls OnReject and OnLate: each source has a ring for either.
type rejectQueue struct {
	engine   *Engine
	some     chan struct{} // something has been put
	closed   chan struct{} // nothing more will be
	ended    chan *source  // readers that have ended: to be closed behind their rejects
	finished chan struct{} // OnReject has returned for the last time
	broken   bool          // a callback has panicked: neither is called any more; of the goroutine that calls them
	calls    atomic.Uint64 // of callbacks, so that one that does not return is told from many
}

func newRejectQueue(e *Engine) *rejectQueue {
	return &rejectQueue{
		engine: e, some: make(chan struct{}, 1), closed: make(chan struct{}), finished: make(chan struct{}), ended: make(chan *source, MaxReaders),
	}
}

// reject puts a record into the queue. It is called by the runner of the source only. False says that there is no room now.
func (s *source) reject(r record.Reject) bool {
	q := s.engine.rejects
	if q == nil || s.rejectIn == nil {
		return true // nobody wants it
	}
	if s.rejectIn.PushN([]record.Reject{r}) == 0 {
		return false
	}
	q.put()
	return true
}

// A lateSource is a source whose late records somebody wants.
type lateSource struct{ sourceAgent }

// Late copies late records and puts them into the queue. It is called by the runner of the source only. False says that there is no room now.
func (l lateSource) Late(b *record.Batch, rows []int32) bool {
	s := l.base()
	if s.lateIn.Full() {
		return false
	}
	s.lateIn.PushN([]*record.Batch{b.CopyRows(rows)})
	s.engine.rejects.put()
	return true
}

// put says that something has been put.
func (q *rejectQueue) put() {
	select {
	case q.some <- struct{}{}:
	default: // it has not yet seen the last one
	}
}

// run calls OnReject until the queue is closed and empty, on another goroutine if a callback has ended this one.
func (q *rejectQueue) run() {
	returned := false
	defer func() {
		if returned {
			close(q.finished)
		} else {
			go q.run()
		}
	}()
	q.engine.as(callerReject, q.deliverAll)
	returned = true
}

// deliverAll calls OnReject until the queue is closed and empty.
func (q *rejectQueue) deliverAll() {
	for {
		select {
		case <-q.some:
			q.drain()
		case s := <-q.ended:
			q.drain() // all of them were put before this was said
			go s.close()
		case <-q.closed:
			q.drain()
			for len(q.ended) > 0 {
				go (<-q.ended).close()
			}
			return
		}
	}
}

func (q *rejectQueue) drain() {
	for found := true; found; {
		found = false
		for _, in := range q.engine.inlets.all() {
			s := in.source.base()
			var r [1]record.Reject
			for s.rejectOut != nil && s.rejectOut.PopN(r[:]) > 0 {
				found = true
				q.contain("OnReject", func() { q.deliver(s, r[0]) })
				s.bell.Ring() // it may wait for room
			}
			var b [1]*record.Batch
			for s.lateOut != nil && s.lateOut.PopN(b[:]) > 0 {
				found = true
				q.contain("OnLate", func() { q.engine.cfg.OnLate(s.id, b[0]) })
				s.bell.Ring()
			}
		}
	}
}

// contain calls a callback, unless one has panicked before.
func (q *rejectQueue) contain(name string, call func()) {
	if q.broken {
		return
	}
	q.calls.Add(1)
	broken := func(err error) {
		q.broken = true
		q.engine.report(fmt.Errorf("engine: %w\n%s is not called any more", err, name))
	}
	if err := contain(name, func() error { call(); return nil }, broken); err != nil {
		broken(err)
	}
}

func (q *rejectQueue) deliver(s *source, r record.Reject) {
	if l, ok := s.reader.(record.Liner); ok && r.Line == 0 && r.Offset >= 0 {
		if line, err := l.Line(r.Offset); err == nil {
			r.Line = line
		}
	}
	q.engine.cfg.OnReject(s.id, r)
}
