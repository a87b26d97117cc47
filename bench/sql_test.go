package bench

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// sqlSchema has a column of each type that filters and arguments are made of.
var sqlSchema = func() *record.Schema {
	s, err := record.NewSchema("records", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "value", Type: record.Int64}, record.Field{Name: "size", Type: record.Int64},
		record.Field{Name: "price", Type: record.Float64}, record.Field{Name: "rate", Type: record.Float64},
		record.Field{Name: "fee", Type: record.DecimalOf(10, 2)},
		record.Field{Name: "venue", Type: record.String}, record.Field{Name: "opt", Type: record.Int64, Nullable: true},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		panic(err)
	}
	return s
}()

// sqlKeys is how many groups there are: as in the workload u_1k.
const sqlKeys = 1000

// sqlBatches makes records whose values say how many of them a filter lets pass: value and price
// are even over [0, 1000), half of the venues begin with x.
func sqlBatches(rows int) (all []*record.Batch) {
	rng := rand.New(rand.NewPCG(1, 1))
	venues := []string{"xetra", "xlon", "nyse", "arca", "xpar", "bats", "nasdaq", "x"}
	for ; rows > 0; rows -= record.DefaultRows {
		b := record.NewBatch(sqlSchema, record.DefaultRows)
		for range record.DefaultRows {
			if !b.Add(8) {
				panic("bench: no room for a batch of short texts")
			}
			b.SetInt64(0, rng.Int64N(sqlKeys))
			b.SetInt64(1, rng.Int64N(1000))
			b.SetInt64(2, rng.Int64N(1000))
			b.SetFloat64(3, float64(rng.IntN(100_000))/100)
			b.SetFloat64(4, rng.Float64()+0.5)
			b.SetInt64(5, rng.Int64N(100_000))
			b.SetString(6, venues[rng.IntN(len(venues))])
			if rng.IntN(2) == 0 {
				b.SetNull(7)
			} else {
				b.SetInt64(7, rng.Int64N(1000))
			}
			b.SetInt64(8, 1_700_000_000e9+rng.Int64N(1e14))
		}
		all = append(all, b)
	}
	return all
}

// pipe is a router and a partition that are stepped in one goroutine, without end: records are
// applied in place, as on one core of the engine.
type pipe struct {
	router    *core.Router
	partition *core.Partition
}

func newPipe(p *plan.Plan, batches []*record.Batch) (*pipe, error) {
	m, err := newMemory(batches, 0)
	if err != nil {
		return nil, err
	}
	in, out := ring.New[core.Chunk](8)
	cuts := core.NewCuts(p, plan.Route{}, 1, 1, 0, nil, func() {})
	bells := []core.Bell{silent{}}
	partition, err := core.NewPartition(0, p, []*ring.Consumer[core.Chunk]{out}, bells, nil, cuts)
	if err != nil {
		return nil, err
	}
	source := &pollSource{r: m, b: record.NewBatch(p.Source, record.DefaultRows)}
	router, err := core.NewRouter(0, p, source, plan.Route{}, core.Fold{Exchange: plan.ExchangeDirect},
		[]*ring.Producer[core.Chunk]{in}, bells, []*core.Partition{partition}, nil, cuts)
	return &pipe{router, partition}, err
}

// run takes n records, and says how long that took this thread for each of them.
func (p *pipe) run(records uint64) float64 {
	from := p.router.Counters().In
	began, ok := affinity.ThreadCPUTime()
	wall := time.Now()
	for p.router.Counters().In < from+records {
		p.router.Step(0)
		p.partition.Step(0)
	}
	took := time.Since(wall)
	if ended, _ := affinity.ThreadCPUTime(); ok {
		took = ended - began
	}
	return float64(took) / float64(p.router.Counters().In-from)
}

// BenchmarkSQL is what queries cost through SQL beside the plan literal of u_1k on the same
// records, 1,000 groups of count, sum, min and max: nanoseconds of CPU time for each record that is
// read, more than the literal takes. All take their turn in each round, a quarter of a million
// records each, in another order each time, so that a figure stands beside the others of the same
// milliseconds; medians. A filter that lets few records pass spares most of the work of the groups,
// one that lets all pass spares none.
func BenchmarkSQL(b *testing.B) {
	const from, by = `SELECT key, count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max FROM records`, ` GROUP BY key`
	literal := &plan.Plan{Source: sqlSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
		{Name: "count", Func: plan.Count},
		{Name: "sum", Func: plan.Sum, Column: "value"},
		{Name: "min", Func: plan.Min, Column: "value"},
		{Name: "max", Func: plan.Max, Column: "value"},
	}}
	sum := func(of string) string {
		return `SELECT key, count(*) AS count, sum(` + of + `) AS sum FROM records` + by
	}
	benchmarkSQL(b, literal, []sqlKind{
		{"literal", "", ""},
		{"sql", from + by, "literal"},
		{"bigint/all", from + ` WHERE value >= 0` + by, "literal"},
		{"bigint/most", from + ` WHERE value < 900` + by, "literal"},
		{"bigint/half", from + ` WHERE value < 500` + by, "literal"},
		{"bigint/few", from + ` WHERE value < 20` + by, "literal"},
		{"double/all", from + ` WHERE price >= 0` + by, "literal"},
		{"double/half", from + ` WHERE price < 500` + by, "literal"},
		{"decimal/half", from + ` WHERE fee < 500` + by, "literal"},
		{"columns/half", from + ` WHERE value < size` + by, "literal"},
		{"and/all", from + ` WHERE value >= 0 AND price < 1000.5` + by, "literal"},
		{"and/most", from + ` WHERE value < 950 AND size < 950` + by, "literal"},
		{"text/eq", from + ` WHERE venue = 'nyse'` + by, "literal"},
		{"text/ne", from + ` WHERE venue <> 'nyse'` + by, "literal"},
		{"text/in", from + ` WHERE venue IN ('nyse', 'xetra', 'xlon')` + by, "literal"},
		{"text/like", from + ` WHERE venue LIKE 'x%'` + by, "literal"},
		{"sum(bigint)", sum(`value`), ""},
		{"sum(double)", sum(`price`), ""},
		{"sum(decimal)", sum(`fee`), ""},
		{"bigint*bigint", sum(`value * size`), "sum(bigint)"},
		{"double*double", sum(`price * rate`), "sum(double)"},
		{"decimal+decimal", sum(`fee + fee`), "sum(decimal)"},
		{"decimal*bigint", sum(`fee * size`), "sum(decimal)"},
		{"decimal*double", sum(`fee * rate`), "sum(double)"},
		{"bigint/bigint", sum(`value / (size + 1)`), "sum(bigint)"},
		{"case", sum(`CASE WHEN value < 500 THEN size ELSE value END`), "sum(bigint)"},
		{"coalesce", sum(`coalesce(opt, value)`), "sum(bigint)"},
		{"modulo", sum(`value % 7`), "sum(bigint)"},
		{"round(decimal)", sum(`round(fee)`), "sum(decimal)"},
		{
			"extract", `SELECT extract(hour FROM at) AS h, count(*) AS count, sum(value) AS sum FROM records GROUP BY h`,
			"sum(bigint)",
		},
		{"extract/dow", `SELECT extract(dow FROM at) AS h, count(*) AS count, sum(value) AS sum FROM records GROUP BY h`, "sum(bigint)"},
		{"lower", sum(`length(lower(venue))`), "sum(bigint)"},
		{"date_trunc", `SELECT date_trunc('hour', at) AS h, count(*) AS count, sum(value) AS sum FROM records GROUP BY h`, "sum(bigint)"},
	})
}

// BenchmarkSQLWide is BenchmarkSQL for wide decimals. It is apart, because what is measured after
// one of them is slower by up to two nanoseconds.
func BenchmarkSQLWide(b *testing.B) {
	sum := func(of string) string {
		return `SELECT key, count(*) AS count, sum(` + of + `) AS sum FROM records GROUP BY key`
	}
	first, err := query.Compile(sum("value"), sqlSchema)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkSQL(b, first, []sqlKind{
		{"sum(decimal)", sum(`fee`), ""},
		{"sum(decimal38)", sum("fee::decimal(38, 2)"), "sum(decimal)"},
		{"wide-cast", sum("fee::decimal(38, 3)"), "sum(decimal)"},
		{"wide+wide", sum("fee::decimal(38, 3) + fee::decimal(38, 3)"), "sum(decimal)"},
		{"wide*wide", sum("fee::decimal(38, 3) * fee::decimal(38, 3)"), "sum(decimal)"},
	})
}

// sqlKind is a query that is measured: its cost, or what it costs more than another one. The text is
// empty for the first plan.
type sqlKind struct{ name, text, beside string }

func benchmarkSQL(b *testing.B, literal *plan.Plan, kinds []sqlKind) {
	batches := sqlBatches(1 << 18)
	// The tables of the first plan lie worse than the tables of others: a tenth to half a
	// nanosecond a record, for the same plan. It is not one that is measured.
	first, err := newPipe(literal, batches)
	if err != nil {
		b.Fatal(err)
	}
	first.run(1 << 18)
	var pipes []*pipe
	place := map[string]int{}
	for i, k := range kinds {
		pl := literal
		if k.text != "" {
			if pl, err = query.Compile(k.text, sqlSchema); err != nil {
				b.Fatal(k.name, err)
			}
		}
		p, err := newPipe(pl, batches)
		if err != nil {
			b.Fatal(k.name, err)
		}
		pipes, place[k.name] = append(pipes, p), i
		p.run(1 << 18)
	}
	runtime.KeepAlive(first)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := make([][]float64, len(kinds))
	for b.Loop() {
		for i, p := range pipes {
			took[i] = append(took[i], p.run(1<<18))
		}
	}
	median := func(i int) float64 {
		slices.Sort(took[i])
		return took[i][len(took[i])/2]
	}
	b.ReportMetric(0, "ns/op") // it would be the time of a round
	for i, k := range kinds {
		ns := median(i)
		if k.beside == "" {
			b.ReportMetric(ns, k.name+"-ns/record")
			continue
		}
		b.ReportMetric(ns-median(place[k.beside]), k.name+"-more-ns/record")
	}
	b.Logf("%d rounds", len(took[0]))
}
