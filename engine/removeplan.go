package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
)

// RemovePlan ends a plan while the engine goes on with the others. Plan, Snapshot, MoveShard and
// some fields of Stats are of the plan that the engine has run the longest, of those that are left.
//
// RemovePlan asks for an epoch, as Sync does, and no snapshot after that epoch has the plan. The
// writer of the plan gets what that epoch has: windows that have closed, changes, records that have
// passed through. It does not get what a plan writes at the end of all input. Then the writer is
// closed, and RemovePlan returns.
//
// If ctx is done before, the plan is removed without that: its writer gets nothing more, and the
// contexts of its calls are done. So a plan whose writer hangs, which holds the whole engine up,
// can be removed. The error wraps ErrRemoving then: the plan will be gone soon. The plan stays if
// ctx is done while RemovePlan waits for an AddPlan, or for a save in which the writer of another
// plan hangs; the error names that plan, which must be removed first.
//
// If the engine keeps a State, a generation is made before, and the writer of a plan whose rows
// wait for generations (record.Transactional) gets what that has. RemovePlan returns when another
// generation does not have the plan. A start that does not know whether RemovePlan had returned
// names the plan in State.DroppedPlans.
//
// Snapshots that were taken with Of before stay valid. The memory of the groups is given back when
// no snapshot has them and the garbage collector has run. While the plan is being removed no epoch
// is raised: that takes as long as the longest step of the runners. If all other plans have ended,
// the readers stop.
//
// The error says that the engine does not run the plan, that it runs no other (Shutdown ends it),
// that the engine has ended (ErrEnded), that the writer has failed, that the state could not be
// saved (before, and then the plan is not removed, or after), or that RemovePlan was called on a
// thread of the engine (ErrCallback).
func (e *Engine) RemovePlan(ctx context.Context, p *plan.Plan) error {
	if err := e.callback(); err != nil {
		return fmt.Errorf("engine: plan not removed: %w", err)
	}
	certain, removed := make(chan struct{}), make(chan error, 1)
	go func() { removed <- e.removePlan(ctx, p, sync.OnceFunc(func() { close(certain) })) }()
	select {
	case err := <-removed: // until it is certain, removePlan heeds ctx
		return err
	case <-certain:
	}
	select {
	case err := <-removed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("engine: plan: %w: %w", ErrRemoving, context.Cause(ctx))
	}
}

// ErrRemoving says that a plan is being removed, but that the call has stopped waiting for it.
var ErrRemoving = errors.New("it is being removed, when the runners are through with a long step and its writer is " +
	"done")

// removePlan removes a plan. It calls certain when only the end of the engine can prevent that.
func (e *Engine) removePlan(ctx context.Context, p *plan.Plan, certain func()) error {
	b, err := e.lockToRemove(ctx, p, certain)
	if err != nil {
		return fmt.Errorf("engine: plan not removed: %w", err)
	}
	e.helpers.Add(1) // under the lock, so before the engine waits for them
	defer e.helpers.Done()
	err = e.lastSave(ctx, b)
	if err == nil {
		err = e.lastEpoch(ctx, b, certain)
	}
	if err == nil {
		err = e.leavePlan(ctx, b, certain)
	}
	e.inlets.unlock()
	if err != nil {
		return fmt.Errorf("engine: plan not removed: %w", err)
	}
	return errors.Join(e.endOutput(ctx, b), e.saveWithout(ctx))
}

// lockToRemove takes the lock of the inlets and finds the branch of a plan. If ctx is done before,
// AddPlan or RemovePlan has the lock. It may be waiting for the writer of the plan, directly or
// not.
func (e *Engine) lockToRemove(ctx context.Context, p *plan.Plan, certain func()) (*branch, error) {
	if err := e.inlets.lock(ctx); err != nil {
		b := e.branchOf(p)
		if b == nil || len(e.branches()) == 1 || b.output == nil || b.output.held().name == "" {
			if o := e.heldBy(); o != nil && o.branch != b {
				return nil, heldUp(o, err)
			}
			return nil, err
		}
		b.abandon()
		certain()
		if e.inlets.lock(e.readCtx) != nil {
			return nil, e.over()
		}
	}
	b, err := e.planToRemove(p)
	if err != nil {
		e.inlets.unlock()
	}
	return b, err
}

// branchOf is the branch of a plan; nil if the engine does not run it.
func (e *Engine) branchOf(p *plan.Plan) *branch {
	for _, b := range e.branches() {
		if b.cfg.Plan == p {
			return b
		}
	}
	return nil
}

// abandon has a plan that is being removed hold nothing up any more. Its writer gets nothing more.
func (b *branch) abandon() {
	b.leaving.Store(true) // before its writer's calls fail because of that
	b.end()
	if b.output != nil {
		b.output.giveUp()
	}
}

// heldUp adds to an error whose writer a save waits for.
func heldUp(o *output, err error) error {
	return fmt.Errorf("the writer of %s %s, and a save waits for it: give RemovePlan more time, or remove that plan "+
		"first: %w", nameOf(o.branch.cfg.Plan), o.held().words, err)
}

// planToRemove finds the branch of a plan that can be removed.
func (e *Engine) planToRemove(p *plan.Plan) (*branch, error) {
	if e.inlets.sealed || e.stopping.Load() || e.epochs.Ended() {
		return nil, e.over()
	}
	b := e.branchOf(p)
	switch {
	case b == nil:
		return nil, errors.New("the engine does not run it")
	case len(e.branches()) == 1:
		return nil, errors.New("it is the only plan of the engine: Shutdown ends the engine")
	}
	return b, nil
}

// lastSave has the writers get everything so far, also the writer that gets its rows with a
// generation only. The error says that nothing can be saved.
func (e *Engine) lastSave(ctx context.Context, b *branch) error {
	if e.keeper == nil || b.leaving.Load() {
		return nil
	}
	err := e.Checkpoint(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	o := e.heldBy()
	if o == nil || o == b.output {
		return nil // the plan is removed without that
	}
	return heldUp(o, err)
}

// saveWithout has the state forget a plan that has been removed.
func (e *Engine) saveWithout(ctx context.Context) error {
	if e.keeper == nil {
		return nil
	}
	if err := e.Checkpoint(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, ErrEnded) {
		return fmt.Errorf("engine: plan removed, and the state still has it: %w", err)
	}
	return nil
}

// lastEpoch waits for the last epoch that has a plan. If ctx is done first, the plan is abandoned.
// The error says that the engine ends.
func (e *Engine) lastEpoch(ctx context.Context, b *branch, certain func()) error {
	if b.leaving.Load() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.readCtx, cancel)()
	err := e.wait(ctx, e.epochs.Want())
	switch {
	case errors.Is(err, ErrEnded):
		return err
	case e.readCtx.Err() != nil:
		return e.over()
	case err == nil || errors.Is(err, ErrNoImage):
		return nil
	}
	b.abandon()
	certain()
	return nil
}

// lockToRemove takes the lock of the plans to remove one. If ctx is done before, the plan is
// abandoned, because its writer may hold up the save that has the lock. If another's does,
// lockToRemove fails; a plan that has been abandoned waits until the other is removed, too.
func (k *keeper) lockToRemove(ctx context.Context, b *branch, certain func()) error {
	err := k.lockPlans(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	if !b.leaving.Load() {
		if o := k.engine.heldBy(); o != nil && o != b.output {
			return heldUp(o, err)
		}
		b.abandon()
		certain()
	}
	return k.lockPlans(context.Background())
}

// leavePlan takes a branch out of everything that runs. While the epochs are held, all readers and
// partitions have answered the same epoch, so no mark of the plan is on the way that anybody waits
// for. The caller holds the lock of the inlets.
func (e *Engine) leavePlan(ctx context.Context, b *branch, certain func()) error {
	if k := e.keeper; k != nil {
		if err := k.lockToRemove(ctx, b, certain); err != nil {
			return err
		}
		defer k.unlockPlans()  // after the epochs have been released
		if k.held.cut != nil { // it has the plan, and would be refused for ever
			e.epochs.Unpin(k.held.slot)
			k.held = pinned{}
		}
	}
	certain()
	_, held := e.holdEpochs()
	defer e.epochs.Release()
	if !held {
		return e.over()
	}
	whole := !b.ended.Load()
	b.ended.Store(true) // what goes wrong in it from now on is nobody's concern
	b.cuts.Detach()
	for _, in := range e.inlets.all() {
		f, _ := in.to(b)
		if e.keeper != nil && f.router.CaughtUp() {
			in.caught.Store(true)
		}
		// A runner that has ended had readers only, and does not step them any more.
		_ = e.send(context.Background(), in.runner, func() { in.runner.uninstall(in, f.router) })
		in.removeFlow(b)
	}
	for _, r := range e.partitionOn {
		if err := e.send(context.Background(), r, func() { r.removePartitions(b) }); err != nil {
			return e.over() // it ends, and everything with it
		}
	}
	if b.output != nil && whole && e.epochs.Visible() >= b.begins {
		cut, slot := b.cuts.Pin()
		b.last = pinned{cut, slot}
	}
	e.removeBranch(b)
	close(b.removed)
	var left []*plan.Plan
	for _, other := range e.branches() {
		left = append(left, other.cfg.Plan)
	}
	e.tables.leave(b.cfg.Plan, left)
	if !slices.ContainsFunc(e.branches(), func(b *branch) bool { return !b.ended.Load() }) {
		e.stopReaders()
	}
	return nil
}

// endOutput waits until the output of a branch that has been removed has written its last cut and
// has closed the writer.
func (e *Engine) endOutput(ctx context.Context, b *branch) error {
	o := b.output
	if o == nil {
		return nil
	}
	e.epochs.Want() // it may be waiting for the next epoch
	select {
	case <-o.finished:
	case <-e.halted:
	case <-ctx.Done():
		o.giveUp()
		select {
		case <-o.finished:
		case <-e.halted:
		}
	}
	if !isDone(o.finished) {
		o.giveUp()
		if !within(o.finished, readGrace) {
			err := fmt.Errorf("engine: writer of plan %d: Write has not returned %v after the engine was closed; its "+
				"goroutine is left behind", b.id, readGrace)
			e.report(err)
			return err
		}
	}
	if b.last.cut != nil {
		e.epochs.Unpin(b.last.slot)
	}
	disclaim(b.cfg.Writer)
	return b.failure()
}

// uninstall takes the router of a plan that is removed from a reader. It is called by the runner,
// between two turns.
func (r *runner) uninstall(in *inlet, router *core.Router) {
	if fan, ok := in.agent.(*core.Fan); ok && router != nil {
		fan.Remove(router)
	}
}

// removePartitions takes the partitions of a branch from a runner. It is called by the runner,
// between two turns.
func (r *runner) removePartitions(b *branch) {
	for i := range r.agents {
		if a := &r.agents[i]; a.branch == b && !a.done {
			a.done = true
			a.settle(r.engine.now())
			a.Agent, a.branch = nil, nil // its memory is not needed any more
			r.live--
		}
	}
}
