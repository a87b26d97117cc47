package metrics

import (
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// A Kind is how the values of a family behave.
type Kind uint8

// The kinds.
const (
	Gauge   Kind = iota // a value that rises and falls
	Counter             // a sum that only grows; its series end in _total
)

// String is the kind as OpenMetrics writes it.
func (k Kind) String() string {
	if k == Counter {
		return "counter"
	}
	return "gauge"
}

// A Family is the series of one name. Its Name has no _total.
type Family struct {
	Name   string
	Kind   Kind
	Unit   string // empty if it counts things; otherwise the end of Name
	Help   string
	Labels []string

	// Detail says that the series are written only if they are asked for, because there are many:
	// one for each ring.
	Detail bool

	// values are the values of the last label, if the family has a series for each.
	values []string
	// These read a value; i is the index into values. ok is false if there is none. One of them is
	// set.
	ofJob       func(j *Job, i int) (v float64, ok bool)
	ofEngine    func(s *engine.Stats, i int) (v float64, ok bool)
	ofPlan      func(p *engine.PlanStats, i int) (v float64, ok bool)
	ofReader    func(r *engine.ReaderStats, i int) (v float64, ok bool)
	ofFlow      func(f *flow, i int) (v float64, ok bool)
	ofLag       func(l *record.Lag) (v float64, ok bool)
	ofPartition func(p *engine.PartitionStats, i int) (v float64, ok bool)
	ofAgent     func(a *agent, i int) (v float64, ok bool)
	ofRunner    func(r *engine.RunnerStats, i int) (v float64, ok bool)
	ofRing      func(r *engine.RingStats, i int) (v float64, ok bool)
	ofTable     func(t *lookup.Stats, i int) (v float64, ok bool)
	ofServer    func(s *Server, i int) (v float64, ok bool)
	ofProtocol  func(p *Protocol, i int) (v float64, ok bool)
	// ofBuild says that the family is about the program, whose labels are its values.
	ofBuild bool
}

// Series is the name of the series of the family.
func (f *Family) Series() string {
	if f.Kind == Counter {
		return f.Name + "_total"
	}
	return f.Name
}

// Values are the values that the last label takes if they are known; nil if they are not.
func (f *Family) Values() []string { return f.values }

// states are the states of a job, in the words of package server/job.
var states = []string{
	"stopped", "starting", "running", "paused", "stopping", "finished", "failed", "backing off", "replacing",
}

// readerStates are the states of readers, in the order of engine.ReaderState.
var readerStates = []string{
	engine.Running.String(), engine.Retrying.String(), engine.Ended.String(), engine.Failed.String(),
	engine.Stopped.String(), engine.Paused.String(),
}

// outcomes are what becomes of a record at its reader.
var outcomes = []string{"routed", "filtered", "late", "quarantined"}

// losses are why a partition drops a record that was routed to it.
var losses = []string{"shed", "late"}

// causes are the causes of stalls, in the order of core.Stall.
var causes = []string{
	core.StallInput: "no_input", core.StallRing: "ring_full", core.StallQuarantine: "quarantine_full",
	core.StallMark: "mark_missing", core.StallOutput: "output_full", core.StallMemory: "memory_not_ready",
	core.StallEpoch: "epoch_awaited", core.StallWindows: "windows_held_back",
}

// stalls says which causes the agents of a kind can have, so that there are no series for others.
var stalls = map[bool][core.Stalls]bool{
	false: {
		core.StallInput: true, core.StallRing: true, core.StallQuarantine: true, core.StallMemory: true,
		core.StallEpoch: true, core.StallWindows: true,
	},
	true: {core.StallInput: true, core.StallMark: true, core.StallOutput: true, core.StallMemory: true},
}

func number[T int | int64 | uint64](n T) (v float64, ok bool) { return float64(n), true }

func seconds(d time.Duration) (v float64, ok bool) { return d.Seconds(), true }

// instant is a time as seconds since 1970; there is none if it is zero.
func instant(t time.Time) (v float64, ok bool) {
	return float64(t.UnixMicro()) / 1e6, !t.IsZero()
}

// labelsOf has the labels of each level.
var (
	ofJob       = []string{"job_name"}
	ofEngine    = []string{"job_name", "engine"}
	ofPlan      = []string{"job_name", "engine", "plan"}
	ofReader    = []string{"job_name", "engine", "reader"}
	ofFlow      = []string{"job_name", "engine", "plan", "reader"}
	ofSplit     = []string{"job_name", "engine", "plan", "reader", "split"}
	ofLag       = []string{"job_name", "engine", "reader", "split"}
	ofPartition = []string{"job_name", "engine", "plan", "partition"}
	ofAgent     = []string{"job_name", "engine", "agent"}
	ofRunner    = []string{"job_name", "engine", "runner"}
	ofRing      = []string{"job_name", "engine", "plan", "reader", "partition"}
	ofTable     = []string{"job_name", "engine", "table"}
	ofProtocol  = []string{"protocol"}
)

// and adds a label.
func and(labels []string, name string) []string {
	return append(labels[:len(labels):len(labels)], name)
}

// families is everything that is exported. The text, the Prometheus collector, docs/metrics.md and
// the tests are made from it.
var families = concat(jobFamilies, checkpointFamilies, planFamilies, readerFamilies, partitionFamilies, tableFamilies,
	threadFamilies, serverFamilies)

func concat(tables ...[]Family) (all []Family) {
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// Families are all families, in the order in which they are written.
func Families() []Family { return append([]Family(nil), families...) }

var jobFamilies = []Family{
	{
		Name: "velo_job_state", Labels: and(ofJob, "state"), values: states,
		Help: "1 for the state that the job is in, 0 for the others.",
		ofJob: func(j *Job, i int) (float64, bool) {
			if states[i] == j.State {
				return 1, true
			}
			return 0, true
		},
	},
	{
		Name: "velo_job_restarts", Kind: Counter, Labels: ofJob,
		Help:  "How many times the job has been started again after a failure.",
		ofJob: func(j *Job, _ int) (float64, bool) { return number(j.Restarts) },
	},
	{
		Name: "velo_engine_running_seconds", Unit: "seconds", Labels: ofEngine,
		Help:     "Time since the start of the engine, or until it had ended.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return seconds(s.Elapsed) },
	},
	{
		Name: "velo_readers", Labels: and(ofEngine, "state"), values: readerStates,
		Help: "How many readers are in each state.",
		ofEngine: func(s *engine.Stats, i int) (float64, bool) {
			n := 0
			for k := range s.Readers {
				if int(s.Readers[k].State) == i {
					n++
				}
			}
			return number(n)
		},
	},
	{
		Name: "velo_skipped_records", Kind: Counter, Labels: ofEngine,
		Help: "Records that readers have left out, by statistics of their files, because no query wants them.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) {
			n := uint64(0)
			for i := range s.Readers {
				n += s.Readers[i].Skipped
			}
			return number(n)
		},
	},
	{
		Name: "velo_epochs", Kind: Counter, Labels: ofEngine,
		Help:     "How many epochs have been begun.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return number(s.Epochs.Raised) },
	},
	{
		Name: "velo_epochs_visible", Kind: Counter, Labels: ofEngine,
		Help:     "How many epochs have become visible to snapshots.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return number(s.Epochs.Published) },
	},
	{
		Name: "velo_epochs_without_snapshot", Kind: Counter, Labels: ofEngine,
		Help:     "How many epochs passed without a snapshot because there was no memory for one.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return number(s.Epochs.NoImage) },
	},
	{
		Name: "velo_epochs_withheld", Kind: Counter, Labels: ofEngine,
		Help:     "How many times no epoch was begun because open snapshots held all tables.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return number(s.Epochs.Withheld) },
	},
	{
		Name: "velo_snapshots_held", Labels: ofEngine,
		Help:     "How many epochs open snapshots hold, the newest included.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) { return number(s.Epochs.Held) },
	},
	{
		Name: "velo_rebalanced_shards", Kind: Counter, Labels: ofEngine,
		Help: "How many shards have moved to another partition.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) {
			return float64(s.Rebalance.Shards), s.Rebalance.Why != ""
		},
	},
}

// saved reads a value of the state of an engine that keeps one.
func saved(read func(s *engine.StateStats) (float64, bool)) func(*engine.Stats, int) (float64, bool) {
	return func(s *engine.Stats, _ int) (float64, bool) {
		if s.State.Interval == 0 {
			return 0, false
		}
		return read(&s.State)
	}
}

var checkpointFamilies = []Family{
	{
		Name: "velo_checkpoints", Kind: Counter, Labels: ofEngine,
		Help:     "How many times the state has been saved.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return number(s.Saves) }),
	},
	{
		Name: "velo_checkpoint_failures", Kind: Counter, Labels: ofEngine,
		Help:     "How many times the state could not be saved.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return number(s.Failed) }),
	},
	{
		Name: "velo_checkpoint_failing", Labels: ofEngine,
		Help:     "How many saves have failed since the last one that did not.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return number(s.Failures) }),
	},
	{
		Name: "velo_checkpoint_timestamp_seconds", Unit: "seconds", Labels: ofEngine,
		Help:     "When the newest saved state became durable, in seconds since 1970.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return instant(s.Saved) }),
	},
	{
		Name: "velo_checkpoint_interval_seconds", Unit: "seconds", Labels: ofEngine,
		Help:     "Time between two saves; it grows if saving takes long.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return seconds(s.Interval) }),
	},
	{
		Name: "velo_checkpoint_duration_seconds", Unit: "seconds", Labels: ofEngine,
		Help:     "How long the last save took.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return seconds(s.Duration) }),
	},
	{
		Name: "velo_checkpoint_disk_seconds", Unit: "seconds", Labels: ofEngine,
		Help:     "How long the last save waited for the disk.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return seconds(s.Waited) }),
	},
	{
		Name: "velo_checkpoint_size_bytes", Unit: "bytes", Labels: ofEngine,
		Help:     "Size of the groups in the newest saved state.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return number(s.Bytes) }),
	},
	{
		Name: "velo_checkpoint_written_bytes", Kind: Counter, Unit: "bytes", Labels: ofEngine,
		Help:     "How much has been written to save the state.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) { return number(s.Written) }),
	},
	{
		Name: "velo_caught_up", Labels: ofEngine,
		Help: "1 if every reader that went on after a restart has since had nothing to give, or has ended.",
		ofEngine: saved(func(s *engine.StateStats) (float64, bool) {
			if s.CaughtUp {
				return 1, true
			}
			return 0, true
		}),
	},
}

var planFamilies = []Family{
	{
		Name: "velo_plan_failed", Labels: ofPlan,
		Help: "1 if the plan has ended with an error while others of its engine go on.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) {
			if p.Err != nil {
				return 1, true
			}
			return 0, true
		},
	},
	{
		Name: "velo_state_bytes", Unit: "bytes", Labels: ofPlan,
		Help:   "Memory of the groups.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.StateBytes) },
	},
	{
		Name: "velo_state_limit_bytes", Unit: "bytes", Labels: ofPlan,
		Help:   "What the memory of the groups may be at most.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.StateLimit) },
	},
	{
		Name: "velo_output_rows", Kind: Counter, Labels: ofPlan,
		Help:   "How many rows the writer has taken.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.Output.Rows) },
	},
	{
		Name: "velo_output_windows", Kind: Counter, Labels: ofPlan,
		Help:   "How many windows the writer has taken.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.Output.Windows) },
	},
	{
		Name: "velo_output_retries", Kind: Counter, Labels: ofPlan,
		Help:   "How many times a write was repeated after a transient error.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.Output.Retries) },
	},
	{
		Name: "velo_output_unfit_values", Kind: Counter, Labels: ofPlan,
		Help:   "How many values were written as NULL because they do not fit or could not be computed.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.Output.Unfit) },
	},
	{
		Name: "velo_output_waiting_seconds", Unit: "seconds", Labels: ofPlan,
		Help:   "How long the call that the writer is in has taken so far, 0 if there is none.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return seconds(p.Output.Waiting) },
	},
	{
		Name: "velo_output_slow_calls", Kind: Counter, Labels: ofPlan,
		Help:   "How many calls of the writer have taken longer than 30 s.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return number(p.Output.Slow) },
	},
	{
		Name: "velo_closed_timestamp_seconds", Unit: "seconds", Labels: ofPlan,
		Help:   "End of the last window that has closed, in seconds since 1970.",
		ofPlan: func(p *engine.PlanStats, _ int) (float64, bool) { return instant(p.Closed) },
	},
}

var readerFamilies = []Family{
	{
		Name: "velo_records", Kind: Counter, Labels: and(ofFlow, "outcome"), values: outcomes,
		Help: "Records by what became of them: routed to a partition, filtered by WHERE, too late for every " +
			"window, or set aside because they could not be read.",
		ofFlow: func(f *flow, i int) (float64, bool) {
			return number([...]uint64{f.Counted, f.Filtered, f.Late, f.Quarantined}[i])
		},
	},
	{
		Name: "velo_watermark_timestamp_seconds", Unit: "seconds", Labels: ofSplit,
		Help: "How far the reader has come in event time, in seconds since 1970. There is none for readers " +
			"that hold no window back: they are idle or have ended.",
		ofFlow: func(f *flow, _ int) (float64, bool) {
			v, ok := instant(f.watermark.At)
			return v, ok && !f.watermark.Idle
		},
	},
	{
		Name: "velo_lag_records", Labels: ofLag,
		Help:  "How many records wait to be read, if the source can tell.",
		ofLag: func(l *record.Lag) (float64, bool) { return float64(l.Records), !l.InBytes && !l.Unknown },
	},
	{
		Name: "velo_lag_bytes", Unit: "bytes", Labels: ofLag,
		Help:  "How many bytes wait to be read, of sources that count those: files.",
		ofLag: func(l *record.Lag) (float64, bool) { return float64(l.Bytes), l.InBytes && !l.Unknown },
	},
	{
		Name: "velo_reader_dropped_records", Kind: Counter, Labels: ofReader,
		Help:     "Rows of batches that a reader did not finish because it failed; they are in no other count.",
		ofReader: func(r *engine.ReaderStats, _ int) (float64, bool) { return number(r.Dropped) },
	},
	{
		Name: "velo_reader_retries", Kind: Counter, Labels: ofReader,
		Help:     "How many transient errors the reader has had.",
		ofReader: func(r *engine.ReaderStats, _ int) (float64, bool) { return number(r.Retries) },
	},
}

var partitionFamilies = []Family{
	{
		Name: "velo_partition_records", Kind: Counter, Labels: ofPartition,
		Help:        "Records that the partition has applied to its groups.",
		ofPartition: func(p *engine.PartitionStats, _ int) (float64, bool) { return number(p.Rows) },
	},
	{
		Name: "velo_partition_groups", Labels: ofPartition,
		Help:        "Groups of the partition, in all its panes.",
		ofPartition: func(p *engine.PartitionStats, _ int) (float64, bool) { return number(p.Groups) },
	},
	{
		Name: "velo_partition_lost_records", Kind: Counter, Labels: and(ofPartition, "reason"), values: losses,
		Help: "Records that had been routed and are in no group: shed because there was no memory, or late for " +
			"a window that had closed while their reader was idle.",
		ofPartition: func(p *engine.PartitionStats, i int) (float64, bool) {
			return number([...]uint64{p.Shed, p.Late}[i])
		},
	},
}

var tableFamilies = []Family{
	{
		Name: "velo_table_rows", Labels: ofTable,
		Help:    "Rows of the newest version of a table that records are joined with.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return number(t.Rows) },
	},
	{
		Name: "velo_table_size_bytes", Unit: "bytes", Labels: ofTable,
		Help:    "Memory of that version.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return number(t.Bytes) },
	},
	{
		Name: "velo_table_loaded_timestamp_seconds", Unit: "seconds", Labels: ofTable,
		Help:    "When it was loaded, in seconds since 1970.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return instant(t.Loaded) },
	},
	{
		Name: "velo_table_stale", Labels: ofTable,
		Help: "1 if the table is older than it may be.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) {
			if t.Stale {
				return 1, true
			}
			return 0, true
		},
	},
	{
		Name: "velo_table_failures", Kind: Counter, Labels: ofTable,
		Help:    "How many times it could not be loaded.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return number(t.Failures) },
	},
	{
		Name: "velo_table_lookups", Kind: Counter, Labels: ofTable,
		Help:    "Keys that were looked up.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return number(t.Lookups) },
	},
	{
		Name: "velo_table_misses", Kind: Counter, Labels: ofTable,
		Help:    "Keys that were looked up and not found.",
		ofTable: func(t *lookup.Stats, _ int) (float64, bool) { return number(t.Misses) },
	},
}

var threadFamilies = []Family{
	{
		Name: "velo_agent_busy_seconds", Kind: Counter, Unit: "seconds", Labels: ofAgent,
		Help:    "Time that the reader's router or the partition has worked.",
		ofAgent: func(a *agent, _ int) (float64, bool) { return seconds(a.Busy) },
	},
	{
		Name: "velo_agent_stalled_seconds", Kind: Counter, Unit: "seconds", Labels: and(ofAgent, "cause"),
		values: causes,
		Help:   "Time that it had no work, by cause. A stall that goes on is included.",
		ofAgent: func(a *agent, i int) (float64, bool) {
			return a.Stalls[i].Time.Seconds(), stalls[a.partition][i]
		},
	},
	{
		Name: "velo_agent_starved", Kind: Counter, Labels: ofAgent,
		Help:    "How many times it had work and waited for a long step of another agent of its thread.",
		ofAgent: func(a *agent, _ int) (float64, bool) { return number(a.Starved) },
	},
	{
		Name: "velo_runner_cpu_seconds", Kind: Counter, Unit: "seconds", Labels: ofRunner,
		Help:     "CPU time of the thread, waiting included.",
		ofRunner: func(r *engine.RunnerStats, _ int) (float64, bool) { return seconds(r.CPUTime) },
	},
	{
		Name: "velo_runners_unpinned", Labels: ofEngine,
		Help: "How many threads should be pinned to a CPU and are not.",
		ofEngine: func(s *engine.Stats, _ int) (float64, bool) {
			n := 0
			for i := range s.Runners {
				if s.Runners[i].PinError != "" {
					n++
				}
			}
			return number(n)
		},
	},
	{
		Name: "velo_ring_chunks", Kind: Counter, Labels: ofRing, Detail: true,
		Help:   "Chunks that have gone through the ring from a reader to a partition.",
		ofRing: func(r *engine.RingStats, _ int) (float64, bool) { return number(r.Pushed) },
	},
	{
		Name: "velo_ring_depth", Labels: ofRing, Detail: true,
		Help:   "Chunks in the ring now.",
		ofRing: func(r *engine.RingStats, _ int) (float64, bool) { return number(r.Depth) },
	},
	{
		Name: "velo_ring_full", Kind: Counter, Labels: ofRing, Detail: true,
		Help:   "How many times the reader found the ring full.",
		ofRing: func(r *engine.RingStats, _ int) (float64, bool) { return number(r.FullStalls) },
	},
}

var serverFamilies = []Family{
	{
		Name: "velo_build_info", Labels: []string{"version", "commit", "go"}, ofBuild: true,
		Help: "1; the labels are what the program was built of.",
	},
	{
		Name: "velo_jobs_memory_bytes", Unit: "bytes",
		Help:     "Memory that has been given to the jobs of the server.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Memory) },
	},
	{
		Name: "velo_jobs_memory_limit_bytes", Unit: "bytes",
		Help:     "What may be given to jobs; one for which it does not suffice is not started.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.MemoryLimit) },
	},
	{
		Name: "velo_http_requests", Kind: Counter,
		Help:     "Requests that the server has had.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Requests) },
	},
	{
		Name: "velo_http_refused", Kind: Counter,
		Help:     "Requests that were refused, because they had not the right.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Refused) },
	},
	{
		Name:     "velo_http_streams",
		Help:     "Streams of events and changes that are open.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Streams) },
	},
	{
		Name: "velo_push_body_bytes", Unit: "bytes",
		Help:     "Memory that the bodies of pushes take until the queues have their records.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.PushBytes) },
	},
	{
		Name: "velo_pushes_full", Kind: Counter,
		Help:     "Pushes that were answered with 429, because there was no room for their bodies.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.PushesFull) },
	},
	{
		Name: "velo_queries", Kind: Counter,
		Help:     "Statements over views that have been run, by any protocol.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Queries) },
	},
	{
		Name:     "velo_queries_running",
		Help:     "Statements that run now.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Running) },
	},
	{
		Name:     "velo_query_results_open",
		Help:     "Results that clients have not taken to their end.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Results) },
	},
	{
		Name:     "velo_query_snapshots_held",
		Help:     "Snapshots that open transactions and statements hold.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.Held) },
	},
	{
		Name: "velo_query_memory_bytes", Unit: "bytes",
		Help:     "Results in memory.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.ResultBytes) },
	},
	{
		Name: "velo_query_spilled_bytes", Unit: "bytes",
		Help:     "Results in files.",
		ofServer: func(s *Server, _ int) (float64, bool) { return number(s.SpilledBytes) },
	},
	{
		Name: "velo_protocol_connections", Labels: ofProtocol,
		Help:       "Clients of a protocol other than HTTP.",
		ofProtocol: func(p *Protocol, _ int) (float64, bool) { return number(p.Connections) },
	},
	{
		Name: "velo_protocol_refused", Kind: Counter, Labels: ofProtocol,
		Help:       "Clients that did not get in: too many, no password, or not the protocol.",
		ofProtocol: func(p *Protocol, _ int) (float64, bool) { return number(p.Refused) },
	},
	{
		Name: "velo_protocol_statements", Kind: Counter, Labels: ofProtocol,
		Help:       "Statements of its clients.",
		ofProtocol: func(p *Protocol, _ int) (float64, bool) { return number(p.Statements) },
	},
	{
		Name: "velo_protocol_failed", Kind: Counter, Labels: ofProtocol,
		Help:       "Statements that ended with an error.",
		ofProtocol: func(p *Protocol, _ int) (float64, bool) { return number(p.Failed) },
	},
	{
		Name: "velo_protocol_unknown", Kind: Counter, Labels: ofProtocol,
		Help:       "Statements that were not understood; the log has each once.",
		ofProtocol: func(p *Protocol, _ int) (float64, bool) { return number(p.Unknown) },
	},
}
