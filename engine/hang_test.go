package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
)

// A hangingWriter does not return from one of its calls as long as open is not closed. If it heeds
// its contexts, it returns when they are done.
type hangingWriter struct {
	call   string
	heeds  bool
	armed  atomic.Bool // Start calls it, too
	open   chan struct{}
	inCall atomic.Bool
	closed atomic.Bool
	rude   atomic.Bool // it was closed while a call was in it
	number uint64
	window atomic.Int64
}

func (w *hangingWriter) at(ctx context.Context, call string) error {
	if call != w.call || !w.armed.Load() {
		return nil
	}
	w.inCall.Store(true)
	defer w.inCall.Store(false)
	if !w.heeds {
		ctx = context.Background()
	}
	select {
	case <-w.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *hangingWriter) Write(ctx context.Context, _ *record.Batch) error { return w.at(ctx, "Write") }

func (w *hangingWriter) Close() error {
	w.rude.Store(w.inCall.Load())
	w.closed.Store(true)
	return nil
}

// hangingWindows goes on after a restart.
type hangingWindows struct{ *hangingWriter }

func (w hangingWindows) Recover(ctx context.Context, _ string, _ []byte) (int64, error) {
	w.window.Store(math.MinInt64)
	return math.MinInt64, w.at(ctx, "Recover")
}

func (w hangingWindows) EndWindow(ctx context.Context, window int64) error {
	w.window.Store(window)
	return w.at(ctx, "EndWindow")
}

func (w hangingWindows) Save(ctx context.Context) ([]byte, error) {
	return []byte{1}, w.at(ctx, "Save")
}

// hangingRows takes transactions.
type hangingRows struct{ *hangingWriter }

func (w hangingRows) RecoverOutput(ctx context.Context, _ string) (uint64, error) {
	return 0, w.at(ctx, "RecoverOutput")
}

func (w hangingRows) Commit(ctx context.Context, n uint64, _ iter.Seq[*record.Batch], _ bool) error {
	err := w.at(ctx, "Commit")
	if err == nil {
		w.number = n
	}
	return err
}

// hangs are the calls of writers that keep generations from being made.
var hangs = []struct{ call, text string }{
	{"Commit", `SELECT k, count(*) AS n FROM log GROUP BY k EMIT CHANGES`},
	{"Save", `SELECT k, count(*) AS n FROM log GROUP BY k, tumble(at, INTERVAL '1 s')`},
	{"Write", `SELECT k, count(*) AS n FROM log GROUP BY k EMIT CHANGES`},
}

// A hung is an engine of two plans, of which the writer of one hangs in a call. It has no outbox.
type hung struct {
	*engine.Engine
	log     *splitLog
	writer  *hangingWriter
	others  *ledger
	cfg     engine.Config
	mu      sync.Mutex
	events  []engine.StateEvent
	stopped func()
}

// startHung starts an engine, and returns when the writer of sums hangs.
func startHung(t *testing.T, call, text string, heeds bool) *hung {
	t.Helper()
	w := &hangingWriter{call: call, heeds: heeds, open: make(chan struct{})}
	x := &hung{log: &splitLog{splits: 1, rows: 10_000}, writer: w, others: &ledger{}}
	st := engine.Dir(t.TempDir())
	st.Interval, st.NoSync, st.Share = 20*time.Millisecond, true, 1
	st.HangAfter(60 * time.Millisecond)
	st.OnEvent = func(ev engine.StateEvent) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.events = append(x.events, ev)
	}
	writer := map[string]record.Writer{"Commit": hangingRows{w}, "Save": hangingWindows{w}, "Write": w}[call]
	x.cfg = engine.Config{
		Plans: []engine.PlanConfig{
			{Plan: namedPlan(t, "sums", text), Writer: writer},
			{Plan: namedPlan(t, "rows", `SELECT k, v FROM log`), Writer: &ledgerWriter{ledger: x.others}},
		},
		Readers: []record.Reader{x.log.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true, State: st,
		EpochInterval: time.Millisecond,
	}
	x.Engine = start(t, x.cfg)
	x.stopped = sync.OnceFunc(func() { close(w.open) })
	t.Cleanup(x.stopped)
	w.armed.Store(true)
	x.log.until.Store(5000)
	eventually(t, "the writer hangs", w.inCall.Load)
	return x
}

// told is the first event of a kind.
func (x *hung) told(kind engine.StateEventKind) (ev engine.StateEvent, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ev := range x.events {
		if ev.Kind == kind {
			return ev, true
		}
	}
	return ev, false
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Goal: a writer that hangs holds up the saves of the engine, and somebody is told whose it is, in
// which call it is, and since when nothing is saved; the engine stays readable, and goes on saving
// when the call returns.
func TestWriterHangs(t *testing.T) {
	for _, c := range hangs {
		t.Run(c.call, func(t *testing.T) {
			x := startHung(t, c.call, c.text, false)
			eventually(t, "an event that says since when nothing is saved", func() bool {
				ev, ok := x.told(engine.WriterHangs)
				if ok && !strings.Contains(ev.Err.Error(), "nothing is saved since") { // a save has just begun
					x.mu.Lock()
					x.events = nil
					x.mu.Unlock()
					return false
				}
				return ok
			})
			ev, _ := x.told(engine.WriterHangs)
			s := x.Stats()
			for _, part := range []string{
				"the writer of sums has not returned from " + c.call + " for ",
				fmt.Sprintf("nothing is saved since generation %d", s.State.Generation),
			} {
				if !strings.Contains(ev.Err.Error(), part) {
					t.Errorf("%q does not say %q", ev.Err, part)
				}
			}
			if ev.Plan != "sums" || ev.Duration < 60*time.Millisecond || ev.At.IsZero() {
				t.Errorf("the event is %+v", ev)
			}
			out := s.Of(0).Output
			if !strings.Contains(out.Hangs, "from "+c.call) || out.Slow == 0 || out.Waiting < 60*time.Millisecond {
				t.Errorf("the counters are %+v", out)
			}
			eventually(t, "the other writer does not hang", func() bool { // a stall may have made it slow
				other := x.Stats().Of(1).Output
				return other.Hangs == "" && other.Waiting < 60*time.Millisecond
			})
			if s.State.Saving.IsZero() {
				t.Error("no save is under way")
			}
			snap := x.Snapshot()
			if snap.Records() == 0 {
				t.Error("the snapshot is empty")
			}
			snap.Close()
			if err := x.Checkpoint(within(t, 20*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Checkpoint: %v", err)
			}
			x.stopped()
			eventually(t, "an event that the call has returned", func() bool {
				ev, ok := x.told(engine.WriterReturned)
				return ok && ev.Plan == "sums" && ev.Err == nil && ev.Duration >= 60*time.Millisecond
			})
			if err := x.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			if now := x.Stats(); now.State.Generation <= s.State.Generation || now.Of(0).Output.Slow == 0 {
				t.Errorf("generation %d after %d, %+v", now.State.Generation, s.State.Generation, now.Of(0).Output)
			}
		})
	}
}

// Goal: an engine whose writer hangs can be closed, whether the writer heeds its context or not. If
// it does not, Wait says whose it is, and it is not closed while a call is in it.
func TestCloseWhileWriterHangs(t *testing.T) {
	for _, c := range hangs {
		for _, heeds := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/heeds=%v", c.call, heeds), func(t *testing.T) {
				x := startHung(t, c.call, c.text, heeds)
				err := x.Shutdown(within(t, 20*time.Millisecond))
				if err == nil {
					t.Fatal("Shutdown has saved the state, which cannot be")
				}
				said := c.call + " has not returned"
				stuck := strings.Contains(err.Error(), "a save has not ended")
				if strings.Contains(err.Error(), said) == heeds || stuck {
					t.Errorf("the error is %v", err)
				}
				if x.writer.closed.Load() != heeds || x.writer.rude.Load() {
					t.Errorf("closed is %v, within a call %v", x.writer.closed.Load(), x.writer.rude.Load())
				}
			})
		}
	}
}

// Goal: a plan whose writer hangs can be removed, also if the call never returns; the engine goes
// on, and saves without it. Meanwhile no other plan is removed, and its error says which one must
// go first.
func TestRemovePlanWhoseWriterHangs(t *testing.T) {
	for _, c := range hangs {
		for _, heeds := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/heeds=%v", c.call, heeds), func(t *testing.T) {
				x := startHung(t, c.call, c.text, heeds)
				if c.call != "Write" {
					err := x.RemovePlan(within(t, 50*time.Millisecond), x.cfg.Plans[1].Plan)
					if errors.Is(err, engine.ErrRemoving) || !strings.Contains(fmt.Sprint(err), "the writer of sums") {
						t.Fatal(err)
					}
					if len(x.Plans()) != 2 {
						t.Fatal("the other plan has been removed")
					}
				}
				err := x.RemovePlan(within(t, 50*time.Millisecond), x.cfg.Plans[0].Plan)
				if err != nil && !errors.Is(err, engine.ErrRemoving) {
					t.Fatal(err)
				}
				eventually(t, "the plan is gone", func() bool { return len(x.Plans()) == 1 })
				before := x.Stats().State.Generation
				x.log.until.Store(10_000)
				eventually(t, "a generation", func() bool { return x.Stats().State.Generation > before })
				err = x.Wait()
				said := strings.Contains(fmt.Sprint(err), c.call+" has not returned")
				if heeds && err != nil || !heeds && c.call != "Write" && !said {
					t.Errorf("the engine has ended with %v", err)
				}
				if len(x.others.lines) != 10_000 {
					t.Errorf("the other writer has %d rows, expected 10000", len(x.others.lines))
				}
			})
		}
	}
}

// Goal: a plan whose writer hangs can also be removed while an AddPlan waits for the save that it
// holds up. Then the plan is added. Meanwhile no other plan is removed, and the error says which
// one must go first.
func TestRemovePlanWhileAddPlanWaits(t *testing.T) {
	for _, c := range hangs {
		t.Run(c.call, func(t *testing.T) {
			x := startHung(t, c.call, c.text, false)
			go func() { _ = x.Checkpoint(t.Context()) }() // that fails
			eventually(t, "a save waits", x.Held)
			more, none := namedPlan(t, "more", `SELECT max(v) AS v FROM log`), namedPlan(t, "none", `SELECT v FROM log`)
			added := make(chan error, 1)
			go func() {
				_, err := x.AddPlan(t.Context(), engine.PlanConfig{Plan: more})
				added <- err
			}()
			eventually(t, "AddPlan has the lock", func() bool {
				err := x.RemovePlan(within(t, time.Millisecond), none)
				return !strings.Contains(fmt.Sprint(err), "does not run it")
			})
			err := x.RemovePlan(within(t, 20*time.Millisecond), x.cfg.Plans[1].Plan)
			if errors.Is(err, engine.ErrRemoving) || !strings.Contains(fmt.Sprint(err), "the writer of sums has not") {
				t.Errorf("the other plan: %v", err)
			}
			err = x.RemovePlan(within(t, 20*time.Millisecond), x.cfg.Plans[0].Plan)
			if err != nil && !errors.Is(err, engine.ErrRemoving) {
				t.Fatal(err)
			}
			eventually(t, "the plan is gone, and the other has come", func() bool {
				return !slices.Contains(x.Plans(), x.cfg.Plans[0].Plan) && slices.Contains(x.Plans(), more)
			})
			if err := comes(t, added); err != nil {
				t.Error(err)
			}
			if ev, failed := x.told(engine.SaveFailed); failed {
				t.Errorf("a save has failed: %v", ev.Err)
			}
			x.log.until.Store(10_000)
			err = x.Wait()
			if said := strings.Contains(fmt.Sprint(err), c.call+" has not returned"); !said && c.call != "Write" {
				t.Errorf("the engine has ended with %v", err)
			}
		})
	}
}

// Goal: a writer that hangs while it goes on where it stopped is told before Start returns, and
// Start ends with its context, whether the writer heeds that or not; if the call returns, Start
// goes on. Method: a writer that hangs in each call that Start makes.
func TestStartWhileWriterHangs(t *testing.T) {
	for call, text := range map[string]string{
		"Recover":       `SELECT k, count(*) AS n FROM log GROUP BY k, tumble(at, INTERVAL '1 s')`,
		"RecoverOutput": `SELECT k, count(*) AS n FROM log GROUP BY k EMIT CHANGES`,
		"Save":          `SELECT k, count(*) AS n FROM log GROUP BY k, tumble(at, INTERVAL '1 s')`,
	} {
		for _, end := range []string{"returns", "heeds", "stays"} {
			t.Run(call+" "+end, func(t *testing.T) { testStartWhileWriterHangs(t, call, text, end) })
		}
	}
}

func testStartWhileWriterHangs(t *testing.T, call, text, end string) {
	w := &hangingWriter{call: call, heeds: end == "heeds", open: make(chan struct{})}
	w.armed.Store(true)
	let := sync.OnceFunc(func() { close(w.open) })
	defer let()
	writer := map[string]record.Writer{"RecoverOutput": hangingRows{w}}[call]
	if writer == nil {
		writer = hangingWindows{w}
	}
	told := make(chan engine.StateEvent, 100)
	st := engine.Dir(t.TempDir())
	st.NoSync = true
	st.HangAfter(30 * time.Millisecond)
	st.OnEvent = func(ev engine.StateEvent) { told <- ev }
	log := &splitLog{splits: 1, rows: 100}
	cfg := engine.Config{
		Plan: namedPlan(t, "sums", text), Writer: writer, Readers: []record.Reader{log.reader(0, 1)}, Partitions: 1,
		Cores: 1, NoPin: true, State: st,
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type started struct {
		*engine.Engine
		error
	}
	result := make(chan started, 1)
	go func() {
		e, err := engine.Start(ctx, cfg)
		result <- started{e, err}
	}()
	// A stall can make a call of Recover last that long that comes before Save.
	for said := ""; !strings.Contains(said, "has not returned from "+call+" "); {
		ev := comes(t, told)
		said = fmt.Sprint(ev.Err)
		if call != "Save" && ev.Kind != engine.WriterHangs {
			t.Errorf("told %+v", ev)
		}
	}
	if end == "returns" {
		let()
		got := comes(t, result)
		if got.error != nil {
			t.Fatal(got.error)
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	cancel()
	got := comes(t, result)
	if got.error == nil {
		t.Error("it has started")
		_ = got.Close()
	}
	if end == "stays" && !strings.Contains(got.Error(), "left behind") {
		t.Errorf("it says %v", got.error)
	}
	// The folder and the reader are free again.
	w.armed.Store(false)
	cfg.State = engine.Dir(st.Path)
	cfg.State.NoSync = true
	cfg.Writer = &ledgerWriter{ledger: &ledger{}}
	e := start(t, cfg)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// comes waits for a value.
func comes[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatal("nothing comes within a minute")
	}
	return v
}

// Goal: AddPlan of a plan whose writer hangs while it goes on ends with its context and with the
// engine, and the engine goes on in the first case. Method: both, with a writer that heeds its
// context and one that does not.
func TestAddPlanWhileWriterHangs(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		for _, closes := range []bool{true, false} {
			t.Run(fmt.Sprintf("heeds=%v/closes=%v", heeds, closes), func(t *testing.T) {
				log := &splitLog{splits: 1, rows: 100}
				st := engine.Dir(t.TempDir())
				st.NoSync = true
				e := start(t, engine.Config{
					Plan: namedPlan(t, "sums", hangs[0].text), Readers: []record.Reader{log.reader(0, 1)}, Partitions: 1,
					Cores: 1, NoPin: true, State: st,
				})
				w := &hangingWriter{call: "Recover", heeds: heeds, open: make(chan struct{})}
				w.armed.Store(true)
				defer close(w.open)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				added := make(chan error, 1)
				go func() {
					_, err := e.AddPlan(ctx, engine.PlanConfig{
						Plan: namedPlan(t, "more", hangs[1].text), Writer: hangingWindows{w},
					})
					added <- err
				}()
				eventually(t, "the writer hangs", w.inCall.Load)
				if closes {
					closed := make(chan error, 1)
					go func() { closed <- e.Close() }()
					if err := comes(t, added); err == nil {
						t.Error("it was added to an engine that was closed")
					}
					_ = comes(t, closed)
					return
				}
				cancel()
				if err := comes(t, added); err == nil {
					t.Error("it was added after its context was done")
				}
				log.until.Store(10)
				waitRecords(t, e, 10)
				if err := e.Checkpoint(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
