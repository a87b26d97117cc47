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
	"strconv"
	"time"
)

// ringCmd measures the ring beside its rivals. The rivals live in a module of their own, so that
// programs that embed velo do not depend on them. So this command needs the source tree and Go.
type ringCmd struct {
	Peers    string        `help:"The directory bench/peers of the source tree." default:"bench/peers" type:"path"`
	Passes   int           `help:"How often each measurement is made; the median counts." default:"5"`
	Duration time.Duration `help:"How long each measurement takes." default:"300ms"`
	Only     string        `help:"Regular expression of the measurements to make, as impl/case."`
	JSON     bool          `name:"json" help:"Print one JSON object for each measurement instead of a table."`
}

// ringRow is a line of ringpeers.
type ringRow struct {
	Impl      string  `json:"impl"`
	Case      string  `json:"case"`
	ItemBytes int     `json:"item_bytes"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	Passes    int     `json:"passes"`
}

func (c *ringCmd) Run(std streams) error {
	if _, err := os.Stat(filepath.Join(c.Peers, "go.mod")); err != nil {
		return fmt.Errorf("the rivals are in bench/peers of velo's source tree; run this there, or say where it is "+
			"with --peers: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	args := []string{"run", "./ring", "--passes", strconv.Itoa(c.Passes), "--seconds", fmt.Sprint(c.Duration.Seconds())}
	if c.Only != "" {
		args = append(args, "--only", c.Only)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = c.Peers, std.err
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	out := newReport(std, c.JSON, "implementation\tcase\titem\tmedian\tleast\tmost\t\tpasses\t")
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		var r ringRow
		err = json.Unmarshal(lines.Bytes(), &r)
		if err != nil {
			err = fmt.Errorf("what the rivals printed is no figure: %.80q: %w", lines.Bytes(), err)
			io.Copy(io.Discard, pipe)
			break
		}
		out.row(r, "%s\t%s\t%d B\t%.1f\t%.1f\t%.1f\t%s\t%d\t\n", r.Impl, r.Case, r.ItemBytes, r.Value, r.Min, r.Max,
			r.Unit, r.Passes)
	}
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	return out.end(err)
}
