package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// # Writers that hang
//
// A generation has what all plans were at one epoch, so a writer that does not return from Save or
// Commit, or from a Write that an aligned output waits for, keeps all plans from being saved. To
// leave its plan out would lose rows (docs/durability.md), so nothing is saved until the call
// returns or the plan is removed, and somebody is told:
//
//	call                              who waits                       what is told
//	Write, EndWindow                  the output                      Stats; event with a State
//	the same, of an aligned output    the output and the keeper       the same
//	Save, Commit                      the keeper                      the same
//	Recover, RecoverOutput            Start, AddPlan                  the event
//
// The context of Start ends what Start waits for.
//
// The keeper calls a writer on a goroutine of its own (output.apart). So a call that does not
// return either when its context is done, because the engine was closed or the plan was removed,
// holds the keeper up for leaveGrace.

// SlowWriter is how long a call of a writer may take, its repetitions after transient errors
// included, before OutputStats and StateEvent say that it has not returned. The event comes again
// each time that the call has taken twice as long.
const SlowWriter = 30 * time.Second

// leaveGrace is how long the keeper waits for a call of a writer whose context is done. It is
// shorter than readGrace, which is how long the engine waits for the keeper.
const leaveGrace = readGrace / 2

// A writerCall is the call of a writer that one goroutine is in: the output or the keeper.
type writerCall struct {
	mu    sync.Mutex    // guards what follows, off the data path
	name  string        // empty if there is none
	begin time.Time     // of the first try
	tries int           // those that have failed
	err   error         // why the last of them has
	slow  uint64        // calls that took longer than SlowWriter and have returned
	took  time.Duration // the last of those

	told tellings // only keeper.watch uses it
}

func (c *writerCall) start(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name, c.begin, c.tries, c.err = name, time.Now(), 0, nil
}

// again notes that a try has failed and that another follows.
func (c *writerCall) again(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	c.err = err
}

func (c *writerCall) end(patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := time.Since(c.begin)
	if took >= patience {
		c.slow++
		c.took = took
	}
	c.name, c.err = "", nil
}

// A heldCall is what a writerCall is at one moment.
type heldCall struct {
	name  string // empty if there is no call
	begin time.Time
	lasts time.Duration // how long it has taken so far
	took  time.Duration // how long the last one took that took longer than SlowWriter
	slow  uint64        // calls that took longer than SlowWriter, this one included
	words string        // what the writer has not done, such as: has not returned from Commit for 31s
}

func (c *writerCall) read(patience time.Duration) (h heldCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h = heldCall{name: c.name, begin: c.begin, took: c.took, slow: c.slow}
	if c.name == "" {
		return h
	}
	h.lasts = time.Since(c.begin)
	if h.lasts >= patience {
		h.slow++
	}
	rounded := h.lasts.Round(time.Second)
	if h.lasts < time.Second {
		rounded = h.lasts.Round(time.Millisecond)
	}
	h.words = fmt.Sprintf("has not returned from %s for %v", c.name, rounded)
	if c.tries > 0 {
		h.words = fmt.Sprintf("has failed %d times in %s for %v, the last time with: %v", c.tries, c.name, rounded,
			c.err)
	}
	return h
}

// patience is SlowWriter, or what a test has instead.
func (o *output) patience() time.Duration {
	if k := o.engine.keeper; k != nil {
		return k.state.patience
	}
	return SlowWriter
}

// held is the longest call that the writer is in.
func (o *output) held() heldCall {
	w, k := o.writing.read(o.patience()), o.keeping.read(o.patience())
	longest := w
	if w.name == "" || k.name != "" && k.lasts > w.lasts {
		longest = k
	}
	longest.slow = w.slow + k.slow
	return longest
}

// stats reads the counters.
func (o *output) stats() OutputStats {
	s := OutputStats{
		Rows: o.rows.Load(), Windows: o.windows.Load(), Retries: o.retries.Load(), Unfit: o.unfit.Load(),
	}
	h := o.held()
	s.Slow = h.slow
	if h.name != "" {
		s.Waiting = h.lasts
		if h.lasts >= o.patience() {
			s.Hangs = h.words
		}
	}
	return s
}

// errLeft says that a call of a writer never returned.
var errLeft = errors.New("an earlier call has not returned after its context was done; its goroutine is left behind")

// giveUp has the contexts of all calls of the writer be done.
func (o *output) giveUp() {
	o.cancel()
	o.cancelSave()
}

// apart makes a call of the writer for the keeper, on a goroutine of its own. If stopped is closed
// and the call does not return, the keeper goes on without it.
func (o *output) apart(name string, stopped <-chan struct{}, call func() error) error {
	o.called.Lock()
	defer o.called.Unlock()
	if o.left.Load() {
		return errLeft
	}
	done := make(chan error, 1)
	go o.engine.as(callerKeeper, func() {
		done <- contain(name, call, func(err error) { done <- err })
	})
	select {
	case err := <-done:
		return err
	case <-stopped:
	}
	err, returned := receive(done, leaveGrace)
	if returned {
		return err
	}
	o.left.Store(true)
	err = fmt.Errorf("engine: writer%s: %s has not returned %v after its context was done; its goroutine is left "+
		"behind, and the writer is not closed", o.branch.ofPlan(), name, leaveGrace)
	o.engine.report(err)
	return err
}

// goOn makes the call of the writer by which it goes on where it stopped.
func (o *output) goOn(name string, call func() error) error {
	o.keeping.start(name)
	defer func() { o.keeping.end(o.patience()) }()
	err := o.apart(name, o.ctx.Done(), call)
	if err != nil {
		return fmt.Errorf("writer: %w", err)
	}
	return nil
}

// heeding has the calls of writers end when a context is done, while work makes them. Then it fails
// even if work did not, as the writers can be used no more.
func heeding(ctx context.Context, outputs []*output, work func() error) error {
	heed := context.AfterFunc(ctx, func() {
		for _, o := range outputs {
			o.giveUp()
		}
	})
	err := work()
	if !heed() && err == nil {
		return fmt.Errorf("given up: %w", context.Cause(ctx))
	}
	return err
}

// closeWriter closes the writer when the keeper is in no call of it.
func (o *output) closeWriter() error {
	o.called.Lock()
	defer o.called.Unlock()
	if o.left.Load() {
		return nil // a call has not returned, which has been reported
	}
	return o.writer.Close()
}

// heldBy is an output whose writer a save waits for; nil if there is none.
func (e *Engine) heldBy() *output {
	k := e.keeper
	if k == nil {
		return nil
	}
	for _, b := range e.branches() {
		o := b.output
		switch {
		case o == nil:
		case o.keeping.read(k.state.patience).name != "",
			k.alignment.awaits.Load() == o && o.writing.read(k.state.patience).name != "":
			return o
		}
	}
	return nil
}

// watch tells OnEvent about writers that hang. It is a goroutine of its own because the keeper is
// in the call that does not return.
func (k *keeper) watch() {
	defer close(k.watched)
	if k.state.OnEvent == nil {
		return
	}
	every := time.NewTicker(k.state.patience / 30)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-k.unwatch:
			return
		}
		for _, b := range k.engine.branches() {
			if b.output == nil {
				continue
			}
			for _, c := range []*writerCall{&b.output.writing, &b.output.keeping} {
				k.tellHang(b, c)
			}
		}
	}
}

// endWatch ends watch.
func (k *keeper) endWatch() {
	close(k.unwatch)
	within(k.watched, readGrace) // OnEvent may not return
}

// tellings are what has been told of a writerCall.
type tellings struct {
	begin time.Time     // of the call that was told; zero if none was
	next  time.Duration // the length at which to tell again
}

// tellHang tells of one call if it has lasted long enough, or that it has returned.
func (k *keeper) tellHang(b *branch, c *writerCall) {
	t, h := &c.told, c.read(k.state.patience)
	s := k.counters()
	ev := StateEvent{Plan: nameOf(b.cfg.Plan), Generation: s.Generation, Epoch: s.Epoch}
	if !t.begin.IsZero() && (h.name == "" || h.begin != t.begin) {
		ev.Kind, ev.At, ev.Duration = WriterReturned, t.begin, h.took
		t.begin, t.next = time.Time{}, 0
		if !b.output.left.Load() {
			k.event(ev)
		}
	}
	if h.name == "" || h.lasts < max(t.next, k.state.patience) {
		return
	}
	t.begin, t.next = h.begin, 2*h.lasts
	ev.Kind, ev.At, ev.Duration = WriterHangs, h.begin, h.lasts
	ev.Err = fmt.Errorf("the writer of %s %s%s", ev.Plan, h.words, notSaved(&s, k.state.patience))
	k.event(ev)
}

// notSaved says since when nothing has been saved, if a save has been under way for long.
func notSaved(s *StateStats, patience time.Duration) string {
	if s.Saving.IsZero() || time.Since(s.Saving) < patience {
		return ""
	}
	return fmt.Sprintf("; nothing is saved since generation %d", s.Generation)
}
