//go:build unix

package readers

import "syscall"

// private gives a socket its mode before it has a name: on Linux the file gets it from there, so there is no moment in which others may connect.
// Other systems pay no heed to it, or refuse it.
func private(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
}
