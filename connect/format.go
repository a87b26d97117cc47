package connect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/velo-engine/velo/record"
)

// A Format is a format of files that say themselves which columns they have, such as Parquet. A
// program that has it knows its files by their first bytes, wherever the name of a file may stand.
type Format struct {
	// Begin is what each file begins with.
	Begin string

	// Open opens files that are read as one. The error names every file that cannot be read.
	Open func(paths []string) (Files, error)

	// OpenStream opens a stream, such as standard input, which is read once, from its beginning. It
	// is nil if the format cannot be read like that.
	OpenStream func(in io.Reader) (Files, error)
}

// Files are some files of a Format. One goroutine uses them.
type Files interface {
	// Columns are the columns of all files, and the fields that cannot be columns.
	Columns() (columns []record.Field, left []LeftField, err error)

	// Bind says which columns are read, and as what types. Columns go by their names. The error
	// lists every column that a file cannot give.
	Bind(schema *record.Schema) error

	// Readers makes readers, after Bind. They share the files, and the engine closes them.
	Readers(n int) []record.Reader

	// Rows is how many rows there are.
	Rows() int64
}

// A LeftField is a field of files that cannot be a column, and why, in words that follow its name:
// "it is a list".
type LeftField struct{ Name, Why string }

// RegisterFormat adds a format to Default. It panics if there is one of that name, or one whose
// files begin with the same bytes.
func RegisterFormat(name string, f Format) { Default.AddFormat(name, f) }

// AddFormat adds a format. It panics if there is one of that name, or one whose files begin with
// the same bytes.
func (r *Registry) AddFormat(name string, f Format) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, o := range r.formats {
		if f.Begin == "" || strings.HasPrefix(f.Begin, o.Begin) || strings.HasPrefix(o.Begin, f.Begin) {
			panic(fmt.Sprintf("connect: files of the formats %q and %q begin with the same bytes", name, other))
		}
	}
	add(&r.formats, "format", name, f)
}

// FormatOf finds the format of a file by its first bytes.
func (r *Registry) FormatOf(begin []byte) (name string, f Format, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for name, f := range r.formats {
		if strings.HasPrefix(string(begin), f.Begin) {
			return name, f, true
		}
	}
	return "", Format{}, false
}

// Formats are the names of the formats, sorted.
func (r *Registry) Formats() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.formats))
}
