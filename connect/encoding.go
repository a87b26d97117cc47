package connect

import (
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"

	"github.com/velo-engine/velo/record"
)

// An Encoding is a form in which rows are printed, and in which a server answers. A program has
// some of its own besides.
type Encoding struct {
	// MediaType is what clients of HTTP call it.
	MediaType string

	// Binary says that it is not for people: it is not printed on a terminal, and has one result.
	Binary bool

	// New makes what writes rows of a schema.
	New func(to io.Writer, schema *record.Schema) Rows
}

// Rows writes rows. Close writes what the form has at its end, also if there was no row, and does
// not close the io.Writer.
type Rows interface {
	record.Writer
	Flush() error
}

// RegisterEncoding adds an encoding to Default. It panics if there is one of that name.
func RegisterEncoding(name string, e Encoding) { Default.AddEncoding(name, e) }

// AddEncoding adds an encoding. It panics if there is one of that name.
func (r *Registry) AddEncoding(name string, e Encoding) {
	if _, _, err := mime.ParseMediaType(e.MediaType); err != nil || e.New == nil {
		panic(fmt.Sprintf("connect: the encoding %q has no media type, or makes nothing", name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.encodings, "encoding", name, e)
}

// Encoding finds an encoding by its name.
func (r *Registry) Encoding(name string) (Encoding, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.encodings[name]
	return e, ok
}

// EncodingOf finds an encoding by its media type.
func (r *Registry) EncodingOf(mediaType string) (Encoding, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.encodings {
		if e.MediaType == mediaType {
			return e, true
		}
	}
	return Encoding{}, false
}

// Encodings are the names of the encodings, sorted.
func (r *Registry) Encodings() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.encodings))
}
