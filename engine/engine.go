package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/epoch"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// ErrClosed is what Wait returns if not everything had been read, or not everything had been
// written, when Close was called or the context given to Start ended.
var ErrClosed = errors.New("engine: closed before the readers ended and everything was written")

// An Engine runs one plan, or several plans over the same records. All methods may be called from
// any goroutine.
type Engine struct {
	cfg       Config // with the defaults filled in
	placement affinity.Placement
	interval  *interval
	start     time.Time
	paced     bool // true if runners choose when they park

	// list has the branches by the number of the plan. It is replaced when a plan is added, after
	// everything in the branch is ready, so that a goroutine that looks at it needs no lock.
	list atomic.Pointer[[]*branch]

	// epochs are the epochs of all branches.
	epochs *epoch.Epochs

	runners     []*runner
	partitionOn []*runner // by the number of the partition, in every branch
	inlets      inlets
	rejects     *rejectQueue // nil if the configuration has neither OnReject nor OnLate
	keeper      *keeper      // nil if the configuration has no State
	rebalancing *rebalancing // nil if the configuration does not ask for it
	feeder      *Engine      // runs the plan that From leads to; nil if the plan has none

	// readCtx is the context of all reads. cancelRead ends it.
	readCtx    context.Context
	cancelRead context.CancelFunc

	// stopping says that the readers shall end, closing that everything shall end. Each is written
	// once, before all bells are rung. Sources and runners read them each time they go round, and
	// after a runner has announced that it parks.
	stopping, closing atomic.Bool

	// halted is closed when everything is told to end at once. What has not ended readGrace later
	// is left behind.
	halted   chan struct{}
	haltOnce sync.Once
	callers  sync.Map // by the number of the goroutine: see callback

	running sync.WaitGroup // the runners
	reading sync.WaitGroup // the pumps
	helpers sync.WaitGroup // the goroutines that close readers, and the one that moves shards
	stopped chan struct{}  // closed when runners, pumps and helpers have ended, or were given up

	// done is closed after stopped, when OnReject and the writer have returned or were given up.
	done chan struct{}

	tables tables // what the plans look up

	elapsed   atomic.Int64 // nanoseconds from start to stopped; 0 before that
	unContext func() bool

	mu     sync.Mutex // guards errs and closed, off the data path
	errs   []error
	closed bool // true if Close came before the end
}

// Start checks the configuration, starts the engine and returns. The error lists every fault. If
// there is an error, nothing runs and no reader is closed. ctx bounds the lifetime of the engine:
// when it is done, the engine is closed.
func Start(ctx context.Context, cfg Config) (*Engine, error) {
	if d := cfg.short(); d.Plan != nil && d.Plan.From != nil {
		return startChain(ctx, d)
	}
	e, err := newEngine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e.launch(ctx)
	return e, nil
}

// newEngine makes an engine in which nothing runs yet.
func newEngine(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("engine: not started: %w", err)
	}
	if faults := cfg.claim(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	e := &Engine{
		cfg: cfg.withDefaults(usableCPUs()), start: time.Now(),
		paced:   cfg.ParkAfter == 0 && cfg.Wait == WaitPark,
		stopped: make(chan struct{}), done: make(chan struct{}), halted: make(chan struct{}),
	}
	c := &e.cfg
	e.newBranches()
	if c.State != nil {
		var err error
		e.keeper, err = openKeeper(e)
		if err != nil {
			e.disclaim(c.Readers...)
			return nil, err
		}
	}
	made := false
	defer func() {
		if !made && e.keeper != nil { // user code has called runtime.Goexit
			_ = e.keeper.folder.Close()
		}
	}()
	e.interval = newInterval(c.EpochInterval, c.EpochShare)
	e.expect(core.Nanos(e.interval.due.Load()))
	if c.OnReject != nil || c.onLate() {
		e.rejects = newRejectQueue(e)
	}
	e.inlets.plans = len(e.branches())
	e.inlets.slotsByDefault, e.inlets.adding = cfg.RingSlots == 0, make(chan struct{}, 1)
	e.readCtx, e.cancelRead = context.WithCancel(ctx)
	err := e.useTables(ctx)
	if err == nil {
		err = e.build()
	}
	if err == nil && e.keeper != nil {
		err = e.restore(ctx)
	}
	if err != nil {
		e.cancelRead()
		e.tables.release()
		unplace(e.placement)
		e.disclaim(c.Readers...)
		made = true
		if e.keeper != nil {
			err = errors.Join(err, e.keeper.folder.Close())
		}
		return nil, err
	}
	made = true
	return e, nil
}

// restore goes on where the state was. The writers are watched meanwhile, and their calls end with
// the context.
func (e *Engine) restore(ctx context.Context) (err error) {
	k := e.keeper
	restored := false
	defer func() {
		if !restored { // user code may have called runtime.Goexit
			k.endWatch()
		}
	}()
	go e.as(callerKeeper, k.watch)
	err = heeding(ctx, e.outputs(), k.restore)
	if err != nil {
		return fmt.Errorf("engine: state %v: %w", k.folder, err)
	}
	restored = true
	return nil
}

// outputs are the outputs of the plans that have a writer.
func (e *Engine) outputs() (all []*output) {
	for _, b := range e.branches() {
		if b.output != nil {
			all = append(all, b.output)
		}
	}
	return all
}

// disclaim gives back the readers and the writers.
func (e *Engine) disclaim(readers ...record.Reader) {
	for _, r := range readers {
		disclaim(r)
	}
	for _, b := range e.branches() {
		if b.cfg.Writer != nil {
			disclaim(b.cfg.Writer)
		}
	}
}

// launch starts the goroutines.
func (e *Engine) launch(ctx context.Context) {
	for _, in := range e.inlets.all() {
		e.startPump(in)
	}
	for _, r := range e.runners {
		e.running.Go(r.begin)
	}
	if e.rejects != nil {
		go e.rejects.run()
	}
	for _, b := range e.branches() {
		if b.output != nil {
			go e.as(callerOutput, b.output.run)
		}
	}
	if k := e.keeper; k != nil {
		go e.as(callerKeeper, k.begin)
	}
	if e.rebalancing != nil {
		e.helpers.Go(e.rebalancing.run)
	}
	e.unContext = context.AfterFunc(ctx, e.shut)
	go e.supervise()
}

// startPump starts the goroutine that reads, if the reader may block.
func (e *Engine) startPump(in *inlet) {
	if ps, ok := in.source.(*pumpSource); ok {
		e.reading.Go(func() {
			pprof.Do(ps.pump.ctx, pprof.Labels("velo", fmt.Sprintf("pump/%d", in.id)), func(ctx context.Context) {
				e.as(callerPump, func() { ps.pump.run(ctx) })
			})
		})
	}
}

// build makes the runners, the partitions and the inlets.
func (e *Engine) build() error {
	c := &e.cfg
	locked := !c.NoPin && haveFutex
	var err error
	e.placement, err = place(len(c.Readers), c.Partitions, c.Cores, locked)
	if err != nil {
		return err
	}
	readerOn := make([]*runner, len(c.Readers))
	e.partitionOn = make([]*runner, c.Partitions)
	for i, seat := range e.placement.Runners {
		r := &runner{
			engine: e, id: i, bell: newBell(locked), mailbox: newMailbox(), ended: make(chan struct{}),
			locked: locked, cpu: seat.CPU, pacer: pacer{after: c.ParkAfter},
		}
		if e.paced {
			r.pacer = newPacer(DefaultParkAfter, c.MaxLatency/awakeShare)
		}
		e.runners = append(e.runners, r)
		for _, id := range seat.Readers {
			readerOn[id] = r
		}
		for _, id := range seat.Partitions {
			e.partitionOn[id] = r
		}
	}
	for _, b := range e.branches() {
		if err := b.addPartitions(); err != nil {
			return err
		}
	}
	for id, reader := range c.Readers {
		in, err := e.newInlet(id, reader, readerOn[id])
		if err != nil {
			return err
		}
		for p := range e.partitionOn {
			in.join(p)
		}
		in.begin()
		in.runner.add(in.agent, fmt.Sprintf("reader/%d", id), in, nil)
		e.inlets.add(in)
	}
	for p, r := range e.partitionOn {
		for _, b := range e.branches() {
			r.addPartition(b, p)
		}
	}
	if c.Rebalance {
		e.rebalancing = newRebalancing(e)
	}
	return nil
}

// now returns the time on the engine's clock.
func (e *Engine) now() core.Nanos { return core.Nanos(time.Since(e.start)) }

// ringAll wakes every runner.
func (e *Engine) ringAll() {
	for _, r := range e.runners {
		r.bell.Wake()
	}
}

// report keeps an error for Wait.
func (e *Engine) report(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs = append(e.errs, err)
}

// fail stops everything because of err.
func (e *Engine) fail(err error) {
	e.report(err)
	e.halt()
}

// halt tells the runners, the pumps and the writer to end at once.
func (e *Engine) halt() {
	e.closing.Store(true)
	e.haltOnce.Do(func() { close(e.halted) })
	e.cancelRead()
	for _, b := range e.branches() {
		if b.output != nil {
			b.output.giveUp()
		}
	}
	e.ringAll()
}

// shut is halt when it is asked for from outside.
func (e *Engine) shut() {
	if !e.hasStopped() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
	}
	e.halt()
}

// supervise waits for everything to end and cleans up. User code that has not returned some time
// after it was told to end is left behind, and Wait says whose code it is.
func (e *Engine) supervise() {
	if !e.await(ended(&e.running)) {
		e.reportStuck()
	}
	unplace(e.placement)
	e.stopping.Store(true)
	e.cancelRead()
	inlets := e.inlets.seal()
	within(ended(&e.reading), readGrace)
	var readers []record.Reader
	for _, in := range inlets {
		s := in.source.base()
		// The engine may have been closed before the source had ended. A reader is not closed while
		// a goroutine is still in its Read.
		if p, ok := in.source.(*pumpSource); ok && !p.pump.gone.Load() {
			e.report(fmt.Errorf("engine: reader %d (%s): Read has not returned %v after its context was done; its "+
				"goroutine is left behind",
				in.id, p.name, readGrace))
			continue
		}
		select {
		case <-in.runner.ended:
			s.finish()
			readers = append(readers, s.reader)
		default: // its runner is stuck
		}
	}
	within(ended(&e.helpers), readGrace)
	e.elapsed.Store(int64(time.Since(e.start)))
	close(e.stopped)
	e.unContext()
	if q := e.rejects; q != nil {
		close(q.closed)
		for calls := q.calls.Load(); !e.await(q.finished); calls = q.calls.Load() {
			if now := q.calls.Load(); now == calls && !within(q.finished, readGrace) && now == q.calls.Load() {
				e.report(fmt.Errorf("engine: OnReject or OnLate has not returned %v after the engine was closed; "+
					"its goroutine is left behind", readGrace))
				break
			}
		}
	}
	for _, b := range e.branches() {
		if o := b.output; o != nil && !e.await(o.finished) {
			e.report(fmt.Errorf("engine: writer%s: Write has not returned %v after its context was done; its "+
				"goroutine is left behind", b.ofPlan(), readGrace))
		}
	}
	if k := e.keeper; k != nil {
		close(k.stop)
		if !e.await(k.finished) {
			e.report(fmt.Errorf("engine: state %v: a save has not ended %v after the engine was closed; its "+
				"goroutine is left behind", k.folder, readGrace))
		}
		k.endWatch()
	}
	e.disclaim(readers...)
	e.tables.release()
	close(e.done)
}

// reportStuck reports the runners that have not ended though they were told to.
func (e *Engine) reportStuck() {
	for _, r := range e.runners {
		select {
		case <-r.ended:
		default:
			e.report(fmt.Errorf("engine: a step of one of %v has not returned %v after the engine was closed; its "+
				"thread is left behind", r, readGrace))
		}
	}
}

// ended returns a channel that is closed when a group has ended.
func ended(g *sync.WaitGroup) <-chan struct{} {
	c := make(chan struct{})
	go func() { g.Wait(); close(c) }()
	return c
}

// await waits until done is closed, or until readGrace after the engine was halted. It returns
// false in the second case.
func (e *Engine) await(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-e.halted:
		return within(done, readGrace)
	}
}

// Plan returns the plan that the engine runs, or of several the one that it has run the longest.
func (e *Engine) Plan() *plan.Plan { return e.branches()[0].cfg.Plan }

// Plans returns the plans that the engine runs.
func (e *Engine) Plans() (plans []*plan.Plan) {
	for _, b := range e.branches() {
		plans = append(plans, b.cfg.Plan)
	}
	return plans
}

// String names the engine by its plans and its size.
func (e *Engine) String() string {
	var plans []string
	for _, p := range e.Plans() {
		plans = append(plans, p.String())
	}
	return fmt.Sprintf("engine of %d readers, %d partitions and %d runners: %s", len(e.inlets.all()),
		len(e.partitionOn), len(e.runners), strings.Join(plans, "; "))
}

// Wait waits until the engine has ended and returns what went wrong: the joined errors of the
// readers that failed, ErrClosed if the engine was closed before the readers had ended, or nil if
// they all ended or were shut down. If it is called within a callback of the engine it returns
// ErrCallback.
func (e *Engine) Wait() error {
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: wait: %w", err)
	}
	<-e.done
	return e.outcome()
}

// outcome returns what has gone wrong so far.
func (e *Engine) outcome() error {
	var errs []error
	for _, in := range e.inlets.all() {
		errs = append(errs, in.source.base().failure())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	errs = append(errs, e.errs...)
	cut := false
	for _, b := range e.branches() {
		cut = cut || b.output != nil && b.output.cut.Load()
	}
	if e.closed && !e.epochs.Ended() || cut && len(e.errs) == 0 {
		errs = append(errs, ErrClosed)
	}
	return errors.Join(errs...)
}

// over returns ErrEnded, joined with what went wrong as far as that is known.
func (e *Engine) over() error {
	if why := e.outcome(); why != nil {
		return fmt.Errorf("%w: %w", ErrEnded, why)
	}
	return ErrEnded
}

// Shutdown ends the job in order: the readers stop, what they have read goes into its groups, and
// the final snapshot becomes visible. A Feed takes nothing more, and what it has taken is read.
// Shutdown waits for all that and returns what Wait returns. If ctx is done first, the engine is
// closed and the error says so. User code that does not return within some seconds is left behind,
// and the error says whose code it is. If Shutdown is called within a callback of the engine it
// returns ErrCallback and does nothing.
func (e *Engine) Shutdown(ctx context.Context) error {
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: shutdown: %w", err)
	}
	if e.feeder != nil {
		// Its readers stop, and what it has still written is read to its end.
		_ = e.feeder.Shutdown(ctx) // Wait reports what went wrong
	} else {
		e.stopReaders()
	}
	select {
	case <-e.done:
		return e.outcome()
	case <-ctx.Done():
	}
	e.shut()
	<-e.done
	return errors.Join(fmt.Errorf("engine: shutdown: %w", context.Cause(ctx)), e.outcome())
}

// stopReaders makes the readers end. What they have read is still processed.
func (e *Engine) stopReaders() {
	e.stopping.Store(true)
	e.cancelRead()
	e.ringAll()
}

// Close stops everything at once and drops what is in the rings. It waits for the threads to end
// and closes the readers. It may be called any number of times, also after the end. Snapshots stay
// valid. User code that does not return within some seconds is left behind, and Wait says whose
// code it is. If Close is called within a callback of the engine it returns ErrCallback and does
// nothing; otherwise it returns nil.
func (e *Engine) Close() error {
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: close: %w", err)
	}
	e.shut()
	<-e.done
	return nil
}
