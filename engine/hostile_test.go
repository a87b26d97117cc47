package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// hooks are what a test has the methods of a reader and a writer do; nil does nothing.
type hooks struct {
	read                        func(b *record.Batch) error
	cut, end, notify, str, done func()
	write, written              func()
	reject, late                func()
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// hooked is a reader with hooks; hookedPoller is one that is polled and fed; hookedWriter a writer.
type hooked struct{ *hooks }

func (h hooked) Read(_ context.Context, b *record.Batch) error { return h.read(b) }
func (h hooked) Close() error                                  { call(h.done); return nil }
func (h hooked) String() string                                { call(h.str); return "hooked" }

type hookedPoller struct{ hooked }

func (h hookedPoller) Poll(b *record.Batch) error { return h.read(b) }
func (h hookedPoller) Notify(func())              { call(h.notify) }
func (h hookedPoller) Drained(uint64) bool        { call(h.cut); return true }
func (h hookedPoller) End()                       { call(h.end) }

type hookedWriter struct{ *hooks }

func (h hookedWriter) Write(context.Context, *record.Batch) error { call(h.write); return nil }
func (h hookedWriter) Close() error                               { call(h.written); return nil }

var timesSchema = func() *record.Schema {
	s, err := record.NewSchema("times", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		panic(err)
	}
	return s
}()

// timesPlan counts by key in windows of a second.
func timesPlan() *plan.Plan {
	return &plan.Plan{
		Source: timesSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		Window: &plan.Window{Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Second}},
	}
}

// some gives a record a call, n of them and each a second later but the fourth, which is late, and a reject each; then the end.
func some(n int) func(b *record.Batch) error {
	i := 0
	return func(b *record.Batch) error {
		if i == n {
			return io.EOF
		}
		b.Add(0)
		at := 1000 + i
		if i == 3 {
			at = 0
		}
		b.SetInt64(1, int64(at)*int64(time.Second))
		b.Reject(record.Reject{Offset: -1, Reason: errors.New("rejected")})
		i++
		return nil
	}
}

// hostileEngine starts an engine with a reader with hooks, or one that is polled, and another reader beside it.
func hostileEngine(h *hooks, polled bool, cores int) (*engine.Engine, *readers.Feed[timesRecord], error) {
	if h.read == nil {
		h.read = some(2000)
	}
	var r record.Reader = hooked{h}
	if polled {
		r = hookedPoller{hooked{h}}
	}
	feed, err := readers.NewFeed[timesRecord](timesSchema, readers.FeedConfig{})
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.Start(context.Background(), engine.Config{
		Plan: timesPlan(), Readers: []record.Reader{r, feed}, Cores: cores, EpochInterval: time.Millisecond,
		Writer:   hookedWriter{h},
		OnReject: func(int, record.Reject) { call(h.reject) }, OnLate: func(int, *record.Batch) { call(h.late) },
	})
	return e, feed, err
}

type timesRecord struct {
	Key int64
	At  time.Time
}

// soon fails the test where a call takes longer than user code is waited for.
func soon(t *testing.T, what string, call func() error) (err error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s hangs\n%s", what, buf[:runtime.Stack(buf, true)])
	}
	return err
}

// Goal: user code that panics, or that ends its goroutine, ends what it was called for and nothing else: the process and the
// other reader live, the engine ends by itself, its error says what happened, and the CPUs are given back. Method: each callback
// does either, at its first call.
func TestUserCodeThatPanics(t *testing.T) {
	ways := map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit}
	atStart := map[string]func(h *hooks, f func()){
		"String": func(h *hooks, f func()) { h.str = f }, "Notify": func(h *hooks, f func()) { h.notify = f },
	}
	running := map[string]func(h *hooks, f func()){
		"Read":     func(h *hooks, f func()) { h.read = func(b *record.Batch) error { b.Add(0); f(); return nil } },
		"Drained":  func(h *hooks, f func()) { h.cut = f },
		"Close":    func(h *hooks, f func()) { h.done = f },
		"Write":    func(h *hooks, f func()) { h.write = f },
		"close":    func(h *hooks, f func()) { h.written = f },
		"OnReject": func(h *hooks, f func()) { h.reject = f },
		"OnLate":   func(h *hooks, f func()) { h.late = f },
	}
	for way, f := range ways {
		for name, set := range running {
			for _, polled := range []bool{true, false} {
				if name == "Drained" && !polled {
					continue
				}
				what := fmt.Sprintf("%s in %s, polled %v", way, name, polled)
				h := &hooks{}
				set(h, f)
				e, feed, err := hostileEngine(h, polled, 1+len(name)%2)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				lane, err := feed.Lane()
				if err != nil {
					t.Fatal(err)
				}
				sent := uint64(0)
				for i := range 50 {
					if lane.Send(context.Background(), timesRecord{int64(i), time.Unix(5000, 0)}) == nil {
						sent++
					}
					time.Sleep(20 * time.Microsecond)
				}
				feed.End()
				err = soon(t, what, e.Wait)
				word := "boom"
				if way == "Goexit" {
					word = "runtime.Goexit was called"
				}
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Fatalf("%s: Wait says %v", what, err)
				}
				s := e.Snapshot()
				if c := s.Counters(); name != "Write" && (len(c) < 2 || c[1].In != sent) {
					t.Errorf("%s: %d records of the other reader, the snapshot has %+v", what, sent, c)
				}
				s.Close()
				if err := soon(t, what+": Close", e.Close); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, set := range atStart {
		h := &hooks{}
		set(h, ways["panic"])
		for range 2 { // the second finds what the first has left
			if e, _, err := hostileEngine(h, true, 1); err == nil ||
				!strings.Contains(err.Error(), "panic in String, Columns or Notify: boom") {
				t.Fatalf("a panic in %s: %v, %v", name, e, err)
			}
		}
	}
	for cpu, n := range engine.CPUUse() {
		if n != 0 {
			t.Errorf("cpu %d is said to have %d runners, nothing runs", cpu, n)
		}
	}
}

// Goal: no call of the engine waits for user code that does not return, and what it returns says whose that is. Method: each
// callback blocks, whatever its context says; Shutdown with a context, and Close.
func TestUserCodeThatBlocks(t *testing.T) {
	for name, set := range map[string]func(h *hooks, f func()){
		"Read":     func(h *hooks, f func()) { h.read = func(*record.Batch) error { f(); return nil } },
		"Poll":     func(h *hooks, f func()) { h.read = func(*record.Batch) error { f(); return nil } },
		"Write":    func(h *hooks, f func()) { h.write = f },
		"OnReject": func(h *hooks, f func()) { h.reject = f },
		"OnLate":   func(h *hooks, f func()) { h.late = f },
		"Close":    func(h *hooks, f func()) { h.done = f },
	} {
		for _, shutdown := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", name, shutdown), func(t *testing.T) {
				t.Parallel() // they wait
				release := make(chan struct{})
				defer close(release)
				entered := make(chan struct{}, 1)
				h := &hooks{}
				set(h, func() {
					select {
					case entered <- struct{}{}:
					default:
					}
					<-release
				})
				e, feed, err := hostileEngine(h, name == "Poll", 1)
				if err != nil {
					t.Fatal(err)
				}
				feed.End() // it holds no window back
				if name != "Close" {
					<-entered
				}
				if shutdown {
					ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
					defer cancel()
					err = soon(t, "Shutdown", func() error { return e.Shutdown(ctx) })
					if name != "Close" && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Shutdown says %v", err)
					}
				} else if err := soon(t, "Close", e.Close); err != nil {
					t.Error(err)
				}
				err = soon(t, "Wait", e.Wait)
				if name != "Close" && (err == nil || !strings.Contains(err.Error(), "has not returned")) {
					t.Errorf("Wait says %v", err)
				}
			})
		}
	}
}

// Goal: a method of the engine that is called from within one of its callbacks works or says that it does not; nothing hangs.
// Method: each method from each callback.
func TestCallsFromCallbacks(t *testing.T) {
	methods := map[string]func(e *engine.Engine) error{
		"Close":        func(e *engine.Engine) error { return e.Close() },
		"Wait":         func(e *engine.Engine) error { return e.Wait() },
		"Shutdown":     func(e *engine.Engine) error { return e.Shutdown(context.Background()) },
		"Sync":         func(e *engine.Engine) error { return e.Sync(context.Background()) },
		"RemoveReader": func(e *engine.Engine) error { return e.RemoveReader(context.Background(), 0) },
		"MoveShard":    func(e *engine.Engine) error { return e.MoveShard(context.Background(), 1, 0) },
		"Pause":        func(e *engine.Engine) error { return e.Pause(context.Background(), 1) },
		"AddReader": func(e *engine.Engine) error {
			_, err := e.AddReader(context.Background(), hooked{&hooks{read: some(1)}})
			return err
		},
	}
	always := map[string]bool{"Close": true, "Wait": true, "Shutdown": true, "RemoveReader": true, "MoveShard": true}
	for place, set := range map[string]func(h *hooks, f func()){
		"Poll": func(h *hooks, f func()) {
			r := some(2000)
			h.read = func(b *record.Batch) error { f(); return r(b) }
		},
		"Read": func(h *hooks, f func()) {
			r := some(2000)
			h.read = func(b *record.Batch) error { f(); return r(b) }
		},
		"Drained":  func(h *hooks, f func()) { h.cut = f },
		"Write":    func(h *hooks, f func()) { h.write = f },
		"OnReject": func(h *hooks, f func()) { h.reject = f },
		"OnLate":   func(h *hooks, f func()) { h.late = f },
	} {
		for name, method := range methods {
			what := fmt.Sprintf("%s from %s", name, place)
			var e *engine.Engine
			ready, first := make(chan struct{}), true
			said := make(chan error, 1)
			h := &hooks{}
			set(h, func() {
				if <-ready; first {
					first = false
					said <- method(e)
				}
			})
			var feed *readers.Feed[timesRecord]
			var err error
			if e, feed, err = hostileEngine(h, place == "Poll" || place == "Drained", 1); err != nil {
				t.Fatal(err)
			}
			feed.End() // it holds no window back
			close(ready)
			err = soon(t, what, func() error { return <-said })
			switch onThread := place == "Poll" || place == "Drained"; {
			case always[name] || onThread:
				if !errors.Is(err, engine.ErrCallback) {
					t.Errorf("%s says %v, expected ErrCallback", what, err)
				}
			case err != nil && !errors.Is(err, engine.ErrCallback) && !errors.Is(err, engine.ErrEnded):
				t.Errorf("%s says %v", what, err)
			}
			if name == "Pause" {
				_ = e.Resume(context.Background(), 1) // it may have ended
			}
			if err := soon(t, what+": Wait", e.Wait); err != nil {
				t.Errorf("%s: Wait says %v", what, err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// writeFunc is a writer that is a function.
type writeFunc func()

func (w writeFunc) Write(context.Context, *record.Batch) error { w(); return nil }
func (writeFunc) Close() error                                 { return nil }

// Goal: writers that cannot be told apart are not taken for one: two functions of one literal, two empty structs.
func TestWritersThatLookAlike(t *testing.T) {
	funcs := make([]writeFunc, 2)
	n := 0
	for i := range funcs {
		funcs[i] = func() { n += i }
	}
	for _, w := range [][2]record.Writer{{funcs[0], funcs[1]}, {struct{ hookedWriter }{}, struct{ hookedWriter }{}}} {
		for _, one := range w {
			feed, p := hitFeed(t, readers.FeedConfig{})
			start(t, engine.Config{Plan: p, Readers: []record.Reader{feed}, Writer: one, Cores: 1, NoPin: true})
		}
	}
}

// Goal: a reader or a writer belongs to one engine. Method: both given twice, to one engine and to two, at the start and later;
// when the engine has ended they are free.
func TestOneEngine(t *testing.T) {
	feed, p := hitFeed(t, readers.FeedConfig{})
	other, _ := hitFeed(t, readers.FeedConfig{})
	p.Emit = plan.EmitChanges
	w := &hookedWriter{&hooks{}}
	cfg := engine.Config{Plan: p, Readers: []record.Reader{feed}, Writer: w, Cores: 1, NoPin: true}
	e := start(t, cfg)
	refused := func(what string, cfg engine.Config, faults int) {
		t.Helper()
		e, err := engine.Start(t.Context(), cfg)
		if err == nil {
			e.Close()
		}
		if err == nil || strings.Count(err.Error(), "is in use already") != faults {
			t.Errorf("%s: %v, expected %d faults", what, err, faults)
		}
	}
	refused("both", cfg, 2)
	cfg.Readers = []record.Reader{other, feed}
	refused("one of two", cfg, 2)
	cfg.Readers, cfg.Writer = []record.Reader{other, other}, nil
	refused("twice", cfg, 1)
	if _, err := e.AddReader(t.Context(), feed); err == nil || !strings.Contains(err.Error(), "is in use already") {
		t.Errorf("AddReader: %v", err)
	}
	id, err := e.AddReader(t.Context(), other) // what was refused has taken nothing
	if err != nil || id != 1 {
		t.Fatal(id, err)
	}
	feed.End()
	other.End()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	cfg = engine.Config{Plan: p, Readers: []record.Reader{feed}, Writer: w, Cores: 1, NoPin: true}
	if err := start(t, cfg).Wait(); err != nil { // it has ended, so it ends at once
		t.Errorf("after the engine has ended: %v", err)
	}
}
