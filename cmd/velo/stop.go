package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/velo-engine/velo/engine"
)

// errInterrupted says that the result is there, of what had been read when somebody did not want to wait any longer.
var errInterrupted = errors.New("interrupted")

// errTwice says that there was no time for a result.
var errTwice = errors.New("not finished")

// closeGrace is how long what has been closed may take to end: whoever writes to something that takes nothing cannot be stopped otherwise.
const closeGrace = time.Second

// stopper ends engines when the process is told to: the first interrupt or SIGTERM ends the reading, and what has been read is the result; the second ends everything.
type stopper struct {
	signals     chan os.Signal
	ended       chan struct{}
	gone        sync.WaitGroup
	interrupted atomic.Bool
	twice       atomic.Bool
}

// listen begins to listen, before anything is started that a signal would leave unfinished. Until then a signal ends the process as it always does: nothing has been written.
func listen() *stopper {
	s := &stopper{signals: make(chan os.Signal, 4), ended: make(chan struct{})}
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
	return s
}

// work is what a signal ends.
type work struct {
	engine *engine.Engine
	socket *socket // that it reads, to be drained before; or nil
}

// stops has the signals end some engines, also those that have come since listen.
func (s *stopper) stops(say io.Writer, works ...work) {
	s.gone.Go(func() {
		for {
			select {
			case <-s.ended:
				return
			case <-s.signals:
			}
			if s.interrupted.Swap(true) {
				s.twice.Store(true)
				note(say, "velo: ended at once: what was not finished is not there")
				time.AfterFunc(closeGrace, func() { os.Exit(statusFailed) })
				for _, w := range works {
					_ = w.engine.Close()
				}
				return
			}
			note(say, "velo: interrupted, this is what has been read so far; again to end at once")
			for _, w := range works {
				go func() {
					if w.socket != nil {
						w.socket.drain(s.ended)
					}
					_ = w.engine.Shutdown(context.Background()) // Wait says what went wrong
				}()
			}
		}
	})
}

// end stops listening and says whether there was something to hear.
func (s *stopper) end() (interrupted bool) {
	signal.Stop(s.signals)
	close(s.ended)
	s.gone.Wait()
	return s.interrupted.Load()
}

// cutShort says whether a reader of an engine that has ended had not come to the end of its input: a signal may come when all has been read.
func cutShort(eng *engine.Engine) bool {
	return slices.ContainsFunc(eng.Stats().Readers, func(r engine.ReaderStats) bool { return r.State == engine.Stopped })
}
