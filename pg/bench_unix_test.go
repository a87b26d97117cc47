//go:build unix

package pg_test

import (
	"syscall"
	"time"
)

// processTime is the CPU time of the process; 0 if it is not known.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
