package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/velo-engine/velo/internal/cli"
)

// ringCmd measures the ring beside its rivals. The rivals live in a module of their own, so that
// programs that embed velo do not depend on them. So this command needs the source tree and Go.
type ringCmd struct {
	measuring
	Peers    string        `help:"The directory bench/peers of the source tree." default:"bench/peers" type:"path"`
	Duration time.Duration `help:"How long each measurement takes, in each run." default:"300ms"`
	Only     string        `help:"Regular expression of the measurements to make, as impl/case."`
}

// ringRow is a line of ringpeers.
type ringRow struct {
	Impl      string  `json:"impl"`
	Case      string  `json:"case"`
	ItemBytes int     `json:"item_bytes"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
}

func (c *ringCmd) Run(std streams) error {
	if _, err := os.Stat(filepath.Join(c.Peers, "go.mod")); err != nil {
		return fmt.Errorf("the rivals are in bench/peers of velo's source tree; run this there, or say where it is "+
			"with --peers: %w", err)
	}
	_, err := regexp.Compile(c.Only)
	if err != nil {
		return cli.Misusef("--only %s: %w", c.Only, err)
	}
	if c.profiling.any() || c.Counters {
		return cli.Misusef("the rivals run in a program of their own: profile that, with go run ./ring --cpuprofile " +
			"FILE")
	}
	meter := newMeter()
	end := meter.begin()
	results, err := c.results(std)
	end()
	return finish(&c.measuring, std, printing[ringRow]{
		head: "implementation\tcase\titem\tmedian\t\t",
		cells: func(r ringRow) string {
			return fmt.Sprintf("%s\t%s\t%d B\t%.1f\t%s\t", r.Impl, r.Case, r.ItemBytes, r.Value, r.Unit)
		},
	}, meter, results, err)
}

// results runs the other program, which makes the runs itself: it compares only those that were
// made with the same distance between the two CPUs.
func (c *ringCmd) results(std streams) (results [][]ringRow, err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	args := []string{
		"run", "./ring", "--passes", strconv.Itoa(c.Runs), "--seconds", fmt.Sprint(c.Duration.Seconds()),
	}
	if c.Only != "" {
		args = append(args, "--only", c.Only)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = c.Peers, std.err
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		var r struct {
			ringRow
			Samples []float64 `json:"samples"`
		}
		err = json.Unmarshal(lines.Bytes(), &r)
		if err != nil {
			err = fmt.Errorf("what the rivals printed is no figure: %.80q: %w", lines.Bytes(), err)
			io.Copy(io.Discard, pipe)
			break
		}
		var runs []ringRow
		for _, v := range r.Samples {
			r.Value = v
			runs = append(runs, r.ringRow)
		}
		results = append(results, runs)
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	return results, err
}
