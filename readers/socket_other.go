//go:build !unix

package readers

import "syscall"

// private does nothing: there are no modes here.
func private(_, _ string, _ syscall.RawConn) error { return nil }
