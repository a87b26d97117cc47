package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/internal/perfstat"
)

// validateCmd goes through the list by which velo is accepted.
type validateCmd struct {
	Source   string        `help:"velo's source tree, for vet and the tests." default:"." type:"path"`
	Tests    string        `help:"Arguments of go test." default:"-short ./..."`
	Profile  string        `help:"Workload of the measured lines: ${workloads}." default:"u_1k"`
	Duration time.Duration `help:"How long each part of a line runs." default:"500ms"`
	Runs     int           `help:"How often throughput and efficiency are measured." default:"5"`
	Watch    time.Duration `help:"How long to look for a deadlock." default:"5s"`
	Settle   time.Duration `help:"What the engine's pool takes to give memory back." default:"11s" hidden:""`
	Engines  int           `help:"How many engines are started to look for leaks, twice." default:"40" hidden:""`
	Only     []string      `help:"Only these lines, by their names: ${checks}." placeholder:"NAME"`
	JSON     bool          `name:"json" help:"Print one JSON object for each line instead of a table."`
}

// These are the answers of a line.
const (
	pass = "pass"
	fail = "FAIL"
	// notRun is for lines that need what is not here, such as the source tree. It is no pass.
	notRun = "not run"
)

// A verdict is one line of the list.
type verdict struct {
	Name    string  `json:"name"`
	Ran     string  `json:"ran"`    // what was run
	Figure  string  `json:"figure"` // what came out
	Expect  string  `json:"expected"`
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
}

// A check fills in what was run, the figure and the result.
type check struct {
	name   string
	expect string
	run    func(*validateCmd, context.Context, *verdict) error
}

const (
	// planRecordsPerSecond is what the engine before velo did with its own query, which is the
	// workload seed.
	planRecordsPerSecond = 68_000
	planFactor           = 4
	leastEfficiency      = 0.85
)

var checks = []check{
	{"warnings", "none", (*validateCmd).warnings},
	{"tests", "all pass", (*validateCmd).tests},
	{
		"throughput", fmt.Sprintf("%d times the %d records/s of the plan", planFactor, planRecordsPerSecond),
		(*validateCmd).throughput,
	},
	{"efficiency", fmt.Sprintf("%.0f %% up to the real cores", 100*leastEfficiency), (*validateCmd).efficiency},
	{"locks", "no goroutine of the data path waits for one", (*validateCmd).locks},
	{"twin", "the same rows as a single goroutine", (*validateCmd).twin},
	{"queues", "bounded, and empty at rest", (*validateCmd).queues},
	{"readers", "end by themselves", (*validateCmd).readersEnd},
	{"leaks", "no memory, goroutine or mapping is left", (*validateCmd).leaks},
	{"deadlock", "records come in each second of the watch", (*validateCmd).deadlock},
}

func checkNames() string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

func (c *validateCmd) Run(std streams) error {
	s := sizing{}
	if err := s.settle(); err != nil {
		return err
	}
	for _, name := range c.Only {
		if !slices.ContainsFunc(checks, func(x check) bool { return x.name == name }) {
			return cli.Misusef("--only %s: expected some of %s", name, checkNames())
		}
	}
	if _, err := workload(c.Profile); err != nil {
		return err
	}
	all := true
	meter := newMeter()
	bench.Observe = meter.begin
	defer func() { bench.Observe = nil }()
	out := json.NewEncoder(std.out)
	for i, x := range checks {
		if len(c.Only) > 0 && !slices.Contains(c.Only, x.name) {
			continue
		}
		meter.run = i + 1
		v := verdict{Name: x.name, Expect: x.expect}
		begin := time.Now()
		if err := x.run(c, context.Background(), &v); err != nil {
			v.Result, v.Figure = fail, strings.TrimSpace(v.Figure+" "+err.Error())
		}
		v.Seconds = time.Since(begin).Seconds()
		all = all && v.Result == pass
		if c.JSON {
			if err := out.Encode(struct {
				stamp
				verdict
			}{newStamp(append(meter.setup, meter.during(i+1)...)), v}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(std.out, "%-7s %s: %s\n        ran      %s (%.1f s)\n        expected %s\n", v.Result, v.Name,
			v.Figure, v.Ran,
			v.Seconds, v.Expect)
		for _, s := range meter.during(i + 1) {
			fmt.Fprintf(std.out, "        spoiled  %s\n", s)
		}
	}
	if !all {
		return errSaysNo
	}
	return nil
}

// decide sets the result.
func (v *verdict) decide(ok bool, figure string, args ...any) {
	v.Figure, v.Result = fmt.Sprintf(figure, args...), fail
	if ok {
		v.Result = pass
	}
}

// goTool runs the go command in the source tree. ran is false if there is no tree or no Go.
func (c *validateCmd) goTool(ctx context.Context, v *verdict, args ...string) (output string, ran bool, err error) {
	v.Ran = "go " + strings.Join(args, " ")
	mod, err := os.ReadFile(filepath.Join(c.Source, "go.mod"))
	if err != nil || !bytes.Contains(mod, []byte("module github.com/velo-engine/velo\n")) {
		v.Result, v.Figure = notRun, fmt.Sprintf("%s is not velo's source tree; say where it is with --source",
			c.Source)
		return "", false, nil
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		v.Result, v.Figure = notRun, "there is no go command"
		return "", false, nil
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = c.Source
	text, err := cmd.CombinedOutput()
	return string(text), true, err
}

func (c *validateCmd) warnings(ctx context.Context, v *verdict) error {
	out, ran, err := c.goTool(ctx, v, "vet", "./...")
	if !ran {
		return nil
	}
	warnings := 0
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			warnings++
		}
	}
	v.decide(err == nil && warnings == 0, "%d warnings%s", warnings, first(out, "# ", err))
	return nil
}

func (c *validateCmd) tests(ctx context.Context, v *verdict) error {
	out, ran, err := c.goTool(ctx, v, append([]string{"test"}, strings.Fields(c.Tests)...)...)
	if !ran {
		return nil
	}
	passed, failed := 0, 0
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "ok "):
			passed++
		case strings.HasPrefix(line, "FAIL\t"):
			failed++
		}
	}
	v.decide(err == nil && passed > 0, "%d packages pass, %d fail%s", passed, failed, first(out, "ok ", err))
	return nil
}

// first is the first line of an output that ended with an error and does not begin with skip.
func first(out, skip string, err error) string {
	if err == nil {
		return ""
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, skip) && !strings.HasPrefix(line, "?") && strings.TrimSpace(line) != "" {
			return ": " + strings.TrimSpace(line)
		}
	}
	return ": " + err.Error()
}

func (c *validateCmd) throughput(_ context.Context, v *verdict) error {
	n := realCores()
	v.Ran = fmt.Sprintf("the workload seed, %d partitions, %d runs", n, c.Runs)
	var rates []float64
	for range c.Runs {
		res, err := bench.Workloads["seed"].Run(n, n, n, c.Duration, nil)
		if err != nil {
			return err
		}
		rates = append(rates, res.PerSecond())
	}
	s := perfstat.Summarize(rates)
	ratio := s.Median / planRecordsPerSecond
	v.decide(ratio >= planFactor, "%.1f M records/s, %s..%s, %.0f times the plan's", s.Median/1e6, short(s.Min),
		short(s.Max), ratio)
	return nil
}

// efficiency takes the median over pairs of runs that follow each other, so that a slow moment of
// the host touches both alike.
func (c *validateCmd) efficiency(_ context.Context, v *verdict) error {
	cores := realCores()
	v.Ran = fmt.Sprintf("scale --profile %s, %d runs, up to %d real cores", c.Profile, c.Runs, cores)
	if cores < 2 {
		v.Result, v.Figure = notRun, "there is one real core"
		return nil
	}
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	points := map[int][]float64{}
	for range c.Runs {
		err := bench.Scale(w, cores, 0, cores, cores, c.Duration, func(p bench.ScalePoint) {
			points[p.N] = append(points[p.N], p.E)
		})
		if err != nil {
			return err
		}
	}
	ok := true
	var text []string
	for n := 2; n <= cores; n *= 2 {
		s := perfstat.Summarize(points[n])
		const most = 1.2 // more cannot be: what it is relative to was disturbed
		ok = ok && s.Median >= leastEfficiency && s.Median <= most
		text = append(text, fmt.Sprintf("E(%d) = %.2f, %.2f..%.2f", n, s.Median, s.Min, s.Max))
	}
	v.decide(ok, "%s", strings.Join(text, "; "))
	return nil
}

func (c *validateCmd) twin(_ context.Context, v *verdict) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	v.Ran = "modes --workload " + c.Profile + " --passes 2"
	modes, same := 0, 0
	err = bench.Modes(w, 2, func(m bench.Mode) {
		modes++
		if m.Same {
			same++
		}
	})
	if err != nil {
		return err
	}
	v.decide(same == modes && modes > 1, "%d of %d modes have the same rows", same, modes)
	return nil
}

var errNotEnded = errors.New("it has not ended")

// within runs f, and says if it takes longer than it may.
func within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("after %v: %w", limit, errNotEnded)
	}
}
