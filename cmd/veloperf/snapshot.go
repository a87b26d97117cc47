package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/velo-engine/velo/bench"
)

// snapshotCmd measures what snapshots cost.
type snapshotCmd struct {
	Readers    int           `help:"Readers." default:"1"`
	Partitions int           `help:"Partitions." default:"1"`
	Cores      int           `help:"Cores of the engine; one should be left for who reads the snapshots." default:"1"`
	Profile    string        `help:"Workload: ${workloads}." default:"u_100k"`
	Interval   time.Duration `help:"From one snapshot to the next; it is not stretched." default:"100ms"`
	Duration   time.Duration `help:"How long to measure the throughput." default:"6s"`
	JSON       bool          `name:"json" help:"Print one JSON object instead of a table."`
}

func (c *snapshotCmd) Run(std streams) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	s := shape{c.Readers, c.Partitions, c.Cores}
	if err := s.settle(); err != nil {
		return err
	}
	r, err := bench.Snapshots(w, c.Readers, c.Partitions, s.Cores, c.Interval, c.Duration)
	if err != nil {
		return err
	}
	r.Profile = c.Profile
	if c.JSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	fmt.Fprintf(std.out, "%s: %d groups, %.1f MiB; a snapshot each %.1f ms (%d)\n", r.Profile, r.Groups, float64(r.StateBytes)/(1<<20), r.Achieved, r.Snapshots)
	fmt.Fprintf(std.out, "%.1f M records/s without, %.1f M with: %.1f %% lost\n", r.Baseline/1e6, r.T/1e6, 100*r.Loss)
	fmt.Fprintf(std.out, "snapshot, get, close from another core: %.0f ns, %.2g allocations; a million a second cost the writers %.1f %%\n", r.GetNs, r.AllocsPerGet, 100*r.GetLoss)
	fmt.Fprintf(std.out, "sync: half within %.0f us, 99 %% within %.0f us\n", r.SyncP50, r.SyncP99)
	return nil
}
