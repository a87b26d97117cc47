package engine

import "sync/atomic"

// A wakeup is how an ordinary goroutine waits for something that runners publish. It is the
// doorbell (see bell) with a channel in place of the futex. The goroutine announces that it waits,
// looks once more whether there is anything, and receives from c. Then the wait is over.
type wakeup struct {
	waiting *atomic.Bool
	c       chan struct{}
}

func newWakeup() wakeup { return wakeup{new(atomic.Bool), make(chan struct{}, 1)} }

// announce says that the goroutine is about to wait. The store comes before the goroutine's last
// look. It pairs with the load in ring, which comes after the publication, so at least one of the
// two sees the other.
func (w wakeup) announce() { w.waiting.Store(true) }

// over says that the goroutine does not wait any more.
func (w wakeup) over() { w.waiting.Store(false) }

// wake wakes the goroutine if it waits. It is called after something was published, and never
// blocks.
func (w wakeup) wake() {
	if w.waiting.Load() {
		select {
		case w.c <- struct{}{}:
		default: // one wake-up is enough
		}
	}
}
