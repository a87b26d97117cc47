package deploy

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// ticks is a reader of a split that goes on until it is closed.
type ticks struct {
	split string
	n     int
	more  chan int
}

func (r *ticks) String() string { return r.split }

func (r *ticks) Read(ctx context.Context, b *record.Batch) error {
	select {
	case n, ok := <-r.more:
		if !ok {
			return io.EOF
		}
		for range n {
			b.SetLen(b.Len() + 1)
			b.SetInt64(0, int64(r.n%10))
			b.SetTime(1, time.Now())
			r.n++
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (*ticks) Close() error { return nil }

func (r *ticks) Lag() []record.Lag {
	return []record.Lag{{Split: r.split, Records: 3}, {Split: r.split + ".log", Bytes: 100, InBytes: true}}
}

// names is a table that the records are joined with.
func names(t *testing.T) *lookup.Table {
	t.Helper()
	type name struct {
		ID   int64
		Name string
	}
	schema, err := record.SchemaOf[name]("names")
	if err != nil {
		t.Fatal(err)
	}
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: []string{"id"},
		Load: lookup.Rows(func(context.Context) (all []name, err error) {
			for i := range int64(10) {
				all = append(all, name{i, string(rune('a' + i))})
			}
			return all, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// scrapes are two scrapes of the /metrics of a healthy engine that keeps its state, a moment apart.
func scrapes(t *testing.T) (first, second map[string]*dto.MetricFamily) {
	t.Helper()
	schema, err := record.NewSchema("ticks", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	rs := []*ticks{{split: "ticks/0", more: make(chan int)}, {split: "ticks/1", more: make(chan int)}}
	p, err := query.Catalog{Sources: []*record.Schema{schema}, Tables: []*lookup.Table{names(t)}}.Compile(
		"SELECT n.name, count(*) AS n FROM ticks t JOIN names n ON t.key = n.id " +
			"GROUP BY n.name, tumble(t.at, INTERVAL '1 second')")
	if err != nil {
		t.Fatal(err)
	}
	p.Window.OutOfOrder = 0
	e, err := engine.Start(t.Context(), engine.Config{
		Plan:    p,
		Readers: []record.Reader{rs[0], rs[1]}, Partitions: 2, Cores: 1, NoPin: true, State: engine.Dir(t.TempDir()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var set metrics.Set
	if _, err := set.Add("trades", e); err != nil {
		t.Fatal(err)
	}
	set.SetProcess(func() metrics.Process {
		return metrics.Process{Version: "v1", Server: &metrics.Server{}, Protocols: []metrics.Protocol{{Name: "pg"}}}
	})
	scrape := func() map[string]*dto.MetricFamily {
		for _, r := range rs {
			r.more <- 100
		}
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := set.WriteMetrics(&text); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(&text)
		if err != nil {
			t.Fatal(err)
		}
		return families
	}
	return scrape(), scrape()
}

// known are the series that there are: the labels of each name, with their values.
func known(t *testing.T) map[string]map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]map[string]bool{}
	_, families := scrapes(t)
	for name, f := range families {
		// Prometheus adds these two.
		labels := map[string]map[string]bool{"job": {}, "instance": {}}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if labels[l.GetName()] == nil {
					labels[l.GetName()] = map[string]bool{}
				}
				labels[l.GetName()][l.GetValue()] = true
			}
		}
		all[name] = labels
	}
	return all
}

// Goal: the engine of these tests has every family that is not for rings, so that no expression can
// be about one that they lack. Only what needs a Rebalance is not there.
func TestAllFamilies(t *testing.T) {
	have := known(t)
	for _, f := range metrics.Families() {
		if have[f.Series()] == nil && !f.Detail && !strings.Contains(f.Name, "rebalance") {
			t.Errorf("the engine of this test has no %s", f.Series())
		}
	}
}

// nameLabel is the label that has the name of a metric.
const nameLabel = "__name__"
