package velocli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/velo-engine/velo/internal/filenames"
)

// packedExtensions are the extensions of compressed files, which follow the extension of a format.
var packedExtensions = []string{".gz", ".zst", ".zstd", ".lz4", ".s2", ".sz", ".snappy"}

// formatExtension is the extension that says the format of a file, in lower case.
func formatExtension(path string) string {
	path = strings.ToLower(path)
	if e := filepath.Ext(path); slices.Contains(packedExtensions, e) {
		path = strings.TrimSuffix(path, e)
	}
	return filepath.Ext(path)
}

// find returns the files that a name stands for: see filenames.Find.
func find(name string) ([]string, error) { return filenames.Find(name) }

// left says whether a file is left out unless it is named: see filenames.Left.
func left(name string) bool { return filenames.Left(name) }
