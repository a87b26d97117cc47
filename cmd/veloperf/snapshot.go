package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/bench"
)

// snapshotCmd measures what snapshots cost.
type snapshotCmd struct {
	Readers    int           `help:"Readers." default:"1"`
	Partitions int           `help:"Partitions." default:"1"`
	Cores      int           `help:"Cores of the engine; one should be left for the reader of the snapshots." default:"1"`
	Profile    string        `help:"Workload: ${workloads}." default:"u_100k"`
	Interval   time.Duration `help:"From one snapshot to the next; it is not stretched." default:"100ms"`
	Duration   time.Duration `help:"How long to measure the throughput." default:"6s"`
	Rivals     bool          `help:"Then measure other ways to read what is being written: maps under locks, a map that is copied, sync.Map, Workiva's ctrie."`
	JSON       bool          `name:"json" help:"Print one JSON object a line instead of a table."`
}

func (c *snapshotCmd) Run(std streams) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	s := shape{Readers: c.Readers, Partitions: c.Partitions, Cores: c.Cores}
	if err := s.settle(); err != nil {
		return err
	}
	r, err := bench.Snapshots(w, c.Readers, c.Partitions, s.Cores, c.Interval, c.Duration)
	if err != nil {
		return err
	}
	r.Profile = c.Profile
	if c.JSON {
		out := json.NewEncoder(std.out)
		if err := out.Encode(r); err != nil || !c.Rivals {
			return err
		}
		failed := c.rivals(w, func(s bench.SharedState) { err = errors.Join(err, out.Encode(s)) })
		return errors.Join(failed, err)
	}
	fmt.Fprintf(std.out, "%s: %d groups, %.1f MiB; a snapshot each %.1f ms (%d)\n", r.Profile, r.Groups,
		float64(r.StateBytes)/(1<<20), r.Achieved, r.Snapshots)
	fmt.Fprintf(std.out, "%.1f M records/s without, %.1f M with: %.1f %% lost\n", r.Baseline/1e6, r.T/1e6, 100*r.Loss)
	fmt.Fprintf(std.out, "snapshot, get, close from another core: %.0f ns, %.2g allocations; a million a second "+
		"cost the writers %.1f %%\n", r.GetNs, r.AllocsPerGet, 100*r.GetLoss)
	fmt.Fprintf(std.out, "sync: half within %.0f us, 99 %% within %.0f us\n", r.SyncP50, r.SyncP99)
	if !c.Rivals {
		return nil
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tM records/s\twith snapshots\tlost\tone takes\tget\tallocations\tlost to 1 M "+
		"gets/s\tconsistent\t\n")
	fmt.Fprintf(t, "velo\t%.1f\t%.1f\t%.0f %%\t%.0f us\t%.0f ns\t%.2g\t%.0f %%\t%v\t\n",
		r.Baseline/1e6, r.T/1e6, 100*r.Loss, r.SyncP50, r.GetNs, r.AllocsPerGet, 100*r.GetLoss, true)
	if err := c.rivals(w, func(s bench.SharedState) {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.0f %%\t%.0f us\t%.0f ns\t%.2g\t%.0f %%\t%v\t\n",
			s.Impl, s.Baseline/1e6, s.T/1e6, 100*s.Loss, s.Snapshot, s.GetNs, s.AllocsPerGet, 100*s.GetLoss,
			s.Consistent)
	}); err != nil {
		return err
	}
	return t.Flush()
}

func (c *snapshotCmd) rivals(w bench.Workload, each func(bench.SharedState)) error {
	return bench.SnapshotRivals(w, c.Interval, c.Duration/4, func(s bench.SharedState) {
		s.Profile = c.Profile
		each(s)
	})
}
