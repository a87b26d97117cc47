package engine

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// rejectSlots is how many rejected records of one reader may wait for OnReject.
const rejectSlots = 256

// rejectQueue takes rejected records from the runners' threads to the goroutine that calls OnReject: one ring for each reader.
type rejectQueue struct {
	engine   *Engine
	in       []*ring.Producer[record.Reject]
	out      []*ring.Consumer[record.Reject]
	some     chan struct{} // something has been put
	closed   chan struct{} // nothing more will be
	ended    chan *source  // readers that have ended: to be closed behind their rejects
	finished chan struct{} // OnReject has returned for the last time
	broken   atomic.Bool   // OnReject has panicked: it is not called any more
}

func newRejectQueue(e *Engine, readers int) *rejectQueue {
	q := &rejectQueue{engine: e, some: make(chan struct{}, 1), closed: make(chan struct{}), finished: make(chan struct{}), ended: make(chan *source, readers)}
	for range readers {
		in, out := ring.New[record.Reject](rejectSlots)
		q.in, q.out = append(q.in, in), append(q.out, out)
	}
	return q
}

// put is called by the runner of the reader only. False says that there is no room now.
func (q *rejectQueue) put(reader int, r record.Reject) bool {
	if q.in[reader].PushN([]record.Reject{r}) == 0 {
		return false
	}
	select {
	case q.some <- struct{}{}:
	default: // it has not yet seen the last one
	}
	return true
}

// run calls OnReject until the queue is closed and empty.
func (q *rejectQueue) run() {
	defer close(q.finished)
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
		for reader, out := range q.out {
			var r [1]record.Reject
			for out.PopN(r[:]) > 0 {
				found = true
				q.deliver(reader, r[0])
				q.engine.sources[reader].base().bell.Ring() // it may wait for room
			}
		}
	}
}

func (q *rejectQueue) deliver(reader int, r record.Reject) {
	if q.broken.Load() {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			q.broken.Store(true)
			q.engine.report(fmt.Errorf("engine: panic in OnReject, it is not called any more: %v\n%s", v, debug.Stack()))
		}
	}()
	if l, ok := q.engine.cfg.Readers[reader].(record.Liner); ok && r.Line == 0 && r.Offset >= 0 {
		if line, err := l.Line(r.Offset); err == nil {
			r.Line = line
		}
	}
	q.engine.cfg.OnReject(reader, r)
}
