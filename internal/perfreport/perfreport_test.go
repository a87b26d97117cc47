package perfreport

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/perfstat"
	"github.com/velo-engine/velo/internal/uplot"
)

// results are what veloperf prints, one of each kind, with names that HTML must escape.
func results(t *testing.T) []figures.Result {
	t.Helper()
	var lines strings.Builder
	add := func(command string, fields map[string]any, samples map[string][]float64) {
		fields["command"], fields["commit"], fields["cpu"], fields["host"] = "veloperf "+command, "0123456789abcdef",
			"CPU <7>", "h&h"
		all := map[string]figures.Figure{}
		for name, s := range samples {
			all[name] = figures.Figure{Better: figures.Direction(name, ""), Samples: s, Summary: perfstat.Summarize(s)}
			fields[name] = all[name].Median
		}
		fields["figures"] = all
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n", text)
	}
	for n, rate := range map[int]float64{1: 100e6, 2: 180e6, 4: 300e6, 8: 310e6} {
		add("scale", map[string]any{"profile": "u_1k", "n": n, "cores": n, "readers": n, "beyond_cores": n > 4},
			map[string][]float64{
				"records_per_second": {rate, rate * 1.02, rate * 0.98}, "efficiency": {0.9, 0.91, 0.92},
			})
	}
	add("model --cores 4", map[string]any{
		"kind": "model beside measurement", "profile": "u_1k", "case": "2 <readers>", "readers": 2, "partitions": 2,
		"cores": 2, "predicted_records_per_second": 1.9e8, "measured_records_per_second": 2e8, "error": -0.05,
		"measured_least": 1.8e8, "measured_most": 2.1e8, "assumptions": []string{"no thread is ever interrupted"},
	}, nil)
	for _, n := range []int{2, 4} {
		add("model --cores 4", map[string]any{
			"kind": "model", "profile": "u_1k", "case": "extrapolation", "readers": n, "partitions": n, "cores": n,
			"predicted_records_per_second": 1e8 * float64(n), "efficiency": 0.875, "limit": "rings would be too large",
		}, nil)
	}
	add("run --profile u_1k", map[string]any{
		"profile": "u_1k", "readers": 1, "partitions": 1, "rival": "gomap",
		"spoilers": []string{"hypervisor: a <vm>", "run 1: load: others took 5.0 %", "run 2: load: others took 9.0 %"},
		"agents": []map[string]any{
			{
				"name": "reader/0", "cpu": 0, "duty": 0.5,
				"stalls": map[string]any{"ring full": map[string]any{"count": 3, "seconds": 0.25}},
			},
			{"name": "partition/0", "cpu": -1},
		},
		"topology": affinity.Topology{CPUs: []affinity.CPU{
			{ID: 0, Capacity: 1024},
			{ID: 1, Core: 1, LLC: 1, Capacity: 1024},
		}},
	}, map[string][]float64{
		"records_per_second": {100e6, 110e6}, "cpu_ns_per_record": {4.1, 4.3},
		"rival_ns_per_record": {13, 14}, "ratio": {3},
	})
	curve := []map[string]any{
		{"percentile": 0, "us": 1},
		{"percentile": 50, "us": 25},
		{"percentile": 99, "us": 90},
		{"percentile": 100, "us": 400},
	}
	add("latency", map[string]any{"rate": 1e6, "curve": curve, "idle_curve": curve[:2]},
		map[string][]float64{"p99_us": {90, 95}, "p9999_us": {300}, "send_ns": {20}})
	add("snapshot", map[string]any{"profile": "u_1k"},
		map[string][]float64{
			"loss": {0.02, 0.03}, "records_per_second": {1e8}, "baseline_records_per_second": {1.1e8},
			"get_ns": {45}, "sync_p50_us": {20},
		})
	add("snapshot", map[string]any{
		"profile": "u_1k", "impl": "sync.Map",
		"impossible": []string{"loss is -3.0 %, expected 0 to 100 %"},
	},
		map[string][]float64{"loss": {-0.03}, "snapshot_us": {400}})
	add("ring", map[string]any{"impl": "velo", "case": "one-way", "item_bytes": 8, "unit": "M/s"},
		map[string][]float64{"value": {900, 950}})
	add("locks", map[string]any{"impl": "map with Mutex", "writers": 2},
		map[string][]float64{"records_per_second": {5e6, 6e6}})
	add("ingest", map[string]any{"case": "a <b>"}, map[string][]float64{"bytes_per_second": {1e9}})
	all, err := figures.Read(strings.NewReader(lines.String()), "results")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Goal: the page has every section, is well-formed, and needs nothing from outside: no link, no image, no
// font. Method: it is parsed as XML, which is stricter than a browser. uPlot itself is left out.
func TestHTML(t *testing.T) {
	var b strings.Builder
	if err := HTML(&b, Sections(results(t))); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	elements := map[string]int{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[start.Name.Local]++
		for _, a := range start.Attr {
			switch name := strings.ToLower(a.Name.Local); {
			case name == "src", name == "href", name == "srcset", name == "action", name == "data",
				strings.HasPrefix(name, "on"):
				t.Errorf("%s has %s=%q", start.Name.Local, name, a.Value)
			case strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf"):
				t.Errorf("%s has %s=%q", start.Name.Local, name, a.Value)
			}
		}
	}
	for _, bad := range []string{"link", "img", "iframe", "object", "embed", "image", "use", "base"} {
		if elements[bad] > 0 {
			t.Errorf("the page has %d elements %s", elements[bad], bad)
		}
	}
	if elements["svg"] != 7 || elements["section"] < 10 {
		t.Errorf("%d charts in %d sections", elements["svg"], elements["section"])
	}
	if strings.Contains(page, ">sync.Map u_1k</text>") || !strings.Contains(page, ">velo u_1k</text>") {
		t.Error("a loss that cannot be is drawn, or one that can be is not")
	}
	own := strings.NewReplacer(`xmlns="http://www.w3.org/2000/svg"`, "", string(uplot.Script), "", string(uplot.Style), "")
	outside := regexp.MustCompile(`(?i)(https?:|url\(|@import|//[a-z])`).FindAllString(own.Replace(page), -1)
	if elements["script"] != 5 || elements["noscript"] != 4 {
		t.Errorf("%d scripts and %d charts without: expected the library, the page's, and one for each chart of lines",
			elements["script"], elements["noscript"])
	}
	if len(outside) > 0 {
		t.Errorf("the page refers to %q", outside)
	}
	for _, want := range []string{
		"CPU &lt;7&gt;", "a &lt;b&gt;", "h&amp;h", "model (USL)",
		"fitted to 3 numbers of real cores", "beyond the cores", "reader/0", "Not pinned: partition/0",
		"2 &lt;readers&gt;", "4 cores: rings would be too large", "Assumed: no thread is ever interrupted",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// Goal: the text has what the page has, and marks what cannot be and what was spoilt, each kind once.
func TestText(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, Sections(results(t))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-3.0 %, cannot be", "could be spoilt: run: load: others took 9.0 % (said 2 times", "hypervisor: a <vm>",
		"0.250 s", "gomap", "99.99 %", "map with Mutex",
		"contention", "100 M", "one-way", "190 M", "200 M (180 M..210 M)", "-5 %", "400 M", "there is no knee below 10000 cores",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text does not have %q:\n%s", want, b.String())
		}
	}
	if strings.Count(b.String(), "load: others") != 1 {
		t.Error("the same is said several times")
	}
	// Nothing, and results without figures, make no chart and no panic.
	for _, all := range [][]figures.Result{
		nil,
		{
			{Fields: map[string]any{"command": "veloperf scale"}},
			{Fields: map[string]any{"command": "veloperf latency"}},
			{Fields: map[string]any{"command": "veloperf run"}},
			{Fields: map[string]any{"command": "veloperf model"}},
			{},
		},
	} {
		if err := HTML(io.Discard, Sections(all)); err != nil {
			t.Error(err)
		}
	}
}

// Goal: axes have round ticks that cover what is drawn.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		log       bool
		want      string
	}{
		{0, 100, false, "0 20 40 60 80 100"},
		{0, 3.3e8, false, "0 50 M 100 M 150 M 200 M 250 M 300 M 350 M"},
		{0.5, 300, true, "0.1 1 10 100 1000"},
		{5, 5, false, "5"},
	} {
		var words []string
		for _, k := range ticks(c.low, c.high, c.log) {
			words = append(words, k.Text)
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("%v..%v: %s, expected %s", c.low, c.high, got, c.want)
		}
	}
}
