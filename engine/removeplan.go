package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
)

// RemovePlan ends a plan while the engine goes on with the others. Plan, Snapshot, MoveShard and
// some fields of Stats are of the plan that the engine has run the longest, of those that are left.
// RemovePlan asks for an epoch, as Sync
// does, and no snapshot after that epoch has the plan. The writer of the plan gets what that epoch
// has: windows that have closed, changes, records that have passed through. It does not get what a
// plan writes at the end of all input. Then the writer is closed, and RemovePlan returns.
//
// If ctx is done before, the plan is removed without that: its writer gets nothing more, and the
// context of its Write is done. So a plan whose writer hangs, which holds the whole engine up, can
// be removed. The error wraps ErrRemoving then: the plan will be gone soon. RemovePlan waits for an
// AddPlan that is under way, and that for a save. If a writer hangs in that save, end the context
// of AddPlan first; an AddPlan that has got further ends with the save, or when the engine is
// closed.
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
	if err := e.inlets.lock(ctx); err != nil {
		return fmt.Errorf("engine: plan not removed: %w", err)
	}
	b, err := e.planToRemove(p)
	if err != nil {
		e.inlets.unlock()
		return fmt.Errorf("engine: plan not removed: %w", err)
	}
	removed := make(chan error, 1)
	e.helpers.Go(func() {
		err := e.lastSave(ctx, b)
		if err == nil {
			err = e.lastEpoch(ctx, b)
		}
		if err == nil {
			err = e.leavePlan(b)
		}
		e.inlets.unlock()
		if err == nil {
			err = errors.Join(e.endOutput(ctx, b), e.saveWithout(ctx))
		}
		removed <- err
	})
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

// planToRemove finds the branch of a plan that can be removed.
func (e *Engine) planToRemove(p *plan.Plan) (*branch, error) {
	if e.inlets.sealed || e.stopping.Load() || e.epochs.Ended() {
		return nil, e.over()
	}
	i := slices.IndexFunc(e.branches(), func(b *branch) bool { return b.cfg.Plan == p })
	switch {
	case i < 0:
		return nil, errors.New("the engine does not run it")
	case len(e.branches()) == 1:
		return nil, errors.New("it is the only plan of the engine: Shutdown ends the engine")
	}
	return e.branches()[i], nil
}

// lastSave has the writers get everything so far, also the writer that gets its rows with a
// generation only. The error says that nothing can be saved.
func (e *Engine) lastSave(ctx context.Context, b *branch) error {
	if e.keeper == nil {
		return nil
	}
	err := e.Checkpoint(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // then it is removed without that
		o := e.keeper.heldBy()
		if o == nil || o == b.output {
			return nil
		}
		err = fmt.Errorf("the writer of %s %s, and the state cannot be saved without it: remove that plan first: %w",
			nameOf(o.branch.cfg.Plan), o.held().words, err)
	}
	return fmt.Errorf("engine: plan not removed: %w", err)
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

// lastEpoch waits for the last epoch that has a plan. If ctx is done first, the plan holds nothing
// up any more. The error says that the engine ends.
func (e *Engine) lastEpoch(ctx context.Context, b *branch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.readCtx, cancel)()
	err := e.wait(ctx, e.epochs.Want())
	switch {
	case errors.Is(err, ErrEnded):
		return fmt.Errorf("engine: plan not removed: %w", err)
	case e.readCtx.Err() != nil:
		return fmt.Errorf("engine: plan not removed: %w", e.over())
	case err == nil || errors.Is(err, ErrNoImage):
		return nil
	}
	b.leaving.Store(true) // before its writer's calls fail because of that
	b.end()
	if b.output != nil {
		b.output.giveUp()
	}
	return nil
}

// leavePlan takes a branch out of everything that runs. While the epochs are held, all readers and
// partitions have answered the same epoch, so no mark of the plan is on the way that anybody waits
// for. The caller holds the lock of the inlets.
func (e *Engine) leavePlan(b *branch) error {
	if k := e.keeper; k != nil {
		if err := k.lockPlans(context.Background()); err != nil {
			return fmt.Errorf("engine: plan not removed: %w", err)
		}
		defer k.unlockPlans()  // after the epochs have been released
		if k.held.cut != nil { // it has the plan, and would be refused for ever
			e.epochs.Unpin(k.held.slot)
			k.held = pinned{}
		}
	}
	_, held := e.holdEpochs()
	defer e.epochs.Release()
	if !held {
		return fmt.Errorf("engine: plan not removed: %w", e.over())
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
			return fmt.Errorf("engine: plan not removed: %w", e.over()) // it ends, and everything with it
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
