package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// A job is one job of the catalog. Its goroutine alone changes it; what others may see is set with
// mu held.
type job struct {
	m    *Manager
	name string

	commands chan command
	gone     chan struct{} // closed when the goroutine has ended

	// The rest up to mu belongs to the goroutine.
	fault   error  // of the file
	cause   string // why it is looked at first
	program Program
	running Running // nil if nothing runs
	taken   int64   // of the memory of the manager
	// began has the result of a start; nil if none is under way. cancelStart ends it early.
	began       chan start
	cancelStart context.CancelFunc
	failures    failures
	retry       *time.Timer // nil if nothing is waited for
	restarts    uint64      // how many times it was started again after a failure
	waiting     []chan error
	// beside is the replacement that runs beside the job, and left the one that ran when the
	// process ended; nil if there is none.
	beside *beside
	left   *entry

	mu    sync.Mutex
	entry entry
	seen  Status
	shown Running
	// shownBeside and besideText are of the replacement.
	shownBeside Running
	besideText  string
}

// start is the result of a start.
type start struct {
	running Running
	err     error
}

// command is something that the goroutine shall do. It answers when that is done.
type command struct {
	do     func() error
	answer chan error
	// settle says that the answer waits until the job does what it should.
	settle bool
}

func newJob(m *Manager, name, cause string, e entry) *job {
	return &job{
		m: m, name: name, cause: cause, commands: make(chan command), gone: make(chan struct{}), entry: e,
		seen: Status{Name: name, State: Stopped, Since: time.Now().UTC()},
	}
}

func (j *job) status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.seen
	s.Desired, s.Generation = j.entry.Desired, j.entry.Generation
	return s
}

func (j *job) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entry.text
}

// send gives the goroutine a command and waits for the answer.
func (j *job) send(ctx context.Context, c command) error {
	c.answer = make(chan error, 1)
	select {
	case j.commands <- c:
	case <-j.gone:
		return j.over()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-c.answer:
		return err
	case <-j.gone:
		select {
		case err := <-c.answer:
			return err
		default:
			return j.over()
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// over is the error of a command to a job that is no more.
func (j *job) over() error {
	if j.m.ctx.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("job: %q: %w", j.name, ErrNoJob)
}

// do has the goroutine do something, and waits until the job does what it should.
func (j *job) do(ctx context.Context, f func() error) error {
	return j.send(ctx, command{do: f, settle: true})
}

// await waits until the job does what it should.
func (j *job) await(ctx context.Context) error {
	return j.do(ctx, func() error { return nil })
}

// turn notes a transition.
func (j *job) turn(to State, format string, args ...any) {
	cause := bounded(fmt.Sprintf(format, args...))
	j.mu.Lock()
	from := j.seen.State
	j.seen.State, j.seen.Cause, j.seen.Since = to, cause, time.Now().UTC()
	j.seen.Failures, j.seen.Restarts, j.seen.Next = j.failures.row, j.restarts, nil
	j.shown = nil
	if to == Active || to == Paused || to == Finished {
		j.shown = j.running
	}
	j.mu.Unlock()
	j.m.events.add(Event{Job: j.name, From: from, To: to, Cause: cause})
}

// say notes something that the job has said.
func (j *job) say(text string) { j.m.events.add(Event{Job: j.name, Cause: text}) }

// run is the goroutine of the job.
func (j *job) run() {
	defer close(j.gone)
	j.compile()
	left, err := j.m.store.leftBeside(j.name, j.entry.Generation)
	if err != nil {
		j.say("looking for a replacement: " + err.Error())
	}
	j.left = left
	j.reconcile(j.cause)
	for {
		if s := j.state(); j.left != nil && s != Starting && s != BackingOff {
			j.resumeBeside()
		}
		if j.state() == Stopped && j.entry.Desired == shouldGo && j.began == nil {
			if j.remove() {
				return
			}
		}
		var ended <-chan struct{}
		if j.running != nil && j.state() != Finished {
			ended = j.running.Done()
		}
		var besideBegan <-chan besideStart
		var caught <-chan error
		if j.beside != nil {
			besideBegan = j.beside.began
			if j.began == nil { // the old one is not half there
				caught = j.beside.caught
			}
		}
		var retry, besideRetry <-chan time.Time
		if j.retry != nil {
			retry = j.retry.C
		}
		if j.beside != nil && j.beside.retry != nil {
			besideRetry = j.beside.retry.C
		}
		select {
		case c := <-j.commands:
			err := c.do()
			if err != nil || !c.settle {
				c.answer <- err
				continue
			}
			j.waiting = append(j.waiting, c.answer)
			j.settle()
		case s := <-j.began:
			j.hasBegun(s)
		case s := <-besideBegan:
			j.besideBegan(s)
		case err := <-caught:
			j.besideCaught(err)
		case <-besideRetry:
			j.beside.retry = nil
			j.launchBeside("tried again")
		case <-ended:
			j.hasEnded()
		case <-retry:
			j.retry = nil
			j.restarts++
			j.reconcile("tried again")
		case <-j.m.ctx.Done():
			j.shutdown()
			return
		}
	}
}

func (j *job) state() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seen.State
}

// compile compiles the text of the catalog. A job that does not compile is failed.
func (j *job) compile() {
	p, err := Program(nil), j.fault
	if err == nil {
		p, err = contained(func() (Program, error) {
			return j.m.cfg.Runner.Compile(j.name, j.entry.text, j.entry.Options)
		})
	}
	j.fault, j.program = err, p
	j.show()
}

// show notes what the program has.
func (j *job) show() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen.Objects, j.seen.Memory = nil, 0
	if j.program != nil {
		j.seen.Objects, j.seen.Memory = j.program.Objects(), j.program.Memory()
	}
}

// settle answers those who wait, if the job does what it should, or has given up.
func (j *job) settle() {
	if len(j.waiting) == 0 || j.began != nil {
		return
	}
	var err error
	switch s := j.status(); s.State {
	case Failed, BackingOff:
		if s.Desired != ShouldStop && s.Desired != shouldGo {
			err = fmt.Errorf("job %q: %w: %s", j.name, ErrFailed, s.Cause)
		}
	case Starting, Stopping, Replacing:
		return
	case Active:
		if s.Desired == ShouldPause {
			err = fmt.Errorf("job %q: %w: it could not be paused, its events say why", j.name, ErrState)
		}
	case Paused:
		if s.Desired == ShouldRun {
			err = fmt.Errorf("job %q: %w: it could not go on, its events say why", j.name, ErrState)
		}
	}
	if j.entry.Desired == shouldGo {
		return // they are answered when it has been removed
	}
	j.answer(err)
}

func (j *job) answer(err error) {
	for _, w := range j.waiting {
		w <- err
	}
	j.waiting = nil
}

// want sets what the job should do, and does it. What should be is durable first.
func (j *job) want(d Desired) error {
	if j.entry.Desired == d && (d != ShouldRun || j.running != nil && j.state() != Finished) {
		return nil
	}
	if d == ShouldPause || d == ShouldRun && j.state() == Finished {
		if err := j.noBeside(); err != nil {
			return err
		}
	}
	e := j.entry
	e.Desired = d
	if err := j.m.store.put(j.name, e); err != nil {
		return err
	}
	if d == ShouldStop || d == shouldGo {
		j.giveUp(fmt.Errorf("the user wants the job %s", d))
	}
	j.mu.Lock()
	j.entry = e
	j.mu.Unlock()
	j.failures = failures{} // the user wants it: all tries are there again
	if j.state() == Finished && d == ShouldRun {
		j.stop("started again")
	}
	j.reconcile("the user wants it " + string(d))
	return nil
}

// reconcile brings the job nearer to what it should do.
func (j *job) reconcile(cause string) {
	if j.retry != nil {
		j.retry.Stop()
		j.retry = nil
	}
	switch j.entry.Desired {
	case ShouldRun, ShouldPause:
		switch {
		case j.began != nil: // what it should do is looked at when it has begun
		case j.running == nil:
			j.begin(cause)
		case j.state() == Finished:
		default:
			j.pauseOrResume(cause)
		}
	default:
		if j.began != nil {
			j.cancelStart()
			return
		}
		j.stop(cause)
	}
	j.settle()
}

// begin starts the job in a goroutine of its own.
func (j *job) begin(cause string) {
	if j.program == nil {
		j.compile() // the text is the same, and the program that compiles it may be another
	}
	if j.fault != nil {
		j.turn(Failed, "the text does not compile: %v", j.fault)
		return
	}
	need := j.program.Memory()
	if budget := j.m.cfg.Memory; budget > 0 && j.m.memory.Add(need) > budget {
		free := budget - j.m.memory.Add(-need)
		j.turn(Failed, "%v: it needs %d MiB, of %d MiB for all jobs %d are free", ErrMemory, need>>20, budget>>20,
			free>>20)
		return
	} else if budget <= 0 {
		j.m.memory.Add(need)
	}
	j.taken = need
	j.turn(Starting, "%s", cause)
	ctx, cancel := context.WithCancel(j.m.ctx)
	began := make(chan start, 1)
	j.began, j.cancelStart = began, cancel
	program, folder := j.program, j.m.store.state(j.name, j.entry.Generation)
	paused := j.entry.Desired == ShouldPause
	go func() {
		defer cancel()
		select {
		case j.m.starting <- struct{}{}:
			defer func() { <-j.m.starting }()
		case <-ctx.Done():
			began <- start{nil, context.Cause(ctx)}
			return
		}
		j.m.store.crash("start")
		err := os.MkdirAll(folder, 0o700)
		if err != nil {
			began <- start{nil, err}
			return
		}
		r, err := contained(func() (Running, error) { return program.Start(ctx, folder, paused, j.say) })
		began <- start{r, err}
	}()
}

// maxStack bounds what the error of a panic has of its stack, in bytes.
const maxStack = 2048

// contained turns a panic into an error, so that one job takes no other along.
func contained[T any](f func() (T, error)) (r T, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			err = fmt.Errorf("panic: %v\n%s", p, stack[:min(len(stack), maxStack)])
		}
	}()
	return f()
}

// hasBegun notes the result of a start.
func (j *job) hasBegun(s start) {
	cancelled := s.err != nil && j.entry.Desired != ShouldRun && j.entry.Desired != ShouldPause
	j.began, j.cancelStart = nil, nil
	j.running = s.running
	switch {
	case s.err == nil:
		to := Active
		if j.entry.Desired == ShouldPause {
			to = Paused
		}
		j.turn(to, "started")
		j.reconcile("what it should do has changed while it started")
	case cancelled:
		j.free()
		j.turn(Stopped, "the start was cancelled")
		j.settle()
	default:
		j.hasFailed(s.err)
	}
}

// hasEnded notes that the job has ended by itself.
func (j *job) hasEnded() {
	err := j.running.Err()
	if err == nil {
		j.turn(Finished, "the input has come to its end")
		j.settle()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), j.m.cfg.StopTimeout)
	defer cancel()
	_ = j.running.Stop(ctx) // the error is in err already
	j.running = nil
	j.hasFailed(err)
}

// free gives back the memory.
func (j *job) free() {
	j.m.memory.Add(-j.taken)
	j.taken = 0
}

// hasFailed notes a failure, and plans the next try.
func (j *job) hasFailed(err error) {
	j.free()
	p := j.m.cfg.Policy
	delay, again := j.failures.add(p)
	switch {
	case errors.Is(err, ErrPermanent):
		j.turn(Failed, "%v", err)
	case !again:
		j.turn(Failed, "%v; it has failed %d times within %v and is not started again", err, p.Most, p.Within)
	default:
		j.turn(BackingOff, "%v; started again after %v", err, delay)
		next := time.Now().Add(delay).UTC()
		j.mu.Lock()
		j.seen.Next = &next
		j.mu.Unlock()
		j.retry = time.NewTimer(delay)
	}
	j.settle()
}

// pauseOrResume has a job that runs do what it should.
func (j *job) pauseOrResume(cause string) {
	ctx, cancel := context.WithTimeout(j.m.ctx, j.m.cfg.StopTimeout)
	defer cancel()
	switch state := j.state(); {
	case j.entry.Desired == ShouldPause && state != Paused:
		if err := j.running.Pause(ctx); err != nil {
			j.say("pausing: " + err.Error())
			return
		}
		j.turn(Paused, "%s", cause)
	case j.entry.Desired == ShouldRun && state == Paused:
		if err := j.running.Resume(ctx); err != nil {
			j.say("resuming: " + err.Error())
			return
		}
		j.turn(Active, "%s", cause)
	}
}

// stop ends the job in order.
func (j *job) stop(cause string) {
	if j.running != nil {
		j.turn(Stopping, "%s", cause)
		ctx, cancel := context.WithTimeout(context.Background(), j.m.cfg.StopTimeout)
		err := j.running.Stop(ctx)
		cancel()
		j.running = nil
		if err != nil {
			j.say("stopping: " + err.Error())
		}
		j.free()
	}
	if j.state() != Stopped {
		j.turn(Stopped, "%s", cause)
	}
}

// restart ends the job and starts it again.
func (j *job) restart() error {
	if j.entry.Desired == ShouldStop || j.began != nil {
		return fmt.Errorf("job %q: %w: it is %s", j.name, ErrState, j.state())
	}
	if err := j.noBeside(); err != nil {
		return err
	}
	j.stop("restarted")
	j.program = nil
	j.failures = failures{}
	j.reconcile("restarted")
	return nil
}

// checkpoint saves the state. The goroutine of the job does not wait for it.
func (j *job) checkpoint(ctx context.Context) error {
	r := Running(nil)
	err := j.send(ctx, command{do: func() error {
		r = j.running
		if r == nil || j.state() == Finished {
			return fmt.Errorf("job %q: %w: it is %s, so there is nothing to save", j.name, ErrState, j.state())
		}
		return nil
	}})
	if err != nil {
		return err
	}
	return r.Checkpoint(ctx)
}

// replace replaces the text. The manager has compiled it, and holds what keeps others from changing
// the catalog.
func (j *job) replace(ctx context.Context, text string, p Program, o PutOptions) (done string, err error) {
	err = j.send(ctx, command{do: func() error {
		before := j.entry
		var lost Loss
		same := before.Options
		same.Drop = same.Drop && o.Drop // the same text again needs it no more
		switch {
		case j.fault != nil && j.program == nil:
			// The old text does not compile any more: the state is compared when the new one
			// starts.
		case before.text == text && same == o.Options && !o.Fresh:
			done = PutUnchanged
			return nil
		default:
			lost = p.Lost(j.program)
		}
		if err := j.noBeside(); err != nil {
			return err
		}
		if o.Beside {
			done = PutBeside
			if err := j.mayRunBeside(p, o); err != nil || o.DryRun {
				return err
			}
			return j.putBeside(text, p, o)
		}
		if o.Drop {
			lost.Gone = nil
		}
		done = PutReplaced
		if o.Fresh {
			done = PutFresh
		}
		if len(lost.Changed)+len(lost.Gone) > 0 && !o.Fresh {
			return &LossError{Job: j.name, Loss: lost}
		}
		if o.DryRun {
			return nil
		}
		if before.Desired == shouldGo {
			return fmt.Errorf("job %q: %w: it is being deleted", j.name, ErrState)
		}
		return j.swap(before, text, p, o)
	}})
	return done, err
}

// swap puts a new text into the place of the old one. If the new one does not start, the old one is
// put back.
func (j *job) swap(before entry, text string, p Program, o PutOptions) error {
	if j.began != nil {
		return fmt.Errorf("job %q: %w: it is starting", j.name, ErrState)
	}
	old, oldFault, ran := j.program, j.fault, j.running != nil
	if ran {
		j.turn(Replacing, "another text was put")
		ctx, cancel := context.WithTimeout(context.Background(), j.m.cfg.StopTimeout)
		err := j.running.Stop(ctx)
		cancel()
		j.running = nil
		j.free()
		if err != nil {
			j.say("stopping: " + err.Error())
		}
	}
	e := before
	e.text, e.Options = text, o.Options
	err := error(nil)
	if o.Fresh {
		e.Generation, err = j.m.store.unused(j.name, before.Generation)
	}
	if err == nil {
		err = j.m.store.put(j.name, e)
	}
	if err != nil {
		j.reconcile("the catalog could not be written")
		return err
	}
	j.become(e, p, nil)
	if e.Desired == ShouldStop {
		if ran {
			j.turn(Stopped, "replaced")
		}
		return nil
	}
	j.begin("another text was put")
	if j.began == nil { // it does not fit into the memory
		return j.back(before, old, oldFault, errors.New(j.status().Cause))
	}
	s := <-j.began
	if s.err != nil && j.m.ctx.Err() == nil {
		j.began, j.cancelStart = nil, nil
		j.free()
		return j.back(before, old, oldFault, s.err)
	}
	j.hasBegun(s)
	if o.Fresh && s.err == nil {
		j.m.store.tidy(j.name, e.Generation)
	}
	return nil
}

// back puts the old text back.
func (j *job) back(before entry, old Program, fault, why error) error {
	tried := j.entry.Generation
	if err := j.m.store.put(j.name, before); err != nil {
		return errors.Join(why, err)
	}
	if tried != before.Generation {
		j.m.store.dropBeside(j.name, tried) // it has read nothing
	}
	j.become(before, old, fault)
	j.say("the new text does not start, the old one was put back: " + why.Error())
	j.reconcile("the old text was put back")
	return fmt.Errorf("job %q: %w: the new text does not start, so the old one was put back: %w", j.name, ErrFailed,
		why)
}

// become makes an entry that is durable the entry of the job.
func (j *job) become(e entry, p Program, fault error) {
	j.mu.Lock()
	j.entry = e
	j.mu.Unlock()
	j.program, j.fault = p, fault
	j.failures = failures{}
	j.show()
}

// remove removes the job. It returns false if it cannot be removed now.
func (j *job) remove() bool {
	if err := j.m.store.remove(j.name); err != nil {
		j.answer(err)
		j.turn(Failed, "%v", err)
		return false
	}
	j.m.mu.Lock()
	delete(j.m.jobs, j.name)
	j.m.mu.Unlock()
	j.say("deleted")
	j.answer(nil)
	return true
}

// shutdown ends the job because the manager ends. What it should do stays as it is.
func (j *job) shutdown() {
	if j.retry != nil {
		j.retry.Stop()
	}
	if j.began != nil {
		s := <-j.began
		j.began, j.running = nil, s.running
	}
	j.endBeside()
	j.stop("the server ends")
	j.answer(ErrClosed)
}
