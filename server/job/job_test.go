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
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fake is a Runner without engines. Words of a text say what happens:
//
//	bad        it does not compile
//	nostart    it does not start
//	forever    it does not start, and trying again is no use
//	fp=X       what the state depends on
//	big        it takes 100 MiB, others take 10 MiB
//	view=X     it has a view
//	sink       it cannot run beside another
//	slow       a replacement does not catch up before it is told that it has
type fake struct {
	mu   sync.Mutex
	live map[string]*fakeRunning // by folder
	// candidates are the replacements that run, by folder.
	candidates map[string]*fakeRunning
	// faults are what must not happen.
	faults []string
	dead   atomic.Bool
	starts atomic.Int64
	// nobeside is how many of the next starts of replacements fail.
	nobeside atomic.Int64
}

type fakeProgram struct {
	of     *fake
	text   string
	beside bool // it is started as a replacement
}

func (f *fake) Compile(_, text string, _ Options) (Program, error) {
	if strings.Contains(text, "compilerpanic") && f.starts.Load() > 0 {
		panic("a fault of the compiler")
	}
	if strings.Contains(text, "bad") {
		return nil, errors.New("line 1, column 1: bad")
	}
	return &fakeProgram{of: f, text: text}, nil
}

func (f *fake) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func word(text, key string) string {
	for _, w := range strings.Fields(text) {
		if v, ok := strings.CutPrefix(w, key+"="); ok {
			return v
		}
	}
	return ""
}

func (p *fakeProgram) Objects() (all []Object) {
	if v := word(p.text, "view"); v != "" {
		all = append(all, Object{Kind: KindView, Name: v})
	}
	return all
}

func (p *fakeProgram) Memory() int64 {
	if strings.Contains(p.text, "big") {
		return 100 << 20
	}
	return 10 << 20
}

func (p *fakeProgram) Lost(before Program) (l Loss) {
	if a, b := word(before.(*fakeProgram).text, "fp"), word(p.text, "fp"); a != b {
		l.Changed = []string{fmt.Sprintf("it was %s and is %s", a, b)}
	}
	if a := word(before.(*fakeProgram).text, "more"); a != "" && word(p.text, "more") != a {
		l.Gone = []string{a}
	}
	return l
}

func (p *fakeProgram) Start(ctx context.Context, folder string, paused bool, say func(string)) (Running, error) {
	p.of.starts.Add(1)
	if p.of.dead.Load() {
		return nil, errors.New("dead")
	}
	switch {
	case strings.Contains(p.text, "panic"):
		panic("it panics")
	case strings.Contains(p.text, "nostart"):
		return nil, errors.New("it does not start")
	case strings.Contains(p.text, "forever"):
		return nil, fmt.Errorf("it never starts: %w", ErrPermanent)
	}
	return p.start(folder, paused, say)
}

// start starts a job that nothing keeps from it.
func (p *fakeProgram) start(folder string, paused bool, say func(string)) (*fakeRunning, error) {
	fp := filepath.Join(folder, "fp")
	if b, err := os.ReadFile(fp); err == nil && string(b) != word(p.text, "fp") {
		p.of.fault("a job %q begins with the state of %s", p.text, b)
		return nil, fmt.Errorf("other plan: %w", ErrPermanent)
	}
	if err := os.WriteFile(fp, []byte(word(p.text, "fp")), 0o600); err != nil {
		return nil, err
	}
	r := &fakeRunning{
		of: p.of, job: filepath.Dir(folder), paused: paused, text: p.text, done: make(chan struct{}),
		caught: make(chan struct{}),
	}
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	if p.of.live[r.job] != nil && !p.beside {
		p.of.faults = append(p.of.faults, "two run at the same time in "+r.job)
	}
	if p.beside {
		if p.of.candidates[r.job] != nil {
			p.of.faults = append(p.of.faults, "two replacements run at the same time in "+r.job)
		}
		p.of.candidates[r.job] = r
	} else {
		p.of.live[r.job] = r
	}
	say("begun")
	return r, nil
}

type fakeRunning struct {
	of        *fake
	job, text string
	paused    bool
	done      chan struct{}
	once      sync.Once
	err       error
	// caught is closed when a replacement has caught up.
	caught     chan struct{}
	caughtOnce sync.Once
}

func (r *fakeRunning) end(err error) { r.once.Do(func() { r.err = err; close(r.done) }) }

func (r *fakeRunning) Done() <-chan struct{} { return r.done }
func (r *fakeRunning) Err() error            { return r.err }
func (r *fakeRunning) Pause(context.Context) error {
	if strings.Contains(r.text, "nopause") {
		return errors.New("it cannot be paused")
	}
	r.paused = true
	return nil
}
func (r *fakeRunning) Resume(context.Context) error     { r.paused = false; return nil }
func (r *fakeRunning) Checkpoint(context.Context) error { return nil }
func (r *fakeRunning) Stop(context.Context) error {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	for _, of := range []map[string]*fakeRunning{r.of.live, r.of.candidates} {
		if of[r.job] == r {
			delete(of, r.job)
		}
	}
	r.end(nil)
	return nil
}

func newFake() *fake {
	return &fake{live: map[string]*fakeRunning{}, candidates: map[string]*fakeRunning{}}
}

var quick = Policy{Min: time.Millisecond, Max: 4 * time.Millisecond, Most: 3, Within: time.Hour}

func open(t testing.TB, dir string, f *fake, more ...func(*Config)) *Manager {
	t.Helper()
	cfg := Config{Dir: dir, Runner: f, Policy: quick}
	for _, set := range more {
		set(&cfg)
	}
	m, err := Open(cfg)
	must(t, err)
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settled waits until no job is on its way from one state to another.
func settled(t interface{ Fatalf(string, ...any) }, m *Manager) map[string]Status {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		all := map[string]Status{}
		busy := false
		for _, s := range m.List() {
			all[s.Name] = s
			gone := s.Desired == shouldGo
			pending := s.Desired != ShouldStop && s.State == Stopped || s.Desired == ShouldStop && s.State == Active
			files, _ := filepath.Glob(filepath.Join(m.store.folder(s.Name), "*", besideFile))
			r, text, _ := m.Candidate(s.Name)
			onItsWay := len(files) > 0 != (r != nil) || r != nil && !strings.Contains(text, "slow")
			busy = busy || gone || pending || onItsWay ||
				slices.Contains([]State{Starting, Stopping, BackingOff, Replacing}, s.State)
		}
		if !busy {
			return all
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("not settled: %+v", all)
		}
	}
}

func TestLife(t *testing.T) {
	ctx, f, dir := t.Context(), newFake(), t.TempDir()
	m := open(t, dir, f)
	put := func(text string, o PutOptions, want string) error {
		t.Helper()
		done, err := m.Put(ctx, "one", text, o)
		if err == nil && done != want {
			t.Errorf("put %q: %s, want %s", text, done, want)
		}
		return err
	}
	is := func(want State) {
		t.Helper()
		s, _, err := m.Get("one")
		must(t, err)
		if s.State != want {
			t.Errorf("the job is %s (%s), want %s", s.State, s.Cause, want)
		}
	}
	must(t, put("fp=a", PutOptions{}, PutCreated))
	is(Active)
	must(t, put("fp=a", PutOptions{}, PutUnchanged))
	must(t, m.Pause(ctx, "one"))
	is(Paused)
	must(t, m.Resume(ctx, "one"))
	is(Active)
	if err := m.Resume(ctx, "one"); !errors.Is(err, ErrState) {
		t.Errorf("resuming what runs: %v", err)
	}
	must(t, m.Checkpoint(ctx, "one"))
	must(t, put("fp=a other", PutOptions{}, PutReplaced))
	is(Active)
	loss := new(LossError)
	if err := put("fp=b", PutOptions{}, ""); !errors.As(err, &loss) ||
		!strings.Contains(err.Error(), "it was a and is b") {
		t.Errorf("another plan: %v", err)
	}
	must(t, put("fp=a more=v", PutOptions{}, PutReplaced))
	if err := put("fp=a other", PutOptions{}, ""); !errors.As(err, &loss) || len(loss.Gone) != 1 ||
		!strings.Contains(err.Error(), "v: the text has no query of that name, so its groups would be given up") ||
		!strings.Contains(err.Error(), "drop=true") {
		t.Errorf("without a query that it had: %v", err)
	}
	if err := put("fp=b", PutOptions{Options: Options{Drop: true}}, ""); !errors.As(err, &loss) || len(loss.Gone) != 0 {
		t.Errorf("another plan, and one that is gone: %v", err)
	}
	must(t, put("fp=a other", PutOptions{Options: Options{Drop: true}}, PutReplaced))
	must(t, put("fp=a other", PutOptions{Options: Options{Drop: true}}, PutUnchanged))
	must(t, put("fp=a other", PutOptions{}, PutUnchanged))
	if _, text, _ := m.Get("one"); text != "fp=a other" {
		t.Errorf("the text is %q after a refusal", text)
	}
	is(Active)
	must(t, put("fp=b", PutOptions{Fresh: true}, PutFresh))
	is(Active)
	if err := put("bad", PutOptions{}, ""); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a text that does not compile: %v", err)
	}
	if err := put("fp=b nostart", PutOptions{}, ""); err == nil || !strings.Contains(err.Error(), "put back") {
		t.Errorf("a text that does not start: %v", err)
	}
	is(Active)
	if _, text, _ := m.Get("one"); text != "fp=b" {
		t.Errorf("the text is %q after one that does not start", text)
	}
	must(t, m.Restart(ctx, "one"))
	is(Active)
	must(t, m.Stop(ctx, "one"))
	is(Stopped)
	if err := m.Checkpoint(ctx, "one"); !errors.Is(err, ErrState) {
		t.Errorf("a checkpoint of a stopped job: %v", err)
	}
	must(t, m.Start(ctx, "one"))
	must(t, m.Delete(ctx, "one"))
	if _, _, err := m.Get("one"); !errors.Is(err, ErrNoJob) {
		t.Errorf("after Delete: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "jobs"))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	must(t, m.Close())
	if len(f.faults) > 0 || len(f.live) > 0 {
		t.Errorf("%q, %v", f.faults, f.live)
	}
}

func TestFailures(t *testing.T) {
	ctx, f, dir := t.Context(), newFake(), t.TempDir()
	m := open(t, dir, f, func(c *Config) { c.Memory = 115 << 20 })
	defer func() { must(t, m.Close()) }()
	for name, want := range map[string]State{
		"fp=x": Active, "nostart": Failed, "forever": Failed, "panic": Failed,
	} {
		_, err := m.Put(ctx, "j"+strings.ReplaceAll(name, "=", "-"), name, PutOptions{})
		if (err == nil) != (want == Active) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range settled(t, m) {
		if want := name == "jfp-x"; (s.State == Active) != want {
			t.Errorf("%s is %s", name, s.State)
		}
	}
	if ok, waiting := m.Ready(); ok || len(waiting) != 3 {
		t.Errorf("ready: %v, %v", ok, waiting)
	}
	if s, _, _ := m.Get("jnostart"); s.Failures != 3 || !strings.Contains(s.Cause, "3 times") {
		t.Errorf("%+v", s)
	}
	if s, _, _ := m.Get("jforever"); s.Failures != 1 {
		t.Errorf("%+v", s)
	}
	// It runs, fails, and is started again.
	f.mu.Lock()
	r := f.live[filepath.Join(dir, "jobs", "jfp-x")]
	f.mu.Unlock()
	starts := f.starts.Load() // before it fails: it may be started again at once
	r.end(errors.New("the disk is full"))
	for begin := time.Now(); f.starts.Load() == starts; time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it is not started again")
		}
	}
	if s := settled(t, m)["jfp-x"]; s.State != Active {
		t.Errorf("after a failure: %+v", s)
	}
	all, complete, _ := m.Events().After(0, "jfp-x")
	if !complete || !slices.ContainsFunc(all, func(e Event) bool {
		return e.To == BackingOff && strings.Contains(e.Cause, "the disk is full")
	}) {
		t.Errorf("%+v", all)
	}
	// Memory: 10 MiB are taken, 100 MiB fit, 100 more do not.
	_, err := m.Put(ctx, "big", "big", PutOptions{})
	must(t, err)
	if _, err := m.Put(ctx, "bigger", "big", PutOptions{}); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("too much memory: %v", err)
	}
	must(t, m.Delete(ctx, "big"))
	must(t, m.Start(ctx, "bigger"))
	// Names.
	if _, err := m.Put(ctx, "v1", "view=v", PutOptions{Stopped: true}); err != nil {
		t.Error(err)
	}
	settled(t, m)
	if _, err := m.Put(ctx, "v2", "view=v", PutOptions{}); err == nil {
		t.Error("two views of one name")
	}
	for _, name := range []string{"", "../x", "A", "a/b", ".x", "1a", strings.Repeat("a", 64)} {
		if _, err := m.Put(ctx, name, "fp=a", PutOptions{}); !errors.Is(err, ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := Open(Config{Dir: dir, Runner: f}); err == nil {
		t.Error("two managers in one folder")
	}
}

// TestFinished ends the input of a job.
func TestFinished(t *testing.T) {
	f, dir := newFake(), t.TempDir()
	m := open(t, dir, f)
	defer func() { must(t, m.Close()) }()
	_, err := m.Put(t.Context(), "a", "fp=a", PutOptions{})
	must(t, err)
	f.mu.Lock()
	r := f.live[filepath.Join(dir, "jobs", "a")]
	f.mu.Unlock()
	r.end(nil)
	for {
		if s, _, _ := m.Get("a"); s.State == Finished {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if r, err := m.Running("a"); err != nil || r == nil {
		t.Error("what has finished cannot be read")
	}
	must(t, m.Start(t.Context(), "a"))
	if s, _, _ := m.Get("a"); s.State != Active {
		t.Errorf("started again, it is %s", s.State)
	}
}

// TestCatalogByHand puts files into the catalog: a good one, one that does not compile, one that is
// cut off, one with a bad name, and a temporary one.
func TestCatalogByHand(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "catalog"), 0o700))
	for name, text := range map[string]string{
		"good.sql": "fp=a", "bad.sql": "bad", "cut.sql": "fp=a\n-- velo: {\"desired\":", "BAD.sql": "fp=a",
		".good-123": "fp=", "notes.txt": "",
		"paused.sql": "fp=a\n\n-- velo: {\"desired\":\"paused\",\"generation\":3}\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, "catalog", name), []byte(text), 0o600))
	}
	m := open(t, dir, newFake())
	all := settled(t, m)
	if len(all) != 4 || all["good"].State != Active || all["bad"].State != Failed || all["cut"].State != Failed ||
		all["paused"].State != Paused || all["paused"].Generation != 3 {
		t.Errorf("%+v", all)
	}
	if _, text, _ := m.Get("paused"); text != "fp=a\n" {
		t.Errorf("the text is %q", text)
	}
	must(t, m.Close())
	if _, err := os.Stat(filepath.Join(dir, "catalog", ".good-123")); err == nil {
		t.Error("a temporary file is still there")
	}
}

// TestNoPause has a job that cannot be paused, and one whose text the compiler does not survive.
func TestNoPause(t *testing.T) {
	m := open(t, t.TempDir(), newFake())
	_, err := m.Put(t.Context(), "a", "nopause", PutOptions{})
	must(t, err)
	if err := m.Pause(t.Context(), "a"); !errors.Is(err, ErrState) {
		t.Errorf("pausing what cannot be paused: %v", err)
	}
	all, _, _ := m.Events().After(0, "a")
	if !slices.ContainsFunc(all, func(e Event) bool { return strings.Contains(e.Cause, "cannot be paused") }) ||
		all[0].Cause != "it was made" {
		t.Errorf("%+v", all)
	}
	must(t, m.store.put("c", entry{"compilerpanic", meta{Desired: ShouldRun, Generation: 1}}))
	must(t, m.Close())
	f := newFake()
	f.starts.Store(1)
	m = open(t, m.cfg.Dir, f)
	if s := settled(t, m)["c"]; s.State != Failed || !strings.Contains(s.Cause, "a fault of the compiler") {
		t.Errorf("%+v", s)
	}
	must(t, m.Close())
}

// TestFullDisk takes the folder of the catalog away: nothing changes, and jobs go on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, newFake())
	defer func() { must(t, m.Close()) }()
	_, err := m.Put(t.Context(), "a", "fp=a", PutOptions{})
	must(t, err)
	must(t, os.Rename(filepath.Join(dir, "catalog"), filepath.Join(dir, "gone")))
	for what, err := range map[string]error{
		"pause": m.Pause(t.Context(), "a"), "delete": m.Delete(t.Context(), "a"),
		"replace": func() error { _, err := m.Put(t.Context(), "a", "fp=a more", PutOptions{}); return err }(),
		"create":  func() error { _, err := m.Put(t.Context(), "b", "fp=a", PutOptions{}); return err }(),
	} {
		if !errors.Is(err, ErrCatalog) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if all := settled(t, m); len(all) != 1 || all["a"].State != Active || all["a"].Desired != ShouldRun {
		t.Errorf("%+v", all)
	}
	if _, text, _ := m.Get("a"); text != "fp=a" {
		t.Errorf("the text is %q", text)
	}
}

func TestEventsSurvive(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, newFake())
	_, err := m.Put(t.Context(), "a", "fp=a", PutOptions{})
	must(t, err)
	must(t, m.Close())
	last := m.Events().Last()
	file, err := os.OpenFile(filepath.Join(dir, "events.ndjson"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, _ = file.WriteString(`{"id":`) // the process was killed
	must(t, file.Close())
	m = open(t, dir, newFake())
	settled(t, m)
	defer func() { must(t, m.Close()) }()
	all, complete, _ := m.Events().After(0, "a")
	if !complete || all[0].ID != 1 || m.Events().Last() <= last {
		t.Errorf("%v, %+v", complete, all)
	}
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for ev := range m.Events().Watch(ctx, last, "a") {
		if ev.ID <= last {
			t.Errorf("event %d comes again", ev.ID)
		}
		n++
		cancel()
	}
	if n == 0 {
		t.Error("nothing is watched")
	}
}

// TestModel runs random commands, with crashes between any two steps, against a model of what
// should be.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "velo-job-*")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := &world{t: rt, dir: dir, jobs: map[string]expected{}}
		w.open()
		for range rapid.IntRange(1, 25).Draw(rt, "commands") {
			w.step()
		}
		w.check()
		w.m.Close()
	})
}

// expected is what a job of the model may be.
type expected struct {
	desired    Desired
	text       string
	generation int
	beside     string // the text of the replacement that runs beside it
}

type world struct {
	t    *rapid.T
	dir  string
	f    *fake
	m    *Manager
	jobs map[string]expected
	// countdown is how many durable steps are left before the process dies; below 0 it does not.
	countdown atomic.Int64
	died      chan struct{}
}

// failuresLeft is how many failures the replacement of a job may have until it is given up.
func (w *world) failuresLeft(name string) int64 {
	s, _, _ := w.m.Get(name)
	if s.Replacement == nil {
		return 0
	}
	return int64(quick.Most - s.Replacement.Failures)
}

// dies counts a durable step, and says whether the process dies at it.
func (w *world) dies() bool {
	for {
		n := w.countdown.Load()
		if n < 0 {
			return false
		}
		if w.countdown.CompareAndSwap(n, n-1) {
			return n == 0
		}
	}
}

func (w *world) open(set ...func(*fake)) {
	w.f = newFake()
	f := w.f
	for _, do := range set {
		do(f)
	}
	died := make(chan struct{})
	w.died = died
	w.countdown.Store(-1)
	var once sync.Once
	m, err := Open(Config{Dir: w.dir, Runner: w.f, Policy: quick, crash: func(string) {
		if f.dead.Load() || w.dies() {
			f.dead.Store(true)
			once.Do(func() { close(died) })
			select {} // the goroutine of a process that is no more
		}
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.m = m
}

// crash opens the folder anew after the process has died. What was under way is done, or not.
func (w *world) crash(name string, after expected) {
	_ = w.m.lock.Close()
	w.m.mu.Lock()
	w.m.closed = true
	w.m.mu.Unlock()
	before, was := w.jobs[name]
	w.open()
	all := settled(w.t, w.m)
	s, is := all[name]
	_, text, _ := w.m.Get(name)
	_, beside, _ := w.m.Candidate(name)
	now := expected{s.Desired, text, s.Generation, beside}
	switch {
	case is && now == after:
		w.jobs[name] = after
	case is && was && now == before:
	case !is && (!was || after.desired == shouldGo):
		delete(w.jobs, name)
	default:
		w.t.Fatalf("after a crash job %q is %+v (%v), before it was %+v (%v), and should become %+v", name, now, is,
			before, was, after)
	}
}

func (w *world) step() {
	t := w.t
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "job")
	text := rapid.SampledFrom([]string{"fp=1", "fp=1 x", "fp=2", "nostart fp=1", "forever fp=2", "bad"}).Draw(t, "text")
	what := rapid.SampledFrom([]string{
		"put", "put", "fresh", "start", "stop", "pause", "resume", "restart", "delete", "fail", "reopen", "beside",
		"beside", "caught", "abort", "fail beside", "reopen and fail beside",
	}).Draw(t, "command")
	before, is := w.jobs[name]
	after := before
	ctx := context.Background()
	var do func() error
	starts := !strings.Contains(before.text, "nostart") && !strings.Contains(before.text, "forever")
	refused := !is
	switch what {
	case "beside":
		text += rapid.SampledFrom([]string{"", " slow"}).Draw(t, "slow")
		s, _, _ := w.m.Get(name)
		refused = strings.Contains(text, "bad")
		switch {
		case !is:
			after = expected{ShouldRun, text, 1, ""}
		case before.text == text:
		case before.beside != "" || s.State != Active || strings.Contains(text, "nostart") ||
			strings.Contains(text, "forever"):
			refused = true
		case strings.Contains(text, "slow"):
			after.beside = text
		default:
			after.text, after.generation = text, before.generation+1
		}
		m, died := w.m, w.died
		do = func() error { return putBeside(m, died, name, text) }
	case "caught":
		refused = before.beside == ""
		after = expected{before.desired, before.beside, before.generation + 1, ""}
		m := w.m
		do = func() error { return caught(m, name) }
	case "abort":
		refused = before.beside == ""
		after.beside = ""
		do = func() error { return w.m.Abort(ctx, name) }
	case "put", "fresh":
		fresh := what == "fresh"
		after.text = text
		refused = text == "bad"
		switch {
		case !is:
			after = expected{ShouldRun, text, 1, ""}
		case before.beside != "" && (fresh || before.text != text):
			refused = true
		case fresh:
			after.generation++
		case before.text != text && word(before.text, "fp") != word(text, "fp"):
			refused = true
		}
		if is && before.desired != ShouldStop && !refused && (strings.Contains(text, "nostart") ||
			strings.Contains(text, "forever")) && (fresh || before.text != text) {
			refused = true // the old one is put back
		}
		do = func() error { _, err := w.m.Put(ctx, name, text, PutOptions{Fresh: fresh}); return err }
	case "start":
		after.desired = ShouldRun
		do = func() error { return w.m.Start(ctx, name) }
	case "stop":
		after.desired, after.beside = ShouldStop, ""
		do = func() error { return w.m.Stop(ctx, name) }
	case "pause":
		refused = refused || before.beside != ""
		after.desired = ShouldPause
		do = func() error { return w.m.Pause(ctx, name) }
	case "resume":
		refused = refused || before.desired != ShouldPause
		after.desired = ShouldRun
		do = func() error { return w.m.Resume(ctx, name) }
	case "restart":
		do = func() error { return w.m.Restart(ctx, name) }
	case "delete":
		after.desired, after.beside = shouldGo, ""
		do = func() error { return w.m.Delete(ctx, name) }
	case "fail":
		w.f.mu.Lock()
		r := w.f.live[filepath.Join(w.dir, "jobs", name)]
		w.f.mu.Unlock()
		if r != nil && starts {
			begun := w.f.starts.Load()
			r.end(errors.New("it fails"))
			for w.f.starts.Load() == begun {
				if s, _, _ := w.m.Get(name); s.State == Failed {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		w.check()
		return
	case "fail beside": // once or twice, which is fewer than it may
		fails := int64(rapid.IntRange(0, 1).Draw(t, "starts that fail"))
		w.f.mu.Lock()
		r := w.f.candidates[filepath.Join(w.dir, "jobs", name)]
		w.f.mu.Unlock()
		if r != nil && w.failuresLeft(name) > fails+1 {
			begun := w.f.starts.Load()
			w.f.nobeside.Store(fails)
			r.end(errors.New("the broker is away"))
			for w.f.starts.Load() < begun+fails+1 {
				time.Sleep(time.Millisecond)
			}
		}
		w.check()
		return
	case "reopen and fail beside":
		if err := w.m.Close(); err != nil {
			t.Fatal(err)
		}
		w.open(func(f *fake) {
			if before.beside != "" {
				f.nobeside.Store(1)
			}
		})
		w.check()
		w.f.nobeside.Store(0) // it may be that the old job does not run, so nothing was resumed
		return
	case "reopen":
		if err := w.m.Close(); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.check()
		return
	}
	mortal := rapid.IntRange(0, 4).Draw(t, "dies") == 0
	if mortal {
		w.countdown.Store(int64(rapid.IntRange(0, 4).Draw(t, "after")))
	}
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case <-ended:
	case <-w.died:
		allowed := after
		if refused && is && what != "put" && what != "fresh" && what != "beside" {
			allowed = before
		}
		w.crash(name, allowed)
		w.check()
		return
	}
	if mortal && w.countdown.Swap(-1) < 0 { // at a step of another goroutine
		<-w.died
		w.crash(name, after)
		w.check()
		return
	}
	switch {
	case refused:
	case after.desired == shouldGo:
		delete(w.jobs, name)
	case is || what == "put" || what == "fresh" || what == "beside":
		w.jobs[name] = after
	}
	w.check()
}

// check compares all jobs with the model.
func (w *world) check() {
	select {
	case <-w.died:
		return // at a step that a failure has led to; the next command notices it
	default:
	}
	all := settled(w.t, w.m)
	if len(all) != len(w.jobs) {
		w.t.Fatalf("there are %+v, want %+v", all, w.jobs)
	}
	for name, want := range w.jobs {
		s := all[name]
		_, text, err := w.m.Get(name)
		candidate, beside, _ := w.m.Candidate(name)
		if got := (expected{s.Desired, text, s.Generation, beside}); got != want || err != nil {
			events, _, _ := w.m.Events().After(0, name)
			w.t.Fatalf("job %q is %+v, %v, want %+v\n%+v", name, got, err, want, events)
		}
		starts := !strings.Contains(text, "nostart") && !strings.Contains(text, "forever")
		state := map[Desired]State{ShouldRun: Active, ShouldPause: Paused, ShouldStop: Stopped}[want.desired]
		if !starts && want.desired != ShouldStop {
			state = Failed
		}
		if s.State != state && s.State != Failed {
			w.t.Fatalf("job %q is %s (%s), want %s", name, s.State, s.Cause, state)
		}
		w.f.mu.Lock()
		r := w.f.live[filepath.Join(w.dir, "jobs", name)]
		c := w.f.candidates[filepath.Join(w.dir, "jobs", name)]
		w.f.mu.Unlock()
		if (c != nil) != (want.beside != "") || c != nil && candidate != Running(c) {
			w.t.Fatalf("job %q has the replacement %v, and %v runs, want %q", name, candidate, c, want.beside)
		}
		if (r != nil) != (s.State == Active || s.State == Paused) {
			w.t.Fatalf("job %q is %s, and runs: %v", name, s.State, r != nil)
		}
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	if len(w.f.faults) > 0 {
		w.t.Fatalf("%q", w.f.faults)
	}
}
