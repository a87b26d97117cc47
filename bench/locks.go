package bench

import (
	"context"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/ring"
)

// A Lock says what one way to share a keyed state between goroutines did.
type Lock struct {
	Impl    string  `json:"impl"`
	Writers int     `json:"writers"`
	T       float64 `json:"records_per_second"`
	// P99 is the time to hand over one record; 0 for velo, which takes batches.
	P99 float64 `json:"p99_ns"`
	// LockWait is the waiting time of all goroutines together, as the runtime counts it.
	LockWait float64 `json:"lock_wait_seconds"`
	// LockShare is LockWait divided by the time of all writers.
	LockShare float64 `json:"lock_wait_share"`
}

const (
	lockGroups = 10_000
	lockShards = 64

	// sampleMask decides how many updates are timed: one of 64. More would measure mainly the
	// clock.
	sampleMask = 63
)

// counter is the state of a group.
type counter struct{ n, sum int64 }

// updater is what one writer does with a record.
type updater func(key uint64, value int64)

// lockImpl is one way to share state: setup makes the update function of each writer, and a
// function finish that ends them.
type lockImpl struct {
	name  string
	setup func(writers int) (update []updater, finish func())
}

func lockImpls() []lockImpl {
	add := func(m map[uint64]*counter, key uint64, value int64) {
		c := m[key]
		if c == nil {
			c = &counter{}
			m[key] = c
		}
		c.n++
		c.sum += value
	}
	same := func(writers int, u updater) []updater {
		return slices.Repeat([]updater{u}, writers)
	}
	return []lockImpl{
		{"map with Mutex", func(writers int) ([]updater, func()) {
			var mu sync.Mutex
			m := map[uint64]*counter{}
			return same(writers, func(key uint64, value int64) {
				mu.Lock()
				add(m, key, value)
				mu.Unlock()
			}), func() {}
		}},
		// existing groups are found by readers and changed by atomics
		{"map with RWMutex", func(writers int) ([]updater, func()) {
			var mu sync.RWMutex
			type state struct{ n, sum atomic.Int64 }
			m := map[uint64]*state{}
			return same(writers, func(key uint64, value int64) {
				mu.RLock()
				c := m[key]
				mu.RUnlock()
				if c == nil {
					mu.Lock()
					c = m[key]
					if c == nil {
						c = &state{}
						m[key] = c
					}
					mu.Unlock()
				}
				c.n.Add(1)
				c.sum.Add(value)
			}), func() {}
		}},
		{"64 maps with a Mutex each", func(writers int) ([]updater, func()) {
			type shard struct {
				mu sync.Mutex
				m  map[uint64]*counter
				_  [128]byte
			}
			shards := make([]shard, lockShards)
			for i := range shards {
				shards[i].m = map[uint64]*counter{}
			}
			return same(writers, func(key uint64, value int64) {
				s := &shards[key%lockShards]
				s.mu.Lock()
				add(s.m, key, value)
				s.mu.Unlock()
			}), func() {}
		}},
		{"sync.Map", func(writers int) ([]updater, func()) {
			type state struct{ n, sum atomic.Int64 }
			var m sync.Map
			return same(writers, func(key uint64, value int64) {
				v, ok := m.Load(key)
				if !ok {
					v, _ = m.LoadOrStore(key, &state{})
				}
				c := v.(*state)
				c.n.Add(1)
				c.sum.Add(value)
			}), func() {}
		}},
		{"channels to owners", func(writers int) ([]updater, func()) {
			type update struct {
				key   uint64
				value int64
			}
			owners := make([]chan update, writers)
			var running sync.WaitGroup
			for i := range owners {
				owners[i] = make(chan update, 1024)
				running.Go(func() {
					m := map[uint64]*counter{}
					for u := range owners[i] {
						add(m, u.key, u.value)
					}
				})
			}
			return same(writers, func(key uint64, value int64) {
					owners[key%uint64(writers)] <- update{key, value}
				}), func() {
					for _, c := range owners {
						close(c)
					}
					running.Wait()
				}
		}},
		{"rings to owners", func(writers int) ([]updater, func()) {
			type update struct {
				key   uint64
				value int64
			}
			producers := make([][]*ring.Producer[update], writers)
			consumers := make([][]*ring.Consumer[update], writers) // by owner
			for w := range writers {
				for o := range writers {
					p, c := ring.New[update](1024)
					producers[w] = append(producers[w], p)
					consumers[o] = append(consumers[o], c)
				}
			}
			var running sync.WaitGroup
			for _, in := range consumers {
				running.Go(func() {
					m := map[uint64]*counter{}
					for left := len(in); left > 0; {
						work := false
						left = 0
						for _, c := range in {
							for {
								u, ok := c.Pop()
								if !ok {
									break
								}
								add(m, u.key, u.value)
								work = true
							}
							if !c.Drained() {
								left++
							}
						}
						if !work {
							runtime.Gosched()
						}
					}
				})
			}
			updates := make([]updater, writers)
			for w := range updates {
				updates[w] = func(key uint64, value int64) {
					p := producers[w][key%uint64(writers)]
					for !p.Push(update{key, value}) {
						runtime.Gosched()
					}
				}
			}
			return updates, func() {
				for _, ps := range producers {
					for _, p := range ps {
						p.Close()
					}
				}
				running.Wait()
			}
		}},
	}
}

// Locks compares ways for several writers to keep one keyed state: what Go has, the same with
// rings, and velo, for d each.
func Locks(writers int, d time.Duration, each func(Lock)) error {
	for _, impl := range lockImpls() {
		updates, finish := impl.setup(writers)
		var stop atomic.Bool
		var running sync.WaitGroup
		done := make([]uint64, writers)
		samples := make([][]time.Duration, writers)
		waited := lockWait()
		end := observe()
		began := time.Now()
		for w, update := range updates {
			running.Go(func() {
				var n uint64
				var times []time.Duration
				state := uint64(w + 1)
				for running := true; running; running = !stop.Load() {
					for range 1024 {
						state += 0x9e3779b97f4a7c15
						key := readers.Scramble(state) % lockGroups
						n++
						if n&sampleMask != 0 {
							update(key, int64(n))
							continue
						}
						t := time.Now()
						update(key, int64(n))
						times = append(times, time.Since(t))
					}
				}
				done[w], samples[w] = n, times
			})
		}
		<-time.After(d)
		stop.Store(true)
		running.Wait()
		finish()
		elapsed := time.Since(began)
		end()
		l := Lock{Impl: impl.name, Writers: writers, LockWait: lockWait() - waited}
		var total uint64
		for _, n := range done {
			total += n
		}
		times := slices.Concat(samples...)
		slices.Sort(times)
		l.T = float64(total) / elapsed.Seconds()
		l.P99 = float64(times[len(times)*99/100])
		l.LockShare = l.LockWait / (elapsed.Seconds() * float64(writers))
		each(l)
	}

	w := Workload{Groups: lockGroups}
	waited := lockWait()
	e, err := w.Start(writers, writers, writers)
	if err != nil {
		return err
	}
	f, err := Measure(e, d)
	if err != nil {
		return err
	}
	if err := e.Shutdown(context.Background()); err != nil {
		return err
	}
	l := Lock{Impl: "velo", Writers: writers, T: f.PerSecond(), LockWait: lockWait() - waited}
	l.LockShare = l.LockWait / (f.Elapsed.Seconds() * float64(writers))
	each(l)
	return nil
}

// lockWait is the time that goroutines have waited for mutexes, in seconds.
func lockWait() float64 {
	s := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64()
}
