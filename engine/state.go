package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// Limits and defaults of State.
const (
	// DefaultCheckpointInterval is how often the state is saved.
	DefaultCheckpointInterval = 10 * time.Second

	// DefaultCheckpointShare is the part of a core's time that may be spent on saving.
	DefaultCheckpointShare = 0.02

	// MaxCheckpoints is how many saves StateStats.Last has.
	MaxCheckpoints = 60
)

// A State says where an engine keeps its state, so that it survives a restart. Dir makes one. The
// zero value of each other field is a good choice.
//
// An engine with a State goes on where the last one stopped that used the same folder: with its
// groups, its open windows, the windows that it had not written, and the positions of its readers.
// What it had aggregated since its last generation it aggregates again, from readers that can read
// it again (record.Resumer). From a reader that cannot, those records are lost; docs/durability.md
// says which readers can. The number of readers, partitions and cores, the exchange and the route
// may be others than before.
type State struct {
	// Path is the folder. It is made if there is none. One engine at a time uses it.
	Path string

	// Interval is how often the state is saved. 0 means DefaultCheckpointInterval.
	Interval time.Duration

	// Share is the part of a core's time that may be spent on saving. If the state is so large that
	// it would take more, the interval grows. 0 means DefaultCheckpointShare. With 1 or more the
	// interval never grows.
	Share float64

	// NoSync does not wait for the disk. What is saved then survives a crash of the process, and
	// may be lost if the machine fails.
	NoSync bool

	// Fresh begins anew: what is in the folder is put aside under other names.
	Fresh bool

	// Takeover goes on with a folder that is a copy of the one that an engine wrote to. Without it
	// such a folder is refused, because the other engine may still run.
	Takeover bool

	// RepeatOutput goes on with a writer that has more transactions than the state
	// (record.Transactional), because an older state was put back: rows since then are written once
	// more.
	RepeatOutput bool

	// SkipOutputTo goes on with a writer whose transactions do not fit the state, and says up to
	// which number they are left as they are; the error that is returned without it says the
	// number, and which rows are lacking then.
	SkipOutputTo uint64

	// RepeatOutputs and SkipOutputs are RepeatOutput and SkipOutputTo of an engine with several
	// plans, by the names of the plans. A choice for one writer is none for another. A plan that is
	// dropped may be named, too.
	RepeatOutputs []string
	SkipOutputs   map[string]uint64

	// NewPlans names plans that may begin without history if the state has none of their name: with
	// the records after the generation that the engine goes on with. Without it such a plan is
	// refused. It may stay set.
	NewPlans []string

	// DroppedPlans names plans of the state that do not go on: their groups are given up. Without
	// it a plan of the state that the engine does not run is refused. A plan that is in NewPlans
	// too begins anew.
	DroppedPlans []string

	// OnEvent is told of each save, of each failure to save, and of writers that hang. It is called
	// on goroutines that do nothing else, one call at a time, and must not wait for the engine. A
	// writer that hangs while it goes on where it stopped is told before Start returns. Nil is told
	// nothing; Stats has the same.
	OnEvent func(StateEvent)

	// open replaces the folder in tests; outboxBytes replaces MaxOutboxBytes.
	open        func(state.Options) (*state.Folder, error)
	outboxBytes int
	patience    time.Duration // replaces SlowWriter
}

// Dir is the State in a folder, with the defaults.
func Dir(path string) *State { return &State{Path: path} }

// A StateEventKind says what has happened to a State.
type StateEventKind uint8

// The kinds.
const (
	// Restored: the engine goes on with a generation. Err says why newer ones were passed over, if
	// any were.
	Restored StateEventKind = iota
	// Saved: a generation is durable.
	Saved
	// SaveFailed: a generation could not be saved. The engine goes on, and tries again.
	SaveFailed
	// WriterHangs: the writer of a plan has not returned from a call for longer than SlowWriter, or
	// has failed for so long with transient errors. Err names the plan and the call, and says
	// whether nothing can be saved meanwhile, for no plan of the engine. The engine goes on; the
	// call may return, RemovePlan or Close ends the wait.
	WriterHangs
	// WriterReturned: the call of which WriterHangs has told has returned.
	WriterReturned
)

// A StateEvent is something that has happened to a State.
type StateEvent struct {
	Kind       StateEventKind
	At         time.Time // when the save or the call began; zero for Restored
	Plan       string    // the name of the plan whose writer it is about; empty for the other kinds
	Generation uint64
	Epoch      uint64
	Bytes      int64         // the size of the groups
	Written    int64         // bytes that were written; less than Bytes if panes had not changed
	Duration   time.Duration // how long it took, and Waited how much of that it waited for the disk
	Waited     time.Duration
	Err        error
}

// Errors of a State.
var (
	// ErrOtherPlan says that the groups in the folder belong to another query.
	ErrOtherPlan = errors.New("the state belongs to another query")

	// ErrLostSplit says that the state has the position of a split that no reader goes on with.
	ErrLostSplit = errors.New("no reader goes on with a split of the state")

	// ErrFinished says that all windows of the state have closed, because all sources had come to
	// their end, and that a reader may bring records, which would all be late.
	ErrFinished = errors.New("the state is at the end of all input and its windows have closed: what comes now " +
		"would be late; begin anew with fresh, or in another folder (a source that goes on is followed)")

	// ErrNoState says that the configuration has no State.
	ErrNoState = errors.New("engine: the configuration has no State")
)

// validate reports every fault.
func (s *State) validate(c *Config, fault func(format string, args ...any)) {
	if s.Path == "" && s.open == nil {
		fault("a State without a path")
	}
	if s.Interval < 0 {
		fault("a checkpoint each %v, expected more than 0, or 0 for %v", s.Interval, DefaultCheckpointInterval)
	}
	if s.Share < 0 || s.Share != s.Share {
		fault("%v of a core for checkpoints, expected more than 0, or 0 for %v", s.Share, DefaultCheckpointShare)
	}
	names := map[string]int{}
	for i, p := range c.plans() {
		of := ""
		if len(c.Plans) > 0 {
			of = fmt.Sprintf("plan %d: ", i)
		}
		if p.Plan == nil {
			continue
		}
		for _, why := range notKept(&p) {
			fault("%s%s", of, why)
		}
		name := nameOf(p.Plan)
		if first, ok := names[name]; ok {
			fault("plans %d and %d are both named %s, and the state could not tell them apart: give each a name of "+
				"its own (plan.Plan.Name)", first, i, name)
		}
		names[name] = i
	}
	if len(names) > 1 && (s.RepeatOutput || s.SkipOutputTo != 0) {
		fault("RepeatOutput and SkipOutputTo are for an engine with one plan: name the plan in RepeatOutputs or " +
			"SkipOutputs")
	}
}

// notKept says why the state of a plan cannot be kept.
func notKept(p *PlanConfig) (why []string) {
	if p.Plan.PassesThrough() && (len(p.Plan.OrderBy) > 0 || p.Plan.Limit != nil) {
		why = append(why, "a plan that passes records through in an order, or up to a limit, would not go on where it "+
			"was: State is not for it")
	}
	if p.StatePolicy == plan.StateShed {
		why = append(why, "a plan that sheds counts records as dropped that it would count after a restart: State is "+
			"not for it")
	}
	return why
}

// withDefaults fills in what was left zero.
func (s *State) withDefaults() *State {
	d := *s
	if d.Interval == 0 {
		d.Interval = DefaultCheckpointInterval
	}
	if d.Share == 0 {
		d.Share = DefaultCheckpointShare
	}
	if d.outboxBytes == 0 {
		d.outboxBytes = MaxOutboxBytes
	}
	if d.patience == 0 {
		d.patience = SlowWriter
	}
	return &d
}

// openFolder opens the folder.
func (s *State) openFolder() (*state.Folder, error) {
	o := state.Options{Takeover: s.Takeover, Fresh: s.Fresh, NoSync: s.NoSync}
	if s.open != nil {
		return s.open(o)
	}
	return state.OpenFolder(s.Path, o)
}

// fingerprint is what the groups of a plan depend on, each in words.
func fingerprint(p *plan.Plan) (lines []string) {
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	column := func(name string) string {
		if i, ok := p.Source.Index(name); ok {
			return describe(p.Source.Field(i))
		}
		return name // a computed one, which has a line of its own
	}
	for i, read := range ColumnsRead(p) {
		if read {
			line("reads %s", describe(p.Source.Field(i)))
		}
	}
	for _, t := range p.Tables() {
		for i, c := range t.Key() {
			line("table %s: key %d is %s", t.Name(), i+1, describe(t.Schema().Field(c)))
		}
		for _, c := range p.TableColumns(t) {
			line("table %s: reads %s", t.Name(), describe(t.Schema().Field(c)))
		}
	}
	if p.Where != nil {
		line("WHERE %v", p.Where)
	}
	calls := p.Where.UserCalls(nil)
	for _, o := range p.Computed {
		line("computes %s = %v", o.Name, o.Expr)
		calls = o.Expr.UserCalls(calls)
	}
	lines = append(lines, userPrint(calls)...)
	for i, k := range p.Keys {
		line("key %d is %s", i+1, column(k))
	}
	for i, a := range p.Aggregates {
		text := fmt.Sprintf("aggregate %d is %s(", i+1, a.FuncName())
		if a.User != nil {
			text = fmt.Sprintf("aggregate %d is your %v (", i+1, a.User)
		}
		if a.Distinct {
			text += "DISTINCT "
		}
		text += column(a.Column)
		if a.By != "" {
			text += ", " + column(a.By)
		}
		switch a.Func {
		case plan.ApproxPercentile, plan.ApproxPercentileMerge:
			text += fmt.Sprintf(", %v", a.Fraction)
		case plan.ApproxTopK, plan.ReservoirSample:
			text += fmt.Sprintf(", %d", a.K)
		}
		lines = append(lines, text+")")
	}
	if w := p.Window; w != nil {
		on := "column " + column(w.Column)
		if w.ProcessingTime {
			on = "processing time"
		}
		text := fmt.Sprintf("windows are %v on %s", w.Windows, on)
		if w.Offset != 0 {
			text += fmt.Sprintf(", offset %v", w.Offset)
		}
		lines = append(lines, text)
	}
	switch { // the sink has rows of this shape
	case p.Emit == plan.EmitChanges:
		line("emits changes")
		lines = append(lines, outputPrint(p)...)
	case p.PassesThrough():
		line("passes records through")
		lines = append(lines, outputPrint(p)...)
	}
	return lines
}

// outputPrint is how the result is made of the groups, in words.
func outputPrint(p *plan.Plan) (lines []string) {
	calls := p.Having.UserCalls(nil)
	for _, o := range p.Select {
		lines = append(lines, fmt.Sprintf("selects %v AS %s", o.Expr, o.Name))
		calls = o.Expr.UserCalls(calls)
	}
	if p.Having != nil {
		lines = append(lines, fmt.Sprintf("HAVING %v", p.Having))
	}
	if p.Copies != nil {
		lines = append(lines, fmt.Sprintf("COPIES %v", p.Copies))
	}
	return append(lines, userPrint(calls)...)
}

// userPrint is the users' functions that are called, each once, with their versions.
func userPrint(calls []expr.UserCall) (lines []string) {
	for _, c := range calls {
		text := fmt.Sprintf("calls your %v", c.User)
		if !slices.Contains(lines, text) {
			lines = append(lines, text)
		}
	}
	return lines
}

func describe(f record.Field) string {
	if f.Nullable {
		return fmt.Sprintf("%s %v", f.Name, f.Type)
	}
	return fmt.Sprintf("%s %v NOT NULL", f.Name, f.Type)
}

// ComparePlans says whether an engine that runs one plan can go on with the state of an engine that
// has run another. The error wraps ErrOtherPlan and says what differs. The plans must be valid.
func ComparePlans(before, now *plan.Plan) error {
	return otherPlan(fingerprint(before), fingerprint(now))
}

// otherPlan says how two fingerprints differ; it is nil if they do not.
func otherPlan(saved, now []string) error {
	var diff []string
	for _, l := range saved {
		if !slices.Contains(now, l) {
			diff = append(diff, "saved: "+l)
		}
	}
	for _, l := range now {
		if !slices.Contains(saved, l) {
			diff = append(diff, "now: "+l)
		}
	}
	if len(diff) == 0 {
		if slices.Equal(saved, now) {
			return nil
		}
		diff = []string{"the same in another order"}
	}
	text := ""
	for _, d := range diff {
		text += "\n  " + d
	}
	return fmt.Errorf("%w; run it with the query it was made by, or begin anew with fresh:%s", ErrOtherPlan, text)
}
