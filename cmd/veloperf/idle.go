package main

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/bench"
)

// idleCmd measures what an engine costs that has nothing to do.
type idleCmd struct {
	measuring
	Duration time.Duration `help:"How long to watch the engine do nothing, in each run." default:"2s"`
}

func (c *idleCmd) Run(std streams) error {
	s := sizing{Cores: 1}
	err := s.settle()
	if err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.IdlePoint]{
		head: "source\twake-ups/s\tof a core, engine\tof a core, process\tvisible, half within us\tall within us\t",
		cells: func(p bench.IdlePoint) string {
			return fmt.Sprintf("%s\t%.1f\t%.3f %%\t%.3f %%\t%.0f\t%.0f\t", p.Source, p.Wakeups, 100*p.Engine,
				100*p.Process, p.P50, p.Longest)
		},
	}, func(warm bool, each func(bench.IdlePoint)) error {
		if warm {
			return nil // each measurement begins when the engine sleeps
		}
		return bench.Idle(c.Duration, each)
	})
}
