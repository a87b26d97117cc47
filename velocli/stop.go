package velocli

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

// errInterrupted says that the result covers only what had been read when the user interrupted the
// program.
var errInterrupted = errors.New("interrupted")

// errTwice says that there was no time for a result.
var errTwice = errors.New("not finished")

const (
	// closeGrace is how long things that have been closed may take to end. Otherwise a goroutine
	// that writes to something that accepts nothing could not be stopped.
	closeGrace = time.Second

	// sameSignal is how soon after a signal another one counts as the same: timeout(1) and others
	// signal a process, and then the group that it belongs to.
	sameSignal = 300 * time.Millisecond
)

// stopper ends engines when the process is told to end. The first interrupt or SIGTERM ends the
// reading, and the result covers what has been read; the second ends everything.
type stopper struct {
	// say is where messages go.
	say io.Writer
	// saves says that what has been read is saved, and the next run goes on from there.
	saves   bool
	once    sync.Once // guards listen
	last    sync.Once // guards end
	signals chan os.Signal
	// works passes on the engines that a signal has to end.
	works chan []work
	// ended is closed by end; gone waits for hear.
	ended chan struct{}
	gone  sync.WaitGroup

	mu sync.Mutex
	// opened says that all inputs are open, so that a signal ends engines.
	opened bool
	// early is closed by a signal that came before that.
	early chan struct{}

	// first is the time of the first signal. hear writes it; end reads it after hear has returned.
	first time.Time
	// interrupted says that a signal has come, and twice that a second one has.
	interrupted atomic.Bool
	twice       atomic.Bool
}

func newStopper(say io.Writer) *stopper {
	return &stopper{
		say: say, signals: make(chan os.Signal, 4), works: make(chan []work, 1), ended: make(chan struct{}),
		early: make(chan struct{}),
	}
}

// listen begins to listen for signals, before anything is started that a signal would leave
// unfinished. Until then a signal ends the process as usual: nothing has been written.
func (s *stopper) listen() {
	s.once.Do(func() {
		signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
		s.gone.Go(s.hear)
	})
}

// start is listen for when everything is open. It says whether a signal has come already.
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
	socket *socket // socket that it reads, which is drained first; nil if there is none
}

// stops makes signals end these engines, including signals that have come since listen.
func (s *stopper) stops(works ...work) { s.works <- works }

// hear acts on signals until end.
func (s *stopper) hear() {
	var works []work
	for {
		select {
		case <-s.ended:
			return
		case works = <-s.works:
			// otherwise they end with what standard input had
			if s.interrupted.Load() && !s.cutEarly() {
				s.shutDown(works)
			}
			continue
		case <-s.signals:
		}
		switch {
		case !s.interrupted.Swap(true):
			s.first = time.Now()
			if s.saves {
				note(s.say, "velo: interrupted: the state is saved, the next run goes on; again to end at once")
			} else {
				note(s.say, "velo: interrupted, this is what has been read so far; again to end at once")
			}
			s.mu.Lock()
			if !s.opened {
				close(s.early)
			}
			s.mu.Unlock()
			s.shutDown(works)
		case time.Since(s.first) < sameSignal:
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
			_ = w.engine.Shutdown(context.Background()) // Wait reports what went wrong
		}()
	}
}

// heard says whether a signal has come.
func (s *stopper) heard() bool { return s.interrupted.Load() }

// end stops listening and says whether a signal had come. It may be called again.
func (s *stopper) end() (interrupted bool) {
	s.once.Do(func() {}) // nothing can begin any more
	s.last.Do(func() {
		close(s.ended)
		s.gone.Wait()
		// The process is about to end, and must not end by a signal that comes now: everything has
		// been written, and the status says so. If it takes longer, a signal ends it as usual.
		time.AfterFunc(sameSignal, func() { signal.Stop(s.signals) })
	})
	return s.interrupted.Load()
}

// stdin is standard input that a signal ends as long as things are being opened: then the process
// waits for its first lines, and for nothing else that could be ended. Later a signal ends the
// engines, and their readers are not polled any more.
func (s *stopper) stdin(in io.Reader) io.Reader {
	if isFile(in) {
		return in // it is not waited for
	}
	return &stoppedInput{in: in, stop: s}
}

// stoppedInput is standard input, if it is not a file.
type stoppedInput struct {
	in   io.Reader
	stop *stopper
}

// Read reads what comes. Until everything is open, a signal is the end of the input.
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

// dropHalfLine drops the beginning of a line that a signal has cut off: half of a number would be
// another number.
func (f *files) dropHalfLine() {
	if s, ok := f.stdin.(*sampler); ok {
		s.ahead = s.ahead[:bytes.LastIndexByte(s.ahead, '\n')+1]
	}
}

// cutShort says whether a reader of an engine that has ended had not reached the end of its input.
// A signal may come when everything has been read.
func cutShort(eng *engine.Engine) bool {
	return slices.ContainsFunc(eng.Stats().Readers, func(r engine.ReaderStats) bool {
		return r.State == engine.Stopped
	})
}
