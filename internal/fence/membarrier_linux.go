package fence

import (
	"sync"

	"golang.org/x/sys/unix"
)

// The commands of membarrier(2).
const (
	membarrierQuery              = 0
	membarrierPrivate            = 1 << 3 // MEMBARRIER_CMD_PRIVATE_EXPEDITED
	membarrierRegisterForPrivate = 1 << 4 // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
)

func membarrier(command uintptr) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, command, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}

// prepare says whether all works, which it does since Linux 4.14 unless a sandbox forbids it. A
// process must register before it may call it.
var prepare = sync.OnceValue(func() bool {
	can, err := membarrier(membarrierQuery)
	if err != nil || can&membarrierPrivate == 0 || can&membarrierRegisterForPrivate == 0 {
		return false
	}
	_, err = membarrier(membarrierRegisterForPrivate)
	return err == nil
})

func all() {
	// It cannot fail after the process has registered.
	if _, err := membarrier(membarrierPrivate); err != nil {
		panic("fence: membarrier: " + err.Error())
	}
}
