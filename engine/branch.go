package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// MaxPlans bounds the plans of an engine.
const MaxPlans = 64

// PlanConfig is one of several plans of an engine, with what belongs to it alone. The fields mean
// what the fields of Config of the same names mean.
type PlanConfig struct {
	// Plan is the continuous query. All plans of an engine have the same source schema.
	Plan *plan.Plan

	// Writer takes the result of the plan away. Each plan has a goroutine of its own that writes.
	Writer record.Writer

	// Exchange says how records get to the partitions, and Route says to which one.
	Exchange plan.Exchange
	Route    plan.Route

	// StateBytes bounds the memory of the groups of the plan. 0 means an equal share of what
	// Config.StateBytes leaves to the plans that do not say it.
	StateBytes int
	// StatePolicy says what happens if StateBytes is not enough.
	StatePolicy plan.StatePolicy

	// OnLate gets the records that came too late for every window of the plan.
	OnLate func(reader int, b *record.Batch)
}

// A PlanError says that one of several plans has ended although others went on. Wait returns it,
// joined with others if there are any. If the engine keeps a State, the other plans have ended with
// it.
type PlanError struct {
	Number int // of the plan in Config.Plans
	Plan   *plan.Plan
	Err    error
}

// Error names the plan, and says why it has ended.
func (e *PlanError) Error() string {
	return fmt.Sprintf("plan %d (%s): %v", e.Number, nameOf(e.Plan), e.Err)
}

// Unwrap returns why the plan has ended.
func (e *PlanError) Unwrap() error { return e.Err }

// A branch is one plan of an engine with everything that belongs to it alone. After the readers the
// flow of the data branches: each batch goes to a router of each plan.
type branch struct {
	engine *Engine
	id     int        // the number of the plan, which no other plan of the engine ever has
	cfg    PlanConfig // with the defaults filled in
	fold   core.Fold
	state  *core.MemoryBudget
	cuts   *core.Cuts // all branches share the epochs
	// begins is the first epoch whose cut has the plan; it is 0 for the plans that the engine began
	// with.
	begins uint64
	// copied and held are the bytes that each partition had copied when the last epoch was raised
	// by time, and that it held then. See interval.
	copied, held []atomic.Uint64
	partitions   []*core.Partition
	// places has the place of each partition among the agents of its runner, plus 1; it is 0 before
	// the runner gets the partition, which stays there. The runner stores it. Statistic.
	places []atomic.Int32
	output *output // nil if the plan has no Writer
	// restored is the number of groups that the plan began with. It is set before anything runs.
	restored uint64

	// before is the plan's last panic before the engine began with the plan.
	before *usercode.Noted
	// meters are the plan's functions of users, and what their meters said before the engine began
	// with the plan.
	meters []startedMeter

	// removed is closed when RemovePlan has removed the plan, while the epochs are held. No later
	// cut has the plan.
	removed chan struct{}
	// last is the newest cut that has the plan, pinned for its output. Its cut is nil if there is
	// no output, or if the plan had not the time for a last cut. It is set before removed is
	// closed.
	last pinned

	// leaving says that RemovePlan waits for the writer of the plan no longer. RemovePlan stores it
	// before it cancels the contexts of the writer's calls, and the keeper loads it after a call
	// has failed.
	leaving atomic.Bool

	// ended says that the plan takes no more records: it has failed, it has been removed, or it has
	// all that its LIMIT asks for. It is stored by the goroutine that finds out. A goroutine that
	// loads true knows nothing else by it.
	ended atomic.Bool

	mu  sync.Mutex // guards err
	err error      // why the plan has ended alone; nil if it goes on or has ended with the engine
}

// fail ends the plan because of err. The other plans of an engine go on. If it is the only one, or
// the engine keeps a State, the engine ends with it.
func (b *branch) fail(err error) {
	e := b.engine
	if b.alone() {
		e.fail(err)
		return
	}
	if e.keeper != nil {
		e.fail(&PlanError{b.id, b.cfg.Plan, err})
		return
	}
	b.mu.Lock()
	if b.err == nil {
		b.err = &PlanError{b.id, b.cfg.Plan, err}
		e.report(b.err)
	}
	b.mu.Unlock()
	b.end()
}

// end has the plan take no more records. The readers stop when no plan takes any.
func (b *branch) end() {
	b.ended.Store(true)
	if b.alone() {
		b.engine.stopReaders()
		return
	}
	if isDone(b.removed) {
		return
	}
	for _, p := range b.partitions {
		p.Abandon()
	}
	e := b.engine
	for _, in := range e.inlets.all() {
		if f, ok := in.to(b); ok {
			f.router.Abandon()
		}
	}
	for _, other := range e.branches() {
		if !other.ended.Load() {
			e.ringAll()
			return
		}
	}
	e.stopReaders()
}

// alone says that the engine runs no other plan.
func (b *branch) alone() bool {
	list := b.engine.branches()
	return len(list) == 1 && list[0] == b
}

// failure returns why the plan has ended alone, or nil.
func (b *branch) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// A startedMeter is a meter with what it said at first.
type startedMeter struct {
	usercode.Metered
	values uint64
	took   time.Duration
}

// startMeters reads the meters of the functions of users.
func startMeters(p *plan.Plan) (all []startedMeter) {
	for _, m := range p.UserMeters() {
		values, took := m.Meter.Read()
		all = append(all, startedMeter{m, values, took})
	}
	return all
}

// nameSlow names the functions of users that have taken a fourth of the time of all agents, or
// more, for the agents that were starved.
func (e *Engine) nameSlow(agents []AgentStats) {
	var busy time.Duration
	for i := range agents {
		busy += agents[i].Busy
	}
	slow := e.slowFunctions(busy / 4)
	for i := range agents {
		if agents[i].Starved > 0 {
			agents[i].Functions = slow
		}
	}
}

// slowFunctions says which functions of users have taken some time, or more.
func (e *Engine) slowFunctions(least time.Duration) string {
	type spent struct {
		values uint64
		took   time.Duration
	}
	all := map[string]spent{}
	for _, b := range e.branches() {
		for _, m := range b.meters {
			values, took := m.Meter.Read()
			s := all[m.Name]
			all[m.Name] = spent{s.values + values - m.values, s.took + took - m.took}
		}
	}
	var slow []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		if s.values > 0 && s.took >= least {
			slow = append(slow, fmt.Sprintf("%s, %v a value", name, s.took/time.Duration(s.values)))
		}
	}
	return strings.Join(slow, "; ")
}

// panicked returns the last panic of a user's function while a result of the plan was read, or nil.
func (b *branch) panicked() error {
	p := b.cfg.Plan.Panicked()
	if p == nil || p == b.before {
		return nil
	}
	return p
}

// ofPlan names the plan in messages, if the engine has several.
func (b *branch) ofPlan() string {
	if len(b.engine.branches()) == 1 {
		return ""
	}
	return fmt.Sprintf(" of plan %d (%s)", b.id, nameOf(b.cfg.Plan))
}

// nameOf is what messages call a plan: its name, or the name of its source.
func nameOf(p *plan.Plan) string {
	if p.Name == "" {
		return p.Source.Name()
	}
	return p.Name
}

// agentName names an agent of the plan, such as partition/3, or plan/1/partition/3 if the engine
// has several plans.
func (b *branch) agentName(kind string, id int) string {
	if len(b.engine.branches()) == 1 {
		return fmt.Sprintf("%s/%d", kind, id)
	}
	return fmt.Sprintf("plan/%d/%s/%d", b.id, kind, id)
}

// branches returns the branches, by the number of the plan. There is at least one.
func (e *Engine) branches() []*branch {
	if p := e.list.Load(); p != nil {
		return *p
	}
	return nil
}

// branchesAt returns the branches that are in the cut of a pinned slot.
func (e *Engine) branchesAt(slot int) (list []*branch) {
	epoch := e.epochs.Number(slot)
	for _, b := range e.branches() {
		if b.in(slot, epoch) {
			list = append(list, b)
		}
	}
	return list
}

// addBranch adds a branch to the list.
func (e *Engine) addBranch(b *branch) {
	list := append(slices.Clip(e.branches()), b)
	e.list.Store(&list)
}

// removeBranch takes a branch out of the list.
func (e *Engine) removeBranch(b *branch) {
	list := slices.DeleteFunc(slices.Clone(e.branches()), func(other *branch) bool { return other == b })
	e.list.Store(&list)
}

// newBranches makes the branches of the plans, with their cuts and outputs, but without partitions.
func (e *Engine) newBranches() {
	c := &e.cfg
	held := c.HeldSnapshots
	if c.State != nil {
		held++ // the keeper holds a cut while it saves it
	}
	for id, p := range c.Plans {
		b := &branch{
			engine: e, id: id, cfg: p, fold: core.Fold{Exchange: p.Exchange, Bytes: c.FoldBytes / len(c.Plans)},
			state:  core.NewMemoryBudget(p.StateBytes, p.StatePolicy),
			before: p.Plan.Panicked(), meters: startMeters(p.Plan),
			removed: make(chan struct{}),
		}
		b.copied, b.held = make([]atomic.Uint64, c.Partitions), make([]atomic.Uint64, c.Partitions)
		b.places = make([]atomic.Int32, c.Partitions)
		if c.State != nil {
			b.state.KeepCut()
		}
		if id == 0 {
			b.cuts = core.NewCuts(p.Plan, p.Route, len(c.Readers), c.Partitions, held, b.state, e.ringAll)
			e.epochs = b.cuts.Epochs
		} else {
			b.cuts = e.branches()[0].cuts.Share(p.Plan, p.Route, b.state)
		}
		b.cuts.Divide(len(c.Plans))
		b.cuts.Origin = e.start.UnixNano()
		if p.Writer != nil {
			b.output = newOutput(b)
		}
		e.addBranch(b)
	}
}

// addPartitions makes the partitions of the plan.
func (b *branch) addPartitions() error {
	e := b.engine
	for p := range e.cfg.Partitions {
		partition, err := core.NewPartition(plan.PartitionID(p), b.cfg.Plan, nil, nil, b.state, b.cuts)
		if err != nil {
			return err
		}
		if o := b.output; o != nil && b.cfg.Plan.PassesThrough() {
			out, err := newOutlet(b.cfg.Plan, o.batchReady, e.partitionOn[p].bell)
			if err != nil {
				return err
			}
			partition.SetOutlet(out)
			o.outlets = append(o.outlets, out)
		}
		b.partitions = append(b.partitions, partition)
	}
	return nil
}

// columnsRead says which columns of the source some plan reads, or Config.Columns names.
func (e *Engine) columnsRead() []bool {
	read := make([]bool, e.cfg.Plan.Source.Len())
	for _, b := range e.branches() {
		for i, yes := range b.cfg.columns() {
			read[i] = read[i] || yes
		}
	}
	for _, name := range e.cfg.Columns {
		if i, ok := e.cfg.Plan.Source.Index(name); ok {
			read[i] = true
		}
	}
	return read
}

// wantsAll says whether some plan wants all columns.
func (e *Engine) wantsAll() bool {
	return slices.ContainsFunc(e.branches(), func(b *branch) bool { return b.cfg.wantsAll() })
}

// columns says which columns of the source the plan needs: those that it reads, or all if OnLate or
// a RouteFunc gets the records.
func (p *PlanConfig) columns() []bool {
	read := ColumnsRead(p.Plan)
	for i := range read {
		read[i] = read[i] || p.wantsAll()
	}
	return read
}

// wantsAll says whether the plan wants all columns of the source: OnLate gets records with all
// columns, and so does a RouteFunc.
func (p *PlanConfig) wantsAll() bool { return p.OnLate != nil || p.Route.Routing == plan.RouteCustom }

// onLate says whether some plan takes late records.
func (c *Config) onLate() bool {
	for _, p := range c.Plans {
		if p.OnLate != nil {
			return true
		}
	}
	return false
}

// short returns the configuration in the short form if Plans has a single plan.
func (c *Config) short() *Config {
	if len(c.Plans) != 1 || c.Plan != nil {
		return c
	}
	d, p := *c, c.Plans[0]
	d.Plans, d.Plan, d.Writer, d.Exchange, d.Route = nil, p.Plan, p.Writer, p.Exchange, p.Route
	d.StatePolicy, d.OnLate = p.StatePolicy, p.OnLate
	if p.StateBytes != 0 {
		d.StateBytes = p.StateBytes
	}
	return &d
}

// plans returns the plans of the configuration, also if it has only one in the short form.
func (c *Config) plans() []PlanConfig {
	if len(c.Plans) > 0 {
		return c.Plans
	}
	return []PlanConfig{{
		Plan: c.Plan, Writer: c.Writer, Exchange: c.Exchange, Route: c.Route, StateBytes: c.StateBytes,
		StatePolicy: c.StatePolicy, OnLate: c.OnLate,
	}}
}

// plansWithDefaults fills in what the plans leave zero. The other defaults have been filled in.
func (c *Config) plansWithDefaults() []PlanConfig {
	if len(c.Plans) == 0 {
		return c.plans()
	}
	plans := append([]PlanConfig(nil), c.Plans...)
	left, without := c.StateBytes, 0
	for _, p := range plans {
		left -= p.StateBytes
		if p.StateBytes == 0 {
			without++
		}
	}
	for i := range plans {
		if plans[i].StateBytes == 0 {
			plans[i].StateBytes = max(left/without, MinStateBytes)
		}
	}
	return plans
}

// planFaults reports what is wrong with the plans.
func (c *Config) planFaults(fault func(format string, args ...any)) {
	c.chainFaults(fault)
	if len(c.Plans) == 0 {
		c.planFault(c.plans()[0], "", fault)
		return
	}
	switch {
	case c.Plan != nil:
		fault("there is a Plan, and there are Plans: only one of the fields is to be set")
	case c.Writer != nil || c.OnLate != nil || c.Exchange != 0 || c.Route.Routing != plan.RouteAuto ||
		c.StatePolicy != 0:
		fault("Writer, OnLate, Exchange, Route and StatePolicy of several plans are set in Plans, for each of them")
	case len(c.Plans) > MaxPlans:
		fault("%d plans, at most %d are allowed", len(c.Plans), MaxPlans)
	}
	seen := map[*plan.Plan]int{}
	for i, p := range c.Plans {
		c.planFault(p, fmt.Sprintf("plan %d: ", i), fault)
		if p.Plan == nil {
			continue
		}
		if first, ok := seen[p.Plan]; ok {
			fault("plans %d and %d are the same", first, i)
		}
		seen[p.Plan] = i
		if first := c.Plans[0].Plan; first != nil && first.Source != nil && p.Plan.Source != nil {
			if why := otherSchema(first.Source, p.Plan.Source); why != "" {
				fault("plans 0 and %d have different sources: %s", i, why)
			}
		}
	}
}

// planFault reports what is wrong with one plan.
func (c *Config) planFault(p PlanConfig, of string, fault func(format string, args ...any)) {
	if p.Plan == nil {
		fault("%sno plan", of)
	} else if err := p.Plan.Validate(); err != nil {
		fault("%s%w", of, err)
	} else if err := p.Route.Validate(p.Plan); err != nil {
		fault("%s%w", of, err)
	}
	if p.Plan != nil && p.Plan.PassesThrough() && p.Writer == nil {
		fault("%sa plan that passes records through needs a Writer: there are no groups to read", of)
	}
	if p.Exchange > plan.ExchangeRoute {
		fault("%sno exchange %v", of, p.Exchange)
	}
	if p.StateBytes != 0 && p.StateBytes < MinStateBytes {
		fault("%s%d bytes for the groups, expected at least %d, or 0 for half of the memory", of, p.StateBytes,
			MinStateBytes)
	}
	if p.StatePolicy > plan.StateShed {
		fault("%sno state policy %v", of, p.StatePolicy)
	}
	if p.StatePolicy == plan.StateShed && p.Exchange == plan.ExchangeFold {
		fault("%sa plan that sheds cannot fold: partial states do not say how many records they stand for", of)
	}
}

// otherSchema says how two schemas differ; it is empty if they have the same columns.
func otherSchema(a, b *record.Schema) string {
	if a.Len() != b.Len() {
		return fmt.Sprintf("%d columns and %d", a.Len(), b.Len())
	}
	for i := range a.Len() {
		if a.Field(i) != b.Field(i) {
			return fmt.Sprintf("column %d is %v and %v", i, a.Field(i), b.Field(i))
		}
	}
	return ""
}
