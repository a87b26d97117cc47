package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
)

// AddPlan adds a plan while the engine runs, and returns the first epoch that has it. The plan has
// no history: it counts the records after that epoch's mark, of all readers at the same moment as
// for the other plans. From that epoch on a Snapshot has the plan (Snapshot.Has, Of), and its
// writer gets its results. AddPlan returns when the epoch is visible.
//
// The readers bring the columns that the first plans read, and what Config.Columns names. A plan
// that reads others can be added only if all readers can bring more (record.Widener), as a Feed
// can, or bring all columns anyway. If the plan looks up tables, AddPlan waits until they have been
// loaded. A StateBytes of 0 means as much as Engine.Plan has. While the plan is being added no
// epoch is raised: that takes as long as the longest step of the runners.
//
// If the engine keeps a State, no other plan has the name of this one, and AddPlan returns when a
// durable generation has the plan. From then on each start names it in Config.Plans. A start that
// does not know whether AddPlan had returned names it in State.NewPlans too.
//
// The error lists what is wrong with the plan, or says that the engine has ended or is shutting
// down (ErrEnded), that it runs a plan with From, that Rebalance cannot move shards of the plan,
// that there would be more than MaxPlans or MaxRingBytes, or that AddPlan was called on a thread of
// the engine (ErrCallback). The plan is not added then, and the epoch is 0. If ctx is done while
// the plan is being added, the error wraps ErrAdding and it will be there soon. If the plan was
// added and could not be saved, there is an error and the epoch.
func (e *Engine) AddPlan(ctx context.Context, p PlanConfig) (epoch uint64, err error) {
	if err := e.callback(); err != nil {
		return 0, fmt.Errorf("engine: plan not added: %w", err)
	}
	if err := e.inlets.lock(ctx); err != nil {
		return 0, fmt.Errorf("engine: plan not added: %w", err)
	}
	b, err := e.admitPlan(ctx, p)
	if err != nil {
		e.inlets.unlock()
		return 0, fmt.Errorf("engine: plan not added: %w", err)
	}
	type outcome struct {
		epoch uint64
		err   error
	}
	added := make(chan outcome, 1)
	go func() {
		defer e.inlets.unlock()
		epoch, err := e.joinPlan(b)
		added <- outcome{epoch, err}
	}()
	var o outcome
	select {
	case o = <-added:
	case <-ctx.Done():
		return 0, fmt.Errorf("engine: plan: %w: %w", ErrAdding, context.Cause(ctx))
	}
	if o.err != nil {
		return 0, o.err
	}
	e.epochs.Want()
	if err := e.wait(ctx, o.epoch); err != nil {
		return o.epoch, fmt.Errorf("engine: plan added, it begins with epoch %d: %w", o.epoch, err)
	}
	if e.keeper == nil {
		return o.epoch, nil
	}
	if err := e.Checkpoint(ctx); err != nil {
		return o.epoch, fmt.Errorf("engine: plan added, it begins with epoch %d, and the state does not have it "+
			"yet: %w", o.epoch, err)
	}
	return o.epoch, nil
}

// planToAdd fills in what a plan that is added leaves zero, and reports what is wrong with it.
func (e *Engine) planToAdd(p PlanConfig) (PlanConfig, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	e.cfg.planFault(p, "", fault)
	if p.Plan == nil || len(faults) > 0 {
		return p, errors.Join(faults...)
	}
	first := e.branches()[0].cfg
	why := otherSchema(first.Plan.Source, p.Plan.Source)
	switch {
	case e.feeder != nil || p.Plan.From != nil:
		fault("a plan with From runs in engines of its own")
	case e.keeper != nil && e.runsNamed(nameOf(p.Plan)):
		fault("a plan named %s runs already, and the state tells plans apart by their names", nameOf(p.Plan))
	case why != "":
		fault("its source is not the source of the engine: %s", why)
	case slices.Contains(e.Plans(), p.Plan):
		fault("the engine runs the plan already")
	case len(e.branches()) == MaxPlans:
		fault("there are %d plans, more are not allowed: RemovePlan ends one", MaxPlans)
	}
	if e.keeper != nil {
		for _, why := range notKept(&p) {
			fault("%s", why)
		}
	}
	if e.cfg.Rebalance {
		for _, why := range notMoved(&p) {
			fault("%s", why)
		}
	}
	if p.OnLate != nil && !e.cfg.onLate() {
		fault("it has an OnLate, and no plan had one when the engine started")
	}
	if missing := e.notRead(&p); len(missing) > 0 && why == "" {
		fault("the readers were told not to bring %s: Config.Columns names columns for plans that are added later",
			strings.Join(missing, ", "))
	}
	if p.StateBytes == 0 {
		p.StateBytes = first.StateBytes
	}
	return p, errors.Join(faults...)
}

// runsNamed says whether the engine runs a plan of a name.
func (e *Engine) runsNamed(name string) bool {
	return slices.ContainsFunc(e.Plans(), func(p *plan.Plan) bool { return nameOf(p) == name })
}

// notRead are the columns that a plan needs and that some reader does not bring.
func (e *Engine) notRead(p *PlanConfig) (names []string) {
	if e.inlets.told == nil {
		return nil
	}
	for i, read := range p.columns() {
		if read && !e.inlets.told[i] {
			names = append(names, p.Plan.Source.Field(i).Name)
		}
	}
	return names
}

// admitPlan makes the branch of a plan that is to be added, in which nothing runs yet.
func (e *Engine) admitPlan(ctx context.Context, p PlanConfig) (b *branch, err error) {
	if e.inlets.sealed || e.stopping.Load() || e.epochs.Ended() {
		return nil, e.over()
	}
	p, err = e.planToAdd(p)
	if err != nil {
		return nil, err
	}
	bytes := (len(e.branches()) + 1) * len(e.partitionOn) * len(e.inlets.all()) * e.cfg.RingSlots * core.ChunkBytes
	if bytes > MaxRingBytes {
		return nil, fmt.Errorf("with it there would be %d MiB of rings, at most %d MiB are allowed", bytes>>20,
			MaxRingBytes>>20)
	}
	if p.Writer != nil {
		if err := claim(p.Writer, "the writer"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err == nil {
			return
		}
		e.tables.leave(p.Plan, e.Plans()) // those that could be loaded
		if p.Writer != nil {
			disclaim(p.Writer)
		}
	}()
	if err := e.tables.use(ctx, p.Plan, e.fail); err != nil {
		return nil, err // the engine may have ended while they were loaded
	}
	plans := len(e.branches()) + 1
	e.inlets.plans++
	b = &branch{
		engine: e, id: e.inlets.plans - 1, cfg: p, fold: core.Fold{
			Exchange: p.Exchange,
			Bytes:    max(e.cfg.FoldBytes/plans, minFoldBytes),
		},
		state:  core.NewMemoryBudget(p.StateBytes, p.StatePolicy),
		before: p.Plan.Panicked(), meters: startMeters(p.Plan),
		removed: make(chan struct{}),
	}
	b.copied, b.held = make([]atomic.Uint64, len(e.partitionOn)), make([]atomic.Uint64, len(e.partitionOn))
	b.places = make([]atomic.Int32, len(e.partitionOn))
	if e.keeper != nil {
		b.state.KeepCut()
	}
	b.cuts = e.branches()[0].cuts.Beside(p.Plan, p.Route, b.state)
	b.cuts.Divide(plans)
	b.cuts.Origin = e.branches()[0].cuts.Origin
	if p.Writer != nil {
		b.output = newOutput(b)
	}
	if err := b.addPartitions(); err != nil {
		return nil, err
	}
	if e.keeper != nil {
		return b, e.keeper.admit(ctx, b)
	}
	return b, nil
}

// admit finds out what the writer of a plan that is to be added has.
func (k *keeper) admit(ctx context.Context, b *branch) error {
	if err := k.lockPlans(ctx); err != nil { // the folder is not used meanwhile
		return err
	}
	defer k.unlockPlans()
	if b.output != nil {
		if err := b.output.openOutbox(k.state.outboxBytes); err != nil {
			return err
		}
	}
	work := func() error { return k.recoverWriter(b, k.folder.Newest) }
	if b.output == nil {
		return work()
	}
	outputs := []*output{b.output}
	return heeding(ctx, outputs, func() error { return heeding(k.engine.readCtx, outputs, work) })
}

// A joining is what a reader gets for a plan that is added.
type joining struct {
	in *inlet
	flow
}

// joinPlan has the runners run a branch. While the epochs are held, all readers and partitions have
// answered the same epoch; each reader's new router waits for the next, so the plan begins at the
// same moment for all of them. The caller holds the lock of the inlets.
func (e *Engine) joinPlan(b *branch) (first uint64, err error) {
	defer func() {
		if err != nil {
			e.tables.leave(b.cfg.Plan, e.Plans())
			err = fmt.Errorf("engine: plan not added: %w", err)
		}
	}()
	var all []joining
	for _, in := range e.inlets.all() {
		f, err := in.newFlow(b)
		if err != nil {
			disclaimWriter(b)
			return 0, err
		}
		if e.keeper != nil {
			f.router.KeepPositions(core.Resumed{Watermark: core.WatermarkNone})
		}
		all = append(all, joining{in, f})
	}
	if k := e.keeper; k != nil {
		if err := k.lockPlans(context.Background()); err != nil {
			disclaimWriter(b)
			return 0, err
		}
		defer k.unlockPlans() // after the epochs have been released
	}
	last, held := e.holdEpochs()
	defer e.epochs.Release() // after what is below, or when the engine ends meanwhile
	if !held {
		disclaimWriter(b)
		return 0, e.over()
	}
	for p, partition := range b.partitions {
		partition.BeginAfter(last)
		for _, j := range all {
			partition.Join(j.rings[p].out, j.in.runner.bell)
		}
	}
	b.begins = last + 1
	b.cuts.Attach()
	for _, j := range all {
		j.in.addFlow(j.flow) // before the branch is seen
	}
	e.addBranch(b)
	defer e.startAdded(b) // also if the engine ends meanwhile: the writer is closed by it
	for p, r := range e.partitionOn {
		if err := e.send(context.Background(), r, func() { r.addPartition(b, p) }); err != nil {
			return 0, e.over() // it ends, and everything with it
		}
	}
	read := e.columnsRead()
	for _, j := range all {
		if err := e.send(context.Background(), j.in.runner, func() { j.in.runner.install(j, last, read) }); err != nil {
			// The runner had readers only, and they have all ended: nobody steps them.
			j.router.End(last, j.in.flows()[0].router)
		}
	}
	return b.begins, nil
}

// holdEpochs waits until no epoch is in flight and keeps any from being raised. It returns false if
// the engine is closed, or if the last epoch has been raised.
func (e *Engine) holdEpochs() (last uint64, held bool) {
	for {
		next := e.epochs.Next() // before the look
		last, held = e.epochs.Hold()
		if held || e.epochs.LastRaised() || e.closing.Load() {
			return last, held
		}
		select {
		case <-next:
		case <-e.halted:
		}
	}
}

// disclaimWriter gives back the writer of a branch that does not run.
func disclaimWriter(b *branch) {
	if b.cfg.Writer != nil {
		disclaim(b.cfg.Writer)
	}
}

// install gives a reader its router for a plan that is added, and has the reader bring the columns
// that are read now. The router takes no batch before the next epoch, so each batch that it takes
// has them. It is called by the runner, between two turns.
func (r *runner) install(j joining, last uint64, read []bool) {
	i := slices.IndexFunc(r.agents, func(s stepper) bool { return s.inlet == j.in })
	if i < 0 || r.agents[i].done {
		j.router.End(last, j.in.flows()[0].router) // the reader has ended
		return
	}
	if s, ok := j.in.source.(*pollSource); ok {
		s.widen(read)
	}
	fan, ok := j.in.agent.(*core.Fan)
	if !ok {
		fan = core.FanOf(j.in.flows()[0].router)
		j.in.agent, r.agents[i].Agent = fan, fan
	}
	fan.Add(j.router, last)
}

// startAdded starts the output of a branch that has been added.
func (e *Engine) startAdded(b *branch) {
	if b.output == nil {
		return
	}
	go e.as(callerOutput, func() {
		// Before that there is no cut of the plan to be written.
		for !e.epochs.Ended() && e.epochs.Visible() < b.begins && !e.closing.Load() {
			next := e.epochs.Next()
			if e.epochs.Ended() || e.epochs.Visible() >= b.begins {
				break
			}
			select {
			case <-next:
			case <-e.halted:
			}
		}
		b.output.run()
	})
}
