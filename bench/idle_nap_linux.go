package bench

import (
	"syscall"
	"time"
)

// nap sleeps for a time below a millisecond, which the runtime's timers round up to one if nothing
// else runs.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // a signal makes it shorter
}
