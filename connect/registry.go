package connect

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/velo-engine/velo/record"
)

// A Source is a connector that records come from.
type Source struct {
	// Options are the options that it has.
	Options []Option

	// Check reports what is wrong with a request and can be known without opening anything. It may
	// be nil.
	Check func(*SourceRequest) error

	// Endless says whether a source with these options has no end, so that windows over it need a
	// watermark. If it is nil, all sources have an end.
	Endless func(*Options) bool

	// Parts says which part of the source a request reads, if other processes read the others. A
	// query whose groups would be in several parts is refused. It returns nil for all of the
	// source, and for options with faults, which Check reports. Parts may be nil.
	Parts func(*SourceRequest) *Parts

	// Describe says in words what a position of the source's readers means, for people who look at
	// a state. It returns "" for a position of another source. It may be nil.
	Describe func(record.Position) string

	// Open opens the source. It may take as long as ctx allows. An error that is about one option
	// is made with Options.Errorf.
	Open func(ctx context.Context, r *SourceRequest) (Input, error)
}

// Parts say how a source is divided among processes.
type Parts struct {
	Option  string   // the option that says so
	Columns []string // records that have the same values there are in one part
}

// A SourceRequest says what is to be opened.
type SourceRequest struct {
	Name    string // name of the source in the job
	Schema  *record.Schema
	Options *Options

	// Stdin is standard input, if the program reads it.
	Stdin io.Reader

	// Say tells the user something, as one line. It may be called at any time from any goroutine,
	// and is not nil.
	Say func(text string)

	// SkipGaps says that records which are gone shall be skipped and counted, this once. Without it
	// a source that cannot go on where it stood is an error.
	SkipGaps bool
}

// An Input is an open source.
type Input interface {
	// Readers makes the readers of one query, before its engine is started. It is called once for
	// each query over the source. The number is how many are wanted; there may be more or fewer.
	// The engine closes them.
	Readers(n int) ([]record.Reader, error)

	// Close releases what the readers do not. It is called when all queries have ended, also if
	// Readers was never called.
	Close() error
}

// A Grower is an Input that may find more readers while a query runs, such as new partitions of a
// topic.
type Grower interface {
	Input

	// Grow gives readers that have appeared to add, until ctx is done. The first of the query's
	// readers says which query is meant. Add returns an error if the engine takes no more.
	Grow(ctx context.Context, first record.Reader, add func(context.Context, record.Reader) error)
}

// A Sink is a connector that results go to.
type Sink struct {
	// Options are the options that it has.
	Options []Option

	// Check reports what is wrong with a request and can be known without opening anything. It may
	// be nil.
	Check func(*SinkRequest) error

	// Open opens the sink. If the writer is a record.Committer, it is used as one if the job keeps
	// its state. If it is an Aborter, it is told when a query fails.
	Open func(ctx context.Context, r *SinkRequest) (record.Writer, error)
}

// A SinkRequest says what is to be opened.
type SinkRequest struct {
	Name    string // name of the sink in the job
	Options *Options

	// Schema is what is written. With Changes, its first column says upsert or delete.
	Schema *record.Schema
	// Keys are the columns of the schema that tell the rows of one result apart: those that the
	// query groups by, and the window's. It is empty if the query has no groups, or does not select
	// all of them.
	Keys []string
	// Changes says that rows replace or delete earlier rows of the same keys (EMIT CHANGES).
	Changes bool
	// Durable says that the job keeps its state.
	Durable bool

	// Say tells the user something, as one line. It may be called at any time from any goroutine,
	// and is not nil.
	Say func(text string)
}

// An Aborter is a writer that can throw away what is not complete. After Abort nothing but Close
// and Abort is called. Abort may be called after Close, and then does nothing. A nil reason says
// that the query was not begun.
type Aborter interface {
	record.Writer
	Abort(reason error)
}

// A Registry has connectors by their names. The zero Registry has none. Any goroutine may use it.
type Registry struct {
	mu        sync.RWMutex
	sources   map[string]Source
	sinks     map[string]Sink
	probes    map[string]Probe
	formats   map[string]Format
	encodings map[string]Encoding
}

// Default is what RegisterSource and RegisterSink add to, and what the program velo has.
var Default = &Registry{}

// RegisterSource adds a source to Default. It panics if there is one of that name.
func RegisterSource(name string, s Source) { Default.AddSource(name, s) }

// RegisterSink adds a sink to Default. It panics if there is one of that name.
func RegisterSink(name string, s Sink) { Default.AddSink(name, s) }

// AddSource adds a source. It panics if there is one of that name: two packages would not notice
// that one of them replaces the other.
func (r *Registry) AddSource(name string, s Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.sources, "source", name, s)
}

// AddSink adds a sink. It panics if there is one of that name.
func (r *Registry) AddSink(name string, s Sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.sinks, "sink", name, s)
}

func add[C any](to *map[string]C, what, name string, c C) {
	if _, ok := (*to)[name]; ok || name == "" {
		panic(fmt.Sprintf("connect: the %s %q is registered twice, or has no name", what, name))
	}
	if *to == nil {
		*to = map[string]C{}
	}
	(*to)[name] = c
}

// Source finds a source by its name.
func (r *Registry) Source(name string) (Source, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, ok := r.sources[name]
	return s, ok
}

// Sink finds a sink by its name.
func (r *Registry) Sink(name string) (Sink, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s, ok := r.sinks[name]
	return s, ok
}

// Describe says in words what a position means, or returns "" if no source knows it.
func (r *Registry) Describe(p record.Position) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.sources {
		if s.Describe == nil {
			continue
		}
		if words := s.Describe(p); words != "" {
			return words
		}
	}
	return ""
}

// Sources are the names of the sources, sorted.
func (r *Registry) Sources() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.sources))
}

// Sinks are the names of the sinks, sorted.
func (r *Registry) Sinks() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.sinks))
}
