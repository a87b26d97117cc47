//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processCPU is the CPU time of all threads of the process.
func processCPU() time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
