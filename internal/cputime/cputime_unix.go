//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Process is the CPU time of this process, the kernel's work for it included; 0 if it is not known.
func Process() time.Duration {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
