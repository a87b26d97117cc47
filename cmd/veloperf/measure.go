package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/internal/doctor"
	"github.com/velo-engine/velo/internal/figures"
)

// measuring are the flags of every command that measures.
type measuring struct {
	Runs    int           `help:"How often to measure; figures are medians over the runs." default:"5"`
	Warmup  time.Duration `help:"How long to warm up before the first run; 0 is not at all." default:"200ms"`
	JSON    bool          `name:"json" help:"Print JSON objects, one a line, instead of text."`
	Verbose bool          `help:"Show each line of a table on standard error as it is measured."`
	profiling
	Counters bool `help:"Count cycles, cache misses, context switches and the like for each record and thread."`
}

// duration is how long a part is measured: d, and in the warm-up not longer than that takes.
func (m *measuring) duration(d time.Duration, warm bool) time.Duration {
	if warm {
		return min(d, m.Warmup)
	}
	return d
}

// errInterrupted ends the runs; what was measured before counts. The exit status is 4.
var errInterrupted = errors.New("interrupted")

// A printing says how results of one kind are printed: as lines of a table, or each as a text.
type printing[T any] struct {
	head  string         // the columns of the table, each with a tab after it
	cells func(T) string // a line of it, ends with a tab
	text  func(io.Writer, T)
	// ends says that a pass ends by itself at an interrupt, and returns errInterrupted.
	ends bool
}

// A gathering has the results of all runs so far. A pass adds to it on a goroutine of its own, so
// that an interrupt need not wait for the pass.
type gathering[T any] struct {
	meter *meter
	// shown has the results line by line as they come; nil if they are not shown.
	shown io.Writer
	p     printing[T]
	begun time.Time

	mu      sync.Mutex
	results [][]T // of each thing that is measured, by run
	n       int   // how many things this run has measured
	over    bool  // an interrupt has ended it: what comes after that is not taken
}

// add takes one result.
func (g *gathering[T]) add(v T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	if g.n == len(g.results) {
		g.results = append(g.results, nil)
	}
	g.results[g.n] = append(g.results[g.n], v)
	g.meter.counted(g.n)
	if g.shown != nil && g.p.cells != nil {
		if g.n == 0 {
			fmt.Fprintln(g.shown, "   after  "+spaced(g.p.head))
		}
		fmt.Fprintf(g.shown, "%6.1f s  %s\n", time.Since(g.begun).Seconds(), spaced(g.p.cells(v)))
	}
	g.n++
}

// spaced is a line of a table that is printed before the lines that come after it are known.
func spaced(cells string) string {
	return strings.Join(strings.Split(strings.TrimSuffix(cells, "\t"), "\t"), "  ")
}

// observe is the meter's begin. After an interrupt nothing is noted.
func (g *gathering[T]) observe() (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return func() {}
	}
	stop := g.meter.begin()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !g.over {
			stop()
		}
	}
}

// run makes one run. If ctx ends, it does not wait for the pass unless the pass ends by itself.
func (g *gathering[T]) run(ctx context.Context, pass func(warm bool, each func(T)) error, warm bool) error {
	ended := make(chan error, 1)
	go func() {
		if warm {
			ended <- pass(true, func(T) {})
			return
		}
		ended <- pass(false, g.add)
	}()
	if g.p.ends && !warm {
		return <-ended
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		g.over = true
		return errInterrupted
	}
}

// measure calls pass for the warm-up and then for each run. A pass measures the same things in the
// same order and hands each over. The results of all runs are combined and printed. After an
// interrupt what was measured before is printed, and the error is errInterrupted.
func measure[T any](m *measuring, std streams, p printing[T], pass func(warm bool, each func(T)) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program
	err := m.profiling.check()
	if err != nil {
		return err
	}
	meter := newMeter()
	g := &gathering[T]{meter: meter, p: p, begun: time.Now()}
	if _, _, terminal := cli.TerminalSize(std.err); terminal || m.Verbose {
		g.shown = std.err
	}
	if m.Warmup > 0 {
		err := g.run(ctx, pass, true)
		if err != nil {
			return err
		}
	}
	meter.profiles, err = m.profiling.start(std.err)
	if err != nil {
		return err
	}
	if m.Counters {
		err := meter.count(std.err)
		if err != nil {
			return err
		}
	}
	bench.Observe = g.observe
	for run := 1; run <= m.Runs && err == nil; run++ {
		if m.Runs > 1 {
			fmt.Fprintf(std.err, "run %d of %d\n", run, m.Runs)
		}
		meter.run, g.n = run, 0
		err = g.run(ctx, pass, false)
	}
	var perr error
	switch {
	case g.over && meter.profiles != nil:
		fmt.Fprintln(std.err, "interrupted: the profiles are not written")
	case err == nil || errors.Is(err, errInterrupted):
		perr = meter.profiles.finish()
	}
	if !g.over { // the pass has ended
		bench.Observe = nil
	}
	return errors.Join(finish(m, std, p, meter, g.results, err), perr)
}

// finish combines and prints the results of each thing that was measured, by run. It returns err,
// and what else went wrong.
func finish[T any](m *measuring, std streams, p printing[T], meter *meter, results [][]T, err error) error {
	if len(results) == 0 {
		return err
	}
	var all []combined[T]
	for i, runs := range results {
		c, cerr := combine(runs)
		if cerr != nil {
			return errors.Join(err, cerr)
		}
		c.counters = meter.perRecord(i, c.fields)
		all = append(all, c)
	}
	if m.JSON {
		return errors.Join(err, printJSON(std.out, all, meter))
	}
	return errors.Join(err, printText(std.out, all, p, meter))
}

// A meter watches the host while something is measured.
type meter struct {
	usable   []int
	setup    []string // what could spoil figures before anything ran
	run      int
	spoilers map[int][]string // by run
	profiles *profiles
	counting counting
}

func newMeter() *meter {
	usable, _ := affinity.Usable() // if they are not known, nothing is watched
	return &meter{
		usable: usable, setup: doctor.Setup(affinity.System(), usable), run: 1, spoilers: map[int][]string{},
	}
}

// begin begins a measured part, of which a run may have several.
func (m *meter) begin() (end func()) {
	profiled := m.profiles.begin()
	counted := m.counting.begin()
	watch := doctor.StartWatch(affinity.System(), m.usable)
	return func() {
		counted()
		defer profiled()
		for _, s := range watch.Stop() {
			if !slices.Contains(m.spoilers[m.run], s) {
				m.spoilers[m.run] = append(m.spoilers[m.run], s)
			}
		}
	}
}

// spoiled are the runs that were spoiled.
func (m *meter) spoiled() []int { return slices.Sorted(maps.Keys(m.spoilers)) }

// lines says of each run what spoiled it.
func (m *meter) lines() (lines []string) {
	for _, run := range m.spoiled() {
		for _, s := range m.during(run) {
			lines = append(lines, fmt.Sprintf("run %d: %s", run, s))
		}
	}
	return lines
}

// during says what spoiled a run, the worst of each kind.
func (m *meter) during(run int) (lines []string) {
	for _, s := range m.spoilers[run] {
		kind, _, _ := strings.Cut(s, ":")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, kind+":") })
		if i < 0 {
			lines = append(lines, s)
		} else {
			lines[i] = max(lines[i], s)
		}
	}
	return lines
}

// combined is one result over all runs.
type combined[T any] struct {
	value      T
	fields     map[string]any
	figures    map[string]figures.Figure
	impossible []string
	counters   *countersReport // nil without --counters
}

func combine[T any](runs []T) (c combined[T], err error) {
	var maps []map[string]any
	for _, r := range runs {
		text, err := json.Marshal(r)
		if err != nil {
			return c, fmt.Errorf("a figure is none, as if nothing had been measured; measure for longer: %w", err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			return c, err
		}
		maps = append(maps, m)
	}
	c.fields, c.figures = figures.Combine(maps)
	c.impossible = figures.Impossible(c.fields)
	text, err := json.Marshal(c.fields)
	if err == nil {
		err = json.Unmarshal(text, &c.value)
	}
	return c, err
}

func printJSON[T any](w io.Writer, all []combined[T], m *meter) error {
	text, err := json.Marshal(newStamp(append(m.setup, m.lines()...)))
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	for _, c := range all {
		object := maps.Clone(c.fields)
		if err := json.Unmarshal(text, &object); err != nil { // adds the fields of the stamp
			return err
		}
		runs := 0
		for _, f := range c.figures {
			runs = f.N
		}
		object["runs"], object["figures"] = runs, c.figures
		if c.counters != nil {
			object["counters"] = c.counters
		}
		object["spoiled_runs"], object["impossible"] = append([]int{}, m.spoiled()...), append([]string{},
			c.impossible...)
		if err := out.Encode(object); err != nil {
			return err
		}
	}
	return nil
}

func printText[T any](w io.Writer, all []combined[T], p printing[T], m *meter) error {
	fmt.Fprintln(w, affinity.Describe().Line())
	if p.text == nil && len(all) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		name := figures.Leading(all[0].figures)
		lead := all[0].figures[name]
		fmt.Fprintf(t, "%s%s, least..most of %s\t%s\t\t\n", p.head, name, runsOf(lead.N), interval(lead.Confidence))
		for _, c := range all {
			f := c.figures[figures.Leading(c.figures)]
			mark := ""
			if len(c.impossible) > 0 {
				mark = "cannot be"
			}
			within := "-"
			if f.Confidence > 0 {
				within = short(f.Low) + ".." + short(f.High)
			}
			fmt.Fprintf(t, "%s%s..%s\t%s\t%s\t\n", p.cells(c.value), short(f.Min), short(f.Max), within, mark)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if p.text != nil {
		for _, c := range all {
			p.text(w, c.value)
			if err := figureTable(w, c.figures); err != nil {
				return err
			}
		}
	}
	for i, c := range all {
		if err := c.counters.print(w, i, len(all), m.counting.set); err != nil {
			return err
		}
	}
	for _, c := range all {
		for _, fault := range c.impossible {
			fmt.Fprintf(w, "cannot be: %s\n", fault)
		}
	}
	for _, s := range m.setup {
		fmt.Fprintf(w, "could spoil the figures: %s\n", s)
	}
	for _, s := range m.lines() {
		fmt.Fprintf(w, "spoiled: %s\n", s)
	}
	return nil
}

// figureTable prints the range of each figure.
func figureTable(w io.Writer, all map[string]figures.Figure) error {
	lead, ok := all[figures.Leading(all)]
	if !ok || lead.N < 2 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "of %s\tmedian\tleast\tmost\t%s\t\n", runsOf(lead.N), interval(lead.Confidence))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s..%s\t\n", name, short(f.Median), short(f.Min), short(f.Max), short(f.Low),
			short(f.High))
	}
	return t.Flush()
}

// interval names an interval by its confidence, which is less than 95 % for few runs. One run has
// none.
func interval(confidence float64) string {
	if confidence == 0 {
		return "interval"
	}
	return percent(confidence) + " interval"
}

// percent writes a confidence.
func percent(confidence float64) string {
	return fmt.Sprintf("%.0f %%", 100*confidence)
}

// runsOf counts runs.
func runsOf(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

// short writes a number with three digits or so.
func short(v float64) string {
	switch a := max(v, -v); {
	case a >= 1e9:
		return fmt.Sprintf("%.2f G", v/1e9)
	case a >= 1e6:
		return fmt.Sprintf("%.1f M", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
