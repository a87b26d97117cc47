package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// runCmd is the canonical workload.
type runCmd struct {
	shape
	Duration   time.Duration `help:"How long to read." default:"10s"`
	Groups     uint64        `help:"Number of keys." default:"100000"`
	Zipf       float64       `help:"Skew of the keys: 0 is uniform, 1.1 is what web traffic looks like." default:"0"`
	Seed       uint64        `help:"Seed of the generator." default:"1"`
	JSON       bool          `name:"json" help:"Print one JSON object instead of the table."`
	CPUProfile string        `name:"cpuprofile" help:"Write a pprof CPU profile to this file." type:"path"`
}

// runReport is what run prints.
type runReport struct {
	Readers          int     `json:"readers"`
	Partitions       int     `json:"partitions"`
	Cores            int     `json:"cores"`
	Records          uint64  `json:"records"`
	Groups           int     `json:"groups"`
	Seconds          float64 `json:"seconds"`
	RecordsPerSecond float64 `json:"records_per_second"`
	CPUNsPerRecord   float64 `json:"cpu_ns_per_record"`
}

func (c *runCmd) Run(std streams) error {
	if err := c.settle(); err != nil {
		return err
	}
	host := affinity.Describe()
	cfg := readers.GeneratorConfig{Seed: c.Seed, Groups: c.Groups, Readers: c.Readers}
	if c.Zipf > 0 {
		cfg.Distribution, cfg.Skew = readers.Zipf, c.Zipf
	}
	var sources []record.Reader
	for i := range c.Readers {
		cfg.Reader = i
		g, err := readers.NewGenerator(cfg)
		if err != nil {
			return err
		}
		sources = append(sources, g)
	}
	plan := &core.Plan{
		Source: readers.GeneratorSchema, Keys: []string{"key"},
		Aggregates: []core.Aggregate{
			{Name: "n", Func: core.Count},
			{Name: "sum", Func: core.Sum, Column: "value"},
			{Name: "min", Func: core.Min, Column: "value"},
			{Name: "max", Func: core.Max, Column: "value"},
		},
	}
	count, err := core.ColumnOf[int64](plan, "n")
	if err != nil {
		return err
	}
	stopProfile, err := startProfile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer stopProfile()
	eng, err := engine.Start(context.Background(), engine.Config{
		Plan: plan, Readers: sources, Partitions: c.Partitions, Cores: c.Cores,
	})
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
	var total int64
	for row := range snap.All() {
		total += count.Of(row)
	}
	if err := addUp(st, uint64(total)); err != nil {
		return err
	}
	n := st.Counters().Counted
	r := runReport{
		Readers: c.Readers, Partitions: c.Partitions, Cores: len(st.Runners), Records: n, Groups: snap.Len(), Seconds: st.Elapsed.Seconds(),
		RecordsPerSecond: float64(n) / st.Elapsed.Seconds(), CPUNsPerRecord: float64(st.CPUTime()) / float64(n),
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	fmt.Fprintln(std.out, host)
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "readers\tpartitions\tcores\trecords\tgroups\tseconds\trecords/s\tns/record/core\t")
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%.2f\t%.1f M\t%.2f\t\n", r.Readers, r.Partitions, r.Cores, r.Records, r.Groups, r.Seconds, r.RecordsPerSecond/1e6, r.CPUNsPerRecord)
	w.Flush()
	fmt.Fprintf(std.out, "\n%v", st)
	fmt.Fprintln(std.out, "\nall counts add up: read = counted + quarantined, and counted = applied = in the groups")
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
				now.Sub(began).Seconds(), float64(in-lastIn)/now.Sub(last).Seconds()/1e6, st.Groups(), depth, full)
			last, lastIn = now, in
		}
	}
}

// addUp says where records were lost or came twice.
func addUp(st engine.Stats, inGroups uint64) error {
	c := st.Counters()
	var applied uint64
	for _, p := range st.Partitions {
		applied += p.Rows
	}
	if c.In != c.Counted+c.Quarantined || c.Counted != applied || applied != inGroups {
		return fmt.Errorf("the counts do not add up: %d read, %d quarantined, %d routed, %d applied, %d in the groups\n%v",
			c.In, c.Quarantined, c.Counted, applied, inGroups, st)
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
