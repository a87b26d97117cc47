package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/state"
)

// A keeper saves the state of an engine. It is an ordinary goroutine that reads cuts as every
// snapshot does, so no agent waits for it or for the disk. It has a slot of its own
// (Config.HeldSnapshots counts others), and the budget has a table for it (core.MemoryBudget).
//
// # What makes a generation consistent
//
// A cut has exactly the records before the marks of its epoch. Each router has noted where its
// reader's splits stood before it sent its mark (core.positions), and the note stays while the cut
// is pinned. So groups and positions are of the same moment for each reader.
//
// Windows that the writer has taken are not given to it again after a restart. The keeper reads
// which they are after it has pinned the cut. Partitions drop panes of written windows, each when
// it publishes, so a pane that one partition has dropped and another has not is of a window that
// the generation calls written.
//
// The cut that is saved is one up to which the aligned outputs have written; see alignment.
//
// A generation has all plans that are in the cut. With a State, a plan that fails ends the engine:
// its groups could not go on together with the others.
type keeper struct {
	engine *Engine
	state  *State
	folder *state.Folder

	// panes are the panes of the newest generation that this process has made.
	panes map[paneKey]state.Pane
	// saved is what the newest generation is of. outdated is its epoch if its cut may have less
	// than saved says, because the epoch had been raised before; it is 0 otherwise.
	saved    savedAt
	outdated uint64
	// busy is the time that the last save took without waiting for the disk or for others, to
	// stretch the interval. idle is how long the save at hand has waited for others.
	busy, idle time.Duration
	// begun says that the engine runs. Before that, no output writes.
	begun bool
	// plans holds a value while a generation is made, and while a plan is added or removed. So the
	// plans of a generation stay. It is a lock that can be waited for with a context.
	plans chan struct{}

	// saves are what the engine's plans were in the generation that it began with.
	saves map[*branch]savedPlan
	// leftover are the saved positions that no reader has gone on with yet, and absent the readers
	// of before that they are of. They are kept in each generation until a reader goes on with
	// them.
	leftover []record.Position
	absent   []absentReader
	// silent are the calls of user code that have panicked: they are not made again.
	silent map[string]bool
	// telling is held while OnEvent is called: by the keeper, and by watch.
	telling sync.Mutex

	requests chan saveRequest
	// early asks for a save ahead of its time.
	early chan struct{}
	// alignment has the outputs come to the cut that is saved.
	alignment alignment
	// held is a cut that could not be saved and is tried again, because the rows that were written
	// up to it fill an outbox; its cut is nil if there is none.
	held     pinned
	stop     chan struct{} // closed when the engine has ended, and so have the outputs
	finished chan struct{}
	// unwatch ends watch, and watched is closed then.
	unwatch, watched chan struct{}

	mu    sync.Mutex // guards stats, off the data path
	stats StateStats
}

// A saveRequest asks for a save. If always is not set, none is made if there is nothing new. done
// receives the error.
type saveRequest struct {
	done   chan error
	always bool
}

type paneKey struct {
	plan      *branch
	partition int
	pane      window.Pane
}

// savedAt tells whether anything has changed since a save.
type savedAt struct {
	records uint64
	// closed and written are the sums over all plans, each of which only grows.
	closed  int64
	written int64
	ended   int // readers that had ended
}

// A savedPlan is what a plan was in the generation that the engine began with: its place there, and
// what that has of it; nil if the plan began without history.
type savedPlan struct {
	i int
	*state.Plan
}

// An absentReader is a reader of before, with its watermarks in the plans of now.
type absentReader struct {
	state.Reader
	marks map[*branch]int64
}

// A pinned is a cut of a plan that somebody holds, and its slot.
type pinned struct {
	cut  *result.Cut
	slot int
}

// StateStats are the counters of Config.State.
type StateStats struct {
	Generation uint64 // the newest durable generation; 0 if there is no State
	Epoch      uint64 // its epoch
	Restored   uint64 // the generation that the engine began with; 0 if it began anew
	// RestoredSaved is when that generation became durable.
	RestoredSaved time.Time
	// Passed says why newer generations than Restored were passed over: they are damaged.
	Passed   error
	Saved    time.Time     // when the newest generation became durable
	Bytes    int64         // the size of the groups in it
	Written  int64         // bytes written since the start
	Duration time.Duration // how long the last save took, and Waited how much of that was the disk
	Waited   time.Duration
	Interval time.Duration // the time between two saves, after stretching
	Saves    uint64
	Saving   time.Time // when the save that is under way began; zero if none is
	// Failures is how many saves have failed since the last one that did not, and Err is why the
	// last one has.
	Failures uint64
	Err      error
	// Failed is how many saves have failed since the start.
	Failed uint64
	// Last are the last MaxCheckpoints saves, those that failed included, the newest at the end.
	Last []StateEvent
	// CaughtUp says that each reader that was resumed has since had nothing to give, or has ended,
	// and that each knows how much waits, if it is a record.Lagging. It is false again while a
	// split that was found later, such as a new partition of Kafka, has not been heard of.
	CaughtUp bool
}

// describe writes the counters for people, if there is a State.
func (s *StateStats) describe(to io.Writer) {
	if s.Generation == 0 {
		return
	}
	if !s.Saving.IsZero() && time.Since(s.Saving) >= SlowWriter {
		fmt.Fprintf(to, "state: A SAVE HAS BEEN UNDER WAY for %v: nothing is saved since generation %d\n",
			time.Since(s.Saving).Round(time.Second), s.Generation)
	}
	fmt.Fprintf(to, "state: generation %d of epoch %d, %v old, %d KiB; %d saves, the last took %v, %v of it the disk\n",
		s.Generation, s.Epoch, time.Since(s.Saved).Round(time.Millisecond), s.Bytes>>10, s.Saves,
		s.Duration.Round(time.Millisecond), s.Waited.Round(time.Millisecond))
	if s.Passed != nil {
		fmt.Fprintf(to, "state: NEWER GENERATIONS ARE DAMAGED: %v\n", s.Passed)
	}
	if s.Failures > 0 {
		fmt.Fprintf(to, "state: %d SAVES HAVE FAILED since: %v\n", s.Failures, s.Err)
	}
}

// openKeeper opens the folder and checks that its state belongs to the plans.
func openKeeper(e *Engine) (*keeper, error) {
	k := &keeper{
		engine: e, state: e.cfg.State.withDefaults(), panes: map[paneKey]state.Pane{},
		requests: make(chan saveRequest), stop: make(chan struct{}),
		early:  make(chan struct{}, 1),
		silent: map[string]bool{}, saves: map[*branch]savedPlan{},
		finished: make(chan struct{}), plans: make(chan struct{}, 1),
		unwatch: make(chan struct{}), watched: make(chan struct{}),
	}
	var err error
	k.folder, err = k.state.openFolder()
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	k.stats.Interval = k.state.Interval
	for _, b := range e.branches() {
		if b.output != nil {
			err = errors.Join(err, b.output.openOutbox(k.state.outboxBytes))
		}
	}
	if err := errors.Join(err, k.check()); err != nil {
		return nil, errors.Join(fmt.Errorf("engine: state %v: %w", k.folder, err), k.folder.Close())
	}
	return k, nil
}

// event tells Config.State.OnEvent.
func (k *keeper) event(ev StateEvent) {
	if tell := k.state.OnEvent; tell != nil {
		k.telling.Lock()
		defer k.telling.Unlock()
		k.tell("OnEvent", "state", func() { tell(ev) })
	}
}

// tell calls a function of user code. If it panics, that is reported, and it is not called again.
func (k *keeper) tell(function, whose string, call func()) {
	if k.silent[whose] {
		return
	}
	gone := func(err error) { k.engine.report(fmt.Errorf("engine: %s: %w", whose, err)) }
	err := contain(function, func() error { call(); return nil }, gone)
	if err != nil {
		k.silent[whose] = true
		gone(err)
	}
}

// begin says where the engine goes on, and then saves.
func (k *keeper) begin() {
	defer close(k.finished)
	k.begun = true
	m := k.folder.Newest
	if k.stats.Restored > 0 {
		k.event(StateEvent{
			Kind: Restored, Generation: m.Generation, Epoch: m.Epoch, Bytes: m.Bytes(), Err: k.folder.Passed,
		})
	}
	k.run()
}

// run saves at each interval and when asked, and once more after the engine has ended.
func (k *keeper) run() {
	t := time.NewTimer(k.interval())
	defer t.Stop()
	early := false // the next save is one ahead of its time, for a full outbox
	for {
		select {
		case <-t.C:
			switch {
			case early:
				_ = k.save(false) // pins a cut of its own, as an outbox is full
			case k.changed():
				// Without epochs of its own the engine would show the same cut for ever.
				_ = k.save(k.engine.cfg.EpochInterval < 0) // stats and events have the error
			}
		case <-k.early:
		case r := <-k.requests:
			if r.always || k.changed() {
				r.done <- k.save(true)
			} else {
				r.done <- nil
			}
		case <-k.stop:
			k.last()
			return
		}
		early = k.full()
		if early {
			t.Reset(k.untilEarly())
		} else {
			t.Reset(k.interval())
		}
	}
}

// full says whether an outbox is full.
func (k *keeper) full() bool {
	return slices.ContainsFunc(k.boxes(), func(o *output) bool { return o.box.full() })
}

// Between the end of a save and one that a full outbox asks for are earlyGap, or failedGap if it
// has failed, and as long as it took.
const (
	earlyGap  = 10 * time.Millisecond
	failedGap = 100 * time.Millisecond
)

// untilEarly is how long a save ahead of its time has to wait.
func (k *keeper) untilEarly() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	gap := max(earlyGap, k.stats.Duration)
	if k.stats.Failures > 0 {
		gap = max(failedGap, k.stats.Duration)
	}
	if len(k.stats.Last) == 0 {
		return 0
	}
	last := &k.stats.Last[len(k.stats.Last)-1]
	return max(0, gap-time.Since(last.At.Add(last.Duration)))
}

// interval is the time to the next save.
func (k *keeper) interval() time.Duration {
	every := k.state.Interval
	if k.state.Share < 1 {
		every = max(every, time.Duration(float64(k.busy)/k.state.Share))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Interval = every
	return every
}

// now is what savedAt is now, about.
func (k *keeper) now() savedAt {
	e := k.engine
	s := savedAt{records: e.recordsIn()}
	slot := e.epochs.Pin()
	for _, b := range e.branchesAt(slot) {
		closed, _ := b.cuts.At(slot).Closed()
		s.closed += closed
		s.written += b.cuts.WrittenEnd()
	}
	e.epochs.Unpin(slot)
	for _, in := range e.inlets.all() {
		if isDone(in.gone) {
			s.ended++
		}
	}
	return s
}

// changed says whether a save would have anything new. Readers that end again, after a restart from
// a state at their end, are nothing new.
func (k *keeper) changed() bool {
	now := k.now()
	now.ended = max(now.ended, k.saved.ended)
	return now != k.saved || k.outdated > 0 && k.engine.epochs.Visible() > k.outdated
}

// last saves the final cut. An engine that was closed has none, and its state stays as it was last
// saved.
func (k *keeper) last() {
	short := slices.ContainsFunc(k.boxes(), func(o *output) bool { return !o.whole.Load() })
	if k.engine.epochs.Ended() && k.changed() && !short { // a writer that lacks rows has been closed
		if err := k.save(false); err != nil {
			k.engine.report(fmt.Errorf("engine: the state at the end is not saved, a restart goes on from generation "+
				"%d: %w", k.folder.Newest.Generation, err))
		}
	}
	if err := k.folder.Close(); err != nil {
		k.engine.report(fmt.Errorf("engine: state %v: %w", k.folder, err))
	}
}

// save makes a generation. If now is set it has everything that was handed to readers before.
func (k *keeper) save(now bool) error {
	begin := time.Now()
	k.idle = 0
	at := k.now()
	raised, _ := k.engine.epochs.Raised()
	k.noteSaving(begin)
	if k.held.cut != nil && now {
		// It has not everything that was handed to readers.
		if err := k.save(false); err != nil {
			return err
		}
		k.noteSaving(begin)
	}
	plans := k.engine.branches() // one that is abandoned may be gone when write returns
	m, w, err := k.write(now)
	for err != nil && k.outlasts(plans) {
		plans = k.engine.branches()
		m, w, err = k.write(now)
	}
	took := time.Since(begin)
	ev := StateEvent{Kind: Saved, At: begin, Duration: took, Err: err}
	if w != nil {
		ev.Generation, ev.Waited = w.Number(), w.Waited
	}
	k.busy = took - ev.Waited - k.idle
	k.mu.Lock()
	k.stats.Duration, k.stats.Waited, k.stats.Saving = took, ev.Waited, time.Time{}
	if err != nil {
		ev.Kind = SaveFailed
		k.stats.Failures++
		k.stats.Failed++
		k.stats.Err = err
	} else {
		k.saved, k.outdated = at, 0
		if m.Epoch <= raised {
			k.outdated = m.Epoch
		}
		ev.Epoch, ev.Bytes, ev.Written = m.Epoch, m.Bytes(), written(m)
		k.noteSaved(m)
	}
	// A slice that Stats has given out does not change.
	last := k.stats.Last[max(0, len(k.stats.Last)-MaxCheckpoints+1):]
	k.stats.Last = append(slices.Clone(last), ev)
	k.mu.Unlock()
	k.event(ev)
	if err == nil {
		k.sayDurable()
	}
	return err
}

// outlastGrace is how long a save waits for the removal of a plan, before it counts as failed.
const outlastGrace = 10 * time.Second

// outlasts waits until one of the plans is removed that RemovePlan has abandoned, and because of
// which a save of them may have failed. It returns false if there is none, or if that takes too
// long.
func (k *keeper) outlasts(plans []*branch) bool {
	begin := time.Now()
	defer func() { k.idle += time.Since(begin) }()
	i := slices.IndexFunc(plans, func(b *branch) bool { return b.leaving.Load() })
	if i < 0 {
		return false
	}
	t := time.NewTimer(outlastGrace)
	defer t.Stop()
	select {
	case <-plans[i].removed:
		return true
	case <-k.engine.halted:
	case <-t.C:
	}
	return false
}

// noteSaving notes that a save is under way.
func (k *keeper) noteSaving(since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Saving = since
}

// lockPlans waits until no generation is made and no plan is added or removed. It fails if ctx is
// done first, or if the engine is closed.
func (k *keeper) lockPlans(ctx context.Context) error {
	select {
	case k.plans <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.engine.halted:
		return k.engine.over()
	}
}

func (k *keeper) unlockPlans() { <-k.plans }

// noteSaved puts a new generation into the counters.
func (k *keeper) noteSaved(m *state.Manifest) {
	s := &k.stats
	s.Generation, s.Epoch, s.Saved, s.Bytes = m.Generation, m.Epoch, m.Time, m.Bytes()
	s.Failures, s.Err = 0, nil
	s.Saves++
	s.Written += written(m)
}

// counters reads the counters without CaughtUp.
func (k *keeper) counters() StateStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

// read reads the counters.
func (k *keeper) read() StateStats {
	s := k.counters()
	s.CaughtUp = true
	for _, in := range k.engine.inlets.all() {
		s.CaughtUp = s.CaughtUp && in.caughtUp()
	}
	return s
}

// written is how many bytes of groups a generation has itself.
func written(m *state.Manifest) (n int64) {
	for _, plan := range m.Plans {
		for _, x := range plan.Panes {
			for _, p := range []state.Part{x.Rows, x.Heap, x.Blocks} {
				if p.Bytes > 0 && p.Of() == m.Generation {
					n += p.Bytes
				}
			}
		}
	}
	return n
}

// write pins a cut and writes it. w is nil if it did not come to writing.
func (k *keeper) write(now bool) (m *state.Manifest, w *state.Writing, err error) {
	k.plans <- struct{}{}
	defer k.unlockPlans()
	begin := time.Now()
	at := k.held
	k.held = pinned{}
	if at.cut == nil {
		at, err = k.pin(now)
	}
	k.idle += time.Since(begin)
	if err != nil {
		return nil, nil, err
	}
	held := true
	defer func() {
		switch {
		case err != nil && k.full():
			k.held = at
		case held:
			k.engine.epochs.Unpin(at.slot)
		}
	}()
	plans := k.engine.branchesAt(at.slot)
	for _, b := range plans {
		if b.ended.Load() { // before the cut, maybe: its groups need not be whole
			return nil, nil, fmt.Errorf("plan %d (%s) is being removed", b.id, nameOf(b.cfg.Plan))
		}
	}
	w = k.folder.Begin()
	m = k.manifest(at, plans)
	rows, panes := map[*branch][]parcel{}, map[paneKey]state.Pane{}
	for i, b := range plans {
		rows[b], err = k.writePlan(w, m, i, b, at, panes)
		if err != nil {
			w.Abort()
			return nil, w, err
		}
	}
	if len(k.boxes()) == 0 {
		k.engine.epochs.Unpin(at.slot)
		held = false
	}
	if err := w.Commit(m); err != nil {
		if !errors.Is(err, state.ErrTorn) {
			w.Abort()
		}
		return nil, w, err
	}
	k.panes = panes
	begin = time.Now()
	for i, b := range plans {
		if b.output != nil && b.output.box != nil {
			err = errors.Join(err, b.output.send(m.Epoch, &m.Plans[i], rows[b]))
		}
	}
	k.idle += time.Since(begin)
	if err != nil {
		return nil, w, err
	}
	return m, w, nil
}

// writePlan writes a plan of a generation, with its groups and the rows for its writer, which are
// returned.
func (k *keeper) writePlan(w *state.Writing, m *state.Manifest, i int, b *branch, at pinned,
	panes map[paneKey]state.Pane,
) (rows []parcel, err error) {
	p := &m.Plans[i]
	p.Sink, err = k.saveSink(b)
	if err != nil {
		return nil, err
	}
	if b.output != nil && b.output.box != nil {
		rows, err = b.output.box.save(w, p, m.Epoch, m.Finished)
		if err != nil {
			return nil, err
		}
	}
	cut := b.cuts.At(at.slot)
	for partition, image := range cut.Images {
		for j := range image.Panes {
			key := paneKey{b, partition, image.Panes[j].Pane}
			pane, err := k.pane(w, key, image, &image.Panes[j])
			if err != nil {
				return nil, err
			}
			panes[key] = pane
			p.Panes = append(p.Panes, pane)
		}
	}
	runtime.KeepAlive(cut)
	return rows, nil
}

// saveSink makes durable what the writer of a plan has, if it goes on after a restart. It comes
// after the cut was pinned, so the writer has at least the windows that the manifest calls written.
func (k *keeper) saveSink(b *branch) (saved []byte, err error) {
	o := b.output
	if o == nil || o.committer() == nil {
		return nil, nil
	}
	begin := time.Now()
	defer func() { k.idle += time.Since(begin) }()
	o.keeping.start("Save")
	defer func() { o.keeping.end(o.patience()) }()
	made := make(chan []byte, 1) // not a variable, because a call may return later
	err = o.apart("Save", o.saveCtx.Done(), func() error {
		bytes, err := o.committer().Save(o.saveCtx)
		made <- bytes
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("writer%s: %w", b.ofPlan(), err)
	}
	return <-made, nil
}

// pin pins the cut to save. If now is set it has everything that was handed to readers before.
func (k *keeper) pin(now bool) (at pinned, err error) {
	e := k.engine
	if outs := k.aligned(); k.begun && len(outs) > 0 {
		at.slot, err = k.pinAligned(outs)
		if err != nil {
			return pinned{}, err
		}
		return k.pinnedAt(at.slot)
	}
	if now {
		err := e.wait(context.Background(), e.epochs.Want())
		if err != nil && !errors.Is(err, ErrEnded) {
			return at, err
		}
	}
	return k.pinnedAt(e.epochs.Pin())
}

// errNoCut says that a plan was removed before any other had a cut.
var errNoCut = errors.New("no plan of the engine is in the newest epoch yet")

// pinnedAt is the cut of the first plan in a slot that the keeper has pinned.
func (k *keeper) pinnedAt(slot int) (pinned, error) {
	list := k.engine.branchesAt(slot)
	if len(list) == 0 {
		k.engine.epochs.Unpin(slot)
		return pinned{}, errNoCut
	}
	return pinned{list[0].cuts.At(slot), slot}, nil
}

// isDone says whether a channel is closed.
func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pane writes a pane, or refers to what the last generation has of it if it has not changed since.
func (k *keeper) pane(w *state.Writing, key paneKey, m *result.Image, x *result.PaneImage) (state.Pane, error) {
	old, ok := k.panes[key]
	if ok && old.Epoch == x.Epoch {
		return old, nil
	}
	pane := state.Pane{Pane: uint64(x.Pane), Partition: key.partition, Epoch: x.Epoch}
	shut := m.Layout.Window != nil && m.Layout.Window.Clock.Shut(x.Pane) <= m.Clock
	for _, p := range []struct {
		to     *state.Part
		pieces iter.Seq[[]byte]
	}{
		// Rows of shards that other partitions have now are as new: they add nothing.
		{&pane.Rows, state.Pieces(x.Table.RawRows(0, x.Table.Len()))},
		{&pane.Heap, state.Pieces(x.Table.Heap())},
		{&pane.Blocks, state.Pieces(x.Table.RawBlocks())},
	} {
		var err error
		*p.to, err = w.Part(shut, p.pieces)
		if err != nil {
			return state.Pane{}, err
		}
	}
	return pane, nil
}

// manifest makes the manifest of a pinned cut with these plans, without their panes.
func (k *keeper) manifest(at pinned, plans []*branch) *state.Manifest {
	e := k.engine
	m := &state.Manifest{
		Velo: version(), Epoch: at.cut.Epoch(), Finished: e.epochs.IsLast(at.slot) && e.complete(),
	}
	var counters [][]result.Counters
	for _, b := range plans {
		m.Plans = append(m.Plans, planOf(b, at.slot))
		counters = append(counters, b.cuts.At(at.slot).Counters())
	}
	// A reader that is being added may be in the cut of one plan and not yet in another's. It has
	// brought nothing before the cut then.
	readers := len(slices.MinFunc(counters, func(a, b []result.Counters) int { return len(a) - len(b) }))
	inlets := e.inlets.all()
	for i := range readers {
		in := inlets[i]
		// The routers of a reader stand at the same place.
		first, _ := in.to(plans[0])
		stands := first.router.PositionsAt(m.Epoch, at.slot)
		r := state.Reader{Name: in.source.base().name, Ended: stands.Ended}
		r.Left = !stands.Ended && in.source.base().leaving.Load() && isDone(in.gone)
		_, r.Resumes = in.source.base().reader.(record.Resumer)
		for _, p := range stands.Positions {
			r.Positions = append(r.Positions, state.Position{Split: p.Split, Offset: append([]byte(nil), p.Offset...)})
		}
		for j, b := range plans {
			f, _ := in.to(b)
			r.Plans = append(r.Plans, state.Progress{
				Watermark: f.router.PositionsAt(m.Epoch, at.slot).Watermark,
				Counters:  nameCounters(counters[j][i]),
			})
		}
		m.Readers = append(m.Readers, r)
	}
	var absent []state.Reader
	for _, a := range k.absent {
		r := a.Reader
		r.Plans = nil
		for _, b := range plans {
			mark, ok := a.marks[b]
			if !ok {
				mark = core.WatermarkNone
			}
			r.Plans = append(r.Plans, state.Progress{Watermark: mark}) // the readers of now have its counters
		}
		absent = append(absent, r)
	}
	m.Absent = without(absent, m.Readers)
	return m
}

// planOf is a plan in the cut of a slot, without its panes.
func planOf(b *branch, slot int) state.Plan {
	p, cut := b.cfg.Plan, b.cuts.At(slot)
	l := cut.Images[0].Layout
	return state.Plan{
		Name: nameOf(p), Text: p.String(), Print: fingerprint(p), Output: outputPrint(p),
		KeyWords: l.Keys.Words(), StateWords: len(l.Init), RowBytes: 8 * table.RowWords(l.Keys.Words()+len(l.Init)),
		Disjoint: cut.Disjoint(),
		Closed:   cut.Images[0].Clock, Oldest: cut.Images[0].Oldest, Written: b.cuts.WrittenEnd(),
	}
}

// without leaves out the positions that others have now, and the readers that have none then.
func without(readers, others []state.Reader) (left []state.Reader) {
	taken := map[string]bool{}
	for _, r := range others {
		for _, p := range r.Positions {
			taken[p.Split] = true
		}
	}
	for _, r := range readers {
		r.Positions = slices.DeleteFunc(slices.Clone(r.Positions), func(p state.Position) bool {
			return taken[p.Split]
		})
		if len(r.Positions) > 0 {
			left = append(left, r)
		}
	}
	return left
}

// complete says whether all readers have come to their end.
func (e *Engine) complete() bool {
	for _, in := range e.inlets.all() {
		if !in.source.Complete() {
			return false
		}
	}
	return true
}

// sayDurable tells the readers which records nobody will ask for again: those before the positions
// of the oldest generation that is kept, to which a restart may go back if newer ones are damaged.
func (k *keeper) sayDurable() {
	oldest := k.folder.Generations()[0]
	if oldest.Incarnation != k.folder.Incarnation {
		return // its readers were others
	}
	for _, in := range k.engine.inlets.all() {
		d, ok := in.source.base().reader.(record.Durable)
		if !ok || in.id >= len(oldest.Readers) {
			continue
		}
		var positions []record.Position
		for _, p := range oldest.Readers[in.id].Positions {
			positions = append(positions, record.Position{Split: p.Split, Offset: p.Offset})
		}
		whose := fmt.Sprintf("reader %d (%s)", in.id, in.source.base().name)
		k.tell("Durable", whose, func() { d.Durable(positions) })
	}
}

// version is the version of velo in this program.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "github.com/velo-engine/velo" {
			return m.Version
		}
	}
	return "unknown"
})

// Checkpoint saves the state now and returns when it is durable: everything that the caller handed
// to readers before the call is in it, as after Sync. The error says why it could not be saved; the
// engine goes on then. It is ErrNoState without a State, ErrEnded after the end, why ctx was done,
// or ErrCallback within a callback of the engine.
func (e *Engine) Checkpoint(ctx context.Context) error {
	k := e.keeper
	if k == nil {
		return ErrNoState
	}
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: checkpoint: %w", err)
	}
	done := make(chan error, 1)
	select {
	case k.requests <- saveRequest{done, true}:
	case <-k.finished:
		return fmt.Errorf("engine: checkpoint: %w", e.over())
	case <-ctx.Done():
		return fmt.Errorf("engine: checkpoint: %w", context.Cause(ctx))
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("engine: checkpoint: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine: checkpoint: %w", context.Cause(ctx))
	}
}
