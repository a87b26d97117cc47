package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/affinity"
)

// The cases that are measured.
const (
	oneWay     = "one-way"
	sameThread = "same-thread"
	roundTrip  = "round-trip"
)

// turn is how many items go in before they come out again, if both ends are on one thread.
const turn = 64

// tripBurst is the number of round trips for each look at the clock.
const tripBurst = 64

// A stage is where queues are measured: two CPUs.
type stage struct {
	cpus   [2]int // -1 if not pinned
	yields bool   // both ends share a CPU
}

// newStage takes two CPUs from a list, or the first two that may be used. If that is not possible,
// it says so on stderr.
func newStage(list string, stderr io.Writer) (*stage, error) {
	var cpus []int
	var err error
	if list != "" {
		cpus, err = affinity.ParseList(list)
		if err == nil && len(cpus) != 2 {
			err = fmt.Errorf("expected two CPUs, not %q", list)
		}
	} else if cpus, err = affinity.Usable(); err == nil && len(cpus) == 0 {
		err = errors.New("no CPU may be used")
	}
	if err != nil {
		return nil, err
	}
	if len(cpus) == 1 {
		fmt.Fprintf(stderr, "there is one CPU only: both ends share it and yield when they wait\n")
		cpus = append(cpus, cpus[0])
	}
	s := &stage{cpus: [2]int{cpus[0], cpus[1]}, yields: cpus[0] == cpus[1]}
	if err := s.both(true, func() {}, func() {}); err != nil {
		fmt.Fprintf(stderr, "threads are not pinned: %v\n", err)
		s.cpus = [2]int{-1, -1}
	}
	return s, nil
}

// both runs f and g side by side on two threads. If pinned is set, each thread is pinned to its
// CPU; otherwise any goroutines will do.
func (s *stage) both(pinned bool, f, g func()) error {
	var wg sync.WaitGroup
	var errs [2]error
	yields.Store(s.yields)
	for i, side := range []func(){f, g} {
		wg.Go(func() {
			if !pinned || s.cpus[i] < 0 {
				side()
				return
			}
			runtime.LockOSThread()
			p, err := affinity.Pin(s.cpus[i])
			if err != nil {
				runtime.UnlockOSThread()
				errs[i] = err
				side() // the other side waits for this one
				return
			}
			side()
			errs[i] = p.Restore()
			if errs[i] == nil {
				runtime.UnlockOSThread()
			} // otherwise the thread ends with its goroutine
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// measure makes one measurement of d and returns nanoseconds per item, or per round trip.
func (s *stage) measure(p *peer, kind string, slots int, d time.Duration) (nanos float64, err error) {
	runtime.GC() // so that this measurement does not have to clean up after the previous one
	switch kind {
	case oneWay:
		return s.oneWay(p, p.open(slots), d)
	case sameThread:
		return s.sameThread(p, p.open(slots), d)
	case roundTrip:
		return s.roundTrip(p, p.open(slots), p.open(slots), d)
	}
	return 0, fmt.Errorf("no case %q", kind)
}

// oneWay has one side send bursts of items until the time is over, and the other side take them.
//
// The sides agree on the end without an extra word per item: the sender stores the number of the
// last burst before it sends that burst, so the receiver of the burst sees the number.
func (s *stage) oneWay(p *peer, q pipe, d time.Duration) (float64, error) {
	burst := uint64(p.burst)
	var last atomic.Uint64
	last.Store(math.MaxUint64)
	var began, ended time.Time
	var bursts, wrong uint64
	warm := make(chan struct{})
	err := s.both(!p.free, func() {
		q.produce(0, p.burst) // afterwards the memory has been touched and the threads are running
		<-warm
		began = time.Now()
		for i, over := uint64(1), false; !over; i++ {
			over = time.Since(began) >= d
			if over {
				last.Store(i)
			}
			q.produce(i*burst, p.burst)
		}
	}, func() {
		wrong = q.consume(0, p.burst)
		close(warm)
		for i := uint64(1); bursts == 0; i++ {
			wrong |= q.consume(i*burst, p.burst)
			if last.Load() == i {
				bursts = i
			}
		}
		ended = time.Now()
	})
	return float64(ended.Sub(began)) / float64(bursts*burst), checked(wrong, err)
}

// sameThread has one thread send a few items and take them, in turns.
func (s *stage) sameThread(p *peer, q pipe, d time.Duration) (float64, error) {
	const turns = 256 // for each look at the clock
	var took time.Duration
	var items, wrong uint64
	err := s.both(!p.free, func() {
		for began := time.Now(); took < d; took = time.Since(began) {
			for range turns {
				q.produce(items, turn)
				wrong |= q.consume(items, turn)
				items += turn
			}
		}
	}, func() {})
	return float64(took) / float64(items), checked(wrong, err)
}

// roundTrip has one side send an item and wait until the other side has sent it back. They agree on
// the end as in oneWay.
func (s *stage) roundTrip(p *peer, there, back pipe, d time.Duration) (float64, error) {
	var last atomic.Uint64
	last.Store(math.MaxUint64)
	var took time.Duration
	var trips, wrongThere, wrongBack uint64
	err := s.both(!p.free, func() {
		burst := func(i uint64) {
			for k := i * tripBurst; k < (i+1)*tripBurst; k++ {
				there.produce(k, 1)
				wrongBack |= back.consume(k, 1)
			}
		}
		burst(0)
		began := time.Now()
		for i, over := uint64(1), false; !over; i++ {
			over = time.Since(began) >= d
			if over {
				last.Store(i)
			}
			burst(i)
			trips += tripBurst
		}
		took = time.Since(began)
	}, func() {
		for i, over := uint64(0), false; !over; i++ {
			for k := i * tripBurst; k < (i+1)*tripBurst; k++ {
				wrongThere |= there.consume(k, 1)
				back.produce(k, 1)
			}
			over = last.Load() == i
		}
	})
	return float64(took) / float64(trips), checked(wrongThere|wrongBack, err)
}

// checked is err, or a new error if items were not what they should have been.
func checked(wrong uint64, err error) error {
	if err == nil && wrong != 0 {
		return fmt.Errorf("items came out of order (differing bits %#x)", wrong)
	}
	return err
}

// yields says that waiting gives up the CPU. It is set if both ends share one.
var yields atomic.Bool

// relaxSteps is the length of a wait between two looks at a full or empty queue; see relax.
const relaxSteps = 64

// relax is the wait between two looks. Without it, every look of the waiting side takes the cache
// line from the working side. Go has no PAUSE, so relax is a loop of a few ns. The only memory that
// it touches is one flag that is never written meanwhile.
//
//go:noinline
func relax() {
	if yields.Load() {
		runtime.Gosched()
		return
	}
	for range relaxSteps {
	}
}
