// Package stats is what a page and a program want to know of a running job, as JSON: the counters
// of its engines, what agents did with their time lately, which of them is the bottleneck, which
// reader holds windows back, and the last saves of its state.
package stats

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/result"
)

// A Job is the engines of a job.
type Job struct {
	Job     string    `json:"job"`
	Time    time.Time `json:"time"`
	Engines []Engine  `json:"engines"`
}

// An Engine is the counters of an engine.
type Engine struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // since its start
	Ended   bool    `json:"ended"`
	Error   string  `json:"error,omitempty"`

	Bottleneck engine.Bottleneck `json:"bottleneck"`
	// IdleSince is when a record came last, or the start, if nothing arrives; else nil.
	IdleSince *time.Time `json:"idle_since,omitempty"`

	Epoch   uint64   `json:"epoch"`
	Raised  uint64   `json:"epochs_raised"`
	Visible uint64   `json:"epochs_visible"`
	NoImage uint64   `json:"epochs_without_snapshot"`
	Held    int      `json:"snapshots_held"`
	Plans   []Plan   `json:"plans"`
	Readers []Reader `json:"readers"`
	Agents  []Agent  `json:"agents"`
	Runners []Runner `json:"runners"`

	State  *State  `json:"state,omitempty"` // nil if it keeps none
	Tables []Table `json:"tables,omitempty"`
}

// A Table is a table that records are joined with.
type Table struct {
	Name    string     `json:"name"`
	Rows    int        `json:"rows"`
	Bytes   int        `json:"bytes"`
	Loaded  *time.Time `json:"loaded,omitempty"`
	Stale   bool       `json:"stale,omitempty"` // older than it may be
	Error   string     `json:"error,omitempty"` // why the last load has failed
	Lookups uint64     `json:"lookups"`
	Misses  uint64     `json:"misses"`
	Samples []string   `json:"samples,omitempty"` // keys that were not found
}

// A Plan is a query of an engine.
type Plan struct {
	Name    string  `json:"name"`
	SQL     string  `json:"sql"`
	Error   string  `json:"error,omitempty"`
	Groups  uint64  `json:"groups"`
	Bytes   int     `json:"state_bytes"`
	Limit   int     `json:"state_limit_bytes"`
	Records Records `json:"records"`

	Rows    uint64 `json:"output_rows"`
	Windows uint64 `json:"output_windows"`
	Retries uint64 `json:"output_retries"`
	Unfit   uint64 `json:"output_unfit_values"`
	// Hangs says what the writer has not done for longer than engine.SlowWriter.
	Hangs string `json:"output_hangs,omitempty"`
	Slow  uint64 `json:"output_slow_calls"` // calls that took longer

	Windowed bool       `json:"windowed"`
	Closed   *time.Time `json:"closed,omitempty"` // end of the last window that has closed
	// Holds is the reader that holds windows back; nil if none does.
	Holds *int `json:"holds,omitempty"`
	// Watermarks are how far each reader has come.
	Watermarks []Watermark `json:"watermarks,omitempty"`
	Partitions []Partition `json:"partitions"`
}

// Records is what has become of records.
type Records struct {
	Read        uint64 `json:"read"`
	Counted     uint64 `json:"counted"`
	Filtered    uint64 `json:"filtered"`
	Late        uint64 `json:"late"`
	Quarantined uint64 `json:"quarantined"`
	Shed        uint64 `json:"shed"`
}

// A Watermark is how far a reader has come in event time.
type Watermark struct {
	At   *time.Time `json:"at,omitempty"` // nil before the first record, and after the end
	Idle bool       `json:"idle,omitempty"`
}

// A Partition is a part of the groups of a plan.
type Partition struct {
	Records uint64 `json:"records"`
	Groups  uint64 `json:"groups"`
	Bytes   uint64 `json:"bytes"`
}

// A Reader is a reader of an engine.
type Reader struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Error   string `json:"error,omitempty"`
	Read    uint64 `json:"read"`
	Dropped uint64 `json:"dropped"`
	Skipped uint64 `json:"skipped"` // left out by the reader, because no query wants them
	Retries uint64 `json:"retries"`
	Lag     []Lag  `json:"lag,omitempty"`
}

// A Lag is what waits to be read of a split: records, or bytes if the source counts those.
type Lag struct {
	Split   string  `json:"split"`
	Records uint64  `json:"records"`
	Bytes   *uint64 `json:"bytes,omitempty"`
}

// An Agent is what a reader's router or a partition did lately, as parts of the time.
type Agent struct {
	Name    string             `json:"name"`
	Runner  int                `json:"runner"`
	Busy    float64            `json:"busy"`
	Stalls  map[string]float64 `json:"stalls,omitempty"` // by cause; those that are not 0
	Starved uint64             `json:"starved,omitempty"`
	// Functions are the user's functions that are slow, in words; empty if none is.
	Functions string `json:"functions,omitempty"`
}

// A Runner is a thread.
type Runner struct {
	CPU      int     `json:"cpu"` // -1 if it is not pinned
	Seconds  float64 `json:"cpu_seconds"`
	PinError string  `json:"pin_error,omitempty"`
}

// A State is the saved state of an engine.
type State struct {
	Generation uint64     `json:"generation"`
	Saved      *time.Time `json:"saved,omitempty"`
	Saving     *time.Time `json:"saving,omitempty"` // when the save that is under way began
	Bytes      int64      `json:"bytes"`
	Interval   float64    `json:"interval_seconds"`
	Failures   uint64     `json:"failures"` // in a row
	Error      string     `json:"error,omitempty"`
	Restored   bool       `json:"restored"`
	CaughtUp   bool       `json:"caught_up"`
	Saves      []Save     `json:"saves"` // the last ones, the newest at the end
}

// A Save is an attempt to save the state.
type Save struct {
	At         time.Time `json:"at"`
	Generation uint64    `json:"generation,omitempty"`
	Seconds    float64   `json:"seconds"`
	Disk       float64   `json:"disk_seconds"`
	Bytes      int64     `json:"bytes"`
	Written    int64     `json:"written_bytes"`
	Error      string    `json:"error,omitempty"`
}

// stretch is the shortest time over which the shares of agents are computed. Agents that sleep
// publish what they did once a second.
const stretch = 2 * time.Second

// A Sampler remembers what an engine's counters were a moment ago, so that it can tell what has
// happened lately. Its zero value is ready; any goroutine may use it.
type Sampler struct {
	mu            sync.Mutex
	earlier, last engine.Stats
}

// Samplers are the samplers of engines. The zero value is ready; any goroutine may use it.
type Samplers struct {
	mu  sync.Mutex
	all map[any]*sampled
}

type sampled struct {
	Sampler
	asked time.Time
}

// forgotten is how long an engine has not been asked about when its sampler is dropped. So the
// samplers of engines that have ended do not stay.
const forgotten = 10 * time.Minute

// Of is the sampler of an engine. The key is what tells engines apart.
func (s *Samplers) Of(key any) *Sampler {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	x := s.all[key]
	if x == nil {
		if s.all == nil {
			s.all = map[any]*sampled{}
		}
		for k, other := range s.all {
			if now.Sub(other.asked) > forgotten {
				delete(s.all, k)
			}
		}
		x = &sampled{}
		s.all[key] = x
	}
	x.asked = now
	return &x.Sampler
}

// before is the counters of a moment ago: at least stretch ago if there are some. A sampler that
// nobody has asked for a while looks back as far as its last answer.
func (s *Sampler) before(now *engine.Stats) engine.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Elapsed < s.last.Elapsed { // another engine
		s.earlier, s.last = engine.Stats{}, engine.Stats{}
	}
	if now.Elapsed-s.last.Elapsed >= stretch {
		s.earlier, s.last = s.last, *now
	}
	return s.earlier
}

// Engine describes an engine now. name is what it is called, and plans what its plans are called;
// one without a name is called by the name of the engine.
func (s *Sampler) Engine(name string, now engine.Stats, plans ...string) Engine {
	earlier := s.before(&now)
	e := Engine{
		Name: name, Seconds: now.Elapsed.Seconds(), Ended: now.Ended, Error: text(now.Err),
		Bottleneck: now.Bottleneck(earlier), Epoch: now.Epoch, Raised: now.Epochs.Raised,
		Visible: now.Epochs.Published, NoImage: now.Epochs.NoImage, Held: now.Epochs.Held, State: stateOf(&now.State),
	}
	if e.Bottleneck.Limit == engine.LimitIdle {
		since := time.Now().Add(now.Idle() - now.Elapsed).UTC().Truncate(time.Second)
		e.IdleSince = &since
	}
	for i := range now.Plans {
		p := planOf(&now, i)
		p.Name = name
		if i < len(plans) && plans[i] != "" {
			p.Name = plans[i]
		}
		e.Plans = append(e.Plans, p)
	}
	for i := range now.Readers {
		r := &now.Readers[i]
		one := Reader{
			Name: r.Name, State: r.State.String(), Error: text(r.Err), Read: r.In, Dropped: r.Dropped,
			Skipped: r.Skipped, Retries: r.Retries,
		}
		for _, l := range r.Lag {
			if l.Unknown {
				continue
			}
			waits := Lag{Split: l.Split, Records: l.Records}
			if l.InBytes {
				waits.Bytes = &l.Bytes
			}
			one.Lag = append(one.Lag, waits)
		}
		e.Readers = append(e.Readers, one)
	}
	for i := range now.Agents {
		e.Agents = append(e.Agents, agentOf(&now, &earlier, i))
	}
	for i := range now.Tables {
		t := &now.Tables[i]
		e.Tables = append(e.Tables, Table{
			t.Table, t.Rows, t.Bytes, instant(t.Loaded), t.Stale, text(t.LastError), t.Lookups, t.Misses, t.Samples,
		})
	}
	for i := range now.Runners {
		r := &now.Runners[i]
		e.Runners = append(e.Runners, Runner{r.CPU, r.CPUTime.Seconds(), r.PinError})
	}
	return e
}

// planOf describes a plan.
func planOf(now *engine.Stats, i int) Plan {
	s := &now.Plans[i]
	c := s.Counters()
	p := Plan{
		SQL: s.Plan, Error: text(s.Err), Groups: s.Groups(), Bytes: s.StateBytes, Limit: s.StateLimit,
		Records: recordsOf(c), Rows: s.Output.Rows, Windows: s.Output.Windows, Retries: s.Output.Retries,
		Unfit: s.Output.Unfit, Hangs: s.Output.Hangs, Slow: s.Output.Slow,
		Windowed: s.Windowed, Closed: instant(s.Closed),
	}
	for k := range s.Partitions {
		q := &s.Partitions[k]
		p.Partitions = append(p.Partitions, Partition{q.Rows, q.Groups, q.Bytes})
	}
	if !s.Windowed {
		return p
	}
	for _, w := range s.Watermarks {
		p.Watermarks = append(p.Watermarks, Watermark{instant(w.At), w.Idle})
	}
	of := now.Of(s.Number)
	holds, ok := of.HoldsWindows()
	if ok && len(now.Readers) > 1 {
		p.Holds = &holds
	}
	return p
}

func recordsOf(c result.Counters) Records {
	return Records{c.In, c.Counted, c.Filtered, c.Late, c.Quarantined, c.Shed}
}

// agentOf says what an agent did since earlier.
func agentOf(now, earlier *engine.Stats, i int) Agent {
	a := &now.Agents[i]
	one := Agent{
		Name: a.Name, Runner: a.Runner, Starved: a.Starved, Stalls: map[string]float64{}, Functions: a.Functions,
	}
	var then engine.AgentStats
	k := slices.IndexFunc(earlier.Agents, func(x engine.AgentStats) bool { return x.Name == a.Name })
	if k >= 0 {
		then = earlier.Agents[k]
	}
	over := now.Elapsed - earlier.Elapsed
	if over <= 0 {
		return one
	}
	share := func(now, then time.Duration) float64 { return min(max(float64(now-then)/float64(over), 0), 1) }
	one.Busy = share(a.Busy, then.Busy)
	for c := range a.Stalls {
		part := share(a.Stalls[c].Time, then.Stalls[c].Time)
		if part > 0 {
			one.Stalls[strings.ReplaceAll(core.Stall(c).String(), " ", "_")] = part
		}
	}
	return one
}

// stateOf describes a state; it is nil if there is none.
func stateOf(s *engine.StateStats) *State {
	if s.Interval == 0 {
		return nil
	}
	d := &State{
		Generation: s.Generation, Saved: instant(s.Saved), Saving: instant(s.Saving), Bytes: s.Bytes,
		Interval: s.Interval.Seconds(), Failures: s.Failures, Error: text(s.Err), Restored: s.Restored > 0,
		CaughtUp: s.CaughtUp, Saves: []Save{},
	}
	for _, e := range s.Last {
		d.Saves = append(d.Saves, Save{
			e.At.UTC(), e.Generation, e.Duration.Seconds(), e.Waited.Seconds(), e.Bytes, e.Written, text(e.Err),
		})
	}
	return d
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
