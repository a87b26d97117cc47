//go:build !unix && !windows

package job

import "os"

// lockFile does not lock: the system has no locks that the end of the process gives back.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
