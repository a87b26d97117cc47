package main

import (
	"fmt"
	"io"
	"time"

	"github.com/velo-engine/velo/bench"
)

// snapshotCmd measures what snapshots cost.
type snapshotCmd struct {
	measuring
	Readers    int           `help:"Readers." default:"1"`
	Partitions int           `help:"Partitions." default:"1"`
	Cores      int           `help:"Cores of the engine; one should be left for the reader of the snapshots." default:"1"`
	Profile    string        `help:"Workload: ${workloads}." default:"u_100k"`
	Interval   time.Duration `help:"From one snapshot to the next; it is not stretched." default:"100ms"`
	Duration   time.Duration `help:"How long to measure the throughput, in each run." default:"2s"`
	Rivals     bool          `help:"Then measure other ways to read what is being written: maps under locks, a map that is copied, sync.Map, Workiva's ctrie."`
}

func (c *snapshotCmd) Run(std streams) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	s := sizing{Readers: c.Readers, Partitions: c.Partitions, Cores: c.Cores}
	if err := s.settle(); err != nil {
		return err
	}
	err = measure(&c.measuring, std, printing[bench.SnapshotCost]{text: printSnapshot},
		func(warm bool, each func(bench.SnapshotCost)) error {
			if warm {
				return nil // the engine settles in each run before it is measured
			}
			r, err := bench.Snapshots(w, c.Readers, c.Partitions, s.Cores, c.Interval, c.Duration)
			if err != nil {
				return err
			}
			r.Profile = c.Profile
			each(r)
			return nil
		})
	if err != nil || !c.Rivals {
		return err
	}
	return measure(&c.measuring, std, printing[bench.SharedState]{
		head: "\trecords/s\twith snapshots\tlost\tone takes\tget\tallocations\tlost to 1 M gets/s\tconsistent\t",
		cells: func(s bench.SharedState) string {
			return fmt.Sprintf("%s\t%.1f M\t%.1f M\t%.0f %%\t%.0f us\t%.0f ns\t%.2g\t%.0f %%\t%v\t", s.Impl,
				s.Baseline/1e6,
				s.T/1e6, 100*s.Loss, s.Snapshot, s.GetNs, s.AllocsPerGet, 100*s.GetLoss, s.Consistent)
		},
	}, func(warm bool, each func(bench.SharedState)) error {
		if warm {
			return nil // each way makes its groups before it is measured
		}
		return bench.SnapshotRivals(w, c.Interval, c.Duration/4, func(s bench.SharedState) {
			s.Profile = c.Profile
			each(s)
		})
	})
}

func printSnapshot(w io.Writer, r bench.SnapshotCost) {
	fmt.Fprintf(w, "%s: %d groups, %.1f MiB; a snapshot each %.1f ms (%d)\n", r.Profile, r.Groups,
		float64(r.StateBytes)/(1<<20), r.Achieved, r.Snapshots)
	fmt.Fprintf(w, "%.1f M records/s without, %.1f M with: %.1f %% lost\n", r.Baseline/1e6, r.T/1e6, 100*r.Loss)
	fmt.Fprintf(w, "snapshot, get, close from another core: %.0f ns, %.2g allocations; a million a second "+
		"cost the writers %.1f %%\n", r.GetNs, r.AllocsPerGet, 100*r.GetLoss)
	fmt.Fprintf(w, "sync: half within %.0f us, 99 %% within %.0f us\n", r.SyncP50, r.SyncP99)
}
