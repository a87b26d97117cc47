//go:build !unix

package readers

import (
	"io/fs"
	"path/filepath"

	"github.com/dgryski/go-metro"
)

// keyOf is the key of a file that has the path. Nothing else of a FileInfo says which file it is,
// so a file that is renamed while nothing runs is not found again.
func keyOf(path string, _ fs.FileInfo) fileKey {
	return fileKey{0, metro.Hash64Str(filepath.Clean(path), 0)}
}
