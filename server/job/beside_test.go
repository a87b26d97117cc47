package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Beside is ErrBeside's reason.
func (p *fakeProgram) Beside() error {
	if strings.Contains(p.text, "sink") {
		return errors.New("both jobs would write to sink s")
	}
	return nil
}

// StartBeside starts a replacement.
func (p *fakeProgram) StartBeside(_ context.Context, folder string, say func(string)) (Candidate, error) {
	p.of.starts.Add(1)
	if p.of.dead.Load() || strings.Contains(p.text, "nostart") || strings.Contains(p.text, "forever") {
		return nil, errors.New("it does not start")
	}
	if p.of.nobeside.Add(-1) >= 0 {
		return nil, errors.New("the broker is away")
	}
	own := *p
	own.beside = true
	r, err := own.start(folder, false, say)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(p.text, "slow") {
		r.caughtUp()
	}
	return r, nil
}

func (r *fakeRunning) caughtUp() { r.caughtOnce.Do(func() { close(r.caught) }) }

// CatchUp waits until the test says so.
func (r *fakeRunning) CatchUp(ctx context.Context) error {
	select {
	case <-r.caught:
		return nil
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TakeOver puts the replacement into the place of the job.
func (r *fakeRunning) TakeOver(old Running) error {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if strings.Contains(r.text, "taken") {
		return errors.New("there is a view of that name")
	}
	if was, _ := old.(*fakeRunning); r.of.live[r.job] != was {
		r.of.faults = append(r.of.faults, "a replacement takes over from a job that does not run")
	}
	if r.of.candidates[r.job] != r {
		r.of.faults = append(r.of.faults, "a job takes over that is no replacement")
	}
	delete(r.of.candidates, r.job)
	r.of.live[r.job] = r
	return nil
}

// candidate is the replacement that runs in a folder.
func (f *fake) candidate(dir, name string) *fakeRunning {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.candidates[filepath.Join(dir, "jobs", name)]
}

// besideWorld is a manager with a job "one" of text fp=1.
type besideWorld struct {
	*testing.T
	dir string
	f   *fake
	m   *Manager
}

func newBeside(t *testing.T, more ...func(*Config)) *besideWorld {
	w := &besideWorld{T: t, dir: t.TempDir()}
	w.open(more...)
	t.Cleanup(func() { _ = w.m.Close() })
	_, err := w.m.Put(t.Context(), "one", "fp=1 view=v", PutOptions{})
	must(t, err)
	return w
}

func (w *besideWorld) open(more ...func(*Config)) {
	w.f = newFake()
	w.m = open(w.T, w.dir, w.f, more...)
}

// put puts a text side by side and does not wait until it has taken over.
func (w *besideWorld) put(text string) chan error {
	w.Helper()
	ended := make(chan error, 1)
	go func() {
		done, err := w.m.Put(context.Background(), "one", text, PutOptions{Beside: true})
		if err == nil && done != PutBeside {
			err = fmt.Errorf("put: %s", done)
		}
		ended <- err
	}()
	return ended
}

// until waits until something is so.
func (w *besideWorld) until(what string, is func(s Status) bool) Status {
	w.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s, _, err := w.m.Get("one")
		if err == nil && is(s) {
			return s
		}
		if time.Since(begin) > time.Minute {
			w.Fatalf("not %s: %+v, %v", what, s, err)
		}
	}
}

func (w *besideWorld) catchingUp() Status {
	w.Helper()
	return w.until("catching up", func(s Status) bool {
		return s.Replacement != nil && s.Replacement.State == StateCatchingUp
	})
}

// is checks the text and the generation of the job that runs, and the faults.
func (w *besideWorld) is(text string, generation int) {
	w.Helper()
	s, now, err := w.m.Get("one")
	must(w, err)
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	r := w.f.live[filepath.Join(w.dir, "jobs", "one")]
	if now != text || s.Generation != generation || r == nil || r.text != text || len(w.f.faults) > 0 {
		w.Errorf("the job is %+v %q, runs %+v, want generation %d of %q; %q", s, now, r, generation, text, w.f.faults)
	}
}

// folders are the folders of the state.
func (w *besideWorld) folders(want ...string) {
	w.Helper()
	files, err := os.ReadDir(filepath.Join(w.dir, "jobs", "one"))
	must(w, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, want) {
		w.Errorf("the state has the folders %q, want %q", names, want)
	}
}

// said says whether an event has a text.
func (w *besideWorld) said(text string) {
	w.Helper()
	all, _, _ := w.m.Events().After(0, "one")
	if !slices.ContainsFunc(all, func(e Event) bool { return strings.Contains(e.Cause, text) }) {
		w.Errorf("no event says %q: %+v", text, all)
	}
}

// TestBeside replaces a job side by side: the old one runs until the new one has caught up. Then it
// restarts the manager while both run, and after the new one has taken over.
func TestBeside(t *testing.T) {
	w := newBeside(t)
	ended := w.put("fp=2 slow view=v view2")
	s := w.catchingUp()
	w.is("fp=1 view=v", 1)
	w.folders("1", "2")
	if s.State != Active || s.Replacement.Generation != 2 || !strings.HasPrefix(s.Replacement.String(),
		"generation 2, catching up since ") {
		t.Errorf("%+v %v", s, s.Replacement)
	}
	if taken, _ := w.m.Memory(); taken != 20<<20 {
		t.Errorf("%d bytes are taken for both", taken)
	}
	for what, err := range map[string]error{
		"pause": w.m.Pause(t.Context(), "one"), "restart": w.m.Restart(t.Context(), "one"),
		"put":    func() error { _, err := w.m.Put(t.Context(), "one", "fp=1 x", PutOptions{}); return err }(),
		"beside": <-w.put("fp=3"),
	} {
		if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "abort it") {
			t.Errorf("%s while a replacement runs: %v", what, err)
		}
	}
	if done, err := w.m.Put(t.Context(), "one", "fp=1 view=v", PutOptions{Beside: true}); err != nil ||
		done != PutUnchanged {
		t.Errorf("the same text: %s, %v", done, err)
	}
	must(t, w.m.Checkpoint(t.Context(), "one"))
	r, text, err := w.m.Candidate("one")
	if r == nil || text != "fp=2 slow view=v view2" || err != nil {
		t.Errorf("the replacement is %v %q, %v", r, text, err)
	}
	// After a restart both go on.
	must(t, w.m.Close())
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("put, when the manager was closed: %v", err)
	}
	w.open()
	w.catchingUp()
	w.is("fp=1 view=v", 1)
	w.said("it ran when the process ended")
	w.f.candidate(w.dir, "one").caughtUp()
	w.until("taken over", func(s Status) bool { return s.Generation == 2 && s.State == Active && s.Replacement == nil })
	w.is("fp=2 slow view=v view2", 2)
	w.folders("1", "2")
	w.until("without the memory of the old job", func(Status) bool { taken, _ := w.m.Memory(); return taken == 10<<20 })
	w.said("the replacement has taken over, generation 2")
	must(t, <-w.put("fp=3"))
	w.is("fp=3", 3)
	w.folders("2", "3")
	must(t, w.m.Close())
	w.open()
	settled(t, w.m)
	w.is("fp=3", 3)
	w.folders("2", "3")
}

// TestBesideGoesOnAfterClose closes the manager while the goroutine of a job is busy, so that it
// finds two things at once: the manager ends, and so has the wait of the replacement. The
// replacement goes on after the next start. Which of the two comes first is up to chance, so it is
// done again and again.
func TestBesideGoesOnAfterClose(t *testing.T) {
	for _, starting := range []bool{false, true} {
		for range 20 {
			w := newBeside(t)
			if starting { // the places for starts are taken, so the replacement waits for one
				for range cap(w.m.starting) {
					w.m.starting <- struct{}{}
				}
			}
			ended := w.put("fp=2 slow view=v")
			w.until("there", func(s Status) bool {
				return s.Replacement != nil && (starting || s.Replacement.State == StateCatchingUp)
			})
			j, err := w.m.find("one")
			must(t, err)
			busy := make(chan struct{})
			j.commands <- command{answer: make(chan error, 1), do: func() error {
				close(busy)
				<-j.m.ctx.Done()
				for len(j.beside.caught)+len(j.beside.began) == 0 {
					time.Sleep(time.Millisecond)
				}
				return nil
			}}
			<-busy
			must(t, w.m.Close())
			if err := <-ended; !errors.Is(err, ErrClosed) {
				t.Errorf("put, when the manager was closed: %v", err)
			}
			w.open()
			w.catchingUp()
			must(t, w.m.Close())
		}
	}
}

// TestBesideRefused puts what cannot run beside another.
func TestBesideRefused(t *testing.T) {
	w := newBeside(t, func(c *Config) { c.Memory = 60 << 20 })
	refused := func(text string, o PutOptions, is error, want string) {
		t.Helper()
		for _, o.DryRun = range []bool{true, false} {
			o.Beside = true
			_, err := w.m.Put(t.Context(), "one", text, o)
			if !errors.Is(err, is) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
	}
	refused("fp=2 sink", PutOptions{}, ErrBeside, "both jobs would write to sink s")
	refused("fp=2", PutOptions{Fresh: true}, ErrBeside, "do not go together")
	_, err := w.m.Put(t.Context(), "two", "fp=1", PutOptions{})
	must(t, err)
	for i := range 4 {
		_, err := w.m.Put(t.Context(), fmt.Sprintf("more%d", i), "fp=1", PutOptions{})
		must(t, err)
	}
	refused("fp=2", PutOptions{}, ErrMemory,
		"for both: the replacement needs 10 MiB, of 60 MiB for all jobs 0 are free")
	must(t, w.m.Stop(t.Context(), "two"))
	must(t, w.m.Pause(t.Context(), "one"))
	refused("fp=2", PutOptions{}, ErrBeside, "it is paused")
	must(t, w.m.Stop(t.Context(), "one"))
	refused("fp=2", PutOptions{}, ErrBeside, "it is stopped")
	w.folders("1")
	if err := w.m.Abort(t.Context(), "one"); !errors.Is(err, ErrState) {
		t.Errorf("aborting nothing: %v", err)
	}
	if done, err := w.m.Put(t.Context(), "new", "fp=1", PutOptions{Beside: true}); err != nil || done != PutCreated {
		t.Errorf("a new job: %s, %v", done, err)
	}
	must(t, w.m.Delete(t.Context(), "new"))
	// A view of a replacement has its name alone, too.
	must(t, w.m.Start(t.Context(), "one"))
	_ = w.put("fp=2 slow view=other")
	w.catchingUp()
	if _, err := w.m.Put(t.Context(), "thief", "view=other", PutOptions{Stopped: true}); err == nil ||
		!strings.Contains(err.Error(), `there is a view "other" of job "one"`) {
		t.Errorf("the view of a replacement is taken: %v", err)
	}
}

// TestBesideGivenUp has replacements end before they have taken over: the old job is as it was.
func TestBesideGivenUp(t *testing.T) {
	for _, test := range []struct {
		name, text, said string
		end              func(w *besideWorld)
		stopped          bool
	}{
		{"no start", "fp=2 nostart", "it does not start", func(*besideWorld) {}, false},
		{"name taken", "fp=2 taken", "there is a view of that name", func(*besideWorld) {}, false},
		{"abort", "fp=2 slow", "the user has aborted it", func(w *besideWorld) {
			w.catchingUp()
			must(w, w.m.Abort(w.Context(), "one"))
		}, false},
		{"failures", "fp=2 slow", "it has failed 3 times", func(w *besideWorld) {
			for range quick.Most {
				w.catchingUp()
				begun := w.f.starts.Load()
				w.f.candidate(w.dir, "one").end(errors.New("the disk is full"))
				w.until("started again", func(s Status) bool {
					return s.Replacement == nil || w.f.starts.Load() > begun
				})
			}
		}, false},
		{"no use", "fp=2 slow", "that is no job", func(w *besideWorld) {
			w.catchingUp()
			w.f.candidate(w.dir, "one").end(fmt.Errorf("%w: that is no job", ErrPermanent))
		}, false},
		{"abort while it waits", "fp=2 slow", "the user has aborted it", func(w *besideWorld) {
			w.catchingUp()
			w.m.cfg.Policy.Min = time.Hour
			w.m.cfg.Policy.Max = time.Hour
			w.f.candidate(w.dir, "one").end(errors.New("the disk is full"))
			w.until("backing off", func(s Status) bool { return s.Replacement.State == BackingOff })
			must(w, w.m.Abort(w.Context(), "one"))
		}, false},
		{"stop", "fp=2 slow", "the user wants the job stopped", func(w *besideWorld) {
			w.catchingUp()
			must(w, w.m.Stop(w.Context(), "one"))
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newBeside(t)
			ended := w.put(test.text)
			test.end(w)
			if err := <-ended; !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), test.said) {
				t.Errorf("put: %v", err)
			}
			w.until("given up", func(s Status) bool { return s.Replacement == nil })
			w.said("is given up, and the old job goes on: ")
			w.folders("1")
			want := int64(10 << 20)
			if test.stopped {
				want = 0
			} else {
				w.is("fp=1 view=v", 1)
			}
			if taken, _ := w.m.Memory(); taken != want || w.f.candidate(w.dir, "one") != nil {
				t.Errorf("%d bytes are taken, the replacement is %v", taken, w.f.candidate(w.dir, "one"))
			}
		})
	}
}

// TestBesideOldFails has the old job fail while a replacement runs: each goes its way.
func TestBesideOldFails(t *testing.T) {
	w := newBeside(t)
	ended := w.put("fp=2 slow")
	w.catchingUp()
	begun := w.f.starts.Load()
	w.f.mu.Lock()
	r := w.f.live[filepath.Join(w.dir, "jobs", "one")]
	w.f.mu.Unlock()
	r.end(errors.New("it fails"))
	w.until("started again", func(s Status) bool { return s.State == Active && w.f.starts.Load() > begun })
	w.is("fp=1 view=v", 1)
	w.f.candidate(w.dir, "one").caughtUp()
	must(t, <-ended)
	w.is("fp=2 slow", 2)
}

// TestBesideFails has a replacement fail for a while: it is started again, goes on where it was,
// and takes over.
func TestBesideFails(t *testing.T) {
	w := newBeside(t)
	ended := w.put("fp=2 slow")
	for range quick.Most - 1 {
		w.catchingUp()
		begun := w.f.starts.Load()
		w.f.candidate(w.dir, "one").end(errors.New("the broker is away"))
		w.until("started again", func(s Status) bool { return w.f.starts.Load() > begun })
	}
	w.said("the replacement, generation 2, has failed, and is started again after ")
	w.is("fp=1 view=v", 1)
	r := w.catchingUp().Replacement
	if r.Failures != quick.Most-1 || r.Next != nil || r.Cause != "the broker is away" ||
		!strings.HasSuffix(r.String(), ", failures 2") {
		t.Errorf("the status of a replacement that runs again: %+v, %s", r, r)
	}
	w.f.candidate(w.dir, "one").caughtUp()
	must(t, <-ended)
	w.is("fp=2 slow", 2)
	w.folders("1", "2")
}

// Goal: the status of a replacement that has failed says why, how often, and when it is tried again.
// Method: a policy whose wait is longer than the test.
func TestBesideNext(t *testing.T) {
	w := newBeside(t, func(c *Config) { c.Policy = Policy{Min: time.Hour, Max: time.Hour, Most: 3, Within: time.Hour} })
	ended := w.put("fp=2 slow")
	if r := w.catchingUp().Replacement; r.Next != nil || r.Failures != 0 || r.Cause != "" ||
		strings.Contains(r.String(), "fail") {
		t.Errorf("before it fails: %+v", r)
	}
	before := time.Now()
	w.f.candidate(w.dir, "one").end(errors.New("the broker is away"))
	r := w.until("backing off", func(s Status) bool {
		return s.Replacement != nil && s.Replacement.State == BackingOff
	}).Replacement
	if r.Failures != 1 || r.Cause != "the broker is away" || r.Next == nil || r.Next.Before(before.Add(time.Hour)) ||
		r.Next.After(time.Now().Add(time.Hour)) || !strings.Contains(r.String(), ", failures 1, next try at 2") {
		t.Errorf("after it has failed: %+v, %s", r, r)
	}
	must(t, w.m.Abort(t.Context(), "one"))
	if err := <-ended; !errors.Is(err, errGivenUp) {
		t.Errorf("put: %v", err)
	}
}

// Goal: a replacement that is resumed after a restart and does not start then is tried again, as it
// has run before; it is given up only after as many failures as a job may have. Method: managers
// that are closed and opened again, with starts of replacements that fail.
func TestBesideResumedFails(t *testing.T) {
	w := newBeside(t)
	w.put("fp=2 slow")
	w.catchingUp()
	reopen := func(fails int64) {
		must(t, w.m.Close())
		w.f = newFake()
		w.f.nobeside.Store(fails)
		w.m = open(t, w.dir, w.f)
	}
	reopen(int64(quick.Most) - 1)
	if r := w.catchingUp().Replacement; r.Failures != quick.Most-1 || r.Generation != 2 {
		t.Errorf("the replacement is %+v", r)
	}
	w.said("has failed, and is started again after ")
	w.is("fp=1 view=v", 1)
	reopen(int64(quick.Most))
	w.until("given up", func(s Status) bool {
		all, _, _ := w.m.Events().After(0, "one")
		return s.Replacement == nil && strings.Contains(all[len(all)-1].Cause, "is given up, and the old job goes on")
	})
	w.is("fp=1 view=v", 1)
	w.folders("1")
}

// TestBesideFullDisk takes the catalog away when a replacement has caught up: it takes over when it
// can.
func TestBesideFullDisk(t *testing.T) {
	w := newBeside(t)
	ended := w.put("fp=2 slow")
	w.catchingUp()
	catalog, gone := filepath.Join(w.dir, "catalog"), filepath.Join(w.dir, "gone")
	must(t, os.Rename(catalog, gone))
	w.f.candidate(w.dir, "one").caughtUp()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		all, _, _ := w.m.Events().After(0, "one")
		if strings.Contains(all[len(all)-1].Cause, "cannot take over") {
			break
		}
	}
	w.is("fp=1 view=v", 1)
	must(t, os.Rename(gone, catalog))
	must(t, <-ended)
	w.is("fp=2 slow", 2)
}

// TestBesideCrash ends the process at each step of a replacement that takes over, and of one that
// is aborted. Afterwards one of the two jobs runs alone, or the replacement goes on beside the old
// one.
func TestBesideCrash(t *testing.T) {
	for _, end := range []string{"caught", "abort", "fails and caught", "fails and abort", "fails for good"} {
		for step := range 20 {
			if !crashBeside(t, end, step) {
				// Each start is a step, and so is what follows the end.
				want := map[string]int{
					"caught": 8, "abort": 6, "fails and caught": 9, "fails and abort": 7, "fails for good": 8,
				}[end]
				if step != want {
					t.Errorf("%s: there are %d steps, want %d", end, step, want)
				}
				break
			}
		}
	}
}

// crashBeside ends the process at one step. It returns false if there are fewer.
func crashBeside(t *testing.T, end string, step int) (died bool) {
	w := &besideWorld{T: t, dir: t.TempDir()}
	left, dead := -1, make(chan struct{})
	var mu sync.Mutex
	at := ""
	w.open(func(c *Config) {
		c.crash = func(name string) {
			mu.Lock()
			left--
			if left == -1 {
				at = name
				close(dead)
			}
			over := left <= -1 && at != ""
			mu.Unlock()
			if over {
				select {} // the goroutine of a process that is no more
			}
		}
	})
	first := w.m
	_, err := w.m.Put(t.Context(), "one", "fp=1", PutOptions{})
	must(t, err)
	mu.Lock()
	left = step
	mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		err := putBeside(first, dead, "one", "fp=2 slow")
		begun := errors.Is(err, context.Canceled)
		if begun && strings.HasPrefix(end, "fails") {
			failBeside(w, first, dead, end == "fails for good")
		}
		switch {
		case begun && strings.HasSuffix(end, "caught"):
			err = caught(first, "one")
		case begun && strings.HasSuffix(end, "abort"):
			err = first.Abort(context.Background(), "one")
		case begun:
			err = nil
		}
		select {
		case <-dead: // nobody hears what the process would have said
		default:
			ended <- err
		}
	}()
	select {
	case err := <-ended:
		must(t, err)
		must(t, w.m.Close())
		return false
	case <-dead:
	}
	must(t, first.lock.Close())
	w.open()
	defer func() { must(t, w.m.Close()) }()
	s := settled(t, w.m)["one"]
	_, text, err := w.m.Get("one")
	must(t, err)
	r, beside, _ := w.m.Candidate("one")
	mu.Lock()
	defer mu.Unlock()
	old := text == "fp=1" && s.Generation == 1
	now := text == "fp=2 slow" && s.Generation == 2 && r == nil
	both := old && beside == "fp=2 slow" && w.f.candidate(w.dir, "one") == r
	var ok bool
	switch {
	case at == "took over":
		ok = now
	case at == "rename" && step > 3: // of the catalog
		ok = now
	case step > 1 && at != "drop state":
		ok = both
	default:
		ok = old && r == nil
	}
	if !ok || s.State != Active || len(w.f.faults) > 0 {
		t.Errorf("%s, step %d (%s): the job is %+v %q, the replacement %v %q; %q", end, step, at, s, text, r, beside,
			w.f.faults)
	}
	if both {
		w.said("it ran when the process ended")
	}
	want := map[bool][]string{true: {"1", "2"}, false: {"1"}}[now || both]
	w.folders(want...)
	if files, _ := filepath.Glob(filepath.Join(w.dir, "jobs/one/*", besideFile)); len(files) > 0 != both {
		t.Errorf("%s, step %d: %q", end, step, files)
	}
	return true
}

// failBeside has the replacement fail, and waits until it runs again, or for good, until it is given
// up. Died is closed when the process ends.
func failBeside(w *besideWorld, m *Manager, died chan struct{}, good bool) {
	f := w.f
	if good {
		f.nobeside.Store(int64(quick.Most))
	}
	f.candidate(w.dir, "one").end(errors.New("the broker is away"))
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		select {
		case <-died:
			return
		default:
		}
		s, _, _ := m.Get("one")
		r := s.Replacement
		if good && r == nil || !good && r != nil && r.Failures == 1 && r.State == StateCatchingUp {
			break
		}
	}
	j, err := m.find("one")
	if err == nil {
		_ = j.await(context.Background()) // its goroutine has come to the end of the step
	}
}

// putBeside puts a text side by side. It waits until the replacement has begun or is given up, and
// if it is not slow, until it has taken over. Died is closed when the process ends.
func putBeside(m *Manager, died chan struct{}, name, text string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if strings.Contains(text, "slow") {
		go func() {
			for {
				select {
				case <-died:
					return
				case <-ctx.Done():
					return
				case <-time.After(time.Millisecond):
				}
				if s, _, _ := m.Get(name); s.Replacement != nil && s.Replacement.State == StateCatchingUp {
					cancel()
				}
			}
		}()
	}
	_, err := m.Put(ctx, name, text, PutOptions{Beside: true})
	return err
}

// caught has the replacement of a job catch up, and waits until it has taken over.
func caught(m *Manager, name string) error {
	r, _, err := m.Candidate(name)
	if err != nil || r == nil {
		return ErrState
	}
	r.(*fakeRunning).caughtUp()
	for { // until it has taken over
		now, _, err := m.Candidate(name)
		if now != r || err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	// The replacement is seen in its place before the last step. The goroutine of the job answers
	// after that.
	j, err := m.find(name)
	if err != nil {
		return err
	}
	return j.await(context.Background())
}
