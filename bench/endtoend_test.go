package bench

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// endToEndFields are the columns of the lines of FuzzEndToEnd.
var endToEndFields = []record.Field{
	{Name: "k", Type: record.String},
	{Name: "v", Type: record.Int64, Nullable: true},
	{Name: "d", Type: record.DecimalOf(9, 2)},
	{Name: "x", Type: record.Float64, Nullable: true},
	{Name: "ok", Type: record.Bool},
	{Name: "at", Type: record.Timestamp},
}

// endToEndQueries are what FuzzEndToEnd begins with.
var endToEndQueries = []string{
	`SELECT count(*) AS n, sum(v) AS s, min(d) AS lo, max(at) AS hi FROM t`,
	`SELECT k, count(*) AS n, count(v) AS nv, sum(d) AS s, avg(v) AS m FROM t GROUP BY k`,
	`SELECT k, ok, sum(v) FILTER (WHERE d > 1) AS s, count(DISTINCT v) AS u FROM t WHERE x IS NOT NULL GROUP BY k, ok HAVING count(*) > 1`,
	`SELECT window_start, k, sum(d) AS s FROM t GROUP BY tumble(at, INTERVAL '1 minute'), k`,
	`SELECT window_start, window_end, count(*) AS n FROM t GROUP BY hop(at, INTERVAL '30 s', INTERVAL '1 minute')`,
	`SELECT window_start, window_end, k, count(*) AS n FROM t GROUP BY session(at, INTERVAL '1 minute'), k`,
	`SELECT v % 3 AS r, min_by(k, at) AS first, bool_or(ok) AS some, stddev_pop(v) AS dev FROM t GROUP BY v % 3`,
	`SELECT lower(k) || 'x' AS kk, max(length(k)) AS l, approx_percentile(x, 0.5) AS p FROM t GROUP BY lower(k) || 'x' ORDER BY kk`,
}

// readTwin runs a plan in the most obvious way: one reader, one partition, every record by the
// ring, in the calling goroutine.
func readTwin(t *testing.T, p *plan.Plan, data []byte, cfg readers.DelimitedConfig) (rows []string, in, set uint64) {
	t.Helper()
	r, err := readers.NewDelimitedStream("data", bytes.NewReader(data), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cuts := core.NewCuts(p, plan.Route{}, 1, 1, 0, nil, func() {})
	pr, co := ring.New[core.Chunk](2)
	source := &pollSource{r: waiting{r}, b: record.NewBatch(p.Source, 100)}
	bells := []core.Bell{silent{}}
	router, err := core.NewRouter(0, p, source, plan.Route{}, core.Fold{Exchange: plan.ExchangeRoute},
		[]*ring.Producer[core.Chunk]{pr}, bells, nil, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	partition, err := core.NewPartition(0, p, []*ring.Consumer[core.Chunk]{co}, bells, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	for !partition.Done() {
		router.Step(0)
		if partition.Step(0); partition.Err() != nil {
			t.Fatal(partition.Err())
		}
	}
	if source.err != nil {
		t.Fatal(source.err)
	}
	cut, slot := cuts.Pin()
	defer cuts.Unpin(slot)
	for b := range cut.Batches(7) {
		rows = append(rows, textOf(b)...)
	}
	slices.Sort(rows)
	return rows, router.Counters().In, router.Counters().Quarantined
}

// waiting makes a reader that is polled of one whose Read waits.
type waiting struct{ *readers.Stream }

func (w waiting) Poll(b *record.Batch) error { return w.Read(context.Background(), b) }

// readEngine runs a plan in an engine.
func readEngine(t *testing.T, p *plan.Plan, path string, cfg readers.DelimitedConfig, readersOf, partitions int,
	exchange plan.Exchange,
) (rows []string, in, set uint64) {
	t.Helper()
	d, err := readers.OpenDelimited(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Start(t.Context(), engine.Config{
		Plan: p, Readers: d.Readers(readersOf), Partitions: partitions, Cores: 1, NoPin: true, Exchange: exchange,
		BatchRows: 50, RingSlots: 2, FoldBytes: 1 << 12,
		StateBytes: 256 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	for b := range s.Batches(7) {
		rows = append(rows, textOf(b)...)
	}
	slices.Sort(rows)
	n := e.Stats().Counters()
	return rows, n.In, n.Quarantined
}

// textOf is the rows of a batch as text. Floats are cut to ten digits: their sums depend on the
// order below that.
func textOf(b *record.Batch) (rows []string) {
	for i := range b.Len() {
		var values []string
		for c := range b.Schema().Len() {
			column := b.Column(c)
			switch typ := b.Schema().Field(c).Type; {
			case column.Null(i):
				values = append(values, "NULL")
			case typ == record.String:
				values = append(values, strconv.Quote(string(column.View(i))))
			case typ == record.Float64:
				f := column.Float64s[i]
				if math.Abs(f) < 1e-300 {
					f = 0
				}
				values = append(values, strconv.FormatFloat(f, 'g', 10, 64))
			default:
				values = append(values, fmt.Sprint(column.Int64s[i]))
			}
		}
		rows = append(rows, strings.Join(values, "|"))
	}
	return rows
}

// compileWhole compiles a query whose whole result can be compared: nil where there is none.
func compileWhole(sql string, schema *record.Schema) *plan.Plan {
	p, err := query.Compile(sql, schema)
	if err != nil || p.Source != schema || p.Streams() || p.Limit != nil || p.Offset > 0 {
		// It reads no table, or the result of another query; records that pass through have no
		// snapshot; and LIMIT may choose among rows that tie.
		return nil
	}
	if w := p.Window; w != nil {
		if w.ProcessingTime || w.Kind != plan.Session && w.Size > 0 && w.Size < 1e9 {
			return nil // it depends on the clock, or has millions of windows for two times that are far apart
		}
		w.OutOfOrder, w.Retain = plan.AnyOrder, plan.MaxRetain
	}
	return p
}

// Goal: SQL over bytes has one answer, whatever the shape of the engine. Method: a query and a file
// against the twin that runs them in one goroutine: the rows, the records that were taken and those
// that were set aside are the same for 1 to 3 readers and partitions, in blocks of any size, folded
// and routed.
func FuzzEndToEnd(f *testing.F) {
	schema, err := record.NewSchema("t", endToEndFields...)
	if err != nil {
		f.Fatal(err)
	}
	lines := "a,1,1.50,1.5,true,2024-01-01T00:00:00Z\nb,,2,0.25,f,2024-01-01T00:00:59Z\na,-7,0.01,,t,2024-01-01T00:01:00Z\n\"c\nd\",9223372036854775807,9,1e9,0,2023-12-31T23:59:59Z\n" +
		"wrong\na,9223372036854775807,1,-2,1,2024-06-01\n,3,2.5,0,true,1970-01-01\n"
	many := strings.Repeat(lines, 40)
	for i, sql := range endToEndQueries {
		if compileWhole(sql, schema) == nil {
			f.Fatalf("%s is not compared", sql)
		}
		f.Add(sql, []byte(lines), uint8(3*i), uint8(7*i))
		f.Add(sql, []byte(many), uint8(i), uint8(200+i))
	}
	path := filepath.Join(f.TempDir(), "data.csv")
	f.Fuzz(func(t *testing.T, sql string, data []byte, shape, block uint8) {
		if len(data) > 64<<10 || len(sql) > 2000 {
			return
		}
		p := compileWhole(sql, schema)
		if p == nil { // most changes to a query break it: the bytes are worth a look all the same
			sql = endToEndQueries[int(shape)/9%len(endToEndQueries)]
			p = compileWhole(sql, schema)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		// Strict, because the twin reads all columns, and the engine only those of the plan.
		cfg := readers.DelimitedConfig{Schema: schema, Quote: '"'}
		cfg.Strict = true
		want, in, set := readTwin(t, p, data, cfg)
		cfg.BlockBytes = 1 + 17*int(block)
		for i, exchange := range []plan.Exchange{plan.ExchangeRoute, plan.ExchangeFold} {
			n, partitions := 1+int(shape)%3, 1+(int(shape)/3+i)%3
			got, gotIn, gotSet := readEngine(t, p, path, cfg, n, partitions, exchange)
			what := fmt.Sprintf("%s: %d readers, %d partitions, %v, blocks of %d", sql, n, partitions, exchange,
				cfg.BlockBytes)
			if gotIn != in || gotSet != set {
				t.Fatalf("%s: %d records, %d set aside; expected %d and %d", what, gotIn, gotSet, in, set)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %d rows\n%.2000q\nexpected %d\n%.2000q", what, len(got), got, len(want), want)
			}
		}
	})
}
