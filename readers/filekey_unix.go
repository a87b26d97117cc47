//go:build unix

package readers

import (
	"io/fs"
	"syscall"
)

// keyOf is the key of a file that has the path.
func keyOf(_ string, info fs.FileInfo) fileKey {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileKey{}
	}
	return fileKey{uint64(st.Dev), st.Ino}
}
