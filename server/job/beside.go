package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Replacement is a Program that can run beside the program that it replaces.
type Replacement interface {
	Program

	// Beside says why the program cannot run beside another over the same sources, and what to do;
	// nil if it can.
	Beside() error

	// StartBeside starts the job as Start does, and shows none of its results.
	StartBeside(ctx context.Context, folder string, say func(text string)) (Candidate, error)
}

// A Candidate is a Running job whose results nobody sees yet.
type Candidate interface {
	Running

	// CatchUp returns when the job has read what its sources had, so that its results are as new as
	// the results of a job that has run for long. The error says that ctx is done, or that the job
	// has failed.
	CatchUp(ctx context.Context) error

	// TakeOver shows the results, and hides the results of the old job in the same step; old is nil
	// if it does not run. After an error the old ones are shown as before.
	TakeOver(old Running) error
}

// ErrBeside says that a job cannot be replaced side by side.
var ErrBeside = errors.New("it cannot be replaced side by side")

// errGivenUp says that a replacement has been given up.
var errGivenUp = errors.New("the replacement was given up, and the job is as it was")

// takeOverAgain is how long a take-over waits after the catalog could not be written.
const takeOverAgain = time.Second

// StateCatchingUp is the state of a replacement that runs and has not caught up.
const StateCatchingUp State = "catching up"

// Beside describes a replacement that runs beside its job.
type Beside struct {
	// State is Starting, StateCatchingUp or BackingOff.
	State State     `json:"state"`
	Since time.Time `json:"since"` // of the state
	// Cause is the last failure; "" before the first.
	Cause string `json:"cause,omitempty"`
	// Failures are how many failures there have been in a row.
	Failures int `json:"failures,omitempty"`
	// Next is when a replacement that backs off is started again; nil in every other state.
	Next       *time.Time `json:"next,omitempty"`
	Generation int        `json:"generation"`
	Objects    []Object   `json:"objects,omitempty"`
	Memory     int64      `json:"memory,omitempty"`
}

// String says it in words; nothing if there is none.
func (b *Beside) String() string {
	if b == nil {
		return ""
	}
	text := fmt.Sprintf("generation %d, %s since %s", b.Generation, b.State, b.Since.Format(time.RFC3339))
	if b.Failures > 0 {
		text += fmt.Sprintf(", failures %d", b.Failures)
	}
	if b.Next != nil {
		text += ", next try at " + b.Next.Format(time.RFC3339)
	}
	return text
}

// beside is a replacement that runs beside the job. The goroutine of the job alone uses it.
type beside struct {
	entry   entry
	program Replacement
	taken   int64 // of the memory of the manager
	running Candidate
	// cancel ends the start, or the wait for the sources.
	cancel context.CancelFunc
	// began has the result of the start; nil after that. caught has the result of CatchUp, once, or
	// nil again and again while the catalog cannot be written.
	began  chan besideStart
	caught chan error
	// ran says that it has been started. Then a failure may pass: failures counts them, and cause
	// is the last. Retry fires at next, when it is started again; it is nil if nothing is waited
	// for.
	ran      bool
	failures failures
	cause    string
	retry    *time.Timer
	next     time.Time
	// said says that it was said that the catalog cannot be written.
	said    bool
	outcome chan error
}

// besideStart is the result of the start of a replacement.
type besideStart struct {
	running Candidate
	err     error
}

// noBeside says why a replacement has to be given up before something else is done.
func (j *job) noBeside() error {
	if j.beside == nil {
		return nil
	}
	return fmt.Errorf("job %q: %w: a replacement runs beside it; wait until that has taken over, or abort it", j.name,
		ErrState)
}

// mayRunBeside says why a program cannot run beside the job now.
func (j *job) mayRunBeside(p Program, o PutOptions) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("job %q: %w: "+format, append([]any{j.name, ErrBeside}, args...)...)
	}
	r, ok := p.(Replacement)
	switch state := j.state(); {
	case !ok:
		return refuse("this server starts no replacements; fresh begins anew")
	case o.Fresh || o.Drop:
		return refuse("fresh and drop replace the job at once, so they do not go together with side-by-side")
	case j.entry.Desired != ShouldRun || state != Active && state != Finished:
		return refuse("it is %s, so there are no results to keep until the new ones are complete; fresh begins anew",
			state)
	}
	if err := r.Beside(); err != nil {
		return refuse("%w", err)
	}
	taken, budget := j.m.Memory()
	if need := p.Memory(); budget > 0 && taken+need > budget {
		return fmt.Errorf("job %q: %w for both: the replacement needs %d MiB, of %d MiB for all jobs %d are free; "+
			"stop another job, give the replacement less, or begin anew with fresh", j.name, ErrMemory, need>>20,
			budget>>20, (budget-taken)>>20)
	}
	return nil
}

// putBeside starts a replacement beside the job. That it should run is durable first.
func (j *job) putBeside(text string, p Program, o PutOptions) error {
	n, err := j.m.store.unused(j.name, j.entry.Generation)
	if err != nil {
		return err
	}
	e := entry{text, meta{ShouldRun, n, o.Options}}
	if err := j.m.store.putBeside(j.name, e); err != nil {
		return err
	}
	return j.startBeside(e, p.(Replacement), o.outcome, "another text was put, side by side")
}

// resumeBeside starts the replacement that ran when the process ended.
func (j *job) resumeBeside() {
	e := j.left
	if e == nil || j.began != nil || j.beside != nil {
		return
	}
	j.left = nil
	p, err := contained(func() (Program, error) { return j.m.cfg.Runner.Compile(j.name, e.text, e.Options) })
	if err == nil {
		err = j.mayRunBeside(p, PutOptions{})
	}
	if err == nil {
		err = j.startBeside(*e, p.(Replacement), make(chan error, 1), "it ran when the process ended")
	}
	if err == nil {
		j.beside.ran = true // what it has read is worth another try
	}
	if err != nil {
		j.say(fmt.Sprintf("the replacement that ran when the process ended, generation %d, is given up, and the old "+
			"job goes on: %v", e.Generation, err))
		j.m.store.dropBeside(j.name, e.Generation)
	}
}

// startBeside starts a replacement in a goroutine of its own. Outcome has room for one value: an
// error if the replacement is given up, nil when it has taken over.
func (j *job) startBeside(e entry, p Replacement, outcome chan error, cause string) error {
	need := p.Memory()
	if budget := j.m.cfg.Memory; j.m.memory.Add(need) > budget && budget > 0 {
		j.m.memory.Add(-need)
		j.m.store.dropBeside(j.name, e.Generation)
		return fmt.Errorf("job %q: %w for both", j.name, ErrMemory)
	}
	j.beside = &beside{entry: e, program: p, taken: need, outcome: outcome}
	j.launchBeside(cause)
	return nil
}

// launchBeside starts the replacement, for the first time or once more.
func (j *job) launchBeside(cause string) {
	b := j.beside
	e, p := b.entry, b.program
	ctx, cancel := context.WithCancel(j.m.ctx)
	b.cancel, b.began = cancel, make(chan besideStart, 1)
	j.showBeside(Starting)
	j.say(fmt.Sprintf("a replacement starts beside it, generation %d: %s", e.Generation, cause))
	folder, began := j.m.store.state(j.name, e.Generation), b.began
	go func() {
		select {
		case j.m.starting <- struct{}{}:
			defer func() { <-j.m.starting }()
		case <-ctx.Done():
			began <- besideStart{nil, context.Cause(ctx)}
			return
		}
		j.m.store.crash("start beside")
		say := func(text string) { j.sayOf(e.Generation, text) }
		r, err := contained(func() (Candidate, error) { return p.StartBeside(ctx, folder, say) })
		began <- besideStart{r, err}
	}()
}

// sayOf notes something that a replacement has said, also after it has taken over.
func (j *job) sayOf(generation int, text string) {
	j.mu.Lock()
	r := j.seen.Replacement
	beside := r != nil && r.Generation == generation
	j.mu.Unlock()
	if beside {
		text = "replacement: " + text
	}
	j.say(text)
}

// showBeside notes what others may see of the replacement. State "" is none.
func (j *job) showBeside(s State) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seen.Replacement, j.shownBeside, j.besideText = nil, nil, ""
	if b := j.beside; b != nil && s != "" {
		j.seen.Replacement = &Beside{
			State: s, Since: time.Now().UTC(), Generation: b.entry.Generation, Objects: b.program.Objects(),
			Memory: b.program.Memory(), Cause: b.cause, Failures: b.failures.row,
		}
		if b.retry != nil {
			next := b.next
			j.seen.Replacement.Next = &next
		}
		j.besideText = b.entry.text
		if b.running != nil {
			j.shownBeside = b.running
		}
	}
}

// besideBegan notes the result of the start of the replacement.
func (j *job) besideBegan(s besideStart) {
	b := j.beside
	b.began, b.running = nil, s.running
	if j.m.ctx.Err() != nil { // shutdown ends it, and its state stays for the next start
		return
	}
	if s.err != nil {
		j.besideFailed(fmt.Errorf("it does not start: %w", s.err))
		return
	}
	b.ran = true
	ctx, cancel := context.WithCancel(j.m.ctx)
	b.cancel()
	b.cancel = cancel
	caught := make(chan error, 1)
	b.caught = caught
	j.showBeside(StateCatchingUp)
	j.say("the replacement runs, and takes over when it has read what its sources have")
	go func() {
		_, err := contained(func() (struct{}, error) { return struct{}{}, s.running.CatchUp(ctx) })
		caught <- err
	}()
}

// besideCaught has the replacement take over, if it has caught up. The catalog names the
// replacement first: what is there after that is the new job, whatever happens.
func (j *job) besideCaught(err error) {
	b := j.beside
	if err != nil && j.m.ctx.Err() != nil { // the end of the manager has ended the wait; its state stays
		return
	}
	if err != nil {
		j.besideFailed(err)
		return
	}
	before, old := j.entry, j.running
	e := b.entry
	e.Desired = before.Desired
	if err := j.m.store.put(j.name, e); err != nil {
		if !b.said {
			j.say(fmt.Sprintf("the replacement has caught up and cannot take over: %v; it is tried again", err))
			b.said = true
		}
		caught := b.caught
		time.AfterFunc(takeOverAgain, func() { caught <- nil })
		return
	}
	if err := b.running.TakeOver(old); err != nil {
		if back := j.m.store.put(j.name, before); back != nil {
			err = errors.Join(err, back)
		}
		j.giveUp(err)
		return
	}
	b.cancel()
	if j.retry != nil { // the old one has failed
		j.retry.Stop()
		j.retry = nil
	}
	taken := j.taken
	j.running, j.taken = b.running, b.taken
	j.become(e, b.program, nil)
	j.beside = nil
	j.showBeside("")
	j.turn(Active, "the replacement has taken over, generation %d", e.Generation)
	if old != nil {
		ctx, cancel := context.WithTimeout(context.Background(), j.m.cfg.StopTimeout)
		err := old.Stop(ctx)
		cancel()
		if err != nil {
			j.say("stopping the old job: " + err.Error())
		}
	}
	j.m.memory.Add(-taken)
	j.m.store.tookOver(j.name, e.Generation)
	b.outcome <- nil
	j.settle()
}

// besideFailed plans the next try of a replacement that has failed, as for a job. One that has
// never started, or has failed too often, is given up.
func (j *job) besideFailed(err error) {
	b := j.beside
	policy := j.m.cfg.Policy
	delay, again := b.failures.add(policy)
	switch {
	case !b.ran || errors.Is(err, ErrPermanent):
		j.giveUp(err)
	case !again:
		j.giveUp(fmt.Errorf("%w; it has failed %d times within %v", err, policy.Most, policy.Within))
	default:
		j.haltBeside()
		b.retry, b.next, b.cause = time.NewTimer(delay), time.Now().UTC().Add(delay), err.Error()
		j.showBeside(BackingOff)
		j.say(fmt.Sprintf("the replacement, generation %d, has failed, and is started again after %v: %v",
			b.entry.Generation, delay, err))
	}
}

// giveUp ends the replacement and removes its state. The job goes on as it is.
func (j *job) giveUp(why error) {
	b := j.beside
	if b == nil {
		return
	}
	j.endBeside()
	j.m.store.dropBeside(j.name, b.entry.Generation)
	j.say(fmt.Sprintf("the replacement, generation %d, is given up, and the old job goes on: %v", b.entry.Generation,
		why))
	b.outcome <- fmt.Errorf("job %q: %w: %w: %w", j.name, ErrFailed, errGivenUp, why)
}

// endBeside ends the replacement in order. Its state stays.
func (j *job) endBeside() {
	b := j.beside
	if b == nil {
		return
	}
	j.haltBeside()
	j.m.memory.Add(-b.taken)
	j.beside = nil
	j.showBeside("")
}

// haltBeside stops what runs of the replacement, and what is waited for.
func (j *job) haltBeside() {
	b := j.beside
	b.cancel()
	if b.retry != nil {
		b.retry.Stop()
		b.retry = nil
	}
	if b.began != nil {
		b.running = (<-b.began).running
		b.began = nil
	}
	if b.running != nil {
		ctx, cancel := context.WithTimeout(context.Background(), j.m.cfg.StopTimeout)
		_ = b.running.Stop(ctx) // nobody has seen its results
		cancel()
	}
	b.running, b.caught = nil, nil
}

// abort gives up the replacement because the user wants it.
func (j *job) abort() error {
	if j.beside == nil {
		return fmt.Errorf("job %q: %w: no replacement runs beside it", j.name, ErrState)
	}
	j.giveUp(errors.New("the user has aborted it"))
	return nil
}

// awaitOutcome waits until a replacement has taken over, or was given up.
func (j *job) awaitOutcome(ctx context.Context, outcome chan error) error {
	select {
	case err := <-outcome:
		return err
	case <-j.gone:
		return j.over()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Abort gives up the replacement that runs beside a job. The job is as it was.
func (m *Manager) Abort(ctx context.Context, name string) error {
	j, err := m.find(name)
	if err != nil {
		return err
	}
	return j.send(ctx, command{do: j.abort})
}

// Candidate is the replacement that runs beside a job, and its text; nil if there is none, or it is
// still starting.
func (m *Manager) Candidate(name string) (r Running, text string, err error) {
	j, err := m.find(name)
	if err != nil {
		return nil, "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.shownBeside, j.besideText, nil
}

// The files of a replacement. A folder of the state that has the file besideFile belongs to a
// replacement that has not taken over; the file is its entry.

const (
	besideFile = "replacement.sql"
	// besideHalf are the names that the file has while it is written.
	besideHalf = ".replacement-*"
	// droppedSuffix ends the names of folders that are being removed.
	droppedSuffix = "-dropped"
)

// unused is the next number of a folder of the state that nothing has used.
func (s *store) unused(name string, generation int) (int, error) {
	for n := generation + 1; ; n++ {
		_, err := os.Lstat(s.state(name, n))
		if errors.Is(err, os.ErrNotExist) {
			return n, nil
		}
		if err != nil {
			return 0, unchanged(err)
		}
	}
}

// putBeside makes the folder of a replacement. When it returns nil, the folder is durable.
func (s *store) putBeside(name string, e entry) (err error) {
	defer func() { err = unchanged(err) }()
	b, err := e.bytes()
	if err != nil {
		return err
	}
	s.crash("begin beside")
	folder := s.state(name, e.Generation)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	err = s.write(folder, besideHalf, filepath.Join(folder, besideFile), b)
	if err == nil {
		err = errors.Join(syncDir(s.folder(name)), syncDir(filepath.Dir(s.folder(name))))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	return nil
}

// dropBeside removes the state of a replacement that is given up. It gets another name first, so
// that it is no replacement after a crash.
func (s *store) dropBeside(name string, generation int) {
	folder := s.state(name, generation)
	s.crash("drop beside")
	if os.Rename(folder, folder+droppedSuffix) == nil {
		_ = syncDir(s.folder(name))
		s.crash("drop state")
		_ = os.RemoveAll(folder + droppedSuffix)
	}
}

// tookOver tidies after a replacement has taken over: its folder is the one of the job now.
func (s *store) tookOver(name string, generation int) {
	s.crash("took over")
	_ = os.Remove(filepath.Join(s.state(name, generation), besideFile))
	s.tidy(name, generation)
}

// leftBeside finds the replacement that ran beside a job when the process ended; nil if there was
// none. One that had taken over is tidied.
func (s *store) leftBeside(name string, generation int) (*entry, error) {
	folders, err := os.ReadDir(s.folder(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var left *entry
	faults := []error{err}
	for _, f := range folders {
		folder := filepath.Join(s.folder(name), f.Name())
		if strings.HasSuffix(f.Name(), droppedSuffix) {
			faults = append(faults, os.RemoveAll(folder))
			continue
		}
		n, err := strconv.Atoi(f.Name())
		if err != nil || n < generation {
			continue
		}
		path := filepath.Join(folder, besideFile)
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			if n > generation { // the process ended before it had the file
				halves, _ := filepath.Glob(filepath.Join(folder, besideHalf))
				for _, half := range halves {
					_ = os.Remove(half)
				}
				_ = os.Remove(folder) // it stays if it has anything else
			}
			continue
		case err != nil:
			faults = append(faults, err)
			continue
		case n == generation:
			s.tookOver(name, generation)
			continue
		}
		e, err := parseEntry(string(text))
		if err != nil || e.Generation != n || left != nil {
			faults = append(faults, fmt.Errorf("%s: it is no replacement: %w", path, err))
			continue
		}
		left = &e
	}
	return left, errors.Join(faults...)
}
