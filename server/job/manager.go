package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Manager. Dir and Runner are required.
type Config struct {
	Dir    string
	Runner Runner
	// Memory is the budget of all jobs that run together, in bytes; 0 is no budget.
	Memory int64
	// Jobs bounds the jobs of the catalog; 0 means DefaultJobs.
	Jobs int
	// Policy says when a job that has failed is started again; the zero value means DefaultPolicy.
	Policy Policy
	// StopTimeout is how long a job may take to end in order; 0 means DefaultStopTimeout.
	StopTimeout time.Duration
	// Starting is how many jobs start at the same time; 0 means GOMAXPROCS.
	Starting int

	crash func(step string) // see store
}

// Defaults of Config.
const (
	DefaultJobs        = 1000
	DefaultStopTimeout = 30 * time.Second
)

// A Manager keeps jobs alive. Any goroutine may use it.
type Manager struct {
	cfg    Config
	store  *store
	events *Events
	lock   *os.File
	// ctx ends when the manager is closed.
	ctx      context.Context
	cancel   context.CancelFunc
	starting chan struct{} // has a value for each job that starts
	memory   atomic.Int64  // of the jobs that run. Statistic, and a budget: what goes too far is taken back.

	mu     sync.Mutex
	jobs   map[string]*job
	closed bool
	actors sync.WaitGroup
	// change is held while the catalog changes, so that names stay unique.
	change sync.Mutex
}

// Open opens the folder and starts the jobs that should run. It does not wait for them: see Ready.
func Open(cfg Config) (*Manager, error) {
	cfg.Jobs = cmp.Or(cfg.Jobs, DefaultJobs)
	cfg.StopTimeout = cmp.Or(cfg.StopTimeout, DefaultStopTimeout)
	cfg.Starting = cmp.Or(cfg.Starting, runtime.GOMAXPROCS(0))
	if cfg.Policy == (Policy{}) {
		cfg.Policy = DefaultPolicy
	}
	s, err := openStore(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.crash != nil {
		s.crash = cfg.crash
	}
	lock, err := lockFile(filepath.Join(cfg.Dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("job: %s is used by another process: %w", cfg.Dir, err)
	}
	all, faults, err := s.load()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	m := &Manager{
		cfg: cfg, store: s, events: openEvents(cfg.Dir), lock: lock, jobs: map[string]*job{},
		starting: make(chan struct{}, cfg.Starting),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for name, err := range faults {
		if _, ok := all[name]; !ok {
			m.events.add(Event{Job: name, Cause: err.Error()})
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, e := range all {
		m.add(name, "it should "+verb(e.Desired)+" since before the start of the server", e, faults[name])
	}
	return m, nil
}

// verb is what a job should do, as a verb.
func verb(d Desired) string {
	switch d {
	case ShouldRun:
		return "run"
	case ShouldPause:
		return "pause"
	case ShouldStop:
		return "stop"
	}
	return "be deleted"
}

// add makes the job of an entry and starts its goroutine. m.mu is held.
func (m *Manager) add(name, cause string, e entry, fault error) *job {
	j := newJob(m, name, cause, e)
	j.fault = fault
	m.jobs[name] = j
	m.actors.Go(j.run)
	return j
}

// Close ends all jobs in order and saves their state. What should run runs again after the next
// Open.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.actors.Wait()
	return errors.Join(m.events.close(), m.lock.Close())
}

// Events are what has happened.
func (m *Manager) Events() *Events { return m.events }

// Memory is the budget and what of it the jobs that run have taken.
func (m *Manager) Memory() (taken, budget int64) { return m.memory.Load(), m.cfg.Memory }

// find finds a job.
func (m *Manager) find(name string) (*job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	if j := m.jobs[name]; j != nil {
		return j, nil
	}
	return nil, fmt.Errorf("job: %q: %w", name, ErrNoJob)
}

// List describes all jobs, by their names.
func (m *Manager) List() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Status, 0, len(m.jobs))
	for _, j := range m.jobs {
		all = append(all, j.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Get describes a job, and returns its text.
func (m *Manager) Get(name string) (Status, string, error) {
	j, err := m.find(name)
	if err != nil {
		return Status{}, "", err
	}
	return j.status(), j.text(), nil
}

// Running is the running job of a name; nil if it does not run.
func (m *Manager) Running(name string) (Running, error) {
	j, err := m.find(name)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.shown, nil
}

// Ready says whether every job that should run runs, and if not, which do not and why.
func (m *Manager) Ready() (ok bool, waiting []Status) {
	for _, s := range m.List() {
		switch s.State {
		case Starting, Failed, BackingOff, Replacing, Stopped:
			if s.Desired == ShouldRun || s.Desired == ShouldPause {
				waiting = append(waiting, s)
			}
		}
	}
	return len(waiting) == 0, waiting
}

// PutOptions say how a job is put.
type PutOptions struct {
	Options
	// Fresh begins anew, whatever is lost. One-shot: it is for this call.
	Fresh bool
	// DryRun only says what would be done.
	DryRun bool
	// Stopped puts a new job without starting it.
	Stopped bool
	// Beside replaces a job side by side: the new one begins anew in a state of its own, nobody
	// sees its results, and it takes the place of the old one when it has caught up. It makes no
	// difference to a job that is not there yet.
	Beside bool

	outcome chan error // of a replacement that runs beside its job
}

// What Put has done, or would do.
const (
	PutCreated   = "created"
	PutUnchanged = "unchanged"
	PutReplaced  = "replaced" // goes on with the state
	PutFresh     = "begun anew"
	PutBeside    = "replaced side by side"
)

// Put makes a job or replaces it, and waits until the new one runs, or does not. The error has the
// faults of the text; or it is a LossError; or it says why the new one does not start. Then the job
// is as it was before. A new job that does not start stays in the catalog, and is tried again. With
// Beside, Put waits until the new one has taken over or was given up; if ctx is done before that,
// the replacement goes on.
func (m *Manager) Put(ctx context.Context, name, text string, o PutOptions) (done string, err error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if len(text) > MaxText {
		return "", fmt.Errorf("job: the text has %d bytes, at most %d are allowed", len(text), MaxText)
	}
	text = strings.TrimRight(text, "\n")
	if last := text[strings.LastIndexByte(text, '\n')+1:]; strings.HasPrefix(last, metaPrefix) {
		return "", fmt.Errorf("job: the text ends with a comment that begins with %q, which velo writes itself",
			metaPrefix)
	}
	program, err := m.cfg.Runner.Compile(name, text, o.Options)
	if err != nil {
		return "", err
	}
	o.outcome = make(chan error, 1)
	done, j, err := m.put(ctx, name, text, program, o)
	if j == nil {
		return done, err
	}
	err = cmp.Or(err, j.await(ctx)) // after an error the old one runs again
	if err == nil && done == PutBeside {
		err = j.awaitOutcome(ctx, o.outcome)
	}
	return done, err
}

// put is Put up to the change of the catalog. It returns the job to wait for; nil if there is none.
func (m *Manager) put(ctx context.Context, name, text string, p Program, o PutOptions) (string, *job, error) {
	m.change.Lock()
	defer m.change.Unlock()
	if err := m.mayHave(name, p); err != nil {
		return "", nil, err
	}
	j, err := m.find(name)
	if errors.Is(err, ErrNoJob) {
		j, err = m.create(name, text, o)
		return PutCreated, j, err
	}
	if err != nil {
		return "", nil, err
	}
	done, err := j.replace(ctx, text, p, o)
	if done == PutUnchanged || o.DryRun {
		j = nil
	}
	return done, j, err
}

// mayHave says whether a program fits beside the other jobs: its views have names of their own, and
// it fits into the memory.
func (m *Manager) mayHave(name string, p Program) error {
	if m.cfg.Memory > 0 && p.Memory() > m.cfg.Memory {
		return fmt.Errorf("job %q: %w: it needs %d MiB, the server has %d MiB for all jobs", name, ErrMemory,
			p.Memory()>>20, m.cfg.Memory>>20)
	}
	mine := map[string]bool{}
	for _, o := range p.Objects() {
		mine[o.Name] = mine[o.Name] || o.Kind == KindView
	}
	for _, s := range m.List() {
		if s.Name == name {
			continue
		}
		objects := s.Objects
		if s.Replacement != nil {
			objects = append(slices.Clip(objects), s.Replacement.Objects...)
		}
		for _, o := range objects {
			if o.Kind == KindView && mine[o.Name] {
				return fmt.Errorf("job %q: there is a view %q of job %q already", name, o.Name, s.Name)
			}
		}
	}
	return nil
}

// create makes a job. It returns nil if there is nothing to wait for.
func (m *Manager) create(name, text string, o PutOptions) (*job, error) {
	if len(m.List()) >= m.cfg.Jobs {
		return nil, fmt.Errorf("job: there are %d jobs, at most %d are allowed", m.cfg.Jobs, m.cfg.Jobs)
	}
	if o.DryRun {
		return nil, nil
	}
	e := entry{text: text, meta: meta{Desired: ShouldRun, Generation: 1, Options: o.Options}}
	if o.Stopped {
		e.Desired = ShouldStop
	}
	if err := m.store.put(name, e); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	j := m.add(name, "it was made", e, nil)
	if o.Stopped {
		return nil, nil
	}
	return j, nil
}

// Start has a job run.
func (m *Manager) Start(ctx context.Context, name string) error { return m.want(ctx, name, ShouldRun) }

// Stop ends a job in order and saves its state.
func (m *Manager) Stop(ctx context.Context, name string) error { return m.want(ctx, name, ShouldStop) }

// Pause has a job read nothing more. Its views can be read.
func (m *Manager) Pause(ctx context.Context, name string) error {
	return m.want(ctx, name, ShouldPause)
}

// Resume has a job that is paused go on.
func (m *Manager) Resume(ctx context.Context, name string) error {
	j, err := m.find(name)
	if err != nil {
		return err
	}
	if s := j.status(); s.Desired != ShouldPause {
		return fmt.Errorf("job %q: %w: it is %s, expected paused", name, ErrState, s.State)
	}
	return m.want(ctx, name, ShouldRun)
}

// Restart ends a job in order and starts it again.
func (m *Manager) Restart(ctx context.Context, name string) error {
	j, err := m.find(name)
	if err != nil {
		return err
	}
	return j.do(ctx, func() error { return j.restart() })
}

// Checkpoint saves the state of a job.
func (m *Manager) Checkpoint(ctx context.Context, name string) error {
	j, err := m.find(name)
	if err != nil {
		return err
	}
	return j.checkpoint(ctx)
}

// Delete ends a job and removes it and its state.
func (m *Manager) Delete(ctx context.Context, name string) error {
	m.change.Lock()
	defer m.change.Unlock()
	return m.want(ctx, name, shouldGo)
}

// want sets what a job should do, and waits until it does.
func (m *Manager) want(ctx context.Context, name string, d Desired) error {
	j, err := m.find(name)
	if err != nil {
		return err
	}
	return j.do(ctx, func() error { return j.want(d) })
}
