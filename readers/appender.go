package readers

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/internal/fence"
)

// An Appender lets any number of goroutines push into a feed. It has a few lanes. A Send takes a
// lane that nobody is using and gives it back. The order of the records of one goroutine is not
// kept.
type Appender[T any] struct {
	feed  *Feed[T]
	lanes []appenderLane[T]
}

type appenderLane[T any] struct {
	*Lane[T]
	// taken is set to 1 by a CAS of the goroutine that takes the lane, and cleared by the same
	// goroutine with a release store. So the next goroutine sees what the previous one did to the
	// lane. Nothing is read after the store that depends on it, so it need not be a fence.
	taken atomic.Uint64
	// Other goroutines look at taken all the time, so it has cache lines of its own.
	_ [linePad - 16]byte
}

const (
	// appenderTurns is how often a Send goes round the lanes before it sleeps.
	appenderTurns = 8

	// appenderSleep is how long a Send sleeps: the lanes are full, or there are far more goroutines
	// than lanes.
	appenderSleep = 100 * time.Microsecond
)

// Appender makes an appender with a lane for each processor of the Go runtime. The error is
// ErrNoLane or ErrFeedEnded.
func (f *Feed[T]) Appender() (*Appender[T], error) {
	a := &Appender[T]{feed: f, lanes: make([]appenderLane[T], runtime.GOMAXPROCS(0))}
	for i := range a.lanes {
		l, err := f.Lane()
		if err != nil {
			for j := range i {
				a.lanes[j].Lane.Close()
			}
			return nil, err
		}
		a.lanes[i].Lane = l
	}
	return a, nil
}

// take takes a lane. It returns nil if all are taken.
func (a *Appender[T]) take() *appenderLane[T] {
	// Goroutines have different stacks, so they begin at different lanes, and each goroutine tends
	// to begin at the same lane again.
	var here byte
	first := uintptr(unsafe.Pointer(&here)) >> 11 * 0x9e3779b1 >> 16
	n := uintptr(len(a.lanes))
	for i := range n {
		if l := &a.lanes[(first+i)%n]; l.taken.Load() == 0 && l.taken.CompareAndSwap(0, 1) {
			return l
		}
	}
	return nil
}

// Send is Lane.Send, and may be called by any goroutine.
func (a *Appender[T]) Send(ctx context.Context, v T) error {
	l := a.take()
	if l == nil {
		var err error
		l, err = a.await(ctx)
		if err != nil {
			return err
		}
	}
	err := l.Lane.Send(ctx, v)
	fence.Release(&l.taken, 0)
	return err
}

// await takes a lane as soon as one is free.
func (a *Appender[T]) await(ctx context.Context) (*appenderLane[T], error) {
	for {
		for range appenderTurns {
			runtime.Gosched()
			if l := a.take(); l != nil {
				return l, nil
			}
		}
		t := time.NewTimer(appenderSleep)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		case <-a.feed.shut:
			t.Stop()
			return nil, a.feed.over()
		}
	}
}

// Close leaves the feed. No Send may be under way.
func (a *Appender[T]) Close() {
	for i := range a.lanes {
		a.lanes[i].Lane.Close()
	}
}
