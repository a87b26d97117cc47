//go:build unix

package readers

import "syscall"

// private gives a socket its mode before it has a name. On Linux the file takes its mode from the
// socket, so there is no moment in which others may connect. Other systems ignore the mode or
// refuse to set it.
func private(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
}
