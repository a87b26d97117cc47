package engine

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	haveFutex = true

	futexWaitPrivate = 0 | 128 // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
	futexWakePrivate = 1 | 128
)

// futexWait sleeps while *word is value, but not longer than d. The call goes through
// unix.Syscall6, which lets go of the P. A raw system call would keep the P, and the next
// stop-the-world would wait for it.
func futexWait(word *atomic.Uint32, value uint32, d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	// Any error is a reason to look again: EAGAIN (the word has changed), EINTR, ETIMEDOUT.
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, uintptr(value),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
}

func futexWake(word *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, 1, 0, 0, 0)
}

// osYield gives the rest of the time slice away. The system call is raw because it returns at once.
// It takes 0.36 us; runtime.Gosched takes 5-30 us on a locked goroutine.
func osYield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
