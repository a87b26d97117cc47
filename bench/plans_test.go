package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/filegen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// plansSQL are questions of about the same size, each by another key, over the columns that both kinds of file have (%s stands for them).
var plansSQL = map[string][]string{
	"csv": {
		`SELECT symbol, count(*) AS n, sum(size) AS volume, max(price) AS high FROM trades GROUP BY symbol`,
		`SELECT venue, side, count(*) AS n, sum(size) AS volume, max(price) AS high FROM trades GROUP BY venue, side`,
	},
	"ndjson": {
		`SELECT host, count(*) AS n, sum(bytes) AS bytes, max(duration) AS slowest FROM log GROUP BY host`,
		`SELECT status, count(*) AS n, sum(bytes) AS bytes, max(duration) AS slowest FROM log GROUP BY status`,
		`SELECT "request.method", count(*) AS n, sum(bytes) AS bytes FROM log GROUP BY "request.method"`,
		`SELECT host, status, count(*) AS n, avg(duration) AS mean FROM log GROUP BY host, status`,
		`SELECT count(*) AS n, sum(bytes) AS bytes FROM log WHERE status >= 500`,
		`SELECT host, max(duration) AS slowest FROM log WHERE status = 200 GROUP BY host`,
		`SELECT status, min(bytes) AS least, max(bytes) AS most FROM log GROUP BY status`,
		`SELECT window_start, count(*) AS n FROM log GROUP BY tumble(at, INTERVAL '1 minute')`,
	},
	"memory": {
		`SELECT key, count(*) AS n, sum(value) AS sum, min(value) AS low, max(value) AS high FROM records GROUP BY key`,
		`SELECT size, count(*) AS n, sum(value) AS sum, min(value) AS low, max(value) AS high FROM records GROUP BY size`,
	},
}

// BenchmarkPlans is what more plans over the same records cost: CPU time of a record on one core, with one plan and with several. The shapes take turns in each
// round; medians, and each against one plan.
func BenchmarkPlans(b *testing.B) {
	const rows = 300_000
	dir := b.TempDir()
	file := func(name string, write func(f *os.File) error) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := write(f); err != nil {
			b.Fatal(err)
		}
		f.Close()
		return path
	}
	schemaOf := func(name, columns string) *record.Schema {
		s, err := query.Columns(name, columns)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	plansTrades, plansLog := schemaOf("trades", filegen.TradeColumns), schemaOf("log", filegen.WebLogColumns)
	trades := file("trades.csv", func(f *os.File) error {
		return filegen.Trades{Rows: rows, Symbols: 5000, QuotedPercent: 10}.Write(f, 1)
	})
	log := file("log.ndjson", func(f *os.File) error { return filegen.WebLog{Rows: rows}.Write(f, 1) })
	batches := sqlBatches(1 << 18)
	for _, c := range []struct {
		name   string
		plans  []int
		schema *record.Schema
		open   func() (record.Reader, error)
	}{
		{"csv", []int{1, 2}, plansTrades, func() (record.Reader, error) {
			f, err := readers.OpenDelimited(trades, readers.DelimitedConfig{Schema: plansTrades, Header: true})
			if err != nil {
				return nil, err
			}
			return f.Readers(1)[0], nil
		}},
		{"ndjson", []int{1, 8}, plansLog, func() (record.Reader, error) {
			f, err := readers.OpenNDJSON(log, readers.NDJSONConfig{Schema: plansLog})
			if err != nil {
				return nil, err
			}
			return f.Readers(1)[0], nil
		}},
		{"memory", []int{1, 2}, sqlSchema, func() (record.Reader, error) { return newMemory(batches, 8) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			took := make([][]float64, len(c.plans)+1)
			one := func(i int, texts []string) {
				r, err := c.open()
				if err != nil {
					b.Fatal(err)
				}
				cfg := engine.Config{Readers: []record.Reader{r}, Partitions: 1, Cores: 1}
				var first *plan.Plan
				for _, text := range texts {
					p, err := query.Compile(text, c.schema)
					if err != nil {
						b.Fatal(err)
					}
					cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: p})
					if first == nil {
						first = p
					}
				}
				e, err := engine.Start(context.Background(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				if err := e.Wait(); err != nil {
					b.Fatal(err)
				}
				st := e.Stats()
				took[i] = append(took[i], float64(st.CPUTime())/float64(st.Counters().In))
				e.Close()
			}
			for b.Loop() {
				for i, n := range c.plans {
					one(i, plansSQL[c.name][:n])
				}
				one(len(c.plans), plansSQL[c.name][1:2]) // the second alone
			}
			median := func(i int) float64 {
				slices.Sort(took[i])
				return took[i][len(took[i])/2]
			}
			b.ReportMetric(0, "ns/op")
			for i, n := range c.plans {
				b.ReportMetric(median(i), fmt.Sprintf("plans=%d-ns/record", n))
				if i > 0 {
					b.ReportMetric(median(i)/median(0), fmt.Sprintf("x-plans=%d", n))
				}
			}
			b.ReportMetric(median(len(c.plans)), "second-ns/record")
		})
	}
}

// BenchmarkPlansSnapshot is a snapshot of three plans: pinned, a group of each read, and closed.
func BenchmarkPlansSnapshot(b *testing.B) {
	var cfg engine.Config
	for range 3 {
		p, err := query.Compile(plansSQL["memory"][0], sqlSchema)
		if err != nil {
			b.Fatal(err)
		}
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: p})
	}
	m, err := newMemory(sqlBatches(1<<16), 1)
	if err != nil {
		b.Fatal(err)
	}
	cfg.Readers, cfg.NoPin = []record.Reader{m}, true
	e, err := engine.Start(context.Background(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Wait(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		s := e.Snapshot()
		for i := range cfg.Plans {
			n += s.Of(cfg.Plans[i].Plan).Epoch()
		}
		s.Close()
	}
	if n == 0 {
		b.Fatal("no epoch")
	}
}
