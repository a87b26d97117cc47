// Package perfreport makes a report of results of veloperf: one HTML page that needs nothing from
// the network, or a text for a terminal.
//
// A report is sections. Each is a title, some lines, a chart, and a table. The table has all that
// the chart shows, so the text has no charts and lacks nothing. uPlot, which is in the page, draws
// lines, and a reader without scripts sees them as SVG. Bars and the topology are SVG anyway.
package perfreport

import (
	"bufio"
	"cmp"
	_ "embed" // report.js
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/perfstat"
	"github.com/velo-engine/velo/internal/uplot"
)

// A Section is one part of a report.
type Section struct {
	Title string
	Lines []string
	Plot  *Chart // lines, or nil
	Chart string // another chart, as SVG, or empty
	Head  []string
	Rows  [][]string
}

// Sections makes the sections for which there are results.
func Sections(all []figures.Result) (sections []Section) {
	for _, make := range []func([]figures.Result) []Section{
		origin, scaling, models, profiles, latencies, snapshots, rings, stalls, placement, others,
	} {
		sections = append(sections, make(all)...)
	}
	return sections
}

// of are the results of a command.
func of(all []figures.Result, command string) (some []figures.Result) {
	for _, r := range all {
		if r.Measured() == command {
			some = append(some, r)
		}
	}
	return some
}

func number(r figures.Result, name string) float64 { v, _ := r.Number(name); return v }

// cell writes a figure with its range.
func cell(r figures.Result, name string) string {
	v, ok := r.Number(name)
	if !ok {
		return "-"
	}
	f, ok := r.Figures[name]
	if !ok || f.N < 2 {
		return short(v) + doubt(r, name)
	}
	return fmt.Sprintf("%s (%s..%s)%s", short(v), short(f.Min), short(f.Max), doubt(r, name))
}

// doubt marks a figure that cannot be.
func doubt(r figures.Result, name string) string {
	if slices.ContainsFunc(r.Texts("impossible"), func(s string) bool { return strings.HasPrefix(s, name+" ") }) {
		return ", cannot be"
	}
	return ""
}

// share writes a share of the throughput.
func share(r figures.Result, name string) string {
	return fmt.Sprintf("%.1f %%%s", 100*number(r, name), doubt(r, name))
}

// interval returns the interval of a figure, or 0 and 0 if there is none.
func interval(r figures.Result, name string) (low, high float64) {
	f := r.Figures[name]
	if f.N < 2 {
		return 0, 0
	}
	return f.Low, f.High
}

// origin says where the results come from, and what could have spoilt them.
func origin(all []figures.Result) []Section {
	s := Section{Title: "Where these figures come from", Head: []string{
		"command", "time", "host", "CPU", "usable",
		"kernel", "Go", "commit",
	}}
	seen := map[string]bool{}
	for _, r := range all {
		row := []string{
			r.Text("command"), r.Text("time"), r.Text("host"), r.Text("cpu"), r.Text("usable_cpus"), r.Text("kernel"),
			r.Text("go_version"), fmt.Sprintf("%.12s", r.Text("commit")),
		}
		if key := strings.Join(row, "\n"); !seen[key] {
			seen[key] = true
			s.Rows = append(s.Rows, row)
		}
	}
	s.Lines = spoilt(all)
	if len(s.Lines) == 0 {
		s.Lines = []string{"Nothing was found that could have spoilt them."}
	}
	return []Section{s}
}

// spoilt are what could have spoilt results, a line for each command and kind.
func spoilt(all []figures.Result) (lines []string) {
	type kind struct{ command, what string }
	worst, runs := map[kind]string{}, map[kind]int{}
	var order []kind
	add := func(k kind, text string) {
		if runs[k] == 0 {
			order = append(order, k)
		}
		runs[k]++
		worst[k] = max(worst[k], text)
	}
	for _, r := range all {
		for _, text := range r.Texts("spoilers") {
			run, rest, ofRun := strings.Cut(text, ": ")
			if !ofRun || !strings.HasPrefix(run, "run ") {
				rest = text
			}
			what, _, _ := strings.Cut(rest, ":")
			add(kind{r.Measured(), what}, rest)
		}
		for _, text := range r.Texts("impossible") {
			add(kind{r.Measured(), text}, "cannot be: "+text)
		}
	}
	for _, k := range order {
		times := ""
		if runs[k] > 1 {
			times = fmt.Sprintf(" (said %d times, this is one of them)", runs[k])
		}
		lines = append(lines, fmt.Sprintf("could be spoilt: %s: %s%s", k.command, worst[k], times))
	}
	return lines
}

// scaling draws throughput over cores with the fit of the universal scalability law.
func scaling(all []figures.Result) (sections []Section) {
	byProfile := map[string][]figures.Result{}
	for _, r := range of(all, "scale") {
		byProfile[r.Text("profile")] = append(byProfile[r.Text("profile")], r)
	}
	for _, profile := range slices.Sorted(maps.Keys(byProfile)) {
		points := byProfile[profile]
		slices.SortStableFunc(points, func(a, b figures.Result) int {
			return cmp.Compare(number(a, "n"), number(b,
				"n"))
		})
		s := Section{
			Title: "Throughput over partitions: " + profile,
			Head:  []string{"partitions", "readers", "cores", "records/s", "ns/record/core", "E(n)"},
		}
		measured := line{Name: "measured"}
		var cores, throughput []float64
		most := 1.0
		x := axis{Name: "partitions", Log: true}
		for _, p := range points {
			n := number(p, "n")
			low, high := interval(p, "records_per_second")
			measured.Points = append(measured.Points, point{n, number(p, "records_per_second"), low, high})
			x.Ticks = append(x.Ticks, tick{n, short(n)})
			most = max(most, n)
			e := "beyond the cores"
			if beyond, _ := p.Fields["beyond_cores"].(bool); !beyond {
				e = cell(p, "efficiency")
				for _, v := range p.Figures["records_per_second"].Samples {
					cores, throughput = append(cores, n), append(throughput, v)
				}
			}
			s.Rows = append(s.Rows, []string{
				short(n), short(number(p, "readers")), short(number(p, "cores")), cell(p, "records_per_second"),
				cell(p, "cpu_ns_per_record"), e,
			})
		}
		lines := []line{measured}
		if u, ok := perfstat.FitUSL(cores, throughput); ok {
			fit := line{Name: "model (USL)", Smooth: true}
			for n := 1.0; n <= most; n += most / 64 {
				fit.Points = append(fit.Points, point{X: n, Y: u.At(n)})
			}
			lines = append(lines, fit)
			s.Lines = append(s.Lines, uslText(u))
		} else {
			s.Lines = append(s.Lines, "The universal scalability law needs two numbers of real cores at least.")
		}
		s.Plot = newChart(x, axis{Name: "records/s", Unit: "records/s"}, lines)
		sections = append(sections, s)
	}
	return sections
}

// farthestKnee is the greatest number of cores that a fit can say something of: it comes from some
// points of few cores.
const farthestKnee = 10_000

func uslText(u perfstat.USL) string {
	knee := "there is no knee"
	k := u.Knee()
	switch {
	case math.IsInf(k, 0):
	case k > farthestKnee:
		knee = fmt.Sprintf("there is no knee below %d cores", farthestKnee)
	default:
		knee = fmt.Sprintf("the knee is at %.0f cores", k)
	}
	text := fmt.Sprintf("A model, fitted to %d numbers of real cores: contention %.4f, coherency %.6f, %s, %s "+
		"records/s "+
		"with one core.", u.Points, u.Sigma, u.Kappa, knee, short(u.Lambda))
	if u.Points == 2 {
		text += " Two points cannot tell coherency from contention."
	}
	return text
}

// profiles draws ns per record of each workload beside rivals.
func profiles(all []figures.Result) []Section {
	s := Section{
		Title: "CPU time of a record, by workload",
		Head: []string{
			"workload", "readers x partitions", "cores", "records/s", "ns/record/core", "rival",
			"ns/record", "ratio",
		},
	}
	var bars []bar
	for _, r := range of(all, "run") {
		name := r.Text("profile")
		if name == "" {
			name = "generator"
		}
		shape := fmt.Sprintf("%sx%s", short(number(r, "readers")), short(number(r, "partitions")))
		low, high := interval(r, "cpu_ns_per_record")
		bars = append(bars, bar{name + " " + shape, number(r, "cpu_ns_per_record"), low, high, false})
		rival := "-"
		if r.Text("rival") != "" {
			rival = r.Text("rival")
			low, high := interval(r, "rival_ns_per_record")
			bars = append(bars, bar{name + " " + rival, number(r, "rival_ns_per_record"), low, high, true})
		}
		s.Rows = append(s.Rows, []string{
			name, shape, short(number(r, "cores")), cell(r, "records_per_second"), cell(r, "cpu_ns_per_record"), rival,
			cell(r, "rival_ns_per_record"), cell(r, "ratio"),
		})
	}
	if len(bars) == 0 {
		return nil
	}
	s.Chart = barChart(s.Title, "ns", bars)
	return []Section{s}
}

// decode reads a field that is more than text or a number.
func decode[T any](r figures.Result, name string) (v T, ok bool) {
	text, err := json.Marshal(r.Fields[name])
	if err != nil || r.Fields[name] == nil {
		return v, false
	}
	return v, json.Unmarshal(text, &v) == nil
}

// quantile is a point of a curve of latencies.
type quantile struct {
	Percentile float64 `json:"percentile"`
	Micros     float64 `json:"us"`
}

// latencies draws percentile curves. The place of a percentile is how many records one is above it.
func latencies(all []figures.Result) (sections []Section) {
	for _, r := range of(all, "latency") {
		s := Section{
			Title: fmt.Sprintf("From due to visible, at %s records/s", short(number(r, "rate"))),
			Head:  []string{"percentile", "latency, us", "the loop without an engine, us"},
			Lines: []string{
				"Above the curve of the loop without an engine is what velo adds; that curve is what the machine " +
					"adds by itself.",
				fmt.Sprintf("99 %% within %s us, 99.99 %% within %s us; a Send takes %s ns.", cell(r, "p99_us"),
					cell(r, "p9999_us"), cell(r, "send_ns")),
			},
		}
		curve, _ := decode[[]quantile](r, "curve")
		idle, _ := decode[[]quantile](r, "idle_curve")
		at := func(q quantile, last float64) point {
			if q.Percentile >= 100 {
				return point{X: 2 * last, Y: q.Micros}
			}
			return point{X: 100 / (100 - q.Percentile), Y: q.Micros}
		}
		draw := func(name string, of []quantile) (l line) {
			l.Name = name
			last := 1.0
			for _, q := range of {
				p := at(q, last)
				last = p.X
				l.Points = append(l.Points, p)
			}
			return l
		}
		micros := map[float64]float64{}
		for _, q := range idle {
			micros[q.Percentile] = q.Micros
		}
		for _, q := range curve {
			other := "-"
			if v, ok := micros[q.Percentile]; ok {
				other = short(v)
			}
			s.Rows = append(s.Rows, []string{fmt.Sprint(q.Percentile), short(q.Micros), other})
		}
		x := axis{Name: "percentile", Log: true, Percentile: true, Ticks: []tick{
			{1, "0"}, {2, "50"}, {10, "90"}, {100, "99"}, {1000, "99.9"}, {10000, "99.99"},
		}}
		s.Plot = newChart(x, axis{Name: "us", Log: true, Unit: "us"},
			[]line{draw("velo", curve), draw("no engine", idle)})
		sections = append(sections, s)
	}
	return sections
}

// snapshots shows what they cost.
func snapshots(all []figures.Result) []Section {
	s := Section{
		Title: "What snapshots cost",
		Head: []string{
			"", "workload", "records/s without", "with", "lost", "one takes, us", "get, ns", "lost to 1 M gets/s",
		},
	}
	var bars []bar
	for _, r := range of(all, "snapshot") {
		name, takes := r.Text("impl"), "snapshot_us"
		if name == "" {
			name, takes = "velo", "sync_p50_us"
		}
		if doubt(r, "loss") == "" { // otherwise it is in the table only, marked
			low, high := interval(r, "loss")
			bars = append(bars, bar{
				name + " " + r.Text("profile"), 100 * number(r, "loss"), 100 * max(low, 0), 100 * high,
				name != "velo",
			})
		}
		s.Rows = append(s.Rows, []string{
			name, r.Text("profile"), cell(r, "baseline_records_per_second"), cell(r, "records_per_second"),
			share(r, "loss"), cell(r, takes), cell(r, "get_ns"),
			share(r, "gets_1m_loss"),
		})
	}
	if len(s.Rows) == 0 {
		return nil
	}
	s.Chart = barChart("throughput lost to snapshots", "%", bars)
	return []Section{s}
}

// rings is the table of veloperf ring.
func rings(all []figures.Result) []Section {
	s := Section{Title: "The ring beside its rivals", Head: []string{"implementation", "case", "item", "median " +
		"(range)", "unit"}}
	for _, r := range of(all, "ring") {
		s.Rows = append(s.Rows, []string{
			r.Text("impl"), r.Text("case"), short(number(r, "item_bytes")) + " B", cell(r, "value"), r.Text("unit"),
		})
	}
	if len(s.Rows) == 0 {
		return nil
	}
	return []Section{s}
}

// agent is an agent of a run.
type agent struct {
	Name   string  `json:"name"`
	CPU    int     `json:"cpu"`
	Duty   float64 `json:"duty"`
	Steps  float64 `json:"steps"`
	Stalls map[string]struct {
		Count   float64 `json:"count"`
		Seconds float64 `json:"seconds"`
	} `json:"stalls"`
	Starved float64 `json:"starved"`
}

// stalls shows of each run why its agents had nothing to do.
func stalls(all []figures.Result) (sections []Section) {
	for _, r := range of(all, "run") {
		agents, _ := decode[[]agent](r, "agents")
		if len(agents) == 0 {
			continue
		}
		causes := map[string]bool{}
		for _, a := range agents {
			for cause := range a.Stalls {
				causes[cause] = true
			}
		}
		s := Section{
			Title: "Stalls by cause: " + strings.TrimPrefix(r.Name(), "run "),
			Lines: []string{"Of one run: how often an agent had no work for a reason, and for how long."},
			Head:  []string{"agent", "cpu", "duty", "steps", "starved"},
		}
		s.Head = append(s.Head, slices.Sorted(maps.Keys(causes))...)
		var bars []bar
		for _, a := range agents {
			row := []string{
				a.Name, fmt.Sprint(a.CPU), fmt.Sprintf("%.0f %%", 100*a.Duty), short(a.Steps),
				short(a.Starved),
			}
			for _, cause := range slices.Sorted(maps.Keys(causes)) {
				stall := a.Stalls[cause]
				row = append(row, fmt.Sprintf("%s, %.3f s", short(stall.Count), stall.Seconds))
				if stall.Seconds > 0 {
					bars = append(bars, bar{name: a.Name + ": " + cause, value: stall.Seconds})
				}
			}
			s.Rows = append(s.Rows, row)
		}
		s.Chart = barChart(s.Title, "s", bars)
		sections = append(sections, s)
	}
	return sections
}

// placement draws who ran where, once for each placement.
func placement(all []figures.Result) (sections []Section) {
	seen := map[string]bool{}
	for _, r := range of(all, "run") {
		agents, _ := decode[[]agent](r, "agents")
		topology, ok := decode[affinity.Topology](r, "topology")
		if !ok || len(agents) == 0 {
			continue
		}
		s := Section{Title: "Placement", Head: []string{"cpu", "core", "cache", "node", "agents"}}
		on := map[int]string{}
		for _, a := range agents {
			on[a.CPU] = strings.TrimPrefix(on[a.CPU]+"+"+a.Name, "+")
		}
		for _, c := range topology.CPUs {
			s.Rows = append(s.Rows, []string{
				fmt.Sprint(c.ID), fmt.Sprint(c.Core), fmt.Sprint(c.LLC), fmt.Sprint(c.Node), on[c.ID],
			})
		}
		if on[-1] != "" {
			s.Lines = append(s.Lines, "Not pinned: "+on[-1])
		}
		if key := fmt.Sprint(s.Rows, s.Lines); !seen[key] {
			seen[key] = true
			s.Chart = topologyChart(topology, on)
			sections = append(sections, s)
		}
	}
	return sections
}

// others are all results that no other section has, with their figures.
func others(all []figures.Result) []Section {
	known := []string{"scale", "model", "run", "latency", "snapshot", "ring", "doctor", "validate", "diff"}
	s := Section{Title: "Other figures", Head: []string{"what", "figure", "median", "least", "most", "interval"}}
	for _, r := range all {
		if slices.Contains(known, r.Measured()) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
			f := r.Figures[name]
			within := "-" // one run has none
			if f.N > 1 {
				within = fmt.Sprintf("%s..%s", short(f.Low), short(f.High))
			}
			s.Rows = append(s.Rows, []string{
				r.Name(), name, short(f.Median), short(f.Min), short(f.Max), within,
			})
		}
	}
	if len(s.Rows) == 0 {
		return nil
	}
	return []Section{s}
}

const style = `
:root { color-scheme: light dark; --ink: #222; --soft: #555; --back: #fff; --stripe: #f5f5f2; --grid: #e4e4e0;
	--edge: #999; --busy: #dcebf0; --bad: #a33; --rival: #b0a999;
	--line0: #1f6f8b; --line1: #c8553d; --line2: #588157; --line3: #7b4ea3; --line4: #b8860b; --line5: #4a4a4a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --soft: #aaa; --back: #17191c; --stripe: #202327;
	--grid: #34383d; --edge: #777; --busy: #1d3a44; --bad: #f08a80; --rival: #857d6c;
	--line0: #58b6d6; --line1: #ef8a70; --line2: #8fc28a; --line3: #b893e0; --line4: #e0b64a; --line5: #bbb } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
	color: var(--ink); background: var(--back) }
h1 { font-size: 1.5em }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--grid) }
p { margin: .3em 0; overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: 13px; margin: .6em 0 }
td, th { padding: 2px 10px; text-align: right; white-space: nowrap }
.wide th { border-bottom: 1px solid var(--edge) }
.wide tr:nth-child(even) td { background: var(--stripe) }
td:first-child, th:first-child { text-align: left }
.wide { overflow-x: auto }
.spoilt { color: var(--bad) }
svg { display: block; font: 12px system-ui, sans-serif; fill: currentColor }
.grid { stroke: var(--grid); fill: none }
.cpu { fill: var(--back); stroke: var(--edge) }
.busy { fill: var(--busy) }
.llc { fill: var(--stripe); stroke: var(--edge) }
.plot { margin: .6em 0; min-height: 260px }
.uplot .u-legend { text-align: left; margin: 0 0 0 64px; color: var(--ink) }
.uplot .u-legend th, .uplot .u-legend td { padding: 2px 4px; text-align: left }
`

// policy lets a page run what is in it, and ask the network for nothing.
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

// script draws the charts.
//
//go:embed report.js
var script []byte

// HTML writes the sections as one page.
func HTML(w io.Writer, sections []Section) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"%s\"/>\n<title>velo: figures</title>\n"+
		"<style>%s%s</style>\n<noscript><style>.plot { display: none }</style></noscript>\n</head>\n<body>\n"+
		"<h1>velo: figures</h1>\n", html.EscapeString(policy), uplot.Style, style)
	plots := false
	for _, s := range sections {
		err := s.html(out)
		if err != nil {
			return err
		}
		plots = plots || s.Plot != nil
	}
	if plots {
		// The comments let a reader of XML pass over the scripts.
		for _, text := range [][]byte{uplot.Script, script} {
			fmt.Fprintf(out, "<script>//<![CDATA[\n%s\n//]]></script>\n", text)
		}
	}
	fmt.Fprint(out, "</body>\n</html>\n")
	return out.Flush()
}

// html writes a section of the page.
func (s *Section) html(out io.Writer) error {
	fmt.Fprintf(out, "<section>\n<h2>%s</h2>\n", html.EscapeString(s.Title))
	for _, l := range s.Lines {
		class := ""
		if strings.HasPrefix(l, "could be spoilt") {
			class = ` class="spoilt"`
		}
		fmt.Fprintf(out, "<p%s>%s</p>\n", class, html.EscapeString(l))
	}
	if s.Plot != nil {
		data, err := json.Marshal(s.Plot) // writes < > & as \u003c and so on
		if err != nil {
			return fmt.Errorf("chart of %q: %w", s.Title, err)
		}
		fmt.Fprintf(out, "<div class=\"plot\"><script type=\"application/json\">%s</script></div>\n"+
			"<noscript><div class=\"wide\">%s</div></noscript>\n", data, s.Plot.svg(s.Title))
	}
	if s.Chart != "" {
		fmt.Fprintf(out, "<div class=\"wide\">%s</div>\n", s.Chart)
	}
	if len(s.Rows) > 0 {
		fmt.Fprint(out, "<div class=\"wide\"><table>\n<tr>")
		for _, h := range s.Head {
			fmt.Fprintf(out, "<th>%s</th>", html.EscapeString(h))
		}
		fmt.Fprintln(out, "</tr>")
		for _, row := range s.Rows {
			fmt.Fprint(out, "<tr>")
			for _, c := range row {
				fmt.Fprintf(out, "<td>%s</td>", html.EscapeString(c))
			}
			fmt.Fprintln(out, "</tr>")
		}
		fmt.Fprintln(out, "</table></div>")
	}
	fmt.Fprintln(out, "</section>")
	return nil
}

// Text writes the sections for a terminal.
func Text(w io.Writer, sections []Section) error {
	for i, s := range sections {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n%s\n", s.Title, strings.Repeat("=", len(s.Title)))
		for _, l := range s.Lines {
			fmt.Fprintln(w, l)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if len(s.Rows) > 0 {
			fmt.Fprintln(t, strings.Join(s.Head, "\t"))
		}
		for _, row := range s.Rows {
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}
