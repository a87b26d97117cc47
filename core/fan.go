package core

import (
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// routers are the routers of one reader, one for each plan. They take each batch together, and they
// send the marks of an epoch between the same two batches. So a cut shows the same records of the
// reader in all plans.
type routers []*Router

// next takes a batch from the source, or begins to send marks: of an epoch that was raised, or of
// the end. No router is busy before it. It returns the work, and the router whose Stall says why
// there was none; no batch is at hand if there was none to take.
func (rs routers) next(now Nanos) (work int, waits *Router) {
	// What the routers of a reader have in common can be asked of each of them.
	first := rs[0]
	// The number is read before the look at the source, which then already has what was sent to it
	// before the epoch was raised.
	number, slot := first.cuts.Raised()
	due := number > first.epoch && (first.joining || first.source.Drained(number))
	if due && !rs.mayBeIdle(now) {
		return rs.startEpoch(number, slot, now), first
	}
	if r := rs.ahead(); r != nil {
		return rs.sendChunks(), r
	}
	b, done := first.source.Next(now)
	switch {
	case done:
		for _, r := range rs {
			work += r.startEnd()
		}
		return work, first
	case b == nil && due:
		rs.quiet(now)
		return rs.startEpoch(number, slot, now), first
	case b == nil:
		rs.quiet(now)
		return rs.sendChunks(), first
	}
	rs.wantRenewal(now)
	rs.take(b, now)
	return 1, first
}

// wantRenewal asks for an epoch if a table has a newer version than the one that is looked up: the
// routers take it up with the epoch, so that the records between two epochs of a reader meet the
// same versions in all plans.
func (rs routers) wantRenewal(now Nanos) {
	r := rs[0]
	if r.pins != nil && r.epoch >= r.asked && r.pins.Outdated() {
		r.asked, r.askedAt = r.cuts.Want(), now
	}
}

// take gives each router the batch.
func (rs routers) take(b *record.Batch, now Nanos) {
	for _, r := range rs {
		switch {
		case r.waiting && r.kept != nil:
			r.kept.take(b.Positions()) // the plan begins after the batch
		case !r.abandoned.Load() && !r.waiting:
			r.times.arrive(r.cuts.Origin, now)
			r.take(b)
		}
	}
}

// startEpoch begins to send the marks of an epoch.
func (rs routers) startEpoch(number uint64, slot int, now Nanos) (work int) {
	if pins := rs[0].pins; pins != nil {
		pins.Renew()
	}
	for _, r := range rs {
		work += r.startEpoch(number, slot, now)
	}
	return work
}

// mayBeIdle says whether the source is to be asked once more before the mark of an epoch.
func (rs routers) mayBeIdle(now Nanos) bool {
	for _, r := range rs {
		if r.mayBeIdle(now) {
			return true
		}
	}
	return false
}

// ahead is a router because of which the reader waits before it goes on; it is nil if there is
// none.
func (rs routers) ahead() *Router {
	for _, r := range rs {
		if r.ahead() {
			return r
		}
	}
	return nil
}

// quiet notes that the source has nothing.
func (rs routers) quiet(now Nanos) {
	for _, r := range rs {
		r.quiet(now)
		r.stall = StallInput
	}
}

// sendChunks publishes all open chunks, because nothing else is to be done.
func (rs routers) sendChunks() (chunks int) {
	for _, r := range rs {
		chunks += r.sendChunks(false)
	}
	return chunks
}

// A Fan lends each batch of one reader to several routers, one for each plan of an engine. The
// source is read once. It is an Agent. A router that has no room holds the others back: the batch
// goes back to the source when all are done with it.
type Fan struct {
	routers routers
	stages  []*jointStage
	// waits is the router because of which the last Step had no work.
	waits *Router
	// left says that the reader has left the epochs.
	left bool
}

// A jointStage filters and computes once for several routers, whose plans have the same WHERE and
// compute the same expressions.
type jointStage struct {
	program *expr.Program
	machine *expr.Machine
	routers []*Router
	// batch is the batch that result was made of; it is nil before the first router has asked.
	batch  *record.Batch
	result *expr.Result
}

// run computes a batch, when the first router asks for it.
func (s *jointStage) run(b *record.Batch) *expr.Result {
	if s.batch == b {
		return s.result
	}
	if s.machine == nil || s.machine.Rows() < b.Len() {
		s.machine = s.program.New(b.Cap())
	}
	s.batch, s.result = b, s.machine.RunWith(s.routers[0].pins, b)
	return s.result
}

// joinStages has routers whose stages can be joined share one. What a busy router has computed from
// its batch stays valid.
func joinStages(rs []*Router) (stages []*jointStage) {
	for _, r := range rs {
		r.joint, r.jointColumns = nil, nil
	}
	for _, r := range rs {
		if r.layout.Stage != nil && !joinStage(stages, r) {
			stages = append(stages, &jointStage{routers: []*Router{r}})
		}
	}
	return stages
}

// joinStage has a router share one of the stages if it can.
func joinStage(stages []*jointStage, r *Router) bool {
	for _, s := range stages {
		if s.join(append(s.routers[:len(s.routers):len(s.routers)], r)) {
			return true
		}
	}
	return false
}

// join makes the stage one of these routers. It returns false, and changes nothing, if their
// programs cannot be joined.
func (s *jointStage) join(rs []*Router) bool {
	var programs []*expr.Program
	for _, r := range rs {
		programs = append(programs, r.layout.Stage)
	}
	joint, columns, ok := expr.JoinPrograms(programs)
	if !ok {
		return false
	}
	s.program, s.routers = joint, rs
	for i, r := range rs {
		r.joint, r.jointColumns = s, columns[i]
	}
	return true
}

// project gives the columns of the joint result that the plan has, in its order.
func (r *Router) project(from *record.Batch) *record.Batch {
	if r.view == nil || r.view.Cap() < from.Cap() {
		r.view = record.NewBatch(r.layout.Stage.Schema(), from.Cap())
	}
	r.view.Reset()
	for i, at := range r.jointColumns {
		*r.view.Column(i) = *from.Column(at)
	}
	r.view.SetLen(from.Len())
	return r.view
}

// NewFan makes an agent of the routers of one reader, which have the same source and belong to
// plans that share their epochs. None of them is an agent any more.
func NewFan(rs []*Router) *Fan {
	var tables []*lookup.Table
	for _, r := range rs {
		r.inFan = true
		if r.pins != nil {
			tables = append(tables, r.pins.Tables()...)
		}
	}
	pins := lookup.NewPins(tables...)
	for _, r := range rs {
		r.pins = pins
	}
	return &Fan{routers: rs, waits: rs[0], stages: joinStages(rs)}
}

// FanOf makes an agent of the router of a reader that was an agent itself, so that others can be
// added. It is called on the router's thread, between two Steps.
func FanOf(r *Router) *Fan {
	r.inFan = true
	if r.pins == nil {
		r.pins = lookup.NewPins()
	}
	return &Fan{routers: routers{r}, waits: r, stages: joinStages([]*Router{r})}
}

// Add adds the router of a plan that is added while the engine runs. Epoch is the last one; the
// plan begins when the next is raised, between the same two batches of the reader as the other
// plans' mark. It is called on the fan's thread, between two Steps, while the epochs are held. If
// the reader is ending, the new router ends too.
func (f *Fan) Add(r *Router, epoch uint64) {
	first := f.routers[0]
	r.Join(epoch, epoch)
	r.inFan, r.waiting = true, true
	if r.pins != nil {
		first.pins.Add(r.pins.Tables()...)
	}
	r.pins = first.pins
	r.follow(first)
	f.routers = append(f.routers, r)
	f.stages = joinStages(f.routers)
	if first.atEnd {
		r.startEnd()
	}
}

// Remove takes the router of a plan that is removed while the engine runs out of the fan, also if
// it is busy. Another router is left. It is called on the fan's thread, between two Steps, while
// the epochs are held.
func (f *Fan) Remove(r *Router) {
	f.routers = slices.DeleteFunc(slices.Clone(f.routers), func(other *Router) bool { return other == r })
	f.stages = joinStages(f.routers)
	var tables []*lookup.Table
	for _, r := range f.routers {
		if stage := r.layout.Stage; stage != nil {
			tables = append(tables, stage.Tables()...)
		}
	}
	f.routers[0].pins.Keep(tables)
	f.waits = f.routers[0]
}

// End has the router of a plan that is added while the engine runs say that its reader has ended:
// the others of the reader, of which other is one, have said so before. It is called on the thread
// that the reader had, while the epochs are held.
func (r *Router) End(epoch uint64, other *Router) {
	r.Join(epoch, epoch)
	r.follow(other)
	r.inFan = true
	r.startEnd() // the rings are empty, so all marks find room
}

// Step has each router go on with the batch at hand, and takes the next batch, or begins an epoch,
// when no router is busy any more.
func (f *Fan) Step(now Nanos) (work int) {
	f.waits = nil
	for _, r := range f.routers {
		n := r.resume(now)
		if r.phase == routing && r.batch != nil {
			n += r.routeBatch()
		}
		work += n
		if r.busy() && (f.waits == nil || n == 0) {
			f.waits = r
		}
	}
	if f.waits == nil {
		for _, s := range f.stages {
			s.batch = nil
		}
		n := 0
		n, f.waits = f.routers.next(now)
		work += n
		for _, r := range f.routers {
			if r.phase == routing && r.batch != nil {
				work += r.routeBatch()
			}
		}
	}
	if !f.left && f.Done() {
		f.left = true
		f.routers[0].cuts.Leave()
	}
	return work
}

// Done says whether the source has ended and every partition of every plan has got the mark of the
// end.
func (f *Fan) Done() bool {
	for _, r := range f.routers {
		if !r.Done() {
			return false
		}
	}
	return true
}

// Wake is when the fan is worth another Step even if no bell rings. While a router is busy the
// source is not asked, so only the busy routers count.
func (f *Fan) Wake() Nanos {
	if !f.waits.busy() {
		return f.waits.Wake()
	}
	wake := Never
	for _, r := range f.routers {
		if r.busy() {
			wake = min(wake, r.Wake())
		}
	}
	return wake
}

// Stall is why the last Step had no work.
func (f *Fan) Stall() Stall { return f.waits.stall }

// Err is the error of the first router that has one. Each belongs to a plan of its own.
func (f *Fan) Err() error {
	for _, r := range f.routers {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
