package prom_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/metrics/prom"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// running is a set with an engine that has done some work and waits for more, and that keeps its
// state.
func running(t *testing.T) *metrics.Set {
	t.Helper()
	type tick struct {
		Key int64
		At  time.Time
	}
	feed, err := readers.NewFeed[tick](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Start(t.Context(), engine.Config{
		Plan: &plan.Plan{
			Source: feed.Schema(), Keys: []string{"key"},
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
			Window:     &plan.Window{Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Second}, Column: "at"},
		},
		Readers: []record.Reader{feed}, Partitions: 2, Cores: 1, NoPin: true, State: engine.Dir(t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close() })
	for i := range 1000 {
		at := time.Date(2026, 3, 2, 9, 30, i/100, 0, time.UTC)
		if err := lane.Send(t.Context(), tick{int64(i % 10), at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := eng.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := eng.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	var set metrics.Set
	// Both forms are asked one after the other, so they are shown the same numbers.
	jobs := []metrics.Job{
		{Name: "a", State: "running", Engines: []metrics.Engine{{Stats: eng.Stats()}}},
		{Name: "b\"\\\n\xff", State: "failed", Restarts: 3},
	}
	set.AddJobs(func() []metrics.Job { return jobs })
	set.SetProcess(func() metrics.Process {
		return metrics.Process{
			Version: "v1", Commit: "abc", Go: "go1.26",
			Server: &metrics.Server{Requests: 7, Held: 1}, Protocols: []metrics.Protocol{{Name: "pg", Connections: 2}},
		}
	})
	return &set
}

// Goal: the collector and both text forms have the same series with the same values and helps.
// Method: the text is parsed by the parser of Prometheus' own libraries, and compared with what a
// registry gathers.
func TestFormsAgree(t *testing.T) {
	set := running(t)
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(prom.NewCollector(set, prom.WithDetail())); err != nil {
		t.Fatal(err)
	}
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var own, theirs bytes.Buffer
	w := httptest.NewRecorder()
	set.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics?detail", nil))
	own.Write(w.Body.Bytes())
	for _, f := range gathered {
		if _, err := expfmt.MetricFamilyToText(&theirs, f); err != nil {
			t.Fatal(err)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(own.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, own.String())
	}
	var again bytes.Buffer
	for _, f := range gathered { // in the order of the registry
		p := parsed[f.GetName()]
		if p == nil {
			t.Fatalf("the text lacks %s", f.GetName())
		}
		for _, m := range p.GetMetric() { // a parser keeps the order of labels, a registry sorts them
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		}
		if _, err := expfmt.MetricFamilyToText(&again, p); err != nil {
			t.Fatal(err)
		}
	}
	if len(parsed) != len(gathered) {
		t.Errorf("%d families in the text, %d in the registry", len(parsed), len(gathered))
	}
	if a, b := sorted(again.String()), sorted(theirs.String()); a != b {
		t.Errorf("the text has\n%s\nthe registry has\n%s", a, b)
	}
}

// sorted are the lines of a text in order: the order of series has no meaning.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Goal: promlint has nothing to say about names, helps and units.
func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(prom.NewCollector(running(t), prom.WithDetail()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Goal: jobs that come later are shown, and those that are gone are not.
func TestJobsComeAndGo(t *testing.T) {
	var set metrics.Set
	c := prom.NewCollector(&set)
	if n := testutil.CollectAndCount(c); n != 0 {
		t.Errorf("%d series of no job", n)
	}
	remove := set.AddJobs(func() []metrics.Job { return []metrics.Job{{Name: "late", State: "starting"}} })
	want := `# HELP velo_job_restarts_total How many times the job has been started again after a failure.
# TYPE velo_job_restarts_total counter
velo_job_restarts_total{job_name="late"} 0
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "velo_job_restarts_total"); err != nil {
		t.Error(err)
	}
	remove()
	if n := testutil.CollectAndCount(c); n != 0 {
		t.Errorf("%d series of no job", n)
	}
}

func ExampleNewCollector() {
	var set metrics.Set
	set.AddJobs(func() []metrics.Job { return []metrics.Job{{Name: "trades", State: "running"}} })
	registry := prometheus.NewRegistry() // the service has one
	registry.MustRegister(prom.NewCollector(&set))
	families, err := registry.Gather()
	fmt.Println(len(families), err)
	// Output: 2 <nil>
}
