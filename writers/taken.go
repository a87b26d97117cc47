package writers

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// ErrTaken says that another File of this process writes the path. Once that has ended, the path is
// free.
var ErrTaken = errors.New("another File of this process writes it, and one would replace what the other has " +
	"written: give each a path of its own, or Close that one first")

// takens are the paths that the Files of this process write.
var takens struct {
	sync.Mutex
	all []*taken
}

// taken is a path that a File writes: a name in a folder. The folder is compared by what it is, not
// by its name.
type taken struct {
	dir  os.FileInfo
	name string
}

// take takes a path. It is an error if another File has it.
func take(path string) (*taken, error) {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	t := &taken{dir, filepath.Base(path)}
	takens.Lock()
	defer takens.Unlock()
	for _, other := range takens.all {
		if other.name == t.name && os.SameFile(other.dir, t.dir) {
			return nil, ErrTaken
		}
	}
	takens.all = append(takens.all, t)
	return t, nil
}

// giveBack lets others take the path. It does nothing for nil, or if it is called again.
func (t *taken) giveBack() {
	if t == nil {
		return
	}
	takens.Lock()
	defer takens.Unlock()
	takens.all = slices.DeleteFunc(takens.all, func(other *taken) bool { return other == t })
}
