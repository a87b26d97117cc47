package main

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/cli"
)

// scaleCmd measures one workload with more and more readers and partitions.
type scaleCmd struct {
	measuring
	Profile  string        `help:"Workload: ${workloads}." default:"u_1k"`
	Max      int           `help:"The greatest number of partitions." default:"16"`
	Readers  int           `help:"The greatest number of readers; 0 is as many as partitions." default:"0"`
	Cores    int           `help:"Cores; 0 is all that may be used." default:"0"`
	Duration time.Duration `help:"How long to measure each, in each run." default:"500ms"`
}

func (c *scaleCmd) Run(std streams) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	s := sizing{Cores: c.Cores}
	if err := s.settle(); err != nil {
		return err
	}
	real := min(s.Cores, realCores())
	return measure(&c.measuring, std, printing[bench.ScalePoint]{
		head: "partitions\treaders\tcores\trecords/s\tns/record/core\tE(n) = T(n) / (n T(1))\tof the best below\t",
		cells: func(p bench.ScalePoint) string {
			e := fmt.Sprintf("%.2f", p.E)
			if p.Beyond {
				e = "beyond the cores"
			}
			return fmt.Sprintf("%d\t%d\t%d\t%.1f M\t%.2f\t%s\t%.2f\t", p.N, p.Readers, p.Cores, p.T/1e6, p.CPUNs, e,
				p.OfMost)
		},
	}, func(warm bool, each func(bench.ScalePoint)) error {
		most := c.Max
		if warm {
			most = 1
		}
		return bench.Scale(w, most, c.Readers, s.Cores, real, c.duration(c.Duration, warm), func(p bench.ScalePoint) {
			p.Profile = c.Profile
			each(p)
		})
	})
}

// realCores is how many cores the usable CPUs belong to.
func realCores() int {
	t, err := affinity.Discover()
	if err != nil || len(t.CPUs) == 0 {
		return 1
	}
	cores := map[int]bool{}
	for _, c := range t.CPUs {
		cores[c.Core] = true
	}
	return len(cores)
}

// modesCmd compares a single goroutine with pinned threads.
type modesCmd struct {
	measuring
	Workload string `help:"Workload: ${workloads}." default:"u_1k"`
	Passes   int    `help:"Times to go through the prepared records, in each run." default:"20"`
}

func (c *modesCmd) Run(std streams) error {
	w, err := workload(c.Workload)
	if err != nil {
		return err
	}
	s := sizing{}
	if err := s.settle(); err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.Mode]{
		head: "mode\trecords\tgroups\trecords/s\tratio\tsame rows\t",
		cells: func(m bench.Mode) string {
			return fmt.Sprintf("%s\t%d\t%d\t%.1f M\t%.2f\t%v\t", m.Name, m.Rows, m.Groups, m.T/1e6, m.Ratio, m.Same)
		},
	}, func(warm bool, each func(bench.Mode)) error {
		passes, same := c.Passes, true
		if warm {
			passes = 1
		}
		err := bench.Modes(w, passes, func(m bench.Mode) {
			same = same && m.Same
			each(m)
		})
		if err == nil && !same {
			err = fmt.Errorf("the modes do not have the same rows")
		}
		return err
	})
}

// locksCmd compares velo with state that is shared under locks.
type locksCmd struct {
	measuring
	Writers  int           `help:"Writers; 0 is one for each core." default:"0"`
	Duration time.Duration `help:"How long to measure each, in each run." default:"500ms"`
}

func (c *locksCmd) Run(std streams) error {
	s := sizing{Readers: c.Writers}
	if err := s.settle(); err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.Lock]{
		head: "way\twriters\trecords/s\tp99 of an update\twaited for locks\t",
		cells: func(l bench.Lock) string {
			p99 := "-"
			if l.P99 > 0 {
				p99 = fmt.Sprintf("%.0f ns", l.P99)
			}
			return fmt.Sprintf("%s\t%d\t%.1f M\t%s\t%.1f %%\t", l.Impl, l.Writers, l.T/1e6, p99, 100*l.LockShare)
		},
	}, func(warm bool, each func(bench.Lock)) error {
		return bench.Locks(s.Readers, c.duration(c.Duration, warm), each)
	})
}

// readersCmd measures readers whose sources answer late.
type readersCmd struct {
	measuring
	Max      int           `help:"The greatest number of readers." default:"4"`
	Latency  time.Duration `help:"What a source takes for a batch." default:"1ms"`
	Rows     int           `help:"Records of a batch." default:"1000"`
	Duration time.Duration `help:"How long to measure each, in each run." default:"500ms"`
}

func (c *readersCmd) Run(std streams) error {
	s := sizing{}
	if err := s.settle(); err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.SlowPoint]{
		head: "readers\trecords/s\tspeedup\t",
		cells: func(p bench.SlowPoint) string {
			return fmt.Sprintf("%d\t%.2f M\t%.2f\t", p.Readers, p.T/1e6, p.Speedup)
		},
	}, func(warm bool, each func(bench.SlowPoint)) error {
		return bench.SlowReaders(c.Max, c.Latency, c.Rows, s.Cores, c.duration(c.Duration, warm), each)
	})
}

// workload finds a workload by its name.
func workload(name string) (bench.Workload, error) {
	w, ok := bench.Workloads[name]
	if !ok {
		return w, cli.Misusef("no workload %q, expected one of %s", name, workloadNames())
	}
	return w, nil
}
