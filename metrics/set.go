package metrics

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/velo-engine/velo/engine"
)

// A Set is the jobs of a process. Its zero value is empty. It is an http.Handler that writes them,
// in the format that the request asks for, and opens no listener of its own. Any goroutine may use
// it.
type Set struct {
	mu      sync.Mutex
	jobs    []*source
	process func() Process
}

// source is what is asked for a job, or for several.
type source struct {
	name string // empty if it is several
	read func() []Job
}

// Add shows an engine as a job. The error says that there is a job of the name. remove takes it
// away again.
func (s *Set) Add(job string, e *engine.Engine) (remove func(), err error) {
	return s.add(job, func() []Job {
		one := Engine{Stats: e.Stats()}
		return []Job{{Name: job, State: StateOf(&one.Stats), Engines: []Engine{one}}}
	})
}

// StateOf is the state of a job that has one engine, which nobody starts again.
func StateOf(s *engine.Stats) string {
	switch {
	case !s.Ended:
		return "running"
	case s.Err != nil:
		return "failed"
	}
	return "finished"
}

// AddJobs shows the jobs that a function returns. It is called for each scrape, also by several
// goroutines at once, and must not block. Other jobs must have other names.
func (s *Set) AddJobs(read func() []Job) (remove func()) {
	remove, _ = s.add("", read) // only names are refused
	return remove
}

func (s *Set) add(name string, read func() []Job) (remove func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != "" && slices.ContainsFunc(s.jobs, func(x *source) bool { return x.name == name }) {
		return nil, fmt.Errorf("metrics: there is a job %q already", name)
	}
	x := &source{name, read}
	s.jobs = append(s.jobs, x)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.jobs = slices.DeleteFunc(s.jobs, func(y *source) bool { return x == y })
	}, nil
}

// SetProcess has the set show what the process counts beside its jobs. read is called for each
// scrape, also by several goroutines at once, and must not block.
func (s *Set) SetProcess(read func() Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = read
}

// Process reads what SetProcess has set; it is nil if nothing has been.
func (s *Set) Process() *Process {
	s.mu.Lock()
	read := s.process
	s.mu.Unlock()
	if read == nil {
		return nil
	}
	p := read()
	return &p
}

// Jobs reads all jobs.
func (s *Set) Jobs() (all []Job) {
	s.mu.Lock()
	sources := slices.Clone(s.jobs)
	s.mu.Unlock()
	for _, x := range sources {
		all = append(all, x.read()...)
	}
	return all
}

// WriteMetrics writes all jobs in the text format of Prometheus.
func (s *Set) WriteMetrics(w io.Writer) error {
	return write(w, Prometheus, false, s.Process(), s.Jobs())
}

// ServeHTTP writes all jobs. A request whose query has detail gets the series of each ring, too.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		return
	}
	format := Prometheus
	if strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text") {
		format = OpenMetrics
	}
	w.Header().Set("Content-Type", format.ContentType())
	_ = write(w, format, r.URL.Query().Has("detail"), s.Process(), s.Jobs()) // a client that has gone is no trouble
}
