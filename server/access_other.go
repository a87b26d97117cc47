//go:build !unix

package server

import "os"

// othersMayRead says nothing: the permissions of these systems are not in the mode of a file.
func othersMayRead(os.FileInfo) bool { return false }
