package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/perfstat"
)

// diffCmd compares two files of results.
type diffCmd struct {
	A         string   `arg:"" help:"What a command printed with --json, before." type:"path"`
	B         string   `arg:"" help:"The same, after." type:"path"`
	Threshold string   `help:"Changes of so much are of no interest, such as 5%." default:"0%" placeholder:"PERCENT"`
	Figure    []string `help:"Only these figures, such as records_per_second." placeholder:"NAME"`
	JSON      bool     `name:"json" help:"Print one JSON object for each figure instead of a table."`
}

func (c *diffCmd) Run(std streams) error {
	threshold, err := share(c.Threshold)
	if err != nil {
		return cli.Misusef("--threshold %w", err)
	}
	a, err := readResults(c.A)
	if err != nil {
		return err
	}
	b, err := readResults(c.B)
	if err != nil {
		return err
	}
	changes, left := figures.Diff(a, b, threshold)
	if len(c.Figure) > 0 {
		changes = only(changes, c.Figure)
	}
	for _, l := range left {
		fmt.Fprintln(std.err, l)
	}
	if len(changes) == 0 {
		return fmt.Errorf("%s and %s have no figure in common, expected the output of the same command with --json",
			c.A, c.B)
	}
	if c.JSON {
		err = c.printJSON(std, changes, a, b)
	} else {
		err = c.print(std, changes, a, b)
	}
	for _, change := range changes {
		if err == nil && change.Verdict == figures.Worse {
			return errSaysNo
		}
	}
	return err
}

// share reads 5% or 0.05.
func share(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) {
		return 0, fmt.Errorf("%q: expected a share such as 5%% or 0.05", text)
	}
	return v, nil
}

func readResults(name string) ([]figures.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := figures.Read(f, name)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s is empty, expected what veloperf prints with --json", name)
	}
	return all, err
}

func only(changes []figures.Change, names []string) (some []figures.Change) {
	for _, c := range changes {
		for _, n := range names {
			if c.Figure == n {
				some = append(some, c)
			}
		}
	}
	return some
}

// apart says what of the hosts and programs differs, so that the change may not be the code's.
func apart(a, b figures.Result) (differ []string) {
	for _, field := range []string{"host", "cpu", "usable_cpus", "kernel", "system", "go_version"} {
		if x, y := a.Text(field), b.Text(field); x != y {
			differ = append(differ, fmt.Sprintf("%s: %q and %q", field, x, y))
		}
	}
	return differ
}

func (c *diffCmd) printJSON(std streams, changes []figures.Change, a, b []figures.Result) error {
	spoilers := apart(a[0], b[0])
	for _, r := range []figures.Result{a[0], b[0]} {
		spoilers = append(spoilers, r.Texts("spoilers")...)
	}
	out := json.NewEncoder(std.out)
	for _, change := range changes {
		if err := out.Encode(struct {
			stamp
			figures.Change
		}{newStamp(spoilers), change}); err != nil {
			return err
		}
	}
	return nil
}

func (c *diffCmd) print(std streams, changes []figures.Change, a, b []figures.Result) error {
	for i, r := range []figures.Result{a[0], b[0]} {
		fmt.Fprintf(std.out, "%s: %s, commit %.12s, %s, %s\n", []string{"A", "B"}[i], []string{c.A, c.B}[i],
			r.Text("commit"),
			r.Text("time"), r.Text("cpu"))
	}
	for _, d := range apart(a[0], b[0]) {
		fmt.Fprintf(std.out, "not the same: %s\n", d)
	}
	t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	name := ""
	few := false
	for _, x := range changes {
		if x.Name != name {
			name = x.Name
			fmt.Fprintf(t, "\n%s\n", name)
			fmt.Fprintf(t, "  figure\tA\tB\tB / A\tinterval\tp\t\n")
		}
		verdict := x.Verdict
		switch verdict {
		case figures.Same:
			verdict = "~"
		case figures.Few:
			verdict, few = "too few runs", true
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%.3f\t%.3f..%.3f (%s)\t%.3f\t%s\n", x.Figure, short(x.A.Median),
			short(x.B.Median),
			x.Ratio.Ratio, x.Low, x.High, percent(x.Confidence), x.P, verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if few {
		fmt.Fprintf(std.out, "\ntoo few runs to tell a change at %.0f %%: 4 and 4 are the least\n", 100*perfstat.Level)
	}
	for i, all := range [][]figures.Result{a, b} {
		seen := map[string]bool{}
		for _, r := range all {
			for _, s := range r.Texts("spoilers") {
				if !seen[s] {
					seen[s] = true
					fmt.Fprintf(std.out, "%s could be spoilt: %s\n", []string{"A", "B"}[i], s)
				}
			}
		}
	}
	return nil
}
