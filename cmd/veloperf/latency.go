package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/bench"
)

// latencyCmd measures the time from Send to a snapshot.
type latencyCmd struct {
	Rate     int           `help:"Records a second, sent whether the engine keeps up or not." default:"1000000"`
	Duration time.Duration `help:"How long to send." default:"5s"`
	JSON     bool          `name:"json" help:"Print one JSON object instead of a table."`
}

func (c *latencyCmd) Run(std streams) error {
	if c.Rate < 1 {
		return fmt.Errorf("--rate %d: expected at least 1", c.Rate)
	}
	s := shape{Cores: 1}
	if err := s.settle(); err != nil {
		return err
	}
	l, err := bench.Latencies(c.Rate, c.Duration)
	if err != nil {
		return err
	}
	if l.Seen < l.Sent {
		err = fmt.Errorf("%d of %d records were seen", l.Seen, l.Sent)
	}
	if c.JSON {
		return errors.Join(json.NewEncoder(std.out).Encode(l), err)
	}
	fmt.Fprintf(std.out, "%d records at %d a second, %d epochs, %.0f ns for a Send\n", l.Sent, l.Rate, l.Epochs,
		l.SendNs)
	fmt.Fprintf(std.out, "from due to visible: half within %.0f us, 99 %% within %.0f, 99.9 %% within %.0f, 99.99 "+
		"%% within %.0f, the longest %.0f\n", l.P50, l.P99, l.P999, l.P9999, l.Max)
	fmt.Fprintf(std.out, "the same loop without an engine: 99.99 %% within %.0f us\n", l.IdleGap)
	return err
}
