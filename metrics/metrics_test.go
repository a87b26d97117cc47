package metrics

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

var rewrite = flag.Bool("rewrite", false, "write the table in docs/metrics.md again")

// statsOf are the counters of an engine with everything that there are metrics of.
func statsOf(readers, partitions, plans int) engine.Stats {
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	s := engine.Stats{
		Elapsed: 90 * time.Second,
		State: engine.StateStats{
			Generation: 3, Saved: at, Interval: 10 * time.Second, Duration: 40 * time.Millisecond, Saves: 3, Failed: 2,
			Bytes: 1 << 20, Written: 3 << 20, CaughtUp: true,
		},
		Rebalance: engine.RebalanceStats{Shards: 4, Why: "even"},
		Tables:    []lookup.Stats{{Table: "symbols", Rows: 500, Bytes: 4096, Loaded: at, Lookups: 90, Misses: 7}},
	}
	s.Epochs.Raised, s.Epochs.Published = 9, 8
	for p := range plans {
		one := engine.PlanStats{
			Number:     p,
			StateBytes: 100 + p, StateLimit: 1000, Windowed: true, Closed: at,
			Output: engine.OutputStats{Rows: 10, Windows: 2},
		}
		for r := range readers {
			one.Readers = append(one.Readers, result.Counters{
				In: 10, Counted: 4, Filtered: 3, Late: 2, Quarantined: 1,
			})
			one.Watermarks = append(one.Watermarks, engine.Watermark{At: at.Add(time.Duration(r) * time.Second)})
			one.Folded = append(one.Folded, 0)
		}
		for q := range partitions {
			one.Partitions = append(one.Partitions, engine.PartitionStats{Rows: 5, Groups: uint64(q), Shed: 1, Late: 2})
			prefix := ""
			if plans > 1 {
				prefix = fmt.Sprintf("plan/%d/", p)
			}
			s.Agents = append(s.Agents, engine.AgentStats{
				Name: fmt.Sprintf("%spartition/%d", prefix, q), Busy: time.Second,
			})
			for r := range readers {
				s.Rings = append(s.Rings, engine.RingStats{Plan: p, Reader: r, Partition: q})
			}
		}
		s.Plans = append(s.Plans, one)
	}
	for r := range readers {
		split := fmt.Sprintf("trades/%d", r)
		s.Readers = append(s.Readers, engine.ReaderStats{
			Name: "kafka " + split, Dropped: 1, Retries: 2, Lag: []record.Lag{{Split: split, Records: 7}, {Split: "file", Bytes: 9, InBytes: true}},
			Counters: s.Plans[0].Readers[r], Watermark: s.Plans[0].Watermarks[r],
		})
		a := engine.AgentStats{Name: fmt.Sprintf("reader/%d", r), Busy: time.Second, Starved: 3}
		a.Stalls[core.StallRing] = engine.StallStats{Count: 1, Time: 1500 * time.Millisecond}
		s.Agents = append(s.Agents, a)
		s.Runners = append(s.Runners, engine.RunnerStats{CPU: r, CPUTime: 2 * time.Second})
	}
	return s
}

func jobOf(name string, s engine.Stats) Job {
	return Job{Name: name, State: "running", Engines: []Engine{{Stats: s}}}
}

func text(t testing.TB, format Format, detail bool, jobs ...Job) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, detail, jobs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Goal: a job of 16 readers and 16 partitions has at most 500 series, one with hundreds of readers
// has no more, and no series is there twice.
func TestSeries(t *testing.T) {
	for _, c := range []struct{ readers, partitions, plans, most int }{
		{1, 1, 1, 100},
		{16, 16, 1, 500},
		{MaxSeriesOf + 1, 16, 1, 500},
		{300, 300, 1, 200},
		{300, 16, 3, 700},
	} {
		seen := map[string]bool{}
		out := text(t, Prometheus, false, jobOf("j", statsOf(c.readers, c.partitions, c.plans)))
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			name, _, _ := strings.Cut(line, "} ")
			if seen[name] {
				t.Errorf("%+v: twice: %s", c, line)
			}
			seen[name] = true
		}
		if len(seen) > c.most {
			t.Errorf("%+v: %d series", c, len(seen))
		}
	}
}

// Goal: what is put together is the sum, and the watermark is the least that counts.
func TestPutTogether(t *testing.T) {
	s := statsOf(100, 70, 1)
	s.Plans[0].Watermarks[0].Idle = true
	s.Plans[0].Watermarks[1].At = time.Time{}
	out := text(t, Prometheus, false, jobOf("j", s))
	for _, want := range []string{
		`velo_records_total{job_name="j",engine="",plan="0",reader="all",outcome="routed"} 400`,
		`velo_watermark_timestamp_seconds{job_name="j",engine="",plan="0",reader="all",split="all"} 1772443802`,
		`velo_lag_records{job_name="j",engine="",reader="all",split="all"} 700`,
		`velo_reader_retries_total{job_name="j",engine="",reader="all"} 200`,
		`velo_partition_records_total{job_name="j",engine="",plan="0",partition="all"} 350`,
		`velo_partition_lost_records_total{job_name="j",engine="",plan="0",partition="all",reason="late"} 140`,
		`velo_agent_busy_seconds_total{job_name="j",engine="",agent="reader/all"} 100`,
		`velo_agent_stalled_seconds_total{job_name="j",engine="",agent="reader/all",cause="ring_full"} 150`,
		`velo_agent_busy_seconds_total{job_name="j",engine="",agent="partition/all"} 70`,
		`velo_runner_cpu_seconds_total{job_name="j",engine="",runner="all"} 200`,
		`velo_table_misses_total{job_name="j",engine="",table="symbols"} 7`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, out)
		}
	}
	// What is read is not changed.
	if s.Plans[0].Readers[1].Counted != 4 || s.Readers[0].Lag[0] != (record.Lag{Split: "trades/0", Records: 7}) {
		t.Errorf("the counters have changed: %+v", s.Readers[0])
	}
}

// Goal: both formats are as their readers expect: names, heads, values, and labels with any bytes.
func TestText(t *testing.T) {
	s := statsOf(1, 1, 1)
	s.Readers[0].Name = "a\"b\\c\nd\xff"
	j := jobOf("j", s)
	j.Engines[0].Plans = []string{"volumes"}
	j.Restarts = 1 << 60
	prom, open := text(t, Prometheus, false, j), text(t, OpenMetrics, false, j)
	for _, c := range []struct{ of, in, want string }{
		{"prometheus", prom, "# TYPE velo_records_total counter\n# HELP velo_records_total Records by"},
		{"prometheus", prom, `split="a\"b\\c\nd` + "\uFFFD" + `"} 1772443800` + "\n"},
		{"prometheus", prom, `plan="volumes"`},
		{"prometheus", prom, `velo_job_restarts_total{job_name="j"} 1.152921504606847e+18` + "\n"},
		{"prometheus", prom, `velo_checkpoint_duration_seconds{job_name="j",engine=""} 0.04` + "\n"},
		{"prometheus", prom, `velo_job_state{job_name="j",state="running"} 1` + "\n"},
		{"prometheus", prom, `velo_job_state{job_name="j",state="failed"} 0` + "\n"},
		{
			"openmetrics", open,
			"# TYPE velo_agent_busy_seconds counter\n# UNIT velo_agent_busy_seconds seconds\n# HELP " +
				"velo_agent_busy_seconds ",
		},
		{"openmetrics", open, "\n# EOF\n"},
	} {
		if !strings.Contains(c.in, c.want) {
			t.Errorf("%s: there is no %q in\n%s", c.of, c.want, c.in)
		}
	}
	line := regexp.MustCompile(`^[a-z_]+\{[a-z_]+="([^"\\\n]|\\[\\"n])*"(,[a-z_]+="([^"\\\n]|\\[\\"n])*")*\} [-+.e0-9]+\n$`)
	for l := range strings.Lines(prom) {
		if !strings.HasPrefix(l, "# ") && !line.MatchString(l) {
			t.Errorf("a line is %q", l)
		}
	}
	if !strings.HasSuffix(open, "# EOF\n") || strings.Contains(prom, "# UNIT") || strings.Contains(prom, "ring_depth") {
		t.Errorf("prometheus\n%s\nopenmetrics\n%s", prom, open)
	}
	if detail := text(t, Prometheus, true, j); !strings.Contains(detail, "velo_ring_depth{") {
		t.Errorf("in detail\n%s", detail)
	}
}

// Goal: every family has values in some job, its labels are as many as its series has, its unit is
// the end of its name, and its name is said once.
func TestFamilies(t *testing.T) {
	seen := map[string]int{}
	p := &Process{
		Version: "1", Commit: "c", Go: "go1", Server: &Server{Requests: 5},
		Protocols: []Protocol{{Name: "pg"}},
	}
	Visit(p, []Job{jobOf("j", statsOf(2, 2, 1))}, true, func(f *Family, labels []string, _ float64) {
		seen[f.Name]++
		if len(labels) != len(f.Labels) {
			t.Errorf("%s has the labels %v, expected values for %v", f.Name, labels, f.Labels)
		}
	})
	names := map[string]bool{}
	for _, f := range Families() {
		switch {
		case names[f.Name]:
			t.Errorf("%s is there twice", f.Name)
		case seen[f.Name] == 0:
			t.Errorf("%s has no series", f.Name)
		case slices.Contains(f.Labels, "job") || slices.Contains(f.Labels, "instance"):
			t.Errorf("%s has a label that Prometheus sets itself: %v", f.Name, f.Labels)
		case f.Unit != "" && !strings.HasSuffix(f.Name, "_"+f.Unit):
			t.Errorf("%s has the unit %s", f.Name, f.Unit)
		case strings.HasSuffix(f.Name, "_total") || !strings.HasPrefix(f.Name, "velo_") ||
			!strings.HasSuffix(f.Help, "."):
			t.Errorf("%s: %s", f.Name, f.Help)
		}
		names[f.Name] = true
	}
	if len(causes) != int(core.Stalls) || len(readerStates) != int(engine.Paused)+1 {
		t.Errorf("%d causes of %d, %d states", len(causes), core.Stalls, len(readerStates))
	}
}

// Goal: an engine over the result of another shows both, and a job without engines shows its state.
func TestInner(t *testing.T) {
	inner, s := statsOf(1, 1, 1), statsOf(1, 1, 1)
	s.From = &inner
	out := text(t, Prometheus, false, jobOf("j", s), Job{Name: "k", State: "stopped"})
	for _, want := range []string{
		`velo_epochs_total{job_name="j",engine="inner"} 9`, `velo_epochs_total{job_name="j",engine=""} 9`,
		`velo_job_state{job_name="k",state="stopped"} 1`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, out)
		}
	}
}

// Goal: docs/metrics.md has the table of the families. Method: -rewrite writes it.
func TestDocs(t *testing.T) {
	const path, begin, end = "../docs/metrics.md", "<!-- families -->\n", "<!-- end of families -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	was, after, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("%s has no %s and %s", path, begin, end)
	}
	if was == Table() {
		return
	}
	if !*rewrite {
		t.Fatalf("%s has another table; go test ./metrics -run Docs -rewrite writes it", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+Table()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Goal: the handler answers in the format that is asked for, and takes nothing but GET and HEAD.
// Names are unique, and a job that is removed is gone.
func TestSet(t *testing.T) {
	var set Set
	remove := set.AddJobs(func() []Job { return []Job{jobOf("many", statsOf(1, 1, 1))} })
	get := func(method, path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		set.ServeHTTP(w, r)
		return w
	}
	w := get(http.MethodGet, "/metrics", "")
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") ||
		!strings.Contains(w.Body.String(), `job_name="many"`) || strings.Contains(w.Body.String(), "velo_ring_depth") {
		t.Errorf("%v\n%s", w.Header(), w.Body)
	}
	w = get(http.MethodGet, "/metrics?detail", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text; version=1.0.0") ||
		!strings.Contains(w.Body.String(), "velo_ring_depth") || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("%v\n%s", w.Header(), w.Body)
	}
	w = get(http.MethodPost, "/metrics", "")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v", w.Code, w.Header())
	}
	remove()
	set.SetProcess(func() Process {
		return Process{Version: "v1", Commit: "abc", Go: "go1.26", Server: &Server{Requests: 7}}
	})
	w = get(http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`velo_build_info{version="v1",commit="abc",go="go1.26"} 1`, "velo_http_requests_total 7",
		"velo_queries_running 0",
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("there is no %s in\n%s", want, w.Body)
		}
	}
	if n := len(set.Jobs()); n != 0 {
		t.Errorf("%d jobs after they were removed", n)
	}
	if err := Write(failing{}, Prometheus, false, jobOf("j", statsOf(1, 1, 1))); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to what is closed: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Goal: a scrape of a running engine's counters allocates little.
func TestAllocations(t *testing.T) {
	jobs := []Job{jobOf("j", statsOf(16, 16, 1))}
	series := strings.Count(text(t, Prometheus, false, jobs...), "\n")
	allocs := testing.AllocsPerRun(20, func() { _ = Write(io.Discard, Prometheus, false, jobs...) })
	if allocs > float64(series)/2 {
		t.Errorf("%.0f allocations for %d lines", allocs, series)
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1, 50} {
		var jobs []Job
		for i := range n {
			jobs = append(jobs, jobOf(fmt.Sprint("job", i), statsOf(16, 16, 1)))
		}
		b.Run(fmt.Sprintf("jobs=%d", n), func(b *testing.B) {
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				begin := time.Now()
				_ = Write(io.Discard, Prometheus, false, jobs...)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
		})
	}
}

// BenchmarkScrapeOfEngines is a scrape of engines that run, with their counters read.
func BenchmarkScrapeOfEngines(b *testing.B) {
	schema, err := record.NewSchema("ticks", record.Field{Name: "key", Type: record.Int64})
	if err != nil {
		b.Fatal(err)
	}
	var set Set
	for i := range 50 {
		e, err := engine.Start(b.Context(), engine.Config{
			Plan: &plan.Plan{
				Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
			},
			Readers: []record.Reader{silent{}}, Partitions: 1, Cores: 1, NoPin: true, StateBytes: 4 << 20,
		})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		if _, err := set.Add(fmt.Sprint("job", i), e); err != nil {
			b.Fatal(err)
		}
	}
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		if err := set.WriteMetrics(io.Discard); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
}

// silent is a reader to which nothing comes.
type silent struct{}

func (silent) Read(ctx context.Context, _ *record.Batch) error { <-ctx.Done(); return ctx.Err() }

func (silent) Close() error { return nil }
