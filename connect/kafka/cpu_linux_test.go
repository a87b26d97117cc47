package kafka

import (
	"syscall"
	"time"
)

// threadTime is the CPU time of the calling thread, which must be locked.
func threadTime() time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
