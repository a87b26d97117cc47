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

// A rejectQueue takes rejected and late records from the runners' threads to the goroutine that
// calls OnReject and OnLate. Each source has one ring for rejected records and one for late ones.
type rejectQueue struct {
	engine   *Engine
	some     chan struct{} // says that something has been put into a ring
	closed   chan struct{} // closed when nothing more will be put
	ended    chan *source  // readers that have ended and are to be closed after their rejects
	finished chan struct{} // closed when the last callback has returned

	// broken says that a callback has panicked, so that neither callback is called any more. Only
	// the goroutine that calls them uses it.
	broken bool

	// calls counts the callbacks, so that one that does not return can be told from many that do.
	calls atomic.Uint64
}

func newRejectQueue(e *Engine) *rejectQueue {
	return &rejectQueue{
		engine: e, some: make(chan struct{}, 1), closed: make(chan struct{}), finished: make(chan struct{}),
		ended: make(chan *source, MaxReaders),
	}
}

// reject puts a record into the queue. Only the runner of the source calls it. It returns false if
// there is no room now.
func (s *source) reject(r record.Reject) bool {
	q := s.engine.rejects
	if q == nil || s.rejectIn == nil {
		return true // the configuration has no OnReject
	}
	if s.rejectIn.PushN([]record.Reject{r}) == 0 {
		return false
	}
	q.put()
	return true
}

// A lateSource is a source whose late records go to the OnLate of a plan.
type lateSource struct {
	sourceAgent
	branch *branch
}

// A lateBatch is late records on their way to the OnLate of a plan.
type lateBatch struct {
	branch *branch
	batch  *record.Batch
}

// Late copies late records and puts them into the queue. Only the runner of the source calls it. It
// returns false if there is no room now.
func (l lateSource) Late(b *record.Batch, rows []int32) bool {
	s := l.base()
	if s.lateIn.Full() {
		return false
	}
	s.lateIn.PushN([]lateBatch{{l.branch, b.CopyRows(rows)}})
	s.engine.rejects.put()
	return true
}

// put says that something has been put into a ring.
func (q *rejectQueue) put() {
	select {
	case q.some <- struct{}{}:
	default: // the goroutine has not seen the last one yet
	}
}

// run calls the callbacks until the queue is closed and empty. It goes on in another goroutine if a
// callback has ended this one.
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

// deliverAll calls the callbacks until the queue is closed and empty.
func (q *rejectQueue) deliverAll() {
	for {
		select {
		case <-q.some:
			q.drain()
		case s := <-q.ended:
			q.drain() // all rejects of the reader were put before it was sent to ended
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
				s.bell.Wake() // the source may be waiting for room
			}
			var late [1]lateBatch
			for s.lateOut != nil && s.lateOut.PopN(late[:]) > 0 {
				found = true
				q.contain("OnLate", func() { late[0].branch.cfg.OnLate(s.id, late[0].batch) })
				s.bell.Wake()
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
