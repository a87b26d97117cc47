package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// runCmd is the canonical workload.
type runCmd struct {
	sizing
	measuring
	Duration  time.Duration `help:"How long to read, in each run." default:"2s"`
	Profile   string        `help:"A workload by its name: ${workloads}; or a stream: ${streams}. Its records are prepared, the timed part begins when all groups are there, and the result is checked against a Go map; of a stream, whose records have event time, what is written is checked against a plain program. The flags for groups, zipf and prepare do not apply then."`
	Rival     string        `help:"Also time this over the records of one reader: ${rivals}; needs --profile."`
	Groups    uint64        `help:"Number of keys." default:"100000"`
	Zipf      float64       `help:"Skew of the keys: 0 is uniform, 1.1 is what web traffic looks like." default:"0"`
	Seed      uint64        `help:"Seed of the generator." default:"1"`
	Prepare   int           `help:"Records that each reader makes before the start and then lends again and again; 0 makes them as they are read." default:"0"`
	Exchange  string        `help:"How records come to the partitions: auto, direct, fold or route." enum:"auto,direct,fold,route" default:"auto"`
	Epoch     time.Duration `help:"How often a new snapshot becomes visible; it stretches if that would take more than 3 % of a core. Less than 0: only when it is asked for." default:"100ms"`
	Rebalance bool          `help:"Have shards move from busy cores to others; not for streams."`
	RingSlots int           `help:"Chunks of each ring, a power of two; 0 is the engine's choice." default:"0"`
}

// runReport is what run prints.
type runReport struct {
	Profile          string  `json:"profile,omitempty"`
	Readers          int     `json:"readers"`
	Partitions       int     `json:"partitions"`
	Cores            int     `json:"cores"`
	Exchange         string  `json:"exchange"`
	Records          uint64  `json:"records"`
	Groups           int     `json:"groups"`
	Seconds          float64 `json:"seconds"`
	RecordsPerSecond float64 `json:"records_per_second"`
	CPUNsPerRecord   float64 `json:"cpu_ns_per_record"`
	// BuildNsPerRecord is for the first pass, which makes the groups.
	BuildNsPerRecord float64 `json:"build_ns_per_record,omitempty"`
	// Checksum is the checksum of the groups; it equals the checksum of a Go map.
	Checksum string `json:"checksum,omitempty"`
	// Epochs is how many epochs became visible.
	Epochs uint64 `json:"epochs"`
	// EpochMillis is the time from one epoch to the next at the end, as stretched.
	EpochMillis float64 `json:"epoch_ms"`

	// Agents are from the run in the middle, and Topology is what they were placed on.
	Agents   []agentReport     `json:"agents"`
	Topology affinity.Topology `json:"topology"`

	Rival            string  `json:"rival,omitempty"`
	RivalNsPerRecord float64 `json:"rival_ns_per_record,omitempty"`
	// Ratio is how many times as fast as the rival velo is.
	Ratio float64 `json:"ratio,omitempty"`
}

func (c *runCmd) Run(std streams) error {
	if c.Readers == 1 && c.Partitions == 1 && c.Cores == 0 {
		c.Cores = 1 // a reader and its partition share a thread
	}
	err := c.settle()
	if err != nil {
		return err
	}
	if c.RingSlots&(c.RingSlots-1) != 0 {
		return cli.Misusef("--ring-slots %d: expected a power of two, or 0", c.RingSlots)
	}
	w := bench.Workload{Groups: c.Groups, Zipf: c.Zipf, Prepare: c.Prepare}
	stream, isStream := bench.Streams[c.Profile]
	if c.Profile != "" && !isStream {
		w, err = workload(c.Profile)
		if err != nil {
			return cli.Misusef("%w, or of the streams %s", err, streamNames())
		}
	}
	if _, ok := bench.Rivals[c.Rival]; c.Rival != "" && (!ok || c.Profile == "" || isStream) {
		return cli.Misusef("--rival %s: expected one of %s, with --profile of records without time", c.Rival,
			rivalNames())
	}
	w.Seed, w.RingSlots, w.EpochInterval, w.StateBytes = c.Seed, c.RingSlots, c.Epoch, c.stateBytes
	if c.Rebalance && isStream {
		return cli.Misusef("--rebalance: the plan of %s has windows, whose shards cannot move", c.Profile)
	}
	w.Rebalance = c.Rebalance
	for _, x := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold, plan.ExchangeRoute} {
		if x.String() == c.Exchange {
			w.Exchange = x
		}
	}
	switch {
	case isStream:
		stream.Seed, stream.RingSlots, stream.EpochInterval, stream.Exchange = w.Seed, w.RingSlots, w.EpochInterval,
			w.Exchange
		stream.StateBytes = w.StateBytes
		return c.prepared(std, w, nil, func() (bench.Result, error) {
			return stream.Run(c.Readers, c.Partitions, c.Cores, c.Duration, nil)
		})
	case c.Profile != "":
		batches, err := w.Batches(c.Readers)
		if err != nil {
			return err
		}
		return c.prepared(std, w, batches, func() (bench.Result, error) {
			return w.RunPrepared(batches, c.Partitions, c.Cores, c.Duration, nil)
		})
	}
	return c.generated(std, w)
}

// generated runs a workload whose records are made as they are read.
func (c *runCmd) generated(std streams, w bench.Workload) error {
	var last engine.Stats
	p := c.printing(&last)
	p.ends = true
	return measure(&c.measuring, std, p, func(warm bool, each func(runReport)) error {
		eng, err := w.Start(c.Readers, c.Partitions, c.Cores)
		if err != nil {
			return err
		}
		defer eng.Close()
		if warm {
			<-time.After(c.duration(c.Duration, warm))
			return eng.Shutdown(context.Background())
		}
		end := bench.Observe()
		interrupted := c.watch(eng, std.err)
		err = eng.Shutdown(context.Background())
		end()
		if err != nil {
			return err
		}
		r, err := c.reportOf(eng)
		if err != nil {
			return err
		}
		last = eng.Stats()
		each(r)
		if interrupted {
			return errInterrupted
		}
		return nil
	})
}

// reportOf checks the counts of an engine that has ended.
func (c *runCmd) reportOf(eng *engine.Engine) (runReport, error) {
	st := eng.Stats()
	snap := eng.Snapshot()
	defer snap.Close()
	// The groups say how many records there were only if records are counted.
	inGroups := st.Counters().Counted
	if count, err := result.ColumnOf[int64](eng.Plan(), plan.Count.String()); err == nil {
		inGroups = 0
		for row := range snap.All() {
			inGroups += uint64(count.Of(row))
		}
	}
	if err := addUp(st, inGroups); err != nil {
		return runReport{}, err
	}
	n := st.Counters().Counted
	r := runReport{
		Readers: c.Readers, Partitions: c.Partitions, Cores: len(st.Runners), Exchange: c.Exchange, Records: n,
		Groups: snap.Len(), Seconds: st.Elapsed.Seconds(),
		RecordsPerSecond: float64(n) / st.Elapsed.Seconds(), CPUNsPerRecord: float64(st.CPUTime()) / float64(n),
	}
	r.epochs(st)
	r.agents(st)
	return r, nil
}

// An agentReport is how an agent spent its time.
type agentReport struct {
	Name    string                 `json:"name"`
	CPU     int                    `json:"cpu"` // -1 if it is not pinned
	Duty    float64                `json:"duty"`
	Steps   uint64                 `json:"steps"`
	Starved uint64                 `json:"starved"`
	Stalls  map[string]stallReport `json:"stalls"` // by cause
}

// A stallReport says how often and how long an agent had no work for one reason.
type stallReport struct {
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"`
}

// agents fills in how agents spent their time, and where.
func (r *runReport) agents(st engine.Stats) {
	r.Topology, _ = affinity.Discover() // if it is not known, nothing is drawn
	for i := range st.Agents {
		a := &st.Agents[i]
		report := agentReport{
			Name: a.Name, CPU: st.Runners[a.Runner].CPU, Duty: a.Duty(st.Elapsed), Steps: a.Steps, Starved: a.Starved,
			Stalls: map[string]stallReport{},
		}
		for cause, s := range a.Stalls {
			if s.Count > 0 {
				report.Stalls[core.Stall(cause).String()] = stallReport{s.Count, s.Time.Seconds()}
			}
		}
		r.Agents = append(r.Agents, report)
	}
}

func (r *runReport) epochs(st engine.Stats) {
	r.Epochs, r.EpochMillis = st.Epochs.Published, float64(st.Epochs.Interval)/1e6
}

// prepared runs a workload of prepared records, w, or a stream, which has no batches for the rival.
// The first pass over all records, before the timed part of each run, is the warm-up.
func (c *runCmd) prepared(std streams, w bench.Workload, batches [][]*record.Batch, run func() (bench.Result, error),
) error {
	var last engine.Stats
	return measure(&c.measuring, std, c.printing(&last), func(warm bool, each func(runReport)) error {
		if warm {
			return nil
		}
		res, err := run()
		if err != nil {
			return err
		}
		if err := addUp(res.Stats, res.Stats.Counters().Counted); err != nil {
			return err
		}
		last = res.Stats
		r := runReport{
			Profile: c.Profile, Readers: c.Readers, Partitions: c.Partitions, Cores: len(res.Stats.Runners),
			Exchange: c.Exchange, Records: res.Records,
			Groups: res.Groups, Seconds: res.Elapsed.Seconds(), RecordsPerSecond: res.PerSecond(),
			CPUNsPerRecord: res.CPUNanos(), BuildNsPerRecord: res.Build,
			Checksum: fmt.Sprintf("%016x", res.Sum),
		}
		r.epochs(res.Stats)
		r.agents(res.Stats)
		if c.Rival != "" {
			r.Rival, r.RivalNsPerRecord = c.Rival, bench.Rivals[c.Rival](w, batches[0])
			r.Ratio = r.RivalNsPerRecord * r.RecordsPerSecond / 1e9
		}
		each(r)
		return nil
	})
}

// printing prints a report, and the counters of the last run, which explain it.
func (c *runCmd) printing(last *engine.Stats) printing[runReport] {
	return printing[runReport]{text: func(w io.Writer, r runReport) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "readers\tpartitions\tcores\trecords\tgroups\tseconds\trecords/s\tns/record/core\t")
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%.2f\t%.1f M\t%.2f\t\n", r.Readers, r.Partitions, r.Cores, r.Records,
			r.Groups, r.Seconds, r.RecordsPerSecond/1e6, r.CPUNsPerRecord)
		table.Flush()
		if r.Profile != "" {
			fmt.Fprintf(w, "%s: making the groups took %.2f ns/record/core; checksum %s, as a Go map has it\n",
				r.Profile, r.BuildNsPerRecord, r.Checksum)
		}
		if r.Rival != "" {
			fmt.Fprintf(w, "%s: %.2f ns/record; velo is %.1f times as fast\n", r.Rival, r.RivalNsPerRecord, r.Ratio)
		}
		if c.Runs > 1 {
			fmt.Fprint(w, "\nthe last run:")
		}
		fmt.Fprintf(w, "\n%v", *last)
		fmt.Fprint(w, "\nall counts add up: read = counted + quarantined, and counted = folded + applied by "+
			"partitions = in the groups\n\n")
	}}
}

// watch reports progress until the time is over or the user interrupts.
func (c *runCmd) watch(eng *engine.Engine, progress io.Writer) (interrupted bool) {
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	end := time.NewTimer(c.Duration)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, last, lastIn := time.Now(), time.Now(), uint64(0)
	for {
		select {
		case <-stop.Done():
			fmt.Fprintln(progress, "interrupted: draining")
			return true
		case <-end.C:
			return false
		case now := <-tick.C:
			st := eng.Stats()
			in := st.Counters().In
			depth, full := 0, uint64(0)
			for _, r := range st.Rings {
				depth += r.Depth
				full += r.FullStalls
			}
			fmt.Fprintf(progress, "%3.0fs  %7.1f M records/s  %d groups  %d chunks in the rings  %d full stalls\n",
				now.Sub(began).Seconds(), float64(in-lastIn)/now.Sub(last).Seconds()/1e6,
				max(st.Groups(), st.FoldedGroups()/uint64(len(st.Readers))), depth, full)
			if r := st.Rebalance; r.Why != "" {
				fmt.Fprintf(progress, "      %d shards moved; %s\n", r.Shards, r.Why)
			}
			last, lastIn = now, in
		}
	}
}

// addUp checks whether records were lost or came twice.
func addUp(st engine.Stats, inGroups uint64) error {
	c := st.Counters()
	var applied uint64
	for _, p := range st.Partitions {
		applied += p.Rows
	}
	if c.In != c.Counted+c.Filtered+c.Quarantined+c.Shed || c.Counted != c.Folded+applied || c.Counted != inGroups {
		return fmt.Errorf("the counts do not add up: %d read, %d quarantined, %d counted, %d folded, %d applied, %d "+
			"in the groups\n%v",
			c.In, c.Quarantined, c.Counted, c.Folded, applied, inGroups, st)
	}
	return nil
}

// rivalNames lists the names of the rivals.
func rivalNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Rivals)), ", ") }

// workloadNames lists the names of the workloads, and streamNames the names of the streams, whose
// records have event time.
func workloadNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Workloads)), ", ") }

func streamNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Streams)), ", ") }
