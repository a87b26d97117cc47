package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// An inlet is one reader with everything that belongs to it: its source, and its flow to each plan.
type inlet struct {
	engine *Engine
	id     int
	source sourceAgent
	// list has the flows in the order of the plans. It is replaced when a plan is added or removed,
	// and when the rings are not needed any more.
	list   atomic.Pointer[[]flow]
	agent  core.Agent // the router, or the fan of several; nil when it is done
	runner *runner

	// least and most are the lowest and the highest epoch that the partitions had answered when
	// they got their rings.
	least, most uint64

	gone chan struct{} // closed when the router is done

	// caught says that a plan was removed whose router had caught up. It is stored once. Statistic.
	caught atomic.Bool

	// partials is the number of partials that the router had sent when the last epoch was raised;
	// see interval.
	partials atomic.Uint64
}

// A flow is what one reader has for one plan: a router, and a ring to each partition of the plan.
// rings is nil after the reader has ended and nothing is left in them. Then last has their
// counters.
type flow struct {
	branch *branch
	router *core.Router
	rings  []ringEnds
	last   []ring.Stats
}

// A sourceAgent is a pollSource or a pumpSource.
type sourceAgent interface {
	core.LeavingSource
	base() *source
}

func (s *source) base() *source { return s }

type ringEnds struct {
	in  *ring.Producer[core.Chunk]
	out *ring.Consumer[core.Chunk]
}

// newInlet makes the inlet of a reader on a runner. Nothing uses the inlet before join and begin.
func (e *Engine) newInlet(id int, reader record.Reader, r *runner) (*inlet, error) {
	in := &inlet{engine: e, id: id, runner: r, least: math.MaxUint64, gone: make(chan struct{})}
	source, err := e.newSource(id, reader, r.bell)
	if err != nil {
		return nil, err
	}
	in.source = source
	var routers []*core.Router
	for _, b := range e.branches() {
		f, err := in.newFlow(b)
		if err != nil {
			return nil, err
		}
		in.addFlow(f)
		routers = append(routers, f.router)
	}
	in.agent = routers[0]
	if len(routers) > 1 {
		in.agent = core.NewFan(routers)
	}
	return in, nil
}

// flows returns the flows in the order of the plans.
func (in *inlet) flows() []flow {
	if p := in.list.Load(); p != nil {
		return *p
	}
	return nil
}

// to returns the flow to a plan. ok is false if the plan has been removed.
func (in *inlet) to(b *branch) (f flow, ok bool) {
	for _, f := range in.flows() {
		if f.branch == b {
			return f, true
		}
	}
	return flow{}, false
}

// recordsIn is the number of records that the reader has brought to some plan that the engine runs.
// A plan that has failed, or was added, has got fewer than others.
func (in *inlet) recordsIn() (most uint64) {
	for _, f := range in.flows() {
		most = max(most, f.router.Counters().In)
	}
	return most
}

// caughtUp says whether the reader has had nothing to give at least once, or has ended. One that
// has to ask for records has nothing to give before the first answer either.
func (in *inlet) caughtUp() bool {
	quiet := in.caught.Load() || slices.ContainsFunc(in.flows(), func(f flow) bool { return f.router.CaughtUp() })
	return quiet && !slices.ContainsFunc(in.source.base().lag(), func(l record.Lag) bool { return l.Unknown })
}

// addFlow adds the flow to the next plan to the list.
func (in *inlet) addFlow(f flow) {
	list := append(slices.Clip(in.flows()), f)
	in.list.Store(&list)
}

// removeFlow takes the flow to a plan out of the list.
func (in *inlet) removeFlow(b *branch) {
	list := slices.DeleteFunc(slices.Clone(in.flows()), func(f flow) bool { return f.branch == b })
	in.list.Store(&list)
}

// newFlow makes the router of a plan, and its rings to the partitions of the plan.
func (in *inlet) newFlow(b *branch) (flow, error) {
	e := in.engine
	rings := make([]ringEnds, len(b.partitions))
	out := make([]*ring.Producer[core.Chunk], len(b.partitions))
	bells := make([]core.Bell, len(b.partitions))
	// local has the partitions that the reader's runner steps too, and nil for the others.
	local := make([]*core.Partition, len(b.partitions))
	for p, on := range e.partitionOn {
		slots := e.cfg.RingSlots
		if on == in.runner {
			local[p] = b.partitions[p]
			if e.inlets.slotsByDefault {
				slots = minRingSlots
			}
		}
		rings[p].in, rings[p].out = ring.New[core.Chunk](slots)
		out[p], bells[p] = rings[p].in, on.bell
	}
	var from core.Source = in.source
	if b.cfg.OnLate != nil {
		from = lateSource{in.source, b}
	}
	r, err := core.NewRouter(plan.ReaderID(in.id), b.cfg.Plan, from, b.cfg.Route, b.fold, out, bells, local, b.state,
		b.cuts)
	if err != nil {
		return flow{}, err
	}
	if b.ended.Load() {
		r.Abandon()
	}
	if e.cfg.Rebalance {
		r.SampleShards()
	}
	return flow{branch: b, router: r, rings: rings}, nil
}

// newSource makes the source of a reader. A reader that can be polled is polled on the runner's
// thread; a reader that may block gets a pump. The error says that the reader panicked.
func (e *Engine) newSource(id int, reader record.Reader, b *bell) (a sourceAgent, err error) {
	s := &source{engine: e, id: id, name: fmt.Sprintf("%T", reader), reader: reader, bell: b}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("engine: reader %d (%s): panic in String, Columns or Notify: %v\n%s", id, s.name, v,
				debug.Stack())
		}
	}()
	if n, ok := reader.(fmt.Stringer); ok {
		s.name = n.String()
	}
	if p, ok := reader.(record.Projector); ok && !e.wantsAll() {
		read := e.columnsRead()
		s.widener, _ = reader.(record.Widener)
		if s.widener == nil {
			e.inlets.tell(read)
		}
		p.Columns(read)
	}
	if e.cfg.OnReject != nil {
		s.rejectIn, s.rejectOut = ring.New[record.Reject](rejectSlots)
	}
	if e.cfg.onLate() {
		s.lateIn, s.lateOut = ring.New[lateBatch](lateSlots)
	}
	batch := func() *record.Batch { return record.NewBatch(e.cfg.Plan.Source, e.cfg.BatchRows) }
	if p, ok := reader.(record.Poller); ok {
		return newPollSource(s, p, batch()), nil
	}
	return newPumpSource(s, batch), nil
}

// join gives the partitions of a number, one of each plan, the rings of the inlet. It is called by
// the runner of the partitions, or before any runner runs.
func (in *inlet) join(p int) {
	for _, f := range in.flows() {
		answered := f.branch.partitions[p].Join(f.rings[p].out, in.runner.bell)
		in.least, in.most = min(in.least, answered), max(in.most, answered)
	}
}

// begin is called when all partitions have their rings, before the routers are stepped.
func (in *inlet) begin() {
	for _, f := range in.flows() {
		f.router.Join(in.least, in.most)
	}
}

// ringStats returns the counters of the ring to each partition.
func (f *flow) ringStats() []ring.Stats {
	if f.rings == nil {
		return f.last
	}
	var stats []ring.Stats
	for _, r := range f.rings {
		stats = append(stats, ring.ReadStats(r.in, r.out))
	}
	return stats
}

// compact lets go of the rings if the reader has ended and the partitions have taken everything. It
// returns the bytes of the rings that are left. The caller holds the lock of the inlets.
func (in *inlet) compact() (bytes int) {
	list, ended := slices.Clone(in.flows()), isDone(in.gone)
	for i := range list {
		f := &list[i]
		stats := f.ringStats()
		if f.rings != nil {
			for _, s := range stats {
				bytes += s.Slots * core.ChunkBytes
				ended = ended && s.Depth == 0
			}
		}
		f.rings, f.last = nil, stats
	}
	if !ended {
		return bytes
	}
	if bytes > 0 {
		in.list.Store(&list)
	}
	return 0
}

// inlets holds all inlets that the engine ever had, by the number of their reader.
type inlets struct {
	slotsByDefault bool // true if the configuration did not set the length of the rings

	// list is replaced when an inlet is added, so that a goroutine that looks at it needs no lock.
	list atomic.Pointer[[]*inlet]

	// adding holds a value while an inlet is being added. It is a lock that can be waited for with
	// a context, off the data path.
	adding chan struct{}

	sealed bool // true if no inlet and no plan is added any more

	plans int // the number of plans that the engine ever had

	// told are the columns that every reader brings which was told to bring some columns only and
	// cannot bring more; nil if there is none.
	told []bool
}

func (l *inlets) all() []*inlet {
	if p := l.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (l *inlets) add(in *inlet) {
	list := append(l.all()[:in.id:in.id], in)
	l.list.Store(&list)
}

// tell notes what a reader was told to bring.
func (l *inlets) tell(read []bool) {
	if l.told == nil {
		l.told = slices.Clone(read)
	}
	for i, yes := range read {
		l.told[i] = l.told[i] && yes
	}
}

// lock waits until no other inlet is being added.
func (l *inlets) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	select {
	case l.adding <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *inlets) unlock() { <-l.adding }

// seal waits until no inlet is being added and returns the final list. The runners have ended, so
// the wait is short, unless a runner is stuck. Then the inlet that is being added to it is never
// read.
func (l *inlets) seal() []*inlet {
	select {
	case l.adding <- struct{}{}:
		l.sealed = true
		l.unlock()
	case <-time.After(readGrace):
	}
	return l.all()
}

// AddReader adds a reader while the engine runs and returns its number. Of the runners that have
// partitions, the one with the fewest readers gets it. AddReader returns when the reader is being
// read: what a Feed is sent from then on is in the epochs that Sync waits for.
//
// The error says that the engine has ended or is shutting down (ErrEnded), that it has had
// MaxReaders, that the rings would be larger than MaxRingBytes, that another engine has the reader,
// that there is no memory, or that AddReader was called on a thread of the engine (ErrCallback). In
// all these cases the reader still belongs to the caller. If ctx is done while a runner is in a
// long step, the error is ErrAdding and the reader will be added; id is its number.
func (e *Engine) AddReader(ctx context.Context, reader record.Reader) (id int, err error) {
	if reader == nil {
		return 0, errors.New("engine: the reader to add is nil")
	}
	if err := e.callback(callerRunner); err != nil {
		return 0, fmt.Errorf("engine: reader not added: %w", err)
	}
	if e.feeder != nil {
		return e.feeder.AddReader(ctx, reader)
	}
	if err := e.inlets.lock(ctx); err != nil {
		return 0, fmt.Errorf("engine: reader not added: %w", err)
	}
	in, err := e.admit(reader)
	if err != nil {
		e.inlets.unlock()
		return 0, fmt.Errorf("engine: reader not added: %w", err)
	}
	added := make(chan error, 1)
	go func() {
		defer e.inlets.unlock()
		added <- e.join(in)
	}()
	select {
	case err = <-added:
	case <-ctx.Done():
		select {
		case err = <-added:
		default:
			err = fmt.Errorf("engine: reader %d: %w: %w", in.id, ErrAdding, context.Cause(ctx))
		}
	}
	return in.id, err
}

// ErrAdding says that a reader or a plan is being added, but that the call has stopped waiting for
// it.
var ErrAdding = errors.New("it is being added, when a runner is through with a long step")

// admit makes the inlet of a reader that is to be added. The last epoch waits for the reader from
// then on.
func (e *Engine) admit(reader record.Reader) (in *inlet, err error) {
	if e.inlets.sealed || e.stopping.Load() {
		return nil, e.over()
	}
	live, err := e.room()
	if err != nil {
		return nil, err
	}
	if err := claim(reader, "the reader"); err != nil {
		return nil, err
	}
	in, err = e.newInlet(len(e.inlets.all()), reader, e.leastRead(live))
	if err == nil && e.keeper != nil {
		err = e.keeper.apart(in, e.inlets.all())
		if err == nil {
			_, _, err = e.keeper.resume(in, nil)
		}
	}
	if err == nil && !e.epochs.Join() {
		err = e.over()
	}
	if err != nil {
		disclaim(reader)
		return nil, err
	}
	return in, nil
}

// join gives the rings of an admitted inlet to the partitions and its router to its runner. The
// last epoch cannot come before that, so the runners run on until the reader has ended or the
// engine is closed.
func (e *Engine) join(in *inlet) error {
	ended := func() error {
		disclaim(in.source.base().reader)
		return fmt.Errorf("engine: reader not added: %w", e.over())
	}
	for p, r := range e.partitionOn {
		if err := e.send(context.Background(), r, func() { in.join(p) }); err != nil {
			return ended()
		}
	}
	in.begin()
	err := e.send(context.Background(), in.runner, func() {
		e.inlets.add(in)
		in.runner.add(in.agent, fmt.Sprintf("reader/%d", in.id), in, nil)
	})
	if err != nil {
		return ended()
	}
	e.startPump(in)
	return nil
}

// room returns how many readers that have not ended each runner has, or an error that says why no
// reader can be added.
func (e *Engine) room() (live map[*runner]int, err error) {
	all := e.inlets.all()
	if len(all) == MaxReaders {
		return nil, fmt.Errorf("it has had %d, more are not allowed", MaxReaders)
	}
	bytes := len(e.partitionOn) * len(e.branches()) * e.cfg.RingSlots * core.ChunkBytes
	live = map[*runner]int{}
	for _, in := range all {
		if n := in.compact(); n > 0 {
			bytes += n
			live[in.runner]++
		}
	}
	if bytes > MaxRingBytes {
		return nil, fmt.Errorf("with it there would be %d MiB of rings, at most %d MiB are allowed", bytes>>20,
			MaxRingBytes>>20)
	}
	return live, nil
}

// leastRead returns the runner that has the fewest readers of those that have partitions.
func (e *Engine) leastRead(live map[*runner]int) (least *runner) {
	for _, r := range e.partitionOn {
		if least == nil || live[r] < live[least] {
			least = r
		}
	}
	return least
}

// RemoveReader ends a reader as Shutdown ends all readers: nothing more is read from it, what has
// been read is routed, and it is closed. Its groups and counters stay, and windows do not wait for
// it any more. RemoveReader returns when everything has been routed. The error says that there is
// no such reader, that the engine has ended first, that it was called within a callback of the
// engine (ErrCallback), or why ctx was done. When the last reader ends, the engine ends too.
func (e *Engine) RemoveReader(ctx context.Context, reader int) error {
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: remove reader %d: %w", reader, err)
	}
	if e.feeder != nil {
		return e.feeder.RemoveReader(ctx, reader)
	}
	in, err := e.inlet(reader)
	if err != nil {
		return err
	}
	s := in.source.base()
	s.leaving.Store(true)
	if ps, ok := in.source.(*pumpSource); ok {
		ps.pump.cancel()
	}
	s.bell.Wake()
	select {
	case <-in.gone:
		return nil
	default:
	}
	select {
	case <-in.gone:
		return nil
	case <-in.runner.ended:
		return fmt.Errorf("engine: %w", e.over())
	case <-ctx.Done():
		return fmt.Errorf("engine: %w", context.Cause(ctx))
	}
}

// inlet returns the inlet of a reader by its number.
func (e *Engine) inlet(reader int) (*inlet, error) {
	all := e.inlets.all()
	if reader < 0 || reader >= len(all) {
		return nil, fmt.Errorf("engine: no reader %d, there are %d", reader, len(all))
	}
	return all[reader], nil
}
