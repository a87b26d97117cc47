package connect

import (
	"context"
	"maps"
	"slices"
)

// A Probe looks at a system that a connector works with, before a job needs it, and says what will
// hold. It is what velo doctor runs.
type Probe struct {
	// Options are the options that it has. An option of a source or sink has the same name here.
	Options []Option

	// Run looks. What it finds wrong is a finding; an error says that the request itself is wrong.
	// It keeps to the time of ctx, and leaves nothing that anybody would have to remove.
	Run func(ctx context.Context, o *Options) ([]Finding, error)
}

// A Grade says how good a finding is.
type Grade string

// The grades.
const (
	Fine    Grade = "ok"      // as it should be
	Warning Grade = "warning" // a job runs, and something may surprise
	Failed  Grade = "failed"  // a job does not run, or a guarantee does not hold
	Holds   Grade = "holds"   // what follows from all of it: what a job can rely on
)

// A Finding is one thing that a probe has looked at.
type Finding struct {
	Grade Grade  `json:"grade"`
	Check string `json:"check"` // what was looked at, such as "min.insync.replicas of trades"
	Found string `json:"found"` // what is there, in one line
	// Advice says what follows and what to do about it; "" if there is nothing to do.
	Advice string `json:"advice,omitempty"`
}

// RegisterProbe adds a probe to Default. It panics if there is one of that name.
func RegisterProbe(name string, p Probe) { Default.AddProbe(name, p) }

// AddProbe adds a probe. It panics if there is one of that name.
func (r *Registry) AddProbe(name string, p Probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.probes, "probe", name, p)
}

// Probe finds a probe by its name.
func (r *Registry) Probe(name string) (Probe, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, ok := r.probes[name]
	return p, ok
}

// Probes are the names of the probes, sorted.
func (r *Registry) Probes() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.probes))
}
