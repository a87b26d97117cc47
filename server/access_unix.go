//go:build unix

package server

import "os"

// othersMayRead says whether everybody may read a file.
func othersMayRead(info os.FileInfo) bool { return info.Mode().Perm()&0o004 != 0 }
