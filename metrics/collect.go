package metrics

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A Job is engines under a name. It is what was read of them at one time.
type Job struct {
	Name     string // unique among the jobs that are shown together
	State    string // such as running; empty is unknown
	Restarts uint64
	Engines  []Engine
}

// An Engine is the counters of an engine.
type Engine struct {
	Name  string // unique in its job; empty if the job has one
	Stats engine.Stats

	// Plans are the names of its plans. A plan without one is called by its number.
	Plans []string
}

// A Process is what a process counts beside its jobs.
type Process struct {
	Version, Commit, Go string  // what the program was built of
	Server              *Server // nil if there is none
	Protocols           []Protocol
}

// A Protocol is another way to read views than HTTP, such as pg.
type Protocol struct {
	Name        string
	Connections int64  // clients now
	Refused     uint64 // clients that did not get in
	Statements  uint64
	Failed      uint64 // statements that ended with an error
	Unknown     uint64 // statements that were not understood
}

// A Server is what velo serve counts beside its jobs.
type Server struct {
	Memory, MemoryLimit       int64  // of jobs, in bytes
	Requests, Refused         uint64 // of HTTP
	Queries                   uint64 // statements that have been run
	Running, Streams          int
	Results, Held             int64 // that are open
	ResultBytes, SpilledBytes int64
	PushBytes                 int64  // of the bodies of pushes that are held
	PushesFull                uint64 // pushes that found no room for their bodies
}

// MaxSeriesOf is how many readers, and how many partitions and agents of each kind, an engine may
// have so that each has its own series. If there are more they are put together under the label
// value all: counters are added, and the watermark is the least.
const MaxSeriesOf = 64

// All is the label value of what is put together.
const All = "all"

// flow is the records of a reader as a plan has treated them.
type flow struct {
	result.Counters
	watermark engine.Watermark
}

// agent is an agent and which kind it is.
type agent struct {
	engine.AgentStats
	partition bool
}

// Visit calls visit for each series of the jobs, all series of a family together and the families
// in their order. detail includes families that are written only if they are asked for. labels are
// valid during the call. process is nil if only the jobs are shown.
func Visit(process *Process, jobs []Job, detail bool, visit func(f *Family, labels []string, value float64)) {
	v := visitor{process: process, jobs: jobs, visit: visit}
	for i := range jobs {
		for k := range jobs[i].Engines {
			v.engines = append(v.engines, flatten(&jobs[i], &jobs[i].Engines[k], jobs[i].Engines[k].Name)...)
		}
	}
	for i := range families {
		f := &families[i]
		if !f.Detail || detail {
			v.family(f)
		}
	}
}

// visitor goes through the series.
type visitor struct {
	process *Process
	jobs    []Job
	engines []one
	visit   func(f *Family, labels []string, value float64)
	labels  [8]string
}

// one is an engine whose counters are put together where there are many.
type one struct {
	job, name  string
	plans      []string
	stats      *engine.Stats
	readers    []string // label values
	ends       []engine.ReaderStats
	flows      [][]flow // of each plan
	partitions []string
	parts      [][]engine.PartitionStats // of each plan
	agents     []agent
}

// flatten is an engine and the engines that it reads from, which come first.
func flatten(j *Job, e *Engine, name string) (all []one) {
	if e.Stats.From != nil {
		inner := &Engine{Name: name, Stats: *e.Stats.From}
		all = flatten(j, inner, strings.TrimPrefix(name+"/inner", "/"))
	}
	s := &e.Stats
	x := one{job: j.Name, name: name, stats: s, readers: numbers(len(s.Readers)), ends: s.Readers}
	for i := range s.Plans {
		p := &s.Plans[i]
		plan := strconv.Itoa(p.Number)
		if p.Number < len(e.Plans) && e.Plans[p.Number] != "" {
			plan = e.Plans[p.Number]
		}
		x.plans = append(x.plans, plan)
		flows := make([]flow, len(p.Readers))
		for r := range flows {
			flows[r].Counters = p.Readers[r]
			if r < len(p.Watermarks) {
				flows[r].watermark = p.Watermarks[r]
			}
		}
		x.flows = append(x.flows, flows)
		x.parts = append(x.parts, p.Partitions)
		x.partitions = numbers(len(p.Partitions))
	}
	x.agents = make([]agent, len(s.Agents))
	for i := range s.Agents {
		x.agents[i] = agent{s.Agents[i], strings.Contains(s.Agents[i].Name, "partition/")}
	}
	x.condense()
	return append(all, x)
}

// small are the numbers that need no memory of their own.
var small = func() (all [MaxSeriesOf]string) {
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}()

// numbers are label values for n things.
func numbers(n int) []string {
	if n > MaxSeriesOf {
		return []string{All}
	}
	return small[:n]
}

// condense puts together what there is too much of.
func (x *one) condense() {
	if len(x.ends) > MaxSeriesOf {
		x.ends = []engine.ReaderStats{allReaders(x.ends)}
		for i, flows := range x.flows {
			x.flows[i] = []flow{allFlows(flows)}
		}
	}
	for i, parts := range x.parts {
		if len(parts) > MaxSeriesOf {
			x.parts[i] = []engine.PartitionStats{allPartitions(parts)}
		}
	}
	x.agents = allAgents(x.agents)
}

func allReaders(rs []engine.ReaderStats) (all engine.ReaderStats) {
	records, bytes := record.Lag{Split: All}, record.Lag{Split: All, InBytes: true}
	counts, weighs := false, false
	for i := range rs {
		all.Dropped += rs[i].Dropped
		all.Retries += rs[i].Retries
		for _, l := range rs[i].Lag {
			if l.Unknown {
				continue
			}
			records.Records += l.Records
			bytes.Bytes += l.Bytes
			counts, weighs = counts || !l.InBytes, weighs || l.InBytes
		}
	}
	if counts {
		all.Lag = append(all.Lag, records)
	}
	if weighs {
		all.Lag = append(all.Lag, bytes)
	}
	all.Name = All
	return all
}

func allFlows(flows []flow) (all flow) {
	all.watermark.Idle = true
	for i := range flows {
		all.Add(flows[i].Counters)
		w := flows[i].watermark
		if w.Idle || w.At.IsZero() {
			continue
		}
		if all.watermark.Idle || w.At.Before(all.watermark.At) {
			all.watermark = w
		}
	}
	return all
}

func allPartitions(parts []engine.PartitionStats) (all engine.PartitionStats) {
	for i := range parts {
		all.Rows += parts[i].Rows
		all.Groups += parts[i].Groups
		all.Shed += parts[i].Shed
		all.Late += parts[i].Late
	}
	return all
}

// allAgents puts together the agents of a kind and a plan of which there are too many.
func allAgents(agents []agent) []agent {
	counts := map[string]int{}
	for i := range agents {
		counts[kindOf(agents[i].Name)]++
	}
	var kept []agent
	at := map[string]int{}
	for _, a := range agents {
		kind := kindOf(a.Name)
		if counts[kind] <= MaxSeriesOf {
			kept = append(kept, a)
			continue
		}
		i, ok := at[kind]
		if !ok {
			at[kind] = len(kept)
			a.Name = kind + "/" + All
			kept = append(kept, a)
			continue
		}
		k := &kept[i]
		k.Busy += a.Busy
		k.Starved += a.Starved
		for c := range k.Stalls {
			k.Stalls[c].Time += a.Stalls[c].Time
		}
	}
	return kept
}

// kindOf is the name of an agent without its number.
func kindOf(name string) string { return name[:max(strings.LastIndexByte(name, '/'), 0)] }

// label sets a label, and emit visits a series with the first n labels.
func (v *visitor) emit(f *Family, n int, value float64) { v.visit(f, v.labels[:n], value) }

// each visits the series of the values of a family after n labels, or the one series.
func (v *visitor) each(f *Family, n int, read func(i int) (float64, bool)) {
	if f.values == nil {
		value, ok := read(0)
		if ok {
			v.emit(f, n, value)
		}
		return
	}
	for i, name := range f.values {
		value, ok := read(i)
		if ok {
			v.labels[n] = name
			v.emit(f, n+1, value)
		}
	}
}

func (v *visitor) family(f *Family) {
	switch p := v.process; {
	case f.ofBuild && p != nil:
		v.labels[0], v.labels[1], v.labels[2] = p.Version, p.Commit, p.Go
		v.emit(f, 3, 1)
	case f.ofServer != nil && p != nil && p.Server != nil:
		v.each(f, 0, func(k int) (float64, bool) { return f.ofServer(p.Server, k) })
	}
	if f.ofProtocol != nil && v.process != nil {
		for i := range v.process.Protocols {
			v.labels[0] = v.process.Protocols[i].Name
			v.each(f, 1, func(k int) (float64, bool) { return f.ofProtocol(&v.process.Protocols[i], k) })
		}
	}
	if f.ofBuild || f.ofServer != nil || f.ofProtocol != nil {
		return
	}
	if f.ofJob != nil {
		for i := range v.jobs {
			v.labels[0] = v.jobs[i].Name
			v.each(f, 1, func(k int) (float64, bool) { return f.ofJob(&v.jobs[i], k) })
		}
		return
	}
	for i := range v.engines {
		x := &v.engines[i]
		v.labels[0], v.labels[1] = x.job, x.name
		switch {
		case f.ofEngine != nil:
			v.each(f, 2, func(k int) (float64, bool) { return f.ofEngine(x.stats, k) })
		case f.ofReader != nil:
			for r := range x.ends {
				v.labels[2] = x.readers[r]
				v.each(f, 3, func(k int) (float64, bool) { return f.ofReader(&x.ends[r], k) })
			}
		case f.ofLag != nil:
			for r := range x.ends {
				for i := range x.ends[r].Lag {
					l := &x.ends[r].Lag[i]
					v.labels[2], v.labels[3] = x.readers[r], l.Split
					if lag, ok := f.ofLag(l); ok {
						v.emit(f, 4, lag)
					}
				}
			}
		case f.ofAgent != nil:
			for a := range x.agents {
				v.labels[2] = x.agents[a].Name
				v.each(f, 3, func(k int) (float64, bool) { return f.ofAgent(&x.agents[a], k) })
			}
		case f.ofRunner != nil:
			v.runners(f, x)
		case f.ofTable != nil:
			for t := range x.stats.Tables {
				v.labels[2] = x.stats.Tables[t].Table
				v.each(f, 3, func(k int) (float64, bool) { return f.ofTable(&x.stats.Tables[t], k) })
			}
		default:
			v.plans(f, x)
		}
	}
}

// runners visits the threads. Those that are too many are put together.
func (v *visitor) runners(f *Family, x *one) {
	if len(x.stats.Runners) > MaxSeriesOf {
		var cpu time.Duration
		for i := range x.stats.Runners {
			cpu += x.stats.Runners[i].CPUTime
		}
		v.labels[2] = All
		v.each(f, 3, func(k int) (float64, bool) { return f.ofRunner(&engine.RunnerStats{CPUTime: cpu}, k) })
		return
	}
	for r := range x.stats.Runners {
		v.labels[2] = small[r]
		v.each(f, 3, func(k int) (float64, bool) { return f.ofRunner(&x.stats.Runners[r], k) })
	}
}

// plans visits the series of a family that belong to a plan.
func (v *visitor) plans(f *Family, x *one) {
	for p := range x.plans {
		v.labels[2] = x.plans[p]
		switch {
		case f.ofPlan != nil:
			v.each(f, 3, func(k int) (float64, bool) { return f.ofPlan(&x.stats.Plans[p], k) })
		case f.ofFlow != nil:
			for r := range x.flows[p] {
				if r >= len(x.readers) { // it has been added since
					break
				}
				v.labels[3] = x.readers[r]
				n := 4
				if f.values == nil { // its last label names the reader for people
					v.labels[4], n = x.ends[r].Name, 5
				}
				v.each(f, n, func(k int) (float64, bool) { return f.ofFlow(&x.flows[p][r], k) })
			}
		case f.ofPartition != nil:
			for q := range x.parts[p] {
				v.labels[3] = x.partitions[q]
				v.each(f, 4, func(k int) (float64, bool) { return f.ofPartition(&x.parts[p][q], k) })
			}
		case f.ofRing != nil:
			v.rings(f, x, p)
		default:
			panic(fmt.Sprintf("metrics: nothing reads %s", f.Name))
		}
	}
}

// rings visits the rings of a plan.
func (v *visitor) rings(f *Family, x *one, plan int) {
	for i := range x.stats.Rings {
		r := &x.stats.Rings[i]
		if r.Plan == plan {
			v.labels[3], v.labels[4] = strconv.Itoa(r.Reader), strconv.Itoa(r.Partition)
			v.each(f, 5, func(k int) (float64, bool) { return f.ofRing(r, k) })
		}
	}
}
