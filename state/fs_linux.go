package state

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the content of a file durable, with its length. The pages then leave the cache of
// the kernel: nobody reads them before a restart, and in a container they count as its memory.
func syncData(f *os.File) error {
	fd := int(f.Fd())
	for {
		err := unix.Fdatasync(fd)
		if err == unix.EINTR {
			continue
		}
		if err == nil {
			_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) // only a hint
		}
		return err
	}
}
