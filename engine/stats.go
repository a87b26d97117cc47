package engine

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/ring"
)

// ReaderStats are the counters of a reader.
type ReaderStats struct {
	Name  string
	State ReaderState
	Err   error // why it failed
	core.Counters
	Dropped uint64 // rows of batches that a panic or a broken reader left unfinished; not part of In
	Retries uint64 // transient errors
}

// PartitionStats are the counters of a partition.
type PartitionStats = core.PartitionStats

// RingStats are the counters of the ring from one reader to one partition.
type RingStats struct {
	Reader, Partition int
	ring.Stats
}

// RunnerStats are the counters of a runner.
type RunnerStats struct {
	Agents   string        // their names, joined by +
	CPU      int           // the CPU it is pinned to, -1 where it is not
	PinError string        // why not, where it should be
	CPUTime  time.Duration // of its thread, waiting included; up to 10 ms behind while it runs; 0 where it is not locked to one
	Turns    uint64        // times it stepped all its agents
	Busy     uint64        // of those, the ones that had work
	Parks    uint64        // times it went to sleep
}

// Stats are the counters of an engine. They can be read at any time, also after a failure. While the engine runs they are of slightly
// different moments.
type Stats struct {
	Plan       string
	Elapsed    time.Duration // since Start, until everything had stopped
	Epoch      uint64        // of the newest snapshot
	Readers    []ReaderStats
	Partitions []PartitionStats
	Rings      []RingStats
	Runners    []RunnerStats
}

// Stats reads the counters.
func (e *Engine) Stats() Stats {
	s := Stats{Plan: e.cfg.Plan.String(), Elapsed: time.Duration(e.elapsed.Load()), Epoch: e.current.Load().epoch}
	if s.Elapsed == 0 {
		s.Elapsed = time.Since(e.start)
	}
	// Partitions before readers: what has been applied has been routed, so the sums never look as if records came from nowhere.
	for _, p := range e.partitions {
		s.Partitions = append(s.Partitions, p.Stats())
	}
	for id, src := range e.sources {
		b := src.base()
		s.Readers = append(s.Readers, ReaderStats{
			Name: b.name, State: ReaderState(b.state.Load()), Err: b.failure(), Counters: e.routers[id].Counters(),
			Dropped: b.dropped.Load(), Retries: b.retries.Load(),
		})
	}
	for reader, ends := range e.rings {
		for partition, r := range ends {
			s.Rings = append(s.Rings, RingStats{reader, partition, ring.ReadStats(r.in, r.out)})
		}
	}
	for _, r := range e.runners {
		rs := RunnerStats{
			Agents: r.String(), CPU: -1, CPUTime: time.Duration(r.cpuNanos.Load()),
			Turns: r.turns.Load(), Busy: r.busy.Load(), Parks: r.parks.Load(),
		}
		if r.pinned.Load() {
			rs.CPU = r.cpu
		}
		if text := r.pinError.Load(); text != nil {
			rs.PinError = *text
		}
		s.Runners = append(s.Runners, rs)
	}
	return s
}

// Counters are those of all readers together.
func (s Stats) Counters() (c core.Counters) {
	for i := range s.Readers {
		c.Add(s.Readers[i].Counters)
	}
	return c
}

// Groups is the number of groups of all partitions.
func (s Stats) Groups() (n uint64) {
	for _, p := range s.Partitions {
		n += p.Groups
	}
	return n
}

// CPUTime is the CPU time of all runners' threads.
func (s Stats) CPUTime() (d time.Duration) {
	for _, r := range s.Runners {
		d += r.CPUTime
	}
	return d
}

// String is a table for people.
func (s Stats) String() string {
	var b strings.Builder
	total := s.Counters()
	fmt.Fprintf(&b, "%s\n", s.Plan)
	fmt.Fprintf(&b, "%d records in %v, %d groups, epoch %d\n", total.In, s.Elapsed.Round(time.Millisecond), s.Groups(), s.Epoch)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "reader\tstate\tin\tcounted\tkeyless\tquarantined\tdropped\tretries\tbatches\t\n")
	for i, r := range s.Readers {
		fmt.Fprintf(w, "%d\t%v\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", i, r.State, r.In, r.Counted, r.Keyless, r.Quarantined, r.Dropped, r.Retries, r.Batches)
	}
	fmt.Fprintf(w, "all\t\t%d\t%d\t%d\t%d\t\t\t%d\t\n", total.In, total.Counted, total.Keyless, total.Quarantined, total.Batches)
	w.Flush()
	fmt.Fprintf(w, "partition\trecords\tgroups\tKiB\t\n")
	var rows uint64
	for i, p := range s.Partitions {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t\n", i, p.Rows, p.Groups, p.Bytes>>10)
		rows += p.Rows
	}
	fmt.Fprintf(w, "all\t%d\t%d\t\t\n", rows, s.Groups())
	w.Flush()
	fmt.Fprintf(w, "ring\tchunks\tdepth\thigh water\tslots\tfull stalls\tempty stalls\t\n")
	for _, r := range s.Rings {
		fmt.Fprintf(w, "%d to %d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.Reader, r.Partition, r.Pushed, r.Depth, r.HighWater, r.Slots, r.FullStalls, r.EmptyStalls)
	}
	w.Flush()
	fmt.Fprintf(w, "runner\tcpu\tcpu time\tturns\tbusy\tparks\tagents\t\n")
	for i, r := range s.Runners {
		cpu := fmt.Sprint(r.CPU)
		if r.CPU < 0 {
			cpu = "any"
		}
		fmt.Fprintf(w, "%d\t%s\t%v\t%d\t%d\t%d\t%s\t\n", i, cpu, r.CPUTime.Round(time.Millisecond), r.Turns, r.Busy, r.Parks, r.Agents)
	}
	w.Flush()
	for i, r := range s.Readers {
		if r.Err != nil {
			fmt.Fprintf(&b, "reader %d (%s) failed: %v\n", i, r.Name, r.Err)
		}
	}
	for i, r := range s.Runners {
		if r.PinError != "" {
			fmt.Fprintf(&b, "runner %d is not pinned: %s\n", i, r.PinError)
		}
	}
	return b.String()
}
