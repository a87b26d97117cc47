package main

import (
	"fmt"
	"io"
	"time"

	"github.com/velo-engine/velo/bench"
)

// latencyCmd measures the time from Send to a snapshot.
type latencyCmd struct {
	measuring
	Rate     int           `help:"Records a second, sent whether the engine keeps up or not." default:"1000000"`
	Duration time.Duration `help:"How long to send, in each run." default:"2s"`
}

func (c *latencyCmd) Run(std streams) error {
	s := sizing{Cores: 1}
	if err := s.settle(); err != nil {
		return err
	}
	return measure(&c.measuring, std, printing[bench.Latency]{text: printLatency},
		func(warm bool, each func(bench.Latency)) error {
			l, err := bench.Latencies(c.Rate, c.duration(c.Duration, warm))
			if err != nil {
				return err
			}
			each(l)
			if l.Seen < l.Sent {
				return fmt.Errorf("%d of %d records were seen", l.Seen, l.Sent)
			}
			return nil
		})
}

func printLatency(w io.Writer, l bench.Latency) {
	fmt.Fprintf(w, "%d records at %d a second, %d epochs, %.0f ns for a Send\n", l.Sent, l.Rate, l.Epochs, l.SendNs)
	fmt.Fprintf(w, "from due to visible: half within %.0f us, 99 %% within %.0f, 99.9 %% within %.0f, 99.99 "+
		"%% within %.0f, the longest %.0f\n", l.P50, l.P99, l.P999, l.P9999, l.Max)
	fmt.Fprintf(w, "the same loop without an engine: 99.99 %% within %.0f us\n", l.IdleGap)
}
