package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
)

// runCmd is the canonical workload.
type runCmd struct {
	shape
	Duration   time.Duration `help:"How long to read." default:"10s"`
	Profile    string        `help:"A workload by its name: ${workloads}; or a stream: ${streams}. Its records are prepared, the timed part begins when all groups are there, and the result is checked against a Go map; of a stream, whose records have event time, what is written is checked against a plain program. The flags for groups, zipf and prepare do not apply then."`
	Rival      string        `help:"Also time this over the records of one reader: ${rivals}; needs --profile."`
	Groups     uint64        `help:"Number of keys." default:"100000"`
	Zipf       float64       `help:"Skew of the keys: 0 is uniform, 1.1 is what web traffic looks like." default:"0"`
	Seed       uint64        `help:"Seed of the generator." default:"1"`
	Prepare    int           `help:"Records that each reader makes before the start and then lends again and again; 0 makes them as they are read." default:"0"`
	Exchange   string        `help:"How records come to the partitions: auto, direct, fold or route." enum:"auto,direct,fold,route" default:"auto"`
	Epoch      time.Duration `help:"How often a new snapshot becomes visible; it stretches if that would take more than 3 % of a core. Less than 0: only when it is asked for." default:"100ms"`
	RingSlots  int           `help:"Chunks of each ring, a power of two; 0 is the engine's choice." default:"0"`
	JSON       bool          `name:"json" help:"Print one JSON object instead of the table."`
	CPUProfile string        `name:"cpuprofile" help:"Write a pprof CPU profile to this file." type:"path"`
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
	host := affinity.Describe()
	w := bench.Workload{Groups: c.Groups, Zipf: c.Zipf, Prepare: c.Prepare}
	stream, isStream := bench.Streams[c.Profile]
	if c.Profile != "" && !isStream {
		w, err = workload(c.Profile)
		if err != nil {
			return fmt.Errorf("%w, or of the streams %s", err, streamNames())
		}
	}
	if _, ok := bench.Rivals[c.Rival]; c.Rival != "" && (!ok || c.Profile == "" || isStream) {
		return fmt.Errorf("--rival %s: expected one of %s, with --profile of records without time", c.Rival,
			rivalNames())
	}
	w.Seed, w.RingSlots, w.EpochInterval, w.StateBytes = c.Seed, c.RingSlots, c.Epoch, c.stateBytes
	for _, x := range []core.Exchange{core.ExchangeAuto, core.ExchangeDirect, core.ExchangeFold, core.ExchangeRoute} {
		if x.String() == c.Exchange {
			w.Exchange = x
		}
	}
	stopProfile, err := startProfile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer stopProfile()
	if isStream {
		stream.Seed, stream.RingSlots, stream.EpochInterval, stream.Exchange = w.Seed, w.RingSlots, w.EpochInterval,
			w.Exchange
		stream.StateBytes = w.StateBytes
		return c.profile(stream.Run, w, host, std, stopProfile)
	}
	if c.Profile != "" {
		return c.profile(w.Run, w, host, std, stopProfile)
	}
	eng, err := w.Start(c.Readers, c.Partitions, c.Cores)
	if err != nil {
		return err
	}
	defer eng.Close()
	c.watch(eng, std.err)
	if err := eng.Shutdown(context.Background()); err != nil {
		return err
	}
	stopProfile()

	st := eng.Stats()
	snap := eng.Snapshot()
	defer snap.Close()
	// The groups say how many records there were only if records are counted.
	inGroups := st.Counters().Counted
	if count, err := core.ColumnOf[int64](eng.Plan(), core.Count.String()); err == nil {
		inGroups = 0
		for row := range snap.All() {
			inGroups += uint64(count.Of(row))
		}
	}
	if err := addUp(st, inGroups); err != nil {
		return err
	}
	n := st.Counters().Counted
	r := runReport{
		Readers: c.Readers, Partitions: c.Partitions, Cores: len(st.Runners), Exchange: c.Exchange, Records: n,
		Groups: snap.Len(), Seconds: st.Elapsed.Seconds(),
		RecordsPerSecond: float64(n) / st.Elapsed.Seconds(), CPUNsPerRecord: float64(st.CPUTime()) / float64(n),
	}
	r.epochs(st)
	return c.print(r, host, st, std)
}

func (r *runReport) epochs(st engine.Stats) {
	r.Epochs, r.EpochMillis = st.Epochs.Published, float64(st.Epochs.Interval)/1e6
}

// profile runs a workload of prepared records: w, or a stream.
func (c *runCmd) profile(run func(readers, partitions, cores int, d time.Duration,
	started func(*engine.Engine)) (bench.Result, error), w bench.Workload, host affinity.Host, std streams,
	stopProfile func(),
) error {
	res, err := run(c.Readers, c.Partitions, c.Cores, c.Duration, nil)
	stopProfile()
	if err != nil {
		return err
	}
	if err := addUp(res.Stats, res.Stats.Counters().Counted); err != nil {
		return err
	}
	r := runReport{
		Profile: c.Profile, Readers: c.Readers, Partitions: c.Partitions, Cores: len(res.Stats.Runners),
		Exchange: c.Exchange, Records: res.Records,
		Groups: res.Groups, Seconds: res.Elapsed.Seconds(), RecordsPerSecond: res.PerSecond(),
		CPUNsPerRecord: res.CPUNanos(), BuildNsPerRecord: res.Build,
		Checksum: fmt.Sprintf("%016x", res.Sum),
	}
	r.epochs(res.Stats)
	if c.Rival != "" {
		batches, err := w.Batches(1)
		if err != nil {
			return err
		}
		r.Rival, r.RivalNsPerRecord = c.Rival, bench.Rivals[c.Rival](w, batches[0])
		r.Ratio = r.RivalNsPerRecord * r.RecordsPerSecond / 1e9
	}
	return c.print(r, host, res.Stats, std)
}

// print prints a report and the counters that explain it.
func (c *runCmd) print(r runReport, host affinity.Host, st engine.Stats, std streams) error {
	if c.JSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	fmt.Fprintln(std.out, host)
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "readers\tpartitions\tcores\trecords\tgroups\tseconds\trecords/s\tns/record/core\t")
	fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%.2f\t%.1f M\t%.2f\t\n", r.Readers, r.Partitions, r.Cores, r.Records,
		r.Groups, r.Seconds, r.RecordsPerSecond/1e6, r.CPUNsPerRecord)
	table.Flush()
	if r.Profile != "" {
		fmt.Fprintf(std.out, "%s: making the groups took %.2f ns/record/core; checksum %s, as a Go map has it\n",
			r.Profile, r.BuildNsPerRecord, r.Checksum)
	}
	if r.Rival != "" {
		fmt.Fprintf(std.out, "%s: %.2f ns/record; velo is %.1f times as fast\n", r.Rival, r.RivalNsPerRecord, r.Ratio)
	}
	fmt.Fprintf(std.out, "\n%v", st)
	fmt.Fprintln(std.out, "\nall counts add up: read = counted + quarantined, and counted = folded + applied by "+
		"partitions = in the groups")
	return nil
}

// watch reports progress until the time is over or the user interrupts.
func (c *runCmd) watch(eng *engine.Engine, progress io.Writer) {
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
			return
		case <-end.C:
			return
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

// startProfile begins a CPU profile; the returned function ends it, once.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	stopped := false
	return func() {
		if !stopped {
			stopped = true
			pprof.StopCPUProfile()
			f.Close()
		}
	}, nil
}

// rivalNames lists the names of the rivals.
func rivalNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Rivals)), ", ") }

// workloadNames lists the names of the workloads, and streamNames the names of the streams, whose
// records have event time.
func workloadNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Workloads)), ", ") }

func streamNames() string { return strings.Join(slices.Sorted(maps.Keys(bench.Streams)), ", ") }
