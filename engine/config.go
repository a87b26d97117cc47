package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/internal/enum"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// Limits and defaults.
const (
	// MaxReaders bounds the readers of an engine.
	MaxReaders = 4096

	// MaxRingBytes bounds the memory of all rings of an engine together.
	MaxRingBytes = 4 << 30

	// DefaultRingSlots is the number of chunks of a ring. 32 chunks of 64 KiB are 2 MiB, which is
	// more than a second-level cache. So a chunk has left the cache of the core that read it by the
	// time it is written again, and fetching it from memory is several times faster than fetching
	// it from that cache (make peers: 64 KiB slots pass at 6 GB/s in rings of 4 and at 33 GB/s in
	// rings of 32). Engines with many rings get fewer slots, so that the rings stay within
	// defaultRingBytes. A ring with both ends on one runner gets minRingSlots: its chunks are read
	// right after they are written, and the fewer there are, the hotter they stay.
	DefaultRingSlots = 32
	minRingSlots     = 2
	defaultRingBytes = 64 << 20

	// DefaultFoldBytes bounds the table in which a reader folds. A table that is much larger than
	// the caches of a core costs a miss for each record, as the partition's does: folding eight
	// records into each of a million groups took twice the time and twice the memory of routing
	// them.
	DefaultFoldBytes = 16 << 20
	minFoldBytes     = 1 << 20

	// MinStateBytes is the lower bound of StateBytes. It has room for the first pages of some
	// tables.
	MinStateBytes = 1 << 20

	// DefaultRetryMin and DefaultRetryMax are the first and the longest wait after a transient
	// error.
	DefaultRetryMin = 100 * time.Millisecond
	DefaultRetryMax = 10 * time.Second

	// DefaultEpochInterval is how often a new snapshot becomes visible. DefaultEpochShare is the
	// part of a core that may be spent on that.
	DefaultEpochInterval = 100 * time.Millisecond
	DefaultEpochShare    = 0.03
	minEpochInterval     = 10 * time.Microsecond

	// DefaultRebalanceBytes is how many bytes of groups may move from partition to partition in a
	// second. Copying them takes about 2 % of a core.
	DefaultRebalanceBytes = 64 << 20

	// DefaultHeldSnapshots is how many epochs snapshots may hold in addition to the newest.
	DefaultHeldSnapshots = 2

	// DefaultParkAfter is how long a runner without work stays awake. It is about twice the cost of
	// waking a runner.
	DefaultParkAfter = 50 * time.Microsecond

	// DefaultMaxLatency is how much the engine may delay a record to save work. awakeShare is the
	// part of it for which a runner may stay awake without work.
	DefaultMaxLatency = time.Millisecond
	awakeShare        = 4
)

// A WaitPolicy says what a runner does when it has no work. From top to bottom the policies react
// faster and cost more.
type WaitPolicy uint8

const (
	// WaitPark spins for some microseconds, yields the time slice for ParkAfter, and then sleeps
	// until its bell is rung. An idle engine costs next to nothing, but a record that arrives then
	// waits some 50 us longer.
	WaitPark WaitPolicy = iota

	// WaitYield spins, then yields the time slice again and again. An idle engine takes all the CPU
	// time that nothing else uses.
	WaitYield

	// WaitSpin never lets go of its CPU. It is for CPUs that run nothing else. If the runners are
	// not locked to threads it works like WaitYield.
	WaitSpin
)

var waitPolicyNames = []string{
	WaitPark:  "park",
	WaitYield: "yield",
	WaitSpin:  "spin",
}

// String returns the policy as a word.
func (p WaitPolicy) String() string { return enum.Name(waitPolicyNames, p, "WaitPolicy") }

// Config says what an engine runs and on what. Plan (or Plans) and Readers are required. The zero
// value of every other field is a good choice for a service that embeds velo.
type Config struct {
	// Plan is the continuous query. Writer, Exchange, Route, StatePolicy and OnLate belong to it.
	Plan *plan.Plan

	// Plans are several continuous queries over the same records, instead of Plan. Each record is
	// read and decoded once. All plans have the same epochs, so what a Snapshot shows of two plans
	// is of the same records. They share the readers and the runners: a plan that cannot keep up
	// holds the others back. A plan that fails ends alone, unless there is a State; when all have
	// ended, the engine ends.
	Plans []PlanConfig

	// Columns names columns of the source that the readers bring besides those that the plans read,
	// for plans that are added later: see Engine.AddPlan.
	Columns []string

	// Readers bring the records. All of them have the source schema of the plan. The engine closes
	// them. If a reader is a fmt.Stringer, its String names it in messages and statistics.
	Readers []record.Reader

	// Partitions is the number of partitions that the groups are spread over. 0 means one for each
	// core.
	Partitions int

	// Cores is the number of runners. Each is locked to a thread and pinned to a CPU. 0 means one
	// less than the usable CPUs, at most GOMAXPROCS less one and at least one, so that the
	// goroutines of the service keep a place to run. If there are more agents than runners, agents
	// share a runner.
	Cores int

	// NoPin makes the runners ordinary goroutines that are neither locked to a thread nor pinned.
	// If GOMAXPROCS is 1 they are ordinary goroutines in any case. If pinning is not possible (on
	// systems other than Linux, or because the kernel refuses) the engine says so in Stats and goes
	// on.
	NoPin bool

	// Exchange says how records get to the partitions. The zero value, auto, suits most plans. The
	// result does not depend on it.
	Exchange plan.Exchange

	// FoldBytes bounds the table in which each reader folds before it flushes to the partitions. 0
	// means DefaultFoldBytes, or the reader's part of a quarter of StateBytes if that is less.
	FoldBytes int

	// StateBytes bounds the memory of all groups of the plan together, in the partitions and in the
	// tables that readers fold into. It counts rows, indexes and long keys to the page, and
	// includes the tables that snapshots see. This memory is not in the heap of the Go program.
	// What a snapshot must merge before it can be read (distinct values, scattered groups, windows
	// of several panes) is not counted. 0 means half of the memory that the process may use (the
	// limit of its cgroup, or the memory of the machine).
	StateBytes int

	// StatePolicy says what happens if StateBytes is not enough: the plan ends with an error, or
	// the records of new groups are dropped and counted.
	StatePolicy plan.StatePolicy

	// EpochInterval is how often a new snapshot becomes visible while records come. The first
	// record after a pause as long as that becomes visible at once. 0 means DefaultEpochInterval.
	// Less than 0 means only when Sync is called.
	EpochInterval time.Duration

	// EpochShare is the part of a core's time that may be spent on making snapshots visible. If
	// there are so many groups that it would take more, the interval grows. 0 means
	// DefaultEpochShare. With 1 or more the interval never grows.
	EpochShare float64

	// HeldSnapshots is how many epochs open snapshots may hold in addition to the newest. Each one
	// can cost as much memory as all groups, taken from StateBytes. While snapshots hold that many,
	// no new snapshot becomes visible until one is closed. The engine goes on meanwhile, and Stats
	// says so. 0 means DefaultHeldSnapshots.
	HeldSnapshots int

	// BatchRows is the capacity of the batches that readers fill. 0 means record.DefaultRows.
	BatchRows int

	// RingSlots is the number of chunks of each ring, a power of two. 0 means DefaultRingSlots, or
	// fewer if there are many rings or if one runner has both ends.
	RingSlots int

	// RetryMin and RetryMax are the first and the longest wait after a transient read error. The
	// wait doubles from one to the other.
	RetryMin, RetryMax time.Duration

	// Wait says what a runner does when it has no work. The zero value, WaitPark, suits a service.
	Wait WaitPolicy

	// ParkAfter is how long a runner without work stays awake before it parks. 0 means that it
	// chooses, by how long it had to wait for work lately: DefaultParkAfter at least, and a quarter
	// of MaxLatency at most. Less than 0 means that it parks at once.
	ParkAfter time.Duration

	// MaxLatency is by how much the engine may delay a record to save work, as long as it keeps up.
	// It bounds what adapts itself to the load, see ParkAfter. It does not bound the time until a
	// snapshot has the record, for which there are EpochInterval and Sync. 0 means
	// DefaultMaxLatency.
	MaxLatency time.Duration

	// Rebalance has the engine move shards from partitions whose runner is busy all the time to
	// partitions whose runner is not, see MoveShard. It is decided at epochs, moves nothing while
	// the load is even, and cannot divide the load of a single key; folding does that (Exchange).
	// Stats says what was moved and why. Each plan must have keys, must be routed by key, and must
	// have neither windows nor StateShed; there must be epochs by time.
	Rebalance bool

	// RebalanceBytes bounds the bytes of groups that Rebalance moves in a second. 0 means
	// DefaultRebalanceBytes.
	RebalanceBytes int

	// Route says which partition a record goes to. The zero value routes by key, and round robin if
	// the plan has no keys. The result does not depend on it.
	Route plan.Route

	// Writer takes the result away. What it gets depends on the plan:
	//   - With windows, it gets each window once, when the window is closed, in the order of the
	//     windows. Having, OrderBy and Limit of the plan apply to each window.
	//   - If the plan emits changes (plan.EmitChanges), it gets at each epoch the groups that have
	//     changed, including the groups of windows that have closed. A slow writer gets fewer
	//     epochs.
	//   - If the plan passes records through, it gets the records as they come, and a Writer is
	//     required. After it has had as many records as the Limit of the plan, the readers are
	//     stopped.
	//   - Otherwise it gets everything once, after all readers have ended.
	//
	// Write is called by one goroutine, and a batch is valid only during the call. An error that is
	// record.ErrTransient is tried again after RetryMin, then after twice as long each time up to
	// RetryMax. Any other error ends the plan. If the writer is slow, closed windows wait and then
	// the readers wait; nothing is lost. Engine.Wait returns after the writer's Close. Nil writes
	// nothing.
	Writer record.Writer

	// State keeps the state of all plans in files, so that the engine goes on after a restart; Dir
	// makes one. It takes the memory of one more table of each partition. If there are several
	// plans, their names tell them apart; a plan that fails ends the engine then, so that all go on
	// from the same records. Nil keeps it in memory only.
	State *State

	// OnReject gets each record that went to quarantine, with the number of its reader. Line is
	// filled in if the reader knows it. OnReject runs on a goroutine of its own, one call at a
	// time, and owns the record. A slow OnReject holds up the readers that reject records, but
	// nothing is lost. It must not call Wait or Shutdown.
	OnReject func(reader int, r record.Reject)

	// OnLate gets the records that came too late for every window, in the source schema of the
	// plan, with the number of their reader. It runs on the goroutine of OnReject and owns the
	// batch. A slow OnLate holds up the readers that bring late records. Records for a window that
	// had closed while their reader was idle, or before it joined, are counted and not given to
	// OnLate.
	OnLate func(reader int, b *record.Batch)
}

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("engine: "+format, args...))
	}
	c.planFaults(fault)
	c = c.short()
	if len(c.Readers) == 0 {
		fault("no readers")
	}
	if len(c.Readers) > MaxReaders {
		fault("%d readers, at most %d are allowed", len(c.Readers), MaxReaders)
	}
	for i, r := range c.Readers {
		if r == nil {
			fault("reader %d is nil", i)
		}
	}
	if c.Partitions < 0 || c.Partitions > plan.MaxPartitions {
		fault("%d partitions, expected 1..%d, or 0 for one for each core", c.Partitions, plan.MaxPartitions)
	}
	if c.Cores < 0 {
		fault("%d cores, expected at least 1, or 0 for all but one", c.Cores)
	}
	if c.BatchRows < 0 || c.BatchRows > record.MaxRows {
		fault("batches of %d rows, expected 1..%d, or 0 for %d", c.BatchRows, record.MaxRows, record.DefaultRows)
	}
	if c.FoldBytes < 0 {
		fault("%d bytes to fold in, expected at least 1, or 0 for %d MiB", c.FoldBytes,
			DefaultFoldBytes>>20)
	}
	if len(c.Plans) > 0 && c.StateBytes != 0 && c.StateBytes < MinStateBytes {
		fault("%d bytes for the groups, expected at least %d, or 0 for half of the memory", c.StateBytes, MinStateBytes)
	}
	if c.EpochInterval > 0 && c.EpochInterval < minEpochInterval {
		fault("an epoch each %v, expected at least %v, 0 for %v, or less than 0 for none by time", c.EpochInterval,
			minEpochInterval, DefaultEpochInterval)
	}
	if c.EpochShare < 0 || c.EpochShare != c.EpochShare {
		fault("%v of a core for epochs, expected more than 0, or 0 for %v", c.EpochShare, DefaultEpochShare)
	}
	faults = append(faults, c.rebalanceFaults()...)
	c.columnFaults(fault)
	if c.HeldSnapshots < 0 || c.HeldSnapshots > core.MaxHeld {
		fault("%d held snapshots, expected 1..%d, or 0 for %d", c.HeldSnapshots, core.MaxHeld, DefaultHeldSnapshots)
	}
	if c.RingSlots < 0 || c.RingSlots > ring.MaxSlots || c.RingSlots&(c.RingSlots-1) != 0 {
		fault("rings of %d slots, expected a power of two up to %d, or 0 for %d", c.RingSlots, ring.MaxSlots,
			DefaultRingSlots)
	}
	if c.Wait > WaitSpin {
		fault("no wait policy %v", c.Wait)
	}
	if c.Wait != WaitPark && c.ParkAfter != 0 {
		fault("ParkAfter is %v, which is for the policy park; it is %v", c.ParkAfter, c.Wait)
	}
	if c.MaxLatency < 0 {
		fault("a latency of %v at most, expected more than 0, or 0 for %v", c.MaxLatency, DefaultMaxLatency)
	}
	if c.State != nil {
		c.State.validate(c, fault)
	}
	if c.RetryMin < 0 || c.RetryMax < 0 || c.RetryMax > 0 && c.RetryMax < c.RetryMin {
		fault("retries after %v up to %v, expected 0 < RetryMin <= RetryMax", c.RetryMin, c.RetryMax)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	d := c.withDefaults(1)
	if bytes := len(d.Readers) * d.Partitions * len(d.Plans) * d.RingSlots * core.ChunkBytes; bytes > MaxRingBytes {
		return fmt.Errorf("engine: %d readers x %d partitions x %d plans x %d slots of %d KiB are %d MiB of rings, "+
			"at most %d MiB are allowed", len(d.Readers), d.Partitions, len(d.Plans), d.RingSlots, core.ChunkBytes>>10,
			bytes>>20, MaxRingBytes>>20)
	}
	return nil
}

// columnFaults reports names in Columns that are no columns.
func (c *Config) columnFaults(fault func(format string, args ...any)) {
	p := c.plans()[0].Plan
	if p == nil || p.Source == nil {
		return
	}
	for _, name := range c.Columns {
		if _, ok := p.Source.Index(name); !ok {
			fault("there is no column %q, which Columns names, in %v", name, p.Source)
		}
	}
}

// rebalanceFaults reports what is wrong with Rebalance.
func (c *Config) rebalanceFaults() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("engine: "+format, args...))
	}
	if c.RebalanceBytes < 0 {
		fault("%d bytes to move in a second, expected at least 1, or 0 for %d MiB", c.RebalanceBytes,
			DefaultRebalanceBytes>>20)
	}
	if !c.Rebalance {
		if c.RebalanceBytes > 0 {
			fault("RebalanceBytes is %d, which is for Rebalance; it is off", c.RebalanceBytes)
		}
		return faults
	}
	if c.EpochInterval < 0 {
		fault("Rebalance moves shards at epochs, and EpochInterval is %v: there are none by time", c.EpochInterval)
	}
	for i, p := range c.plans() {
		of := ""
		if len(c.Plans) > 0 && p.Plan != nil && p.Plan.Source != nil {
			of = fmt.Sprintf("plan %d (%s): ", i, nameOf(p.Plan))
		}
		for _, why := range notMoved(&p) {
			fault("%s%s", of, why)
		}
	}
	return faults
}

// notMoved says why Rebalance cannot move the shards of a plan.
func notMoved(p *PlanConfig) (faults []string) {
	if p.StatePolicy == plan.StateShed {
		faults = append(faults, "Rebalance cannot move shards of a plan that sheds: a group that finds no room would "+
			"be lost")
	}
	if p.Plan == nil {
		return faults
	}
	if p.Plan.Window != nil {
		faults = append(faults, "Rebalance cannot move shards of a plan with windows: run it in an engine of its own, "+
			"without Rebalance")
	}
	if len(p.Plan.Keys) == 0 {
		faults = append(faults, "Rebalance needs a plan with keys: run it in an engine of its own, without Rebalance")
	} else if p.Route.For(p.Plan).Scatters() {
		faults = append(faults, fmt.Sprintf("Rebalance needs a plan that is routed by key; it is routed %v",
			p.Route.Routing))
	}
	return faults
}

// String returns the configuration in one line, with the defaults filled in.
func (c *Config) String() string {
	d := c.withDefaults(usableCPUs())
	var b strings.Builder
	fmt.Fprintf(&b, "%d readers, %d partitions, %d cores", len(d.Readers), d.Partitions, d.Cores)
	if d.NoPin {
		b.WriteString(" (not pinned)")
	}
	fmt.Fprintf(&b, ", %v when idle", d.Wait)
	if d.Route.Routing != plan.RouteAuto {
		fmt.Fprintf(&b, ", routed %v", d.Route.Routing)
	}
	fmt.Fprintf(&b, ", exchange %v", d.Exchange)
	if d.EpochInterval > 0 {
		fmt.Fprintf(&b, ", a snapshot each %v", d.EpochInterval)
	} else {
		b.WriteString(", a snapshot when asked")
	}
	if d.Rebalance {
		fmt.Fprintf(&b, ", shards move, %d MiB/s", d.RebalanceBytes>>20)
	}
	fmt.Fprintf(&b, ", groups in %d MiB (else %v)", d.StateBytes>>20, d.StatePolicy)
	fmt.Fprintf(&b, ", batches of %d rows, rings of %d x %d KiB", d.BatchRows, d.RingSlots, core.ChunkBytes>>10)
	if d.Plan != nil {
		fmt.Fprintf(&b, ": %v", d.Plan)
	}
	return b.String()
}

// withDefaults fills in what was left zero, for a machine with that many usable CPUs.
func (c *Config) withDefaults(cpus int) Config {
	d := *c.short()
	procs := runtime.GOMAXPROCS(0)
	if procs == 1 {
		d.NoPin = true
	}
	if d.Cores == 0 {
		d.Cores = max(1, min(cpus-1, procs-1))
	}
	if d.Partitions == 0 {
		d.Partitions = min(d.Cores, plan.MaxPartitions)
	}
	if d.BatchRows == 0 {
		d.BatchRows = record.DefaultRows
	}
	if d.RingSlots == 0 {
		d.RingSlots = DefaultRingSlots
		for rings := len(d.Readers) * d.Partitions * len(c.plans()); d.RingSlots > minRingSlots &&
			rings*d.RingSlots*core.ChunkBytes > defaultRingBytes; {
			d.RingSlots /= 2
		}
	}
	if d.StateBytes == 0 {
		d.StateBytes = max(usableMemory()/2, MinStateBytes)
	}
	if d.FoldBytes == 0 {
		d.FoldBytes = max(min(DefaultFoldBytes, d.StateBytes/4/max(len(d.Readers), 1)), minFoldBytes)
	}
	if d.EpochInterval == 0 {
		d.EpochInterval = DefaultEpochInterval
	}
	if d.EpochShare == 0 {
		d.EpochShare = DefaultEpochShare
	}
	if d.RebalanceBytes == 0 {
		d.RebalanceBytes = DefaultRebalanceBytes
	}
	if d.HeldSnapshots == 0 {
		d.HeldSnapshots = DefaultHeldSnapshots
	}
	if d.RetryMin == 0 {
		d.RetryMin = DefaultRetryMin
	}
	if d.RetryMax == 0 {
		d.RetryMax = max(DefaultRetryMax, d.RetryMin)
	}
	if d.MaxLatency == 0 {
		d.MaxLatency = DefaultMaxLatency
	}
	if d.ParkAfter == 0 {
		d.ParkAfter = DefaultParkAfter
	}
	d.Plans = d.plansWithDefaults()
	d.Plan = d.Plans[0].Plan
	return d
}

// memoryKnown is how long the memory that the process may use is not looked up again. That takes
// half a millisecond, which is much of a short query.
const memoryKnown = time.Second

var knownMemory struct {
	sync.Mutex
	bytes int
	until time.Time
}

// usableMemory returns how many bytes of memory the process may use.
func usableMemory() int {
	m := &knownMemory
	m.Lock()
	defer m.Unlock()
	if now := time.Now(); now.After(m.until) {
		m.bytes, m.until = affinity.Memory(), now.Add(memoryKnown)
	}
	return m.bytes
}

// usableCPUs returns the number of CPUs that the process may use.
func usableCPUs() int {
	cpus, err := affinity.Usable()
	if err != nil || len(cpus) == 0 {
		return runtime.NumCPU()
	}
	return len(cpus)
}
