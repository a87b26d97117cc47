package velocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/secret"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
	"github.com/velo-engine/velo/state"
	"github.com/velo-engine/velo/view"
)

const (
	// DefaultJobMemory bounds the groups of a job that says nothing else.
	defaultJobMemory = 64 << 20

	// heldSnapshots is how many cuts readers of a view may hold: the readings of different epochs.
	heldSnapshots = 8
)

// jobRunner runs the jobs of velo serve.
type jobRunner struct {
	views *view.Catalog
	// cores is for each engine of a job.
	cores int
	// checkpoint is how often states are saved; 0 is the engine's default.
	checkpoint time.Duration
}

// program is a job that compiles.
type program struct {
	runner  *jobRunner
	name    string
	text    string
	options job.Options
	job     *query.Job
}

// Compile compiles a job and checks what can be checked before anything is opened.
func (r *jobRunner) Compile(name, text string, o job.Options) (job.Program, error) {
	compiled, err := query.CompileJob(text, connect.Default)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, otherProgram(err))
	}
	p := &program{r, name, text, o, compiled}
	if err := errors.Join(p.faults(), p.command("state").check(compiled, quiet(io.Discard))); err != nil {
		return nil, err
	}
	return p, nil
}

// quiet are the streams of a job that has no terminal.
func quiet(say io.Writer) streams { return streams{strings.NewReader(""), io.Discard, say} }

// command is the job as velo run would run it.
func (p *program) command(folder string) *runCmd {
	c := &runCmd{Job: p.name + ".sql", Format: "ndjson", serves: true}
	c.State, c.Checkpoint = folder, p.runner.checkpoint
	c.Readers, c.Partitions, c.Cores = p.runner.cores, p.runner.cores, p.runner.cores
	// What the job has lost by its text was said before that was put.
	c.anyNew, c.anyDropped = true, p.options.Drop
	c.stateBytes = max(int(p.Memory())/max(len(p.job.Outputs), 1), engine.MinStateBytes)
	return c
}

// faults are what a job of a server cannot have.
func (p *program) faults() error {
	var faults []error
	for _, s := range p.job.Sources {
		if s.Options.Connector() == "stdin" {
			faults = append(faults, s.Options.Errorf(query.OptionConnector,
				"a server has no standard input: name files, or push records (connector = 'push')"))
		}
	}
	var all []*query.Options
	for _, s := range p.job.Sources {
		all = append(all, s.Options)
	}
	for _, s := range p.job.Sinks {
		all = append(all, s.Options)
	}
	for _, t := range p.job.Tables {
		all = append(all, t.Options)
	}
	for _, o := range all {
		for _, name := range o.Literals() {
			if secret.Named(name) || secret.In(o.Text(name)) {
				faults = append(faults, o.Errorf(name, "a secret in the text of a job is shown to everybody who may "+
					"read the job: %s = env('NAME') takes it from the environment", name))
			}
		}
	}
	for _, o := range p.job.Outputs {
		switch {
		case o.Sink == nil && o.View == nil:
			faults = append(faults, errors.New("a server prints no result: CREATE MATERIALIZED VIEW name AS SELECT "+
				"keeps it, INSERT INTO a sink writes it"))
		case o.Sink != nil && o.Sink.Options.Connector() == "stdout":
			faults = append(faults, o.Sink.Options.Errorf(query.OptionConnector,
				"a server has no standard output: CREATE MATERIALIZED VIEW name AS SELECT keeps a result"))
		}
	}
	if n := int64(len(p.job.Outputs)) * engine.MinStateBytes; p.options.Memory != 0 && p.options.Memory < n {
		faults = append(faults, fmt.Errorf("memory of %d bytes, expected %d at least for %d queries", p.options.Memory,
			n, len(p.job.Outputs)))
	}
	return errors.Join(faults...)
}

// Objects are the sources, sinks and views of the text.
func (p *program) Objects() (all []job.Object) {
	for _, s := range p.job.Sources {
		all = append(all, job.Object{
			Kind: job.KindSource, Name: s.Name, Connector: s.Options.Connector(), Text: s.Schema.String(),
		})
	}
	for _, t := range p.job.Tables {
		all = append(all, job.Object{Kind: job.KindTable, Name: t.Name, Connector: t.Options.Connector()})
	}
	for _, o := range p.job.Outputs {
		switch {
		case o.View != nil:
			all = append(all, job.Object{Kind: job.KindView, Name: o.View.Name, Text: o.Text})
		case o.Sink != nil:
			all = append(all, job.Object{
				Kind: job.KindSink, Name: o.Sink.Name, Connector: o.Sink.Options.Connector(), Text: o.Text,
			})
		}
	}
	return all
}

// Memory is what the groups of all queries of the job may take.
func (p *program) Memory() int64 {
	if p.options.Memory != 0 {
		return p.options.Memory
	}
	return max(defaultJobMemory, int64(len(p.job.Outputs))*engine.MinStateBytes)
}

// Lost compares the queries of the same names over sources of the same names.
func (p *program) Lost(before job.Program) (l job.Loss) {
	was, ok := before.(*program)
	if !ok {
		return job.Loss{}
	}
	for _, o := range was.job.Outputs {
		i := slices.IndexFunc(p.job.Outputs, func(now *query.Output) bool {
			return nameOf(o) == nameOf(now) && o.Source.Name == now.Source.Name
		})
		if i < 0 {
			l.Gone = append(l.Gone, nameOf(o))
			continue
		}
		err := engine.ComparePlans(keptPlan(o), keptPlan(p.job.Outputs[i]))
		if err != nil {
			l.Changed = append(l.Changed, fmt.Sprintf("%s: %v", nameOf(o), err))
		}
	}
	return l
}

// permanent are errors that another try does not mend.
var permanent = []error{
	state.ErrCopied, state.ErrNoManifest, engine.ErrOtherPlan, engine.ErrLostSplit, engine.ErrFinished,
	engine.ErrOutput,
}

// Start starts the job.
func (p *program) Start(ctx context.Context, folder string, paused bool, say func(string)) (job.Running, error) {
	r, err := p.begin(ctx, folder, paused, say)
	if err != nil {
		return nil, err
	}
	err = p.runner.views.Swap(nil, r.views)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), job.DefaultStopTimeout)
		defer cancel()
		return nil, errors.Join(err, r.Stop(ctx))
	}
	r.shown = true
	return r, nil
}

// begin starts the job and shows nothing.
func (p *program) begin(ctx context.Context, folder string, paused bool, say func(string)) (*runningJob, error) {
	// Plans belong to one engine, and the environment may have changed.
	compiled, err := query.CompileJob(p.text, connect.Default)
	if err != nil {
		return nil, err
	}
	r := &runningJob{
		program: p, say: say, done: make(chan struct{}), pushed: map[string]*push.Source{}, rejects: &rejectRing{},
		views: map[string]view.View{},
	}
	err = r.start(ctx, compiled, folder, paused)
	if err != nil {
		for _, mark := range permanent {
			if errors.Is(err, mark) {
				return nil, fmt.Errorf("%w\nfresh begins anew, and leaves the old state aside; %w", err,
					job.ErrPermanent)
			}
		}
		return nil, err
	}
	return r, nil
}

// sayer is a writer whose lines become events of the job.
type sayer func(string)

// Write says what is written.
func (s sayer) Write(b []byte) (int, error) {
	if text := strings.TrimSpace(strings.TrimPrefix(string(b), "velo: ")); text != "" {
		s(text)
	}
	return len(b), nil
}

// runningJob is a job that runs.
type runningJob struct {
	program *program
	say     func(string)
	ins     []*ingest
	pushed  map[string]*push.Source
	rejects *rejectRing
	// views are the views of the job; shown says that they are in the catalog.
	views map[string]view.View
	shown bool

	// done is closed when all queries have ended; err is set before.
	done chan struct{}
	err  error
}

// configureServed makes a small engine whose groups are read while it runs.
func configureServed(cfg *engine.Config) {
	cfg.NoPin, cfg.HeldSnapshots, cfg.EpochInterval = true, heldSnapshots, 0
}

func (r *runningJob) start(ctx context.Context, compiled *query.Job, folder string, paused bool) (err error) {
	c := r.program.command(folder)
	std := quiet(sayer(r.say))
	if err := c.check(compiled, std); err != nil {
		return err
	}
	r.ins, err = c.open(compiled, std)
	err = errors.Join(err, prepareTables(compiled, std, r.program.runner.views))
	started := false
	defer func() {
		if !started {
			r.closeAll()
		}
	}()
	if err != nil {
		return err
	}
	for _, in := range r.ins {
		in.served, in.aside.ring, in.aside.of = true, r.rejects, in.feed.name
		if h, ok := in.feed.input.(*pushInput); ok {
			r.pushed[in.feed.name] = h.source
		}
	}
	if err := c.settle(compiled, r.ins); err != nil {
		return err
	}
	comments := map[string]string{} // of views
	for _, o := range compiled.Outputs {
		if o.View != nil {
			comments[o.View.Name] = o.View.Options.Text(query.OptionComment)
		}
	}
	for _, in := range r.ins {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := in.start(&c.sizing, false); err != nil {
			return fmt.Errorf("%s: %w", in.names(), err)
		}
		if paused {
			if err := pauseReaders(ctx, in.engine, true); err != nil {
				return err
			}
		}
	}
	for _, f := range flowsOf(r.ins) {
		f.sayState()
		if !f.view {
			continue
		}
		r.views[f.name] = view.View{Engine: f.engine, Plan: f.plan, Comment: comments[f.name], Over: f.over}
	}
	started = true
	go r.wait()
	return nil
}

// closeAll closes what a start has opened before it failed.
func (r *runningJob) closeAll() {
	for _, in := range r.ins {
		if in.engine != nil {
			in.close()
			_ = in.ended()
		}
	}
	closeFeeds(r.ins)
}

// hide removes the views.
func (r *runningJob) hide() {
	if r.shown {
		_ = r.program.runner.views.Swap(slices.Collect(maps.Keys(r.views)), nil)
		r.shown = false
	}
}

// wait waits for all queries. If one fails, the others end, too: the job is started again as a
// whole.
func (r *runningJob) wait() {
	flows := flowsOf(r.ins)
	errs := make([]error, len(flows))
	var all sync.WaitGroup
	for i, f := range flows {
		all.Go(func() {
			err := f.wait()
			if f.sink != nil {
				err = f.finish(err)
			}
			if err != nil && !errors.Is(err, errOther) {
				errs[i] = fmt.Errorf("%s: %w", f.name, err)
				for _, other := range r.ins {
					if other != f.ingest {
						go func() { _ = other.engine.Shutdown(context.Background()) }()
					}
				}
			}
			f.sayLost(sayer(r.say))
		})
	}
	all.Wait()
	r.err = errors.Join(errs...)
	close(r.done)
}

func (r *runningJob) Done() <-chan struct{} { return r.done }
func (r *runningJob) Err() error            { return r.err }

func (r *runningJob) Pause(ctx context.Context) error  { return r.pause(ctx, true) }
func (r *runningJob) Resume(ctx context.Context) error { return r.pause(ctx, false) }

func (r *runningJob) pause(ctx context.Context, on bool) error {
	var errs []error
	for _, in := range r.ins {
		errs = append(errs, pauseReaders(ctx, in.engine, on))
	}
	return errors.Join(errs...)
}

// pauseReaders pauses all readers of an engine, or has them go on.
func pauseReaders(ctx context.Context, e *engine.Engine, on bool) error {
	for i, s := range e.Stats().Readers {
		change := e.Resume
		switch {
		case on && (s.State == engine.Running || s.State == engine.Retrying):
			change = e.Pause
		case on || s.State != engine.Paused:
			continue
		}
		if err := change(ctx, i); err != nil && !errors.Is(err, engine.ErrEnded) {
			return err
		}
	}
	return nil
}

// Checkpoint saves the state of all queries.
func (r *runningJob) Checkpoint(ctx context.Context) error {
	var errs []error
	for _, in := range r.ins {
		err := in.engine.Checkpoint(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", in.names(), err))
		}
	}
	return errors.Join(errs...)
}

// Stop ends the job in order.
func (r *runningJob) Stop(ctx context.Context) error {
	r.hide()
	var all sync.WaitGroup
	for _, in := range r.ins {
		all.Go(func() {
			if k := in.feed.socket; k != nil {
				k.drain(ctx.Done())
			}
			_ = in.engine.Shutdown(ctx) // wait has the error
		})
	}
	all.Wait()
	<-r.done
	for _, in := range r.ins {
		in.close()
	}
	closeFeeds(r.ins)
	return r.err
}

// Engines are the engines of the job.
func (r *runningJob) Engines() (all []server.Engine) {
	for _, in := range r.ins {
		e := server.Engine{Name: in.names(), Source: in.feed.name, Engine: in.engine}
		for _, f := range in.flows {
			e.Plans, e.View = append(e.Plans, f.name), e.View || f.view
		}
		all = append(all, e)
	}
	return all
}

// Push is a source that records are pushed to.
func (r *runningJob) Push(source string) *push.Source { return r.pushed[source] }

// Rejects are the newest records that could not be read.
func (r *runningJob) Rejects() ([]server.Reject, uint64) { return r.rejects.list() }

// rejectRing has the newest records that could not be read.
type rejectRing struct {
	mu  sync.Mutex
	all uint64
	// last has the newest MaxRejects; the next goes to all modulo that.
	last []server.Reject
}

func (r *rejectRing) add(x server.Reject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x.Time = time.Now().UTC()
	if len(r.last) < server.MaxRejects {
		r.last = append(r.last, x)
	} else {
		r.last[r.all%server.MaxRejects] = x
	}
	r.all++
}

// list returns the rejects, the oldest first.
func (r *rejectRing) list() (newest []server.Reject, all uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := 0
	if len(r.last) == server.MaxRejects {
		at = int(r.all % server.MaxRejects)
	}
	return append(append([]server.Reject(nil), r.last[at:]...), r.last[:at]...), r.all
}

// The connector push.

func init() {
	connect.RegisterSource("push", connect.Source{
		Options: []connect.Option{
			{Name: "time.unit", Values: []string{"s", "ms", "us", "ns"}},
			{Name: "time.format"},
			{Name: "time.zone"},
			{Name: "strict", Kind: connect.Bool},
		},
		Check: func(r *connect.SourceRequest) error {
			_, err := openPush(r)
			return err
		},
		Endless: func(*connect.Options) bool { return true },
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return openPush(r)
		},
	})
}

// pushInput is a source that records are pushed to.
type pushInput struct{ source *push.Source }

func openPush(r *connect.SourceRequest) (*pushInput, error) {
	f := &files{schema: r.Schema}
	if err := inputOptions(r).lines(f); err != nil {
		return nil, r.Options.Errorf(optionConnector, "%v", err)
	}
	s, err := push.New(r.Name, r.Schema, f.ndjson())
	return &pushInput{s}, err
}

// Readers makes the one reader of a query.
func (p *pushInput) Readers(int) ([]record.Reader, error) {
	return []record.Reader{p.source.Reader()}, nil
}

// Close does nothing: the readers end with their engines.
func (p *pushInput) Close() error { return nil }
