package engine

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
)

// waker is an agent that answers as soon as it sees that it was called.
type waker struct {
	called, answered atomic.Uint64
	stop             atomic.Bool
}

func (w *waker) Step(core.Nanos) int {
	n := w.called.Load()
	if n == w.answered.Load() {
		return 0
	}
	w.answered.Store(n)
	return 1
}
func (w *waker) Wake() core.Nanos  { return core.Never }
func (w *waker) Done() bool        { return w.stop.Load() }
func (w *waker) Stall() core.Stall { return core.StallInput }
func (w *waker) Err() error        { return nil }

// The time from a publication to the answer of a runner that was idle for a while, for each policy. There must be a core for either side.
func BenchmarkWake(b *testing.B) {
	for _, policy := range []WaitPolicy{WaitPark, WaitYield, WaitSpin} {
		for _, locked := range []bool{true, false} {
			for _, gap := range []time.Duration{20 * time.Microsecond, time.Millisecond} {
				b.Run(fmt.Sprintf("policy=%v/locked=%v/gap=%v", policy, locked, gap), func(b *testing.B) {
					if locked && !haveFutex {
						b.Skip("no locked threads here")
					}
					w := &waker{}
					e := &Engine{cfg: Config{Wait: policy, ParkAfter: DefaultParkAfter}, start: time.Now()}
					r := &runner{
						engine: e, bell: newBell(locked), mailbox: newMailbox(), ended: make(chan struct{}),
						locked: locked, cpu: -1, live: 1, pacer: pacer{after: DefaultParkAfter},
					}
					r.agents = []stepper{{Agent: w, name: "waker"}}
					if locked {
						p, err := place(1, 0, 1, true)
						if err != nil {
							b.Fatal(err)
						}
						defer unplace(p)
						r.cpu = p.Runners[0].CPU
					}
					go r.run()
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					var took []time.Duration
					for b.Loop() {
						for begin := time.Now(); time.Since(begin) < gap; {
							pause(pauses)
						}
						begin := time.Now()
						n := w.called.Add(1)
						r.bell.Wake()
						for w.answered.Load() != n {
							pause(1)
						}
						took = append(took, time.Since(begin))
					}
					w.stop.Store(true)
					w.called.Add(1)
					r.bell.Wake()
					<-r.ended
					slices.Sort(took)
					b.ReportMetric(0, "ns/op") // it has the gap in it
					b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
					b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
				})
			}
		}
	}
}
