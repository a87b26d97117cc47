package engine

import (
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/epoch"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// ReaderStats are the counters of a reader.
type ReaderStats struct {
	Name  string
	State ReaderState
	Err   error // why the reader failed
	result.Counters

	// Dropped is the number of rows in batches that a panic or a broken reader left unfinished.
	// They are not part of In.
	Dropped uint64
	// Skipped is the number of records that no plan wants and that the reader has left out, if it
	// is a record.Skipper. They are not part of In.
	Skipped uint64

	Retries uint64 // number of transient errors
	Groups  uint64 // number of groups that are folded and not sent to the partitions yet

	Watermark Watermark    // how far the reader has come in event time
	Lag       []record.Lag // what waits to be read, if the reader is a record.Lagging
	Lagging   bool         // the reader is one
}

// A Watermark is how far a reader has come in event time: its windows up to there may close.
type Watermark struct {
	// At is zero if the plan has no windows, before the first record, and after the end of the
	// input.
	At time.Time

	// Idle says that the reader has had nothing for a while and holds no window back (see
	// plan.Window.Idle).
	Idle bool
}

// PartitionStats are the counters of a partition.
type PartitionStats = core.PartitionStats

// PlanStats are the counters of one plan of an engine.
type PlanStats struct {
	Number     int // of the plan: see Engine.AddPlan
	Plan       string
	Err        error // why the plan has ended although others go on
	StateBytes int   // memory of its groups
	StateLimit int   // what that may be at most
	Output     OutputStats
	Partitions []PartitionStats
	// Restored is the number of groups that the plan began with, from the generation that the
	// engine was restored from. With windows a group counts in each span of time that has it.
	Restored uint64

	// Readers are the counters of each reader's records as this plan has treated them: what it has
	// filtered, counted, found late. In and Batches are the same for every plan that has not ended.
	Readers []result.Counters
	// Folded is the number of groups that each reader has folded and not sent to the partitions
	// yet.
	Folded []uint64
	// Watermarks are how far each reader has come.
	Watermarks []Watermark

	// Windowed says that the plan has windows, and Closed is the end of the last one that has
	// closed. Closed is zero if none has, and after the end of all input.
	Windowed bool
	Closed   time.Time
}

// RingStats are the counters of the ring from one reader to one partition of a plan.
type RingStats struct {
	Plan, Reader, Partition int
	ring.Stats
}

// RunnerStats are the counters of a runner. While it runs they are up to 10 ms old.
type RunnerStats struct {
	Agents string // names of the agents, joined by +

	// CPU is the number of the CPU that the runner is pinned to, or -1 if it is not pinned.
	CPU int

	PinError string // why the runner is not pinned although it should be

	// CPUTime is the CPU time of the thread, waiting included. It is 0 if the runner is not locked
	// to a thread.
	CPUTime time.Duration

	Turns uint64 // number of times that the runner stepped all its agents
	Busy  uint64 // number of turns in which there was work
	Parks uint64 // number of times that the runner went to sleep
}

// StallStats say how often and how long an agent had no work for one reason.
type StallStats struct {
	Count uint64
	Time  time.Duration // total time until there was work again, and of a stall that goes on
}

// AgentStats are the counters of a router or a partition, as seen by its runner. While the runner
// runs they are up to 10 ms old.
type AgentStats struct {
	Name    string // such as reader/0 or partition/3
	Runner  int
	Steps   uint64                  // number of steps that had work
	Busy    time.Duration           // total time of those steps
	Longest time.Duration           // time of the longest of those steps
	Long    uint64                  // number of those steps that were longer than LongStep
	Stalls  [core.Stalls]StallStats // by cause

	// Starved is the number of times that the agent had work and had waited for a long step of
	// another agent of its runner.
	Starved uint64

	// By names the agent whose long step was the last to cause such a wait.
	By string

	// Functions are the functions of yours that have taken a fourth of the time of all agents or
	// more, with what a value costs, such as "ewma, 12µs a value". It is empty if there are none,
	// or the agent was not starved.
	Functions string

	Waited time.Duration // the longest of those waits

	// Arrived is Elapsed as it was when the reader of a router last brought records: up to 10 ms
	// late, or a second if the thread sleeps. It is 0 for a partition, and before the first record.
	Arrived time.Duration
}

// Duty returns the share of the elapsed time in which the agent had work.
func (a *AgentStats) Duty(elapsed time.Duration) float64 {
	if elapsed <= 0 {
		return 0
	}
	return float64(a.Busy) / float64(elapsed)
}

// EpochStats are the counters of the epochs.
type EpochStats struct {
	epoch.Stats
	Interval time.Duration // time between two epochs that are raised by time, after stretching
}

// OutputStats are the counters of what Config.Writer has taken.
type OutputStats struct {
	Rows    uint64
	Windows uint64
	Retries uint64 // number of tries that were repeated after transient errors

	// Unfit is how many of the values are NULL because they do not fit the type of their column or
	// could not be computed.
	Unfit uint64

	// Waiting is how long the call that the writer is in has taken so far, its repetitions after
	// transient errors included; 0 if there is none.
	Waiting time.Duration
	// Hangs says what the writer has not done for longer than SlowWriter, such as: has not returned
	// from Commit for 31s. It is empty if there is nothing to say.
	Hangs string
	// Slow is how many calls have taken longer than SlowWriter, one that has not returned included.
	Slow uint64
}

// RebalanceStats say what Config.Rebalance has moved, and why.
type RebalanceStats struct {
	Moves  uint64 // number of times that shards went from one partition to another
	Shards uint64 // number of shards that went
	Bytes  uint64 // about the memory of the groups that went

	// Why is why shards were moved, or not, the last time that it was looked at. It is empty if
	// Config.Rebalance is off.
	Why string

	Last []ShardMove // the last moves, the newest at the end
}

// A ShardMove says that shards have gone from one partition to another.
type ShardMove struct {
	Plan     int           // whose shards they are: PlanStats.Number
	At       time.Duration // since Start
	From, To int           // partitions of the plan
	Shards   []int
	Bytes    int           // about the memory of their groups
	Took     time.Duration // until the groups were with the new owner
	Why      string
}

// Stats are the counters of an engine. They can be read at any time, also after a failure. While
// the engine runs they are from slightly different moments. If the engine has several plans, Plan,
// Output, Partitions and the Counters of the Readers belong to the one that it has run the longest,
// Plans has all, and Of shows another plan.
type Stats struct {
	Plan       string
	Plans      []PlanStats
	From       *Stats        // of the plan whose result the plan reads; nil if it has no From
	StateBytes int           // memory of the groups of all plans, out of Config.StateBytes
	StateLimit int           // what that may be at most
	Elapsed    time.Duration // time from Start until now, or until everything had stopped
	Ended      bool          // says that everything has stopped: Wait returns
	Err        error         // what has gone wrong so far, as Wait returns it
	Epoch      uint64        // number of the epoch of the newest snapshot
	Epochs     EpochStats
	Output     OutputStats
	Windowed   bool       // says that the plan has windows
	Closed     time.Time  // the end of the last window that has closed: see PlanStats
	State      StateStats // zero without Config.State
	Rebalance  RebalanceStats
	Readers    []ReaderStats
	Partitions []PartitionStats
	Rings      []RingStats
	Tables     []lookup.Stats // of the tables that the plans look up
	Runners    []RunnerStats
	Agents     []AgentStats // in the order of the runners
}

// State reads the counters of the state alone, which costs less than Stats. They are zero without
// Config.State.
func (e *Engine) State() StateStats {
	if e.keeper == nil {
		return StateStats{}
	}
	return e.keeper.read()
}

// Stats reads the counters.
func (e *Engine) Stats() Stats {
	s := Stats{
		Elapsed: time.Duration(e.elapsed.Load()), Epoch: e.epochs.Visible(),
		Ended: isDone(e.done), Err: e.outcome(),
	}
	if e.feeder != nil {
		from := e.feeder.Stats()
		s.From = &from
	}
	s.Epochs = EpochStats{e.epochs.Stats(), time.Duration(e.interval.current.Load())}
	if k := e.keeper; k != nil {
		s.State = k.read()
	}
	s.Tables = e.tables.stats()
	if r := e.rebalancing; r != nil {
		s.Rebalance = r.stats()
	}
	if s.Elapsed == 0 {
		s.Elapsed = time.Since(e.start)
	}
	// Partitions are read before readers: what has been applied has been routed by then, so the
	// sums never look as if records came from nowhere.
	for i, b := range e.branches() {
		s.Plans = append(s.Plans, b.stats())
		s.StateBytes += s.Plans[i].StateBytes
		s.StateLimit += s.Plans[i].StateLimit
	}
	first := &s.Plans[0]
	s.Plan = first.Plan
	s.Output, s.Partitions, s.Windowed, s.Closed = first.Output, first.Partitions, first.Windowed, first.Closed
	for _, in := range e.inlets.all() {
		b, router := in.source.base(), in.flows()[0].router
		s.Readers = append(s.Readers, ReaderStats{
			Name: b.name, State: b.status(), Err: b.failure(), Counters: router.Counters(),
			Dropped: b.dropped.Load(), Retries: b.retries.Load(), Groups: router.FoldedGroups(),
			Skipped: b.skipped(), Watermark: watermarkOf(router), Lag: b.lag(), Lagging: b.lagging(),
		})
		for _, f := range in.flows() {
			for p, r := range f.ringStats() {
				s.Rings = append(s.Rings, RingStats{f.branch.id, in.id, p, r})
			}
		}
	}
	for id, r := range e.runners {
		t, agents := r.published.read()
		names := r.names() // read after the tallies, so there are at least as many names
		rs := RunnerStats{
			Agents: strings.Join(names, "+"), CPU: -1, CPUTime: t.cpu, Turns: t.turns, Busy: t.busy,
			Parks: t.parks,
		}
		if r.pinned.Load() {
			rs.CPU = r.cpu
		}
		if text := r.pinError.Load(); text != nil {
			rs.PinError = *text
		}
		s.Runners = append(s.Runners, rs)
		for i, t := range agents {
			as := AgentStats{
				Name: names[i], Runner: id, Steps: t.steps, Busy: t.busy, Longest: t.longest, Long: t.long,
				Stalls: t.stalls, Starved: t.starved, Waited: t.waited, Arrived: time.Duration(t.arrived),
			}
			if t.starved > 0 {
				as.By = names[t.by]
			}
			s.Agents = append(s.Agents, as)
		}
	}
	e.nameSlow(s.Agents)
	return s
}

// Of returns the Stats as they are for one of several plans, by its number (PlanStats.Number):
// Plan, StateBytes, Output, Partitions, Rings and the Counters of the Readers belong to the plan.
// It panics if there is no such plan.
func (s Stats) Of(plan int) Stats {
	i := slices.IndexFunc(s.Plans, func(p PlanStats) bool { return p.Number == plan })
	if i < 0 {
		panic(fmt.Sprintf("engine: Stats.Of: there is no plan %d", plan))
	}
	p := &s.Plans[i]
	s.Plan, s.StateBytes, s.StateLimit = p.Plan, p.StateBytes, p.StateLimit
	s.Output, s.Partitions, s.Windowed, s.Closed = p.Output, p.Partitions, p.Windowed, p.Closed
	s.Readers = slices.Clone(s.Readers)
	for i := range s.Readers {
		if i < len(p.Readers) { // else it has been added since
			s.Readers[i].Counters, s.Readers[i].Groups = p.Readers[i], p.Folded[i]
			s.Readers[i].Watermark = p.Watermarks[i]
		}
	}
	s.Rings = slices.DeleteFunc(slices.Clone(s.Rings), func(r RingStats) bool { return r.Plan != plan })
	return s
}

// stats reads the counters of a plan. Partitions come before readers, as in Engine.Stats.
func (b *branch) stats() PlanStats {
	s := PlanStats{
		Number: b.id, Plan: b.cfg.Plan.String(), Err: b.failure(),
		StateBytes: b.state.Bytes(), StateLimit: b.state.Limit(), Restored: b.restored,
		Windowed: b.cfg.Plan.Window != nil,
	}
	if s.Windowed {
		cut, slot := b.cuts.Pin()
		at, ok := cut.Closed()
		if ok && at < window.MaxTime {
			s.Closed = time.Unix(0, at).UTC()
		}
		b.cuts.Unpin(slot)
	}
	if o := b.output; o != nil {
		s.Output = o.stats()
	}
	for _, p := range b.partitions {
		s.Partitions = append(s.Partitions, p.Stats())
	}
	for _, in := range b.engine.inlets.all() {
		f, ok := in.to(b)
		if !ok {
			break // the plan is being removed
		}
		s.Readers = append(s.Readers, f.router.Counters())
		s.Folded = append(s.Folded, f.router.FoldedGroups())
		s.Watermarks = append(s.Watermarks, watermarkOf(f.router))
	}
	return s
}

// watermarkOf reads the watermark of a router.
func watermarkOf(r *core.Router) (w Watermark) {
	at, idle := r.Watermark()
	if at > core.WatermarkNone && at < math.MaxInt64 {
		w.At = time.Unix(0, at).UTC()
	}
	w.Idle = idle
	return w
}

// lagging says whether the reader knows how much waits, or will know it.
func (s *source) lagging() bool {
	_, ok := s.reader.(record.Lagging)
	return ok && !s.lagless.Load()
}

// skipped asks the reader how many records it has left out.
func (s *source) skipped() uint64 {
	r, ok := s.reader.(record.Skipper)
	if !ok {
		return 0
	}
	return r.Skipped()
}

// lag asks the reader what waits. A reader that panics is not asked again.
func (s *source) lag() (lag []record.Lag) {
	r, ok := s.reader.(record.Lagging)
	if !ok || s.lagless.Load() {
		return nil
	}
	defer func() {
		v := recover()
		if v != nil {
			s.lagless.Store(true)
			s.engine.report(fmt.Errorf("engine: reader %d (%s): panic in Lag: %v\n%s", s.id, s.name, v, debug.Stack()))
		}
	}()
	return r.Lag()
}

// Counters returns the sum of the counters of all readers. It includes what the partitions have
// shed and found late.
func (s *PlanStats) Counters() (c result.Counters) {
	for _, r := range s.Readers {
		c.Add(r)
	}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		c.Shed += p.Shed
		c.Late += p.Late
		c.Counted -= p.Shed + p.Late
	}
	return c
}

// Groups returns the number of groups of all partitions.
func (s *PlanStats) Groups() (n uint64) {
	for _, p := range s.Partitions {
		n += p.Groups
	}
	return n
}

// Counters returns the sum of the counters of all readers. It includes what the partitions have
// shed and found late.
func (s Stats) Counters() (c result.Counters) {
	p := PlanStats{Partitions: s.Partitions}
	for i := range s.Readers {
		p.Readers = append(p.Readers, s.Readers[i].Counters)
	}
	return p.Counters()
}

// Groups returns the number of groups of all partitions. It does not include what readers have
// folded and not sent yet.
func (s Stats) Groups() (n uint64) {
	for _, p := range s.Partitions {
		n += p.Groups
	}
	return n
}

// FoldedGroups returns the number of groups that the readers have folded and not sent yet. A group
// that several readers have is counted once for each of them.
func (s Stats) FoldedGroups() (n uint64) {
	for _, r := range s.Readers {
		n += r.Groups
	}
	return n
}

// Skew returns how unevenly the records are spread: the number of records of the busiest partition
// divided by the average of all partitions, and which partition that is. 1 is even.
func (s Stats) Skew() (times float64, partition int) {
	var total uint64
	for i, p := range s.Partitions {
		total += p.Rows
		if p.Rows > s.Partitions[partition].Rows {
			partition = i
		}
	}
	if total == 0 {
		return 1, 0
	}
	return float64(s.Partitions[partition].Rows) * float64(len(s.Partitions)) / float64(total), partition
}

// CPUTime returns the CPU time of the threads of all runners.
func (s Stats) CPUTime() (d time.Duration) {
	for _, r := range s.Runners {
		d += r.CPUTime
	}
	return d
}

// maxEven is the largest skew that String does not mention.
const maxEven = 1.2

// String returns a table for people.
func (s Stats) String() string {
	var b strings.Builder
	if s.From != nil {
		fmt.Fprintf(&b, "%v\n", *s.From)
	}
	total := s.Counters()
	fmt.Fprintf(&b, "%s\n", s.Plan)
	fmt.Fprintf(&b, "%d records in %v, %d groups in %d KiB, epoch %d\n", total.In, s.Elapsed.Round(time.Millisecond),
		s.Groups(), s.StateBytes>>10, s.Epoch)
	fmt.Fprintf(&b, "%d epochs, %d visible, ", s.Epochs.Raised, s.Epochs.Published)
	if s.Epochs.Interval < math.MaxInt64 {
		fmt.Fprintf(&b, "one each %v", s.Epochs.Interval.Round(time.Millisecond))
	} else {
		b.WriteString("none by time")
	}
	if s.Epochs.Held > 1 {
		fmt.Fprintf(&b, ", %d held by snapshots", s.Epochs.Held)
	}
	fmt.Fprintln(&b)
	if s.Output != (OutputStats{}) {
		fmt.Fprintf(&b, "%d rows written, of %d windows, %d retries\n", s.Output.Rows, s.Output.Windows,
			s.Output.Retries)
	}
	s.State.describe(&b)
	if s.Output.Unfit > 0 {
		fmt.Fprintf(&b, "%d values written as NULL: they do not fit the type of their column, or could not be "+
			"computed\n", s.Output.Unfit)
	}
	if s.Epochs.NoImage > 0 {
		fmt.Fprintf(&b, "%d epochs passed WITHOUT A SNAPSHOT: there was no memory for their images "+
			"(Config.StateBytes)\n", s.Epochs.NoImage)
	}
	if s.Epochs.Withheld > 0 {
		fmt.Fprintf(&b, "%d times NO EPOCH could be raised: snapshots that nobody has closed hold all tables "+
			"(Config.HeldSnapshots)\n", s.Epochs.Withheld)
	}
	if total.Shed > 0 {
		fmt.Fprintf(&b, "%d records SHED: there was no memory for their groups (Config.StateBytes)\n", total.Shed)
	}
	table := func(write func(w io.Writer)) {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		write(w)
		w.Flush()
	}
	table(s.readersTable)
	table(s.partitionsTable)
	if times, p := s.Skew(); times > maxEven {
		fmt.Fprintf(&b, "skew: partition %d has %.1f times its share of the records\n", p, times)
	}
	s.rebalanced(&b)
	table(s.ringsTable)
	table(s.runnersTable)
	table(s.agentsTable)
	s.warnings(&b)
	return b.String()
}

func (s Stats) readersTable(w io.Writer) {
	fmt.Fprintf(w, "reader\tstate\tin\tcounted\tkeyless\tfiltered\tlate\tquarantined\tdropped\tretries\tbatches\t"+
		"folded\tdirect\tpartials\tflushes\t\n")
	total := s.Counters()
	for i, r := range s.Readers {
		fmt.Fprintf(w, "%d\t%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", i, r.State, r.In, r.Counted,
			r.Keyless, r.Filtered, r.Late, r.Quarantined, r.Dropped, r.Retries, r.Batches, r.Folded, r.Direct,
			r.Partials, r.Flushes)
	}
	fmt.Fprintf(w, "all\t\t%d\t%d\t%d\t%d\t%d\t%d\t\t\t%d\t%d\t%d\t%d\t%d\t\n", total.In, total.Counted, total.Keyless,
		total.Filtered, total.Late, total.Quarantined, total.Batches, total.Folded, total.Direct, total.Partials,
		total.Flushes)
}

func (s Stats) partitionsTable(w io.Writer) {
	fmt.Fprintf(w, "partition\trecords\tpartials\tgroups\tKiB\t\n")
	var rows, partials uint64
	for i, p := range s.Partitions {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t\n", i, p.Rows, p.Partials, p.Groups, p.Bytes>>10)
		rows += p.Rows
		partials += p.Partials
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%d\t\t\n", rows, partials, s.Groups())
}

// rebalanced says what shards were moved and why.
func (s Stats) rebalanced(b *strings.Builder) {
	r := &s.Rebalance
	if r.Why == "" {
		return
	}
	fmt.Fprintf(b, "%d shards moved in %d moves, %d KiB of groups; now: %s\n", r.Shards, r.Moves, r.Bytes>>10, r.Why)
	for _, m := range r.Last {
		fmt.Fprintf(b, "  after %v: %v\n", m.At.Round(time.Millisecond), m)
	}
}

// String says what moved in a line.
func (m ShardMove) String() string {
	of := ""
	if m.Plan > 0 {
		of = fmt.Sprintf(" of plan %d", m.Plan)
	}
	return fmt.Sprintf("%d shards%s (%d KiB) from partition %d to %d in %v: %s", len(m.Shards), of, m.Bytes>>10, m.From,
		m.To, m.Took.Round(time.Microsecond), m.Why)
}

func (s Stats) ringsTable(w io.Writer) {
	fmt.Fprintf(w, "ring\tchunks\tdepth\thigh water\tslots\tfull stalls\tempty stalls\t\n")
	for _, r := range s.Rings {
		fmt.Fprintf(w, "%d to %d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.Reader, r.Partition, r.Pushed, r.Depth, r.HighWater,
			r.Slots, r.FullStalls, r.EmptyStalls)
	}
}

func (s Stats) runnersTable(w io.Writer) {
	fmt.Fprintf(w, "runner\tcpu\tcpu time\tturns\tbusy\tparks\tagents\t\n")
	for i, r := range s.Runners {
		cpu := fmt.Sprint(r.CPU)
		if r.CPU < 0 {
			cpu = "any"
		}
		fmt.Fprintf(w, "%d\t%s\t%v\t%d\t%d\t%d\t%s\t\n", i, cpu, r.CPUTime.Round(time.Millisecond), r.Turns, r.Busy,
			r.Parks, r.Agents)
	}
}

func (s Stats) agentsTable(w io.Writer) {
	fmt.Fprintf(w, "agent\trunner\tduty\tsteps\tlongest\tlong\t")
	for cause := range core.Stalls {
		fmt.Fprintf(w, "%v\t", cause)
	}
	fmt.Fprintln(w)
	for _, a := range s.Agents {
		fmt.Fprintf(w, "%s\t%d\t%.0f %%\t%d\t%v\t%d\t", a.Name, a.Runner, 100*a.Duty(s.Elapsed), a.Steps,
			a.Longest.Round(time.Microsecond), a.Long)
		for _, stall := range a.Stalls {
			if stall.Count == 0 {
				fmt.Fprint(w, "-\t")
				continue
			}
			fmt.Fprintf(w, "%d, %v\t", stall.Count, stall.Time.Round(time.Millisecond))
		}
		fmt.Fprintln(w)
	}
}

// warnings says what is wrong with agents, readers and runners.
func (s Stats) warnings(b *strings.Builder) {
	for _, a := range s.Agents {
		if a.Starved > 0 {
			advice := "give them a runner each"
			if a.Functions != "" {
				advice = "your functions are slow (" + a.Functions + ")"
			}
			fmt.Fprintf(b, "%s was starved %d times by long steps, the longest wait was %v, the last of %s: %s\n",
				a.Name, a.Starved, a.Waited.Round(time.Microsecond), a.By, advice)
		}
	}
	for i, r := range s.Readers {
		if r.Err != nil {
			fmt.Fprintf(b, "reader %d (%s) failed: %v\n", i, r.Name, r.Err)
		}
	}
	for i, r := range s.Runners {
		if r.PinError != "" {
			fmt.Fprintf(b, "runner %d is not pinned: %s\n", i, r.PinError)
		}
	}
}
