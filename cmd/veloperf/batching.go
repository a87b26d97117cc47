package main

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/cli"
)

// batchingCmd measures latency and throughput over the load, for fixed settings and what adapts.
type batchingCmd struct {
	measuring
	Loads    []float64     `help:"Loads, as parts of the full load." default:"0.01,0.1,0.5"`
	Duration time.Duration `help:"How long to measure each, in each run." default:"500ms"`
}

func (c *batchingCmd) Run(std streams) error {
	for _, load := range c.Loads {
		if !(load > 0 && load < 1) {
			return cli.Misusef("--loads %v: expected more than 0 and less than 1", load)
		}
	}
	s := sizing{Cores: 1}
	if err := s.settle(); err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.BatchingPoint]{
		head: "load\tsetting\trecords/s\tp50 us\tp99 us\tCPUs\t",
		cells: func(p bench.BatchingPoint) string {
			latency := "\t\t"
			if p.P99 > 0 {
				latency = fmt.Sprintf("%.1f\t%.1f\t", p.P50, p.P99)
			}
			return fmt.Sprintf("%.4g %%\t%s\t%.2f M\t%s%.2f\t", 100*p.Load, p.Setting, p.T/1e6, latency, p.CPU)
		},
	}, func(warm bool, each func(bench.BatchingPoint)) error {
		if warm {
			return nil // each measurement warms up by itself
		}
		return bench.RunBatching(c.Loads, c.Duration, each)
	})
}
