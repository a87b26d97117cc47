package main

import (
	"bytes"
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

const (
	// closeGrace is how long what has been closed may take to end: whoever writes to something that takes nothing cannot be stopped otherwise.
	closeGrace = time.Second

	// sameSignal is how soon a signal is the same as the one before: timeout(1) and others signal a process, and then the group
	// that it belongs to.
	sameSignal = 300 * time.Millisecond
)

// stopper ends engines when the process is told to: the first interrupt or SIGTERM ends the reading, and what has been read is the result; the second ends everything.
type stopper struct {
	say     io.Writer
	once    sync.Once // listen
	last    sync.Once // end
	signals chan os.Signal
	works   chan []work
	ended   chan struct{}
	gone    sync.WaitGroup

	mu     sync.Mutex
	opened bool          // what is read is open, and a signal ends engines
	early  chan struct{} // closed by a signal that came before that

	interrupted atomic.Bool
	twice       atomic.Bool
}

func newStopper(say io.Writer) *stopper {
	return &stopper{
		say: say, signals: make(chan os.Signal, 4), works: make(chan []work, 1), ended: make(chan struct{}), early: make(chan struct{}),
	}
}

// listen begins to listen, before anything is started that a signal would leave unfinished. Until then a signal ends the process as it always does: nothing has been written.
func (s *stopper) listen() {
	s.once.Do(func() {
		signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
		s.gone.Go(s.hear)
	})
}

// start is listen when everything is open. It says whether a signal has come already.
func (s *stopper) start() (interrupted bool) {
	s.listen()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	return s.cutEarly()
}

// cutEarly says whether a signal has ended standard input.
func (s *stopper) cutEarly() bool {
	select {
	case <-s.early:
		return true
	default:
		return false
	}
}

// work is what a signal ends.
type work struct {
	engine *engine.Engine
	socket *socket // that it reads, to be drained before; or nil
}

// stops has the signals end some engines, also the signals that have come since listen.
func (s *stopper) stops(works ...work) { s.works <- works }

// hear acts on signals until end.
func (s *stopper) hear() {
	var works []work
	var first time.Time
	for {
		select {
		case <-s.ended:
			return
		case works = <-s.works:
			if s.interrupted.Load() && !s.cutEarly() { // else they end with what standard input had
				s.shutDown(works)
			}
			continue
		case <-s.signals:
		}
		switch {
		case !s.interrupted.Swap(true):
			first = time.Now()
			note(s.say, "velo: interrupted, this is what has been read so far; again to end at once")
			s.mu.Lock()
			if !s.opened {
				close(s.early)
			}
			s.mu.Unlock()
			s.shutDown(works)
		case time.Since(first) < sameSignal:
		default:
			s.twice.Store(true)
			note(s.say, "velo: ended at once: what was not finished is not there")
			time.AfterFunc(closeGrace, func() { os.Exit(statusFailed) })
			for _, w := range works {
				_ = w.engine.Close()
			}
			return
		}
	}
}

func (s *stopper) shutDown(works []work) {
	for _, w := range works {
		go func() {
			if w.socket != nil {
				w.socket.drain(s.ended)
			}
			_ = w.engine.Shutdown(context.Background()) // Wait says what went wrong
		}()
	}
}

// heard says whether a signal has come.
func (s *stopper) heard() bool { return s.interrupted.Load() }

// end stops listening and says whether there was something to hear. It may be called again.
func (s *stopper) end() (interrupted bool) {
	s.once.Do(func() {}) // nothing is begun any more
	s.last.Do(func() {
		signal.Stop(s.signals)
		close(s.ended)
		s.gone.Wait()
	})
	return s.interrupted.Load()
}

// stdin is standard input that a signal ends as long as things are being opened: then the process waits for its first lines, and for
// nothing else that could be ended. Later a signal ends the engines, and their readers are not asked any more.
func (s *stopper) stdin(in io.Reader) io.Reader {
	if isFile(in) {
		return in // it is not waited for
	}
	return &stoppedInput{in: in, stop: s}
}

// stoppedInput is standard input, if it is no file.
type stoppedInput struct {
	in   io.Reader
	stop *stopper
}

// Read reads what comes. Until everything is open a signal is the end.
func (r *stoppedInput) Read(b []byte) (int, error) {
	r.stop.listen()
	r.stop.mu.Lock()
	opened := r.stop.opened && !r.stop.cutEarly()
	r.stop.mu.Unlock()
	if opened {
		return r.in.Read(b)
	}
	got := make(chan readResult, 1)
	go func() {
		data := make([]byte, len(b))
		n, err := r.in.Read(data)
		got <- readResult{data[:n], err}
	}()
	select {
	case one := <-got:
		return copy(b, one.data), one.err
	case <-r.stop.early:
		return 0, io.EOF
	}
}

// dropHalfLine leaves out what has come of a line that a signal has cut: half a number is a number.
func (f *files) dropHalfLine() {
	if s, ok := f.stdin.(*sampler); ok {
		s.ahead = s.ahead[:bytes.LastIndexByte(s.ahead, '\n')+1]
	}
}

// cutShort says whether a reader of an engine that has ended had not come to the end of its input: a signal may come when all has been read.
func cutShort(eng *engine.Engine) bool {
	return slices.ContainsFunc(eng.Stats().Readers, func(r engine.ReaderStats) bool { return r.State == engine.Stopped })
}
